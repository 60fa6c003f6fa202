//! Commands to a session's connection, wherever it lives.
//!
//! On SQLite the session runs in this process or nowhere. On PostgreSQL another may run it: the
//! command is a row, the host that holds the session takes it under its lease, and whoever asked
//! waits for the answer in the row. A host that dies with a command leaves it unanswered, which is
//! told as "not connected".

use std::time::Duration;

use passerelle_engine::{
    content::{Phone, Recipient},
    ids::{CommandId, OrgId, SessionId},
    media::FileKey,
    vault::Place,
    whatsapp::{Connection, Mark, Named, Typing},
};
use serde::{Deserialize, Serialize};
use tokio_util::task::TaskTracker;

use crate::{
    error::{AskError, Fault},
    model::{State, number::NumberStatus},
    services::Services,
    state::typing::SHOWN,
    store,
};

/// How long a command waits for its answer, and may wait to be taken.
pub(crate) const WAIT: Duration = Duration::from_secs(20);
/// Between two looks for the answer.
const LOOK: Duration = Duration::from_millis(100);

/// Where a command and its answer are sealed.
const ASKED: &str = "command.asked";
const ANSWER: &str = "command.answer";

/// What is asked of a connection.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Command {
    /// A code to type on this phone.
    PairingCode(Phone),
    /// Whether a phone number has WhatsApp.
    Find(Phone),
    /// Which groups the number is in.
    Groups,
    /// Unlink the device.
    Logout,
    /// The file of a message that came in, put up again by its sender's phone.
    PutUpAgain { message: Named, key: FileKey },
    /// A receipt for a message that came in.
    Mark { message: Named, mark: Mark },
    /// What the number is at, shown to a contact.
    Typing { to: Recipient, typing: Typing },
}

/// What came of it.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) enum Answer {
    Done,
    /// A pairing code, a file's new path, what is known of a number, or its groups; all are secrets.
    Told(String),
    /// Not now: in so many milliseconds.
    Later(u64),
    NotConnected,
    /// WhatsApp refused; the log of whoever carried it out says why.
    Refused,
}

impl Answer {
    /// What was told, nothing where it was done without a word; or why it was not done.
    pub(crate) fn or_why(self) -> Result<String, AskError> {
        match self {
            Self::Told(text) => Ok(text),
            Self::Done => Ok(String::new()),
            Self::Later(wait_ms) => Err(AskError::Paced(Duration::from_millis(wait_ms))),
            Self::NotConnected | Self::Refused => Err(AskError::NotConnected),
        }
    }
}

/// Has the command carried out by whoever runs the session.
pub(crate) async fn ask(
    services: &Services,
    org: OrgId,
    session: SessionId,
    command: Command,
) -> Result<Answer, Fault> {
    if !services.is_shared() {
        return Ok(carry_out(services, session, command).await);
    }
    let id = CommandId::new(services.clock());
    let key = services.vault().org_key(org).await?;
    let record = id.to_string();
    let asked = key.seal_json(&Place::of(org, ASKED, &record), &command)?;
    let insert = services.store().write(org, move |tx| {
        Box::pin(async move { store::commands::insert(tx, org, session, id, asked).await })
    });
    insert.await?;
    services.wake_hosts();
    let answered = async {
        loop {
            let mut conn = services.store().read(org).await?;
            if let Some(sealed) = store::commands::answered(&mut conn, org, id).await? {
                return Ok::<Answer, Fault>(
                    key.open_json(&Place::of(org, ANSWER, &record), &sealed)?,
                );
            }
            drop(conn);
            tokio::time::sleep(LOOK).await;
        }
    };
    let answer = tokio::time::timeout(WAIT, answered).await;
    let delete = services.store().write(org, move |tx| {
        Box::pin(async move { store::commands::delete(tx, org, id).await })
    });
    if let Err(error) = delete.await {
        // What it answers counts; the sweep deletes the row later.
        tracing::warn!(session.id = %session, %error, "an answered command is not deleted");
    }
    answer.unwrap_or(Ok(Answer::NotConnected))
}

/// Takes the open commands to sessions of this host, and answers each in a task of its own.
pub(crate) async fn answer_open(services: &Services, tasks: &TaskTracker) -> Result<(), Fault> {
    if !services.is_shared() {
        return Ok(());
    }
    let host = services.settings().host.clone();
    let taken = services.store().write_system(move |tx| {
        Box::pin(async move { store::system::take_commands(tx, &host, WAIT).await })
    });
    for (org, session, id, asked) in taken.await? {
        let services = services.clone();
        tasks.spawn(async move {
            if let Err(fault) = answer(&services, org, session, id, &asked).await {
                tracing::warn!(session.id = %session, error = %fault, "a command was not answered");
            }
        });
    }
    Ok(())
}

async fn answer(
    services: &Services,
    org: OrgId,
    session: SessionId,
    id: CommandId,
    asked: &[u8],
) -> Result<(), Fault> {
    let record = id.to_string();
    let key = services.vault().org_key(org).await?;
    let command = key.open_json(&Place::of(org, ASKED, &record), asked)?;
    let answer = carry_out(services, session, command).await;
    let sealed = key.seal_json(&Place::of(org, ANSWER, &record), &answer)?;
    let write = services.store().write(org, move |tx| {
        Box::pin(async move { store::commands::answer(tx, org, id, sealed).await })
    });
    Ok(write.await?)
}

/// Carries the command out on a connection of this process.
async fn carry_out(services: &Services, id: SessionId, command: Command) -> Answer {
    let registry = services.registry();
    let Some(link) = registry.link(id) else {
        return Answer::NotConnected;
    };
    let is_ready = match command {
        Command::PairingCode(_) => true,
        Command::Logout => registry.state(id) == Some(State::Connected),
        _ => link.is_connected(),
    };
    if !is_ready {
        return Answer::NotConnected;
    }
    let rates = services.rates();
    let counted = match command {
        Command::Find(_) => rates.numbers.count(id),
        Command::Groups => rates.groups.count(id),
        Command::Typing { .. } => rates.typing.count(id),
        _ => Ok(()),
    };
    if let Err(wait) = counted {
        return Answer::Later(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
    }
    let done = pass_on(services, id, link, command).await;
    done.unwrap_or_else(|error| {
        tracing::warn!(session.id = %id, error = format!("{error:#}"), "WhatsApp refused a command");
        Answer::Refused
    })
}

/// Passes the command on to WhatsApp.
async fn pass_on(
    services: &Services,
    id: SessionId,
    link: Connection,
    command: Command,
) -> anyhow::Result<Answer> {
    Ok(match command {
        Command::PairingCode(phone) => {
            let code = link.pairing_code(&phone).await?;
            services.registry().set_state(id, State::Pairing);
            tell_pairing(services, id).await;
            Answer::Told(code.as_str().to_owned())
        }
        Command::Find(phone) => {
            let found = NumberStatus::of(link.find(&phone).await?);
            Answer::Told(serde_json::to_string(&found)?)
        }
        Command::Groups => Answer::Told(serde_json::to_string(&link.groups().await?)?),
        Command::Logout => link.logout().await.map(|()| Answer::Done)?,
        Command::Mark { message, mark } => {
            link.mark(&message, mark).await.map(|()| Answer::Done)?
        }
        Command::PutUpAgain { message, key } => {
            let path = link.put_up_again(&message, &key).await?;
            path.map_or(Answer::Refused, Answer::Told)
        }
        Command::Typing { to, typing } => {
            let told = link.typing(&to, typing).await;
            let until = services.clock().monotonic() + SHOWN;
            let until = (typing != Typing::Paused).then_some(until);
            services.registry().typing(id, to, until);
            told.map(|()| Answer::Done)?
        }
    })
}

/// Tells those who do not run the session that it waits for its pairing code.
async fn tell_pairing(services: &Services, id: SessionId) {
    let Some(lease) = services
        .registry()
        .lease(id)
        .filter(|_| services.is_shared())
    else {
        return;
    };
    let boot = services.boot().clone();
    let told = services.store().write(lease.org, move |tx| {
        Box::pin(async move {
            lease.check(tx).await?;
            store::live::tell(tx, &lease, &boot, State::Pairing.as_str(), None).await?;
            Ok::<_, Fault>(())
        })
    });
    if let Err(fault) = told.await {
        tracing::debug!(session.id = %id, error = %fault, "the next change of the session is told");
    }
}

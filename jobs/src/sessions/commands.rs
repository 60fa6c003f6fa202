//! Commands to a session's connection, in whichever process it runs.
//!
//! On SQLite the session runs in this process or nowhere. On PostgreSQL another process may run it. Then
//! the command is a row: the host that holds the session's lease takes it, and the caller waits for the
//! answer in the same row. If the host dies, the command stays unanswered and the caller gets "not
//! connected".

use std::time::Duration;

use passerelle_engine::{
    content::{Group, Phone, Recipient},
    ids::{CommandId, OrgId, SessionId},
    media::FileKey,
    vault::Place,
    whatsapp::{Connection, Mark, Named, Presence, Typing},
};
use serde::{Deserialize, Serialize};
use tokio_util::task::TaskTracker;

use crate::{
    calls,
    error::{AskError, Fault, if_readable},
    model::{State, number::NumberStatus},
    services::Services,
    state::typing::SHOWN,
    store,
};

/// How long the caller waits for an answer. A command older than this is not carried out any more.
pub(crate) const WAIT: Duration = Duration::from_secs(20);
/// Interval between two checks for the answer.
const LOOK: Duration = Duration::from_millis(100);

/// The labels under which a command and its answer are encrypted.
const ASKED: &str = "command.asked";
const ANSWER: &str = "command.answer";

/// What is asked of a connection.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Command {
    /// Request a pairing code, to be typed on this phone.
    PairingCode(Phone),
    /// Check whether a phone number has WhatsApp.
    Find(Phone),
    /// Find the profile picture of a person.
    Avatar(Recipient),
    /// List the groups that the number is in.
    Groups,
    /// Describe a group that the number is in.
    Group(Group),
    /// Leave a group.
    LeaveGroup(Group),
    /// Unlink the device.
    Logout,
    /// Ask the sender's phone to upload the file of an inbound message again.
    PutUpAgain { message: Named, key: FileKey },
    /// Send a receipt for an inbound message.
    Mark { message: Named, mark: Mark },
    /// Show a recipient that the number is typing or recording, or no longer is.
    Typing { to: Recipient, typing: Typing },
    /// Show the number as online, or no longer.
    Presence(Presence),
    /// Reject the call with this id.
    RejectCall(String),
}

/// The answer to a command.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) enum Answer {
    Done,
    /// A pairing code, a file's new path, a number's status, a group, or a list of groups. All are secrets.
    Told(String),
    /// The rate limit is reached; allowed again after this many milliseconds.
    Later(u64),
    NotConnected,
    /// WhatsApp refused; the log of the process that carried it out says why.
    Refused,
}

impl Answer {
    /// Returns the answer's text, which is empty for `Done`, or why the command was not done.
    pub(crate) fn into_text(self) -> Result<String, AskError> {
        match self {
            Self::Told(text) => Ok(text),
            Self::Done => Ok(String::new()),
            Self::Later(wait_ms) => Err(AskError::Paced(Duration::from_millis(wait_ms))),
            Self::NotConnected | Self::Refused => Err(AskError::NotConnected),
        }
    }
}

/// Has the command carried out by the process that runs the session, and returns its answer.
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
    let insert = services.store().write_in_time(org, move |tx| {
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
        // The answer is still good; the sweep deletes the row later.
        tracing::warn!(session.id = %session, %error, "an answered command was not deleted");
    }
    answer.unwrap_or(Ok(Answer::NotConnected))
}

/// Takes the open commands for sessions of this host, and answers each in its own task.
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
            let answered = answer(&services, org, session, id, &asked).await;
            if let Err(fault) = if_readable("command", &id, answered) {
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

/// Carries out the command on a connection of this process.
async fn carry_out(services: &Services, id: SessionId, command: Command) -> Answer {
    let registry = services.registry();
    let Some(connection) = registry.connection(id) else {
        return Answer::NotConnected;
    };
    let is_ready = match command {
        Command::PairingCode(_) => true,
        Command::Logout => registry.state(id) == Some(State::Connected),
        _ => connection.is_connected(),
    };
    if !is_ready {
        return Answer::NotConnected;
    }
    let rates = services.rates();
    let counted = match command {
        Command::Find(_) | Command::Avatar(_) => rates.numbers.count(id),
        Command::Groups => rates.groups.count(id),
        Command::Group(_) | Command::LeaveGroup(_) => rates.group_requests.count(id),
        Command::Typing { .. } => rates.typing.count(id),
        _ => Ok(()),
    };
    if let Err(wait) = counted {
        return Answer::Later(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
    }
    let done = pass_on(services, id, connection, command).await;
    done.unwrap_or_else(|error| {
        tracing::warn!(session.id = %id, error = format!("{error:#}"), "WhatsApp refused a command");
        Answer::Refused
    })
}

/// Passes the command on to WhatsApp.
async fn pass_on(
    services: &Services,
    id: SessionId,
    connection: Connection,
    command: Command,
) -> anyhow::Result<Answer> {
    Ok(match command {
        Command::PairingCode(phone) => {
            let code = connection.pairing_code(&phone).await?;
            services.registry().set_state(id, State::Pairing);
            publish_pairing(services, id).await;
            Answer::Told(code.as_str().to_owned())
        }
        Command::Find(phone) => {
            let found = NumberStatus::of(connection.find(&phone).await?);
            Answer::Told(serde_json::to_string(&found)?)
        }
        Command::Avatar(of) => Answer::Told(serde_json::to_string(&connection.avatar(&of).await?)?),
        Command::Groups => Answer::Told(serde_json::to_string(&connection.groups().await?)?),
        Command::Group(group) => {
            Answer::Told(serde_json::to_string(&connection.group(&group).await?)?)
        }
        Command::LeaveGroup(group) => connection.leave(&group).await.map(|()| Answer::Done)?,
        Command::Logout => {
            if let Some(health) = services.registry().health(id) {
                health.unlinking();
            }
            connection.logout().await.map(|()| Answer::Done)?
        }
        Command::Mark { message, mark } => connection
            .mark(&message, mark)
            .await
            .map(|()| Answer::Done)?,
        Command::PutUpAgain { message, key } => {
            let path = connection.put_up_again(&message, &key).await?;
            path.map_or(Answer::Refused, Answer::Told)
        }
        Command::Typing { to, typing } => {
            let shown = connection.typing(&to, typing).await;
            let until = services.clock().monotonic() + SHOWN;
            let until = (typing != Typing::Paused).then_some(until);
            services.registry().typing(id, to, until);
            shown.map(|()| Answer::Done)?
        }
        Command::RejectCall(call) => {
            let rejection = calls::reject(services, id, &connection, &call).await?;
            Answer::Told(serde_json::to_string(&rejection)?)
        }
        Command::Presence(presence) => {
            connection.set_presence(presence);
            Answer::Done
        }
    })
}

/// Publishes to the other processes that the session waits for its pairing code.
async fn publish_pairing(services: &Services, id: SessionId) {
    let Some(lease) = services
        .registry()
        .lease(id)
        .filter(|_| services.is_shared())
    else {
        return;
    };
    let boot = services.boot().clone();
    let published = services.store().write(lease.org, move |tx| {
        Box::pin(async move {
            lease.check(tx).await?;
            store::live::tell(tx, &lease, &boot, State::Pairing.as_str(), None).await?;
            Ok::<_, Fault>(())
        })
    });
    if let Err(fault) = published.await {
        tracing::debug!(session.id = %id, error = %fault, "a session's state was not published; its next change will be");
    }
}

//! A person has one contact, and gets nothing after "stop", whatever spellings of the number are used and in which order:
//! a property test over the store.
//!
//! Steps are drawn at random: number checks, messages accepted for a spelling or for a contact, sends, messages that come
//! in under the phone and the LID or the LID alone, "stop" and "start". Every step calls the product's own functions, on
//! a real database, through one of two sessions; only WhatsApp's answers are the test's. At the end the lanes are emptied.

use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use passerelle_engine::{
    content::{Content, Context, Peer, Phone, SenderNames},
    ids::{ContactId, OrgId, SessionId},
    lease::Lease,
    whatsapp::inbound::{Inbound, InboundSink as _},
};
use proptest::prelude::*;
use tokio_util::sync::CancellationToken;

use crate::{
    contacts::Book,
    host::{
        addressee::{LookUp, NOT_ON_WHATSAPP, Next},
        claim::Lanes,
        outcome::{self, Outcome},
    },
    inbound::Inbox,
    messages::{self, opt_out},
    model::number::NumberStatus,
    organisations,
    outbound::{self, AcceptError, recipient::To, request::NewMessage},
    queue::JobSource as _,
    services::Services,
    sessions::{self, number_checks},
    settings::MediaSettings,
    state::in_flight::ServerVerdict,
    testing,
};

/// The spellings of the person's number; the first one is WhatsApp's.
const SPELLINGS: [&str; 3] = ["+551187654321", "+5511987654321", "+55011987654321"];
const LID: &str = "123456789012345";
/// A number without WhatsApp.
const NOBODY: &str = "+551180000000";

#[derive(Debug, Clone, Copy)]
enum Step {
    /// A number check of a spelling is answered.
    Check { by: usize, spelling: usize },
    /// A message is accepted for a spelling.
    Accept { by: usize, spelling: usize },
    /// A message is accepted for one of the contact ids that answers and messages showed.
    AcceptForContact { by: usize, nth: usize },
    /// A message is accepted for a number without WhatsApp.
    AcceptForNobody { by: usize },
    /// The host sends the next message of a lane.
    Send { by: usize },
    /// The person writes.
    Say { by: usize, what: Say, named: Named },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Say {
    Hello,
    Stop,
    Start,
}

/// How a message names the person, beside the LID.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Named {
    ByPhone,
    ByLidAlone,
    /// By LID alone, but this spelling was known of it.
    Derived(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let (by, spelling) = (0..2_usize, 0..SPELLINGS.len());
    let named = prop_oneof![
        Just(Named::ByPhone),
        Just(Named::ByLidAlone),
        spelling.clone().prop_map(Named::Derived)
    ];
    let what = prop_oneof![
        Just(Say::Hello),
        Just(Say::Stop),
        Just(Say::Stop),
        Just(Say::Start)
    ];
    prop_oneof![
        2 => (by.clone(), spelling.clone()).prop_map(|(by, spelling)| Step::Check { by, spelling }),
        6 => (by.clone(), spelling).prop_map(|(by, spelling)| Step::Accept { by, spelling }),
        2 => (by.clone(), 0..8_usize).prop_map(|(by, nth)| Step::AcceptForContact { by, nth }),
        1 => by.clone().prop_map(|by| Step::AcceptForNobody { by }),
        6 => by.clone().prop_map(|by| Step::Send { by }),
        4 => (by, what, named).prop_map(|(by, what, named)| Step::Say { by, what, named }),
    ]
}

/// One organisation with two sessions, and what the person wants.
struct World<'s> {
    services: &'s Services,
    org: OrgId,
    leases: Vec<Lease>,
    stopped: bool,
    said: u32,
    /// The contact ids that the organisation has seen.
    seen: Vec<ContactId>,
    asked: usize,
}

impl<'s> World<'s> {
    async fn start(services: &'s Services) -> Result<Self> {
        let org = organisations::create(services, "Acme").await?.id;
        let mut leases = Vec::new();
        for name in ["till", "bar"] {
            let session = sessions::create(services, org, name, sessions::New::default())
                .await?
                .id;
            take(services, session).await?;
            leases.push(Lease {
                org,
                session,
                host: Arc::clone(&services.settings().host),
                epoch: 1,
            });
        }
        Ok(Self {
            services,
            org,
            leases,
            stopped: false,
            said: 0,
            seen: Vec::new(),
            asked: 0,
        })
    }

    async fn take(&mut self, step: Step) -> Result<()> {
        match step {
            Step::Check { by, spelling } => self.check(by, SPELLINGS[spelling]).await,
            Step::Accept { by, spelling } => {
                self.accept(by, To::Phone(phone(SPELLINGS[spelling]))).await
            }
            Step::AcceptForContact { by, nth } => match self.seen.get(nth % self.seen.len().max(1))
            {
                Some(id) => self.accept(by, To::Contact(*id)).await,
                None => Ok(()),
            },
            Step::AcceptForNobody { by } => self.accept(by, To::Phone(phone(NOBODY))).await,
            Step::Send { by } => self.send(by).await.map(drop),
            Step::Say { by, what, named } => self.say(by, what, named).await,
        }
    }

    async fn check(&self, by: usize, asked: &str) -> Result<()> {
        let (services, lease) = (self.services, self.leases[by].clone());
        let (key, clock) = (
            services.vault().org_key(self.org).await?,
            services.clock().clone(),
        );
        let asked = phone(asked);
        let kept = services.store().write(self.org, move |tx| {
            Box::pin(async move {
                let book = Book {
                    org: lease.org,
                    key: &key,
                    clock: &clock,
                    session: lease.session,
                };
                number_checks::keep(tx, &book, &asked, &answer(&asked), clock.now()).await
            })
        });
        Ok(kept.await.map(drop)?)
    }

    async fn accept(&mut self, by: usize, to: To) -> Result<()> {
        let new = NewMessage::of(self.leases[by].session, to, Content::text("hello"));
        match outbound::accept(self.services, self.org, new, None).await {
            Ok(accepted) => self.seen.extend(accepted.message.contact),
            Err(AcceptError::OptedOut) => ensure!(self.stopped, "refused, but nobody said stop"),
            Err(AcceptError::QueueFull(_)) => {}
            Err(error) => bail!("not accepted: {error}"),
        }
        Ok(())
    }

    /// Sends the next message of a lane. Returns false if there is none.
    async fn send(&mut self, by: usize) -> Result<bool> {
        let (services, lease) = (self.services, self.leases[by].clone());
        let Some(job) = claim(services, lease.session).await? else {
            return Ok(false);
        };
        let claimed = outcome::load(services, &job).await?;
        let mut claimed = claimed.context("a claimed message")?;
        let stop = CancellationToken::new();
        let look_up = LookUp {
            services,
            lease: &lease,
            stop: &stop,
            key: services.vault().org_key(self.org).await?,
        };
        let addressed = match look_up.begin(&mut claimed).await? {
            Next::Ready(ready) => ready,
            Next::Ask(asked) => {
                self.asked += 1;
                let found = answer(&asked);
                look_up.answered(&mut claimed, asked, found).await?
            }
        };
        let outcome = match addressed {
            Err(Outcome::Failed(code)) if code == opt_out::CODE => {
                ensure!(self.stopped, "not sent, but nobody said stop");
                Outcome::Failed(code)
            }
            Err(Outcome::Failed(code)) => {
                ensure!(code == NOT_ON_WHATSAPP, "failed with {code}");
                Outcome::Failed(code)
            }
            Err(outcome) => bail!("{outcome:?}"),
            Ok(()) => {
                ensure!(!self.stopped, "a message left after stop");
                let to = claimed.message.peer.phone.as_ref().map(Phone::as_str);
                ensure!(to.is_none_or(|to| to == SPELLINGS[0]), "sent to {to:?}");
                Outcome::Written {
                    wire_at: services.clock().monotonic(),
                    gap: std::time::Duration::ZERO,
                    verdict: Some(ServerVerdict::Taken),
                    members: None,
                }
            }
        };
        let settled = outcome::settle(services, &job, &claimed, &outcome).await;
        ensure!(settled.is_ok() == matches!(outcome, Outcome::Written { .. }));
        let shown = messages::read(services, self.org, job.message).await?;
        self.seen.extend(shown.and_then(|message| message.contact));
        Ok(true)
    }

    async fn say(&mut self, by: usize, what: Say, named: Named) -> Result<()> {
        self.said += 1;
        let text = match what {
            Say::Hello => "hello",
            Say::Stop => "stop",
            Say::Start => "start",
        };
        let jid = format!("{LID}@lid");
        let inbound = Inbound {
            chat: jid.clone(),
            sender: jid,
            own: None,
            id: format!("3A{}", self.said),
            from: Peer {
                phone: match named {
                    Named::ByPhone => Some(phone(SPELLINGS[0])),
                    Named::ByLidAlone => None,
                    Named::Derived(spelling) => Some(phone(SPELLINGS[spelling])),
                },
                lid: Some(LID.to_owned()),
            },
            phone_is_derived: matches!(named, Named::Derived(_)),
            names: SenderNames::default(),
            group: None,
            content: Content::text(text),
            context: Context::default(),
            ballot: None,
            remote: None,
            expires_in: None,
            timer: None,
            raw: None,
            at: 1,
            recovered: false,
        };
        let inbox = Inbox {
            services: self.services.clone(),
            early: Arc::default(),
            lease: self.leases[by].clone(),
        };
        inbox.commit(vec![inbound]).await?;
        match what {
            Say::Hello => {}
            Say::Stop => self.stopped = true,
            Say::Start => self.stopped = false,
        }
        Ok(())
    }

    /// Empties the lanes, sends one more message to each spelling, and checks what is left.
    async fn end(mut self) -> Result<()> {
        for round in 0..2 {
            for by in 0..self.leases.len() {
                while self.send(by).await? {}
            }
            if round == 0 {
                for spelling in SPELLINGS {
                    self.accept(0, To::Phone(phone(spelling))).await?;
                }
            }
        }
        ensure!(
            self.asked <= SPELLINGS.len() + 1,
            "{} questions",
            self.asked
        );
        let mut conn = self.services.store().read(self.org).await?;
        let mut contacts = Vec::new();
        for id in self.seen {
            let known = crate::store::contacts::read(&mut conn, self.org, id).await?;
            let known = known.context("an id that was shown leads to a contact")?;
            let key = self.services.vault().org_key(self.org).await?;
            let names = crate::contacts::names(&key, self.org, &known)?;
            if names.phone.as_ref().map(Phone::as_str) != Some(NOBODY) {
                contacts.push(known.id);
            }
        }
        contacts.sort_unstable();
        contacts.dedup();
        ensure!(
            contacts.len() <= 1,
            "{} contacts of one person",
            contacts.len()
        );
        Ok(())
    }
}

fn phone(text: &str) -> Phone {
    Phone::parse(text).unwrap()
}

/// Returns what WhatsApp answers for a number.
fn answer(asked: &Phone) -> NumberStatus {
    let is_known = SPELLINGS.contains(&asked.as_str());
    NumberStatus::of(is_known.then(|| Peer {
        phone: Some(phone(SPELLINGS[0])),
        lid: Some(LID.to_owned()),
    }))
}

/// Makes the test the host of the session, and opens its lane.
async fn take(services: &Services, session: SessionId) -> Result<()> {
    let host = services.settings().host.to_string();
    let taken = services.store().write_system(move |tx| {
        Box::pin(async move {
            sqlx::query("UPDATE lease SET host_id = $2, epoch = 1 WHERE session_id = $1")
                .bind(session.to_string())
                .bind(host)
                .execute(tx.conn())
                .await?;
            sqlx::query("UPDATE lane SET open_epoch = 1 WHERE session_id = $1")
                .bind(session.to_string())
                .execute(tx.conn())
                .await
                .map(drop)
        })
    });
    Ok(taken.await?)
}

/// Claims the next message of a lane, as if its gap had passed.
async fn claim(
    services: &Services,
    session: SessionId,
) -> Result<Option<crate::host::job::SendMessage>> {
    let due = services.store().write_system(move |tx| {
        Box::pin(async move {
            sqlx::query("UPDATE lane SET next_at = CASE WHEN session_id = $1 THEN 0 ELSE 99999999999999 END")
                .bind(session.to_string())
                .execute(tx.conn())
                .await
                .map(drop)
        })
    });
    due.await?;
    let claimed = Lanes(services.clone()).claim(1).await?;
    Ok(claimed.into_iter().next().map(|(_, job)| job))
}

fn play(url: impl Future<Output = Option<testing::Place>>) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let Some((url, _folder)) = runtime.block_on(url) else {
        return;
    };
    let services = runtime.block_on(testing::services(&url, MediaSettings::nowhere()));
    let lists = prop::collection::vec(step(), 5..40);
    testing::play(&runtime, (64, 1000), &lists, async |steps| {
        let mut world = World::start(&services).await?;
        for step in steps {
            world.take(step).await?;
        }
        world.end().await
    });
    runtime.block_on(services.store().close());
}

#[test]
fn whatever_the_spelling_a_person_is_one_contact_and_stop_holds_on_sqlite() {
    play(testing::sqlite());
}

#[test]
fn whatever_the_spelling_a_person_is_one_contact_and_stop_holds_on_postgres() {
    play(testing::postgres());
}

/// Who is named by LID alone at first has no number that WhatsApp stated. What is derived of the LID later is looked up.
#[tokio::test]
async fn a_phone_that_was_derived_of_a_known_lid_is_looked_up_before_it_is_written_to() {
    let folder = tempfile::tempdir().unwrap();
    for url in testing::databases(&folder).await {
        let services = testing::services(&url, MediaSettings::nowhere()).await;
        let mut world = World::start(&services).await.unwrap();
        for named in [Named::ByLidAlone, Named::Derived(1)] {
            world.say(0, Say::Hello, named).await.unwrap();
        }
        let to = To::Phone(phone(SPELLINGS[1]));
        world.accept(0, to).await.unwrap();
        assert!(world.send(0).await.unwrap());
        assert_eq!(world.asked, 1);
        world.end().await.unwrap();
        services.store().close().await;
    }
}

/// Two sessions look up two spellings of one person, who says "stop" to a third one, at the same time.
#[tokio::test]
async fn a_spelling_is_learnt_by_two_sessions_and_a_stop_at_once() {
    let folder = tempfile::tempdir().unwrap();
    for url in testing::databases(&folder).await {
        let services = testing::services(&url, MediaSettings::nowhere()).await;
        for _ in 0..20 {
            at_once(&services).await.unwrap();
        }
        services.store().close().await;
    }
}

async fn at_once(services: &Services) -> Result<()> {
    let mut world = World::start(services).await?;
    let mut waiting = Vec::new();
    for by in 0..2 {
        world
            .accept(by, To::Phone(phone(SPELLINGS[by + 1])))
            .await?;
        let lease = world.leases[by].clone();
        let job = claim(services, lease.session).await?.context("a message")?;
        let claimed = outcome::load(services, &job).await?;
        waiting.push((lease, job, claimed.context("a claimed message")?));
    }
    let key = services.vault().org_key(world.org).await?;
    let stop = CancellationToken::new();
    let looked_up = waiting.iter_mut().map(async |(lease, _, claimed)| {
        let look_up = LookUp {
            services,
            lease,
            stop: &stop,
            key: Arc::clone(&key),
        };
        match look_up.begin(claimed).await? {
            Next::Ready(ready) => Ok(ready),
            Next::Ask(asked) => {
                let found = answer(&asked);
                look_up.answered(claimed, asked, found).await
            }
        }
    });
    let looked_up = futures_util::future::join_all(looked_up);
    let (looked_up, said) = tokio::join!(looked_up, world.say(0, Say::Stop, Named::ByPhone));
    said?;
    for ready in looked_up {
        // What was read before the stop may leave.
        let ready: Result<Result<(), Outcome>, crate::error::Fault> = ready;
        ensure!(matches!(ready?, Ok(()) | Err(Outcome::Failed(_))));
    }
    for (_, job, claimed) in &waiting {
        let outcome = Outcome::Failed("not_sent".to_owned());
        ensure!(
            outcome::settle(services, job, claimed, &outcome)
                .await
                .is_err()
        );
    }
    world.end().await
}

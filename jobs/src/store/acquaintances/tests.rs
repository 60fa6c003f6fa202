//! What is known of a person under three names, which turn out to be one person in every order: a property test.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use passerelle_engine::ids::ConsentId;
use proptest::prelude::*;

use super::*;
use crate::{
    model::OptOutSource,
    organisations,
    services::Services,
    sessions,
    settings::MediaSettings,
    store::{
        consents::{self, NewRow},
        contacts::{self, opt_outs, people},
        system::turns,
    },
    testing,
};

const NUMBER: [u8; 32] = [9; 32];
/// A phone number, another spelling of it, and a LID.
const NAMES: usize = 3;

#[derive(Debug, Clone, Copy)]
enum What {
    /// The person agrees.
    Agrees,
    /// The person opts out.
    Refuses,
    /// The person opts in again.
    Returns,
    /// The person writes to the number.
    Writes,
    /// The number writes to the person.
    Gets,
    /// The person is one of the first whom the number writes to.
    IsTriedOut,
    /// This name and another one are found to be one person.
    Is { other: usize, is_spelling: bool },
}

fn events() -> impl Strategy<Value = Vec<(usize, What)>> {
    let what = prop_oneof![
        2 => Just(What::Agrees),
        2 => Just(What::Refuses),
        2 => Just(What::Returns),
        2 => Just(What::Writes),
        4 => Just(What::Gets),
        1 => Just(What::IsTriedOut),
        3 => (0..NAMES, any::<bool>()).prop_map(|(other, is_spelling)| What::Is { other, is_spelling }),
    ];
    prop::collection::vec((0..NAMES, what), 3..16)
}

/// What a person has said and got, under all names that are known to be theirs.
#[derive(Debug, Clone, Default)]
struct Person {
    is_out: bool,
    refused_at: Millis,
    agreed_at: Vec<Millis>,
    wrote_at: Option<Millis>,
    got_at: BTreeSet<Millis>,
    is_trial: bool,
}

impl Person {
    fn is(&mut self, other: &Self) {
        self.is_out |= other.is_out;
        self.refused_at = self.refused_at.max(other.refused_at);
        self.agreed_at.extend(&other.agreed_at);
        self.wrote_at = self.wrote_at.max(other.wrote_at);
        self.got_at.extend(&other.got_at);
        self.is_trial |= other.is_trial;
    }
}

struct World<'s> {
    services: &'s Services,
    org: OrgId,
    session: SessionId,
    ids: Vec<ContactId>,
    /// The name under which each name's contact is kept.
    kept: Vec<usize>,
    people: Vec<Person>,
}

impl<'s> World<'s> {
    async fn start(services: &'s Services, org: OrgId, session: SessionId) -> Result<Self> {
        let ids: Vec<_> = (0..NAMES)
            .map(|_| ContactId::new(services.clock()))
            .collect();
        let (made, now) = (ids.clone(), services.clock().now());
        let write = services.store().write(org, move |tx| {
            Box::pin(async move {
                for id in made {
                    contacts::insert(tx, org, id, None, None, (now, None)).await?;
                }
                Ok::<_, sqlx::Error>(())
            })
        });
        write.await?;
        Ok(Self {
            services,
            org,
            session,
            ids,
            kept: (0..NAMES).collect(),
            people: vec![Person::default(); NAMES],
        })
    }

    async fn take(&mut self, (name, what): (usize, What), at: Millis) -> Result<()> {
        let (org, session, name) = (self.org, self.session, self.kept[name]);
        let id = self.ids[name];
        if let What::Gets = what {
            return self.get(name, at).await;
        }
        let consent = ConsentId::new(self.services.clock());
        let other = match what {
            What::Is { other, .. } => self.kept[other],
            _ => name,
        };
        let other_id = self.ids[other];
        if matches!(what, What::Is { .. }) && other == name {
            return Ok(());
        }
        let write = self.services.store().write(org, move |tx| {
            Box::pin(async move {
                match what {
                    What::Agrees => {
                        let new = NewRow {
                            id: consent,
                            contact: id,
                            link: None,
                            sealed: Vec::new(),
                            given_at: at,
                            now: at,
                        };
                        consents::insert(tx, org, &new).await
                    }
                    What::Refuses => opt_outs::opt_out(tx, org, id, OptOutSource::Api, at)
                        .await
                        .map(drop),
                    What::Returns => opt_outs::opt_in(tx, org, id).await.map(drop),
                    What::Writes => heard(tx, org, session, &HashMap::from([(id, at)])).await,
                    What::IsTriedOut => {
                        meet(tx, org, session, id, at).await?;
                        try_out(tx, org, &NUMBER, id, i64::MAX).await.map(drop)
                    }
                    What::Is {
                        is_spelling: true, ..
                    } => contacts::merge_spelling(tx, org, id, other_id).await,
                    What::Is { .. } => contacts::merge(tx, org, id, other_id).await,
                    What::Gets => Ok(()),
                }
            })
        });
        write.await?;
        let person = &mut self.people[name];
        match what {
            What::Agrees => person.agreed_at.push(at),
            What::Refuses => {
                person.is_out = true;
                person.refused_at = at;
            }
            What::Returns => person.is_out = false,
            What::Writes => person.wrote_at = Some(at),
            What::IsTriedOut => person.is_trial = true,
            What::Gets => {}
            What::Is { .. } => {
                let theirs = std::mem::take(&mut self.people[other]);
                self.people[name].is(&theirs);
                for kept in self.kept.iter_mut().filter(|kept| **kept == other) {
                    *kept = name;
                }
            }
        }
        Ok(())
    }

    /// The number writes to the person, as a claim records it.
    async fn get(&mut self, name: usize, at: Millis) -> Result<()> {
        let (org, session, id) = (self.org, self.session, self.ids[name]);
        let known = {
            let mut conn = self.services.store().read(org).await?;
            read(&mut conn, org, session, id).await?
        };
        let mut unanswered = known.map(|known| known.unanswered).unwrap_or_default();
        unanswered.push(at);
        let write = self.services.store().write_system(move |tx| {
            Box::pin(async move { turns::met(tx, &[(session, id, unanswered, false)], at).await })
        });
        write.await?;
        self.people[name].got_at.insert(at);
        Ok(())
    }

    /// Asks under each name.
    async fn check(&self) -> Result<()> {
        let mut conn = self.services.store().read(self.org).await?;
        for (name, id) in self.ids.iter().enumerate() {
            let person = &self.people[self.kept[name]];
            let found = people::read(&mut conn, self.org, *id).await?;
            let found = found.context("a contact")?;
            ensure!(found.id == self.ids[self.kept[name]], "another contact");
            ensure!(found.opted_out_at.is_some() == person.is_out, "the opt-out");
            let standing = consents::standing(&mut conn, self.org, self.session, Some(*id)).await?;
            let standing = standing.context("the session")?;
            let agreed = person.agreed_at.iter().any(|at| *at > person.refused_at);
            ensure!(standing.consent.is_some() == agreed, "the consent");
            ensure!(standing.last_inbound_at == person.wrote_at, "the window");
            ensure!(standing.is_trial == person.is_trial, "the trial");
            let unanswered = &standing.unanswered;
            ensure!(unanswered.is_sorted(), "{unanswered:?}");
            let since = person.wrote_at.unwrap_or(0);
            for at in &person.got_at {
                ensure!(*at < since || unanswered.contains(at), "{at} is forgotten");
            }
            let real = |at: &Millis| person.got_at.contains(at);
            ensure!(unanswered.iter().all(real), "{unanswered:?}");
            let known = read(&mut conn, self.org, self.session, *id).await?;
            let known = known.unwrap_or_default();
            ensure!(known.unanswered == *unanswered, "two readings differ");
        }
        Ok(())
    }
}

/// Returns a session that knows its number.
async fn linked(services: &Services) -> (OrgId, SessionId) {
    let org = organisations::create(services, "Acme").await.unwrap().id;
    let new = sessions::New::default();
    let session = sessions::create(services, org, "one", new).await.unwrap();
    let write = services.store().write_system(|tx| {
        Box::pin(async move {
            let linked = sqlx::query("UPDATE lane SET number_mac = $1").bind(NUMBER.to_vec());
            linked.execute(tx.conn()).await.map(drop)
        })
    });
    write.await.unwrap();
    (org, session.id)
}

fn play(url: impl Future<Output = Option<testing::Place>>) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let Some((url, _folder)) = runtime.block_on(url) else {
        return;
    };
    let services = runtime.block_on(testing::services(&url, MediaSettings::nowhere()));
    let (org, session) = runtime.block_on(linked(&services));
    testing::play(&runtime, (200, 5000), &events(), async |events| {
        let mut world = World::start(&services, org, session).await?;
        for (at, event) in (1000..).step_by(10).zip(events) {
            world.take(event, at).await?;
            world
                .check()
                .await
                .with_context(|| format!("after {event:?}"))?;
        }
        Ok(())
    });
    runtime.block_on(services.store().close());
}

#[test]
fn safety_what_is_known_of_a_person_survives_merges_in_every_order_on_sqlite() {
    play(testing::sqlite());
}

#[test]
fn safety_what_is_known_of_a_person_survives_merges_in_every_order_on_postgres() {
    play(testing::postgres());
}

#[tokio::test]
async fn safety_an_older_message_that_arrives_late_shortens_no_window() {
    let folder = tempfile::tempdir().unwrap();
    for url in testing::databases(&folder).await {
        let services = testing::services(&url, MediaSettings::nowhere()).await;
        let (org, session) = linked(&services).await;
        let mut world = World::start(&services, org, session).await.unwrap();
        world.take((0, What::Writes), 2000).await.unwrap();
        world.take((0, What::Writes), 1000).await.unwrap();
        let mut conn = services.store().read(org).await.unwrap();
        let known = read(&mut conn, org, session, world.ids[0]).await.unwrap();
        drop(conn);
        assert_eq!(known.unwrap().last_inbound_at, Some(2000));
        services.store().close().await;
    }
}

#[tokio::test]
async fn safety_only_the_first_answer_of_a_person_begins_a_conversation() {
    let folder = tempfile::tempdir().unwrap();
    for url in testing::databases(&folder).await {
        let services = testing::services(&url, MediaSettings::nowhere()).await;
        let (org, session) = linked(&services).await;
        let mut world = World::start(&services, org, session).await.unwrap();
        for (what, at) in [
            (What::Gets, 1000),
            (What::Writes, 2000),
            (What::Gets, 3000),
            (What::Writes, 4000),
        ] {
            world.take((0, what), at).await.unwrap();
        }
        let asked = services
            .store()
            .write_system(move |tx| Box::pin(async move { turns::answered(tx, &[session]).await }));
        let answered = asked.await.unwrap();
        let each = &answered[&session][0].each;
        assert_eq!(*each, [(vec![1000], true), (vec![3000], false)]);
        services.store().close().await;
    }
}

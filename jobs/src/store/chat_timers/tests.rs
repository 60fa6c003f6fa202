//! The timers of two contacts that turn out to be one person.

use std::collections::BTreeMap;

use passerelle_engine::clock::Clock;
use sqlx::Row as _;

use super::*;
use crate::{organisations, sessions, settings::MediaSettings, store::contacts, testing};

/// The timers of a session with the contact that stays and with the one that is merged, each with the time at which it
/// was set, and the seconds that stay.
type Case = ([Option<(u32, Millis)>; 2], Option<i64>);

const CASES: [Case; 6] = [
    ([Some((10, 1)), Some((20, 2))], Some(20)),
    ([Some((10, 2)), Some((20, 1))], Some(10)),
    ([Some((10, 1)), Some((20, 1))], Some(10)),
    ([None, Some((20, 1))], Some(20)),
    ([Some((10, 1)), None], Some(10)),
    ([None, None], None),
];

#[tokio::test]
async fn fidelity_of_two_contacts_that_become_one_the_newer_timer_stays() {
    let folder = tempfile::tempdir().unwrap();
    for url in testing::databases(&folder).await {
        let services = testing::services(&url, MediaSettings::nowhere()).await;
        let clock = services.clock().clone();
        let org = organisations::create(&services, "Acme").await.unwrap().id;
        for is_spelling in [false, true] {
            let people = [(); 3].map(|()| ContactId::new(&clock));
            let mut expected = BTreeMap::new();
            for (timers, stays) in CASES {
                let new = sessions::New::default();
                let session = sessions::create(&services, org, "one", new).await.unwrap();
                let of = (org, session.id);
                // A third person's timer is left alone.
                let timers = [timers[0], timers[1], Some((30, 9))];
                let write = services.store().write(org, move |tx| {
                    Box::pin(async move {
                        for (id, timer) in people.into_iter().zip(timers) {
                            if let Some((seconds, at)) = timer {
                                set(tx, of, TimedChat::With(id), seconds, at).await?;
                            }
                        }
                        Ok::<_, sqlx::Error>(())
                    })
                });
                write.await.unwrap();
                let stays = stays.map(|seconds| (people[0].to_string(), seconds));
                let third = Some((people[2].to_string(), 30));
                let rows = [stays, third]
                    .into_iter()
                    .flatten()
                    .collect::<BTreeMap<_, _>>();
                expected.insert(session.id.to_string(), rows);
            }
            let write = services.store().write(org, move |tx| {
                Box::pin(async move {
                    insert(tx, org, &people, &Clock::system()).await?;
                    let [one, other, _] = people;
                    if is_spelling {
                        contacts::merge_spelling(tx, org, one, other).await
                    } else {
                        contacts::merge(tx, org, one, other).await
                    }
                })
            });
            write.await.unwrap();
            let mut conn = services.store().read(org).await.unwrap();
            for (session, rows) in expected {
                let found = "SELECT contact_id, seconds FROM chat_timer WHERE session_id = $1";
                let found = sqlx::query(found)
                    .bind(&session)
                    .fetch_all(&mut *conn)
                    .await;
                let found = found.unwrap().into_iter();
                let found: BTreeMap<String, i64> = found
                    .map(|row| (row.get("contact_id"), row.get("seconds")))
                    .collect();
                assert_eq!(found, rows, "a spelling: {is_spelling}");
            }
        }
    }
}

async fn insert(
    tx: &mut Tx,
    org: OrgId,
    people: &[ContactId],
    clock: &Clock,
) -> Result<(), sqlx::Error> {
    for id in people {
        contacts::insert(tx, org, *id, None, None, (clock.now(), None)).await?;
    }
    Ok(())
}

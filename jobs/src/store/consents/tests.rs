//! Consents of contacts that turn out to be one person.

use passerelle_engine::clock::Clock;

use super::*;
use crate::{
    model::OptOutSource,
    organisations, sessions,
    settings::MediaSettings,
    store::contacts::{self, opt_outs},
    testing,
};

/// What happens to one of two contacts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    /// It agrees.
    Consent,
    /// It opts out.
    Out,
    /// It opts in again.
    In,
    /// The two become one.
    Merge,
}
use Event::{Consent, In, Merge, Out};

/// Returns every order of the events in which the contact opts in after it opted out.
fn orders() -> Vec<[Event; 4]> {
    let mut orders = Vec::new();
    let events = [Consent, Out, In, Merge];
    for first in events {
        for second in events {
            for third in events {
                for fourth in events {
                    orders.push([first, second, third, fourth]);
                }
            }
        }
    }
    let place = |order: &[Event; 4], event| order.iter().position(|one| *one == event);
    orders.retain(|order| {
        events.iter().all(|event| order.contains(event)) && place(order, Out) < place(order, In)
    });
    orders
}

/// Who does what, and how the two become one.
#[derive(Debug, Clone, Copy)]
struct Case {
    order: [Event; 4],
    /// Whether the contact that agrees, and the one that opts out, is the one that stays.
    agrees_stays: bool,
    refuses_stays: bool,
    is_spelling: bool,
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for order in orders() {
        for flags in 0..8 {
            cases.push(Case {
                order,
                agrees_stays: flags & 1 == 0,
                refuses_stays: flags & 2 == 0,
                is_spelling: flags & 4 == 0,
            });
        }
    }
    cases
}

async fn play(
    tx: &mut Tx,
    org: OrgId,
    case: Case,
    [one, other]: [ContactId; 2],
) -> Result<(), sqlx::Error> {
    let clock = Clock::system();
    for id in [one, other] {
        contacts::insert(tx, org, id, None, None, (clock.now(), None)).await?;
    }
    let mut merged = false;
    for (at, event) in (1000..).step_by(10).zip(case.order) {
        let who = |stays: bool| if stays || merged { one } else { other };
        match event {
            Consent => {
                let new = NewRow {
                    id: ConsentId::new(&clock),
                    contact: who(case.agrees_stays),
                    link: None,
                    sealed: Vec::new(),
                    given_at: at,
                    now: at,
                };
                insert(tx, org, &new).await?;
            }
            Out => {
                let who = who(case.refuses_stays);
                opt_outs::opt_out(tx, org, who, OptOutSource::Api, at).await?;
            }
            In => {
                opt_outs::opt_in(tx, org, who(case.refuses_stays)).await?;
            }
            Merge if case.is_spelling => {
                contacts::merge_spelling(tx, org, one, other).await?;
                merged = true;
            }
            Merge => {
                contacts::merge(tx, org, one, other).await?;
                merged = true;
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn consent_follows_the_contact_over_merges_in_every_order() {
    let folder = tempfile::tempdir().unwrap();
    for url in testing::databases(&folder).await {
        let services = testing::services(&url, MediaSettings::nowhere()).await;
        let clock = services.clock().clone();
        let org = organisations::create(&services, "Acme").await.unwrap().id;
        let new = sessions::New::default();
        let session = sessions::create(&services, org, "one", new).await.unwrap();
        let cases = cases();
        assert_eq!(cases.len(), 96);
        for case in cases {
            let people = [ContactId::new(&clock), ContactId::new(&clock)];
            let write = services.store().write(org, move |tx| {
                Box::pin(async move { play(tx, org, case, people).await })
            });
            write.await.unwrap();
            let place = |event| case.order.iter().position(|one| *one == event);
            let counts = place(Consent) > place(Out);
            let mut conn = services.store().read(org).await.unwrap();
            for id in people {
                let found = standing(&mut conn, org, session.id, Some(id)).await;
                let found = found.unwrap().unwrap();
                assert_eq!(found.consent.is_some(), counts, "{case:?}");
            }
        }
    }
}

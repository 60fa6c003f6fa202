//! Places in a queue, and canceling what waits, on both stores.

use std::sync::Arc;

use passerelle_engine::{
    clock::Millis,
    content::{Content, Context, Peer, Phone},
    ids::{ContactId, MessageId},
    store::Tx,
    vault::DataKey,
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use super::{
    messages::{CANCELED_MAX, Which, cancel},
    outlook::{ahead, same_group},
    *,
};
use crate::{
    contacts, events, messages as shown,
    model::{
        Class, Direction, Later, Message, Page, Permission, Priority, Source, Status,
        client_data::{ClientData, ClientRef},
    },
    organisations, policies,
    safety::tighten::Tightening,
    services::Services,
    sessions,
    settings::MediaSettings,
    store::{
        lanes::Entrant,
        messages::{Outward, Way, When},
        queues::{self, Rank},
    },
    testing,
};

const SEED: u64 = 19;
const NOW: Millis = 1_000_000;

/// What is queued in a test.
#[derive(Clone, Copy)]
struct Of {
    class: Option<Class>,
    priority: Priority,
    send_at: Millis,
    contact: Option<ContactId>,
    is_referred: bool,
}

const PLAIN: Of = Of {
    class: Some(Class::Warm),
    priority: Priority::Normal,
    send_at: 0,
    contact: None,
    is_referred: false,
};

async fn queue(
    tx: &mut Tx,
    key: &DataKey,
    services: &Services,
    (org, session): (OrgId, SessionId),
    of: Of,
) -> Result<(MessageId, Rank), Fault> {
    let place = store::lanes::append(tx, org, session).await?.unwrap();
    let now = services.clock().now();
    let message = Message {
        id: MessageId::new(services.clock()),
        org,
        session,
        direction: Direction::Outbound,
        source: Source::Gateway,
        status: Status::Queued,
        peer: Peer {
            phone: Phone::parse("+4915100000001"),
            lid: None,
        },
        group: None,
        contact: of.contact,
        content: Content::text("waits"),
        context: Context::default(),
        client: ClientData {
            client_ref: ClientRef::parse("order-1").filter(|_| of.is_referred),
            ..ClientData::default()
        },
        wa_id: format!("3A{}", place.seq),
        error: None,
        expires_in: None,
        created_at: now,
        class: of.class,
        purpose: None,
        consent: None,
        send_at: None,
        priority: of.priority,
        expires_at: Some(now + 60_000),
        sent_at: None,
        delivered_at: None,
        read_at: None,
        played_at: None,
        edited_at: None,
        deleted_at: None,
    };
    let outward = Outward {
        permission: Permission {
            class: of.class,
            ..Permission::default()
        },
        to_mac: contacts::mac(key, &message.peer),
        contact: of.contact,
        seq: place.seq,
        when: When {
            send_at: of.send_at,
            expires_at: now + 60_000,
            priority: of.priority,
        },
        way: Way::short(),
    };
    let row = shown::sealed::row(key, &message)?;
    store::messages::insert_outbound(tx, &row, &outward).await?;
    events::message(tx, key, &message, services.clock()).await?;
    let rank = Rank {
        class: of.class.unwrap_or(Class::Warm),
        priority: of.priority.to_store(),
        seq: place.seq,
        send_at: of.send_at,
        // What goes to nobody's contact goes to a group.
        group: of.contact.is_none().then_some(outward.to_mac),
    };
    Ok((message.id, rank))
}

async fn new(services: &Services) -> (OrgId, SessionId) {
    let org = organisations::create(services, "Acme").await.unwrap().id;
    let made = sessions::create(services, org, "one", sessions::New::default()).await;
    (org, made.unwrap().id)
}

async fn queue_all(
    services: &Services,
    of: (OrgId, SessionId),
    all: Vec<Of>,
) -> Vec<(MessageId, Rank)> {
    let key = services.vault().org_key(of.0).await.unwrap();
    let inside = services.clone();
    let write = services.store().write(of.0, move |tx| {
        Box::pin(async move {
            let mut queued = Vec::new();
            for one in all {
                queued.push(queue(tx, &key, &inside, of, one).await?);
            }
            Ok::<_, Fault>(queued)
        })
    });
    write.await.unwrap()
}

async fn count(services: &Services, sql: &'static str) -> i64 {
    let mut conn = services.store().read_system().await.unwrap();
    sqlx::query_scalar(sql).fetch_one(&mut *conn).await.unwrap()
}

fn some(chance: &mut StdRng) -> Of {
    let classes = [
        Some(Class::Reply),
        Some(Class::Warm),
        Some(Class::Cold),
        None,
    ];
    let priorities = [Priority::High, Priority::Normal, Priority::Low];
    Of {
        class: classes[chance.random_range(0..4)],
        priority: priorities[chance.random_range(0..3)],
        send_at: [0, 0, NOW - 1, NOW + 1, NOW + 2][chance.random_range(0..5)],
        ..PLAIN
    }
}

#[tokio::test]
async fn safety_a_place_counts_what_waits_for_the_same_contact_or_group() {
    let folder = tempfile::tempdir().unwrap();
    for url in testing::databases(&folder).await {
        let services = testing::services(&url, MediaSettings::nowhere()).await;
        let of = new(&services).await;
        let key = services.vault().org_key(of.0).await.unwrap();
        let peer = Peer {
            phone: Phone::parse("+4915100000001"),
            lid: None,
        };
        let to = contacts::mac(&key, &peer);
        let (inside, write_key, names) = (services.clone(), Arc::clone(&key), peer.clone());
        let write = services.store().write(of.0, move |tx| {
            Box::pin(async move {
                let id = ContactId::new(inside.clock());
                let first = contacts::first_written_to(&write_key, of.0, id, &names);
                store::contacts::write_to(tx, of.0, id, &first, NOW).await
            })
        });
        let contact = write.await.unwrap();
        let cold = Of {
            class: Some(Class::Cold),
            contact: Some(contact),
            ..PLAIN
        };
        let later = Of {
            send_at: NOW + 5,
            ..cold
        };
        // Two to the contact, one of them for later; three to the group; one to a stranger.
        let group = Of {
            class: None,
            ..PLAIN
        };
        let stranger = Of {
            contact: None,
            ..cold
        };
        let all = vec![cold, later, group, group, group, stranger];
        queue_all(&services, of, all).await;
        for (contact, send_at, same, counted) in [
            (Some(contact), 0, 1, 1),
            (Some(contact), NOW + 9, 2, 1),
            (None, 0, 3, 3),
        ] {
            let write = services.store().write(of.0, move |tx| {
                Box::pin(async move {
                    let new = Entrant {
                        to: &to,
                        contact,
                        send_at,
                        now: NOW,
                        counts: true,
                    };
                    store::lanes::enter(tx, of.0, of.1, 100, &new).await
                })
            });
            let place = write.await.unwrap().unwrap();
            assert_eq!(
                (place.same, place.same_now),
                (same, counted),
                "{contact:?} {send_at}"
            );
            assert_eq!(
                place.ahead.now,
                [0, 3, 2],
                "what goes to groups counts as warm"
            );
            let later = Later {
                at: NOW + 5,
                class: Class::Cold,
                count: 1,
            };
            assert_eq!(place.ahead.later, [later]);
        }
    }
}

#[tokio::test]
async fn queue_places_are_the_same_in_sql_and_in_memory_and_pages_keep_the_order() {
    let folder = tempfile::tempdir().unwrap();
    for url in testing::databases(&folder).await {
        let services = testing::services(&url, MediaSettings::nowhere()).await;
        let of = new(&services).await;
        let mut chance = StdRng::seed_from_u64(SEED);
        let all = (0..60).map(|_| some(&mut chance)).collect();
        let queued = queue_all(&services, of, all).await;
        let mut conn = services.store().read(of.0).await.unwrap();
        let ranks = queues::ranks(&mut conn, of.0, of.1, 100).await.unwrap();
        for by_class in [true, false] {
            for (id, rank) in &queued {
                let read = queues::rank_of(&mut conn, of.0, *id).await.unwrap();
                assert_eq!(read.map(|(rank, _)| rank), Some(*rank));
                let how = (by_class, NOW);
                let in_sql = queues::ahead(&mut conn, of, rank, how).await.unwrap();
                let in_memory = ahead(&ranks, rank, by_class, NOW);
                assert_eq!(in_sql, in_memory, "{by_class} {rank:?}, seed {SEED}");
                let in_sql = queues::same_group(&mut conn, of, rank, NOW).await.unwrap();
                let in_memory = same_group(&ranks, rank, NOW);
                assert_eq!(in_sql, in_memory, "{rank:?}, seed {SEED}");
            }
            let mut expected: Vec<_> = queued.iter().collect();
            expected.sort_by_key(|(_, rank)| {
                let turn = if by_class { rank.class.place() } else { 0 };
                (turn, -rank.priority, rank.seq)
            });
            let expected: Vec<_> = expected.iter().map(|(id, _)| id.to_string()).collect();
            let (mut listed, mut after) = (Vec::new(), None);
            loop {
                let page = Page { limit: 7, after };
                let some = queues::list(&mut conn, of, by_class, &page).await.unwrap();
                listed.extend(some.items.iter().map(|one| one.stored.id.to_string()));
                after = some.last.map(|last| last.parse().unwrap());
                if !some.more {
                    break;
                }
            }
            assert_eq!(listed, expected, "{by_class}, seed {SEED}");
        }
    }
}

#[tokio::test]
async fn queue_cancels_what_is_meant_each_with_its_event_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    for url in testing::databases(&folder).await {
        let services = testing::services(&url, MediaSettings::nowhere()).await;
        let of = new(&services).await;
        let (org, session) = of;
        let other = sessions::create(&services, org, "two", sessions::New::default()).await;
        let other = (org, other.unwrap().id);
        let key = services.vault().org_key(org).await.unwrap();
        let inside = services.clone();
        let write = services.store().write(org, move |tx| {
            Box::pin(async move {
                let mut made = Vec::new();
                for phone in ["+4915100000001", "+4915100000002"] {
                    let id = ContactId::new(inside.clock());
                    let peer = Peer {
                        phone: Phone::parse(phone),
                        lid: None,
                    };
                    let first = contacts::first_written_to(&key, org, id, &peer);
                    let now = inside.clock().now();
                    made.push(store::contacts::write_to(tx, org, id, &first, now).await?);
                }
                store::contacts::merge_spelling(tx, org, made[0], made[1]).await?;
                Ok::<_, Fault>(made)
            })
        });
        let contacts = write.await.unwrap();
        let to = |contact| Of {
            contact: Some(contact),
            ..PLAIN
        };
        let referred = Of {
            is_referred: true,
            ..PLAIN
        };
        let mut all = vec![PLAIN; 60];
        // A spelling that leads to the contact.
        all.extend([to(contacts[0]), to(contacts[1]), referred]);
        let queued = queue_all(&services, of, all).await;
        queue_all(&services, other, vec![PLAIN]).await;
        let (resent, _) = queued[0];
        let write = services.store().write(org, move |tx| {
            Box::pin(async move {
                let sending = (Status::Sending, None);
                store::messages::end(tx, org, resent, sending, 1).await?;
                store::messages::requeue(tx, org, resent, 1).await
            })
        });
        write.await.unwrap();
        let canceled = async |which: Which| {
            let done = cancel(&services, org, session, &which).await.unwrap();
            let done = done.unwrap();
            assert!(!done.more);
            done.messages
        };
        let which = Which {
            contact: Some(contacts[0]),
            client_ref: ClientRef::parse("order-1"),
        };
        assert_eq!(canceled(which.clone()).await, 0, "both filters");
        let of_contact = Which {
            client_ref: None,
            ..which.clone()
        };
        assert_eq!(canceled(of_contact).await, 2, "under each of its ids");
        let of_ref = Which {
            contact: None,
            ..which
        };
        assert_eq!(canceled(of_ref).await, 1);
        assert_eq!(canceled(Which::default()).await, 59);
        assert_eq!(canceled(Which::default()).await, 0);
        for (sql, expected) in [
            (
                "SELECT count(*) FROM message WHERE status = 'canceled' AND ended_at IS NOT NULL",
                62,
            ),
            (
                "SELECT count(*) FROM event WHERE type = 'message.canceled'",
                62,
            ),
            ("SELECT count(*) FROM message WHERE status = 'queued'", 2),
            ("SELECT CAST(sum(pending) AS bigint) FROM lane", 2),
        ] {
            assert_eq!(count(&services, sql).await, expected, "{sql}");
        }
        let nowhere = SessionId::new(services.clock());
        let done = cancel(&services, org, nowhere, &Which::default()).await;
        assert_eq!(done.unwrap(), None);
    }
}

#[tokio::test]
async fn queue_cancels_in_bounded_steps() {
    let folder = tempfile::tempdir().unwrap();
    let url = &testing::databases(&folder).await[0];
    let services = testing::services(url, MediaSettings::nowhere()).await;
    let of = new(&services).await;
    queue_all(&services, of, vec![PLAIN; CANCELED_MAX + 1]).await;
    let canceled = async || {
        let done = cancel(&services, of.0, of.1, &Which::default()).await;
        let done = done.unwrap().unwrap();
        (done.messages, done.more)
    };
    assert_eq!(canceled().await, (CANCELED_MAX as u64, true));
    assert_eq!(canceled().await, (1, false));
}

#[tokio::test]
async fn safety_new_limits_are_looked_at_by_lanes_that_rest() {
    let folder = tempfile::tempdir().unwrap();
    for url in testing::databases(&folder).await {
        let services = testing::services(&url, MediaSettings::nowhere()).await;
        let (org, _) = new(&services).await;
        let write = services.store().write_system(|tx| {
            Box::pin(async move {
                let rests =
                    "UPDATE lane SET rests = 1, next_at = 5000, paced_until = 70, hold = 'day'";
                sqlx::query(rests).execute(tx.conn()).await?;
                Ok::<_, sqlx::Error>(())
            })
        });
        write.await.unwrap();
        let own = Tightening {
            replies_an_hour: Some(9),
            ..Tightening::default()
        };
        let view = policies::set(&services, org, own).await.unwrap();
        assert_eq!(view.policy.replies_an_hour, Some(9));
        assert!(view.policy.orders_by_class, "it is limited by class");
        let next = "SELECT next_at FROM lane";
        assert_eq!(count(&services, next).await, 70);
        let read = policies::read(&services, org).await.unwrap();
        assert_eq!((read.own, &read.policy), (own, &view.policy));
        let reset = policies::set(&services, org, Tightening::default()).await;
        assert!(!reset.unwrap().policy.orders_by_class);
        let own = "SELECT count(*) FROM organisation WHERE policy IS NOT NULL";
        assert_eq!(count(&services, own).await, 0);
    }
}

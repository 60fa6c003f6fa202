//! Messages to one contact go in the order in which they were accepted, in whichever class each of them was: a property test
//! over the store, with the limits of the preset `default`.
//!
//! Steps are drawn at random. Messages of three priorities are accepted for three contacts, claimed, sent, put back, refused and
//! sent once more. Contacts write, also while a message to them is in flight. Limits become free earlier than was foreseen. Every
//! step calls the product's own functions, on a real database; only WhatsApp's answers and the time are the test's. A message
//! must not go while an earlier one to its contact waits, unless that has a lower priority. At the end the lane empties.

mod world;

use anyhow::Context as _;
use proptest::{prelude::*, sample::select};

use self::world::World;
use crate::{model::Priority, safety::preset::Preset, settings::MediaSettings, testing};

const CONTACTS: [&str; 3] = ["+4915100000001", "+4915100000002", "+4915100000003"];

#[derive(Debug, Clone, Copy)]
enum Step {
    Accept {
        to: usize,
        priority: Priority,
    },
    /// The next message is claimed, and this becomes of it. Meanwhile a contact may write.
    Send {
        how: How,
        hears: Option<usize>,
    },
    /// A contact writes.
    Hear {
        from: usize,
    },
    /// It turns out that the number knows a contact, so that the next message to it is a warm one.
    Know {
        to: usize,
    },
    /// Limits of a contact are free earlier than was foreseen.
    Free {
        to: usize,
    },
    /// The time of one of the messages that wait has come.
    Ripen {
        nth: usize,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Taken,
    /// It was not written.
    PutBack,
    /// WhatsApp refused it, and it is sent once more in a minute.
    Again,
    /// WhatsApp did not answer.
    Silence,
}

fn step() -> impl Strategy<Value = Step> {
    let to = 0..CONTACTS.len();
    let priorities = vec![
        Priority::Normal,
        Priority::Normal,
        Priority::High,
        Priority::Low,
    ];
    let how = select(vec![
        How::Taken,
        How::Taken,
        How::PutBack,
        How::Again,
        How::Silence,
    ]);
    let hears = prop::option::weighted(0.3, to.clone());
    prop_oneof![
        6 => (to.clone(), select(priorities)).prop_map(|(to, priority)| Step::Accept { to, priority }),
        6 => (how, hears).prop_map(|(how, hears)| Step::Send { how, hears }),
        1 => to.clone().prop_map(|from| Step::Hear { from }),
        1 => to.clone().prop_map(|to| Step::Know { to }),
        2 => to.prop_map(|to| Step::Free { to }),
        2 => (0..8_usize).prop_map(|nth| Step::Ripen { nth }),
    ]
}

fn play(url: impl Future<Output = Option<testing::Place>>) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let Some((url, _folder)) = runtime.block_on(url) else {
        return;
    };
    let services = testing::services_of(&url, MediaSettings::nowhere(), Preset::Default);
    let services = runtime.block_on(services);
    let lists = prop::collection::vec(step(), 5..50);
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
fn safety_messages_to_one_contact_go_in_their_order_on_sqlite() {
    play(testing::sqlite());
}

#[test]
fn safety_messages_to_one_contact_go_in_their_order_on_postgres() {
    play(testing::postgres());
}

const ACCEPT: Step = Step::Accept {
    to: 0,
    priority: Priority::Normal,
};

const fn send(how: How) -> Step {
    Step::Send { how, hears: None }
}

/// Plays each story on each database, and sends what is left. Each fails without what its name says.
#[tokio::test]
async fn safety_later_messages_to_a_contact_pass_none_that_waits() {
    let folder = tempfile::tempdir().unwrap();
    let stories = [
        (
            "put back after its contact wrote",
            vec![
                ACCEPT,
                ACCEPT,
                Step::Send {
                    how: How::PutBack,
                    hears: Some(0),
                },
                send(How::Taken),
            ],
        ),
        (
            "held for longer than it has to be",
            vec![
                ACCEPT,
                send(How::Taken),
                ACCEPT,
                send(How::Taken),
                Step::Free { to: 0 },
                ACCEPT,
                send(How::Taken),
            ],
        ),
        (
            "of a class that goes later",
            vec![
                Step::Accept {
                    to: 1,
                    priority: Priority::Normal,
                },
                ACCEPT,
                Step::Know { to: 0 },
                ACCEPT,
                send(How::Taken),
                send(How::Taken),
            ],
        ),
        (
            "refused and to be sent once more",
            vec![
                ACCEPT,
                ACCEPT,
                send(How::Again),
                Step::Free { to: 0 },
                send(How::Taken),
            ],
        ),
    ];
    for url in testing::databases(&folder).await {
        let services = testing::services_of(&url, MediaSettings::nowhere(), Preset::Default).await;
        for (name, steps) in &stories {
            let mut world = World::start(&services).await.unwrap();
            for step in steps {
                world.take(*step).await.context(*name).unwrap();
            }
            world.end().await.context(*name).unwrap();
        }
        services.store().close().await;
    }
}

#[tokio::test]
async fn safety_what_was_put_back_does_not_wait_for_itself() {
    let folder = tempfile::tempdir().unwrap();
    for url in testing::databases(&folder).await {
        let services = testing::services_of(&url, MediaSettings::nowhere(), Preset::Default).await;
        let mut world = World::start(&services).await.unwrap();
        world.take(ACCEPT).await.unwrap();
        for how in [How::PutBack, How::PutBack, How::Taken] {
            let sent = world.send(how, None).await.unwrap();
            assert!(sent.is_some(), "{how:?}");
        }
        services.store().close().await;
    }
}

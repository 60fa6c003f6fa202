//! Stores what changes in the groups of a session's number: the event, the group's timer, which sends carry, and when the
//! number came into the group, which limits them.
//!
//! WhatsApp does not repeat a change, so one that is not stored is lost.

use passerelle_engine::{
    clock::Millis,
    content::Peer,
    lease::Lease,
    whatsapp::{Connection, GroupChange, GroupChanges, GroupNews, GroupSetting, PeopleAction},
};
use tokio_util::sync::CancellationToken;

use crate::{
    contacts::known,
    error::Fault,
    events::{
        emit::{NewEvent, emit},
        groups::{Changed, Members, of_members, of_setting},
    },
    messages,
    model::group::Person,
    outage,
    safety::groups::{GroupKey, GroupTimes, JOINED_MOST},
    services::Services,
    store::{
        chat_timers::{self, TimedChat},
        system::numbers,
    },
};

/// Stores the changes of a session until its connection ends. Waits while the database is down; `lost` is cancelled if the
/// lease is.
pub(super) async fn keep(
    (services, lease, lost): (&Services, &Lease, &CancellationToken),
    connection: &Connection,
    mut changes: GroupChanges,
) {
    let log = |fault: &Fault| {
        tracing::warn!(session.id = %lease.session, error = %fault, "the database is down; a change of a group waits");
    };
    while let Some(change) = changes.next().await {
        // Boxed, because it is rare, and every session waits here.
        let stored = Box::pin(async {
            let (change, me) = (connection.complete(change).await, connection.me());
            let commit = || commit(services, lease, &change, me.as_ref());
            outage::wait_out(commit, || !lost.is_cancelled(), log).await
        });
        match stored.await {
            Ok(()) => {}
            Err(Fault::LeaseLost) => lost.cancel(),
            Err(fault) => {
                tracing::warn!(session.id = %lease.session, error = %fault, "a change of a group was not stored");
            }
        }
    }
}

/// Commits a change: its event, and the timer of the group if it says one. `me` is the session's own number.
async fn commit(
    services: &Services,
    lease: &Lease,
    change: &GroupChange,
    me: Option<&Peer>,
) -> Result<(), Fault> {
    let key = services.vault().org_key(lease.org).await?;
    let people = people(services, lease, change, me).await?;
    let (by, who) = people.split_at(usize::from(change.by.is_some()));
    let event = event(lease, change, by.first(), who);
    let timer = timer(&change.what);
    let group_mac = messages::sealed::group_mac(&key, &change.group);
    if came(&change.what) {
        // Before the event, because a second try does no harm.
        joined(services, lease, GroupKey::of(&group_mac), change.at).await?;
    }
    let (lease, clock, at) = (lease.clone(), services.clock().clone(), change.at);
    let write = services.store().write(lease.org, move |tx| {
        Box::pin(async move {
            lease.check(tx).await?;
            if let Some(seconds) = timer {
                let (of, chat) = ((lease.org, lease.session), TimedChat::Group(&group_mac));
                chat_timers::set(tx, of, chat, seconds, at).await?;
            }
            emit(tx, &key, event, &clock).await?;
            Ok::<_, Fault>(())
        })
    });
    write.await?;
    services.wake_deliveries();
    Ok(())
}

/// Returns who made the change, if that is known, and then whom it names.
async fn people(
    services: &Services,
    lease: &Lease,
    change: &GroupChange,
    me: Option<&Peer>,
) -> Result<Vec<Person>, Fault> {
    let mut peers: Vec<Peer> = change.by.iter().cloned().collect();
    if let GroupNews::People(named) = &change.what {
        peers.extend(named.who.iter().cloned());
    }
    let key = services.vault().org_key(lease.org).await?;
    let mut conn = services.store().read(lease.org).await?;
    let mut people = known::people(&mut conn, (&key, lease.org), &peers).await?;
    for person in &mut people {
        person.is_me = me.is_some_and(|me| me.is_same(&person.peer));
    }
    Ok(people)
}

fn event(lease: &Lease, change: &GroupChange, by: Option<&Person>, who: &[Person]) -> NewEvent {
    let place = (lease.org, lease.session);
    let changed = Changed {
        group: &change.group,
        by,
        at: change.at,
    };
    match &change.what {
        GroupNews::People(people) => {
            let members = Members {
                action: people.action.into(),
                who,
                count: people.count,
                includes_me: people.includes_me,
            };
            of_members(place, &changed, &members)
        }
        GroupNews::Setting(setting) => of_setting(place, &changed, setting),
    }
}

/// Returns whether the number itself came into the group.
fn came(news: &GroupNews) -> bool {
    match news {
        GroupNews::People(people) => {
            people.includes_me
                && matches!(people.action, PeopleAction::Joined | PeopleAction::Added)
        }
        GroupNews::Setting(_) => false,
    }
}

/// Commits when the session's number came into a group.
async fn joined(
    services: &Services,
    lease: &Lease,
    group: GroupKey,
    at: Millis,
) -> Result<(), Fault> {
    let lease = lease.clone();
    let write = services.store().write_system(move |tx| {
        Box::pin(async move {
            lease.check(tx).await?;
            let now = tx.now().await?;
            let Some((mac, known)) = numbers::joined(tx, lease.session).await? else {
                return Ok(());
            };
            // What cannot be read counts anew.
            let known = known.as_deref().map(serde_json::from_str::<GroupTimes>);
            let mut known = known.and_then(Result::ok).unwrap_or_default();
            known.forget(JOINED_MOST, now);
            // WhatsApp's clock may be ahead.
            known.note(group, at.min(now));
            numbers::set_joined(tx, &mac, &serde_json::to_string(&known)?).await?;
            Ok::<_, Fault>(())
        })
    });
    write.await
}

fn timer(news: &GroupNews) -> Option<u32> {
    match news {
        GroupNews::Setting(GroupSetting::Timer(seconds)) => Some(*seconds),
        GroupNews::Setting(_) => None,
        GroupNews::People(people) => people.timer,
    }
}

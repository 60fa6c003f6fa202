//! When the messages of a session are sent, as far as that can be said now.

use std::{sync::Arc, time::Duration};

use passerelle_engine::{
    clock::Millis,
    ids::{MessageId, OrgId, SessionId},
};
use sqlx::AnyConnection;

use crate::{
    error::Fault,
    model::{Ahead, Class, Later, Message, Status, millis},
    safety::{
        estimate::{Own, estimate},
        hold::Hold,
        known::Known,
        number::Number,
        policy::Policy,
    },
    services::Services,
    store::{
        self,
        queues::{self, LaneRow, Rank},
    },
};

/// The place of a queued message, and when it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Foreseen {
    /// How many messages are before it.
    pub position: i64,
    /// When it is likely to be sent, if the session stays connected. `None` if that cannot be foreseen.
    pub send_at: Option<Millis>,
    /// When 19 of 20 such messages are sent.
    pub send_by: Option<Millis>,
    /// What holds it.
    pub hold: Option<Hold>,
}

/// What decides when the messages of a session are sent.
pub(crate) struct Outlook {
    pub(crate) lane: LaneRow,
    pub(crate) policy: Arc<Policy>,
    pub(crate) known: Known,
    pub(crate) now: Millis,
}

impl Outlook {
    /// Reads it; `None` if there is no such session.
    pub(crate) async fn read(
        services: &Services,
        org: OrgId,
        session: SessionId,
    ) -> Result<Option<Self>, Fault> {
        let lane = {
            let mut conn = services.store().read(org).await?;
            queues::lane(&mut conn, org, session).await?
        };
        let Some(lane) = lane else { return Ok(None) };
        // The session is the organisation's.
        let known = {
            let mut conn = services.store().read_system().await?;
            store::system::numbers::known(&mut conn, session).await?
        };
        let now = services.clock().now();
        Ok(Some(Self {
            policy: services.policies().of(lane.policy.as_deref()),
            known: Known::of(
                &known.unwrap_or_default(),
                &services.clock_steps().so_far(),
                now,
            ),
            lane,
            now,
        }))
    }

    /// Returns the number of the session.
    pub(crate) fn number(&self) -> Number<'_> {
        self.known.number(&self.policy)
    }

    /// Returns what holds the lane, whatever its messages are.
    pub(crate) fn hold(&self) -> Option<Hold> {
        if self.lane.paused_at.is_some() {
            return Some(Hold::Paused);
        }
        if !self.lane.is_open {
            return Some(Hold::Disconnected);
        }
        let waits = self.lane.next_at > self.now;
        let hold = self.lane.hold.as_deref().filter(|_| waits);
        hold.and_then(|hold| hold.parse().ok())
    }

    /// Returns what holds the messages of a class, whoever they are for.
    pub(crate) fn hold_of_class(&self, class: Class) -> Option<Hold> {
        let is_let = self.number().level.lets(class);
        self.hold().filter(|hold| match hold {
            Hold::Health => !is_let,
            hold => hold.holds(class),
        })
    }

    /// Returns the place of a message. `ahead` are the messages before it, and those of other classes; `same_group` are those
    /// before it to its group.
    pub(crate) fn foresee(
        &self,
        rank: &Rank,
        own_hold: Option<&str>,
        (ahead, same_group): (Ahead, i64),
    ) -> Foreseen {
        let number = self.number();
        let limit = number.limit(rank.class, is_new(rank), self.now, self.now);
        let limit = limit.filter(|_| self.policy.orders_by_class);
        let from = limit.map_or(self.now, |(at, _)| at).max(rank.send_at);
        let ahead = &ahead.until(from);
        let counts = ahead.counts();
        let before = if self.policy.orders_by_class {
            &counts[..=rank.class.place()]
        } else {
            &counts[..]
        };
        let position = before.iter().sum::<i64>() + i64::from(self.lane.is_sending);
        let (at, by) = self.estimate(rank, ahead, position);
        let rule = self.policy.groups.filter(|_| rank.group.is_some());
        let apart = rule.map_or(0, |rule| millis(rule.apart).saturating_mul(same_group));
        let (at, by) = (at.saturating_add(apart), by.saturating_add(apart));
        let known =
            |at: Millis| Some(at).filter(|at| *at < Millis::MAX && self.lane.paused_at.is_none());
        Foreseen {
            position,
            send_at: known(at),
            send_by: known(by),
            hold: self.hold_of(rank, own_hold).filter(|hold| !hold.is_short()),
        }
    }

    fn hold_of(&self, rank: &Rank, own: Option<&str>) -> Option<Hold> {
        let of_lane = self.hold_of_class(rank.class);
        if of_lane == Some(Hold::Paused) || rank.send_at <= self.now {
            return of_lane;
        }
        let own = own.and_then(|own| own.parse().ok());
        Some(own.unwrap_or(Hold::Schedule))
    }

    fn estimate(&self, rank: &Rank, ahead: &Ahead, position: i64) -> (Millis, Millis) {
        let policy = &self.policy;
        if !policy.orders_by_class {
            let typed = self.now.saturating_add(millis(policy.typing.least));
            let first = self.lane.next_at.max(rank.send_at).max(typed);
            let after = |gap: Duration| first.saturating_add(millis(gap).saturating_mul(position));
            return (after(policy.reply.mean().0), after(policy.reply.ceiling()));
        }
        let own = Own {
            is_new: is_new(rank),
            from: rank.send_at,
            ..Own::of(rank.class)
        };
        estimate(&self.number(), own, ahead, self.now)
    }
}

/// Returns whether a message counts as one that begins a conversation.
fn is_new(rank: &Rank) -> bool {
    rank.class == Class::Cold
}

/// Returns the place of a message; `None` if it is not queued.
pub async fn of_message(services: &Services, message: &Message) -> Result<Option<Foreseen>, Fault> {
    if message.status != Status::Queued {
        return Ok(None);
    }
    let (org, session) = (message.org, message.session);
    let Some(outlook) = Outlook::read(services, org, session).await? else {
        return Ok(None);
    };
    let mut conn = services.store().read(org).await?;
    place(&mut conn, &outlook, (org, session), message.id).await
}

async fn place(
    conn: &mut AnyConnection,
    outlook: &Outlook,
    of: (OrgId, SessionId),
    id: MessageId,
) -> Result<Option<Foreseen>, Fault> {
    let Some((rank, hold)) = queues::rank_of(conn, of.0, id).await? else {
        return Ok(None);
    };
    let how = (outlook.policy.orders_by_class, outlook.now);
    let ahead = queues::ahead(conn, of, &rank, how).await?;
    let same_group = queues::same_group(conn, of, &rank, outlook.now).await?;
    let before = (ahead, same_group);
    Ok(Some(outlook.foresee(&rank, hold.as_deref(), before)))
}

/// Counts the messages before one, as [`queues::ahead`] does.
pub(crate) fn ahead(all: &[Rank], of: &Rank, by_class: bool, now: Millis) -> Ahead {
    let (mut open, mut later) = ([0; 3], Vec::new());
    for other in all {
        // What may go now is before what is scheduled, whatever their priorities.
        let is_before = (of.send_at > now && other.send_at <= now)
            || (-other.priority, other.seq) < (-of.priority, of.seq);
        let is_other = by_class && other.class != of.class;
        if !is_other && !is_before {
            continue;
        }
        let class: Class = if by_class { other.class } else { of.class };
        if other.send_at <= now {
            open[class.place()] += 1;
        } else {
            later.push(Later {
                at: other.send_at,
                class,
                count: 1,
            });
        }
    }
    Ahead::new(open, later)
}

/// Counts the messages to the same group that go before one, as [`queues::same_group`] does.
pub(crate) fn same_group(all: &[Rank], of: &Rank, now: Millis) -> i64 {
    let until = of.send_at.max(now);
    let same = all.iter().filter(|other| {
        of.group.is_some()
            && other.group == of.group
            && other.send_at <= until
            && (-other.priority, other.seq) < (-of.priority, of.seq)
    });
    i64::try_from(same.count()).unwrap_or(i64::MAX)
}

//! Reads the rows of the store and checks them.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context as _, Result, ensure};
use passerelle_engine::{
    clock::Millis,
    ids::{EventId, MessageId, OrgId, SessionId},
    store::Store,
    vault::{DataKey, Place},
};
use sqlx::Row as _;

use crate::model::Status;

/// All rows of one organisation's lanes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rows {
    pub(super) messages: BTreeMap<MessageId, MessageRow>,
    pub(super) lanes: BTreeMap<SessionId, LaneRow>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MessageRow {
    pub(super) session: SessionId,
    pub(super) seq: i64,
    pub(super) status: Status,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LaneRow {
    pub(super) last_seq: i64,
    pub(super) pending: i64,
    pub(super) next_at: Millis,
    pub(super) running: Option<MessageId>,
    pub(super) last_event: i64,
    /// The host that holds the session's lease, and the epoch.
    pub(super) host: Option<String>,
    pub(super) epoch: i64,
}

/// A message that was written to the wire.
#[derive(Debug, Clone)]
pub(super) struct Wire {
    pub(super) session: SessionId,
    pub(super) message: MessageId,
    pub(super) wa_id: String,
    pub(super) at: Millis,
}

/// Parses an id.
fn id<T: std::str::FromStr>(text: &str) -> Result<T> {
    text.parse().ok().context("an id")
}

impl Rows {
    pub(super) async fn read(store: &Store, org: OrgId) -> Result<Self> {
        let mut conn = store.read(org).await?;
        let mut rows = Self {
            messages: BTreeMap::new(),
            lanes: BTreeMap::new(),
        };
        let messages = sqlx::query(
            "SELECT id, session_id, seq, status FROM message WHERE org_id = $1 AND direction = 'outbound'",
        );
        for row in messages.bind(org.to_string()).fetch_all(&mut *conn).await? {
            let status: String = row.try_get("status")?;
            let message = MessageRow {
                session: id(row.try_get("session_id")?)?,
                seq: row.try_get("seq")?,
                status: Status::parse(&status).context("a status")?,
            };
            rows.messages.insert(id(row.try_get("id")?)?, message);
        }
        let lanes = sqlx::query(
            "SELECT l.session_id, l.last_seq, l.pending, l.next_at, l.running_id, l.last_event, e.host_id, e.epoch \
             FROM lane l JOIN lease e ON e.session_id = l.session_id WHERE l.org_id = $1",
        );
        for row in lanes.bind(org.to_string()).fetch_all(&mut *conn).await? {
            let running: Option<String> = row.try_get("running_id")?;
            let lane = LaneRow {
                last_seq: row.try_get("last_seq")?,
                pending: row.try_get("pending")?,
                next_at: row.try_get("next_at")?,
                running: running.as_deref().map(id).transpose()?,
                last_event: row.try_get("last_event")?,
                host: row.try_get("host_id")?,
                epoch: row.try_get("epoch")?,
            };
            rows.lanes.insert(id(row.try_get("session_id")?)?, lane);
        }
        Ok(rows)
    }

    fn of(&self, session: SessionId) -> impl Iterator<Item = (&MessageId, &MessageRow)> {
        self.messages
            .iter()
            .filter(move |(_, message)| message.session == session)
    }

    /// Checks what must hold at every moment.
    pub(super) fn check_state(&self) -> Result<()> {
        for (session, lane) in &self.lanes {
            let waiting = self
                .of(*session)
                .filter(|(_, message)| is_waiting(message.status));
            let (pending, waiting) = (lane.pending, waiting.count());
            ensure!(
                usize::try_from(pending).is_ok_and(|pending| pending == waiting),
                "a lane's `pending` is {pending}, but {waiting} messages wait"
            );
            let in_flight: Vec<_> = self
                .of(*session)
                .filter(|(_, message)| message.status == Status::Sending)
                .map(|(id, _)| *id)
                .collect();
            ensure!(
                in_flight == lane.running.into_iter().collect::<Vec<_>>(),
                "{in_flight:?} are in flight, but the lane's row says {:?}",
                lane.running
            );
            let mut seqs: Vec<_> = self.of(*session).map(|(_, message)| message.seq).collect();
            seqs.sort_unstable();
            ensure!(
                seqs == (1..=lane.last_seq).collect::<Vec<_>>(),
                "the places of a lane are {seqs:?}, the last place is {}",
                lane.last_seq
            );
        }
        Ok(())
    }

    /// Checks what must hold between two states. `passed` is how far the lanes' time was moved between them.
    pub(super) fn check_change(&self, before: &Self, passed: Millis) -> Result<()> {
        for (message, old) in &before.messages {
            let new = self
                .messages
                .get(message)
                .with_context(|| format!("{message} is lost"))?;
            ensure!(
                may_become(old.status, new.status),
                "{message} was {} and is {}",
                old.status.as_str(),
                new.status.as_str()
            );
        }
        for (session, old) in &before.lanes {
            let new = &self.lanes[session];
            ensure!(new.epoch >= old.epoch, "an epoch went back");
            ensure!(
                new.next_at >= old.next_at - passed,
                "the gap of a lane was shortened"
            );
        }
        Ok(())
    }

    /// Checks the writes to the wire: each lane's messages are in their order, at least `floor` apart.
    pub(super) fn check_wire(&self, wires: &[Wire], floor: Millis) -> Result<()> {
        /// Tolerance: a time is in whole milliseconds and made of three clock readings.
        const SLACK: Millis = 5;
        let mut last: HashMap<SessionId, (i64, Millis)> = HashMap::new();
        for wire in wires {
            let seq = self.messages[&wire.message].seq;
            if let Some((before, at)) = last.insert(wire.session, (seq, wire.at)) {
                ensure!(
                    seq >= before,
                    "message {before} of a lane went out before message {seq}"
                );
                ensure!(
                    wire.at - at >= floor - SLACK,
                    "messages {before} and {seq} of a lane went out {} ms apart",
                    wire.at - at
                );
            }
        }
        Ok(())
    }

    /// Checks the end: every message has one final status, and its events say the same.
    pub(super) fn check_end(&self, events: &Events) -> Result<()> {
        for (message, row) in &self.messages {
            let status = row.status;
            ensure!(
                !is_waiting(status),
                "{message} is still {}",
                status.as_str()
            );
            let statuses = events.statuses.get(message).map_or(&[][..], Vec::as_slice);
            ensure!(
                statuses.last() == Some(&status),
                "{message} is {}, but its events say {statuses:?}",
                status.as_str()
            );
            ensure!(
                statuses.windows(2).all(|two| two[0].may_become(two[1])),
                "the events of {message} say {statuses:?}"
            );
        }
        for (session, lane) in &self.lanes {
            let sequences = events.sequences.get(session).map_or(&[][..], Vec::as_slice);
            ensure!(
                sequences == (1..=lane.last_event).collect::<Vec<_>>(),
                "the events of a lane are numbered {sequences:?}, the last number is {}",
                lane.last_event
            );
        }
        Ok(())
    }
}

/// Returns whether the message is queued or in flight.
fn is_waiting(status: Status) -> bool {
    matches!(status, Status::Queued | Status::Sending)
}

fn may_become(old: Status, new: Status) -> bool {
    let ends = matches!(
        new,
        Status::Unknown | Status::Failed | Status::Expired | Status::Canceled
    );
    old == new
        || old.may_become(new)
        || (is_waiting(old) && is_waiting(new))
        || (is_waiting(old) && ends)
}

/// The events of an organisation's messages, in order.
#[derive(Default)]
pub(super) struct Events {
    pub(super) statuses: HashMap<MessageId, Vec<Status>>,
    pub(super) sequences: HashMap<SessionId, Vec<i64>>,
}

impl Events {
    pub(super) async fn read(store: &Store, key: &DataKey, org: OrgId) -> Result<Self> {
        let mut conn = store.read(org).await?;
        let rows = sqlx::query(
            "SELECT id, session_id, sequence, body_sealed FROM event WHERE org_id = $1 ORDER BY session_id, sequence",
        );
        let mut events = Self::default();
        for row in rows.bind(org.to_string()).fetch_all(&mut *conn).await? {
            let event: EventId = id(row.try_get("id")?)?;
            let record = event.to_string();
            let place = Place::of(org, "event.body", &record);
            let sealed: Vec<u8> = row.try_get("body_sealed")?;
            let body: serde_json::Value = key.open_json(&place, &sealed)?;
            let message = &body["data"]["message"];
            let text = |field: &str| message[field].as_str().context("a message's field");
            let status = Status::parse(text("status")?).context("a status")?;
            events
                .statuses
                .entry(id(text("id")?)?)
                .or_default()
                .push(status);
            let session = id(row.try_get("session_id")?)?;
            let sequences = events.sequences.entry(session).or_default();
            sequences.push(row.try_get("sequence")?);
        }
        Ok(events)
    }
}

//! Events: written in the transaction of the change they report, with a delivery for each endpoint
//! that wants them. Whoever commits wakes the deliveries afterwards.

use chrono::{DateTime, SecondsFormat};
use passerelle_engine::{
    clock::{Clock, Millis},
    ids::{DeliveryId, EndpointId, EventId, OrgId, SessionId},
    store::Tx,
    vault::{DataKey, Place},
};
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::{deliveries, endpoints};
use crate::error::Fault;

/// The version of the envelope and of what it carries.
const API_VERSION: &str = "2026-12-01";
/// Where an event's body is sealed.
pub(super) const BODY: &str = "event.body";

macro_rules! event_types {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        /// What happened. The text is what endpoints filter by and receivers branch on.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum EventType { $($(#[$doc])* $name,)* }

        impl EventType {
            /// Every type there is.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// As the store, the envelope and an endpoint's filter write it.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text),* }
            }

            /// Parses what [`EventType::as_str`] writes.
            pub fn parse(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|kind| kind.as_str() == text)
            }
        }
    };
}

event_types! {
    /// A message came in.
    MessageReceived = "message.received";
    /// A contact put an emoji under a message or took it back, or WhatsApp took one of ours.
    MessageReaction = "message.reaction";
    /// A message says something else now: a contact edited theirs, or WhatsApp took an edit of ours.
    MessageEdited = "message.edited";
    /// A message was deleted for everybody: by the contact who wrote it, or by us.
    MessageDeleted = "message.deleted";
    /// A contact voted in a poll.
    MessagePollVote = "message.poll_vote";
    /// A message came in that cannot be decrypted: it was asked for again.
    MessageUndecryptable = "message.undecryptable";
    /// WhatsApp's server acknowledged a message.
    MessageSent = "message.sent";
    /// It reached a device of the recipient.
    MessageDelivered = "message.delivered";
    /// The recipient saw it.
    MessageRead = "message.read";
    /// The recipient played it.
    MessagePlayed = "message.played";
    /// It will not be sent.
    MessageFailed = "message.failed";
    /// It was written, and WhatsApp never said what became of it.
    MessageUnknown = "message.unknown";
    /// It waited past its time.
    MessageExpired = "message.expired";
    /// The tenant took it back.
    MessageCanceled = "message.canceled";
    /// The file of a message that came in is here.
    MediaAvailable = "media.available";
    /// The file of a message that came in cannot be had.
    MediaFailed = "media.failed";
    /// A number was linked.
    SessionLinked = "session.linked";
    /// The session is online.
    SessionConnected = "session.connected";
    /// The session is offline and will come back by itself.
    SessionDisconnected = "session.disconnected";
    /// The number was unlinked.
    SessionLoggedOut = "session.logged_out";
    /// WhatsApp banned the number.
    SessionBanned = "session.banned";
    /// Another client took the session's place.
    SessionReplaced = "session.replaced";
    /// The session ended for another reason, which `status_reason` names.
    SessionFailed = "session.failed";
    /// A contact wants no more messages: what is sent to them is refused.
    ContactOptedOut = "contact.opted_out";
    /// A contact who had opted out wants messages again.
    ContactOptedIn = "contact.opted_in";
    /// Two contacts turned out to be one person: the id that was given up leads to the other.
    ContactMerged = "contact.merged";
    /// An endpoint of the organisation gets no more deliveries.
    EndpointDisabled = "endpoint.disabled";
}

impl Serialize for EventType {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.as_str())
    }
}

/// The JSON that is posted.
#[derive(Serialize)]
struct Envelope<'a> {
    r#type: EventType,
    timestamp: String,
    id: EventId,
    api_version: &'a str,
    org_id: OrgId,
    /// Absent, as `sequence` is, for events that belong to none.
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: Option<SessionId>,
    /// Gap-free per session.
    #[serde(skip_serializing_if = "Option::is_none")]
    sequence: Option<i64>,
    data: Value,
}

/// What happened, and to whom.
pub(crate) struct Told {
    pub(crate) org: OrgId,
    pub(crate) session: Option<SessionId>,
    pub(crate) kind: EventType,
    /// What stands under `data` in the envelope.
    pub(crate) data: Value,
}

/// An event's place among its session's events, and who is to hear of it.
#[derive(sqlx::FromRow)]
pub(crate) struct Turn {
    /// None for an event that belongs to no session.
    pub(crate) sequence: Option<i64>,
    /// As [`endpoints::wanting`] reads it.
    pub(crate) listening: Option<String>,
}

/// Writes the event and its deliveries. After the commit, wake the deliveries.
pub(crate) async fn emit(
    tx: &mut Tx,
    key: &DataKey,
    told: Told,
    clock: &Clock,
) -> Result<EventId, Fault> {
    let turn = turn(tx, told.org, told.session).await?;
    emit_in(turn, tx, key, told, clock).await
}

/// As [`emit`], in the turn that another statement has taken.
pub(crate) async fn emit_in(
    turn: Turn,
    tx: &mut Tx,
    key: &DataKey,
    told: Told,
    clock: &Clock,
) -> Result<EventId, Fault> {
    let Told {
        org, session, kind, ..
    } = told;
    let (id, now) = (EventId::new(clock), clock.now());
    let envelope = Envelope {
        r#type: kind,
        timestamp: rfc3339(now),
        id,
        api_version: API_VERSION,
        org_id: org,
        session_id: session,
        sequence: turn.sequence,
        data: told.data,
    };
    let sealed = key.seal(
        &place(org, &id.to_string()),
        &serde_json::to_vec(&envelope)?,
    );
    insert(tx, &envelope, sealed, now).await?;
    for endpoint in endpoints::wanting(turn.listening.as_deref(), kind)? {
        deliver(tx, org, id, endpoint, clock).await?;
    }
    Ok(id)
}

/// Takes the next turn. One statement, for each change of each message pays for it.
async fn turn(tx: &mut Tx, org: OrgId, session: Option<SessionId>) -> Result<Turn, sqlx::Error> {
    const OF_SESSION: &str = concat!(
        "UPDATE lane SET last_event = last_event + 1 WHERE org_id = $1 AND session_id = $2 RETURNING last_event AS sequence, ",
        endpoints::listening!(),
        " AS listening"
    );
    const OF_NONE: &str = concat!(
        "SELECT CAST(NULL AS bigint) AS sequence, ",
        endpoints::listening!(),
        " AS listening"
    );
    let query = match session {
        Some(session) => sqlx::query_as(OF_SESSION)
            .bind(org.to_string())
            .bind(session.to_string()),
        None => sqlx::query_as(OF_NONE).bind(org.to_string()),
    };
    query.fetch_one(tx.conn()).await
}

async fn deliver(
    tx: &mut Tx,
    org: OrgId,
    event: EventId,
    endpoint: EndpointId,
    clock: &Clock,
) -> Result<(), sqlx::Error> {
    deliveries::insert(
        tx,
        org,
        DeliveryId::new(clock),
        event,
        endpoint,
        clock.now(),
    )
    .await
}

/// Where the body of an event is sealed: under the organisation's key.
pub(super) fn place(org: OrgId, event: &str) -> Place<'_> {
    Place {
        org,
        session: None,
        table: BODY,
        record: event,
    }
}

async fn insert(
    tx: &mut Tx,
    event: &Envelope<'_>,
    body_sealed: Vec<u8>,
    now: Millis,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO event (id, org_id, session_id, type, sequence, body_sealed, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(event.id.to_string())
    .bind(event.org_id.to_string())
    .bind(event.session_id.map(|session| session.to_string()))
    .bind(event.r#type.as_str())
    .bind(event.sequence.unwrap_or(0))
    .bind(body_sealed)
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(())
}

fn rfc3339(at: Millis) -> String {
    DateTime::from_timestamp_millis(at)
        .unwrap_or_default()
        .to_rfc3339_opts(SecondsFormat::Millis, true)
}

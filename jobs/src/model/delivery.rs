//! A delivery and its attempts.

use passerelle_engine::{
    clock::Millis,
    ids::{AttemptId, DeliveryId, EndpointId, EventId},
};
use strum::{EnumString, IntoStaticStr, VariantArray};

words!(DeliveryStatus);

/// The status of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum DeliveryStatus {
    /// It waits for its next attempt.
    Due,
    /// An attempt is running.
    Running,
    /// The endpoint answered 2xx.
    Delivered,
    /// Every attempt failed, or the endpoint was disabled.
    Dead,
}

/// One event on its way to one endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// `dlv_…`
    pub id: DeliveryId,
    /// The event, and the `webhook-id` of every attempt.
    pub event: EventId,
    /// The event's type, such as `message.received`.
    pub event_type: String,
    /// Whether the event is an example that the endpoint's owner asked for.
    pub test: bool,
    /// The endpoint.
    pub endpoint: EndpointId,
    /// The status.
    pub status: DeliveryStatus,
    /// Attempts made.
    pub attempts: i64,
    /// When the next attempt is made; `None` once it is delivered or dead.
    pub next_attempt_at: Option<Millis>,
    /// Milliseconds UTC.
    pub created_at: Millis,
}

/// One POST and its outcome.
#[derive(Clone, PartialEq, Eq)]
pub struct Attempt {
    /// `att_…`
    pub id: AttemptId,
    /// The first is 1.
    pub number: i64,
    /// When it began.
    pub started_at: Millis,
    /// How long it took, in milliseconds.
    pub took_ms: i64,
    /// The reply's status; `None` if no reply came.
    pub http_status: Option<i64>,
    /// Why it failed, as a stable code (`http_status`, `timeout`, `connection_failed`,
    /// `url_not_allowed`, `unreadable_row`, `internal`); `None` if it succeeded.
    pub error: Option<String>,
    /// The first 16 KiB of the reply, if one came.
    pub reply: Option<Vec<u8>>,
    /// Whether a reply came that cannot be decrypted any more.
    pub unreadable: bool,
}

impl std::fmt::Debug for Attempt {
    /// Omits the reply, because a receiver may echo what it received.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Attempt")
            .field("id", &self.id)
            .field("number", &self.number)
            .field("http_status", &self.http_status)
            .field("error", &self.error)
            .finish_non_exhaustive()
    }
}

/// Which deliveries are listed.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Only those to this endpoint.
    pub endpoint: Option<EndpointId>,
    /// Only those with this status.
    pub status: Option<DeliveryStatus>,
}

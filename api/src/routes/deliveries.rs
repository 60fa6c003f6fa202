//! Webhook deliveries: the state of each event for each endpoint.

use passerelle_jobs::{
    Services, endpoints,
    ids::{DeliveryId, EndpointId},
    model::delivery as model,
};
use poem::web::Data;
use poem_openapi::{
    Enum, Object, OpenApi,
    param::{Path, Query},
};
use serde::Serialize;

use super::{Group, not_found};
use crate::{
    auth::Caller,
    body::Success,
    list::{self, list_of},
    problem::Problem,
    types::{Id, Timestamp, same_variants},
};

/// The status of a delivery.
#[derive(Debug, Clone, Copy, Enum)]
#[oai(rename_all = "snake_case")]
pub enum DeliveryStatus {
    /// Waits for the next attempt.
    Due,
    /// An attempt is in progress.
    Running,
    /// The endpoint answered 2xx.
    Delivered,
    /// Every attempt failed, the endpoint was disabled, or the event cannot be read.
    Dead,
}

same_variants!(DeliveryStatus => model::DeliveryStatus: Due Running Delivered Dead);

/// One attempt to post an event.
#[derive(Debug, Serialize, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct WebhookAttempt {
    /// The number of the attempt, from 1.
    pub number: i64,
    /// When it started.
    pub started_at: Timestamp,
    /// How long it took, in milliseconds.
    pub took_ms: i64,
    /// The HTTP status of the reply, if there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_status: Option<i64>,
    /// Why it failed: `http_status`, `timeout`, `connection_failed`, `url_not_allowed`; without a request,
    /// `unreadable_row` (the event or the endpoint's secret cannot be read; no attempt follows) and `internal`
    /// (a fault of the gateway).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The first 16 KiB of the reply, as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply: Option<String>,
    /// Whether a reply came that cannot be read any more; absent if not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<bool>,
}

impl From<model::Attempt> for WebhookAttempt {
    fn from(attempt: model::Attempt) -> Self {
        Self {
            number: attempt.number,
            started_at: Timestamp(attempt.started_at),
            took_ms: attempt.took_ms,
            http_status: attempt.http_status,
            error: attempt.error,
            unreadable: attempt.unreadable.then_some(true),
            reply: attempt
                .reply
                .map(|reply| String::from_utf8_lossy(&reply).into_owned()),
        }
    }
}

/// The delivery of one event to one endpoint.
#[derive(Debug, Serialize, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct WebhookDelivery {
    /// Its id.
    pub id: Id<DeliveryId>,
    /// Always `webhook_delivery`.
    pub object: String,
    /// The endpoint.
    pub endpoint_id: Id<EndpointId>,
    /// The id of the event, which is also the `webhook-id` of every attempt.
    pub event_id: String,
    /// The type of the event.
    pub event_type: String,
    /// Whether the event is an example that you requested with `POST /v1/webhook-endpoints/{id}/test`.
    pub test: bool,
    /// `due`, `running`, `delivered` or `dead`.
    pub status: String,
    /// The number of attempts so far.
    pub attempts_made: i64,
    /// When the next attempt starts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_attempt_at: Option<Timestamp>,
    /// When the event happened.
    pub created_at: Timestamp,
    /// Every attempt. Present only when a single delivery is read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempts: Option<Vec<WebhookAttempt>>,
}

impl From<model::Delivery> for WebhookDelivery {
    fn from(delivery: model::Delivery) -> Self {
        Self {
            id: Id(delivery.id),
            object: "webhook_delivery".to_owned(),
            endpoint_id: Id(delivery.endpoint),
            event_id: delivery.event.to_string(),
            event_type: delivery.event_type,
            test: delivery.test,
            status: delivery.status.as_str().to_owned(),
            attempts_made: delivery.attempts,
            next_attempt_at: delivery.next_attempt_at.map(Timestamp),
            created_at: Timestamp(delivery.created_at),
            attempts: None,
        }
    }
}

list_of!(
    /// A page of deliveries.
    WebhookDeliveryList, WebhookDelivery);

/// Webhook deliveries.
pub struct WebhookDeliveries;

#[OpenApi(
    prefix_path = "/v1/webhook-deliveries",
    tag = "Group::WebhookDeliveries"
)]
impl WebhookDeliveries {
    /// List the deliveries, newest first.
    #[oai(path = "/", method = "get", operation_id = "list_webhook_deliveries")]
    async fn list_webhook_deliveries(
        &self,
        caller: Caller,
        services: Data<&Services>,
        /// Only deliveries to this endpoint.
        endpoint_id: Query<Option<Id<EndpointId>>>,
        /// Only deliveries with this status.
        status: Query<Option<DeliveryStatus>>,
        /// Maximum number of deliveries to return.
        #[oai(
            default = "super::twenty",
            validator(minimum(value = "1"), maximum(value = "100"))
        )]
        limit: Query<u32>,
        /// The `next_cursor` of the previous page.
        cursor: Query<Option<String>>,
    ) -> Result<Success<WebhookDeliveryList>, Problem> {
        let wanted = model::Wanted {
            endpoint: endpoint_id.0.map(|id| id.0),
            status: status.0.map(Into::into),
        };
        let load = |page| async move {
            endpoints::deliveries(services.0, caller.0.org, &wanted, &page).await
        };
        list::answer(services.0, limit.0, cursor.as_deref(), load).await
    }

    /// Read a delivery with its attempts.
    #[oai(path = "/:id", method = "get", operation_id = "read_webhook_delivery")]
    async fn read_webhook_delivery(
        &self,
        caller: Caller,
        services: Data<&Services>,
        /// The delivery.
        id: Path<Id<DeliveryId>>,
    ) -> Result<Success<WebhookDelivery>, Problem> {
        let found = endpoints::delivery(&services, caller.0.org, id.0.0).await?;
        let (delivery, attempts) = found.ok_or_else(not_found)?;
        let attempts = attempts.into_iter().map(Into::into).collect();
        Ok(Success::of(WebhookDelivery {
            attempts: Some(attempts),
            ..delivery.into()
        }))
    }
}

//! Webhook endpoints: where an organisation wants its events.

use passerelle_jobs::{
    Services,
    endpoints::{self, NotMade},
    events::EventType,
    ids::EndpointId,
    webhook::endpoint as model,
};
use poem::web::Data;
use poem_openapi::{
    Object, OpenApi,
    param::{Path, Query},
};
use serde::{Deserialize, Serialize};

use super::{Group, not_found};
use crate::{
    auth::Caller,
    body::{Body, Created, Found, Gone},
    list::{self, list_of},
    problem::{Code, Problem},
    types::{Id, Timestamp},
};

/// An endpoint to make.
#[derive(Debug, Deserialize, Object)]
#[serde(deny_unknown_fields)]
pub struct NewWebhookEndpoint {
    /// Where events are posted: `https://` or `http://`, to a public address.
    pub url: String,
    /// The event types that are wanted; all when empty or absent.
    #[oai(default)]
    #[serde(default)]
    pub events: Vec<String>,
    /// Whether `media.available` carries the file itself, in base64, when it has at most 1 MiB.
    #[oai(default)]
    #[serde(default)]
    pub inline_media: bool,
}

/// An endpoint.
#[derive(Debug, Serialize, Object)]
pub struct WebhookEndpoint {
    /// Its id.
    pub id: Id<EndpointId>,
    /// Always `webhook_endpoint`.
    pub object: String,
    /// Where events are posted.
    pub url: String,
    /// The event types that are wanted; all when empty.
    pub events: Vec<String>,
    /// Whether `media.available` carries a small file itself.
    pub inline_media: bool,
    /// `enabled`, or `disabled` when it gets no more deliveries.
    pub status: String,
    /// Why it was disabled: `gone` (it answered 410) or `failing` (for five days).
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disabled_reason: Option<String>,
    /// When it was disabled.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disabled_at: Option<Timestamp>,
    /// The first failure since the last success.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failing_since: Option<Timestamp>,
    /// Until when the secret before the last rotation also signs.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old_secret_expires_at: Option<Timestamp>,
    /// The signing secret, only in the answer that makes the endpoint.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
}

impl From<model::Endpoint> for WebhookEndpoint {
    fn from(endpoint: model::Endpoint) -> Self {
        let status = if endpoint.disabled.is_some() {
            "disabled"
        } else {
            "enabled"
        };
        Self {
            id: Id(endpoint.id),
            object: "webhook_endpoint".to_owned(),
            url: endpoint.url,
            events: endpoint.events,
            inline_media: endpoint.inline_media,
            status: status.to_owned(),
            disabled_reason: endpoint.disabled.map(|(_, why)| why.as_str().to_owned()),
            disabled_at: endpoint.disabled.map(|(at, _)| Timestamp(at)),
            failing_since: endpoint.failing_since.map(Timestamp),
            old_secret_expires_at: endpoint.old_secret_until.map(Timestamp),
            secret: None,
            created_at: Timestamp(endpoint.created_at),
        }
    }
}

list_of!(
    /// A page of endpoints.
    WebhookEndpointList, WebhookEndpoint);

/// A new signing secret.
#[derive(Debug, Serialize, Object)]
pub struct RotatedSecret {
    /// The new secret, shown here and never again.
    pub secret: String,
    /// Until then every event carries a signature with each of the two secrets.
    pub old_secret_expires_at: Timestamp,
}

/// Every unknown event type is told at once.
fn known(events: &[String]) -> Result<(), Problem> {
    let unknown = events
        .iter()
        .enumerate()
        .filter(|(_, event)| EventType::parse(event).is_none());
    let problem = unknown.fold(None, |problem: Option<Problem>, (index, _)| {
        let problem = problem.unwrap_or_else(|| Problem::new(Code::UnknownEventType));
        Some(problem.at(
            &format!("/events/{index}"),
            "unknown_event_type",
            "an event type of the document's `webhooks`",
        ))
    });
    problem.map_or(Ok(()), Err)
}

impl From<NotMade> for Problem {
    fn from(error: NotMade) -> Self {
        match error {
            NotMade::UrlNotAllowed(_) => Self::new(Code::UrlNotAllowed).at(
                "/url",
                "url_not_allowed",
                "an http or https address without user name, on a public network",
            ),
            NotMade::NoSuchEvent(_) => Self::new(Code::UnknownEventType),
            NotMade::TooMany => Self::new(Code::LimitReached).detail(format!(
                "An organisation may have {} webhook endpoints.",
                endpoints::ENDPOINTS_MAX
            )),
            NotMade::Fault(fault) => fault.into(),
        }
    }
}

/// Webhook endpoints.
pub struct WebhookEndpoints;

#[OpenApi(prefix_path = "/v1/webhook-endpoints", tag = "Group::WebhookEndpoints")]
impl WebhookEndpoints {
    /// Make a webhook endpoint.
    ///
    /// Its signing secret is shown in this answer and never again. What happens from now on is posted to it.
    #[oai(path = "/", method = "post", operation_id = "create_webhook_endpoint")]
    async fn create_webhook_endpoint(
        &self,
        caller: Caller,
        services: Data<&Services>,
        body: Body<NewWebhookEndpoint>,
    ) -> Result<Created<WebhookEndpoint>, Problem> {
        known(&body.0.events)?;
        let NewWebhookEndpoint {
            url,
            events,
            inline_media,
        } = body.0;
        let made = endpoints::create(&services, caller.0.org, &url, &events, inline_media).await;
        let (endpoint, secret) = made?;
        Ok(Created::of(WebhookEndpoint {
            secret: Some(secret.reveal().to_owned()),
            ..endpoint.into()
        }))
    }

    /// List the webhook endpoints.
    #[oai(path = "/", method = "get", operation_id = "list_webhook_endpoints")]
    async fn list_webhook_endpoints(
        &self,
        caller: Caller,
        services: Data<&Services>,
        /// Endpoints wanted.
        #[oai(
            default = "super::twenty",
            validator(minimum(value = "1"), maximum(value = "100"))
        )]
        limit: Query<u32>,
        /// Where the page before ended: its `next_cursor`.
        cursor: Query<Option<String>>,
    ) -> Result<Found<WebhookEndpointList>, Problem> {
        let load = |page| async move { endpoints::list(services.0, caller.0.org, &page).await };
        list::answer(services.0, limit.0, cursor.as_deref(), load).await
    }

    /// Read a webhook endpoint.
    #[oai(path = "/:id", method = "get", operation_id = "read_webhook_endpoint")]
    async fn read_webhook_endpoint(
        &self,
        caller: Caller,
        services: Data<&Services>,
        /// The endpoint.
        id: Path<Id<EndpointId>>,
    ) -> Result<Found<WebhookEndpoint>, Problem> {
        let endpoint = endpoints::read(&services, caller.0.org, id.0.0).await?;
        endpoint
            .map(|endpoint| Found::of(endpoint.into()))
            .ok_or_else(not_found)
    }

    /// Delete a webhook endpoint.
    ///
    /// What is still on its way to it is dropped.
    #[oai(
        path = "/:id",
        method = "delete",
        operation_id = "delete_webhook_endpoint"
    )]
    async fn delete_webhook_endpoint(
        &self,
        caller: Caller,
        services: Data<&Services>,
        /// The endpoint.
        id: Path<Id<EndpointId>>,
    ) -> Result<Gone, Problem> {
        let found = endpoints::delete(&services, caller.0.org, id.0.0).await?;
        found.then_some(Gone).ok_or_else(not_found)
    }

    /// Rotate the signing secret of a webhook endpoint.
    ///
    /// For a day events carry two signatures, so that the receiver can change over without a gap.
    #[oai(
        path = "/:id/secret/rotate",
        method = "post",
        operation_id = "rotate_webhook_secret"
    )]
    async fn rotate_webhook_secret(
        &self,
        caller: Caller,
        services: Data<&Services>,
        /// The endpoint.
        id: Path<Id<EndpointId>>,
    ) -> Result<Found<RotatedSecret>, Problem> {
        let rotated = endpoints::rotate_secret(&services, caller.0.org, id.0.0).await?;
        let (secret, until) = rotated.ok_or_else(not_found)?;
        Ok(Found::of(RotatedSecret {
            secret: secret.reveal().to_owned(),
            old_secret_expires_at: Timestamp(until),
        }))
    }
}

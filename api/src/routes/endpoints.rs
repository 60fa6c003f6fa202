//! Webhook endpoints: the URLs to which events of an organisation are posted.

use passerelle_jobs::{
    Services,
    endpoints::{self, Change, NewEndpoint, NotMade},
    ids::{EndpointId, SessionId},
    model::{
        endpoint as model,
        event::EventType,
        headers::{BadHeaders, ExtraHeaders},
        pattern,
    },
};
use poem::web::Data;
use poem_openapi::{
    Object, OpenApi,
    param::{Path, Query},
    types::MaybeUndefined,
};
use serde::{Deserialize, Serialize};

use super::{Group, deliveries::WebhookDelivery, not_found};
use crate::{
    auth::Caller,
    body::{Accepted, Body, Created, Gone, Success},
    list::{self, list_of},
    patch::{given, or_empty},
    problem::{Code, Problem},
    texts::Texts,
    types::{Id, Timestamp},
};

/// A webhook endpoint to create.
#[derive(Debug, Deserialize, Object)]
#[serde(deny_unknown_fields)]
pub struct NewWebhookEndpoint {
    /// The URL to which events are posted: `https://` or `http://`, on a public address.
    pub url: String,
    /// The event types to deliver, and groups such as `message.*`; a group and `*` include types of later versions. All
    /// types when empty or absent.
    #[oai(default)]
    #[serde(default)]
    pub events: Vec<String>,
    /// Only events of these sessions, at most 100. All events when empty or absent.
    #[oai(default)]
    #[serde(default)]
    pub sessions: Vec<Id<SessionId>>,
    /// Further headers of each delivery, such as `authorization`: at most 20, with 4,096 bytes of names and values. They are
    /// stored encrypted, and no answer shows their values. Headers that the gateway sets and those of the connection are
    /// refused.
    #[serde(default)]
    pub headers: Option<Texts>,
    /// Whether `media.available` contains the file itself, in base64, if it has at most 1 MiB.
    #[oai(default)]
    #[serde(default)]
    pub inline_media: bool,
    /// Whether the event of an inbound message has the message as WhatsApp's schema has it, too (`raw`), if that has at
    /// most 64 KiB of JSON.
    #[oai(default)]
    #[serde(default)]
    pub raw: bool,
}

/// A change of a webhook endpoint. A field that is absent stays as it is; one that is there replaces the whole value.
#[derive(Debug, Deserialize, Object)]
#[serde(deny_unknown_fields)]
pub struct WebhookEndpointChange {
    /// The URL to which events are posted: `https://` or `http://`, on a public address.
    #[serde(default, deserialize_with = "given")]
    pub url: Option<String>,
    /// The event types to deliver, and groups such as `message.*`; a group and `*` include types of later versions. All
    /// types when empty or null.
    #[serde(default)]
    pub events: MaybeUndefined<Vec<String>>,
    /// Only events of these sessions, at most 100. All events when empty or null.
    #[serde(default)]
    pub sessions: MaybeUndefined<Vec<Id<SessionId>>>,
    /// Further headers of each delivery. They replace all that there were. None when empty or null.
    #[serde(default)]
    pub headers: MaybeUndefined<Texts>,
    /// Whether `media.available` contains the file itself, in base64, if it has at most 1 MiB.
    #[serde(default, deserialize_with = "given")]
    pub inline_media: Option<bool>,
    /// Whether the event of an inbound message has the message as WhatsApp's schema has it, too.
    #[serde(default, deserialize_with = "given")]
    pub raw: Option<bool>,
    /// `false` disables the endpoint: events are no longer kept for it, and deliveries that wait go on waiting. `true`
    /// enables it again, also one that the gateway disabled.
    #[serde(default, deserialize_with = "given")]
    pub enabled: Option<bool>,
}

/// A test of a webhook endpoint.
#[derive(Debug, Deserialize, Object)]
#[serde(deny_unknown_fields)]
pub struct NewWebhookTest {
    /// The type of the event whose example is posted.
    #[oai(default = "received")]
    #[serde(default = "received")]
    pub event_type: String,
}

fn received() -> String {
    EventType::MessageReceived.as_str().to_owned()
}

/// A webhook endpoint.
#[derive(Debug, Serialize, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct WebhookEndpoint {
    /// Its id.
    pub id: Id<EndpointId>,
    /// Always `webhook_endpoint`.
    pub object: String,
    /// The URL to which events are posted.
    pub url: String,
    /// The event types to deliver, and groups such as `message.*`. All types when empty.
    pub events: Vec<String>,
    /// Only events of these sessions are delivered. All events when empty.
    pub sessions: Vec<Id<SessionId>>,
    /// The names of its further headers, in lower case. Their values are never shown.
    pub header_names: Vec<String>,
    /// Whether `media.available` contains a small file itself.
    pub inline_media: bool,
    /// Whether the event of an inbound message has the message as WhatsApp's schema has it, too.
    pub raw: bool,
    /// `enabled`, or `disabled` if it gets no more deliveries.
    pub status: String,
    /// Why it was disabled: `gone` (it answered 410), `failing` (for five days) or `requested` (by you).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disabled_reason: Option<String>,
    /// When it was disabled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disabled_at: Option<Timestamp>,
    /// When the first failure since the last success happened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failing_since: Option<Timestamp>,
    /// When the secret from before the last rotation stops signing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old_secret_expires_at: Option<Timestamp>,
    /// The signing secret, only in the answer that creates the endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// When it was created.
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
            sessions: endpoint.sessions.into_iter().map(Id).collect(),
            header_names: endpoint.headers.names().map(str::to_owned).collect(),
            inline_media: endpoint.inline_media,
            raw: endpoint.raw,
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
    /// The new secret. Only this answer contains it.
    pub secret: String,
    /// Until this time every event is signed with both secrets.
    pub old_secret_expires_at: Timestamp,
}

/// Reports all unknown event types at once.
fn known(events: &[String]) -> Result<(), Problem> {
    let unknown = events
        .iter()
        .enumerate()
        .filter(|(_, event)| !pattern::is_known(event));
    let problem = unknown.fold(None, |problem: Option<Problem>, (index, _)| {
        let problem = problem.unwrap_or_else(|| Problem::new(Code::UnknownEventType));
        Some(problem.at(
            &format!("/events/{index}"),
            "unknown_event_type",
            "an event type from `webhooks` in the OpenAPI document, a group of them such as message.*, or *",
        ))
    });
    problem.map_or(Ok(()), Err)
}

fn checked(headers: Texts) -> Result<ExtraHeaders, Problem> {
    ExtraHeaders::parse(headers.0).map_err(|error: BadHeaders| {
        Problem::new(Code::InvalidHeaders).at("/headers", "invalid_headers", error.to_string())
    })
}

fn ids(sessions: Vec<Id<SessionId>>) -> Vec<SessionId> {
    sessions.into_iter().map(|session| session.0).collect()
}

impl From<NotMade> for Problem {
    fn from(error: NotMade) -> Self {
        match error {
            NotMade::NotFound => not_found(),
            NotMade::Disabled => Self::new(Code::EndpointDisabled)
                .detail("The endpoint is disabled. Enable it first (PATCH /v1/webhook-endpoints/{id})."),
            NotMade::UrlNotAllowed(_) => Self::new(Code::UrlNotAllowed).at(
                "/url",
                "url_not_allowed",
                "an http or https URL without a user name, on a public network",
            ),
            NotMade::NoSuchEvent(_) => Self::new(Code::UnknownEventType),
            NotMade::NoSuchSession(place) => Self::new(Code::SessionNotFound).at(
                &format!("/sessions/{place}"),
                "session_not_found",
                "a session of your organisation",
            ),
            NotMade::TooManySessions => Self::new(Code::ValidationFailed).at(
                "/sessions",
                "validation_failed",
                format!("at most {} sessions", endpoints::SESSIONS_MAX),
            ),
            NotMade::TooMany => Self::new(Code::LimitReached).detail(format!(
                "An organisation may have {} webhook endpoints. This limit is fixed. Delete one (DELETE /v1/webhook-endpoints/{{id}}).",
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
    /// Create a webhook endpoint.
    ///
    /// Only this answer contains the signing secret. Events from now on are posted to the URL.
    #[oai(path = "/", method = "post", operation_id = "create_webhook_endpoint")]
    async fn create_webhook_endpoint(
        &self,
        caller: Caller,
        services: Data<&Services>,
        body: Body<NewWebhookEndpoint>,
    ) -> Result<Created<WebhookEndpoint>, Problem> {
        let body = body.0;
        known(&body.events)?;
        let new = NewEndpoint {
            url: body.url,
            events: body.events,
            sessions: ids(body.sessions),
            headers: checked(body.headers.unwrap_or_default())?,
            inline_media: body.inline_media,
            raw: body.raw,
        };
        let (endpoint, secret) = endpoints::create(&services, caller.0.org, new).await?;
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
        /// Maximum number of endpoints to return.
        #[oai(
            default = "super::twenty",
            validator(minimum(value = "1"), maximum(value = "100"))
        )]
        limit: Query<u32>,
        /// The `next_cursor` of the previous page.
        cursor: Query<Option<String>>,
    ) -> Result<Success<WebhookEndpointList>, Problem> {
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
    ) -> Result<Success<WebhookEndpoint>, Problem> {
        let endpoint = endpoints::read(&services, caller.0.org, id.0.0).await?;
        endpoint
            .map(|endpoint| Success::of(endpoint.into()))
            .ok_or_else(not_found)
    }

    /// Change a webhook endpoint.
    ///
    /// Fields that are absent stay as they are. An attempt that is under way ends as it began; the next attempt of each
    /// delivery uses the new settings. The failures of the endpoint are counted anew. The signing secret stays.
    #[oai(
        path = "/:id",
        method = "patch",
        operation_id = "change_webhook_endpoint"
    )]
    async fn change_webhook_endpoint(
        &self,
        caller: Caller,
        services: Data<&Services>,
        /// The endpoint.
        id: Path<Id<EndpointId>>,
        body: Body<WebhookEndpointChange>,
    ) -> Result<Success<WebhookEndpoint>, Problem> {
        let body = body.0;
        let events = or_empty(body.events);
        known(events.as_deref().unwrap_or_default())?;
        let change = Change {
            url: body.url,
            events,
            sessions: or_empty(body.sessions).map(ids),
            headers: or_empty(body.headers).map(checked).transpose()?,
            inline_media: body.inline_media,
            raw: body.raw,
            enabled: body.enabled,
        };
        let changed = endpoints::change(&services, caller.0.org, id.0.0, change).await?;
        Ok(Success::of(changed.into()))
    }

    /// Delete a webhook endpoint.
    ///
    /// Pending deliveries to it are dropped.
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

    /// Post an example of an event to a webhook endpoint.
    ///
    /// It is delivered, signed and listed like a real event, whatever types and sessions the endpoint asks for. Its body has
    /// `"test": true`.
    #[oai(
        path = "/:id/test",
        method = "post",
        operation_id = "test_webhook_endpoint"
    )]
    async fn test_webhook_endpoint(
        &self,
        caller: Caller,
        services: Data<&Services>,
        /// The endpoint.
        id: Path<Id<EndpointId>>,
        body: Body<NewWebhookTest>,
    ) -> Result<Accepted<WebhookDelivery>, Problem> {
        let kind = EventType::parse(&body.0.event_type).ok_or_else(|| {
            let expected = "an event type of GET /v1/event-types";
            Problem::new(Code::UnknownEventType).at("/event_type", "unknown_event_type", expected)
        })?;
        let delivery = endpoints::test(&services, caller.0.org, id.0.0, kind).await?;
        Ok(Accepted::of(delivery.into()))
    }

    /// Rotate the signing secret of a webhook endpoint.
    ///
    /// For one day every event is signed with both secrets, so that the receiver can change over without a gap.
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
    ) -> Result<Success<RotatedSecret>, Problem> {
        let rotated = endpoints::rotate_secret(&services, caller.0.org, id.0.0).await?;
        let (secret, until) = rotated.ok_or_else(not_found)?;
        Ok(Success::of(RotatedSecret {
            secret: secret.reveal().to_owned(),
            old_secret_expires_at: Timestamp(until),
        }))
    }
}

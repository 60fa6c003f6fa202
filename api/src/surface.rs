//! All routes as one endpoint, and their OpenAPI document.

use std::{io::Write as _, sync::Arc};

use metrics_exporter_prometheus::PrometheusHandle;
use passerelle_jobs::Services;
use poem::{EndpointExt as _, IntoEndpoint as _, Route};
use poem_openapi::{LicenseObject, OpenApiService};
use tokio_util::sync::CancellationToken;

use crate::{
    addresses::Addresses,
    auth::AdminKey,
    cli::Openapi,
    docs,
    door::Door,
    edge::Edge,
    events::Events,
    quota::Quotas,
    routes::{
        api_keys::ApiKeys,
        auto_replies::AutoReplies,
        calls::Calls,
        chats::Chats,
        consents::Consents,
        contacts::Contacts,
        deliveries::WebhookDeliveries,
        endpoints::WebhookEndpoints,
        event_types::EventTypes,
        groups::{Groups, one::OneGroup},
        health::Probes,
        media::{MediaFiles, MediaLinks},
        messages::{Messages, MessagesByKind},
        numbers::{Numbers, Spellings},
        opt_in_links::OptInLinks,
        opt_outs::OptOuts,
        organisations::Organisations,
        policies::Policies,
        qr::QrCodes,
        queues::Queues,
        sessions::Sessions,
        typing::TypingTold,
        usage::Limits,
    },
    server::Surface,
    spec::{Documents, Paths},
};

/// A tuple may have sixteen parts, so some are in tuples of their own.
type Api = (
    Organisations,
    Limits,
    ApiKeys,
    (Sessions, Queues, Policies),
    QrCodes,
    (Groups, OneGroup),
    (Numbers, Spellings, Contacts, OptOuts, Consents, OptInLinks),
    (TypingTold, Calls),
    (Messages, MessagesByKind, Chats, AutoReplies),
    MediaFiles,
    MediaLinks,
    WebhookEndpoints,
    EventTypes,
    WebhookDeliveries,
    Probes,
);

const ABOUT: &str = "A headless, multi-tenant WhatsApp gateway. Link a number by scanning a QR code, send texts, \
    images, audio, videos and documents through one API, and receive inbound messages as signed webhooks.\n\n\
    An accepted message is committed to disk before the answer. Each number sends one message at a time, with a \
    random gap that cannot be switched off.\n\n\
    An organisation may send 600 requests per minute, 60 of them at once, unless the operator set another limit. The \
    headers `RateLimit` and `RateLimit-Policy` say how many are left, and `rate_limited` comes with \
    `Retry-After`.\n\n\
    Passerelle is an unofficial client: WhatsApp may ban a number that is used with it.";

fn service() -> OpenApiService<Api, Events> {
    let api = (
        Organisations,
        Limits,
        ApiKeys,
        (Sessions, Queues, Policies),
        QrCodes,
        (Groups, OneGroup),
        (Numbers, Spellings, Contacts, OptOuts, Consents, OptInLinks),
        (TypingTold, Calls),
        (Messages, MessagesByKind, Chats, AutoReplies),
        MediaFiles,
        MediaLinks,
        WebhookEndpoints,
        EventTypes,
        WebhookDeliveries,
        Probes,
    );
    let licence =
        LicenseObject::new("AGPL-3.0-only").url("https://www.gnu.org/licenses/agpl-3.0.html");
    OpenApiService::new(api, "Passerelle", env!("CARGO_PKG_VERSION"))
        .description(ABOUT)
        .license(licence)
        .webhooks::<Events>()
}

/// Returns the forms of the document.
pub fn documents() -> Documents {
    Documents::of(&service().spec())
}

fn paths() -> Paths {
    Paths::of(&documents().whole, &docs::PATHS)
}

/// Prints a form of the document on standard output; the whole one as `openapi/openapi.json` holds it.
pub fn print(flags: &Openapi) -> std::io::Result<()> {
    let documents = documents();
    let document = match flags {
        Openapi {
            three_zero: true, ..
        } => documents.three_zero,
        Openapi {
            no_webhooks: true, ..
        } => documents.without_webhooks,
        _ => documents.whole,
    };
    writeln!(std::io::stdout().lock(), "{document:#}")
}

/// What the operations use.
#[derive(Clone)]
pub struct Parts {
    /// The services of `jobs`.
    pub services: Services,
    /// The operator's key.
    pub admin: AdminKey,
    /// The request limits of organisations.
    pub quotas: Quotas,
    /// The limits of one address.
    pub addresses: Arc<Addresses>,
    /// Cancelled when the gateway shuts down: streams end, readiness becomes false.
    pub stop: CancellationToken,
    /// The metrics for `/metrics`.
    pub metrics: PrometheusHandle,
}

/// Builds the endpoint of all routes.
pub fn surface(parts: Parts) -> Surface {
    let operations = docs::welcome(service().into_endpoint());
    let route = docs::add(Route::new(), documents).nest_no_strip("/", operations);
    let clock = parts.services.clock().clone();
    let (services, admin) = (parts.services.clone(), parts.admin);
    let route = route
        .into_endpoint()
        .data(parts.services)
        .data(parts.quotas)
        .data(parts.stop)
        .data(parts.metrics)
        .map_to_response();
    let door = Door::new(route, services, admin, parts.addresses);
    Arc::new(Edge::new(door, clock, paths).boxed())
}

#[cfg(test)]
mod tests {
    use passerelle_jobs::model::event::EventType;
    use serde_json::Value;

    use super::*;

    fn document() -> Value {
        documents().whole
    }

    fn nulls(value: &Value, place: &str, found: &mut Vec<String>) {
        match value {
            Value::Null => found.push(place.to_owned()),
            Value::Array(items) => items.iter().for_each(|item| nulls(item, place, found)),
            Value::Object(fields) => {
                for (name, value) in fields {
                    nulls(value, &format!("{place}/{name}"), found);
                }
            }
            _ => {}
        }
    }

    /// Indexing a field that is missing adds a null.
    #[test]
    fn nothing_in_the_document_is_null() {
        let mut found = Vec::new();
        nulls(&document(), "", &mut found);
        assert_eq!(found, Vec::<String>::new());
    }

    /// `openapi/openapi.json` is what `passerelle openapi` prints.
    #[test]
    fn the_committed_document_is_the_one_the_code_makes() {
        let committed = include_str!("../../openapi/openapi.json");
        let made = format!("{:#}\n", document());
        assert!(
            committed == made,
            "run `cargo run -p passerelle -- openapi > openapi/openapi.json` and look at what changed"
        );
    }

    #[test]
    fn every_event_type_is_a_typed_webhook_of_the_document() {
        let document = document();
        let webhooks = document["webhooks"].as_object().unwrap();
        for kind in EventType::ALL {
            assert!(webhooks.contains_key(kind.as_str()), "{}", kind.as_str());
        }
        assert_eq!(webhooks.len(), EventType::ALL.len());
    }

    #[test]
    fn every_operation_has_a_summary_and_its_refusals() {
        let document = document();
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                assert!(operation["summary"].is_string(), "{method} {path}");
                assert!(operation["operationId"].is_string(), "{method} {path}");
                let refused = &operation["responses"]["500"]["content"];
                assert!(
                    refused["application/problem+json"].is_object(),
                    "{method} {path}"
                );
            }
        }
    }

    #[test]
    fn every_field_has_a_description_and_every_object_an_example() {
        let document = document();
        for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
            let Some(fields) = schema["properties"].as_object() else {
                continue;
            };
            assert!(schema["examples"].is_array(), "{name} has no example");
            for (field, property) in fields {
                let linked = property.get("$ref").is_some();
                assert!(
                    linked || property["description"].is_string(),
                    "{name}.{field}"
                );
            }
        }
    }

    #[test]
    fn the_body_that_the_docs_fill_in_has_its_type() {
        let document = document();
        let media = &document["paths"]["/v1/messages"]["post"]["requestBody"]["content"]["application/json"];
        assert_eq!(media["examples"]["text"]["value"]["type"], "text");
    }
}

//! Health and metrics, for load balancers, orchestrators and Prometheus.

use std::time::Duration;

use metrics_exporter_prometheus::PrometheusHandle;
use passerelle_jobs::Services;
use poem::web::Data;
use poem_openapi::{ApiResponse, Object, OpenApi, payload::PlainText};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::Group;
use crate::body::{Body, Success};

/// A store that needs longer to answer is not ready.
const STORE_WITHIN: Duration = Duration::from_secs(2);

/// The process runs.
#[derive(Debug, Serialize, Object)]
pub struct Health {
    /// Always true.
    pub ok: bool,
    /// The version of this gateway.
    pub version: String,
}

impl Health {
    /// Returns the health of this process.
    pub fn now() -> Self {
        Self {
            ok: true,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

/// Whether this gateway can serve requests.
#[derive(Debug, Default, Serialize, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct Readiness {
    /// Whether the store answers and the process is not shutting down.
    pub ready: bool,
    /// Whether the store answers.
    pub store: bool,
    /// Whether the connection to the other processes of a cluster through Redis works; absent if no Redis is
    /// configured. Without it work is delayed by about a second, so `ready` does not depend on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redis: Option<bool>,
    /// Whether webhook deliveries and files to fetch are distributed through Redis; absent if this process
    /// works on neither, or no Redis is configured. If false, the process takes them from the store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<bool>,
}

/// The answer of the readiness check.
#[derive(ApiResponse)]
pub enum Ready {
    /// The gateway can serve requests.
    #[oai(status = 200)]
    Yes(Body<Readiness>),
    /// The gateway cannot serve requests at the moment.
    #[oai(status = 503)]
    No(Body<Readiness>),
}

/// The operator's probes. They need no key and contain nothing about tenants.
pub struct Probes;

#[OpenApi(tag = "Group::Operations")]
impl Probes {
    /// Check that the process runs.
    #[expect(clippy::unused_async, reason = "an operation is async")]
    #[oai(path = "/healthz", method = "get", operation_id = "health")]
    async fn health(&self) -> Success<Health> {
        Success::of(Health::now())
    }

    /// Check whether the gateway can serve requests.
    #[oai(path = "/readyz", method = "get", operation_id = "readiness")]
    async fn readiness(&self, services: Data<&Services>, stop: Data<&CancellationToken>) -> Ready {
        let store = matches!(
            tokio::time::timeout(STORE_WITHIN, services.ping()).await,
            Ok(Ok(()))
        );
        let ready = store && !stop.is_cancelled();
        let body = Body(Readiness {
            ready,
            store,
            redis: services.hears_others(),
            tokens: services.tokens_travel(),
        });
        if ready {
            Ready::Yes(body)
        } else {
            Ready::No(body)
        }
    }

    /// Read the metrics, in the Prometheus text format.
    #[expect(clippy::unused_async, reason = "an operation is async")]
    #[oai(path = "/metrics", method = "get", operation_id = "metrics")]
    async fn metrics(&self, metrics: Data<&PrometheusHandle>) -> PlainText<String> {
        PlainText(metrics.render())
    }
}

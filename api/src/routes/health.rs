//! Whether this gateway is well: for load balancers, orchestrators and Prometheus.

use std::time::Duration;

use metrics_exporter_prometheus::PrometheusHandle;
use passerelle_jobs::Services;
use poem::web::Data;
use poem_openapi::{ApiResponse, Object, OpenApi, payload::PlainText};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::Group;
use crate::body::{Body, Success};

/// A store that does not answer within this is not ready.
const STORE_WITHIN: Duration = Duration::from_secs(2);

/// The process lives.
#[derive(Debug, Serialize, Object)]
pub struct Health {
    /// Always true.
    pub ok: bool,
    /// This gateway's version.
    pub version: String,
}

impl Health {
    /// Of this process, which lives.
    pub fn now() -> Self {
        Self {
            ok: true,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

/// Whether requests can be served.
#[derive(Debug, Default, Serialize, Object)]
pub struct Readiness {
    /// The store answers, and the process is not going down.
    pub ready: bool,
    /// The store answers.
    pub store: bool,
    /// Whether the other processes of a cluster are heard through Redis; absent where none is
    /// configured. Without it everything works a second later, so readiness does not hang on it.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redis: Option<bool>,
    /// Whether webhook deliveries and files to fetch travel through Redis; absent where this process
    /// works on neither, or no Redis is configured. When they do not, it claims them from the store.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<bool>,
}

/// Ready or not.
#[derive(ApiResponse)]
pub enum Ready {
    /// It can serve.
    #[oai(status = 200)]
    Yes(Body<Readiness>),
    /// It cannot at the moment.
    #[oai(status = 503)]
    No(Body<Readiness>),
}

/// The operator's probes. They need no key and tell nothing of tenants.
pub struct Probes;

#[OpenApi(tag = "Group::Operations")]
impl Probes {
    /// Tell that the process lives.
    #[expect(clippy::unused_async, reason = "an operation is async")]
    #[oai(path = "/healthz", method = "get", operation_id = "health")]
    async fn health(&self) -> Success<Health> {
        Success::of(Health::now())
    }

    /// Tell whether requests can be served.
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

//! What an organisation uses of its limits.

use passerelle_jobs::{
    Services,
    ids::{OrgId, SessionId},
    usage::{self, Used},
};
use poem::web::Data;
use poem_openapi::{Object, OpenApi, param::Path};
use serde::Serialize;

use super::{Group, not_found};
use crate::{
    auth::{Caller, Operator},
    body::Success,
    problem::{Code, Problem},
    quota::Quotas,
    types::Id,
};

/// A limit of an organisation, and how much of it is used.
#[derive(Debug, Serialize, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct Limit {
    /// What is limited: `requests` (at once; `RateLimit-Policy` says in how many seconds they are back),
    /// `qr_streams` (open in the process that answers), `sessions`, `webhook_endpoints`, `auto_replies`,
    /// `media_bytes`, `pairing_codes` (of the last hour) or `waiting_messages` (of a session). Later versions add more.
    pub name: String,
    /// The session, if each has this limit for itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<Id<SessionId>>,
    /// How much is used.
    pub used: u64,
    /// How much may be used.
    pub allowed: u64,
    /// The code of a request that is refused by this limit.
    pub code: String,
    /// The operator's flag that changes the limit. When absent, it cannot be changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flag: Option<String>,
}

/// What an organisation uses.
#[derive(Debug, Serialize, Object)]
pub struct Usage {
    /// Always `usage`.
    pub object: String,
    /// Its limits. `waiting_messages` has one entry for each session in which messages wait, the fullest
    /// first; at most 100.
    pub limits: Vec<Limit>,
}

fn limit(name: &str, used: Used, code: Code, flag: Option<&str>) -> Limit {
    Limit {
        name: name.to_owned(),
        session_id: None,
        used: used.used,
        allowed: used.allowed,
        code: code.as_str().to_owned(),
        flag: flag.map(str::to_owned),
    }
}

async fn of(services: &Services, quotas: &Quotas, org: OrgId) -> Result<Success<Usage>, Problem> {
    let usage = usage::read(services, org).await?.ok_or_else(not_found)?;
    let (requests, streams) = (quotas.requests(org), quotas.streams(org));
    let (per_minute, sessions) = ("--requests-per-minute", "--sessions-per-organisation");
    let mut limits = vec![
        limit("requests", requests, Code::RateLimited, Some(per_minute)),
        limit("qr_streams", streams, Code::LimitReached, None),
        limit(
            "sessions",
            usage.sessions,
            Code::SessionLimit,
            Some(sessions),
        ),
        limit(
            "webhook_endpoints",
            usage.endpoints,
            Code::LimitReached,
            None,
        ),
        limit("auto_replies", usage.auto_replies, Code::LimitReached, None),
        limit(
            "media_bytes",
            usage.media_bytes,
            Code::MediaQuotaReached,
            Some("--media-quota"),
        ),
        limit(
            "pairing_codes",
            usage.pairing_codes,
            Code::PairingCodeLimit,
            None,
        ),
    ];
    limits.extend(usage.lanes.into_iter().map(|(session, used)| Limit {
        session_id: Some(Id(session)),
        ..limit(
            "waiting_messages",
            used,
            Code::QueueFull,
            Some("--lane-limit"),
        )
    }));
    Ok(Success::of(Usage {
        object: "usage".to_owned(),
        limits,
    }))
}

/// Usage of limits.
pub struct Limits;

#[OpenApi(prefix_path = "/v1", tag = "Group::Organisations")]
impl Limits {
    /// Read what the organisation uses of its limits.
    #[oai(path = "/usage", method = "get", operation_id = "read_usage")]
    async fn read_usage(
        &self,
        caller: Caller,
        services: Data<&Services>,
        quotas: Data<&Quotas>,
    ) -> Result<Success<Usage>, Problem> {
        of(&services, &quotas, caller.0.org).await
    }

    /// Read what an organisation uses of its limits, as the operator.
    #[oai(
        path = "/organisations/:id/usage",
        method = "get",
        operation_id = "read_organisation_usage"
    )]
    async fn read_organisation_usage(
        &self,
        _operator: Operator,
        services: Data<&Services>,
        quotas: Data<&Quotas>,
        /// The organisation.
        id: Path<Id<OrgId>>,
    ) -> Result<Success<Usage>, Problem> {
        of(&services, &quotas, id.0.0).await
    }
}

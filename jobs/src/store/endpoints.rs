//! Webhook endpoints of one organisation.

use passerelle_engine::{
    clock::Millis,
    ids::{EndpointId, OrgId},
    store::Tx,
    vault::{DataKey, Place},
};
use sqlx::{AnyConnection, Row as _, any::AnyRow};

use super::{
    organisations,
    row::{self, Run as _},
};
use crate::model::{
    Listed, Page,
    endpoint::{Disabled, Endpoint, Secret},
    headers::ExtraHeaders,
    pattern,
};

pub(crate) mod change;
mod listening;
pub(super) use listening::listening;
pub(crate) use listening::{want_raw, wanting};

const URL: &str = "endpoint.url";
const HEADERS: &str = "endpoint.headers";
const SECRET: &str = "endpoint.secret";
const OLD_SECRET: &str = "endpoint.old_secret";

/// The columns that the owner of an endpoint decides.
struct Settings {
    url_sealed: Vec<u8>,
    events: String,
    wanted: String,
    sessions: Option<String>,
    headers_sealed: Option<Vec<u8>>,
}

impl Settings {
    fn of(key: &DataKey, endpoint: &Endpoint) -> Result<Self, sqlx::Error> {
        let (org, id) = (endpoint.org, endpoint.id.to_string());
        let json = |list: &[String]| serde_json::to_string(list).map_err(row::unwritable);
        let sessions: Vec<_> = endpoint.sessions.iter().map(ToString::to_string).collect();
        let headers = (!endpoint.headers.is_empty()).then_some(&endpoint.headers);
        let seal = |headers| key.seal_json(&Place::of(org, HEADERS, &id), headers);
        let headers = headers.map(seal).transpose();
        let types = pattern::expanded(&endpoint.events);
        Ok(Self {
            url_sealed: key.seal(&Place::of(org, URL, &id), endpoint.url.as_bytes()),
            events: serde_json::to_string(&types).map_err(row::unwritable)?,
            wanted: json(&endpoint.events)?,
            sessions: (!sessions.is_empty())
                .then(|| json(&sessions))
                .transpose()?,
            headers_sealed: headers.map_err(|error| sqlx::Error::Encode(error.into()))?,
        })
    }
}

pub(crate) async fn insert(
    tx: &mut Tx,
    key: &DataKey,
    endpoint: &Endpoint,
    secret: &Secret,
) -> Result<(), sqlx::Error> {
    let id = endpoint.id.to_string();
    let settings = Settings::of(key, endpoint)?;
    sqlx::query(
        "INSERT INTO endpoint (id, org_id, url_sealed, secret_sealed, events, inline_media, created_at, wanted, sessions, \
         headers_sealed, raw) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(id.as_str())
    .bind(endpoint.org.to_string())
    .bind(settings.url_sealed)
    .bind(key.seal(
        &Place::of(endpoint.org, SECRET, &id),
        secret.reveal().as_bytes(),
    ))
    .bind(settings.events)
    .bind(i64::from(endpoint.inline_media))
    .bind(endpoint.created_at)
    .bind(settings.wanted)
    .bind(settings.sessions)
    .bind(settings.headers_sealed)
    .bind(i64::from(endpoint.raw))
    .run(tx)
    .await
}

/// Counts the organisation's endpoints. No other endpoint of it is created until the transaction ends.
pub(crate) async fn count(tx: &mut Tx, org: OrgId) -> Result<i64, sqlx::Error> {
    organisations::lock(tx, org).await?;
    sqlx::query_scalar("SELECT count(*) FROM endpoint WHERE org_id = $1")
        .bind(org.to_string())
        .fetch_one(tx.conn())
        .await
}

macro_rules! columns {
    () => {
        "id, url_sealed, coalesce(wanted, events) AS events, sessions, headers_sealed, inline_media, raw, old_secret_until, \
         disabled_at, disabled_why, failing_since, created_at"
    };
}

pub(crate) async fn read(
    conn: &mut AnyConnection,
    key: &DataKey,
    org: OrgId,
    id: EndpointId,
) -> Result<Option<Endpoint>, sqlx::Error> {
    let row = sqlx::query(concat!(
        "SELECT ",
        columns!(),
        " FROM endpoint WHERE org_id = $1 AND id = $2"
    ))
    .bind(org.to_string())
    .bind(id.to_string())
    .fetch_optional(conn)
    .await?;
    row.map(|row| from_row(key, org, &row)).transpose()
}

pub(crate) async fn list(
    conn: &mut AnyConnection,
    key: &DataKey,
    org: OrgId,
    page: &Page<EndpointId>,
) -> Result<Listed<Endpoint>, sqlx::Error> {
    let rows = sqlx::query(concat!(
        "SELECT ",
        columns!(),
        " FROM endpoint WHERE org_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3"
    ))
    .bind(org.to_string())
    .bind(page.below())
    .bind(page.fetch())
    .fetch_all(conn)
    .await?;
    Ok(row::page("endpoint", rows, page, |row| {
        from_row(key, org, row)
    }))
}

/// Deletes an endpoint and its deliveries. Returns whether there was one.
pub(crate) async fn delete(tx: &mut Tx, org: OrgId, id: EndpointId) -> Result<bool, sqlx::Error> {
    sqlx::query("DELETE FROM endpoint WHERE org_id = $1 AND id = $2")
        .bind(org.to_string())
        .bind(id.to_string())
        .changes(tx)
        .await
}

/// Replaces the present secret, which also signs until `old_until`. Returns whether there is such an
/// endpoint.
pub(crate) async fn rotate(
    tx: &mut Tx,
    key: &DataKey,
    org: OrgId,
    id: EndpointId,
    secret: &Secret,
    old_until: Millis,
) -> Result<bool, sqlx::Error> {
    let Some(keys) = secrets(tx.conn(), key, org, id).await? else {
        return Ok(false);
    };
    let record = id.to_string();
    sqlx::query(
        "UPDATE endpoint SET secret_sealed = $3, old_secret_sealed = $4, old_secret_until = $5 \
         WHERE org_id = $1 AND id = $2",
    )
    .bind(org.to_string())
    .bind(record.as_str())
    .bind(key.seal(&Place::of(org, SECRET, &record), secret.reveal().as_bytes()))
    .bind(key.seal(
        &Place::of(org, OLD_SECRET, &record),
        keys.present.reveal().as_bytes(),
    ))
    .bind(old_until)
    .execute(tx.conn())
    .await?;
    Ok(true)
}

/// The secrets that sign an endpoint's deliveries.
pub(crate) struct Secrets {
    present: Secret,
    old: Option<(Secret, Millis)>,
}

impl Secrets {
    /// Returns the secrets that sign at `now`, the present one first.
    pub(crate) fn at(self, now: Millis) -> Vec<Secret> {
        let old = self.old.filter(|(_, until)| now < *until);
        std::iter::once(self.present)
            .chain(old.map(|(old, _)| old))
            .collect()
    }
}

pub(crate) async fn secrets(
    conn: &mut AnyConnection,
    key: &DataKey,
    org: OrgId,
    id: EndpointId,
) -> Result<Option<Secrets>, sqlx::Error> {
    let row = sqlx::query(
        "SELECT secret_sealed, old_secret_sealed, old_secret_until FROM endpoint WHERE org_id = $1 AND id = $2",
    )
    .bind(org.to_string())
    .bind(id.to_string())
    .fetch_optional(conn)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let record = id.to_string();
    let open = |table, sealed: Vec<u8>| {
        let plain = key.open(&Place::of(org, table, &record), &sealed);
        let plain = plain.map_err(|error| row::unreadable(table, error))?;
        Ok::<_, sqlx::Error>(Secret(String::from_utf8_lossy(&plain).into_owned()))
    };
    let old: Option<Vec<u8>> = row.try_get("old_secret_sealed")?;
    let until: Option<Millis> = row.try_get("old_secret_until")?;
    let old = old
        .zip(until)
        .map(|(sealed, until)| Ok::<_, sqlx::Error>((open(OLD_SECRET, sealed)?, until)));
    Ok(Some(Secrets {
        present: open(SECRET, row.try_get("secret_sealed")?)?,
        old: old.transpose()?,
    }))
}

/// Records a success of the endpoint as it was in this revision. A later one is left alone.
pub(crate) async fn succeeded(
    tx: &mut Tx,
    org: OrgId,
    (id, revision): (EndpointId, i64),
) -> Result<(), sqlx::Error> {
    // The condition saves the write for the usual success.
    sqlx::query(
        "UPDATE endpoint SET failing_since = NULL, failures = 0 \
         WHERE org_id = $1 AND id = $2 AND failing_since IS NOT NULL AND revision = $3",
    )
    .bind(org.to_string())
    .bind(id.to_string())
    .bind(revision)
    .run(tx)
    .await
}

/// Records and counts a failure of the endpoint as it was in this revision. Returns since when it fails; `None` if it
/// was changed, disabled or deleted since.
pub(crate) async fn failed(
    tx: &mut Tx,
    org: OrgId,
    (id, revision): (EndpointId, i64),
    now: Millis,
) -> Result<Option<Millis>, sqlx::Error> {
    sqlx::query_scalar(
        "UPDATE endpoint SET failing_since = coalesce(failing_since, $3), failures = failures + 1 \
         WHERE org_id = $1 AND id = $2 AND disabled_at IS NULL AND revision = $4 RETURNING failing_since",
    )
    .bind(org.to_string())
    .bind(id.to_string())
    .bind(now)
    .bind(revision)
    .fetch_optional(tx.conn())
    .await
}

/// Disables the endpoint.
pub(crate) async fn disable(
    tx: &mut Tx,
    org: OrgId,
    id: EndpointId,
    why: Disabled,
    now: Millis,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE endpoint SET disabled_at = $3, disabled_why = $4 WHERE org_id = $1 AND id = $2",
    )
    .bind(org.to_string())
    .bind(id.to_string())
    .bind(now)
    .bind(why.as_str())
    .run(tx)
    .await
}

/// Decrypts an endpoint's address from a row with `endpoint.url_sealed`.
pub(super) fn url(
    key: &DataKey,
    org: OrgId,
    endpoint: EndpointId,
    row: &AnyRow,
) -> Result<String, sqlx::Error> {
    let sealed: Vec<u8> = row.try_get("url_sealed")?;
    let plain = key.open(&Place::of(org, URL, &endpoint.to_string()), &sealed);
    let plain = plain.map_err(|error| row::unreadable(URL, error))?;
    Ok(String::from_utf8_lossy(&plain).into_owned())
}

/// Decrypts an endpoint's further headers from a row with `endpoint.headers_sealed`.
pub(super) fn headers(
    key: &DataKey,
    org: OrgId,
    endpoint: EndpointId,
    row: &AnyRow,
) -> Result<ExtraHeaders, sqlx::Error> {
    let sealed: Option<Vec<u8>> = row.try_get("headers_sealed")?;
    let id = endpoint.to_string();
    let headers = sealed.map(|sealed| key.open_json(&Place::of(org, HEADERS, &id), &sealed));
    let headers = headers.transpose();
    Ok(headers
        .map_err(|error| row::unreadable(HEADERS, error))?
        .unwrap_or_default())
}

fn from_row(key: &DataKey, org: OrgId, row: &AnyRow) -> Result<Endpoint, sqlx::Error> {
    let id = row::id(row, "id")?;
    let sessions: Option<String> = row.try_get("sessions")?;
    let why: Option<String> = row.try_get("disabled_why")?;
    let at: Option<Millis> = row.try_get("disabled_at")?;
    Ok(Endpoint {
        id,
        org,
        url: url(key, org, id, row)?,
        events: serde_json::from_str(&row.try_get::<String, _>("events")?)
            .map_err(|error| row::unreadable("events", error))?,
        sessions: serde_json::from_str(sessions.as_deref().unwrap_or("[]"))
            .map_err(|error| row::unreadable("sessions", error))?,
        headers: headers(key, org, id, row)?,
        inline_media: row.try_get::<i64, _>("inline_media")? == 1,
        raw: row.try_get::<i64, _>("raw")? == 1,
        old_secret_until: row.try_get("old_secret_until")?,
        disabled: at.zip(why.as_deref().and_then(Disabled::parse)),
        failing_since: row.try_get("failing_since")?,
        created_at: row.try_get("created_at")?,
    })
}

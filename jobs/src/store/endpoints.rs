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
    event::EventType,
    report_unreadable,
};

const URL: &str = "endpoint.url";
const SECRET: &str = "endpoint.secret";
const OLD_SECRET: &str = "endpoint.old_secret";

pub(crate) async fn insert(
    tx: &mut Tx,
    key: &DataKey,
    endpoint: &Endpoint,
    secret: &Secret,
) -> Result<(), sqlx::Error> {
    let id = endpoint.id.to_string();
    sqlx::query(
        "INSERT INTO endpoint (id, org_id, url_sealed, secret_sealed, events, inline_media, created_at, raw) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(id.as_str())
    .bind(endpoint.org.to_string())
    .bind(key.seal(&Place::of(endpoint.org, URL, &id), endpoint.url.as_bytes()))
    .bind(key.seal(
        &Place::of(endpoint.org, SECRET, &id),
        secret.reveal().as_bytes(),
    ))
    .bind(serde_json::to_string(&endpoint.events).map_err(row::unwritable)?)
    .bind(i64::from(endpoint.inline_media))
    .bind(endpoint.created_at)
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

pub(crate) async fn read(
    conn: &mut AnyConnection,
    key: &DataKey,
    org: OrgId,
    id: EndpointId,
) -> Result<Option<Endpoint>, sqlx::Error> {
    let row = sqlx::query(
        "SELECT id, url_sealed, events, inline_media, raw, old_secret_until, disabled_at, disabled_why, failing_since, created_at \
         FROM endpoint WHERE org_id = $1 AND id = $2",
    )
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
    let rows = sqlx::query(
        "SELECT id, url_sealed, events, inline_media, raw, old_secret_until, disabled_at, disabled_why, failing_since, created_at \
         FROM endpoint WHERE org_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3",
    )
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

/// SQL for the enabled endpoints of organisation `$1`, with the types that each wants, as text that both
/// engines can build: a line such as `whe_… ["message.sent"]` for each, or `whe_…+raw …` if it wants messages as
/// they came. An organisation has few endpoints, and each event reads them inside another statement.
macro_rules! listening {
    () => {
        "(SELECT string_agg(id || CASE raw WHEN 1 THEN '+raw ' ELSE ' ' END || events, '\n') FROM endpoint \
         WHERE org_id = $1 AND disabled_at IS NULL)"
    };
}
pub(super) use listening;

/// Returns the endpoints of a `listening!` result that want this type. An endpoint whose types cannot be read
/// gets every event, so that nothing is lost.
pub(crate) fn wanting(listening: Option<&str>, kind: EventType) -> Vec<EndpointId> {
    let wanting = names_wanting(listening, kind);
    let id = |name: &str| name.strip_suffix(RAW).unwrap_or(name).parse().ok();
    wanting.filter_map(id).collect()
}

/// Returns whether one of them wants this type with the message as it came.
pub(crate) fn want_raw(listening: Option<&str>, kind: EventType) -> bool {
    names_wanting(listening, kind).any(|name| name.ends_with(RAW))
}

/// Ends the name of an endpoint that wants messages as they came.
const RAW: &str = "+raw";

fn names_wanting(listening: Option<&str>, kind: EventType) -> impl Iterator<Item = &str> {
    let wants = move |id: &str, types: &str| match serde_json::from_str::<Vec<&str>>(types) {
        Ok(types) => types.is_empty() || types.contains(&kind.as_str()),
        Err(error) => {
            report_unreadable("endpoint", &id, &error);
            true
        }
    };
    let lines = listening.unwrap_or_default().lines();
    let endpoints = lines.filter_map(|line| line.split_once(' '));
    let wanting = endpoints.filter(move |(id, types)| wants(id, types));
    wanting.map(|(id, _)| id)
}

/// Records a success.
pub(crate) async fn succeeded(tx: &mut Tx, org: OrgId, id: EndpointId) -> Result<(), sqlx::Error> {
    // The condition saves the write for the usual success.
    sqlx::query(
        "UPDATE endpoint SET failing_since = NULL, failures = 0 WHERE org_id = $1 AND id = $2 AND failing_since IS NOT NULL",
    )
    .bind(org.to_string())
    .bind(id.to_string())
    .run(tx)
    .await
}

/// Records and counts a failure. Returns since when the endpoint fails; `None` if it is deleted or disabled.
pub(crate) async fn failed(
    tx: &mut Tx,
    org: OrgId,
    id: EndpointId,
    now: Millis,
) -> Result<Option<Millis>, sqlx::Error> {
    sqlx::query_scalar(
        "UPDATE endpoint SET failing_since = coalesce(failing_since, $3), failures = failures + 1 \
         WHERE org_id = $1 AND id = $2 AND disabled_at IS NULL RETURNING failing_since",
    )
    .bind(org.to_string())
    .bind(id.to_string())
    .bind(now)
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

fn from_row(key: &DataKey, org: OrgId, row: &AnyRow) -> Result<Endpoint, sqlx::Error> {
    let id = row::id(row, "id")?;
    let why: Option<String> = row.try_get("disabled_why")?;
    let at: Option<Millis> = row.try_get("disabled_at")?;
    Ok(Endpoint {
        id,
        org,
        url: url(key, org, id, row)?,
        events: serde_json::from_str(&row.try_get::<String, _>("events")?)
            .map_err(|error| row::unreadable("events", error))?,
        inline_media: row.try_get::<i64, _>("inline_media")? == 1,
        raw: row.try_get::<i64, _>("raw")? == 1,
        old_secret_until: row.try_get("old_secret_until")?,
        disabled: at.zip(why.as_deref().and_then(Disabled::parse)),
        failing_since: row.try_get("failing_since")?,
        created_at: row.try_get("created_at")?,
    })
}

#[cfg(test)]
mod tests {
    use passerelle_engine::clock::Clock;

    use super::*;

    #[test]
    fn types_that_cannot_be_read_hold_up_no_other_endpoint() {
        let clock = Clock::system();
        let [all, sent, read, damaged] = std::array::from_fn(|_| EndpointId::new(&clock));
        let listening = format!(
            "{all} []\n{sent} [\"message.sent\"]\n{read} [\"message.read\"]\n{damaged} [\"mes"
        );
        let wanting = wanting(Some(&listening), EventType::MessageSent);
        assert_eq!(wanting, [all, sent, damaged]);
        assert_eq!(super::wanting(None, EventType::MessageSent), []);
    }

    #[test]
    fn fidelity_raw_is_kept_only_for_an_endpoint_that_wants_this_type_so() {
        let clock = Clock::system();
        let [raw, plain] = std::array::from_fn(|_| EndpointId::new(&clock));
        let listening = format!("{raw}+raw [\"message.received\"]\n{plain} []");
        let received = (Some(listening.as_str()), EventType::MessageReceived);
        assert_eq!(super::wanting(received.0, received.1), [raw, plain]);
        assert!(want_raw(received.0, received.1));
        assert!(!want_raw(Some(&listening), EventType::MessageSent));
        assert!(!want_raw(
            Some(&format!("{plain} []")),
            EventType::MessageReceived
        ));
    }
}

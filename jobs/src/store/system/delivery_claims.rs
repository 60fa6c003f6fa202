//! The claim of due deliveries.
//!
//! A row is due when its time has come, or when it is running and its claim has lapsed because its
//! worker died. An endpoint that has no room is skipped, so that an endpoint that hangs delays no other,
//! and no organisation delays another ([`limits`]). The limits are enforced here, where a row becomes
//! running: each claim, with a token or without, first locks the organisation ([`reserve_due`]).
//!
//! A claim goes from one endpoint to the next ([`open_endpoints`]) and reads the first rows of those that have room.
//! So its cost does not depend on how many deliveries wait for the others, such as those of a suspended organisation.

use passerelle_engine::{
    clock::Millis,
    ids::{DeliveryId, OrgId},
    store::{Dialect, SystemRead, SystemTx},
};
use sqlx::{Row as _, any::AnyRow};

use crate::store::row;

/// How many attempts may run at once. Literals, because statements are put together of them.
macro_rules! limits {
    // To one endpoint.
    (endpoint) => {
        4
    };
    // To one endpoint that is failing.
    (failing_endpoint) => {
        1
    };
    // Of one organisation.
    (organisation) => {
        16
    };
    // Of one organisation, to all its endpoints that are failing. The others keep the rest.
    (failing_endpoints) => {
        8
    };
    // After so many failures in a row an endpoint is failing, until an attempt succeeds.
    (failures) => {
        8
    };
}

/// The same numbers, for those who read about them.
pub const ATTEMPTS_TO_ENDPOINT: usize = limits!(endpoint);
/// See [`ATTEMPTS_TO_ENDPOINT`].
pub const ATTEMPTS_TO_FAILING_ENDPOINT: usize = limits!(failing_endpoint);
/// See [`ATTEMPTS_TO_ENDPOINT`].
pub const ATTEMPTS_OF_ORGANISATION: usize = limits!(organisation);
/// See [`ATTEMPTS_TO_ENDPOINT`].
pub const ATTEMPTS_TO_FAILING_ENDPOINTS: usize = limits!(failing_endpoints);
/// See [`ATTEMPTS_TO_ENDPOINT`].
pub const FAILURES: usize = limits!(failures);

/// Begins a statement: `under_way` are the attempts that use up the limits, and `no_room` are the endpoints to
/// which no attempt may begin now, that are disabled, or whose organisation is suspended. `$attempts` is SQL for the rows of the attempts. They are read once: SQLite
/// would otherwise read all deliveries in the order of the groups.
macro_rules! with_room {
    ($attempts:expr) => {
        concat!(
            "WITH RECURSIVE under_way AS MATERIALIZED (\
               SELECT a.endpoint_id, a.org_id, CASE WHEN p.failures >= ",
            limits!(failures),
            " THEN 1 ELSE 0 END AS failing FROM (",
            $attempts,
            ") a JOIN endpoint p ON p.id = a.endpoint_id), \
             no_room AS (\
               SELECT endpoint_id FROM under_way GROUP BY endpoint_id HAVING count(*) >= CASE max(failing) WHEN 1 THEN ",
            limits!(failing_endpoint),
            " ELSE ",
            limits!(endpoint),
            " END \
               UNION ALL SELECT id FROM endpoint WHERE org_id IN (\
                 SELECT org_id FROM under_way GROUP BY org_id HAVING count(*) >= ",
            limits!(organisation),
            ") \
               UNION ALL SELECT id FROM endpoint WHERE failures >= ",
            limits!(failures),
            " AND org_id IN (\
                 SELECT org_id FROM under_way WHERE failing = 1 GROUP BY org_id HAVING count(*) >= ",
            limits!(failing_endpoints),
            ") \
               UNION ALL SELECT id FROM endpoint WHERE disabled_at IS NOT NULL \
               UNION ALL SELECT id FROM endpoint WHERE org_id IN (\
                 SELECT id FROM organisation WHERE suspended_at IS NOT NULL))"
        )
    };
}

/// After [`with_room`]: `waiting` are the endpoints with deliveries that are due or will be, and `open` are those of
/// them that have room. The index `delivery_waiting` leads from one endpoint to the next.
macro_rules! open_endpoints {
    () => {
        ", waiting AS (\
           SELECT min(d.endpoint_id) AS endpoint_id FROM delivery d WHERE d.status IN ('due', 'running') \
           UNION ALL SELECT (\
             SELECT min(d.endpoint_id) FROM delivery d WHERE d.status IN ('due', 'running') AND d.endpoint_id > w.endpoint_id) \
           FROM waiting w WHERE w.endpoint_id IS NOT NULL), \
         open AS (\
           SELECT endpoint_id FROM waiting WHERE endpoint_id IS NOT NULL \
             AND endpoint_id NOT IN (SELECT endpoint_id FROM no_room))"
    };
}

/// After [`open_endpoints`], for PostgreSQL: `first` are the `id` and `org_id` of rows that are due at `$1`, the longest
/// due first, at most `$limit`, and of an endpoint no more than may run at once. `$also` narrows them.
macro_rules! first_due {
    ($also:literal, $limit:literal) => {
        concat!(
            open_endpoints!(),
            ", first AS (\
               SELECT n.id, n.org_id FROM open o CROSS JOIN LATERAL (\
                 SELECT d.id, d.org_id, d.due_at FROM delivery d WHERE d.endpoint_id = o.endpoint_id \
                   AND d.status IN ('due', 'running') AND d.due_at <= $1",
            $also,
            " ORDER BY d.due_at LIMIT ",
            limits!(endpoint),
            ") n ORDER BY n.due_at LIMIT ",
            $limit,
            ")"
        )
    };
}

/// After [`with_room`] and a table `due` of rows with `id`, `org_id`, `endpoint_id` and `due_at`: `chosen`
/// are those of them that the limits leave room for, the longest due first.
macro_rules! chosen {
    () => {
        concat!(
            "of_endpoints AS (\
               SELECT d.*, CASE WHEN p.failures >= ",
            limits!(failures),
            " THEN 1 ELSE 0 END AS failing, row_number() OVER (PARTITION BY d.endpoint_id ORDER BY d.due_at) \
                 + (SELECT count(*) FROM under_way u WHERE u.endpoint_id = d.endpoint_id) AS place \
               FROM due d JOIN endpoint p ON p.id = d.endpoint_id), \
             of_organisations AS (\
               SELECT e.*, row_number() OVER (PARTITION BY e.org_id, e.failing ORDER BY e.due_at) \
                 + (SELECT count(*) FROM under_way u WHERE u.org_id = e.org_id AND u.failing = 1) AS place_of_failing, \
                 row_number() OVER (PARTITION BY e.org_id ORDER BY e.due_at) \
                 + (SELECT count(*) FROM under_way u WHERE u.org_id = e.org_id) AS place_of_org \
               FROM of_endpoints e WHERE e.place <= CASE e.failing WHEN 1 THEN ",
            limits!(failing_endpoint),
            " ELSE ",
            limits!(endpoint),
            " END), \
             chosen AS (\
               SELECT * FROM of_organisations WHERE place_of_org <= ",
            limits!(organisation),
            " AND (failing = 0 OR place_of_failing <= ",
            limits!(failing_endpoints),
            "))"
        )
    };
}

/// SQL for the attempts that run at `$1`.
macro_rules! running {
    () => {
        "SELECT endpoint_id, org_id FROM delivery WHERE status = 'running' AND due_at > $1"
    };
}
pub(super) use {chosen, first_due, limits, open_endpoints, running, with_room};

/// SQL for the claim of the rows of a table `due` until `$3`.
macro_rules! claim {
    ($due:expr) => {
        concat!(
            with_room!(running!()),
            $due,
            ", ",
            chosen!(),
            " UPDATE delivery SET status = 'running', due_at = $3, dispatched_at = NULL \
             WHERE id IN (SELECT id FROM chosen) RETURNING id, org_id"
        )
    };
}

/// As [`first_due`], for SQLite, which has no `LATERAL`.
pub(in crate::store) const CLAIM: &str = claim!(concat!(
    open_endpoints!(),
    ", due AS (\
       SELECT d.id, d.org_id, d.endpoint_id, d.due_at FROM open o CROSS JOIN delivery d WHERE d.id IN (\
         SELECT n.id FROM delivery n WHERE n.endpoint_id = o.endpoint_id \
           AND n.status IN ('due', 'running') AND n.due_at <= $1 ORDER BY n.due_at LIMIT ",
    limits!(endpoint),
    ") ORDER BY d.due_at LIMIT $2)"
));
/// For PostgreSQL, which must be told to skip rows that others are claiming.
const CLAIM_LOCKED: &str = claim!(concat!(
    first_due!("", "$2"),
    ", due AS (\
       SELECT id, org_id, endpoint_id, due_at FROM delivery WHERE id IN (\
         SELECT id FROM first WHERE org_id = ANY (string_to_array($4, ' '))) \
         AND status IN ('due', 'running') AND due_at <= $1 FOR UPDATE SKIP LOCKED)"
));

/// Claims at most `limit` deliveries until `lapse`, the longest due first.
pub(crate) async fn claim(
    tx: &mut SystemTx,
    now: Millis,
    lapse: Millis,
    limit: i64,
) -> Result<Vec<(OrgId, DeliveryId)>, sqlx::Error> {
    let query = match tx.dialect() {
        // SQLite has one writer, so nothing else claims.
        Dialect::Sqlite => sqlx::query(CLAIM).bind(now).bind(limit).bind(lapse),
        Dialect::Postgres => {
            let reserved = reserve_due(tx, now, limit).await?;
            let query = sqlx::query(CLAIM_LOCKED).bind(now).bind(limit).bind(lapse);
            query.bind(reserved.join(" "))
        }
    };
    let rows = query.fetch_all(tx.conn()).await?;
    let ids = |row: &AnyRow| Ok((row::id(row, "org_id")?, row::id(row, "id")?));
    Ok(row::each("delivery", &rows, ids))
}

/// Locks the organisations of due deliveries until the transaction ends, so that no other transaction claims
/// for them. Returns these organisations. For PostgreSQL only. A statement after this one sees all earlier
/// claims.
async fn reserve_due(
    tx: &mut SystemTx,
    now: Millis,
    limit: i64,
) -> Result<Vec<String>, sqlx::Error> {
    // Locked in the order of their keys, so that two claims cannot deadlock.
    let rows = sqlx::query(concat!(
        with_room!(running!()),
        first_due!("", "$2"),
        " SELECT org_id, pg_advisory_xact_lock(7030262, key)::text FROM (\
           SELECT DISTINCT org_id, hashtext(org_id) AS key FROM first ORDER BY key) keys",
    ))
    .bind(now)
    .bind(limit)
    .fetch_all(tx.conn())
    .await?;
    rows.iter().map(|row| row.try_get("org_id")).collect()
}

/// Returns when the next delivery to an endpoint with room can be claimed.
pub(crate) async fn next_at(
    conn: &mut SystemRead,
    now: Millis,
) -> Result<Option<Millis>, sqlx::Error> {
    sqlx::query_scalar(NEXT_AT)
        .bind(now)
        .fetch_optional(&mut **conn)
        .await
}

pub(in crate::store) const NEXT_AT: &str = concat!(
    with_room!(running!()),
    open_endpoints!(),
    " SELECT n.due_at FROM (\
       SELECT (SELECT min(d.due_at) FROM delivery d WHERE d.endpoint_id = o.endpoint_id \
         AND d.status IN ('due', 'running')) AS due_at FROM open o) n \
     WHERE n.due_at IS NOT NULL ORDER BY n.due_at LIMIT 1"
);

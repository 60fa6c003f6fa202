//! Each filter of a list walks an index of its own, in the order of the page: neither the rows of other
//! organisations nor those that the filter leaves out.

use std::collections::BTreeSet;

use passerelle_engine::ids::OrgId;
use sqlx::{AssertSqlSafe, Connection as _, Row as _};

use super::{walks, *};
use crate::{
    store::{
        deliveries,
        messages::{chats, lists},
        system::delivery_claims,
    },
    testing::database,
};

/// The statements, the number of their values after the limit, and their indexes with the columns that SQLite
/// seeks in.
const LISTS: [(&str, &[&str], &str, &str); 15] = [
    (lists::ALL[0], &[], "message_list", "org_id=? AND id<?"),
    (
        lists::OUTBOUND[0],
        &[],
        "message_outbound",
        "org_id=? AND id<?",
    ),
    (
        lists::OF_STATUS[0],
        &["failed"],
        "message_status",
        "org_id=? AND status=? AND id<?",
    ),
    (
        lists::OF_SESSION[0],
        &["ses_1"],
        "message_session",
        "session_id=? AND org_id=? AND id<?",
    ),
    (
        lists::OUTBOUND_OF_SESSION[0],
        &["ses_1"],
        "message_session_outbound",
        "session_id=? AND org_id=? AND id<?",
    ),
    (
        lists::OF_STATUS_OF_SESSION[0],
        &["ses_1", "failed"],
        "message_session_status",
        "session_id=? AND org_id=? AND status=? AND id<?",
    ),
    (
        lists::OF_CONTACT[0],
        &["ctc_7", "", "", "", ""],
        "message_of_contact",
        "org_id=? AND contact_id=? AND id<?",
    ),
    (
        lists::OF_GROUP[0],
        &["group", "", "", "", ""],
        "message_of_group",
        "org_id=? AND to_mac=? AND id<?",
    ),
    (
        lists::OF_KIND[0],
        &["sticker", "", "", "", ""],
        "message_kind",
        "org_id=? AND kind=? AND id<?",
    ),
    (
        lists::OF_KIND_OF_SESSION[0],
        &["sticker", "ses_1", "", "", ""],
        "message_session_kind",
        "session_id=? AND org_id=? AND kind=? AND id<?",
    ),
    (
        lists::OF_CLIENT_REF[0],
        &["a MAC"],
        "message_client_ref",
        "org_id=? AND client_ref_mac=? AND id<?",
    ),
    (deliveries::ALL, &[], "delivery_list", "org_id=? AND id<?"),
    (
        deliveries::OF_STATUS,
        &["dead"],
        "delivery_status",
        "org_id=? AND status=? AND id<?",
    ),
    (
        deliveries::OF_ENDPOINT,
        &["whe_1"],
        "delivery_endpoint",
        "endpoint_id=? AND org_id=? AND id<?",
    ),
    (
        deliveries::OF_STATUS_OF_ENDPOINT,
        &["whe_1", "dead"],
        "delivery_endpoint_status",
        "endpoint_id=? AND org_id=? AND status=? AND id<?",
    ),
];

#[tokio::test]
async fn on_sqlite_each_filter_of_a_list_walks_its_own_index() {
    for (statement, _, index, columns) in LISTS {
        let table = if index.starts_with("message") {
            "message"
        } else {
            "d"
        };
        let step = format!("SEARCH {table} USING INDEX {index} ({columns})");
        walks(statement, &step).await;
    }
}

/// A list that ends at a time does not walk what is older.
#[tokio::test]
async fn fidelity_on_sqlite_a_list_since_a_time_ends_there() {
    for [_, since] in [
        lists::ALL,
        lists::OF_STATUS,
        lists::OF_SESSION,
        lists::OUTBOUND_OF_SESSION,
        lists::OF_CONTACT,
        lists::OF_GROUP,
        lists::OF_KIND,
        lists::OF_KIND_OF_SESSION,
    ] {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("plan.db").display());
        let store = Store::open(&url).await.unwrap();
        store.migrate().await.unwrap();
        let steps = plan(&store, since).await;
        let walked = steps.iter().find(|step| step.contains("message"));
        assert!(
            walked.is_some_and(|step| step.contains("id>? AND id<?")),
            "{since}: {steps:#?}"
        );
        store.close().await;
    }
}

/// A look into the index of its chat shows of a message whether it is the last one.
const CHATS: [(&str, &[&str]); 2] = [(chats::ALL, &[]), (chats::OF_SESSION, &["ses_1"])];

#[tokio::test]
async fn fidelity_on_sqlite_a_list_of_chats_looks_into_the_index_of_each_chat() {
    for (statement, _) in CHATS {
        for step in [
            "SEARCH n USING INDEX message_of_contact (org_id=? AND contact_id=? AND id>?)",
            "SEARCH n USING INDEX message_of_group (org_id=? AND to_mac=? AND id>?)",
        ] {
            walks(statement, step).await;
        }
    }
    for (statement, step) in [
        (
            chats::ANSWERED_PERSON,
            "SEARCH message USING INDEX message_of_contact (org_id=? AND contact_id=?)",
        ),
        (
            chats::UNREAD_OF_PERSON,
            "SEARCH message USING INDEX message_of_contact (org_id=? AND contact_id=? AND id>?)",
        ),
        (
            chats::ANSWERED_GROUP,
            "SEARCH message USING INDEX message_of_group (org_id=? AND to_mac=?)",
        ),
        (
            chats::UNREAD_OF_GROUP,
            "SEARCH message USING INDEX message_of_group (org_id=? AND to_mac=? AND id>?)",
        ),
    ] {
        walks(statement, step).await;
    }
}

/// While a session with many events is erased, a list reads no more than the rows of its page.
#[tokio::test]
async fn a_list_of_deliveries_reads_the_event_of_each_row_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("plan.db").display());
    let store = Store::open(&url).await.unwrap();
    store.migrate().await.unwrap();
    for statement in [
        deliveries::ALL,
        deliveries::OF_STATUS,
        deliveries::OF_ENDPOINT,
        deliveries::OF_STATUS_OF_ENDPOINT,
    ] {
        let steps = plan(&store, statement).await;
        let of_events: Vec<_> = steps
            .iter()
            .filter(|step| step.contains(" e USING ") || step.contains("event_"))
            .collect();
        assert!(
            of_events.iter().all(|step| step.ends_with("(id=?)")),
            "{steps:#?}"
        );
        assert!(!of_events.is_empty(), "{steps:#?}");
    }
    store.close().await;
}

#[tokio::test]
async fn on_postgres_each_filter_of_a_list_walks_its_own_index() {
    let Some(url) = database().await else {
        return;
    };
    let store = Store::open(&url).await.unwrap();
    store.migrate().await.unwrap();
    let clock = passerelle_engine::clock::Clock::system();
    let (org, other) = (OrgId::new(&clock), OrgId::new(&clock));
    let mut conn = sqlx::PgConnection::connect(&url).await.unwrap();
    fill(&mut conn, org, "1", 1_000).await;
    fill(&mut conn, other, "2", 20_000).await;
    for (statement, values, index, _) in LISTS {
        let explain = AssertSqlSafe(format!("EXPLAIN {statement}"));
        let mut query = sqlx::query(explain)
            .bind(org.to_string())
            .bind("~")
            .bind(21_i64);
        if index.starts_with("message") {
            query = query.bind("").bind(0_i64).bind(i64::MAX);
        }
        for value in values {
            query = match *value {
                "group" | "a MAC" => query.bind(value.as_bytes()),
                text => query.bind(text),
            };
        }
        let mut conn = store.read(org).await.unwrap();
        let rows = query.fetch_all(&mut *conn).await.unwrap();
        let plan: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        let plan = plan.join("\n");
        let walk = format!("Index Scan Backward using {index} on ");
        assert!(plan.contains(&walk), "{index}: {statement}\n{plan}");
        assert!(!plan.contains("Sort"), "{plan}");
    }
    for (statement, values) in CHATS {
        let explain = AssertSqlSafe(format!("EXPLAIN {statement}"));
        let mut query = sqlx::query(explain)
            .bind(org.to_string())
            .bind("~")
            .bind(21_i64);
        for value in values {
            query = query.bind(*value);
        }
        let mut conn = store.read(org).await.unwrap();
        let rows = query.fetch_all(&mut *conn).await.unwrap();
        let plan: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        let plan = plan.join("\n");
        for index in [
            "message_of_contact on message n",
            "message_of_group on message n",
        ] {
            assert!(plan.contains(index), "{index}: {plan}");
        }
        assert!(!plan.contains("Seq Scan on message"), "{plan}");
    }
    store.close().await;
}

/// Makes a long history of an organisation, as somebody who owns the tables: many messages in, and many
/// out that were read; many deliveries that succeeded.
async fn fill(conn: &mut sqlx::PgConnection, org: OrgId, n: &str, many: i64) {
    let (session, endpoint) = (format!("ses_{n}"), format!("whe_{n}"));
    let statements = [
        "SET ROLE passerelle_system".to_owned(),
        format!("INSERT INTO organisation VALUES ('{org}', 'Long', 0)"),
        format!(
            "INSERT INTO session (id, org_id, name, desired, created_at) VALUES ('{session}', '{org}', '', 'stopped', 0)"
        ),
        format!(
            "INSERT INTO endpoint (id, org_id, url_sealed, secret_sealed, events, created_at) VALUES ('{endpoint}', '{org}', '', '', '[]', 0)"
        ),
        format!(
            "INSERT INTO message (id, org_id, session_id, direction, status, kind, wa_id, seq, contact_id, to_mac, chat_mac, peer_sealed, content_sealed, resends, created_at) \
             SELECT 'msg_{n}_' || lpad(n::text, 8, '0'), '{org}', '{session}', \
               CASE WHEN n % 20 > 0 THEN 'inbound' ELSE 'outbound' END, CASE WHEN n % 20 > 0 THEN 'received' ELSE 'read' END, \
               CASE WHEN n % 100 = 0 THEN 'poll' ELSE 'text' END, n::text, CASE WHEN n % 20 = 0 THEN n END, \
               'ctc_' || n % 50, CASE WHEN n % 10 = 0 THEN ('group' || n % 7)::bytea END, n::text::bytea, '', '', 0, n FROM generate_series(1, {many}) n"
        ),
        format!(
            "INSERT INTO event (id, org_id, session_id, type, sequence, body_sealed, created_at) \
             SELECT 'evt_{n}_' || n, '{org}', '{session}', 'message.sent', n, '', n FROM generate_series(1, {many}) n"
        ),
        format!(
            "INSERT INTO delivery (id, org_id, event_id, endpoint_id, status, attempts, due_at, created_at) \
             SELECT 'dlv_{n}_' || lpad(n::text, 8, '0'), '{org}', 'evt_{n}_' || n, '{endpoint}', 'delivered', 1, n, n FROM generate_series(1, {many}) n"
        ),
        "RESET ROLE".to_owned(),
        "ANALYZE".to_owned(),
    ];
    for statement in statements {
        sqlx::query(AssertSqlSafe(statement))
            .execute(&mut *conn)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_claim_of_deliveries_reads_nothing_of_endpoints_without_room() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("plan.db").display());
    let store = Store::open(&url).await.unwrap();
    store.migrate().await.unwrap();
    let running = "SCAN delivery USING INDEX delivery_running";
    let first = "SEARCH d USING INDEX delivery_waiting";
    let next = "SEARCH d USING INDEX delivery_waiting (endpoint_id>?)";
    for (statement, due) in [
        (
            delivery_claims::CLAIM,
            "SEARCH n USING INDEX delivery_waiting (endpoint_id=? AND due_at<?)",
        ),
        (
            delivery_claims::NEXT_AT,
            "SEARCH d USING INDEX delivery_waiting (endpoint_id=?)",
        ),
    ] {
        let steps = plan(&store, statement).await;
        let of_deliveries: BTreeSet<_> = steps
            .iter()
            .filter(|step| step.contains(" INDEX delivery_") || step.contains(" delivery"))
            .filter(|step| !step.ends_with("(id=?)"))
            .map(String::as_str)
            .collect();
        assert_eq!(
            of_deliveries,
            BTreeSet::from([running, first, next, due]),
            "{steps:#?}"
        );
    }
    store.close().await;
}

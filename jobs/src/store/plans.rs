//! SQLite has no statistics on how many rows there are. Each statement must walk an index of what is
//! due, waiting or asked for, however many other rows there are.

use passerelle_engine::store::{Dialect, Store};
use sqlx::{AssertSqlSafe, Row as _};

use super::{
    auto_replies, consents,
    contacts::{known, opt_outs, people},
    opt_in_links, queues,
    system::{self, preview_claims},
};

mod by_wa_id;
mod neighbour;

#[tokio::test]
async fn a_look_and_a_claim_walk_only_what_is_due() {
    for (statement, index) in [
        (system::NEXT_AT, "SCAN l USING INDEX lane_due"),
        (system::DUE, "SEARCH l USING INDEX lane_due (next_at<?)"),
        (
            system::claim_text(Dialect::Sqlite),
            "SEARCH m USING INDEX message_lane (session_id=?)",
        ),
    ] {
        walks(statement, index).await;
    }
}

#[tokio::test]
async fn previews_are_claimed_along_those_that_are_to_be_fetched() {
    let fetching = "SCAN message USING COVERING INDEX message_preview_org";
    for (statement, index) in [
        (
            preview_claims::DUE,
            "SEARCH message USING INDEX message_preview (preview_due_at<?)",
        ),
        (preview_claims::DUE, fetching),
        (
            preview_claims::NEXT_AT,
            "SEARCH message USING INDEX message_preview (preview_due_at>?)",
        ),
        (preview_claims::NEXT_AT, fetching),
    ] {
        walks(statement, index).await;
    }
}

#[tokio::test]
async fn contacts_are_listed_along_what_the_filter_names() {
    for (statement, index) in [
        (
            people::ALL,
            "SEARCH c USING INDEX contact_list (org_id=? AND id<?)",
        ),
        (
            people::BY_PHONE,
            "SEARCH s USING INDEX contact_phone (org_id=? AND phone_mac=?)",
        ),
        (
            people::BY_LID,
            "SEARCH c USING INDEX contact_lid (org_id=? AND lid_mac=?)",
        ),
        (
            people::BY_NAME,
            "SEARCH w USING COVERING INDEX sqlite_autoindex_contact_word_1 (org_id=? AND word_mac=? AND contact_id<?)",
        ),
    ] {
        walks(statement, index).await;
    }
}

#[tokio::test]
async fn opt_outs_are_listed_and_ended_along_those_alone() {
    for (statement, index) in [
        (
            opt_outs::ALL,
            "SEARCH c USING INDEX contact_opted_out (org_id=? AND id<?)",
        ),
        (
            opt_outs::BY_PHONE,
            "SEARCH s USING INDEX contact_phone (org_id=? AND phone_mac=?)",
        ),
        (
            opt_outs::BY_CONTACT,
            "SEARCH c USING INDEX sqlite_autoindex_contact_1 (id=?)",
        ),
        (
            system::opt_outs::DUE,
            "SEARCH contact USING INDEX contact_dequeue (dequeue_since>?)",
        ),
        (
            opt_outs::QUEUED,
            "SEARCH message USING INDEX message_of_contact (org_id=? AND contact_id=? AND id>?)",
        ),
    ] {
        walks(statement, index).await;
    }
}

/// They sort the few rows of one chat.
#[tokio::test]
async fn replies_look_back_along_what_automation_and_people_did_in_one_chat() {
    for (statement, index) in [
        (
            auto_replies::DONE_WITH,
            "SEARCH message USING INDEX message_automation (org_id=? AND contact_id=? AND id>?)",
        ),
        (
            auto_replies::DONE_IN,
            "SEARCH message USING INDEX message_automation_group (org_id=? AND to_mac=? AND id>?)",
        ),
        (
            auto_replies::TURNS_WITH,
            "SEARCH message USING INDEX message_of_contact (org_id=? AND contact_id=? AND id>?)",
        ),
        (
            auto_replies::TURNS_IN,
            "SEARCH message USING INDEX message_of_group (org_id=? AND to_mac=? AND id>?)",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("plan.db").display());
        let store = Store::open(&url).await.unwrap();
        store.migrate().await.unwrap();
        let steps = plan(&store, statement).await;
        let is_along = steps.iter().any(|step| step.starts_with(index));
        assert!(is_along, "{statement}: {steps:#?}");
        store.close().await;
    }
}

#[tokio::test]
async fn safety_numbers_that_recover_and_first_messages_are_found_along_indexes_of_theirs() {
    for (statement, index) in [
        (
            system::health::DUE,
            "SEARCH number USING INDEX number_health_due (health_due_at<?)",
        ),
        (
            system::health::FIRST_MESSAGES,
            "SEARCH m USING INDEX message_cold (session_id=? AND created_at>?)",
        ),
    ] {
        walks(statement, index).await;
    }
}

#[tokio::test]
async fn consent_is_looked_up_along_the_contact_and_the_number() {
    for (statement, index) in [
        (
            consents::STANDING,
            "SEARCH t USING COVERING INDEX acquaintance_trial (org_id=? AND number_mac=?)",
        ),
        (
            consents::STANDING,
            "SEARCH n USING INDEX consent_of (contact_id=?)",
        ),
        (
            consents::STANDING,
            "SEARCH a USING INDEX sqlite_autoindex_acquaintance_1 (org_id=? AND number_mac=? AND contact_id=?)",
        ),
        (
            consents::OF_CONTACT,
            "SEARCH n USING INDEX consent_of (contact_id=? AND id<?)",
        ),
        (
            opt_in_links::OF_SESSION,
            "SEARCH opt_in_link USING INDEX opt_in_link_list (session_id=? AND id<?)",
        ),
        (
            opt_in_links::BY_CODE,
            "SEARCH opt_in_link USING INDEX opt_in_link_code (session_id=? AND code_mac=?)",
        ),
    ] {
        walks(statement, index).await;
    }
}

#[tokio::test]
async fn queue_is_read_along_the_messages_that_wait() {
    for (statement, index) in [
        (
            queues::CANCELABLE,
            "SEARCH message USING INDEX message_session_status (session_id=? AND org_id=? AND status=? AND id<?)",
        ),
        (
            queues::CANCELABLE_OF,
            "SEARCH message USING INDEX message_session_status (session_id=? AND org_id=? AND status=? AND id<?)",
        ),
    ] {
        walks(statement, index).await;
    }
    // These are counted, grouped or sorted: at most what waits in one lane.
    for statement in [
        queues::RANKS,
        queues::SAME_GROUP,
        queues::AHEAD_IN_ORDER,
        queues::WAITING,
        queues::AHEAD,
        queues::LIST,
    ] {
        let steps = steps(statement).await;
        let indexes = [
            "SEARCH m USING INDEX message_class (session_id=?)",
            "SEARCH m USING INDEX message_lane (session_id=? AND priority>?)",
            "SEARCH m USING INDEX message_send_at (session_id=? AND send_at<?)",
            "SEARCH m USING INDEX message_session_status (session_id=? AND org_id=? AND status=?)",
        ];
        let walks_one = |step: &String| indexes.iter().any(|index| step.starts_with(index));
        assert!(steps.iter().any(walks_one), "{steps:#?}");
        assert!(
            !steps.iter().any(|step| step.starts_with("SCAN m")),
            "{steps:#?}"
        );
    }
}

#[tokio::test]
async fn members_of_a_group_are_looked_up_by_phone_and_by_lid() {
    for index in [
        "SEARCH s USING INDEX contact_phone (org_id=? AND phone_mac=?)",
        "SEARCH s USING INDEX contact_lid (org_id=? AND lid_mac=?)",
    ] {
        walks(known::KNOWN, index).await;
    }
}

async fn walks(statement: &'static str, index: &str) {
    let steps = steps(statement).await;
    assert!(
        steps.iter().any(|step| step.starts_with(index)),
        "{statement}: {steps:#?}"
    );
    assert!(
        !steps.iter().any(|step| step.contains("TEMP B-TREE")),
        "{steps:#?}"
    );
}

/// Returns the query plan on a new database.
async fn steps(statement: &'static str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("plan.db").display());
    let store = Store::open(&url).await.unwrap();
    store.migrate().await.unwrap();
    let steps = plan(&store, statement).await;
    store.close().await;
    steps
}

/// Returns the query plan, which does not depend on the values.
async fn plan(store: &Store, statement: &'static str) -> Vec<String> {
    let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
    let mut query = sqlx::query(explain);
    for _ in 0..statement.matches('$').count() {
        query = query.bind("");
    }
    let mut conn = store.read_system().await.unwrap();
    let rows = query.fetch_all(&mut *conn).await.unwrap();
    rows.iter().map(|row| row.get("detail")).collect()
}

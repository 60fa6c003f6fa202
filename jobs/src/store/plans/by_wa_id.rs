//! A message is found by WhatsApp's id without walking the other messages of its session: each receipt asks for one.

use passerelle_engine::store::{Dialect, Store};

use super::plan;
use crate::store::{
    chat_timers, contacts,
    messages::{self, own},
    receipts, targets,
};

const BY_ID: &str = "USING INDEX message_wa (session_id=? AND org_id=? AND wa_id=?)";

#[tokio::test]
async fn fidelity_on_sqlite_a_message_is_found_by_whatsapps_id_alone() {
    let merged = "SEARCH contact USING INDEX contact_merged (merged_into=?)";
    let of_receipt = "SEARCH r USING COVERING INDEX receipt_member (message_id=?)";
    let (by_id, of_named) = (
        format!("SEARCH message {BY_ID}"),
        format!("SEARCH m {BY_ID}"),
    );
    let (by_id, of_named) = (by_id.as_str(), of_named.as_str());
    for (statement, steps) in [
        (messages::BY_WA_ID, vec![by_id]),
        (messages::OF_CONTACT, vec![by_id]),
        (targets::WRITTEN_BY, vec![by_id, merged]),
        (targets::WRITTEN_IN, vec![by_id]),
        (targets::WRITTEN_TO, vec![by_id, merged]),
        (own::FIND, vec![by_id, merged]),
        (
            receipts::keep_text(Dialect::Sqlite),
            vec![of_named, of_receipt],
        ),
    ] {
        walks(statement, &steps).await;
    }
}

#[tokio::test]
async fn fidelity_on_sqlite_receipts_timers_and_mentions_walk_what_is_asked_for() {
    let timer = "INDEX chat_timer_contact (session_id=? AND contact_id=?)";
    let by_lid = "SEARCH c USING INDEX contact_lid (org_id=? AND lid_mac=?)";
    let by_phone = "SEARCH c USING INDEX contact_phone (org_id=? AND phone_mac=?)";
    for (statement, steps) in [
        (
            receipts::LIST,
            vec![
                "SEARCH r USING INDEX receipt_member (message_id=?)",
                by_lid,
                by_phone,
            ],
        ),
        (contacts::mentioned::MENTIONED, vec![by_lid, by_phone]),
        (chat_timers::OLDER, vec![timer]),
        (chat_timers::MOVE, vec![timer]),
    ] {
        walks(statement, &steps).await;
    }
}

/// As `super::walks`, but the few rows that are found may be sorted. No table is walked as a whole.
async fn walks(statement: &'static str, expected: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("plan.db").display());
    let store = Store::open(&url).await.unwrap();
    store.migrate().await.unwrap();
    let steps = plan(&store, statement).await;
    for step in expected {
        assert!(
            steps.iter().any(|one| one.ends_with(step)),
            "{step}: {statement}: {steps:#?}"
        );
    }
    let whole = |step: &&String| step.starts_with("SCAN") && !step.contains("VIRTUAL TABLE");
    let whole: Vec<_> = steps.iter().filter(whole).collect();
    assert!(
        whole.iter().all(|step| *step == "SCAN member"),
        "{statement}: {steps:#?}"
    );
    store.close().await;
}

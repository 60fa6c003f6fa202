//! Who owns the rows of each table, and so with whom they end. A new table needs a line here.

use anyhow::Result;
use passerelle_tests::{Backing, Finished, Setup, World, on_both_stores};
use std::collections::BTreeMap;

mod stores {
    use super::*;

    on_both_stores!(erase_says_whose_the_rows_of_every_table_are);
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    /// Rows stay as long as their organisation does, or have a time of their own.
    Organisation,
    /// Rows are erased with their session.
    Session,
    /// Rows are of a process.
    Host,
    /// Rows are of the gateway, and show nothing of an organisation.
    System,
}
use Owner::{Host, Organisation, Session, System};

const OWNERS: &[(&str, Owner)] = &[
    // Erased with its contact, or with the session that is linked to its number.
    ("acquaintance", Organisation),
    ("admin_key", System),
    ("api_key", Organisation),
    // Erased with its delivery, and that with its event.
    ("attempt", Organisation),
    // One without a session stays until it is deleted.
    ("auto_reply", Session),
    ("chat_timer", Session),
    ("command", Session),
    // Erased with its contact.
    ("consent", Organisation),
    // Erased with the last session that met it, unless it has opted out.
    ("contact", Organisation),
    // Erased with its contact.
    ("contact_word", Organisation),
    ("data_key", Organisation),
    ("delivery", Organisation),
    ("endpoint", Organisation),
    ("event", Session),
    // Erased with its message.
    ("fingerprint", Organisation),
    ("host", Host),
    ("idempotency", Session),
    ("key_lid", Session),
    ("key_member", Session),
    ("key_message", Session),
    ("key_prekey", Session),
    ("key_record", Session),
    ("key_secret", Session),
    ("key_token", Session),
    ("lane", Session),
    ("lease", Session),
    ("link", Session),
    ("live", Session),
    ("media", Session),
    ("message", Session),
    // A digest of a phone number, whichever organisations have linked it.
    ("number", System),
    ("number_check", Session),
    ("opt_in_link", Session),
    ("organisation", Organisation),
    // Counts for an hour, for the organisation, after its session is deleted, too.
    ("pairing_code", Organisation),
    // Erased with its message.
    ("receipt", Organisation),
    // A time of the organisation, and nothing of its sessions.
    ("request_budget", Organisation),
    ("session", Organisation),
    ("vault_check", System),
];

async fn erase_says_whose_the_rows_of_every_table_are(backing: Backing) -> Result<Finished> {
    let world = World::with(backing, Setup::quick()).await?;
    let database = &world.gateway.database;
    let owners: BTreeMap<_, _> = OWNERS.iter().copied().collect();
    let tables = database.tables().await?;
    let ours: Vec<_> = tables
        .iter()
        .map(String::as_str)
        .filter(|table| !table.starts_with("_sqlx_"))
        .collect();
    for table in &ours {
        let columns = database.columns(table).await?;
        let has = |column: &str| columns.iter().any(|one| one == column);
        let owner = owners.get(table);
        let fits = match owner {
            Some(Session) => has("session_id"),
            Some(Organisation) => has("org_id") || *table == "organisation",
            Some(Host | System) => !has("org_id") && !has("session_id"),
            None => false,
        };
        assert!(fits, "{table} {columns:?}: {owner:?}");
        // What names a session goes with it, or says here why not.
        assert!(
            !has("session_id") || owner == Some(&Session) || *table == "pairing_code",
            "{table} names a session"
        );
    }
    let listed: Vec<_> = owners.keys().copied().collect();
    assert_eq!(listed, ours, "tables that are not there any more");
    world.finish_with_work_undone().await
}

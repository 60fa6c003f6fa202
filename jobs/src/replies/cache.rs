//! The rules of organisations, compiled. They are read and compiled once after each change: the organisation's row has a
//! text that changes with them, and every inbound message reads it anyway.

use std::sync::Arc;

use passerelle_engine::{ids::OrgId, vault::DataKey};
use quick_cache::{Weighter, sync::Cache};
use sqlx::AnyConnection;

use super::{
    check,
    foreseen::Foreseen,
    matching::{Compiled, Heard},
    sealed,
    text::Wanted,
};
use crate::{
    error::{Fault, if_readable},
    model::{UNREADABLE, auto_reply::COMPILED_MAX},
    store,
};

/// Memory of all compiled rules of a process, about, in KiB.
const KIB_MAX: u64 = 64 * 1024;
/// How many organisations' rules are expected.
const ORGANISATIONS: usize = 1000;

/// An organisation's rules in the order in which they are tried.
#[derive(Debug)]
pub(crate) struct Ruleset {
    stamp: String,
    pub(super) rules: Vec<Compiled>,
}

impl Ruleset {
    /// Returns the rules that match a message, whatever the chat says.
    pub(super) fn matching(
        self: &Arc<Self>,
        heard: &Heard<'_>,
        foreseen: &Foreseen,
    ) -> Vec<&Compiled> {
        let matches = |rule: &&Compiled| {
            let is_text = heard.text.and_then(|text| foreseen.is(self, rule, text));
            rule.matches_if(heard, is_text).is_ok()
        };
        self.rules.iter().filter(matches).collect()
    }
}

#[derive(Debug, Clone)]
struct Weight;

impl Weighter<OrgId, Arc<Ruleset>> for Weight {
    fn weight(&self, _: &OrgId, rules: &Arc<Ruleset>) -> u64 {
        let kib = |rule: &Compiled| match rule.wanted {
            Some(Wanted::Regex(_)) => 2 * COMPILED_MAX as u64 / 1024,
            _ => 16,
        };
        1 + rules.rules.iter().map(kib).sum::<u64>()
    }
}

/// The compiled rules that this process remembers.
pub(crate) struct RuleCache(Cache<OrgId, Arc<Ruleset>, Weight>);

impl Default for RuleCache {
    fn default() -> Self {
        Self(Cache::with_weighter(ORGANISATIONS, KIB_MAX, Weight))
    }
}

impl RuleCache {
    /// Returns the organisation's rules as they were last read, if they are remembered.
    pub(super) fn known(&self, org: OrgId) -> Option<Arc<Ruleset>> {
        self.0.get(&org)
    }

    /// Returns the organisation's rules; `stamp` is what its row says now.
    pub(super) async fn of(
        &self,
        conn: &mut AnyConnection,
        key: &DataKey,
        org: OrgId,
        stamp: &str,
    ) -> Result<Arc<Ruleset>, Fault> {
        if let Some(known) = self.0.get(&org).filter(|known| known.stamp == stamp) {
            return Ok(known);
        }
        let rules = read(conn, key, org).await?;
        let rules = Arc::new(Ruleset {
            stamp: stamp.to_owned(),
            rules,
        });
        self.0.insert(org, Arc::clone(&rules));
        Ok(rules)
    }
}

/// Reads and compiles the rules. One that cannot be read, or that this version would refuse, is left out.
pub(super) async fn read(
    conn: &mut AnyConnection,
    key: &DataKey,
    org: OrgId,
) -> Result<Vec<Compiled>, Fault> {
    let rows = store::auto_replies::all(conn, org).await?;
    let mut rules = Vec::with_capacity(rows.len());
    for row in rows {
        let (id, session) = (row.id, row.session);
        let opened = if_readable("auto_reply", &id, sealed::open(key, org, &row))?;
        let Some(opened) = opened else { continue };
        match check::compile(id, session, opened.rule) {
            Ok(rule) => rules.push(rule),
            Err(_) => {
                tracing::error!(auto_reply.id = %id, code = UNREADABLE, "a rule for automatic replies is not valid any more");
            }
        }
    }
    Ok(rules)
}

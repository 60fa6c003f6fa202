//! A rule, as it is stored encrypted.

use passerelle_engine::{
    ids::OrgId,
    vault::{DataKey, Place},
};

use crate::{error::Fault, model::auto_reply::AutoReply, store::auto_replies::AutoReplyRow};

/// The label under which a rule is encrypted.
const RULE: &str = "auto_reply.rule";

pub(super) fn seal(key: &DataKey, org: OrgId, of: &AutoReply) -> Result<AutoReplyRow, Fault> {
    let record = of.id.to_string();
    Ok(AutoReplyRow {
        id: of.id,
        session: of.session,
        position: of.rule.position,
        rule_sealed: key.seal_json(&Place::of(org, RULE, &record), &of.rule)?,
        media: of.rule.answer.media().map(|(_, media)| media.media_id),
        hits: of.hits,
        last_hit_at: of.last_hit_at,
        created_at: of.created_at,
        updated_at: of.updated_at,
    })
}

pub(super) fn open(key: &DataKey, org: OrgId, row: &AutoReplyRow) -> Result<AutoReply, Fault> {
    let record = row.id.to_string();
    Ok(AutoReply {
        id: row.id,
        session: row.session,
        rule: key.open_json(&Place::of(org, RULE, &record), &row.rule_sealed)?,
        hits: row.hits,
        last_hit_at: row.last_hit_at,
        created_at: row.created_at,
        updated_at: row.updated_at,
    })
}

//! The people whom a message from WhatsApp mentions, as the organisation knows them.

use passerelle_engine::{content::Mention, ids::OrgId, store::Tx, vault::DataKey};

use crate::{
    contacts,
    error::{Fault, if_readable},
    store,
};

/// Adds to each mention the contact with its own phone. It takes one statement for all of them, and none for a message
/// without mentions.
pub(crate) async fn recognise(
    tx: &mut Tx,
    key: &DataKey,
    org: OrgId,
    mentions: &mut [Mention],
) -> Result<(), Fault> {
    if mentions.is_empty() {
        return Ok(());
    }
    let hex = |mac: [u8; 32]| hex::encode(mac);
    let asked = mentions.iter().map(|Mention { who, .. }| {
        let lid = who.lid.as_deref().map(|lid| contacts::lid_mac(key, lid));
        let phone = who.phone.as_ref();
        let phone = phone.map(|phone| contacts::phone_mac(key, phone));
        (lid.map(hex), phone.map(hex))
    });
    let asked: Vec<_> = asked.collect();
    for (place, row) in store::contacts::mentioned::find(tx, org, &asked).await? {
        let names = contacts::names(key, org, &row);
        let (Some(mention), Some(names)) = (
            mentions.get_mut(place),
            if_readable("contact", &row.id, names)?,
        ) else {
            continue;
        };
        let who = &mut mention.who;
        who.phone = names.phone.or(who.phone.take());
        who.lid = names.lid.or(who.lid.take());
        mention.contact_id = Some(row.id);
    }
    Ok(())
}

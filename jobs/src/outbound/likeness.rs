//! What nearly the same text went to: first messages to people who never wrote.

use std::collections::BTreeMap;

use passerelle_engine::{
    clock::Millis,
    content::Content,
    ids::{ContactId, OrgId},
    store::Tx,
    vault::DataKey,
};

use crate::{
    error::Fault,
    model::millis,
    safety::{decide::ALIKE_WITHIN, likeness::Fingerprint},
    store::fingerprints,
};

/// Returns the fingerprint of what a message says; `None` if it says too little to be told from others.
pub(super) fn fingerprint(content: &Content, key: &DataKey) -> Option<Fingerprint> {
    let text = match content {
        Content::Text { body, .. } => Some(body.as_str()),
        other => other
            .media()
            .and_then(|(_, media)| media.caption.as_deref()),
    }?;
    let mac = key.mac("fingerprint", b"");
    let key = mac.first_chunk::<16>()?;
    Fingerprint::of(text, key)
}

/// Returns when nearly the same text went to others in the last 24 hours: one time for each of them, oldest first. With
/// `waiting`, those that it has not gone to yet count, too.
pub(super) async fn alike(
    tx: &mut Tx,
    (org, contact): (OrgId, ContactId),
    own: &Fingerprint,
    waiting: bool,
    now: Millis,
) -> Result<Vec<Millis>, Fault> {
    let since = now.saturating_sub(millis(ALIKE_WITHIN));
    let known = fingerprints::recent(tx.conn(), org, since).await?;
    let near = known.iter().filter(|known| {
        let other = Fingerprint::from_bytes(&known.value);
        known.contact != contact
            && (waiting || known.is_sent)
            && other.is_some_and(|other| own.is_near(&other))
    });
    let last: BTreeMap<_, _> = near.map(|known| (known.contact, known.at)).collect();
    let mut times: Vec<_> = last.into_values().collect();
    times.sort_unstable();
    Ok(times)
}

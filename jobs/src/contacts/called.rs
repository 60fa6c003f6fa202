//! What contacts are called: the names that WhatsApp gives, and the tenant's own.
//!
//! A contact is found by the words of its names, each as a MAC, since the names are sealed.

use passerelle_engine::{
    content::SenderNames,
    ids::{ContactId, OrgId},
    store::Tx,
    vault::{DataKey, Place},
};

use super::Book;
use crate::{
    error::{Fault, if_readable},
    model::contact::Called,
    plain::plain,
    store::{self, contacts::people::NamesRow},
};

const OWN: &str = "contact.name";
const PUSH: &str = "contact.push_name";
const VERIFIED: &str = "contact.verified_name";
const METADATA: &str = "contact.metadata";
/// The label of the words by which a contact is found.
const WORD: &str = "contact.word";
/// The most words of a name by which a contact is found.
const WORDS_MAX: usize = 8;

/// Decrypts the names of a contact. A name that cannot be read is none.
pub(crate) fn open(
    key: &DataKey,
    (org, id): (OrgId, ContactId),
    row: &NamesRow,
) -> Result<Called, Fault> {
    let record = id.to_string();
    let open = |table, sealed: &Option<Vec<u8>>| {
        let Some(sealed) = sealed else {
            return Ok(None);
        };
        let opened = key.open(&Place::of(org, table, &record), sealed);
        let opened = if_readable("contact", &record, opened.map_err(Fault::from))?;
        Ok::<_, Fault>(opened.map(|name| String::from_utf8_lossy(&name).into_owned()))
    };
    Ok(Called {
        own: open(OWN, &row.own)?,
        push_name: open(PUSH, &row.push_name)?,
        verified_name: open(VERIFIED, &row.verified_name)?,
    })
}

fn seal(key: &DataKey, (org, id): (OrgId, ContactId), called: &Called) -> NamesRow {
    let record = id.to_string();
    let seal = |table, name: &Option<String>| {
        let name = name.as_ref()?;
        Some(key.seal(&Place::of(org, table, &record), name.as_bytes()))
    };
    NamesRow {
        own: seal(OWN, &called.own),
        push_name: seal(PUSH, &called.push_name),
        verified_name: seal(VERIFIED, &called.verified_name),
    }
}

/// Returns the words of a name, as they are looked up.
pub(crate) fn words(key: &DataKey, name: &str) -> Vec<[u8; 32]> {
    let name = plain(name);
    let words = name.split(' ').filter(|word| !word.is_empty());
    let words = words.take(WORDS_MAX);
    words.map(|word| key.mac(WORD, word.as_bytes())).collect()
}

/// Stores what a contact is called.
pub(crate) async fn keep(
    tx: &mut Tx,
    key: &DataKey,
    (org, id): (OrgId, ContactId),
    called: &Called,
) -> Result<(), sqlx::Error> {
    let names = [&called.own, &called.push_name, &called.verified_name];
    let mut found_by: Vec<_> = names
        .into_iter()
        .flatten()
        .flat_map(|name| words(key, name))
        .collect();
    found_by.sort_unstable();
    found_by.dedup();
    let row = seal(key, (org, id), called);
    store::contacts::people::describe(tx, org, id, &row, &found_by).await
}

/// Encrypts metadata.
pub(crate) fn seal_metadata(
    key: &DataKey,
    (org, id): (OrgId, ContactId),
    metadata: &std::collections::BTreeMap<String, String>,
) -> Result<Option<Vec<u8>>, Fault> {
    if metadata.is_empty() {
        return Ok(None);
    }
    let record = id.to_string();
    Ok(Some(
        key.seal_json(&Place::of(org, METADATA, &record), metadata)?,
    ))
}

/// Decrypts metadata. Metadata that cannot be read is empty.
pub(crate) fn open_metadata(
    key: &DataKey,
    (org, id): (OrgId, ContactId),
    sealed: Option<&[u8]>,
) -> Result<std::collections::BTreeMap<String, String>, Fault> {
    let Some(sealed) = sealed else {
        return Ok(std::collections::BTreeMap::new());
    };
    let record = id.to_string();
    let opened = key.open_json(&Place::of(org, METADATA, &record), sealed);
    Ok(if_readable("contact", &record, opened.map_err(Fault::from))?.unwrap_or_default())
}

/// The names of a contact after a message, and whether one that was known has changed.
pub(crate) struct Heard {
    pub(crate) called: Called,
    pub(crate) is_changed: bool,
}

impl Book<'_> {
    /// Learns what a message says of its sender's names; `known` is what is stored. A message that says nothing of a name
    /// changes nothing.
    pub(crate) async fn learn_names(
        &self,
        tx: &mut Tx,
        id: ContactId,
        known: &NamesRow,
        said: SenderNames,
    ) -> Result<Heard, Fault> {
        let mut called = open(self.key, (self.org, id), known)?;
        let before = called.clone();
        called.push_name = said.push_name.or(called.push_name);
        called.verified_name = said.verified_name.or(called.verified_name);
        let is_new = called != before;
        if is_new {
            // The tenant may name the contact at the same time.
            if let Some(held) = store::contacts::people::hold(tx, self.org, id).await? {
                called.own = open(self.key, (self.org, id), &held.names)?.own;
            }
            keep(tx, self.key, (self.org, id), &called).await?;
        }
        // The first names come with the message itself.
        let was_called = before.push_name.is_some() || before.verified_name.is_some();
        Ok(Heard {
            called,
            is_changed: is_new && was_called,
        })
    }

    /// Gives the contact `one` the names and the metadata of `other`, as far as it has none of its own.
    pub(super) async fn inherit(
        &self,
        tx: &mut Tx,
        one: ContactId,
        other: ContactId,
    ) -> Result<(), Fault> {
        let (org, key) = (self.org, self.key);
        let theirs = store::contacts::people::own_row(tx.conn(), org, other).await?;
        let ours = store::contacts::people::own_row(tx.conn(), org, one).await?;
        let (Some(theirs), Some(ours)) = (theirs, ours) else {
            return Ok(());
        };
        let theirs_called = open(key, (org, other), &theirs.names)?;
        let before = open(key, (org, one), &ours.names)?;
        let called = Called {
            own: before.own.clone().or(theirs_called.own),
            push_name: before.push_name.clone().or(theirs_called.push_name),
            verified_name: before.verified_name.clone().or(theirs_called.verified_name),
        };
        if called != before {
            keep(tx, key, (org, one), &called).await?;
        }
        if theirs.metadata_sealed.is_some() {
            let mut metadata = open_metadata(key, (org, other), theirs.metadata_sealed.as_deref())?;
            metadata.extend(open_metadata(
                key,
                (org, one),
                ours.metadata_sealed.as_deref(),
            )?);
            let sealed = seal_metadata(key, (org, one), &metadata)?;
            store::contacts::people::set_metadata(tx, org, one, sealed.as_deref()).await?;
        }
        keep(tx, key, (org, other), &Called::default()).await?;
        Ok(())
    }
}

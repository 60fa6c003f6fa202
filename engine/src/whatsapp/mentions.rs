//! The people whom an incoming message mentions.

use whatsapp_rust::{Client, Jid};

use super::{jid::phone, wire::Read};

/// The most people who are mentioned by an unknown LID and are looked for in the key store.
const UNKNOWN_MAX: usize = 8;

/// Adds the phone numbers of people who are mentioned by LID.
pub(super) async fn with_phones(client: &Client, mut read: Read) -> Read {
    let mut unknown = 0;
    for mention in &mut read.context.mentions {
        let who = &mut mention.who;
        let (None, Some(lid)) = (&who.phone, &who.lid) else {
            continue;
        };
        match client.get_lid_pn_entry(&Jid::lid(lid.as_str())).await {
            Ok(Some(entry)) => who.phone = phone(&entry.phone_number),
            _ => unknown += 1,
        }
        if unknown == UNKNOWN_MAX {
            break;
        }
    }
    read
}

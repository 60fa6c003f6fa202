//! Profile pictures.

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::{connection::Connection, send::address};
use crate::content::Recipient;

/// Where WhatsApp keeps a profile picture.
#[derive(Clone, Serialize, Deserialize)]
pub struct Avatar {
    /// WhatsApp's id of the picture, which changes with it.
    pub id: String,
    /// Its address at WhatsApp. It is valid for some hours.
    pub url: String,
}

impl std::fmt::Debug for Avatar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[sealed]")
    }
}

impl Connection {
    /// Returns the profile picture of a person. `None` if there is none, or this number may not see it. Each call is a
    /// query.
    pub async fn avatar(&self, of: &Recipient) -> anyhow::Result<Option<Avatar>> {
        let jid = address(of).context("the contact has no valid address")?;
        let contacts = self.client().contacts();
        let picture = contacts.get_profile_picture(&jid, false).await?;
        Ok(picture.map(|picture| Avatar {
            id: picture.id,
            url: picture.url,
        }))
    }
}

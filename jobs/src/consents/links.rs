//! Opt-in links. Each leads to a chat with a session's number, with a text that has a code in it. A contact who sends it
//! agrees to get messages.

use passerelle_engine::{
    clock::Millis,
    ids::{OptInLinkId, OrgId, SessionId},
    vault::DataKey,
};
use rand::{Rng, RngExt as _};
use url::form_urlencoded::byte_serialize;

use super::sealed;
use crate::{
    error::Fault,
    model::{
        Listed, Page,
        consent::{LinkTarget, OptInLink},
    },
    queries::{ListRead, bounded},
    services::Services,
    sessions,
    store::{self, opt_in_links::LinkRow},
};

/// The most links of a session.
pub const LINKS_MAX: i64 = 1000;
/// The most characters of the text before a code.
pub const TEXT_MAX: usize = 300;
/// The text before a code if the tenant gives none.
pub const TEXT: &str = "I would like to get messages from you. My code:";

/// The characters of codes. None of them looks like another one.
const LETTERS: &[u8; 31] = b"ABCDEFGHJKMNPQRSTUVWXYZ23456789";
/// A code has two groups of so many characters, with a hyphen between them.
const GROUP: usize = 5;

/// A link to make.
#[derive(Debug, Clone, Default)]
pub struct New {
    /// The text before the code.
    pub text: Option<String>,
    /// The code counts until then.
    pub expires_at: Option<Millis>,
}

/// Why a link was not made.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// No such session.
    #[error("no such session")]
    NoSession,
    /// The session is not linked, so it has no number.
    #[error("the session is not linked")]
    NotLinked,
    /// It would have expired already.
    #[error("the link has expired already")]
    Expired,
    /// The session has as many links as it may have.
    #[error("the session has too many links")]
    TooMany,
    /// The gateway failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<sqlx::Error> for LinkError {
    fn from(error: sqlx::Error) -> Self {
        Self::Fault(error.into())
    }
}

/// Makes a link to the session's number.
pub async fn create(
    services: &Services,
    org: OrgId,
    session: SessionId,
    new: New,
) -> Result<OptInLink, LinkError> {
    let now = services.clock().now();
    if new.expires_at.is_some_and(|at| at <= now) {
        return Err(LinkError::Expired);
    }
    let found = sessions::read(services, org, session).await?;
    let found = found.ok_or(LinkError::NoSession)?;
    let phone = found.me.and_then(|me| me.phone);
    let phone = phone.ok_or(LinkError::NotLinked)?;
    let link = OptInLink {
        id: OptInLinkId::new(services.clock()),
        session,
        target: LinkTarget {
            phone: phone.as_str().to_owned(),
            text: new.text.unwrap_or_else(|| TEXT.to_owned()),
            code: new_code(&mut services.chance()),
        },
        created_at: now,
        expires_at: new.expires_at,
    };
    let key = services.vault().org_key(org).await.map_err(Fault::from)?;
    let row = LinkRow {
        id: link.id,
        sealed: sealed::seal_link(&key, org, link.id, &link.target)?,
        created_at: link.created_at,
        expires_at: link.expires_at,
    };
    let mac = code_mac(&key, &link.target.code);
    let write = services.store().write_in_time(org, move |tx| {
        Box::pin(async move {
            store::lanes::lock(tx, org, session).await?;
            if store::opt_in_links::count(tx, org, session).await? >= LINKS_MAX {
                return Err(LinkError::TooMany);
            }
            let made = store::opt_in_links::insert(tx, org, session, &mac, &row).await?;
            made.then_some(()).ok_or(LinkError::NoSession)
        })
    });
    write.await?;
    Ok(link)
}

/// Returns the links of a session, the newest first.
pub async fn list(
    services: &Services,
    org: OrgId,
    session: SessionId,
    page: &Page<OptInLinkId>,
) -> Result<Listed<OptInLink>, Fault> {
    let key = services.vault().org_key(org).await?;
    let mut read = ListRead::begin(services, org).await?;
    let rows = bounded(store::opt_in_links::list(read.conn(), org, session, page)).await;
    let rows = read.end(rows)?;
    let id = |row: &LinkRow| row.id.to_string();
    Ok(rows.open("opt_in_link", id, |row| open(&key, (org, session), &row)))
}

/// Returns a link, or `None` if there is none.
pub async fn read(
    services: &Services,
    org: OrgId,
    session: SessionId,
    id: OptInLinkId,
) -> Result<Option<OptInLink>, Fault> {
    let key = services.vault().org_key(org).await?;
    let mut conn = services.store().read(org).await?;
    let row = store::opt_in_links::read(&mut conn, org, session, id).await?;
    row.map(|row| open(&key, (org, session), &row)).transpose()
}

/// Deletes a link: its code counts no longer. Returns whether there was one.
pub async fn delete(
    services: &Services,
    org: OrgId,
    session: SessionId,
    id: OptInLinkId,
) -> Result<bool, Fault> {
    let write = services.store().write_in_time(org, move |tx| {
        Box::pin(async move { store::opt_in_links::delete(tx, org, session, id).await })
    });
    Ok(write.await?)
}

fn open(
    key: &DataKey,
    (org, session): (OrgId, SessionId),
    row: &LinkRow,
) -> Result<OptInLink, Fault> {
    Ok(OptInLink {
        id: row.id,
        session,
        target: sealed::open_link(key, org, row.id, &row.sealed)?,
        created_at: row.created_at,
        expires_at: row.expires_at,
    })
}

impl LinkTarget {
    /// Returns the text that the contact sends.
    pub fn message(&self) -> String {
        format!("{} {}", self.text, self.code)
    }

    /// Returns the address that opens the chat with this text.
    pub fn url(&self) -> String {
        let digits = self.phone.trim_start_matches('+');
        let message = self.message();
        let text: String = byte_serialize(message.as_bytes()).collect();
        // WhatsApp shows a plus sign as it is.
        format!("https://wa.me/{digits}?text={}", text.replace('+', "%20"))
    }
}

fn new_code(chance: &mut impl Rng) -> String {
    let mut code = String::with_capacity(2 * GROUP + 1);
    for n in 0..2 * GROUP {
        if n == GROUP {
            code.push('-');
        }
        code.push(LETTERS[chance.random_range(0..LETTERS.len())].into());
    }
    code
}

/// Returns the look-up form of a code.
pub(super) fn code_mac(key: &DataKey, code: &str) -> [u8; 32] {
    key.mac("opt_in_link.code", code.as_bytes())
}

/// Returns the code in a text, if there is one, whatever its case. Most texts have none, and cost no look-up.
pub(super) fn find_code(text: &str) -> Option<String> {
    let of_word = |word: &str| {
        let (first, second) = word.split_once('-')?;
        let is_group = |group: &str| {
            let known = |letter: u8| LETTERS.contains(&letter.to_ascii_uppercase());
            group.len() == GROUP && group.bytes().all(known)
        };
        (is_group(first) && is_group(second)).then(|| word.to_ascii_uppercase())
    };
    let plain = |one: char| one != '-' && !one.is_ascii_alphanumeric();
    text.split(plain).find_map(of_word)
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng as _, rngs::StdRng};

    use super::*;

    #[test]
    fn consent_a_code_is_found_in_any_text_and_nothing_else_is_one() {
        let code = new_code(&mut StdRng::seed_from_u64(7));
        for text in [
            code.clone(),
            format!("{TEXT} {code}"),
            format!("Hallo,\nmein Code: ({}).", code.to_lowercase()),
            format!("*{code}*, بله"),
        ] {
            assert_eq!(find_code(&text), Some(code.clone()), "{text}");
        }
        for text in [
            "",
            "stop",
            "well-known",
            "ABCDE-FGH",
            "ABCDE-FGHJ0",
            "ABCDE-FGHJK-MNPQR",
            "xABCDE-FGHJK",
            "see you at ABCDE",
        ] {
            assert_eq!(find_code(text), None, "{text}");
        }
    }

    #[test]
    fn consent_a_link_has_its_text_and_code_in_its_address() {
        let target = LinkTarget {
            phone: "+491510000001".to_owned(),
            text: "Ja, gerne & über 1+1:".to_owned(),
            code: "ABCDE-FGHJK".to_owned(),
        };
        assert_eq!(
            target.url(),
            "https://wa.me/491510000001?text=Ja%2C%20gerne%20%26%20%C3%BCber%201%2B1%3A%20ABCDE-FGHJK"
        );
    }
}

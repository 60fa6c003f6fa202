//! Lists: a page at a time, newest first, by an opaque cursor.

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use passerelle_jobs::{
    Services,
    model::{Listed, Page},
};

use crate::{
    problem::{Code, Problem},
    types::Named,
};

const PURPOSE: &str = "cursor";
const MAC_LEN: usize = 8;

/// The page that `limit` and `cursor` ask for. A cursor is an id and a digest of it: one that
/// this gateway did not make is refused, so its form can change.
pub(crate) fn page<Id: Named>(
    services: &Services,
    limit: u32,
    cursor: Option<&str>,
) -> Result<Page<Id>, Problem> {
    let after = match cursor {
        None => None,
        Some(cursor) => Some(open(services, cursor).ok_or_else(|| {
            Problem::new(Code::InvalidCursor).parameter(
                "cursor",
                "invalid_cursor",
                "not a `next_cursor` of this list",
            )
        })?),
    };
    Ok(Page {
        limit: i64::from(limit),
        after,
    })
}

fn open<Id: Named>(services: &Services, cursor: &str) -> Option<Id> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let (id, mac) = bytes.split_at_checked(bytes.len().checked_sub(MAC_LEN)?)?;
    (services.mac(PURPOSE, id)[..MAC_LEN] == *mac).then_some(())?;
    std::str::from_utf8(id).ok()?.parse().ok()
}

/// The cursor of the page after this one.
pub(crate) fn next<T>(
    services: &Services,
    listed: &Listed<T>,
    id: impl Fn(&T) -> String,
) -> Option<String> {
    let last = listed.items.last().filter(|_| listed.more)?;
    let id = id(last);
    let mut bytes = id.clone().into_bytes();
    bytes.extend_from_slice(&services.mac(PURPOSE, id.as_bytes())[..MAC_LEN]);
    Some(BASE64_URL_SAFE_NO_PAD.encode(bytes))
}

/// The JSON of a list.
macro_rules! list_of {
    ($(#[$doc:meta])* $name:ident, $item:ty) => {
        $(#[$doc])*
        #[derive(Debug, serde::Serialize, poem_openapi::Object)]
        pub struct $name {
            /// Newest first.
            pub data: Vec<$item>,
            /// Whether there are older ones.
            pub has_more: bool,
            /// The `cursor` of the next page, when there is one.
            #[oai(skip_serializing_if_is_none)]
            #[serde(skip_serializing_if = "Option::is_none")]
            pub next_cursor: Option<String>,
        }
    };
}
pub(crate) use list_of;

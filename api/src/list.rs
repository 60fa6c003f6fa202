//! Lists: newest first, one page at a time, with an opaque cursor.

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use passerelle_jobs::{
    Services,
    error::Fault,
    model::{self, Listed, Page, UNREADABLE},
};
use poem_openapi::Object;
use serde::Serialize;

use crate::{
    body::Success,
    problem::{Code, Problem},
    types::Named,
};

const PURPOSE: &str = "cursor";
const MAC_LEN: usize = 8;

/// The answer of an operation that lists something.
pub(crate) trait List {
    /// The items of the list.
    type Item;

    fn of(
        data: Vec<Self::Item>,
        unreadable: Option<Vec<UnreadableRow>>,
        has_more: bool,
        next_cursor: Option<String>,
    ) -> Self;
}

/// An item that the gateway cannot read: its stored values are damaged, or were written by a later version.
#[derive(Debug, Serialize, Object)]
pub struct UnreadableRow {
    /// The item's id.
    pub id: String,
    /// Always `unreadable_row`.
    pub code: String,
}

impl From<model::UnreadableRow> for UnreadableRow {
    fn from(row: model::UnreadableRow) -> Self {
        Self {
            id: row.id,
            code: UNREADABLE.to_owned(),
        }
    }
}

/// Answers with the page that `limit` and `cursor` request. `load` reads it from the store.
pub(crate) async fn answer<L, Id, Row, Loading>(
    services: &Services,
    limit: u32,
    cursor: Option<&str>,
    load: impl FnOnce(Page<Id>) -> Loading,
) -> Result<Success<L>, Problem>
where
    L: List,
    Id: Named,
    Row: Into<L::Item>,
    Loading: Future<Output = Result<Listed<Row>, Fault>>,
{
    let after = cursor.map(|cursor| {
        open(services, cursor).ok_or_else(|| {
            Problem::new(Code::InvalidCursor).parameter(
                "cursor",
                "invalid_cursor",
                "not a `next_cursor` of this list",
            )
        })
    });
    let page = Page {
        limit: i64::from(limit),
        after: after.transpose()?,
    };
    let listed = load(page).await?;
    let data = listed.items.into_iter().map(Into::into).collect();
    let unreadable: Vec<_> = listed.unreadable.into_iter().map(Into::into).collect();
    let unreadable = (!unreadable.is_empty()).then_some(unreadable);
    let last = listed.last.filter(|_| listed.more);
    let next_cursor = last.map(|last| seal(services, last));
    Ok(Success::of(L::of(
        data,
        unreadable,
        listed.more,
        next_cursor,
    )))
}

/// Returns a cursor: an id and a digest of it. Other cursors are refused, so the format can change.
fn seal(services: &Services, id: String) -> String {
    let mac = services.mac(PURPOSE, id.as_bytes());
    let mut bytes = id.into_bytes();
    bytes.extend_from_slice(&mac[..MAC_LEN]);
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

fn open<Id: Named>(services: &Services, cursor: &str) -> Option<Id> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let (id, mac) = bytes.split_at_checked(bytes.len().checked_sub(MAC_LEN)?)?;
    (services.mac(PURPOSE, id)[..MAC_LEN] == *mac).then_some(())?;
    std::str::from_utf8(id).ok()?.parse().ok()
}

/// Defines the JSON of a list.
macro_rules! list_of {
    ($(#[$doc:meta])* $name:ident, $item:ty) => {
        $(#[$doc])*
        #[derive(Debug, serde::Serialize, poem_openapi::Object)]
        pub struct $name {
            /// The items, newest first.
            pub data: Vec<$item>,
            /// The items of this page that cannot be read. They are not in `data`, but count as part of the
            /// page. Absent if there are none.
            #[oai(skip_serializing_if_is_none)]
            #[serde(skip_serializing_if = "Option::is_none")]
            pub unreadable: Option<Vec<crate::list::UnreadableRow>>,
            /// Whether there are older items.
            pub has_more: bool,
            /// The `cursor` of the next page, if there is one.
            #[oai(skip_serializing_if_is_none)]
            #[serde(skip_serializing_if = "Option::is_none")]
            pub next_cursor: Option<String>,
        }

        impl crate::list::List for $name {
            type Item = $item;

            fn of(
                data: Vec<$item>,
                unreadable: Option<Vec<crate::list::UnreadableRow>>,
                has_more: bool,
                next_cursor: Option<String>,
            ) -> Self {
                Self { data, unreadable, has_more, next_cursor }
            }
        }
    };
}
pub(crate) use list_of;

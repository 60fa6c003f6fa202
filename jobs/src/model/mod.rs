//! The domain's own types, as the store keeps them and the API shows them.

/// Names the variants of an enum in text, as the store and the API write them.
macro_rules! words {
    ($($word:ident),*) => {$(
        impl $word {
            /// Every variant.
            pub const ALL: &[Self] = <Self as strum::VariantArray>::VARIANTS;

            /// Returns the text that the store and the API write.
            pub fn as_str(self) -> &'static str {
                self.into()
            }

            /// Parses the text; returns `None` if it is another one.
            pub fn parse(text: &str) -> Option<Self> {
                text.parse().ok()
            }
        }
    )*};
}

mod ahead;
mod auto_reject;
pub mod auto_reply;
mod class;
pub mod client_data;
pub mod consent;
pub mod contact;
mod decided;
pub mod delivery;
pub mod endpoint;
pub mod event;
pub mod group;
pub mod headers;
mod live;
mod media;
mod message;
pub mod number;
mod opt_out;
mod page;
pub mod pattern;
mod permission;
mod priority;
mod purpose;
pub mod receipt;
mod session;
mod tenant;
mod time;
pub mod token;
mod unreadable;

pub use ahead::{Ahead, Later};
pub use auto_reject::AutoReject;
pub use class::Class;
pub(crate) use decided::{Decided, waits_and_class};
pub use live::{Live, Qr, State};
pub use media::{MediaFile, MediaStatus, Origin, StoredFile};
pub use message::{Direction, Message, Source, Status};
pub(crate) use opt_out::OptOutCheck;
pub use opt_out::{OptOut, OptOutSettings, OptOutSource};
pub use page::{Listed, PAGE_MAX, Page, UnreadableRow};
pub(crate) use permission::Permission;
pub use priority::Priority;
pub use purpose::Purpose;
pub use session::{Desired, EndReason, Presence, Session, Uncertain};
pub use tenant::{ApiKey, Organisation};
pub use time::rfc3339;
pub(crate) use time::{millis, until};
pub use unreadable::UNREADABLE;
pub(crate) use unreadable::{INTERNAL, report_unreadable};

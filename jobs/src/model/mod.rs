//! The domain's own types, as the store keeps them and the API shows them.

pub mod delivery;
pub mod endpoint;
pub mod event;
mod live;
mod media;
mod message;
pub mod number;
mod page;
mod session;
mod tenant;
mod time;
pub mod token;

pub use live::{Live, Qr, State};
pub use media::{MediaFile, MediaStatus, Origin, StoredFile};
pub use message::{Direction, Message, Status};
pub use page::{Listed, PAGE_MAX, Page};
pub use session::{Desired, Session, Uncertain};
pub use tenant::{ApiKey, Organisation};
pub use time::rfc3339;
pub(crate) use time::{millis, until};

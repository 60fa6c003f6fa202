//! The domain's own types, as the store keeps them and the front door shows them.

pub mod delivery;
pub mod endpoint;
mod live;
mod media;
mod message;
mod page;
mod session;
mod tenant;

pub use live::{Live, Qr, State};
pub use media::{MediaFile, MediaStatus, Origin, StoredFile};
pub use message::{Direction, Message, Status};
pub use page::{Listed, PAGE_MAX, Page};
pub use session::{Desired, Session, Uncertain};
pub use tenant::{ApiKey, Organisation};

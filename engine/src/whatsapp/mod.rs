//! One live connection to WhatsApp: pair, send, listen.
//!
//! Together with the key store the only place that names the library (whatsapp-rust, wacore).
//!
//! | page | what it holds |
//! |---|---|
//! | `address` | which server, and which builds may talk to it |
//! | `tls`, `transport`, `http`, `version` | what the library stands on: sockets, media, the web version |
//! | `connect_limiter`, `connect_slot` | how fast connections are opened, and whose turn it is |
//! | `handle`, `connection` | what all connections of the process share; one connection |
//! | `connect` | opening a connection, pairing, and the ways it ends |
//! | `outgoing`, `send` | what is sent; sending and typing |
//! | `find`, `timelock` | who has an account; whether the number may open new chats |
//! | `groups` | which groups the number is in |
//! | `jid`, `wa_id` | WhatsApp's names of accounts, and its ids of messages |
//! | `mark`, `named` | receipts for what came in; which message that is |
//! | `media` | files to and from WhatsApp's media hosts |
//! | [`event`], [`inbound`] | what a connection tells; a message that came in |
//! | `listen`, `late`, `tell` | incoming messages; those that come beside the hook; all other events |
//! | `wire` | contents as WhatsApp writes them, both ways |
//!
//! History that a phone sends after linking is read by the library for the privacy tokens it
//! carries, without which WhatsApp refuses messages to people the number knows; its content is not
//! listened to and so never kept.

mod address;
mod connect;
mod connect_limiter;
mod connect_slot;
mod connection;
pub mod event;
mod find;
mod groups;
mod handle;
mod http;
pub mod inbound;
mod jid;
mod late;
mod listen;
mod mark;
mod media;
mod named;
mod outgoing;
mod send;
mod tell;
mod timelock;
mod tls;
mod transport;
mod version;
mod wa_id;
mod wire;

pub use self::{
    address::{NotAllowed, ServerAddress},
    connect::{ConnectionOptions, PairingError},
    connect_limiter::{Connects, Urgency},
    connection::Connection,
    groups::JoinedGroup,
    handle::WhatsApp,
    late::Late,
    mark::Mark,
    media::FetchError,
    named::Named,
    outgoing::{Attached, Outgoing, Uploaded},
    send::{NOT_IN_GROUP, SendError, Typing},
    wa_id::new_wa_id,
    wire::{Ballot, clean_file_name},
};

/// Log directives that keep phone numbers, LIDs and pairing codes out of the logs: the library
/// names them in messages of level info and in a few warnings. To be added last to whatever filter
/// the operator sets. What matters of those messages comes as events and errors of ours.
pub const LOG_FILTER: &str = "whatsapp_rust=off,whatsapp_rust_tokio_transport=off,wacore=off,\
    wacore_appstate=off,wacore_binary=off,wacore_libsignal=off,wacore_noise=off,waproto=off,\
    Client=off,Bot=off,AppState=off,usync=off,blocklist=off,Blocking=off,UnifiedSession=off,\
    ChatstateHandler=off,Chatstate=off,TcToken=off,PresenceHandler=off,MessageQueue=off,Mex=off";

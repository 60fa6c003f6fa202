//! One live connection to WhatsApp: pair, send, receive.
//!
//! This module, `keystore` and `media` are the only ones that use the library (whatsapp-rust,
//! wacore).
//!
//! | page | what it holds |
//! |---|---|
//! | `address` | the server, and which builds may connect to it |
//! | `tls`, `transport`, `http`, `version` | what the library needs: TLS, sockets, HTTP, the web version |
//! | `connect_bucket`, `connect_limiter`, `connect_slot` | how fast connections are opened, and which is next |
//! | `handle`, `connection` | what all connections of the process share; one connection |
//! | `connect` | opening a connection, pairing, stopping |
//! | `outgoing`, `send` | an outgoing message; sending and typing |
//! | `find`, `avatar`, `timelock` | whether a number has an account; profile pictures; whether and how often this number may open new chats |
//! | `groups`, `member` | the groups that the number is in, and leaving one; their members |
//! | `group_changes` | what changes in them |
//! | `call` | calls to the number: reading and rejecting them |
//! | `jid`, `wa_id` | WhatsApp's names of accounts, and its message ids |
//! | `mark`, `named` | receipts for incoming messages; how WhatsApp names a message |
//! | `media` | files to and from WhatsApp's media hosts |
//! | `presence` | whether the number shows as online |
//! | [`event`], [`inbound`] | the events of a connection; an incoming message |
//! | [`raw`] | an incoming message as WhatsApp's schema has it, as JSON |
//! | `listen`, `mentions`, `tell` | receives messages; whom they mention; converts the library's events |
//! | `late`, `unstored` | messages that bypass the hook; how many of them are not stored yet |
//! | `wire` | contents in WhatsApp's format, both ways |
//!
//! After linking, a phone sends its history. The library reads it for the privacy tokens in it,
//! without which WhatsApp refuses messages to people whom the number knows. Its content is never
//! stored.

mod address;
mod avatar;
mod call;
mod connect;
mod connect_bucket;
mod connect_limiter;
mod connect_slot;
mod connection;
pub mod event;
mod find;
mod group_changes;
mod groups;
mod handle;
mod http;
pub mod inbound;
mod jid;
mod late;
mod listen;
mod mark;
mod media;
mod member;
mod mentions;
mod named;
mod outgoing;
mod presence;
pub mod raw;
mod send;
mod tell;
mod timelock;
mod tls;
mod transport;
mod unstored;
mod version;
mod wa_id;
mod wire;

pub use self::{
    address::{NotAllowed, ServerAddress},
    avatar::Avatar,
    call::{Call, CallEnd, CallMedia, CallRoute, CallStanza, Offer},
    connect::{ConnectionOptions, PairingError},
    connect_bucket::Connects,
    connect_limiter::{UNLINKED, Urgency},
    connection::Connection,
    group_changes::{
        GroupChange, GroupChanges, GroupNews, GroupSetting, NAMED, PeopleAction, PeopleChange,
    },
    groups::{GroupState, JoinedGroup, Member, Membership, Role},
    handle::WhatsApp,
    late::{Late, LateMessages},
    mark::Mark,
    media::FetchError,
    named::Named,
    outgoing::{Attached, Outgoing, Uploaded},
    presence::Presence,
    send::{NOT_IN_GROUP, SendError, Typing},
    timelock::{Capping, Timelock},
    wa_id::new_wa_id,
    wire::{Ballot, clean_file_name},
};

/// Log directives that keep phone numbers, LIDs and pairing codes out of the logs. The library
/// writes them in messages of level info and in a few warnings. Append these directives to the
/// operator's filter. Our own events and errors report what matters in those messages.
pub const LOG_FILTER: &str = "whatsapp_rust=off,whatsapp_rust_tokio_transport=off,wacore=off,\
    wacore_appstate=off,wacore_binary=off,wacore_libsignal=off,wacore_noise=off,waproto=off,\
    Client=off,Bot=off,AppState=off,usync=off,blocklist=off,Blocking=off,UnifiedSession=off,\
    ChatstateHandler=off,Chatstate=off,TcToken=off,PresenceHandler=off,MessageQueue=off,Mex=off";

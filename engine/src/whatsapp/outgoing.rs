//! An outgoing message.

use crate::{
    clock::Millis,
    content::{Content, Context},
    media::{Looks, SealedFile},
};

/// A message to send.
#[derive(Debug, Clone, Copy)]
pub struct Outgoing<'m> {
    /// What it carries.
    pub content: &'m Content,
    /// What goes with the content.
    pub context: &'m Context,
    /// The uploaded file, if the content has one.
    pub attached: Option<&'m Attached>,
    /// The chat's messages disappear so many seconds after they were sent.
    pub expires_in: Option<u32>,
    /// When, in milliseconds UTC. Reactions and edits contain the time.
    pub at: Millis,
}

/// A file to send.
#[derive(Debug, Clone)]
pub struct Attached {
    /// The name of a document, if the content has none.
    pub file_name: Option<String>,
    /// Its key and digests.
    pub file: SealedFile,
    /// What a phone shows before it has downloaded the file.
    pub looks: Looks,
    /// Where WhatsApp keeps it.
    pub uploaded: Uploaded,
}

/// Where WhatsApp keeps a file that we uploaded.
#[derive(Debug, Clone)]
pub struct Uploaded {
    pub(super) url: String,
    pub(super) direct_path: String,
    pub(super) key_at: i64,
}

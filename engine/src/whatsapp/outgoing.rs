//! What a connection is given to send.

use crate::{
    clock::Millis,
    content::{Content, Context},
    media::{Looks, SealedFile},
};

/// What is sent.
#[derive(Debug, Clone, Copy)]
pub struct Outgoing<'m> {
    /// What it carries.
    pub content: &'m Content,
    /// What stands beside it.
    pub context: &'m Context,
    /// The file that the content carries, as WhatsApp has it.
    pub attached: Option<&'m Attached>,
    /// When, for the kinds whose form has it.
    pub at: Millis,
}

/// A file to send.
#[derive(Debug, Clone)]
pub struct Attached {
    /// What opens it.
    pub file: SealedFile,
    /// How it looks before it is loaded.
    pub looks: Looks,
    /// Where WhatsApp has it.
    pub uploaded: Uploaded,
}

/// Where WhatsApp put a file of ours.
#[derive(Debug, Clone)]
pub struct Uploaded {
    pub(super) url: String,
    pub(super) direct_path: String,
    pub(super) key_at: i64,
}

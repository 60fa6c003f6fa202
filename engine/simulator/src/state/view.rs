//! A message as the ledger and a screen show it. Fields that do not apply are left out.

use serde::Serialize;

/// A contact card.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Card {
    pub(crate) name: Option<String>,
    pub(crate) vcard: Option<String>,
}

/// A poll with its question and options.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Poll {
    pub(crate) name: Option<String>,
    pub(crate) options: Vec<String>,
    /// How many options a voter may choose. 0 means any number.
    pub(crate) selectable: Option<u32>,
}

/// The quoted message.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Quote {
    pub(crate) id: String,
    /// The author of the quoted message.
    pub(crate) from: Option<String>,
    /// The kind of the quoted message.
    #[serde(rename = "type")]
    pub(crate) kind: Option<&'static str>,
}

/// The result of downloading and decrypting a file.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Media {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) direct_path: Option<String>,
    /// SHA-256 of the plaintext, hex.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sha256: Option<String>,
    /// SHA-256 of the ciphertext, hex.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) enc_sha256: Option<String>,
    /// Bytes of plaintext.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) length: Option<u64>,
    /// Why it could not be downloaded or decrypted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) undecryptable: Option<String>,
}

macro_rules! view {
    ($($(#[$doc:meta])* $field:ident: $type:ty,)+) => {
        /// A message as people see it.
        #[derive(Clone, Debug, Default, Serialize)]
        pub(crate) struct View {
            /// Its kind.
            #[serde(rename = "type")]
            pub(crate) kind: &'static str,
            $(
                $(#[$doc])*
                #[serde(skip_serializing_if = "Option::is_none")]
                pub(crate) $field: Option<$type>,
            )+
        }
    };
}

view! {
    /// The text of a text or an edit. For a reaction, the emoji; it is empty if the reaction was
    /// removed.
    text: String,
    caption: String,
    mimetype: String,
    file_name: String,
    /// The title of a document, or of the page in a link preview.
    title: String,
    /// The description of the page in a link preview.
    description: String,
    /// Bytes, as the message states.
    file_length: u64,
    width: u32,
    height: u32,
    seconds: u32,
    pages: u32,
    /// Whether it is a voice note.
    ptt: bool,
    /// The number of samples in the waveform.
    waveform: usize,
    /// The bytes of the thumbnail.
    thumbnail: usize,
    gif: bool,
    animated: bool,
    latitude: f64,
    longitude: f64,
    /// The name of a place.
    name: String,
    address: String,
    contacts: Vec<Card>,
    poll: Poll,
    /// The options that a vote chose.
    options: Vec<String>,
    /// The message that is edited, deleted, reacted to or voted in.
    target: String,
    /// Whether that message was on the screen and this sender may change it.
    applied: bool,
    quoted: Quote,
    /// Numbers that are mentioned.
    mentions: Vec<String>,
    forwarded: bool,
    forwarding_score: u32,
    /// The address that the preview is for.
    link: String,
    view_once: bool,
    /// The message disappears after this many seconds.
    expires_seconds: u32,
    media: Media,
}

impl View {
    /// Returns an empty view of this kind.
    pub(crate) fn of(kind: &'static str) -> Self {
        Self {
            kind,
            ..Self::default()
        }
    }
}

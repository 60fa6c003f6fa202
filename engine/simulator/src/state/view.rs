//! The shape of a message in the ledger and on a screen. What does not apply is left out.

use serde::Serialize;

/// A contact card.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Card {
    pub(crate) name: Option<String>,
    pub(crate) vcard: Option<String>,
}

/// A poll as it was asked.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Poll {
    pub(crate) name: Option<String>,
    pub(crate) options: Vec<String>,
    /// How many options one may choose; 0 for any number.
    pub(crate) selectable: Option<u32>,
}

/// The message that is answered.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Quote {
    pub(crate) id: String,
    /// Who wrote it.
    pub(crate) from: Option<String>,
    /// The kind of what is quoted.
    #[serde(rename = "type")]
    pub(crate) kind: Option<&'static str>,
}

/// What came of downloading and opening a file.
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
    /// Why it could not be had or opened.
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
    /// Of a text or an edit; the emoji of a reaction, empty where one is taken back.
    text: String,
    caption: String,
    mimetype: String,
    file_name: String,
    /// Of a document, or of the page that a link leads to.
    title: String,
    /// Of that page.
    description: String,
    /// Bytes, as the message says.
    file_length: u64,
    width: u32,
    height: u32,
    seconds: u32,
    pages: u32,
    /// Recorded to be sent, not a file.
    ptt: bool,
    /// Samples of the waveform.
    waveform: usize,
    /// Bytes of the thumbnail.
    thumbnail: usize,
    gif: bool,
    animated: bool,
    latitude: f64,
    longitude: f64,
    /// Of a place.
    name: String,
    address: String,
    contacts: Vec<Card>,
    poll: Poll,
    /// What a vote chose.
    options: Vec<String>,
    /// The message that is edited, deleted, reacted to or voted in.
    target: String,
    /// Whether that message was on the screen and may be changed by this sender.
    applied: bool,
    quoted: Quote,
    /// Numbers that are named.
    mentions: Vec<String>,
    forwarded: bool,
    forwarding_score: u32,
    /// The address a preview was made for.
    link: String,
    view_once: bool,
    /// Disappears after so long.
    expires_seconds: u32,
    media: Media,
}

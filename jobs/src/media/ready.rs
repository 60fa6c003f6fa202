//! A file that was made ready to be sent.

use bytes::Bytes;
use passerelle_engine::media::Looks;

/// A file that may be sent.
pub(super) struct Ready {
    pub(super) bytes: Bytes,
    pub(super) looks: Looks,
}

/// Returns the facts of a file of which only the type is known.
pub(super) fn plain(mime_type: &str) -> Looks {
    Looks {
        mime_type: mime_type.to_owned(),
        ..Looks::default()
    }
}

//! A file that was made ready to be sent.

use bytes::Bytes;
use passerelle_engine::media::Looks;

/// A file that may be sent.
pub(super) struct Ready {
    pub(super) bytes: Bytes,
    pub(super) looks: Looks,
}

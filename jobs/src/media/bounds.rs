//! What decoding one file may take. Its memory is in [`decoding`](crate::state::decoding).

use std::time::Duration;

/// How long a picture or a sticker may take.
pub const PICTURE_WITHIN: Duration = Duration::from_secs(30);
/// How long a recording may take.
pub const RECORDING_WITHIN: Duration = Duration::from_mins(1);
/// How long the conversion of a film may take.
pub const FILM_WITHIN: Duration = Duration::from_mins(1);
/// The most bytes of a decoded picture: its sides times the bytes of a pixel.
pub(crate) const DECODED_MAX: u64 = 64 * 1024 * 1024;
/// The size in bytes of a sticker that does not move, and of one that does.
pub(crate) const STICKER_MAX: u64 = 100 * 1024;
pub(crate) const STICKER_MOVING_MAX: u64 = 500 * 1024;
/// The sides of a sticker.
pub(crate) const STICKER_SIDE: u32 = 512;

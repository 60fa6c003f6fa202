//! The limits of requests and connections: sizes, counts and deadlines.

#[cfg(test)]
mod page;

use std::{num::NonZeroU32, time::Duration};

/// The maximum size of a JSON body, in bytes.
pub const BODY_MAX: usize = 1 << 20;
/// The maximum size of a JSON body with a file in base64, in bytes: a file of 5 MiB and the other fields.
pub const BODY_WITH_FILE_MAX: usize = 8 << 20;
/// The most values in a JSON body. The largest message that is valid has a few hundred.
pub const JSON_VALUES_MAX: usize = 10_000;
/// The bytes of a form before its file begins.
pub const FORM_HEAD_MAX: usize = 16 << 10;
/// The longest pause in a streamed body.
pub const PAUSE_MAX: Duration = Duration::from_secs(30);
/// The least rate of a streamed body, in bytes per second, from [`UPLOAD_RATE_AFTER`] on.
pub const UPLOAD_RATE_MIN: u64 = 8 << 10;
/// When a streamed body must have reached [`UPLOAD_RATE_MIN`].
pub const UPLOAD_RATE_AFTER: Duration = Duration::from_secs(30);
/// The time from the headers to the answer, for a streamed body.
pub const UPLOAD_WITHIN: Duration = Duration::from_hours(1);
/// A body of at most this size, in bytes, has its memory apart from larger ones.
pub const SMALL_BODY: usize = 64 << 10;
/// The bytes of all small bodies that are held at once.
pub const SMALL_BODIES_MAX: usize = 16 << 20;
/// The bytes of small bodies that one organisation holds at once.
pub const SMALL_BODIES_OF_ONE: usize = 4 << 20;
/// The bytes of all larger bodies that are held at once.
pub const LARGE_BODIES_MAX: usize = 64 << 20;
/// The bytes of larger bodies that one organisation holds at once.
pub const LARGE_BODIES_OF_ONE: usize = 16 << 20;
/// How long a body waits for its memory. Then it is refused as `overloaded`.
pub const BODY_PATIENCE: Duration = Duration::from_secs(20);
/// The least time from a request to its answer with 429, so that asking again at once takes little from the others. A
/// connection that is refused before its request is read is told at once.
pub const REFUSAL_AFTER: Duration = Duration::from_millis(100);
/// When a client may try again that was refused because something is used up.
pub const RETRY_AFTER: Duration = Duration::from_secs(5);
/// The time from the end of a request (or the start of the connection) to the end of the next headers.
pub const HEADERS_WITHIN: Duration = Duration::from_secs(20);
/// The time that a client has to read why its connection ends.
pub const GOODBYE: Duration = Duration::from_secs(1);
/// How many clients are told at once why their connection ends. Others are not told.
pub const GOODBYES_MAX: usize = 64;
/// The maximum size of the headers, in bytes.
pub const HEADERS_MAX: usize = 32 << 10;
/// The time from the end of the headers to the end of the body.
pub const BODY_WITHIN: Duration = Duration::from_secs(30);
/// The time from the end of the body to the start of the answer.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// The longest time that a stream of QR codes may last.
pub const QR_STREAM_MAX: Duration = Duration::from_mins(5);
/// How often an open stream looks whether its key is still valid.
pub const KEY_LOOK: Duration = Duration::from_secs(30);
/// The maximum number of open connections. Further ones wait in the queue of the listener.
pub const CONNECTIONS_MAX: usize = 8192;
/// Default number of sessions that one organisation may have.
pub const SESSIONS_PER_ORGANISATION: i64 = 50;
/// Default number of requests per minute that one organisation may make.
pub const REQUESTS_PER_MINUTE: NonZeroU32 = NonZeroU32::new(600).expect("600 is not 0");
/// Default number of connections that one address may have open.
pub const CONNECTIONS_PER_ADDRESS: NonZeroU32 = NonZeroU32::new(256).expect("256 is not 0");
/// Keys that are not valid and that one address may present at once.
pub const REFUSED_KEYS_AT_ONCE: NonZeroU32 = NonZeroU32::new(60).expect("60 is not 0");
/// Keys that are not valid and that one address may present per second.
pub const REFUSED_KEYS_A_SECOND: NonZeroU32 = NonZeroU32::MIN;
/// The bytes of a stranger's body that are read and dropped.
pub(crate) const STRANGERS_DISCARD_MAX: usize = 16 << 20;
/// The bytes of a refused body that are still read and dropped. Some clients read the answer only after they
/// have sent the whole body.
pub(crate) const DISCARD_MAX: usize = 256 << 20;

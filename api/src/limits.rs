//! The limits of a request: sizes, deadlines, and how a body is read in bounded memory.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt as _, pin_mut};
use poem::Body;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::problem::{Code, Problem};

/// The maximum size of a JSON body, in bytes.
pub const BODY_MAX: usize = 1 << 20;
/// The maximum size of a JSON body with a file in base64, in bytes: a file of 5 MiB and the other fields.
pub const BODY_WITH_FILE_MAX: usize = 8 << 20;
/// The longest pause in a streamed body.
pub const PAUSE_MAX: Duration = Duration::from_secs(30);
/// The time from the headers to the answer, for a streamed body.
pub const UPLOAD_WITHIN: Duration = Duration::from_hours(1);
/// The bytes of all bodies that are held at once. Further bodies are refused as `overloaded`.
pub const BODIES_MAX: usize = 64 << 20;
/// The time from the end of a request (or the start of the connection) to the end of the next headers.
pub const HEADERS_WITHIN: Duration = Duration::from_secs(20);
/// The time that a client has to read why its connection ends.
pub const GOODBYE: Duration = Duration::from_secs(1);
/// The maximum size of the headers, in bytes.
pub const HEADERS_MAX: usize = 32 << 10;
/// The time from the end of the headers to the end of the body.
pub const BODY_WITHIN: Duration = Duration::from_secs(30);
/// The time from the end of the body to the start of the answer.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// The maximum number of open connections. Further ones wait in the queue of the listener.
pub const CONNECTIONS_MAX: usize = 8192;
/// The bytes of a refused body that are still read and dropped. Some clients read the answer only after they
/// have sent the whole body.
pub(crate) const DISCARD_MAX: usize = 256 << 20;

/// Reads a body of at most `max` bytes, with or without a content length. It never holds more than that, nor
/// more than `room` allows. The permit is the part of `room` that the body uses.
pub(crate) async fn gather(
    body: Body,
    announced: Option<u64>,
    max: usize,
    room: &Semaphore,
) -> Result<(Bytes, SemaphorePermit<'_>), Problem> {
    let reading = tokio::time::timeout(BODY_WITHIN, read(body, announced, max, room));
    reading
        .await
        .unwrap_or_else(|_| Err(Problem::new(Code::RequestTimeout)))
}

async fn read(
    body: Body,
    announced: Option<u64>,
    max: usize,
    room: &Semaphore,
) -> Result<(Bytes, SemaphorePermit<'_>), Problem> {
    let stream = body.into_bytes_stream();
    pin_mut!(stream);
    let mut seen = 0_usize;
    let mut refused = announced
        .is_some_and(|length| length > max as u64)
        .then(|| too_large(max));
    let mut held = (BytesMut::new(), nothing(room));
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|_| Problem::new(Code::IncompleteBody))?;
        seen += chunk.len();
        if refused.is_none() {
            refused = hold(&mut held, &chunk, max, room).err();
        }
        if refused.is_some() {
            held = (BytesMut::new(), nothing(room));
            if seen > DISCARD_MAX {
                break;
            }
        }
    }
    match refused {
        Some(problem) => Err(problem),
        None => Ok((held.0.freeze(), held.1)),
    }
}

fn hold<'r>(
    (bytes, taken): &mut (BytesMut, SemaphorePermit<'r>),
    chunk: &[u8],
    max: usize,
    room: &'r Semaphore,
) -> Result<(), Problem> {
    if bytes.len() + chunk.len() > max {
        return Err(too_large(max));
    }
    let size = u32::try_from(chunk.len()).map_err(|_| too_large(max))?;
    let more = room
        .try_acquire_many(size)
        .map_err(|_| Problem::new(Code::Overloaded))?;
    taken.merge(more);
    bytes.extend_from_slice(chunk);
    Ok(())
}

fn nothing(room: &Semaphore) -> SemaphorePermit<'_> {
    room.try_acquire_many(0)
        .expect("the semaphore is never closed, and nothing always fits")
}

fn too_large(max: usize) -> Problem {
    Problem::new(Code::BodyTooLarge).detail(format!(
        "The body of this operation may have at most {max} bytes."
    ))
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    fn chunked(chunks: usize, size: usize) -> Body {
        let chunk = Bytes::from(vec![b'x'; size]);
        Body::from_bytes_stream(stream::iter(
            (0..chunks).map(move |_| Ok::<_, std::io::Error>(chunk.clone())),
        ))
    }

    fn room() -> Semaphore {
        Semaphore::new(BODIES_MAX)
    }

    #[tokio::test]
    async fn bodies_that_no_memory_is_left_for_are_refused_until_others_are_done() {
        let room = Semaphore::new(BODY_MAX);
        let first = gather(chunked(3, BODY_MAX / 4), None, BODY_MAX, &room)
            .await
            .unwrap();
        let second = gather(chunked(2, BODY_MAX / 4), None, BODY_MAX, &room).await;
        assert_eq!(second.err().unwrap().code(), Code::Overloaded);
        drop(first);
        drop(
            gather(chunked(2, BODY_MAX / 4), None, BODY_MAX, &room)
                .await
                .unwrap(),
        );
        assert_eq!(room.available_permits(), BODY_MAX);
    }

    #[tokio::test]
    async fn a_body_of_exactly_the_limit_is_read() {
        let room = room();
        let read = gather(chunked(16, BODY_MAX / 16), None, BODY_MAX, &room).await;
        assert_eq!(read.unwrap().0.len(), BODY_MAX);
    }

    #[tokio::test]
    async fn one_byte_more_is_refused_even_without_an_announced_length() {
        let body = Body::from_bytes_stream(stream::iter([
            Ok::<_, std::io::Error>(Bytes::from(vec![0; BODY_MAX])),
            Ok(Bytes::from_static(b"x")),
        ]));
        let refused = gather(body, None, BODY_MAX, &room()).await.unwrap_err();
        assert_eq!(refused.code(), Code::BodyTooLarge);
    }

    #[tokio::test]
    async fn a_body_announced_too_large_is_not_held_at_all() {
        let refused = gather(chunked(60, 1 << 20), Some(60 << 20), BODY_MAX, &room())
            .await
            .unwrap_err();
        assert_eq!(refused.code(), Code::BodyTooLarge);
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_told_apart() {
        let body = Body::from_bytes_stream(stream::iter([
            Ok(Bytes::from_static(b"{")),
            Err(std::io::Error::other("gone")),
        ]));
        assert_eq!(
            gather(body, None, BODY_MAX, &room())
                .await
                .unwrap_err()
                .code(),
            Code::IncompleteBody
        );
    }
}

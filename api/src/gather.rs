//! Reads a whole body in bounded memory, in the share of its sender.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt as _, pin_mut};
use passerelle_jobs::{
    ids::OrgId,
    shares::{Share, Shares},
};
use poem::Body;
use tokio::time::Instant;

use crate::{
    limits::{
        BODY_PATIENCE, BODY_WITHIN, DISCARD_MAX, LARGE_BODIES_MAX, LARGE_BODIES_OF_ONE,
        SMALL_BODIES_MAX, SMALL_BODIES_OF_ONE, SMALL_BODY,
    },
    problem::{Code, Problem},
};

/// The memory for bodies. Small bodies have their own, so that a text never waits for a file.
pub(crate) struct Bodies {
    small: Shares<Holder>,
    large: Shares<Holder>,
    /// How long a body waits for its memory.
    patience: Duration,
}

/// Whose body it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Holder {
    Tenant(OrgId),
    Operator,
}

impl Default for Bodies {
    fn default() -> Self {
        Self {
            small: Shares::new(SMALL_BODIES_MAX, SMALL_BODIES_OF_ONE),
            large: Shares::new(LARGE_BODIES_MAX, LARGE_BODIES_OF_ONE),
            patience: BODY_PATIENCE,
        }
    }
}

/// Reads a body of at most `max` bytes, with or without a content length. It never holds more than that, nor
/// more than the holder's share allows. The share is the memory that the body uses.
pub(crate) async fn gather(
    body: Body,
    announced: Option<u64>,
    max: usize,
    bodies: &Bodies,
    holder: Holder,
) -> Result<(Bytes, Vec<Share>), Problem> {
    let stream = body.into_bytes_stream();
    pin_mut!(stream);
    let expected = announced.map_or(Ok(SMALL_BODY.min(max)), |length| {
        let length = usize::try_from(length).ok();
        length.filter(|length| *length <= max).ok_or(too_large(max))
    });
    let mut gathered = match expected {
        Ok(expected) => PartialBody::of(bodies, holder, expected).await,
        Err(problem) => Err(problem),
    };
    // The time that the body itself takes. Waiting for memory does not count.
    let (mut left, mut seen) = (BODY_WITHIN, 0_usize);
    loop {
        let began = Instant::now();
        let Ok(chunk) = tokio::time::timeout(left, stream.next()).await else {
            return Err(gathered.err().unwrap_or_else(too_slow));
        };
        left = left.saturating_sub(began.elapsed());
        let Some(chunk) = chunk else { break };
        let chunk = chunk.map_err(|_| Problem::new(Code::IncompleteBody))?;
        seen += chunk.len();
        gathered = match gathered {
            Ok(partial) => partial.with(&chunk, max, bodies, holder).await,
            Err(problem) if seen > DISCARD_MAX => return Err(problem),
            refused => refused,
        };
    }
    gathered.map(|partial| (partial.bytes.freeze(), partial.shares))
}

/// A body while it is read, with the memory that was reserved for it.
struct PartialBody {
    bytes: BytesMut,
    room: usize,
    shares: Vec<Share>,
}

impl PartialBody {
    async fn of(bodies: &Bodies, holder: Holder, room: usize) -> Result<Self, Problem> {
        Ok(Self {
            bytes: BytesMut::new(),
            room,
            shares: vec![reserve(bodies, holder, room).await?],
        })
    }

    async fn with(
        mut self,
        chunk: &[u8],
        max: usize,
        bodies: &Bodies,
        holder: Holder,
    ) -> Result<Self, Problem> {
        let needed = self.bytes.len() + chunk.len();
        if needed > max {
            return Err(too_large(max));
        }
        if needed > self.room {
            // Only a body without a content length gets here. A small share waits for a large one, never the
            // other way round, so two bodies cannot wait for each other.
            self.shares.push(reserve(bodies, holder, max).await?);
            self.room = max;
        }
        self.bytes.extend_from_slice(chunk);
        Ok(self)
    }
}

async fn reserve(bodies: &Bodies, holder: Holder, size: usize) -> Result<Share, Problem> {
    let (kind, of_one, of_all) = if size <= SMALL_BODY {
        (&bodies.small, SMALL_BODIES_OF_ONE, SMALL_BODIES_MAX)
    } else {
        (&bodies.large, LARGE_BODIES_OF_ONE, LARGE_BODIES_MAX)
    };
    let units = u32::try_from(size).unwrap_or(u32::MAX);
    let share = kind.take(holder, units, bodies.patience).await;
    share.ok_or_else(|| {
        Problem::overloaded(format!(
            "The bodies of requests in progress use the memory that is available for them: {of_one} bytes for one \
             organisation, {of_all} for all. These limits are fixed."
        ))
    })
}

fn too_large(max: usize) -> Problem {
    Problem::new(Code::BodyTooLarge).detail(format!(
        "The body of this operation may have at most {max} bytes. This limit is fixed. Larger files are uploaded with \
         POST /v1/media."
    ))
}

fn too_slow() -> Problem {
    Problem::new(Code::RequestTimeout).detail(format!(
        "A body must arrive within {} seconds. This limit is fixed. Larger files are uploaded with POST /v1/media.",
        BODY_WITHIN.as_secs()
    ))
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use proptest::{collection::vec, prelude::*};

    use super::*;
    use crate::limits::BODY_MAX;

    fn chunked(chunks: usize, size: usize) -> Body {
        let chunk = Bytes::from(vec![b'x'; size]);
        Body::from_bytes_stream(stream::iter(
            (0..chunks).map(move |_| Ok::<_, std::io::Error>(chunk.clone())),
        ))
    }

    fn bodies(of_one: usize) -> Bodies {
        Bodies {
            small: Shares::new(of_one, of_one),
            large: Shares::new(of_one, of_one),
            patience: Duration::from_millis(100),
        }
    }

    async fn gathered(body: Body, announced: Option<u64>) -> Result<Bytes, Code> {
        let bodies = Bodies::default();
        let read = gather(body, announced, BODY_MAX, &bodies, Holder::Operator).await;
        read.map(|(bytes, _)| bytes)
            .map_err(|problem| problem.code())
    }

    #[tokio::test]
    async fn a_body_that_no_memory_is_left_for_waits_and_is_then_refused() {
        let (bodies, one) = (bodies(BODY_MAX), Holder::Operator);
        let read = |chunks, size| {
            let announced = Some((chunks * size) as u64);
            gather(chunked(chunks, size), announced, BODY_MAX, &bodies, one)
        };
        let first = read(3, BODY_MAX / 4).await.unwrap();
        let second = read(2, BODY_MAX / 4).await;
        assert_eq!(second.err().unwrap().code(), Code::Overloaded);
        let third = read(1, SMALL_BODY).await;
        assert!(third.is_ok(), "a small body does not wait for large ones");
        let waiting = read(2, BODY_MAX / 4);
        let (waited, ()) = tokio::join!(waiting, async { drop(first) });
        assert!(waited.is_ok());
    }

    #[tokio::test]
    async fn a_body_in_chunks_reserves_more_when_it_grows() {
        let (bodies, one) = (bodies(BODY_MAX), Holder::Operator);
        let read = gather(chunked(16, BODY_MAX / 16), None, BODY_MAX, &bodies, one).await;
        let (bytes, shares) = read.unwrap();
        assert_eq!((bytes.len(), shares.len()), (BODY_MAX, 2));
    }

    #[tokio::test]
    async fn a_body_of_exactly_the_limit_is_read() {
        let read = gathered(chunked(16, BODY_MAX / 16), Some(BODY_MAX as u64)).await;
        assert_eq!(read.unwrap().len(), BODY_MAX);
    }

    #[tokio::test]
    async fn one_byte_more_is_refused_even_without_an_announced_length() {
        let body = Body::from_bytes_stream(stream::iter([
            Ok::<_, std::io::Error>(Bytes::from(vec![0; BODY_MAX])),
            Ok(Bytes::from_static(b"x")),
        ]));
        assert_eq!(gathered(body, None).await, Err(Code::BodyTooLarge));
    }

    #[tokio::test]
    async fn a_body_announced_too_large_is_not_held_at_all() {
        let refused = gathered(chunked(60, 1 << 20), Some(60 << 20)).await;
        assert_eq!(refused, Err(Code::BodyTooLarge));
    }

    proptest! {
        /// With or without a length, right or wrong: a body comes whole or is refused.
        #[test]
        fn a_body_in_any_chunks_is_read_whole_or_refused(
            chunks in vec(vec(any::<u8>(), 0..40), 0..20),
            announced in proptest::option::of(0_u64..500),
            spare in -3_isize..4,
        ) {
            let whole = chunks.concat();
            let max = whole.len().saturating_add_signed(spare);
            let is_too_large = whole.len() > max || announced.is_some_and(|length| length > max as u64);
            let chunks = chunks.into_iter().map(|chunk| Ok::<_, std::io::Error>(Bytes::from(chunk)));
            let body = Body::from_bytes_stream(stream::iter(chunks));
            let (bodies, one) = (bodies(BODY_MAX), Holder::Operator);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            let read = runtime.block_on(gather(body, announced, max, &bodies, one));
            match read {
                Ok((bytes, _)) => prop_assert_eq!(bytes, whole),
                Err(problem) => {
                    prop_assert!(is_too_large);
                    prop_assert_eq!(problem.code(), Code::BodyTooLarge);
                }
            }
        }
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_told_apart() {
        let body = Body::from_bytes_stream(stream::iter([
            Ok(Bytes::from_static(b"{")),
            Err(std::io::Error::other("gone")),
        ]));
        assert_eq!(gathered(body, None).await, Err(Code::IncompleteBody));
    }
}

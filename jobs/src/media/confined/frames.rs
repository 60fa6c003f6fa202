//! What the gateway and a worker say to each other: a head in JSON, then the bytes of a file.

use std::io::{self, Read, Write};

use serde::{Serialize, de::DeserializeOwned};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// The longest head and the most bytes that are accepted.
const HEAD_MAX: u32 = 1024 * 1024;
const BYTES_MAX: u32 = 256 * 1024 * 1024;

/// The lengths of the head and of the bytes.
const LENGTHS: usize = 8;

/// Returns what comes before the bytes.
fn head<T: Serialize>(head: &T, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let head = serde_json::to_vec(head)?;
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).map_err(io::Error::other);
    let lengths = [length(&head)?.to_be_bytes(), length(bytes)?.to_be_bytes()];
    Ok([lengths.concat(), head].concat())
}

/// Returns room for the head and for the bytes.
fn room(lengths: [u8; LENGTHS]) -> io::Result<(Vec<u8>, Vec<u8>)> {
    let [a, b, c, d, rest @ ..] = lengths;
    let (head, bytes) = (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes(rest));
    if head > HEAD_MAX || bytes > BYTES_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok((vec![0; head as usize], vec![0; bytes as usize]))
}

/// Writes a frame.
pub(super) async fn send<T: Serialize>(
    to: &mut (impl AsyncWrite + Unpin),
    said: &T,
    bytes: &[u8],
) -> io::Result<()> {
    to.write_all(&head(said, bytes)?).await?;
    to.write_all(bytes).await?;
    to.flush().await
}

/// Reads a frame.
pub(super) async fn receive<T: DeserializeOwned>(
    from: &mut (impl AsyncRead + Unpin),
) -> io::Result<(T, Vec<u8>)> {
    let mut lengths = [0; LENGTHS];
    from.read_exact(&mut lengths).await?;
    let (mut head, mut bytes) = room(lengths)?;
    from.read_exact(&mut head).await?;
    from.read_exact(&mut bytes).await?;
    Ok((serde_json::from_slice(&head)?, bytes))
}

/// Writes a frame.
pub(super) fn write<T: Serialize>(to: &mut impl Write, said: &T, bytes: &[u8]) -> io::Result<()> {
    to.write_all(&head(said, bytes)?)?;
    to.write_all(bytes)?;
    to.flush()
}

/// Reads a frame; `None` at the end of the stream.
pub(super) fn read<T: DeserializeOwned>(from: &mut impl Read) -> io::Result<Option<(T, Vec<u8>)>> {
    let mut lengths = [0; LENGTHS];
    match from.read_exact(&mut lengths) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    let (mut head, mut bytes) = room(lengths)?;
    from.read_exact(&mut head)?;
    from.read_exact(&mut bytes)?;
    Ok(Some((serde_json::from_slice(&head)?, bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_frame_is_read_as_it_was_written() {
        let mut written = Vec::new();
        send(&mut written, &"head", b"bytes").await.unwrap();
        write(&mut written, &7, b"").unwrap();
        let mut rest = &written[..];
        let first: (String, Vec<u8>) = receive(&mut rest).await.unwrap();
        assert_eq!(first, ("head".to_owned(), b"bytes".to_vec()));
        assert_eq!(read(&mut rest).unwrap(), Some((7, Vec::new())));
        assert_eq!(read::<u8>(&mut rest).unwrap(), None, "the end");
    }

    #[tokio::test]
    async fn nothing_is_sized_by_a_length_beyond_the_bound() {
        let long = [(HEAD_MAX + 1).to_be_bytes(), 0_u32.to_be_bytes()].concat();
        let large = [0_u32.to_be_bytes(), (BYTES_MAX + 1).to_be_bytes()].concat();
        for lengths in [long, large] {
            let refused = receive::<u8>(&mut &lengths[..]).await.unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::InvalidData);
        }
    }
}

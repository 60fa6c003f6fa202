//! Frames on the WebSocket: an optional routing preamble, WhatsApp's four-byte header, then
//! payloads, each after a three-byte length. A WebSocket message may hold any part of this stream.

use anyhow::bail;
use wacore_binary::consts::WA_CONN_HEADER;

/// The largest frame that a client may send. An upload of 812 pre-keys takes about 40 kB.
const LARGEST: usize = 2 * 1024 * 1024;

/// Assembles frames from the bytes that arrive.
#[derive(Default)]
pub(crate) struct Frames {
    buffer: Vec<u8>,
    greeted: bool,
}

impl Frames {
    /// Adds bytes and returns every frame that is now complete.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> anyhow::Result<Vec<Vec<u8>>> {
        self.buffer.extend_from_slice(bytes);
        if !self.greeted && !self.greet()? {
            return Ok(Vec::new());
        }
        let (mut frames, mut at) = (Vec::new(), 0);
        while let Some(length) = length(&self.buffer[at..]) {
            if length > LARGEST {
                bail!("a frame of {length} bytes is too large");
            }
            let Some(frame) = self.buffer.get(at + 3..at + 3 + length) else {
                break;
            };
            frames.push(frame.to_vec());
            at += 3 + length;
        }
        self.buffer.drain(..at);
        Ok(frames)
    }

    /// Skips the preamble and checks the header. Returns `false` until all of it has arrived.
    fn greet(&mut self) -> anyhow::Result<bool> {
        let mut at = 0;
        if self.buffer.starts_with(b"ED") {
            let Some(length) = self.buffer.get(4..).and_then(length) else {
                return Ok(false);
            };
            at = 7 + length;
        }
        let Some(header) = self.buffer.get(at..at + 4) else {
            return Ok(false);
        };
        if header != WA_CONN_HEADER {
            bail!("not a WhatsApp header");
        }
        self.buffer.drain(..at + 4);
        self.greeted = true;
        Ok(true)
    }
}

fn length(bytes: &[u8]) -> Option<usize> {
    let [a, b, c] = *bytes.first_chunk()?;
    Some(usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c))
}

/// Adds the length in front of a payload for a client.
pub(crate) fn wrap(payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("frames are far below 16 MiB");
    let mut frame = Vec::with_capacity(3 + payload.len());
    frame.extend_from_slice(&length.to_be_bytes()[1..]);
    frame.extend_from_slice(payload);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream() -> Vec<u8> {
        let mut bytes = b"ED\x00\x01\x00\x00\x02rt".to_vec();
        bytes.extend_from_slice(&WA_CONN_HEADER);
        bytes.extend(wrap(b"first"));
        bytes.extend(wrap(b""));
        bytes.extend(wrap(&vec![9; 70_000]));
        bytes
    }

    #[test]
    fn frames_come_out_however_the_bytes_were_cut() {
        let expected = vec![b"first".to_vec(), Vec::new(), vec![9; 70_000]];
        for step in [1, 3, 7, 1000, 1_000_000] {
            let mut frames = Frames::default();
            let mut seen = Vec::new();
            for part in stream().chunks(step) {
                seen.extend(frames.take(part).unwrap());
            }
            assert_eq!(seen, expected, "cut every {step} bytes");
        }
    }

    #[test]
    fn another_protocol_is_refused() {
        assert!(Frames::default().take(b"GET / HTTP/1.1").is_err());
    }

    #[test]
    fn a_frame_beyond_the_limit_is_refused_before_it_is_buffered() {
        let mut frames = Frames::default();
        frames.take(&WA_CONN_HEADER).unwrap();
        assert!(frames.take(&[0xff, 0xff, 0xff]).is_err());
    }
}

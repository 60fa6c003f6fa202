//! The boxes of which ISO media files are made (ISO/IEC 14496-12, 4.2): those of the file itself, and those
//! in others.

use std::io::{Read, Seek, SeekFrom};

/// The longest box whose content is read.
const BODY_MAX: u64 = 16 * 1024 * 1024;

/// Returns the version of a full box and what follows version and flags.
pub(super) fn versioned(body: &[u8]) -> Option<(u8, &[u8])> {
    Some((*body.first()?, body.get(4..)?))
}

pub(super) fn number(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
    Some(u32::from_be_bytes(four))
}

pub(super) fn child(body: &[u8], name: [u8; 4]) -> Option<&[u8]> {
    inside(body)
        .find(|(found, _)| *found == name)
        .map(|(_, body)| body)
}

/// Returns the boxes inside, as far as they are whole.
pub(super) fn inside(mut body: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    std::iter::from_fn(move || {
        let name = body.get(4..8)?.try_into().ok()?;
        let (size, header) = match number(body, 0)? {
            0 => (body.len(), 8),
            1 => (number(body, 12)? as usize, 16),
            size => (size as usize, 8),
        };
        let inside = body.get(header..size)?;
        body = &body[size..];
        Some((name, inside))
    })
}

/// A box of the file itself.
pub(super) struct Top {
    pub(super) name: [u8; 4],
    start: u64,
    pub(super) end: u64,
}

/// Goes from one box of the file to the next, without reading what is in them.
pub(super) struct Boxes<'a, R> {
    file: &'a mut R,
    pub(super) size: u64,
    at: u64,
}

impl<'a, R: Read + Seek> Boxes<'a, R> {
    pub(super) fn of(file: &'a mut R) -> Option<Self> {
        let size = file.seek(SeekFrom::End(0)).ok()?;
        Some(Self { file, size, at: 0 })
    }

    pub(super) fn is_done(&self) -> bool {
        // Less than a box's header is left, as some writers leave it.
        self.at == self.size || (self.at > 0 && self.at < self.size && self.size - self.at < 8)
    }

    pub(super) fn is_within(&self, found: &Top) -> bool {
        found.end <= self.size
    }

    pub(super) fn next(&mut self) -> Option<Top> {
        self.file.seek(SeekFrom::Start(self.at)).ok()?;
        let mut head = [0; 8];
        self.file.read_exact(&mut head).ok()?;
        let [a, b, c, d, name @ ..] = head;
        let (size, header) = match u32::from_be_bytes([a, b, c, d]) {
            0 => (self.size - self.at, 8),
            1 => {
                let mut long = [0; 8];
                self.file.read_exact(&mut long).ok()?;
                (u64::from_be_bytes(long), 16)
            }
            size => (size.into(), 8),
        };
        let start = self.at + header;
        let end = self.at.checked_add(size).filter(|end| *end >= start)?;
        self.at = end;
        Some(Top { name, start, end })
    }

    pub(super) fn body(&mut self, found: &Top) -> Option<Vec<u8>> {
        let size = found.end - found.start;
        if size > BODY_MAX {
            return None;
        }
        self.file.seek(SeekFrom::Start(found.start)).ok()?;
        let mut body = Vec::new();
        self.file.by_ref().take(size).read_to_end(&mut body).ok()?;
        (body.len() as u64 == size).then_some(body)
    }
}

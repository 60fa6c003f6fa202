//! The boxes that MP4, 3GP and `QuickTime` files consist of (ISO/IEC 14496-12, 4.2).

use std::{fs::File, io, ops::Range, os::unix::fs::FileExt as _};

/// The most boxes of a file that are looked at. No real file of the size that is sent comes near it.
pub(super) const BOXES_MAX: usize = 100_000;

pub(super) fn too_many() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "too many boxes")
}

/// Where a box is in its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) name: [u8; 4],
    pub(super) whole: Range<u64>,
    /// Without the length and the name.
    pub(super) content: Range<u64>,
}

impl Place {
    /// Reads the head of a box that begins at `at`, inside something that ends at `end`. Returns `None` if
    /// this is no box.
    fn read(head: &[u8], at: u64, end: u64) -> Option<Self> {
        let (length, rest) = head.split_first_chunk()?;
        let (name, rest) = rest.split_first_chunk()?;
        let (length, head) = match u32::from_be_bytes(*length) {
            0 => (end - at, 8),
            1 => (u64::from_be_bytes(*rest.first_chunk()?), 16),
            short => (u64::from(short), 8),
        };
        let whole = at..at.checked_add(length)?;
        let fits = length >= head && whole.end <= end;
        // Some recorders write the length of the pictures and sound before they know it.
        let whole = match name {
            b"mdat" if length >= head => at..whole.end.min(end),
            _ if fits => whole,
            _ => return None,
        };
        Some(Self {
            name: *name,
            content: whole.start + head..whole.end,
            whole,
        })
    }
}

/// Returns the boxes at the top of a file, and what follows the last one.
pub(super) fn top(file: &File) -> io::Result<(Vec<Place>, Range<u64>)> {
    let (mut boxes, mut at, end) = (Vec::new(), 0, file.metadata()?.len());
    while at < end {
        let mut head = [0; 16];
        let length = usize::try_from(end - at).map_or(16, |left| left.min(16));
        file.read_exact_at(&mut head[..length], at)?;
        let Some(place) = Place::read(&head[..length], at, end) else {
            break;
        };
        at = place.whole.end;
        boxes.push(place);
        if boxes.len() > BOXES_MAX {
            return Err(too_many());
        }
    }
    Ok((boxes, at..end))
}

/// A box in memory.
#[derive(Debug, Clone)]
pub(super) struct MediaBox<'a> {
    pub(super) place: Place,
    pub(super) content: &'a [u8],
}

impl<'a> MediaBox<'a> {
    pub(super) fn name(&self) -> &[u8; 4] {
        &self.place.name
    }

    /// Returns the boxes inside, and where that ends which is no box.
    pub(super) fn children(&self) -> Children<'a> {
        self.children_after(0)
    }

    /// Like `children`, after fields of this length.
    pub(super) fn children_after(&self, fields: usize) -> Children<'a> {
        let skipped = fields.min(self.content.len());
        Children {
            bytes: &self.content[skipped..],
            at: self.place.content.start + skipped as u64,
        }
    }

    pub(super) fn child(&self, name: [u8; 4]) -> Option<Self> {
        self.children().find(|child| *child.name() == name)
    }

    /// Returns the box at the end of a path.
    pub(super) fn find(&self, path: &[&[u8; 4]]) -> Option<Self> {
        let start = Some(self.clone());
        path.iter().fold(start, |at, name| at?.child(**name))
    }

    /// Returns the number of four bytes at this place of its content.
    pub(super) fn number(&self, at: usize) -> Option<u32> {
        let bytes = self.content.get(at..)?.first_chunk()?;
        Some(u32::from_be_bytes(*bytes))
    }

    /// Returns the part of the file that these bytes of its content are.
    pub(super) fn within(&self, bytes: Range<usize>) -> Range<u64> {
        let start = self.place.content.start;
        start + bytes.start as u64..start + bytes.end as u64
    }
}

/// The boxes inside a box.
#[derive(Debug, Clone)]
pub(super) struct Children<'a> {
    bytes: &'a [u8],
    at: u64,
}

impl Children<'_> {
    /// Returns what is left, which is no box.
    pub(super) fn rest(&self) -> (Range<u64>, &[u8]) {
        (self.at..self.at + self.bytes.len() as u64, self.bytes)
    }
}

impl<'a> Iterator for Children<'a> {
    type Item = MediaBox<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let end = self.at + self.bytes.len() as u64;
        let place = Place::read(self.bytes, self.at, end)?;
        let length = |part: &Range<u64>| usize::try_from(part.end - part.start).ok();
        let (whole, rest) = self.bytes.split_at_checked(length(&place.whole)?)?;
        let content = whole.get(whole.len() - length(&place.content)?..)?;
        self.at = place.whole.end;
        self.bytes = rest;
        Some(MediaBox { place, content })
    }
}

//! Where the pictures and the sound of a track are in its file (ISO/IEC 14496-12, 8.7 and 8.8).

use std::ops::Range;

use super::boxes::MediaBox;

/// The most parts of a file that are listed. No real file of the size that is sent comes near it.
pub(super) const PARTS_MAX: usize = 1_000_000;

/// Returns the parts of the file that a track's tables name; `None` if they cannot be read.
pub(super) fn of_track(track: &MediaBox<'_>) -> Option<Vec<Range<u64>>> {
    let table = track.find(&[b"mdia", b"minf", b"stbl"])?;
    let mut sizes = Sizes::of(&table)?;
    let runs = table.child(*b"stsc")?;
    let runs: Vec<_> = rows::<12>(&runs, 8)?
        .map(|row| (word(row, 0), word(row, 4)))
        .collect();
    let offsets = offsets(&table).filter(|offsets| offsets.len() <= PARTS_MAX)?;
    let (mut parts, mut run) = (Vec::with_capacity(offsets.len()), 0);
    for (chunk, offset) in (1_u32..).zip(offsets) {
        while runs.get(run + 1).is_some_and(|(first, _)| *first <= chunk) {
            run += 1;
        }
        let (_, count) = *runs.get(run)?;
        parts.push(offset..offset.checked_add(sizes.take(count))?);
    }
    Some(parts)
}

/// Returns where each chunk of samples begins.
fn offsets(table: &MediaBox<'_>) -> Option<Vec<u64>> {
    if let Some(short) = table.child(*b"stco") {
        return Some(
            rows::<4>(&short, 8)?
                .map(|row| word(row, 0).into())
                .collect(),
        );
    }
    let long = table.child(*b"co64")?;
    Some(
        rows::<8>(&long, 8)?
            .map(|row| u64::from_be_bytes(*row))
            .collect(),
    )
}

/// The sizes of samples, taken one after the other.
enum Sizes<'a> {
    Equal(u32),
    Each(std::slice::Iter<'a, [u8; 4]>),
}

impl<'a> Sizes<'a> {
    fn of(table: &MediaBox<'a>) -> Option<Self> {
        let sizes = table.child(*b"stsz")?;
        match sizes.number(4)? {
            0 => Some(Self::Each(rows::<4>(&sizes, 12)?)),
            // QuickTime writes this for sound, whatever the size.
            1 => None,
            equal => Some(Self::Equal(equal)),
        }
    }

    /// Returns the size of the next samples together.
    fn take(&mut self, count: u32) -> u64 {
        match self {
            Self::Equal(size) => u64::from(*size) * u64::from(count),
            Self::Each(sizes) => {
                let next = sizes.take(usize::try_from(count).unwrap_or(usize::MAX));
                next.map(|size| u64::from(u32::from_be_bytes(*size))).sum()
            }
        }
    }
}

/// Returns the rows of a table whose number precedes them.
fn rows<'a, const LENGTH: usize>(
    table: &MediaBox<'a>,
    at: usize,
) -> Option<std::slice::Iter<'a, [u8; LENGTH]>> {
    let count = usize::try_from(table.number(at - 4)?).ok()?;
    let (rows, _) = table.content.get(at..)?.as_chunks::<LENGTH>();
    Some(rows.get(..count)?.iter())
}

fn word<const LENGTH: usize>(row: &[u8; LENGTH], at: usize) -> u32 {
    let word = row.get(at..).and_then(<[u8]>::first_chunk);
    word.map_or(0, |word| u32::from_be_bytes(*word))
}

/// What a fragmented film says about the samples of a track when a fragment does not.
#[derive(Debug, Clone, Copy)]
pub(super) struct Defaults {
    pub(super) track: u32,
    size: u32,
}

impl Defaults {
    /// Reads a track's row of `mvex`.
    pub(super) fn read(trex: &MediaBox<'_>) -> Option<Self> {
        let (track, size) = (trex.number(4)?, trex.number(16)?);
        Some(Self { track, size })
    }
}

/// Returns the parts of the file that one fragment of the film names for its tracks, with the tracks;
/// `None` if it cannot be read.
pub(super) fn of_fragment(
    fragment: &MediaBox<'_>,
    defaults: &[Defaults],
) -> Option<Vec<(u32, Range<u64>)>> {
    let (start, mut parts) = (fragment.place.whole.start, Vec::new());
    let mut end = start;
    for track in fragment.children().filter(|part| part.name() == b"traf") {
        let head = track.child(*b"tfhd")?;
        let (flags, id) = (head.number(0)?, head.number(4)?);
        let mut fields = Fields { of: &head, at: 8 };
        let base = if flags & 0x1 != 0 {
            u64::from(fields.word()?) << 32 | u64::from(fields.word()?)
        } else if flags & 0x2_0000 != 0 {
            start
        } else {
            // The data follows that of the track before.
            end
        };
        fields.skip(flags & 0x2 != 0);
        fields.skip(flags & 0x8 != 0);
        let known = defaults.iter().find(|known| known.track == id);
        let size = if flags & 0x10 != 0 {
            fields.word()?
        } else {
            known.map_or(0, |known| known.size)
        };
        end = base;
        for run in track.children().filter(|part| part.name() == b"trun") {
            let part = of_run(&run, base, end, size)?;
            end = part.end;
            parts.push((id, part));
            if parts.len() > PARTS_MAX {
                return None;
            }
        }
    }
    Some(parts)
}

/// Returns the part of the file that one run of samples takes. It begins at `after` unless it says where
/// else.
fn of_run(run: &MediaBox<'_>, base: u64, after: u64, size: u32) -> Option<Range<u64>> {
    let (flags, count) = (run.number(0)?, run.number(4)?);
    let mut fields = Fields { of: run, at: 8 };
    let start = if flags & 0x1 != 0 {
        base.checked_add_signed(fields.word()?.cast_signed().into())?
    } else {
        after
    };
    fields.skip(flags & 0x4 != 0);
    let columns = [0x100, 0x200, 0x400, 0x800].map(|column| flags & column != 0);
    let [has_duration, has_size, ..] = columns;
    let row = 4 * columns.iter().filter(|there| **there).count();
    let size_at = if has_duration { 4 } else { 0 };
    let mut length = u64::from(size) * u64::from(count);
    if has_size {
        let rows = run.content.get(fields.at..)?.chunks_exact(row);
        let rows = rows.take(usize::try_from(count).ok()?);
        let sizes = rows.map(|row| row.get(size_at..).and_then(<[u8]>::first_chunk));
        length = sizes
            .map(|size| size.map_or(0, |size| u64::from(u32::from_be_bytes(*size))))
            .sum();
    }
    Some(start..start.checked_add(length)?)
}

/// The fields of a box, some of which may not be there.
struct Fields<'a, 'b> {
    of: &'a MediaBox<'b>,
    at: usize,
}

impl Fields<'_, '_> {
    fn word(&mut self) -> Option<u32> {
        let word = self.of.number(self.at)?;
        self.at += 4;
        Some(word)
    }

    fn skip(&mut self, is_there: bool) {
        if is_there {
            self.at += 4;
        }
    }
}

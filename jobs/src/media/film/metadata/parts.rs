//! Parts of a file: reading and emptying them.

use std::{fs::File, io, ops::Range, os::unix::fs::FileExt as _};

const ZEROES: [u8; 16 * 1024] = [0; 16 * 1024];

/// Returns the parts in order, with those together that touch or overlap.
pub(super) fn in_order(mut parts: Vec<Range<u64>>) -> Vec<Range<u64>> {
    parts.sort_unstable_by_key(|part| part.start);
    let mut joined: Vec<Range<u64>> = Vec::new();
    for part in parts {
        match joined.last_mut() {
            Some(last) if part.start <= last.end => last.end = last.end.max(part.end),
            _ => joined.push(part),
        }
    }
    joined
}

/// Reads a part into memory.
pub(super) fn read(film: &File, part: &Range<u64>) -> io::Result<Vec<u8>> {
    let length = usize::try_from(part.end - part.start).map_err(io::Error::other)?;
    let mut bytes = vec![0; length];
    film.read_exact_at(&mut bytes, part.start)?;
    Ok(bytes)
}

/// Returns the part in pieces that fit into memory.
fn pieces(part: &Range<u64>) -> impl Iterator<Item = (u64, usize)> {
    let end = part.end;
    let most = ZEROES.len();
    let starts = (part.start..end).step_by(most);
    starts.map(move |at| {
        (
            at,
            usize::try_from(end - at).map_or(most, |left| left.min(most)),
        )
    })
}

/// Returns whether any byte of the part is not zero.
pub(super) fn has_anything(film: &File, part: &Range<u64>) -> io::Result<bool> {
    let mut bytes = vec![0; ZEROES.len()];
    for (at, length) in pieces(part) {
        film.read_exact_at(&mut bytes[..length], at)?;
        if bytes[..length].iter().any(|byte| *byte != 0) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Overwrites the part with zeroes.
pub(super) fn zero(film: &File, part: &Range<u64>) -> io::Result<()> {
    for (at, length) in pieces(part) {
        film.write_all_at(&ZEROES[..length], at)?;
    }
    Ok(())
}

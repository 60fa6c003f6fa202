//! The `Range` header of a download: one range of bytes (RFC 9110, section 14).

use std::ops::Range;

/// What a download returns.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// The whole file: there is no range, or it is not understood and must be ignored.
    Whole,
    /// These bytes.
    Some(Range<u64>),
    /// The range is outside the file: status 416.
    Outside,
}

/// Returns the part of `length` bytes that a `Range` header asks for.
pub(super) fn part(header: Option<&str>, length: u64) -> Part {
    let wanted = header
        .and_then(|text| text.trim().strip_prefix("bytes="))
        .filter(|list| !list.contains(','))
        .and_then(|range| range.split_once('-'));
    let Some((from, to)) = wanted else {
        return Part::Whole;
    };
    let range = match (from.parse::<u64>(), to.parse::<u64>()) {
        (Ok(from), Ok(to)) if from <= to => from..to.saturating_add(1).min(length),
        (Ok(from), Err(_)) if to.is_empty() => from..length,
        (Err(_), Ok(last)) if from.is_empty() => length.saturating_sub(last)..length,
        _ => return Part::Whole,
    };
    if range.is_empty() {
        return Part::Outside;
    }
    Part::Some(range)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_cut_to_what_is_there() {
        for (header, expected) in [
            (None, Part::Whole),
            (Some("bytes=0-9"), Part::Some(0..10)),
            (Some("bytes=90-"), Part::Some(90..100)),
            (Some("bytes=90-1000"), Part::Some(90..100)),
            (Some("bytes=-5"), Part::Some(95..100)),
            (Some("bytes=-500"), Part::Some(0..100)),
            (Some("bytes=100-"), Part::Outside),
            (Some("bytes=9-1"), Part::Whole),
            (Some("bytes=0-1,5-6"), Part::Whole),
            (Some("lines=1-2"), Part::Whole),
        ] {
            assert_eq!(part(header, 100), expected, "{header:?}");
        }
    }
}

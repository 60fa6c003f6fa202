//! The chunks of a PNG that are needed to show it (<https://www.w3.org/TR/png-3/>).

use super::Stripped;

const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";

/// The chunks that stay: what is critical, colour, transparency, the shape of pixels, the background and
/// the animation. Everything else goes, also what programs define for themselves.
const STAYS: [&[u8]; 20] = [
    b"IHDR", b"PLTE", b"IDAT", b"IEND", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"cICP", b"sBIT",
    b"mDCV", b"mDCv", b"cLLI", b"cLLi", b"tRNS", b"pHYs", b"bKGD", b"acTL", b"fcTL", b"fdAT",
];

/// Returns the picture without its metadata; `None` if it has no end.
pub(super) fn strip(png: &[u8]) -> Option<Stripped<'_>> {
    let mut rest = png.strip_prefix(SIGNATURE)?;
    let mut kept = Vec::with_capacity(png.len());
    kept.extend_from_slice(SIGNATURE);
    let mut exif = None;
    loop {
        let length = u32::from_be_bytes(*rest.first_chunk()?);
        // Its length, its name and its check sum.
        let whole = usize::try_from(length).ok()?.checked_add(12)?;
        let (chunk, after) = rest.split_at_checked(whole)?;
        rest = after;
        let (name, content) = (&chunk[4..8], &chunk[8..whole - 4]);
        if STAYS.contains(&name) {
            kept.extend_from_slice(chunk);
        }
        match name {
            b"eXIf" => exif = Some(content),
            b"IEND" => return Some(Stripped { bytes: kept, exif }),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(name: &[u8], content: &[u8]) -> Vec<u8> {
        let length = u32::try_from(content.len()).unwrap().to_be_bytes();
        [&length, name, content, b"sum!"].concat()
    }

    #[test]
    fn only_named_chunks_stay_and_nothing_follows_the_last() {
        let kept: Vec<_> = STAYS.iter().filter(|name| **name != b"IEND").collect();
        let last = chunk(b"IEND", b"");
        let (mut came, mut expected) = (SIGNATURE.to_vec(), SIGNATURE.to_vec());
        for name in kept {
            came.extend(chunk(b"prVt", b"CANARY"));
            came.extend(chunk(name, b"needed"));
            expected.extend(chunk(name, b"needed"));
        }
        for name in [
            b"eXIf", b"tEXt", b"zTXt", b"iTXt", b"tIME", b"caBX", b"sPLT", b"hIST", b"npTc",
            b"dSIG", b"CgBI",
        ] {
            came.extend(chunk(name, b"CANARY"));
        }
        came.extend_from_slice(&last);
        expected.extend_from_slice(&last);
        let whole = came.len();
        came.extend_from_slice(b"CANARY behind it");
        let found = strip(&came).unwrap();
        assert_eq!(found.bytes, expected);
        assert_eq!(found.exif, Some(&b"CANARY"[..]));
        for length in 0..whole {
            assert!(strip(&came[..length]).is_none(), "cut after {length} bytes");
        }
    }
}

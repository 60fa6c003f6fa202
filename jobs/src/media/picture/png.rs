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

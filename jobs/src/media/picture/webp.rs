//! The chunks of a WebP that are needed to show it
//! (<https://developers.google.com/speed/webp/docs/riff_container>).

use super::Stripped;

/// The chunks that stay, also within a frame of an animation.
const STAYS: [&[u8]; 7] = [
    b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF", b"ICCP",
];
/// The bytes of a frame before its own chunks.
const FRAME_HEAD: usize = 16;
/// Flags of VP8X.
const ICC: u8 = 0x20;
const EXIF: u8 = 0x08;
const XMP: u8 = 0x04;

/// Returns the picture without its metadata; `None` if it is cut off.
pub(super) fn strip(webp: &[u8]) -> Option<Stripped<'_>> {
    let size = webp.strip_prefix(b"RIFF")?.first_chunk()?;
    let end = usize::try_from(u32::from_le_bytes(*size)).ok()?;
    // What follows the container does not belong to the picture.
    let body = &webp[..webp.len().min(end.checked_add(8)?)];
    let chunks = body.get(8..)?.strip_prefix(b"WEBP")?;
    let (mut kept, mut exif, mut flags) = (Vec::with_capacity(webp.len()), None, 0);
    kept.extend_from_slice(b"RIFF\0\0\0\0WEBP");
    for chunk in Chunks(chunks) {
        let (name, content) = chunk?;
        match name {
            b"EXIF" => {
                exif = exif.or(Some(content));
                if is_pack(content) {
                    flags |= EXIF;
                    write(&mut kept, name, content);
                }
            }
            b"ANMF" => write(&mut kept, name, &frame(content)?),
            _ if STAYS.contains(&name) => {
                if name == b"ICCP" {
                    flags |= ICC;
                }
                write(&mut kept, name, content);
            }
            _ => {}
        }
    }
    // VP8X is the first chunk if there is one, and begins with its flags.
    let is_extended = kept[12..].starts_with(b"VP8X");
    if let Some(known) = kept.get_mut(20).filter(|_| is_extended) {
        *known = *known & !(ICC | EXIF | XMP) | flags;
    }
    let size = u32::try_from(kept.len() - 8).ok()?;
    kept[4..8].copy_from_slice(&size.to_le_bytes());
    Some(Stripped { bytes: kept, exif })
}

/// Returns a frame of an animation without chunks that are not needed.
fn frame(content: &[u8]) -> Option<Vec<u8>> {
    let (head, chunks) = content.split_at_checked(FRAME_HEAD)?;
    let mut kept = head.to_vec();
    for chunk in Chunks(chunks) {
        let (name, content) = chunk?;
        if STAYS.contains(&name) {
            write(&mut kept, name, content);
        }
    }
    Some(kept)
}

/// Returns whether this is the EXIF block of stickers: nothing but the name of a sticker's pack, which
/// phones show. It is one entry with a tag of WhatsApp's own and a text.
fn is_pack(exif: &[u8]) -> bool {
    let text = exif.strip_prefix(b"II*\0\x08\0\0\0\x01\0AW\x07\0");
    let Some((length, rest)) = text.and_then(<[u8]>::split_first_chunk) else {
        return false;
    };
    let text = rest.strip_prefix(b"\x16\0\0\0").unwrap_or_default();
    text.starts_with(b"{") && u32::try_from(text.len()) == Ok(u32::from_le_bytes(*length))
}

fn write(kept: &mut Vec<u8>, name: &[u8], content: &[u8]) {
    kept.extend_from_slice(name);
    let length = u32::try_from(content.len()).unwrap_or(u32::MAX);
    kept.extend(length.to_le_bytes());
    kept.extend_from_slice(content);
    if content.len() % 2 == 1 {
        kept.push(0);
    }
}

/// The chunks of a container: name and content. `None` for one that is cut off.
struct Chunks<'a>(&'a [u8]);

impl<'a> Iterator for Chunks<'a> {
    type Item = Option<(&'a [u8], &'a [u8])>;

    fn next(&mut self) -> Option<Self::Item> {
        // Less than a chunk is padding.
        if self.0.len() < 8 {
            return None;
        }
        let chunk = next_chunk(&mut self.0);
        if chunk.is_none() {
            self.0 = &[];
        }
        Some(chunk)
    }
}

fn next_chunk<'a>(rest: &mut &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
    let (name, after) = rest.split_at_checked(4)?;
    let (length, after) = after.split_first_chunk()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let (content, after) = after.split_at_checked(length)?;
    // A chunk of odd length is padded, except by some programs at the end.
    *rest = after.get(length % 2..).unwrap_or_default();
    Some((name, content))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(name: &[u8], content: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        write(&mut bytes, name, content);
        bytes
    }

    fn webp(chunks: &[Vec<u8>]) -> Vec<u8> {
        let body = [b"WEBP".to_vec(), chunks.concat()].concat();
        [
            b"RIFF".to_vec(),
            u32::try_from(body.len()).unwrap().to_le_bytes().to_vec(),
            body,
        ]
        .concat()
    }

    fn extended(flags: u8) -> Vec<u8> {
        chunk(b"VP8X", &[flags, 0, 0, 0, 9, 0, 0, 9, 0, 0])
    }

    #[test]
    fn only_named_chunks_stay_also_within_frames() {
        let frame = |more: &[u8]| {
            let inside = [&[0; FRAME_HEAD], &chunk(b"VP8L", b"odd")[..], more].concat();
            chunk(b"ANMF", &inside)
        };
        let gone = chunk(b"prvt", b"CANARY!");
        let came = webp(&[
            extended(0xff),
            chunk(b"ICCP", b"profile"),
            chunk(b"ANIM", &[0; 6]),
            gone.clone(),
            frame(&gone),
            chunk(b"EXIF", b"II*\0CANARY"),
            chunk(b"XMP ", b"CANARY"),
        ]);
        let kept = webp(&[
            extended(0xf3),
            chunk(b"ICCP", b"profile"),
            chunk(b"ANIM", &[0; 6]),
            frame(b""),
        ]);
        let followed = [&came[..], b"CANARY"].concat();
        let found = strip(&followed).unwrap();
        assert_eq!(found.bytes, kept);
        assert_eq!(found.exif, Some(&b"II*\0CANARY"[..]));
        let cut = &came[..kept.len() - 10];
        assert!(strip(cut).is_none());
    }

    #[test]
    fn the_name_of_a_stickers_pack_stays() {
        let text = br#"{"sticker-pack-name":"Cats","emojis":[]}"#;
        let mut pack = b"II*\0\x08\0\0\0\x01\0AW\x07\0".to_vec();
        pack.extend(u32::try_from(text.len()).unwrap().to_le_bytes());
        pack.extend_from_slice(b"\x16\0\0\0");
        pack.extend_from_slice(text);
        let sticker = webp(&[
            extended(0x18),
            chunk(b"VP8 ", b"data"),
            chunk(b"EXIF", &pack),
        ]);
        assert_eq!(strip(&sticker).unwrap().bytes, sticker);
        // With more behind it, it is not that.
        pack.extend_from_slice(b"CANARY");
        let more = webp(&[
            extended(0x18),
            chunk(b"VP8 ", b"data"),
            chunk(b"EXIF", &pack),
        ]);
        let kept = webp(&[extended(0x10), chunk(b"VP8 ", b"data")]);
        assert_eq!(strip(&more).unwrap().bytes, kept);
    }
}

//! Pictures: reads their facts and removes their metadata.
//!
//! A camera writes where and with what it took a picture. This is removed. A JPEG or PNG that is
//! upright, has 8 bits and is not too large keeps its pixels bit by bit. Any other picture is encoded
//! again.

use std::io::Cursor;

use bytes::Bytes;
use image::{
    DynamicImage, ImageDecoder as _, ImageFormat, ImageReader, Limits,
    codecs::{jpeg::JpegEncoder, webp::WebPDecoder},
    metadata::Orientation,
};
use img_parts::{DynImage, ImageEXIF as _, jpeg::markers, png::Png};
use passerelle_engine::media::Looks;

use crate::media::{error::BadMedia, ready::Ready};

/// The most pixels of a picture, because a decoded picture is held in memory.
const PIXELS_MAX: u64 = 50_000_000;
/// Memory that decoding one picture may take.
const ALLOC_MAX: u64 = 256 * 1024 * 1024;
/// The longest side of a picture that is sent; phones show no more.
const SIDE_MAX: u32 = 4096;
/// The longest side of a thumbnail, and its size in bytes.
const THUMBNAIL_SIDE: u32 = 100;
const THUMBNAIL_MAX: usize = 10 * 1024;
/// A sticker's sides, and the size in bytes of one that does not move.
const STICKER_SIDE: u32 = 512;
const STICKER_MAX: usize = 100 * 1024;

fn damaged<E>(_: E) -> BadMedia {
    BadMedia::Damaged
}

fn format(mime_type: &str) -> Result<ImageFormat, BadMedia> {
    ImageFormat::from_mime_type(mime_type).ok_or(BadMedia::Damaged)
}

/// Decodes a picture and reads its orientation.
fn decode(format: ImageFormat, bytes: &[u8]) -> Result<(DynamicImage, Orientation), BadMedia> {
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::default();
    limits.max_alloc = Some(ALLOC_MAX);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(damaged)?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > PIXELS_MAX {
        return Err(BadMedia::Dimensions);
    }
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let picture = DynamicImage::from_decoder(decoder).map_err(damaged)?;
    Ok((picture, orientation))
}

pub(super) fn picture(mime_type: &'static str, bytes: Vec<u8>) -> Result<Ready, BadMedia> {
    let format = format(mime_type)?;
    if format == ImageFormat::Jpeg && is_cut_off(&bytes) {
        return Err(BadMedia::Damaged);
    }
    let (mut picture, orientation) = decode(format, &bytes)?;
    let large = picture.width().max(picture.height()) > SIDE_MAX;
    let eight_bits = picture.color().bytes_per_pixel() == picture.color().channel_count();
    let as_is = format != ImageFormat::WebP
        && orientation == Orientation::NoTransforms
        && !large
        && eight_bits;
    let (bytes, mime_type) = if as_is {
        (without_metadata(format, bytes)?, mime_type)
    } else {
        picture.apply_orientation(orientation);
        if large {
            picture = picture.resize(SIDE_MAX, SIDE_MAX, image::imageops::FilterType::Triangle);
        }
        reencode(&picture)?
    };
    let looks = Looks {
        mime_type: mime_type.to_owned(),
        width: Some(picture.width()),
        height: Some(picture.height()),
        thumbnail: thumbnail(&picture),
        ..Looks::default()
    };
    Ok(Ready { bytes, looks })
}

/// Returns whether a JPEG is cut off (ITU-T T.81, B.1.1.3: EOI after the last SOS). The decoder would
/// fill the missing part with grey.
fn is_cut_off(jpeg: &[u8]) -> bool {
    let last = |marker: u8| jpeg.windows(2).rposition(|pair| pair == [0xff, marker]);
    last(markers::EOI) < last(markers::SOS)
}

/// Removes what the camera wrote: EXIF and XMP (APP1), IPTC (APP13), comments, and the same in PNG.
/// Colour profiles stay.
fn without_metadata(format: ImageFormat, bytes: Vec<u8>) -> Result<Bytes, BadMedia> {
    let parsed = DynImage::from_bytes(bytes.into()).map_err(damaged)?;
    match parsed.ok_or(BadMedia::Damaged)? {
        DynImage::Jpeg(mut jpeg) => {
            for marker in [markers::APP1, markers::APP13, markers::COM] {
                jpeg.remove_segments_by_marker(marker);
            }
            Ok(jpeg.encoder().bytes())
        }
        DynImage::Png(mut png) => {
            png.set_exif(None);
            for kind in [*b"tEXt", *b"zTXt", *b"iTXt", *b"tIME"] {
                remove_chunks(&mut png, kind);
            }
            Ok(png.encoder().bytes())
        }
        DynImage::WebP(_) => {
            debug_assert!(false, "{format:?} is encoded again");
            Err(BadMedia::Damaged)
        }
    }
}

fn remove_chunks(png: &mut Png, kind: [u8; 4]) {
    png.chunks_mut().retain(|chunk| chunk.kind() != kind);
}

/// Encodes the picture as PNG if it is transparent, else as JPEG.
fn reencode(picture: &DynamicImage) -> Result<(Bytes, &'static str), BadMedia> {
    let mut bytes = Vec::new();
    if picture.color().has_alpha() {
        let eight = DynamicImage::ImageRgba8(picture.to_rgba8());
        eight
            .write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png)
            .map_err(damaged)?;
        return Ok((bytes.into(), "image/png"));
    }
    jpeg(picture, 90, &mut bytes).map_err(damaged)?;
    Ok((bytes.into(), "image/jpeg"))
}

fn jpeg(picture: &DynamicImage, quality: u8, into: &mut Vec<u8>) -> image::ImageResult<()> {
    JpegEncoder::new_with_quality(into, quality).encode_image(&picture.to_rgb8())
}

/// Returns a small JPEG; empty if none can be made, which phones accept.
fn thumbnail(picture: &DynamicImage) -> Vec<u8> {
    let small = picture.thumbnail(THUMBNAIL_SIDE, THUMBNAIL_SIDE);
    for quality in [60, 30] {
        let mut bytes = Vec::new();
        if jpeg(&small, quality, &mut bytes).is_ok() && bytes.len() <= THUMBNAIL_MAX {
            return bytes;
        }
    }
    Vec::new()
}

/// Returns a thumbnail of a picture that is not kept.
pub(super) fn small(mime_type: &str, bytes: &[u8]) -> Option<Vec<u8>> {
    let (mut picture, orientation) = decode(format(mime_type).ok()?, bytes).ok()?;
    picture.apply_orientation(orientation);
    Some(thumbnail(&picture)).filter(|bytes| !bytes.is_empty())
}

pub(super) fn sticker(bytes: Vec<u8>) -> Result<Ready, BadMedia> {
    let moves = WebPDecoder::new(Cursor::new(&bytes))
        .map_err(damaged)?
        .has_animation();
    let (picture, _) = decode(ImageFormat::WebP, &bytes)?;
    if (picture.width(), picture.height()) != (STICKER_SIDE, STICKER_SIDE) {
        return Err(BadMedia::Dimensions);
    }
    if !moves && bytes.len() > STICKER_MAX {
        return Err(BadMedia::TooLarge(STICKER_MAX as u64));
    }
    let looks = Looks {
        mime_type: "image/webp".to_owned(),
        width: Some(STICKER_SIDE),
        height: Some(STICKER_SIDE),
        ..Looks::default()
    };
    Ok(Ready {
        bytes: bytes.into(),
        looks,
    })
}

#[cfg(test)]
mod tests {
    use img_parts::jpeg::Jpeg;

    use super::*;

    fn drawn(width: u32, height: u32) -> DynamicImage {
        let picture = image::RgbImage::from_fn(width, height, |x, y| {
            let shade = |at: u32| u8::try_from(at % 256).unwrap();
            image::Rgb([shade(x), shade(y), 90])
        });
        DynamicImage::ImageRgb8(picture)
    }

    fn as_jpeg(picture: &DynamicImage) -> Vec<u8> {
        let mut bytes = Vec::new();
        jpeg(picture, 90, &mut bytes).unwrap();
        bytes
    }

    /// Adds an EXIF block with an orientation and a word to look for.
    fn with_exif(bytes: Vec<u8>, orientation: u8) -> Vec<u8> {
        let mut exif = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
        exif.extend([orientation, 0, 0, 0, 0, 0, 0]);
        exif.extend_from_slice(b"CANARY");
        let mut parsed = Jpeg::from_bytes(bytes.into()).unwrap();
        parsed.set_exif(Some(exif.into()));
        parsed.encoder().bytes().to_vec()
    }

    fn has_canary(bytes: &[u8]) -> bool {
        bytes.windows(6).any(|word| word == b"CANARY")
    }

    #[test]
    fn an_upright_picture_keeps_its_pixels_and_loses_what_the_camera_wrote() {
        let plain = as_jpeg(&drawn(300, 200));
        let taken = with_exif(plain.clone(), 1);
        assert!(has_canary(&taken));
        let ready = picture("image/jpeg", taken).unwrap();
        assert!(!has_canary(&ready.bytes));
        assert_eq!(ready.bytes, plain, "not encoded again");
        assert_eq!(
            (ready.looks.width, ready.looks.height),
            (Some(300), Some(200))
        );
        let small = image::load_from_memory(&ready.looks.thumbnail).unwrap();
        assert_eq!((small.width(), small.height()), (100, 67));
    }

    #[test]
    fn a_picture_taken_sideways_is_turned() {
        let ready = picture("image/jpeg", with_exif(as_jpeg(&drawn(300, 200)), 6)).unwrap();
        assert!(!has_canary(&ready.bytes));
        assert_eq!(
            (ready.looks.width, ready.looks.height),
            (Some(200), Some(300))
        );
        let turned = image::load_from_memory(&ready.bytes).unwrap();
        assert_eq!((turned.width(), turned.height()), (200, 300));
    }

    #[test]
    fn a_huge_picture_shrinks_and_one_of_too_many_pixels_is_refused() {
        let ready = picture("image/jpeg", as_jpeg(&drawn(5000, 100))).unwrap();
        assert_eq!(
            (ready.looks.width, ready.looks.height),
            (Some(4096), Some(82))
        );
        // 30,000 by 30,000 pixels in 100 bytes: only its head is read.
        let mut png = Vec::new();
        drawn(1, 1)
            .write_to(&mut Cursor::new(&mut png), ImageFormat::Png)
            .unwrap();
        png[16..24].copy_from_slice(&[0, 0, 0x75, 0x30, 0, 0, 0x75, 0x30]);
        let crc = crc32(&png[12..29]);
        png[29..33].copy_from_slice(&crc.to_be_bytes());
        assert!(matches!(
            picture("image/png", png),
            Err(BadMedia::Dimensions)
        ));
    }

    fn crc32(bytes: &[u8]) -> u32 {
        let mut crc = !0_u32;
        for byte in bytes {
            crc ^= u32::from(*byte);
            for _ in 0..8 {
                crc = (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
            }
        }
        !crc
    }

    proptest::proptest! {
        /// Whatever byte was changed, decoding ends with an answer; a panic counts as damage.
        #[test]
        fn a_bent_picture_is_shown_or_refused(
            at in proptest::prelude::any::<proptest::sample::Index>(),
            byte in proptest::prelude::any::<u8>(),
        ) {
            let drawn = drawn(40, 30);
            let mut png = Vec::new();
            drawn.write_to(&mut Cursor::new(&mut png), ImageFormat::Png).unwrap();
            let jpeg = with_exif(as_jpeg(&drawn), 3);
            for (mime_type, mut bytes) in [("image/jpeg", jpeg), ("image/png", png)] {
                let at = at.index(bytes.len());
                bytes[at] = byte;
                if let Ok(ready) = picture(mime_type, bytes) {
                    assert!(!has_canary(&ready.bytes) || at < 200, "what the camera wrote is in it");
                }
            }
        }
    }

    #[test]
    fn a_small_picture_is_made_of_a_picture_alone() {
        let taken = with_exif(as_jpeg(&drawn(300, 200)), 6);
        let small = small("image/jpeg", &taken).unwrap();
        assert!(!has_canary(&small) && small.len() <= THUMBNAIL_MAX);
        let shown = image::load_from_memory(&small).unwrap();
        assert_eq!((shown.width(), shown.height()), (67, 100), "upright");
        assert_eq!(super::small("text/html", b"<html>"), None);
        assert_eq!(super::small("image/png", b"\x89PNG\r\n\x1a\n"), None);
    }

    #[test]
    fn what_is_cut_off_is_damaged() {
        let whole = as_jpeg(&drawn(300, 200));
        let cut = whole[..whole.len() / 8].to_vec();
        assert!(matches!(picture("image/jpeg", cut), Err(BadMedia::Damaged)));
        assert!(matches!(
            picture("image/png", b"\x89PNG\r\n\x1a\n".to_vec()),
            Err(BadMedia::Damaged)
        ));
    }

    #[test]
    fn a_sticker_is_a_square_of_512() {
        let webp = |side| {
            let mut bytes = Vec::new();
            DynamicImage::new_rgba8(side, side)
                .write_to(&mut Cursor::new(&mut bytes), ImageFormat::WebP)
                .unwrap();
            bytes
        };
        assert!(sticker(webp(512)).is_ok());
        assert!(matches!(sticker(webp(100)), Err(BadMedia::Dimensions)));
        let ready = picture("image/webp", webp(64)).unwrap();
        assert_eq!(ready.looks.mime_type, "image/png", "see-through");
    }
}

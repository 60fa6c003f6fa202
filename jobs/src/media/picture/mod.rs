//! Pictures: reads their facts and removes their metadata.
//!
//! | page | what it holds |
//! |---|---|
//! | here | what happens to a picture that was uploaded |
//! | `jpeg`, `png`, `webp` | what of a file is needed to show it |
//! | `photo` | photographs that are too large to be decoded whole |
//! | `colours` | the colour profile, other sizes, and encoding |
//!
//! A camera writes where and with what it took a picture. This is removed, with everything else that is
//! not needed to show the picture. A JPEG or PNG that is upright, has 8 bits and is not too large keeps
//! its pixels bit by bit. Any other picture is encoded again, with its colour profile.

mod colours;
mod jpeg;
mod photo;
mod png;
#[cfg(test)]
mod tests;
mod webp;

use std::io::Cursor;

use image::{
    DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, codecs::webp::WebPDecoder,
    metadata::Orientation,
};
use passerelle_engine::media::Looks;

use self::colours::Picture;
use crate::media::{
    bounds::{DECODED_MAX, STICKER_MAX, STICKER_MOVING_MAX, STICKER_SIDE},
    error::BadMedia,
    ready::Ready,
};

/// Memory that decoding one picture may take, with what the decoder itself needs.
const ALLOC_MAX: u64 = 192 * 1024 * 1024;
/// The longest side of a picture that is sent; phones show no more.
const SIDE_MAX: u32 = 4096;
/// The longest side of a thumbnail, and its size in bytes.
const THUMBNAIL_SIDE: u32 = 100;
const THUMBNAIL_MAX: usize = 10 * 1024;

/// A file without what is not needed to show it.
struct Stripped<'a> {
    bytes: Vec<u8>,
    /// The EXIF block that it had.
    exif: Option<&'a [u8]>,
}

impl Stripped<'_> {
    fn of(format: ImageFormat, bytes: &[u8]) -> Result<Stripped<'_>, BadMedia> {
        let stripped = match format {
            ImageFormat::Jpeg => jpeg::strip(bytes),
            ImageFormat::Png => png::strip(bytes),
            ImageFormat::WebP => webp::strip(bytes),
            _ => None,
        };
        stripped.ok_or(BadMedia::Damaged)
    }

    fn orientation(&self) -> Orientation {
        // Some programs write the name that EXIF has in a JPEG also elsewhere.
        let exif = self
            .exif
            .map(|exif| exif.strip_prefix(b"Exif\0\0").unwrap_or(exif));
        exif.and_then(Orientation::from_exif_chunk)
            .unwrap_or(Orientation::NoTransforms)
    }
}

fn format(mime_type: &str) -> Result<ImageFormat, BadMedia> {
    ImageFormat::from_mime_type(mime_type).ok_or(BadMedia::Damaged)
}

/// Reads the head of a picture. Refuses one that would be too large when it is decoded.
fn opened(format: ImageFormat, bytes: &[u8]) -> Result<impl ImageDecoder + '_, BadMedia> {
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::default();
    limits.max_alloc = Some(ALLOC_MAX);
    reader.limits(limits);
    let decoder = reader.into_decoder().map_err(BadMedia::damaged)?;
    if decoder.total_bytes() > DECODED_MAX {
        return Err(BadMedia::Dimensions);
    }
    Ok(decoder)
}

/// Decodes a picture and its colour profile. A large photograph becomes smaller.
fn decode(format: ImageFormat, bytes: &[u8]) -> Result<Picture, BadMedia> {
    let mut decoder = match opened(format, bytes) {
        Err(BadMedia::Dimensions) if format == ImageFormat::Jpeg => return photo::smaller(bytes),
        opened => opened?,
    };
    let profile = decoder.icc_profile().ok().flatten();
    let pixels = DynamicImage::from_decoder(decoder).map_err(BadMedia::damaged)?;
    Ok(Picture { pixels, profile })
}

/// Returns why a picture that is cut off is refused: one that is too large is called so.
fn why_refused(format: ImageFormat, bytes: &[u8], cut: BadMedia) -> BadMedia {
    match opened(format, bytes) {
        Err(BadMedia::Dimensions) if format == ImageFormat::Jpeg && photo::fits(bytes) => cut,
        Err(why) => why,
        Ok(_) => cut,
    }
}

pub(super) fn picture(mime_type: &str, bytes: &[u8]) -> Result<Ready, BadMedia> {
    let format = format(mime_type)?;
    let stripped = Stripped::of(format, bytes);
    let stripped = stripped.map_err(|cut| why_refused(format, bytes, cut))?;
    let orientation = stripped.orientation();
    let is_whole = opened(format, &stripped.bytes).is_ok();
    let mut picture = decode(format, &stripped.bytes)?;
    let pixels = &picture.pixels;
    let large = pixels.width().max(pixels.height()) > SIDE_MAX;
    let eight_bits = pixels.color().bytes_per_pixel() == pixels.color().channel_count();
    let as_is = format != ImageFormat::WebP
        && orientation == Orientation::NoTransforms
        && is_whole
        && !large
        && eight_bits;
    let (bytes, mime_type) = if as_is {
        (stripped.bytes, mime_type)
    } else {
        // Each step works on fewer bytes than the one before.
        if !eight_bits {
            picture.keep_eight_bits();
        }
        if large {
            picture.shrink(SIDE_MAX).map_err(BadMedia::damaged)?;
        }
        picture.pixels.apply_orientation(orientation);
        picture.encode().map_err(BadMedia::damaged)?
    };
    let looks = Looks {
        mime_type: mime_type.to_owned(),
        width: Some(picture.pixels.width()),
        height: Some(picture.pixels.height()),
        thumbnail: thumbnail(&picture),
        ..Looks::default()
    };
    Ok(Ready {
        bytes: bytes.into(),
        looks,
    })
}

/// Returns a small JPEG; empty if none can be made, which phones accept.
fn thumbnail(picture: &Picture) -> Vec<u8> {
    let pixels = picture.pixels.thumbnail(THUMBNAIL_SIDE, THUMBNAIL_SIDE);
    let small = Picture {
        pixels,
        profile: picture.profile.clone(),
    };
    let plain = Picture {
        pixels: small.pixels.clone(),
        profile: None,
    };
    for (small, quality) in [(&small, 60), (&small, 30), (&plain, 60), (&plain, 30)] {
        let jpeg = small.jpeg(quality).unwrap_or_default();
        if !jpeg.is_empty() && jpeg.len() <= THUMBNAIL_MAX {
            return jpeg;
        }
    }
    Vec::new()
}

/// Returns a thumbnail of a picture that is not kept.
pub(super) fn small(mime_type: &str, bytes: &[u8]) -> Option<Vec<u8>> {
    let format = format(mime_type).ok()?;
    let stripped = Stripped::of(format, bytes).ok()?;
    let mut picture = decode(format, &stripped.bytes).ok()?;
    picture.pixels.apply_orientation(stripped.orientation());
    Some(thumbnail(&picture)).filter(|bytes| !bytes.is_empty())
}

pub(super) fn sticker(bytes: &[u8]) -> Result<Ready, BadMedia> {
    let bytes = Stripped::of(ImageFormat::WebP, bytes)?.bytes;
    let moves = WebPDecoder::new(Cursor::new(&bytes))
        .map_err(BadMedia::damaged)?
        .has_animation();
    let pixels = decode(ImageFormat::WebP, &bytes)?.pixels;
    if (pixels.width(), pixels.height()) != (STICKER_SIDE, STICKER_SIDE) {
        return Err(BadMedia::Dimensions);
    }
    let most = if moves {
        STICKER_MOVING_MAX
    } else {
        STICKER_MAX
    };
    if bytes.len() as u64 > most {
        return Err(BadMedia::TooLarge(most));
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

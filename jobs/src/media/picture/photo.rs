//! Photographs that are too large to be decoded whole: telephones take ones of 24 and 48 million pixels.
//!
//! A JPEG can be decoded at a half, a quarter or an eighth of its sides, for a fraction of the memory.

use std::io::Cursor;

use image::{DynamicImage, GrayImage, RgbImage};
use jpeg_decoder::{CodingProcess, Decoder, ImageInfo, PixelFormat};

use super::colours::Picture;
use crate::media::{bounds::DECODED_MAX, error::BadMedia};

/// The most samples of a JPEG: pixels times colours.
const SAMPLES_MAX: u64 = 192 * 1024 * 1024;
/// The most samples of one that is coded progressively, which a decoder holds all at once, in two bytes each.
const PROGRESSIVE_MAX: u64 = 64 * 1024 * 1024;

/// Decodes a JPEG at the largest part of its sides that fits.
pub(super) fn smaller(bytes: &[u8]) -> Result<Picture, BadMedia> {
    let mut decoder = opened(bytes)?;
    let info = decoder.info().ok_or(BadMedia::Damaged)?;
    let parts = [2, 4, 8].map(|part| (info.width.div_ceil(part), info.height.div_ceil(part)));
    let colours = info.pixel_format.pixel_bytes() as u64;
    let size = |(width, height): &(u16, u16)| u64::from(*width) * u64::from(*height) * colours;
    let part = parts.into_iter().find(|part| size(part) <= DECODED_MAX);
    let (width, height) = part.ok_or(BadMedia::Dimensions)?;
    let (width, height) = decoder.scale(width, height).map_err(BadMedia::damaged)?;
    let samples = decoder.decode().map_err(BadMedia::damaged)?;
    let (width, height) = (u32::from(width), u32::from(height));
    let pixels: Option<DynamicImage> = match info.pixel_format {
        PixelFormat::RGB24 => RgbImage::from_raw(width, height, samples).map(Into::into),
        PixelFormat::L8 => GrayImage::from_raw(width, height, samples).map(Into::into),
        PixelFormat::CMYK32 | PixelFormat::L16 => None,
    };
    Ok(Picture {
        pixels: pixels.ok_or(BadMedia::Damaged)?,
        profile: decoder.icc_profile(),
    })
}

/// Returns whether a JPEG can be decoded at a part of its sides.
pub(super) fn fits(bytes: &[u8]) -> bool {
    opened(bytes).is_ok()
}

fn opened(bytes: &[u8]) -> Result<Decoder<Cursor<&[u8]>>, BadMedia> {
    let mut decoder = Decoder::new(Cursor::new(bytes));
    decoder.read_info().map_err(BadMedia::damaged)?;
    let info = decoder.info().ok_or(BadMedia::Damaged)?;
    if !is_in_bounds(info) {
        return Err(BadMedia::Dimensions);
    }
    Ok(decoder)
}

fn is_in_bounds(info: ImageInfo) -> bool {
    let pixels = u64::from(info.width) * u64::from(info.height);
    let samples = pixels * info.pixel_format.pixel_bytes() as u64;
    let most = match info.coding_process {
        CodingProcess::DctSequential => SAMPLES_MAX,
        CodingProcess::DctProgressive => PROGRESSIVE_MAX,
        CodingProcess::Lossless => 0,
    };
    let is_known = matches!(info.pixel_format, PixelFormat::RGB24 | PixelFormat::L8);
    is_known && samples <= most
}

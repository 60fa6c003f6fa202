//! A decoded picture and its colour profile: another size, fewer bits, encoding.
//!
//! Without its profile, a picture with more colours than sRGB looks pale.

use std::io::Cursor;

use fast_image_resize::{PixelType, ResizeError, Resizer, images::Image};
use image::{
    DynamicImage, GrayAlphaImage, GrayImage, ImageEncoder as _, ImageError, ImageResult, RgbImage,
    RgbaImage,
    codecs::{jpeg::JpegEncoder, png::PngEncoder},
};

/// The largest profile that is kept.
const PROFILE_MAX: usize = 2 * 1024 * 1024;

/// Decoded pixels, and the ICC profile that they had.
pub(super) struct Picture {
    pub(super) pixels: DynamicImage,
    pub(super) profile: Option<Vec<u8>>,
}

impl Picture {
    /// Keeps eight bits of each colour.
    pub(super) fn keep_eight_bits(&mut self) {
        let pixels = std::mem::take(&mut self.pixels);
        let color = pixels.color();
        self.pixels = match (color.has_color(), color.has_alpha()) {
            (true, true) => pixels.into_rgba8().into(),
            (true, false) => pixels.into_rgb8().into(),
            (false, true) => pixels.into_luma_alpha8().into(),
            (false, false) => pixels.into_luma8().into(),
        };
    }

    /// Makes a picture of eight bits so small that no side is longer than `most`.
    pub(super) fn shrink(&mut self, most: u32) -> Result<(), ResizeError> {
        let pixels = std::mem::take(&mut self.pixels);
        let (width, height) = (pixels.width(), pixels.height());
        let long = u64::from(width.max(height));
        let scaled = |side: u32| {
            let side = (u64::from(side) * u64::from(most) + long / 2) / long;
            u32::try_from(side).unwrap_or(most).clamp(1, most)
        };
        let kind = match pixels {
            DynamicImage::ImageLuma8(_) => PixelType::U8,
            DynamicImage::ImageLumaA8(_) => PixelType::U8x2,
            DynamicImage::ImageRgb8(_) => PixelType::U8x3,
            _ => PixelType::U8x4,
        };
        let from = Image::from_vec_u8(width, height, pixels.into_bytes(), kind);
        let from = from.map_err(|_| ResizeError::PixelTypesAreDifferent)?;
        let (width, height) = (scaled(width), scaled(height));
        let mut to = Image::new(width, height, kind);
        Resizer::new().resize(&from, &mut to, None)?;
        let bytes = to.into_vec();
        let small: Option<DynamicImage> = match kind {
            PixelType::U8 => GrayImage::from_raw(width, height, bytes).map(Into::into),
            PixelType::U8x2 => GrayAlphaImage::from_raw(width, height, bytes).map(Into::into),
            PixelType::U8x3 => RgbImage::from_raw(width, height, bytes).map(Into::into),
            _ => RgbaImage::from_raw(width, height, bytes).map(Into::into),
        };
        self.pixels = small.unwrap_or_default();
        Ok(())
    }

    /// Encodes it as PNG if it is transparent, else as JPEG. Returns its type, too.
    pub(super) fn encode(&self) -> ImageResult<(Vec<u8>, &'static str)> {
        if self.pixels.color().has_alpha() {
            return Ok((self.png()?, "image/png"));
        }
        Ok((self.jpeg(90)?, "image/jpeg"))
    }

    /// Encodes it as JPEG, without transparency.
    pub(super) fn jpeg(&self, quality: u8) -> ImageResult<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut encoder = JpegEncoder::new_with_quality(&mut bytes, quality);
        if let Some(profile) = self.profile() {
            encoder
                .set_icc_profile(profile.to_vec())
                .map_err(ImageError::Unsupported)?;
        }
        if self.is_grey() {
            encoder.encode_image(&self.pixels.to_luma8())?;
        } else {
            encoder.encode_image(&self.pixels.to_rgb8())?;
        }
        Ok(bytes)
    }

    fn png(&self) -> ImageResult<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut encoder = PngEncoder::new(Cursor::new(&mut bytes));
        if let Some(profile) = self.profile() {
            encoder
                .set_icc_profile(profile.to_vec())
                .map_err(ImageError::Unsupported)?;
        }
        let eight_bits: DynamicImage = if self.is_grey() {
            self.pixels.to_luma_alpha8().into()
        } else {
            self.pixels.to_rgba8().into()
        };
        eight_bits.write_with_encoder(encoder)?;
        Ok(bytes)
    }

    /// Grey pixels stay grey only for a profile of grey; others become RGB, which any profile fits that
    /// may come with them.
    fn is_grey(&self) -> bool {
        !self.pixels.color().has_color() && self.describes(*b"GRAY")
    }

    /// Returns the profile if it describes the pixels that are encoded. One of CMYK does not: the decoder
    /// has converted them to RGB.
    fn profile(&self) -> Option<&[u8]> {
        let space = if self.is_grey() { *b"GRAY" } else { *b"RGB " };
        self.profile.as_deref().filter(|_| self.describes(space))
    }

    /// Returns whether there is a profile of this colour space (ICC.1:2022, 7.2).
    fn describes(&self, space: [u8; 4]) -> bool {
        let profile = self.profile.as_deref().unwrap_or_default();
        profile.len() <= PROFILE_MAX
            && profile.get(16..20) == Some(&space)
            && profile.get(36..40) == Some(b"acsp")
    }
}

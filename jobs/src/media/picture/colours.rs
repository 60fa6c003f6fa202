//! What the numbers of a picture's pixels mean: its colour profile, and encoding with it.
//!
//! Without its profile, a picture with more colours than sRGB looks pale.

use std::io::Cursor;

use image::{
    DynamicImage, ImageEncoder as _, ImageError, ImageResult,
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

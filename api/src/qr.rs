//! QR codes as images. Their content links a phone, so it is never logged.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use qrcode::{Color, EcLevel, QrCode, render::svg};

/// Pixels per module in the PNG.
const SCALE: usize = 8;
/// Light modules around the code (ISO/IEC 18004 wants four).
const QUIET: usize = 4;

/// A QR code, ready to be drawn.
pub struct Picture(QrCode);

impl Picture {
    /// Encodes `text`. An error means that it is longer than a QR code can hold (2,953 bytes).
    pub fn of(text: &str) -> anyhow::Result<Self> {
        // Codes on a screen are clean, so a low error correction is enough and keeps the modules large.
        Ok(Self(QrCode::with_error_correction_level(text, EcLevel::L)?))
    }

    /// Returns a PNG, one bit per pixel.
    pub fn png(&self) -> anyhow::Result<Vec<u8>> {
        let side = (self.0.width() + 2 * QUIET) * SCALE;
        let mut rows = Vec::with_capacity(side * side.div_ceil(8));
        for y in 0..side {
            let mut row = vec![0_u8; side.div_ceil(8)];
            for x in (0..side).filter(|x| !self.dark(x / SCALE, y / SCALE)) {
                row[x / 8] |= 0x80 >> (x % 8);
            }
            rows.extend_from_slice(&row);
        }
        let mut file = Vec::new();
        let side = u32::try_from(side)?;
        let mut encoder = png::Encoder::new(&mut file, side, side);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.set_depth(png::BitDepth::One);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&rows)?;
        writer.finish()?;
        Ok(file)
    }

    /// Returns the PNG as a `data:` URL.
    pub fn png_data_url(&self) -> anyhow::Result<String> {
        Ok(format!(
            "data:image/png;base64,{}",
            BASE64_STANDARD.encode(self.png()?)
        ))
    }

    /// Returns an SVG.
    pub fn svg(&self) -> String {
        self.0
            .render::<svg::Color<'_>>()
            .min_dimensions(256, 256)
            .build()
    }

    /// Returns lines of half blocks for a terminal.
    pub fn lines(&self) -> Vec<String> {
        let side = self.0.width() + 2 * QUIET;
        (0..side)
            .step_by(2)
            .map(|y| {
                (0..side)
                    .map(|x| half(self.dark(x, y), self.dark(x, y + 1)))
                    .collect()
            })
            .collect()
    }

    /// Whether the module at this position is dark. The position includes the quiet zone.
    fn dark(&self, x: usize, y: usize) -> bool {
        let inside = QUIET..QUIET + self.0.width();
        inside.contains(&x) && inside.contains(&y) && self.0[(x - QUIET, y - QUIET)] == Color::Dark
    }
}

/// Returns the character for two modules. Light modules are drawn, for a dark terminal.
fn half(upper_dark: bool, lower_dark: bool) -> char {
    match (upper_dark, lower_dark) {
        (false, false) => '█',
        (false, true) => '▀',
        (true, false) => '▄',
        (true, true) => ' ',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_png_has_the_modules_of_the_code() {
        let picture = Picture::of("2@abc,def,ghi").unwrap();
        let png = picture.png().unwrap();
        let decoder = png::Decoder::new(std::io::Cursor::new(&png));
        let mut reader = decoder.read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let frame = reader.next_frame(&mut pixels).unwrap();
        let side = (picture.0.width() + 2 * QUIET) * SCALE;
        assert_eq!((frame.width as usize, frame.height as usize), (side, side));
        let light =
            |x: usize, y: usize| pixels[y * frame.line_size + x / 8] & (0x80 >> (x % 8)) != 0;
        for y in 0..side {
            for x in 0..side {
                assert_eq!(light(x, y), !picture.dark(x / SCALE, y / SCALE));
            }
        }
    }

    #[test]
    fn every_form_begins_as_its_kind_does() {
        let picture = Picture::of("2@abc").unwrap();
        assert!(picture.png().unwrap().starts_with(b"\x89PNG\r\n\x1a\n"));
        assert!(
            picture
                .png_data_url()
                .unwrap()
                .starts_with("data:image/png;base64,iVBORw0KGgo")
        );
        assert!(picture.svg().contains("<svg"));
        assert_eq!(
            picture.lines()[0].chars().count(),
            picture.0.width() + 2 * QUIET
        );
    }

    #[test]
    fn a_text_too_long_for_a_code_is_an_error_and_no_panic() {
        assert!(Picture::of(&"x".repeat(4000)).is_err());
    }
}

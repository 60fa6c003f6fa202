//! What becomes of a picture.

use proptest::{collection::vec, prelude::*, sample::Index};

use super::*;

const STICKER: &[u8] = include_bytes!("../../../../tests/assets/sticker.webp");

fn drawn(width: u32, height: u32) -> DynamicImage {
    let picture = image::RgbImage::from_fn(width, height, |x, y| {
        let shade = |at: u32| u8::try_from(at % 256).unwrap();
        image::Rgb([shade(x), shade(y), 90])
    });
    DynamicImage::ImageRgb8(picture)
}

fn as_jpeg(picture: &DynamicImage) -> Vec<u8> {
    of(picture.clone(), None).jpeg(90).unwrap()
}

fn of(pixels: DynamicImage, profile: Option<Vec<u8>>) -> Picture {
    Picture { pixels, profile }
}

fn as_format(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Vec::new();
    picture
        .write_to(&mut Cursor::new(&mut bytes), format)
        .unwrap();
    bytes
}

/// Puts segments behind the start of a JPEG.
fn with_segments(jpeg: &[u8], segments: &[(u8, &[u8])]) -> Vec<u8> {
    let mut bytes = jpeg[..2].to_vec();
    for (marker, content) in segments {
        let length = u16::try_from(content.len() + 2).unwrap();
        bytes.extend([0xff, *marker]);
        bytes.extend(length.to_be_bytes());
        bytes.extend_from_slice(content);
    }
    bytes.extend_from_slice(&jpeg[2..]);
    bytes
}

/// Adds an EXIF block with an orientation and a word to look for.
fn with_exif(bytes: &[u8], orientation: u8) -> Vec<u8> {
    let mut exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    exif.extend([orientation, 0, 0, 0, 0, 0, 0]);
    exif.extend_from_slice(b"CANARY");
    with_segments(bytes, &[(0xe1, &exif)])
}

fn has_canary(bytes: &[u8]) -> bool {
    bytes.windows(6).any(|word| word == b"CANARY")
}

#[test]
fn an_upright_picture_keeps_its_pixels_and_loses_what_the_camera_wrote() {
    let plain = as_jpeg(&drawn(300, 200));
    let taken = with_exif(&plain, 1);
    assert!(has_canary(&taken));
    let ready = picture("image/jpeg", &taken).unwrap();
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
    let ready = picture("image/jpeg", &with_exif(&as_jpeg(&drawn(300, 200)), 6)).unwrap();
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
    let ready = picture("image/jpeg", &as_jpeg(&drawn(5000, 100))).unwrap();
    assert_eq!(
        (ready.looks.width, ready.looks.height),
        (Some(4096), Some(82))
    );
    // 30,000 by 30,000 pixels in 100 bytes: only its head is read.
    let mut png = as_format(&drawn(1, 1), ImageFormat::Png);
    png[16..24].copy_from_slice(&[0, 0, 0x75, 0x30, 0, 0, 0x75, 0x30]);
    let crc = crc32(&png[12..29]);
    png[29..33].copy_from_slice(&crc.to_be_bytes());
    assert!(matches!(
        picture("image/png", &png),
        Err(BadMedia::Dimensions)
    ));
}

#[test]
fn a_photograph_that_is_too_large_to_be_decoded_whole_is_sent_at_half_its_sides() {
    // Just above 64 MiB, and just below.
    for (width, height, sent) in [(4740, 4720, (2370, 2360)), (4096, 5461, (3072, 4096))] {
        let jpeg = with_exif(&as_jpeg(&DynamicImage::new_rgb8(width, height)), 1);
        let ready = picture("image/jpeg", &jpeg).unwrap();
        assert_eq!(
            (ready.looks.width, ready.looks.height),
            (Some(sent.0), Some(sent.1))
        );
        let again = image::load_from_memory(&ready.bytes).unwrap();
        assert_eq!((again.width(), again.height()), sent);
        assert!(!has_canary(&ready.bytes));
    }
    // Other formats cannot be decoded in part.
    let deep = DynamicImage::new_rgba16(2900, 2900);
    let refused = picture("image/png", &as_format(&deep, ImageFormat::Png));
    assert_eq!(refused.map(|_| ()), Err(BadMedia::Dimensions));
}

/// A valid picture of each format that is stripped.
fn pictures() -> [(ImageFormat, Vec<u8>); 3] {
    let drawn = drawn(40, 30);
    [
        (ImageFormat::Jpeg, with_exif(&as_jpeg(&drawn), 3)),
        (ImageFormat::Png, as_format(&drawn, ImageFormat::Png)),
        (ImageFormat::WebP, STICKER.to_vec()),
    ]
}

fn is_stripped_once(format: ImageFormat, bytes: &[u8]) -> Result<(), TestCaseError> {
    if let Ok(once) = Stripped::of(format, bytes) {
        let once = once.bytes;
        // A WebP may leave out the padding of its last chunk.
        prop_assert!(once.len() <= bytes.len() + bytes.len() / 8);
        let twice = Stripped::of(format, &once).map(|twice| twice.bytes);
        prop_assert_eq!(twice.ok(), Some(once), "{:?}", format);
    }
    Ok(())
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

proptest! {
    /// Whatever bytes were changed, what is left is not longer, and nothing more can be removed.
    #[test]
    fn a_bent_picture_is_stripped_once_or_refused(
        bends in vec((any::<Index>(), prop_oneof![any::<u8>(), Just(0xff)]), 1..20),
        early in any::<bool>(),
        cut in proptest::option::of(any::<Index>()),
        is_cut_there in any::<bool>(),
    ) {
        for (format, mut bytes) in pictures() {
            let most = if early { bytes.len().min(400) } else { bytes.len() };
            for (at, byte) in &bends {
                bytes[at.index(most)] = *byte;
            }
            let last = bends.last().map(|(at, _)| at.index(most) + 1);
            let cut = cut.map(|cut| cut.index(bytes.len()));
            if let Some(end) = last.filter(|_| is_cut_there).or(cut) {
                bytes.truncate(end);
            }
            is_stripped_once(format, &bytes)?;
        }
    }

    #[test]
    fn noise_is_stripped_once_or_refused(noise in vec(any::<u8>(), 0..2048)) {
        for (format, bytes) in pictures() {
            is_stripped_once(format, &[&bytes[..30], &noise].concat())?;
            is_stripped_once(format, &noise)?;
        }
    }

    /// Whatever byte was changed, decoding ends with an answer; a panic counts as damage.
    #[test]
    fn a_bent_picture_is_shown_or_refused(
        at in any::<Index>(),
        byte in any::<u8>(),
    ) {
        let drawn = drawn(40, 30);
        let png = as_format(&drawn, ImageFormat::Png);
        let jpeg = with_exif(&as_jpeg(&drawn), 3);
        for (mime_type, mut bytes) in [("image/jpeg", jpeg), ("image/png", png)] {
            let at = at.index(bytes.len());
            bytes[at] = byte;
            if let Ok(ready) = picture(mime_type, &bytes) {
                assert!(!has_canary(&ready.bytes) || at < 200, "what the camera wrote is in it");
            }
        }
    }
}

#[test]
fn a_small_picture_is_made_of_a_picture_alone() {
    let taken = with_exif(&as_jpeg(&drawn(300, 200)), 6);
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
    assert!(matches!(
        picture("image/jpeg", &cut),
        Err(BadMedia::Damaged)
    ));
    assert!(matches!(
        picture("image/png", b"\x89PNG\r\n\x1a\n"),
        Err(BadMedia::Damaged)
    ));
}

#[test]
fn a_sticker_is_a_square_of_512() {
    let webp = |side| as_format(&DynamicImage::new_rgba8(side, side), ImageFormat::WebP);
    assert!(sticker(&webp(512)).is_ok());
    assert!(matches!(sticker(&webp(100)), Err(BadMedia::Dimensions)));
    let ready = picture("image/webp", &webp(64)).unwrap();
    assert_eq!(ready.looks.mime_type, "image/png", "see-through");
}

/// A profile of a colour space, as far as it is looked at.
fn profile(space: [u8; 4]) -> Vec<u8> {
    let mut profile = vec![0; 128];
    profile[16..20].copy_from_slice(&space);
    profile[36..40].copy_from_slice(b"acsp");
    profile
}

fn profile_of(bytes: &[u8]) -> Option<Vec<u8>> {
    let format = image::guess_format(bytes).unwrap();
    decode(format, bytes).unwrap().profile
}

#[test]
fn a_picture_that_is_encoded_again_keeps_a_profile_that_describes_it() {
    let rgb = drawn(40, 30);
    let grey = DynamicImage::ImageLuma8(rgb.to_luma8());
    let clear = DynamicImage::ImageRgba8(rgb.to_rgba8());
    let grey_clear = DynamicImage::ImageLumaA8(rgb.to_luma_alpha8());
    for (pixels, space, stays) in [
        (&rgb, b"RGB ", true),
        (&rgb, b"GRAY", false),
        (&rgb, b"CMYK", false),
        (&grey, b"GRAY", true),
        (&grey, b"RGB ", true),
        (&grey, b"CMYK", false),
        (&clear, b"RGB ", true),
        (&clear, b"GRAY", false),
        (&grey_clear, b"GRAY", true),
        (&grey_clear, b"RGB ", true),
    ] {
        let (bytes, _) = of(pixels.clone(), Some(profile(*space))).encode().unwrap();
        let kept = profile_of(&bytes);
        let case = format!("{:?} {space:?}", pixels.color());
        assert_eq!(kept, stays.then(|| profile(*space)), "{case}");
        let shown = image::load_from_memory(&bytes).unwrap();
        let is_grey = !shown.color().has_color();
        let should_be = space == b"GRAY" && !pixels.color().has_color();
        assert_eq!(is_grey, should_be, "{case}");
    }
}

#[test]
fn a_picture_that_is_turned_or_shrunk_keeps_its_profile() {
    let coloured = |pixels| of(pixels, Some(profile(*b"RGB "))).jpeg(90).unwrap();
    for taken in [
        with_exif(&coloured(drawn(300, 200)), 6),
        coloured(drawn(5000, 40)),
        coloured(drawn(40, 30)),
    ] {
        let ready = picture("image/jpeg", &taken).unwrap();
        assert_eq!(profile_of(&ready.bytes), Some(profile(*b"RGB ")));
        let small = profile_of(&ready.looks.thumbnail);
        assert_eq!(
            small,
            Some(profile(*b"RGB ")),
            "so the thumbnail is not pale"
        );
    }
}

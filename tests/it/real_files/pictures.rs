//! Pictures as cameras, phones and programs write them.

use anyhow::Result;
use passerelle_tests::Setup;
use serde_json::json;
use std::{fs, path::Path};

use super::desk::{Desk, changed, exiftool, run, told};

/// What cameras write, as options of exiftool.
const WRITTEN: &str = "-q -overwrite_original -GPSLatitude=48.1371 -GPSLatitudeRef=N -Make=CANARY \
    -Model=CANARY -SerialNumber=CANARY -Artist=CANARY -XMP:Creator=CANARY -XMP-GCamera:MicroVideo=1";

/// Returns a picture that a program drew, with everything that a camera writes.
fn taken(folder: &Path, name: &str, drawn: &str) -> Result<Vec<u8>> {
    run(folder, "convert", &format!("{drawn} {name}"))?;
    let more = if name.ends_with("jpg") {
        "-IPTC:City=CANARY -Comment=CANARY"
    } else {
        ""
    };
    run(folder, "exiftool", &format!("{WRITTEN} {more} {name}"))?;
    Ok(fs::read(folder.join(name))?)
}

/// Returns the pixels of the first picture of a file.
fn pixels(folder: &Path, name: &str, bytes: &[u8]) -> Result<Vec<u8>> {
    fs::write(folder.join(name), bytes)?;
    run(folder, "convert", &format!("{name}[0] -depth 8 rgba:-"))
}

/// Returns a short film with a place, as a phone puts it behind a picture. It ends like a JPEG that is cut
/// off in its scan: such bytes are in every film by chance.
fn film(folder: &Path, seconds: u32) -> Result<Vec<u8>> {
    let source = format!("-f lavfi -i testsrc2=size=320x240:rate=15:duration={seconds}");
    run(
        folder,
        "ffmpeg",
        &format!(
            "-loglevel error -y {source} -c:v libx264 -metadata location=+48.1371+011.5754/ -metadata title=CANARY film.mp4"
        ),
    )?;
    let mut film = fs::read(folder.join("film.mp4"))?;
    film.extend(b"\xff\xd8\xff\xd9\xff\xda\0\x0c\x03\x01\0\x02");
    Ok(film)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_jpeg_goes_out_as_its_first_picture_and_nothing_else() -> Result<()> {
    let desk = Desk::open(Setup::quick()).await?;
    let folder = desk.folder.path();
    let photo = taken(
        folder,
        "photo.jpg",
        "-size 640x480 plasma:tomato-steelblue -quality 92",
    )?;
    // A second picture with its own place: HDR gain maps and the depth of portraits are such.
    let second = taken(
        folder,
        "second.jpg",
        "-size 160x120 plasma:red-blue -quality 70",
    )?;
    let progressive = "-copy all -progressive -restart 1 -outfile photo.jpg photo.jpg";
    let progressive = changed(folder, "photo.jpg", &photo, "jpegtran", progressive)?;
    let grey = "-copy all -grayscale -restart 2B -outfile photo.jpg photo.jpg";
    let grey = changed(folder, "photo.jpg", &photo, "jpegtran", grey)?;
    let films = [film(folder, 1)?, film(folder, 2)?];
    let samsung = [
        b"\0\0\x30\x0a\x10\0\0\0MotionPhoto_Data",
        &films[0][..],
        b"SEFHCANARYSEFT",
    ]
    .concat();
    for (name, main, behind) in [
        ("photo", &photo, Vec::new()),
        ("progressive", &progressive, Vec::new()),
        ("with a second picture", &photo, second.clone()),
        (
            "with pictures and a film",
            &progressive,
            [&second, &second, &films[0]].map(Vec::as_slice).concat(),
        ),
        ("motion photo", &photo, films[0].clone()),
        ("progressive motion photo", &progressive, films[1].clone()),
        ("grey motion photo", &grey, films[1].clone()),
        ("Samsung's motion photo", &photo, samsung),
        (
            "with a maker's record",
            &grey,
            b"CANARY serial number".to_vec(),
        ),
    ] {
        let came = [&main[..], &behind].concat();
        assert!(
            told(folder, &came)?.len() > 5,
            "{name}: the file tells nothing"
        );
        let got = desk.sent("image", &came).await?;
        assert_eq!(told(folder, &got.bytes)?, Vec::<String>::new(), "{name}");
        let (before, after) = (
            pixels(folder, "a.jpg", main)?,
            pixels(folder, "a.jpg", &got.bytes)?,
        );
        assert!(before == after, "{name}: the pixels changed");
        assert!(
            got.bytes.ends_with(b"\xff\xd9") && got.bytes.len() < main.len(),
            "{name}"
        );
        assert_eq!(got.shown["mimetype"], "image/jpeg");
    }
    // A cut picture is refused, whatever follows it.
    for cut in [
        &photo[..photo.len() / 2],
        &progressive[..progressive.len() - 2],
    ] {
        for behind in [&b""[..], &films[0]] {
            let refused = desk
                .world
                .api
                .upload("image", [cut, behind].concat())
                .await?;
            assert_eq!(refused.code(), "media_damaged", "{}", refused.body);
        }
    }
    desk.world.finish().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_png_goes_out_without_what_programs_wrote() -> Result<()> {
    let desk = Desk::open(Setup::quick()).await?;
    let folder = desk.folder.path();
    let drawn =
        "-size 200x150 plasma:tomato-steelblue -depth 8 -set comment CANARY -set Title CANARY";
    let png = taken(folder, "photo.png", drawn)?;
    let palette = taken(
        folder,
        "palette.png",
        &format!("{drawn} -fuzz 10% -transparent tomato -define png:format=png8"),
    )?;
    let source = "-f lavfi -i testsrc2=size=64x64:rate=5:duration=1";
    run(
        folder,
        "ffmpeg",
        &format!("-loglevel error -y {source} -plays 0 -f apng moving.png"),
    )?;
    run(folder, "exiftool", &format!("{WRITTEN} moving.png"))?;
    let moving = fs::read(folder.join("moving.png"))?;
    for (name, png) in [("photo", &png), ("palette", &palette), ("moving", &moving)] {
        let came = [&png[..], b"CANARY behind the end"].concat();
        assert!(
            told(folder, &came)?.len() > 4,
            "{name}: the file tells nothing"
        );
        let got = desk.sent("image", &came).await?;
        assert_eq!(told(folder, &got.bytes)?, Vec::<String>::new(), "{name}");
        assert!(
            pixels(folder, "a.png", png)? == pixels(folder, "a.png", &got.bytes)?,
            "{name}"
        );
        assert!(got.bytes.ends_with(b"IEND\xae\x42\x60\x82"), "{name}");
        let (before, after) = (exiftool(folder, png)?, exiftool(folder, &got.bytes)?);
        for kept in ["PNG:AnimationFrames", "PNG-pHYs:PixelUnits", "PNG:Gamma"] {
            assert_eq!(before.get(kept), after.get(kept), "{name}");
        }
    }
    desk.world.finish().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webp_goes_out_without_what_programs_wrote() -> Result<()> {
    let desk = Desk::open(Setup::quick()).await?;
    let folder = desk.folder.path();
    let still = taken(folder, "still.webp", "-size 512x512 gradient:red-blue")?;
    run(
        folder,
        "convert",
        "-size 512x512 gradient:blue-red other.png",
    )?;
    run(
        folder,
        "img2webp",
        "-d 100 still.webp other.png -o moving.webp",
    )?;
    run(folder, "exiftool", &format!("{WRITTEN} moving.webp"))?;
    let moving = fs::read(folder.join("moving.webp"))?;
    for (name, sticker) in [("still", &still), ("moving", &moving)] {
        let came = [&sticker[..], b"CANARY behind the end"].concat();
        assert!(
            told(folder, &came)?.len() > 4,
            "{name}: the file tells nothing"
        );
        let got = desk.sent("sticker", &came).await?;
        assert_eq!(told(folder, &got.bytes)?, Vec::<String>::new(), "{name}");
        assert!(
            pixels(folder, "a.webp", sticker)? == pixels(folder, "a.webp", &got.bytes)?,
            "{name}"
        );
        let (before, after) = (exiftool(folder, sticker)?, exiftool(folder, &got.bytes)?);
        for kept in ["RIFF:FrameCount", "RIFF:Duration", "RIFF:ImageWidth"] {
            assert_eq!(before.get(kept), after.get(kept), "{name}");
        }
        run(folder, "webpinfo", "-quiet looked-at")?;
    }
    // A picture becomes a JPEG, which phones show everywhere.
    let got = desk.sent("image", &still).await?;
    assert_eq!(got.shown["mimetype"], "image/jpeg");
    assert_eq!(told(folder, &got.bytes)?, Vec::<String>::new());
    desk.world.finish().await?;
    Ok(())
}

/// A profile of more colours than sRGB has, and one of grey, of Debian's icc-profiles-free.
const WIDE: &str = "/usr/share/color/icc/compatibleWithAdobeRGB1998.icc";
const GREY: &str = "/usr/share/color/icc/Gray.icc";

/// Returns the colours of a file's middle as a program that knows its profile shows them.
fn colour(folder: &Path, name: &str, bytes: &[u8]) -> Result<Vec<u8>> {
    fs::write(folder.join(name), bytes)?;
    let shown = format!("{name} -profile /usr/share/color/icc/sRGB.icc -scale 1x1! -depth 8 rgb:-");
    run(folder, "convert", &shown)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_picture_that_is_encoded_again_keeps_its_colours() -> Result<()> {
    let desk = Desk::open(Setup::quick()).await?;
    let folder = desk.folder.path();
    let turned = "-overwrite_original -Orientation#=6";
    for (name, drawn, size, profile) in [
        (
            "turned.jpg",
            "-size 300x200 xc:rgb(30,220,40)",
            (200, 300),
            WIDE,
        ),
        (
            "shrunk.jpg",
            "-size 5000x100 xc:rgb(30,220,40)",
            (4096, 82),
            WIDE,
        ),
        (
            "deep.png",
            "-size 300x200 -depth 16 xc:rgb(30,220,40) -define png:color-type=2 -define png:bit-depth=16",
            (300, 200),
            WIDE,
        ),
        (
            "clear.png",
            "-size 300x200 -depth 16 xc:rgba(30,220,40,0.99) -define png:color-type=6 -define png:bit-depth=16",
            (300, 200),
            WIDE,
        ),
        (
            "wide.webp",
            "-size 300x200 xc:rgb(30,220,40)",
            (300, 200),
            WIDE,
        ),
        (
            "grey.jpg",
            "-size 300x200 xc:gray(40%) -colorspace Gray",
            (200, 300),
            GREY,
        ),
    ] {
        run(folder, "convert", &format!("{drawn} -strip {name}"))?;
        run(
            folder,
            "exiftool",
            &format!("-q -overwrite_original -ICC_Profile<={profile} {name}"),
        )?;
        if matches!(name, "turned.jpg" | "grey.jpg") {
            run(folder, "exiftool", &format!("-q {turned} {name}"))?;
        }
        let came = fs::read(folder.join(name))?;
        let got = desk.sent("image", &came).await?;
        let shown = (&got.shown["width"], &got.shown["height"]);
        assert_eq!(shown, (&json!(size.0), &json!(size.1)), "{name}");
        assert!(got.bytes != came, "{name}: it was encoded again");
        fs::write(folder.join("got"), &got.bytes)?;
        let kept = run(folder, "exiftool", "-b -ICC_Profile got")?;
        assert!(kept == fs::read(profile)?, "{name}: the profile is lost");
        let (before, after) = (
            colour(folder, name, &came)?,
            colour(folder, "got", &got.bytes)?,
        );
        let far = before
            .iter()
            .zip(&after)
            .any(|(one, other)| one.abs_diff(*other) > 3);
        assert!(
            !far && before.len() == after.len(),
            "{name}: {before:?} became {after:?}"
        );
    }
    desk.world.finish().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_phone_sends_is_kept_as_it_came() -> Result<()> {
    let desk = Desk::open(Setup::quick()).await?;
    let folder = desk.folder.path();
    let photo = taken(folder, "photo.jpg", "-size 320x240 plasma:tomato-steelblue")?;
    let came = [&photo[..], &film(folder, 1)?].concat();
    assert!(desk.received("image", &came).await? == came);
    desk.world.finish().await?;
    Ok(())
}

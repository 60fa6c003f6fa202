//! Pictures as cameras, phones and programs write them.

use anyhow::Result;
use passerelle_tests::{Backing, Setup};
use serde_json::json;
use std::fs;

use super::tools::{Workshop, arrived, received};
use crate::media::linked_with;

/// What cameras write, as options of exiftool.
const WRITTEN: &str = "-q -overwrite_original -GPSLatitude=48.1371 -GPSLatitudeRef=N -Make=CANARY \
    -Model=CANARY -SerialNumber=CANARY -Artist=CANARY -XMP:Creator=CANARY -XMP-GCamera:MicroVideo=1";

/// Returns a picture that a program drew, with everything that a camera writes.
fn taken(shop: &Workshop, name: &str, drawn: &str) -> Result<Vec<u8>> {
    shop.command(&format!("convert {drawn} {name}"))?;
    let more = if name.ends_with("jpg") {
        "-IPTC:City=CANARY -Comment=CANARY"
    } else {
        ""
    };
    shop.command(&format!("exiftool {WRITTEN} {more} {name}"))?;
    shop.read(name)
}

/// Returns the pixels of the first picture of a file.
fn pixels(shop: &Workshop, name: &str, bytes: &[u8]) -> Result<Vec<u8>> {
    shop.put(name, bytes)?;
    shop.command(&format!("convert {name}[0] -depth 8 rgba:-"))
}

/// Returns a short film with a place, as a phone puts it behind a picture. It ends like a JPEG that is cut
/// off in its scan: such bytes are in every film by chance.
fn film(shop: &Workshop, seconds: u32) -> Result<Vec<u8>> {
    let source = format!("-f lavfi -i testsrc2=size=320x240:rate=15:duration={seconds}");
    let tags = "-metadata location=+48.1371+011.5754/ -metadata title=CANARY";
    shop.command(&format!(
        "ffmpeg -loglevel error -y {source} -c:v libx264 {tags} film.mp4"
    ))?;
    let mut film = shop.read("film.mp4")?;
    film.extend(b"\xff\xd8\xff\xd9\xff\xda\0\x0c\x03\x01\0\x02");
    Ok(film)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_jpeg_goes_out_as_its_first_picture_and_nothing_else() -> Result<()> {
    let (world, session) = linked_with(Backing::Sqlite, Setup::quick()).await?;
    let shop = Workshop::open()?;
    let photo = taken(
        &shop,
        "photo.jpg",
        "-size 640x480 plasma:tomato-steelblue -quality 92",
    )?;
    // A second picture with its own place: HDR gain maps and the depth of portraits are such.
    let second = taken(
        &shop,
        "second.jpg",
        "-size 160x120 plasma:red-blue -quality 70",
    )?;
    let progressive = "jpegtran -copy all -progressive -restart 1 -outfile photo.jpg photo.jpg";
    let progressive = shop.changed("photo.jpg", &photo, progressive)?;
    let grey = "jpegtran -copy all -grayscale -restart 2B -outfile photo.jpg photo.jpg";
    let grey = shop.changed("photo.jpg", &photo, grey)?;
    let films = [film(&shop, 1)?, film(&shop, 2)?];
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
            shop.told(&came)?.len() > 5,
            "{name}: the file tells nothing"
        );
        let (got, seen) = arrived(&world, &session, "image", &came).await?;
        assert_eq!(shop.told(&got)?, Vec::<String>::new(), "{name}");
        let (before, after) = (pixels(&shop, "a.jpg", main)?, pixels(&shop, "a.jpg", &got)?);
        assert!(before == after, "{name}: the pixels changed");
        assert!(
            got.ends_with(b"\xff\xd9") && got.len() < main.len(),
            "{name}"
        );
        assert_eq!(seen["mimetype"], "image/jpeg");
    }
    // A cut picture is refused, whatever follows it.
    for cut in [
        &photo[..photo.len() / 2],
        &progressive[..progressive.len() - 2],
    ] {
        for behind in [&b""[..], &films[0]] {
            let refused = world.api.upload("image", [cut, behind].concat()).await?;
            assert_eq!(refused.code(), "media_damaged", "{}", refused.body);
        }
    }
    world.finish().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_png_goes_out_without_what_programs_wrote() -> Result<()> {
    let (world, session) = linked_with(Backing::Sqlite, Setup::quick()).await?;
    let shop = Workshop::open()?;
    let drawn =
        "-size 200x150 plasma:tomato-steelblue -depth 8 -set comment CANARY -set Title CANARY";
    let png = taken(&shop, "photo.png", drawn)?;
    let palette = taken(
        &shop,
        "palette.png",
        &format!("{drawn} -fuzz 10% -transparent tomato -define png:format=png8"),
    )?;
    let source = "-f lavfi -i testsrc2=size=64x64:rate=5:duration=1";
    shop.command(&format!(
        "ffmpeg -loglevel error -y {source} -plays 0 -f apng moving.png"
    ))?;
    shop.command(&format!("exiftool {WRITTEN} moving.png"))?;
    let moving = shop.read("moving.png")?;
    for (name, png) in [("photo", &png), ("palette", &palette), ("moving", &moving)] {
        let came = [&png[..], b"CANARY behind the end"].concat();
        assert!(
            shop.told(&came)?.len() > 4,
            "{name}: the file tells nothing"
        );
        let (got, _) = arrived(&world, &session, "image", &came).await?;
        assert_eq!(shop.told(&got)?, Vec::<String>::new(), "{name}");
        assert!(
            pixels(&shop, "a.png", png)? == pixels(&shop, "a.png", &got)?,
            "{name}"
        );
        assert!(got.ends_with(b"IEND\xae\x42\x60\x82"), "{name}");
        let (before, after) = (shop.exiftool(png)?, shop.exiftool(&got)?);
        for kept in ["PNG:AnimationFrames", "PNG-pHYs:PixelUnits", "PNG:Gamma"] {
            assert_eq!(before.get(kept), after.get(kept), "{name}");
        }
    }
    world.finish().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webp_goes_out_without_what_programs_wrote() -> Result<()> {
    let (world, session) = linked_with(Backing::Sqlite, Setup::quick()).await?;
    let shop = Workshop::open()?;
    let still = taken(&shop, "still.webp", "-size 512x512 gradient:red-blue")?;
    shop.command("convert -size 512x512 gradient:blue-red other.png")?;
    shop.command("img2webp -d 100 still.webp other.png -o moving.webp")?;
    shop.command(&format!("exiftool {WRITTEN} moving.webp"))?;
    let moving = shop.read("moving.webp")?;
    for (name, sticker) in [("still", &still), ("moving", &moving)] {
        let came = [&sticker[..], b"CANARY behind the end"].concat();
        assert!(
            shop.told(&came)?.len() > 4,
            "{name}: the file tells nothing"
        );
        let (got, _) = arrived(&world, &session, "sticker", &came).await?;
        assert_eq!(shop.told(&got)?, Vec::<String>::new(), "{name}");
        assert!(
            pixels(&shop, "a.webp", sticker)? == pixels(&shop, "a.webp", &got)?,
            "{name}"
        );
        let (before, after) = (shop.exiftool(sticker)?, shop.exiftool(&got)?);
        for kept in ["RIFF:FrameCount", "RIFF:Duration", "RIFF:ImageWidth"] {
            assert_eq!(before.get(kept), after.get(kept), "{name}");
        }
        shop.command("webpinfo -quiet looked-at")?;
    }
    // A picture becomes a JPEG, which phones show everywhere.
    let (got, seen) = arrived(&world, &session, "image", &still).await?;
    assert_eq!(seen["mimetype"], "image/jpeg");
    assert_eq!(shop.told(&got)?, Vec::<String>::new());
    world.finish().await?;
    Ok(())
}

/// A profile of more colours than sRGB has, and one of grey, of Debian's icc-profiles-free.
const WIDE: &str = "/usr/share/color/icc/compatibleWithAdobeRGB1998.icc";
const GREY: &str = "/usr/share/color/icc/Gray.icc";

/// Returns the colours of a file's middle as a program that knows its profile shows them.
fn colour(shop: &Workshop, name: &str, bytes: &[u8]) -> Result<Vec<u8>> {
    shop.put(name, bytes)?;
    let shown = format!("{name} -profile /usr/share/color/icc/sRGB.icc -scale 1x1! -depth 8 rgb:-");
    shop.command(&format!("convert {shown}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_picture_that_is_encoded_again_keeps_its_colours() -> Result<()> {
    let (world, session) = linked_with(Backing::Sqlite, Setup::quick()).await?;
    let shop = Workshop::open()?;
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
        shop.command(&format!("convert {drawn} -strip {name}"))?;
        shop.command(&format!(
            "exiftool -q -overwrite_original -ICC_Profile<={profile} {name}"
        ))?;
        if matches!(name, "turned.jpg" | "grey.jpg") {
            shop.command(&format!("exiftool -q {turned} {name}"))?;
        }
        let came = shop.read(name)?;
        let (got, seen) = arrived(&world, &session, "image", &came).await?;
        let shown = (&seen["width"], &seen["height"]);
        assert_eq!(shown, (&json!(size.0), &json!(size.1)), "{name}");
        assert!(got != came, "{name}: it was encoded again");
        shop.put("got", &got)?;
        let kept = shop.command("exiftool -b -ICC_Profile got")?;
        assert!(kept == fs::read(profile)?, "{name}: the profile is lost");
        let (before, after) = (colour(&shop, name, &came)?, colour(&shop, "got", &got)?);
        let far = before
            .iter()
            .zip(&after)
            .any(|(one, other)| one.abs_diff(*other) > 3);
        assert!(
            !far && before.len() == after.len(),
            "{name}: {before:?} became {after:?}"
        );
    }
    world.finish().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_phone_sends_is_kept_as_it_came() -> Result<()> {
    let (world, _) = linked_with(Backing::Sqlite, Setup::quick()).await?;
    let receiver = world.endpoint(&["media.available"]).await?;
    let shop = Workshop::open()?;
    let photo = taken(&shop, "photo.jpg", "-size 320x240 plasma:tomato-steelblue")?;
    let came = [&photo[..], &film(&shop, 1)?].concat();
    received(&world, &receiver, "image", &came, ("image/jpeg", None)).await?;
    world.finish().await?;
    Ok(())
}

//! Videos as cameras and phones write them.

use anyhow::Result;
use passerelle_tests::{Backing, Setup};

use super::tools::{Workshop, arrived, received};
use crate::media::linked_with;

const PLACE: &str = "-metadata location=+48.1371+011.5754/ -metadata make=CANARY \
    -metadata title=CANARY -metadata creation_time=2024-05-01T12:00:00Z \
    -metadata:s:v handler_name=CANARY";
/// What phones write, as options of exiftool.
const WRITTEN: &str = "-q -overwrite_original -Keys:Make=CANARY -Keys:Model=CANARY \
    -Keys:GPSCoordinates=48.1371,11.5754,500 -UserData:Make=CANARY -UserData:SerialNumber=CANARY \
    -ItemList:Artist=CANARY -XMP:Creator=CANARY -XMP:GPSLatitude=48.1371";
const CODED: &str = "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -c:a aac";

/// Makes a film with these options of ffmpeg, and adds what phones write where exiftool can: not in films
/// in fragments, and not in Matroska.
fn filmed(shop: &Workshop, name: &str, options: &str) -> Result<Vec<u8>> {
    let source = "-f lavfi -i testsrc2=size=160x120:rate=10:duration=1 -f lavfi -i sine=duration=1";
    shop.put(
        "chapters",
        b";FFMETADATA1\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=1000\ntitle=CANARY Street 5\n",
    )?;
    let chapters = "-i chapters -map 0 -map 1 -map_chapters 2";
    let made =
        format!("ffmpeg -loglevel error -y {source} {chapters} {CODED} {PLACE} {options} {name}");
    shop.command(&made)?;
    if !options.contains("frag_keyframe") && !name.ends_with("mkv") {
        shop.command(&format!("exiftool {WRITTEN} {name}"))?;
    }
    shop.read(name)
}

/// Returns a digest of the pictures and the sound as they are coded.
fn played(shop: &Workshop, film: &[u8]) -> Result<Vec<u8>> {
    shop.put("played", film)?;
    let streams = "-map 0:V? -map 0:a -c copy -f streamhash -";
    shop.command(&format!("ffmpeg -loglevel error -i played {streams}"))
}

/// Films with the index first, last, and in fragments.
const FILMS: [(&str, &str); 6] = [
    ("first.mp4", "-movflags +faststart"),
    ("phone.3gp", "-movflags +faststart"),
    ("last.mp4", ""),
    (
        "stream.mp4",
        "-movflags frag_keyframe+empty_moov+default_base_moof",
    ),
    (
        "keys.mp4",
        "-movflags +faststart+use_metadata_tags -metadata com.android.model=CANARY",
    ),
    ("fragments.mp4", "-movflags frag_keyframe"),
];

async fn nothing_is_told(setup: Setup, films: &[(&str, &str)]) -> Result<()> {
    let (world, session) = linked_with(Backing::Sqlite, setup).await?;
    let shop = Workshop::open()?;
    for (name, options) in films {
        let came = filmed(&shop, name, options)?;
        assert!(
            shop.told(&came)?.len() > 2,
            "{name}: the file tells nothing"
        );
        let before = played(&shop, &came)?;
        // What is behind the film, too.
        let (got, seen) = arrived(
            &world,
            &session,
            "video",
            &[&came[..], b"CANARY of a maker"].concat(),
        )
        .await?;
        assert_eq!(shop.told(&got)?, Vec::<String>::new(), "{name}");
        assert!(
            played(&shop, &got)? == before,
            "{name}: it plays something else"
        );
        assert_eq!(seen["mimetype"].as_str().map(|it| &it[..6]), Some("video/"));
    }
    world.finish().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_film_goes_out_without_what_its_camera_wrote() -> Result<()> {
    nothing_is_told(Setup::quick(), &FILMS[..3]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_film_goes_out_without_what_its_camera_wrote_also_without_ffmpeg() -> Result<()> {
    let mut setup = Setup::quick();
    setup.flags = vec!["--ffmpeg".to_owned(), String::new()];
    nothing_is_told(setup, &FILMS).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_film_of_another_container_goes_out_without_what_its_camera_wrote() -> Result<()> {
    let (world, session) = linked_with(Backing::Sqlite, Setup::quick()).await?;
    let shop = Workshop::open()?;
    for (name, options) in [
        (
            "camera.mov",
            "-timecode 01:02:03:04 -metadata comment=CANARY",
        ),
        ("browser.mkv", "-metadata comment=CANARY"),
    ] {
        let came = filmed(&shop, name, options)?;
        assert!(
            shop.told(&came)?.len() > 2,
            "{name}: the file tells nothing"
        );
        let (got, _) = arrived(&world, &session, "video", &came).await?;
        assert_eq!(shop.told(&got)?, Vec::<String>::new(), "{name}");
    }
    world.finish().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recording_goes_out_without_what_its_recorder_wrote() -> Result<()> {
    let (world, session) = linked_with(Backing::Sqlite, Setup::quick()).await?;
    let shop = Workshop::open()?;
    for (name, options) in [("first.m4a", "-movflags +faststart"), ("last.m4a", "")] {
        let source = "-f lavfi -i sine=duration=1 -c:a aac";
        let made = format!("ffmpeg -loglevel error -y {source} {PLACE} {options} {name}");
        shop.command(&made)?;
        shop.command(&format!("exiftool {WRITTEN} {name}"))?;
        let came = shop.read(name)?;
        assert!(
            shop.told(&came)?.len() > 2,
            "{name}: the file tells nothing"
        );
        let (got, seen) = arrived(&world, &session, "audio", &came).await?;
        assert_eq!(shop.told(&got)?, Vec::<String>::new(), "{name}");
        assert!(played(&shop, &got)? == played(&shop, &came)?, "{name}");
        assert_eq!(seen["mimetype"], "audio/mp4");
    }
    world.finish().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_film_that_a_phone_sends_is_kept_as_it_came() -> Result<()> {
    let (world, _) = linked_with(Backing::Sqlite, Setup::quick()).await?;
    let receiver = world.endpoint(&["media.available"]).await?;
    let came = filmed(&Workshop::open()?, "first.mp4", "-movflags +faststart")?;
    received(&world, &receiver, "video", &came, ("video/mp4", None)).await?;
    world.finish().await?;
    Ok(())
}

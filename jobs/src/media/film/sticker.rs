//! Makes a sticker of a picture or a GIF: WebP of 512 by 512 pixels, small enough for a phone.

use std::{fs::File, io::Read as _};

use super::{ffmpeg::Works, not_made};
use crate::{
    media::{
        bounds::{STICKER_MAX, STICKER_MOVING_MAX},
        confined::NotDone,
        error::{BadMedia, IngestError},
        kinds::{GIF, NEEDED_STICKER},
        objects::ObjectsError,
        stored::Sealed,
    },
    services::Services,
};

/// The qualities that are tried, of 0 to 100, until the sticker is small enough.
const QUALITIES: [&str; 4] = ["80", "60", "35", "10"];

/// Returns ffmpeg's name of the format, and whether the sticker may move.
fn format(mime_type: &str) -> (&'static str, bool) {
    match mime_type {
        GIF => ("gif", true),
        "image/png" => ("png_pipe", false),
        _ => ("jpeg_pipe", false),
    }
}

/// Returns the sticker.
pub(in crate::media) async fn sticker(
    services: &Services,
    came: &Sealed,
    mime_type: &str,
) -> Result<Vec<u8>, IngestError> {
    let settings = &services.settings().media;
    let Some(ffmpeg) = &settings.ffmpeg else {
        return Err(BadMedia::Transcoding(NEEDED_STICKER).into());
    };
    match ffmpeg.works().await? {
        Works::Yes => {}
        Works::No => return Err(BadMedia::Transcoding(NEEDED_STICKER).into()),
        Works::NotConfined => return Err(BadMedia::NotConfined(NEEDED_STICKER).into()),
    }
    let _slot = services.decoding().film(came.org).await;
    let picture = came.in_memory(&settings.objects).await?;
    let format = format(mime_type);
    let most = if format.1 {
        STICKER_MOVING_MAX
    } else {
        STICKER_MAX
    };
    for quality in QUALITIES {
        let made = match ffmpeg.sticker(&picture, format, quality).await {
            Ok(made) => made,
            Err(NotDone::Failed(said)) if said.contains("Unknown encoder") => {
                return Err(BadMedia::Transcoding(NEEDED_STICKER).into());
            }
            Err(error) => return Err(not_made(error)),
        };
        if let Some(bytes) = within(made, most).map_err(ObjectsError::in_memory)? {
            return Ok(bytes);
        }
    }
    Err(BadMedia::TooLarge(most).into())
}

/// Returns the bytes, if they are not too many.
fn within(made: File, most: u64) -> std::io::Result<Option<Vec<u8>>> {
    if made.metadata()?.len() > most {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    made.take(most).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use std::io::{Seek as _, Write as _};

    use super::*;

    #[test]
    fn fidelity_a_sticker_that_is_too_large_for_a_phone_is_not_taken() {
        let made = |size: usize| {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&vec![1; size]).unwrap();
            file.rewind().unwrap();
            file
        };
        assert_eq!(within(made(10), 10).unwrap(), Some(vec![1; 10]));
        assert_eq!(within(made(11), 10).unwrap(), None);
    }
}

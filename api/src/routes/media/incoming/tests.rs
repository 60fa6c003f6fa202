//! Whatever the bytes of a form are, its file is read or refused.

use futures_util::TryStreamExt as _;
use proptest::{collection::vec, prelude::*, sample::Index};

use super::*;

/// A boundary that no random file has.
const BOUNDARY: &str = "form-data-boundary-4711";
/// What comes before the file.
const FIELD_BEFORE: &str = "Content-Disposition: form-data; name=\"note\"\r\n\r\nhello";
const FILE_HEADER: &str =
    "Content-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\nContent-Type: text/plain";

fn form(file: &[u8]) -> Vec<u8> {
    let before = format!("--{BOUNDARY}\r\n{FIELD_BEFORE}\r\n--{BOUNDARY}\r\n{FILE_HEADER}\r\n\r\n");
    let after = format!("\r\n--{BOUNDARY}--\r\n");
    [before.as_bytes(), file, after.as_bytes()].concat()
}

/// Reads the file of a form that arrives in chunks. `None` if it is refused.
fn file(form: &[u8], chunk: usize) -> Option<Vec<u8>> {
    let chunks: Vec<_> = form
        .chunks(chunk)
        .map(|chunk| Ok::<_, io::Error>(Bytes::copy_from_slice(chunk)))
        .collect();
    let request = Request::builder()
        .content_type(&format!("multipart/form-data; boundary={BOUNDARY}"))
        .body(Body::from_bytes_stream(stream::iter(chunks)));
    let options = ExtractParamOptions {
        name: "",
        ignore_case: false,
        default_value: None,
        example_value: None,
        explode: false,
        style: None,
    };
    let read = async {
        let (request, mut body) = request.split();
        let form = <Form as ApiExtractor>::from_request(&request, &mut body, options).await;
        let part = form.ok()?.open().await.ok()?;
        let bytes: Vec<Bytes> = part.bytes.try_collect().await.ok()?;
        Some(bytes.concat())
    };
    let runtime = tokio::runtime::Builder::new_current_thread();
    { runtime }.build().unwrap().block_on(read)
}

proptest! {
    #[test]
    fn a_file_is_read_whatever_chunks_it_arrives_in(
        bytes in vec(any::<u8>(), 0..4096),
        chunk in 1_usize..600,
    ) {
        prop_assert_eq!(file(&form(&bytes), chunk), Some(bytes));
    }

    #[test]
    fn a_bent_form_is_read_or_refused(
        bends in vec((any::<Index>(), any::<u8>()), 1..20),
        cut in any::<Index>(),
        chunk in 1_usize..600,
    ) {
        let mut bent = form(b"Your order 4711 is on its way.");
        for (at, byte) in bends {
            let at = at.index(bent.len());
            bent[at] = byte;
        }
        bent.truncate(cut.index(bent.len()) + 1);
        let read = file(&bent, chunk);
        prop_assert!(read.is_none_or(|read| read.len() < bent.len()));
    }

    #[test]
    fn noise_is_read_or_refused(noise in vec(any::<u8>(), 0..4096), chunk in 1_usize..600) {
        let begun = format!("--{BOUNDARY}\r\n");
        let _ = file(&[begun.as_bytes(), &noise].concat(), chunk);
        prop_assert_eq!(file(&noise, chunk), None);
    }
}

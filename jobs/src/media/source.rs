//! Fetches files from an address that a tenant gave, or from WhatsApp.

use std::{borrow::Cow, time::Duration};

use futures_util::{Stream, StreamExt as _, TryStreamExt as _};
use passerelle_engine::{
    content::MediaKind,
    ids::{ObjectId, OrgId},
    media::{Looks, Opener, Remote, SealedFile},
    whatsapp::{FetchError, WhatsApp},
};
use reqwest::{
    Client, Response, StatusCode,
    header::{self, HeaderValue},
    redirect,
};

use super::{
    ingest::{Upload, found, in_quota, take_in},
    kinds::{self, HEAD},
    name,
    objects::Writing,
};
use crate::{
    media::{error::IngestError, stored::Sealed},
    model::StoredFile,
    services::Services,
    webhook::{
        client as guarded,
        guard::{Egress, UrlNotAllowed},
    },
};

/// The most redirects that are followed.
const REDIRECTS: usize = 3;

/// Why there is no file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NoFile {
    /// It failed for good, with a stable code.
    Failed(&'static str),
    /// WhatsApp no longer keeps it.
    Expired,
    /// WhatsApp keeps other bytes than the sender encrypted.
    Damaged,
    /// It was uploaded again, under this path.
    Moved(String),
    /// The disk has no room for it.
    Full,
    /// The other side did not answer, or not properly: retry later.
    Later,
}

impl From<IngestError> for NoFile {
    fn from(error: IngestError) -> Self {
        match error {
            IngestError::Bad(bad) => Self::Failed(bad.why.code()),
            IngestError::Full(_) => Self::Full,
            IngestError::Quota(_) => Self::Failed(QUOTA),
            IngestError::Unconfined => Self::Failed("decoding_unavailable"),
            error => {
                tracing::debug!(%error, "a file could not be stored");
                Self::Later
            }
        }
    }
}

/// The HTTP client for addresses that tenants gave. Each redirect is checked like the first address, and
/// no `Referer` is sent. `within` counts from the DNS look-up to the last byte.
pub(crate) fn client(egress: &Egress, within: Duration) -> reqwest::Result<Client> {
    let judge = egress.clone();
    let hops = redirect::Policy::custom(move |hop| {
        if hop.previous().len() > REDIRECTS {
            return hop.error(TooManyRedirects);
        }
        match judge.check_url(hop.url().as_str()) {
            Ok(_) => hop.follow(),
            Err(refused) => hop.error(refused),
        }
    });
    let deadline = guarded::Deadline {
        total: within,
        ..guarded::Deadline::default()
    };
    guarded::builder(egress, deadline)
        .redirect(hops)
        .referer(false)
        .build()
}

#[derive(Debug, thiserror::Error)]
#[error("more than {REDIRECTS} redirects")]
struct TooManyRedirects;

/// Fetches a file from an address.
pub(super) async fn from_url(
    services: &Services,
    client: &Client,
    org: OrgId,
    mut upload: Upload,
    url: &str,
) -> Result<StoredFile, NoFile> {
    let egress = &services.settings().egress;
    let url = egress.check_url(url).map_err(|_| NOT_ALLOWED)?;
    let reply = client.get(url.clone()).send().await;
    let reply = judged(reply.map_err(|error| why(&error))?)?;
    let is_unnamed = upload.kind == MediaKind::Document && upload.file_name.is_none();
    if is_unnamed {
        let said = reply.headers().get(header::CONTENT_DISPOSITION);
        let said = said.map(HeaderValue::as_bytes);
        upload.file_name = name::of_answer(said, &url, reply.url());
    }
    upload.size = reply.content_length();
    if upload.size.unwrap_or(0) > kinds::size_max(upload.kind) {
        return Err(NoFile::Failed("media_too_large"));
    }
    // The server's word counts least: many call every file the same.
    let named = || upload.file_name.as_deref().and_then(kinds::by_name);
    let said = reply.headers().get(header::CONTENT_TYPE);
    let said = || said.and_then(|said| kinds::clean_media_type(said.to_str().ok()?));
    if upload.mime_type.is_none() && named().is_none() {
        upload.mime_type = said();
    }
    let bytes = Box::pin(reply.bytes_stream());
    let mut stored = take_in(services, org, upload, bytes).await?;
    if is_unnamed {
        let (known, mime_type) = (stored.file_name.as_deref(), &stored.looks.mime_type);
        let now = services.clock().now();
        stored.file_name = Some(name::of_document(known, mime_type, now));
    }
    Ok(stored)
}

/// The code of a file for which the organisation has no quota left.
pub(super) const QUOTA: &str = "media_quota_reached";
const NOT_ALLOWED: NoFile = NoFile::Failed("url_not_allowed");

fn judged(reply: Response) -> Result<Response, NoFile> {
    let status = reply.status();
    if status == StatusCode::OK {
        return Ok(reply);
    }
    let passes = status.is_server_error()
        || matches!(
            status,
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS
        );
    Err(match status {
        _ if passes => NoFile::Later,
        StatusCode::NOT_FOUND | StatusCode::GONE => NoFile::Failed("media_url_not_found"),
        _ => NoFile::Failed("media_url_refused"),
    })
}

fn why(error: &reqwest::Error) -> NoFile {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if error.is::<UrlNotAllowed>() {
            return NOT_ALLOWED;
        }
        if error.is::<TooManyRedirects>() {
            return NoFile::Failed("media_url_redirects");
        }
        cause = error.source();
    }
    NoFile::Later
}

/// Fetches a file from WhatsApp and checks it while it is stored unchanged.
pub(super) async fn from_whatsapp(
    services: &Services,
    whatsapp: &WhatsApp,
    org: OrgId,
    remote: &Remote,
    most: u64,
) -> Result<Kept, NoFile> {
    in_quota(services, org, Some(remote.file.size)).await?;
    let sealed = whatsapp.fetch(remote).await.map_err(|error| match error {
        FetchError::Expired => NoFile::Expired,
        FetchError::NoPlace => NoFile::Failed("media_incomplete"),
        FetchError::Unreachable => NoFile::Later,
    })?;
    let objects = &services.settings().media.objects;
    let object = ObjectId::new(services.clock());
    let most = SealedFile::sealed_size(most);
    let declared = SealedFile::sealed_size(remote.file.size).min(most);
    let writing = objects.write(org, object, Some(declared));
    let mut writing = writing.map_err(IngestError::from)?;
    match checked(
        &mut writing,
        remote,
        most,
        sealed.map_err(|_| NoFile::Later),
    )
    .await
    {
        Ok((file, head)) => {
            writing
                .finish()
                .await
                .map_err(|error| NoFile::from(IngestError::from(error)))?;
            let came = Sealed { org, object, file };
            let found = match found(services, &came, head.into()).await {
                Ok(found) => found,
                Err(error) => {
                    came.forget(objects).await;
                    return Err(IngestError::from(error).into());
                }
            };
            let file = came.file;
            Ok(Kept {
                object,
                file,
                found,
            })
        }
        Err(no_file) => {
            writing.abort().await;
            Err(no_file)
        }
    }
}

/// A stored file that came from WhatsApp.
pub(super) struct Kept {
    object: ObjectId,
    file: SealedFile,
    /// Its type, by its content.
    found: Cow<'static, str>,
}

impl Kept {
    /// Adds what its sender said about it. The sender's type counts where the content does not say it.
    pub(super) fn stored(self, looks: &Looks, file_name: Option<String>) -> StoredFile {
        let said = Some(looks.mime_type.as_str());
        let mime_type = kinds::named(&self.found, said, file_name.as_deref());
        StoredFile {
            object: self.object,
            file: self.file,
            looks: Looks {
                mime_type: mime_type.into_owned(),
                ..looks.clone()
            },
            file_name,
        }
    }
}

async fn checked(
    writing: &mut Writing,
    remote: &Remote,
    most: u64,
    sealed: impl Stream<Item = Result<bytes::Bytes, NoFile>>,
) -> Result<(SealedFile, Vec<u8>), NoFile> {
    let mut opener = Opener::new(&remote.file.key, remote.file.class);
    let (mut head, mut seen) = (Vec::new(), 0_u64);
    let mut sealed = std::pin::pin!(sealed);
    let mut taste = |plain: &[u8]| {
        let room = HEAD - head.len();
        head.extend_from_slice(&plain[..plain.len().min(room)]);
    };
    while let Some(chunk) = sealed.next().await {
        let chunk = chunk?;
        seen += chunk.len() as u64;
        if seen > most {
            return Err(NoFile::Failed("media_too_large"));
        }
        taste(&opener.update(&chunk));
        let written = writing.write(chunk.to_vec()).await;
        written.map_err(|error| NoFile::from(IngestError::from(error)))?;
    }
    let opened = opener.finish();
    if opened.is_err() && seen < SealedFile::sealed_size(remote.file.size) {
        // It was cut off, and may arrive whole on a retry.
        return Err(NoFile::Later);
    }
    let (last, found) = opened.map_err(|_| NoFile::Damaged)?;
    taste(&last);
    if !found.is(&remote.file) {
        return Err(NoFile::Damaged);
    }
    let file = SealedFile {
        size: found.size,
        ..remote.file.clone()
    };
    Ok((file, head))
}

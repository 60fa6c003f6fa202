//! Files to and from WhatsApp's media hosts, always encrypted.

use std::{
    fs::File,
    io::{Read, Seek as _, SeekFrom},
    path::PathBuf,
};

use bytes::Bytes;
use futures_util::{Stream, TryStreamExt as _};
use reqwest::StatusCode;
use wacore::{
    download::{DownloadUtils, Downloadable, MediaHost, MediaRoute, MediaType},
    net::HttpRequest,
    upload::{EncryptedMediaInfo, UploadSource},
};
use whatsapp_rust::{MediaRetryResult, MediaReuploadRequest};

use super::{
    connection::Connection, handle::WhatsApp, named::Named, outgoing::Uploaded, send::SendError,
};
use crate::media::{FileKey, Remote, SealedFile, is_direct_path};

/// Why a file could not be downloaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// WhatsApp has deleted it. The sender's phone may upload it again.
    #[error("WhatsApp no longer has the file")]
    Expired,
    /// The path is not one on WhatsApp's media hosts.
    #[error("the path is not one on WhatsApp's media hosts")]
    NoPlace,
    /// WhatsApp's media hosts did not answer, or answered with an error.
    #[error("WhatsApp's media hosts did not answer")]
    Unreachable,
}

impl WhatsApp {
    /// Downloads the encrypted bytes of a file. Needs no session: WhatsApp gives a file to everyone
    /// who knows its path, because it cannot be read without the key.
    pub async fn fetch(
        &self,
        remote: &Remote,
    ) -> Result<impl Stream<Item = Result<Bytes, FetchError>> + use<>, FetchError> {
        if !is_direct_path(&remote.direct_path) {
            return Err(FetchError::NoPlace);
        }
        let requests = DownloadUtils::prepare_download_requests(&Wanted(remote), &self.route())
            .map_err(|_| FetchError::NoPlace)?;
        let mut worst = FetchError::Unreachable;
        for request in requests {
            match self.http().stream(&HttpRequest::get(request.url)).await {
                Ok(reply) if reply.status().is_success() => {
                    return Ok(reply.bytes_stream().map_err(|_| FetchError::Unreachable));
                }
                Ok(reply) if is_gone(reply.status()) => worst = FetchError::Expired,
                Ok(reply) => {
                    tracing::debug!(
                        http.status = reply.status().as_u16(),
                        "a media host refused a download"
                    );
                }
                Err(error) => tracing::debug!(error = %error, "a media host did not answer"),
            }
        }
        Err(worst)
    }

    /// Returns WhatsApp's media hosts; in a sandbox, the simulator.
    fn route(&self) -> MediaRoute {
        match self.address().media_host() {
            None => MediaRoute::default_hosts(),
            Some(host) => MediaRoute::unauthenticated(vec![MediaHost::new(host)]),
        }
    }
}

/// Paths are signed and expire some weeks after the upload. These three statuses mean that.
fn is_gone(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::FORBIDDEN | StatusCode::NOT_FOUND | StatusCode::GONE
    )
}

/// A file in the form that the library needs for a download.
struct Wanted<'r>(&'r Remote);

impl Downloadable for Wanted<'_> {
    fn direct_path(&self) -> Option<&str> {
        Some(&self.0.direct_path)
    }

    fn media_key(&self) -> Option<&[u8]> {
        Some(self.0.file.key.bytes())
    }

    fn file_enc_sha256(&self) -> Option<&[u8]> {
        Some(&self.0.file.enc_sha256)
    }

    fn file_sha256(&self) -> Option<&[u8]> {
        Some(&self.0.file.sha256)
    }

    fn file_length(&self) -> Option<u64> {
        Some(self.0.file.size)
    }

    fn app_info(&self) -> MediaType {
        self.0.file.class.library()
    }
}

impl Connection {
    /// Uploads the encrypted file at `path`. If WhatsApp has it already, nothing is sent. Nobody
    /// can see the file until a message refers to it.
    pub async fn upload(&self, file: &SealedFile, path: PathBuf) -> Result<Uploaded, SendError> {
        let key = file.key.bytes().try_into();
        let sha256 = file.sha256.as_slice().try_into();
        let enc_sha256 = file.enc_sha256.as_slice().try_into();
        let (Ok(media_key), Ok(file_sha256), Ok(file_enc_sha256)) = (key, sha256, enc_sha256)
        else {
            return Err(SendError::Permanent("media_damaged"));
        };
        let info = EncryptedMediaInfo {
            media_key,
            file_sha256,
            file_enc_sha256,
            file_length: file.size,
            streaming_sidecar: None,
        };
        let source = OnDisk {
            path,
            size: SealedFile::sealed_size(file.size),
        };
        let class = file.class.library();
        let sent = self.client().upload_stream(source, info, class).await;
        let sent = sent.map_err(|error| {
            tracing::info!(error = %Causes(&error), "could not upload a file to WhatsApp");
            SendError::NotOnWire("media_upload_failed")
        })?;
        Ok(Uploaded {
            url: sent.url,
            direct_path: sent.direct_path,
            key_at: sent.media_key_timestamp,
        })
    }
}

impl Connection {
    /// Asks the sender's phone to upload a file again. Returns its new path on WhatsApp's media
    /// hosts; `None` if the phone does not have the file either.
    pub async fn put_up_again(
        &self,
        message: &Named,
        key: &FileKey,
    ) -> anyhow::Result<Option<String>> {
        let (chat, member) = (message.chat()?, message.member()?);
        let wanted = MediaReuploadRequest {
            msg_id: &message.id,
            chat_jid: &chat,
            media_key: key.bytes(),
            is_from_me: message.from_me,
            participant: member.as_ref(),
        };
        match self.client().media_reupload().request(&wanted).await? {
            MediaRetryResult::Success { direct_path } => Ok(Some(direct_path)),
            refused => {
                tracing::debug!(?refused, "the sender's phone did not upload the file again");
                Ok(None)
            }
        }
    }
}

/// Displays the cause of an error. URLs are left out, because they contain tokens.
struct Causes<'e>(&'e anyhow::Error);

impl std::fmt::Display for Causes<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = self.0.root_cause().to_string();
        f.write_str(if text.contains("://") {
            "refused"
        } else {
            &text
        })
    }
}

struct OnDisk {
    path: PathBuf,
    size: u64,
}

impl UploadSource for OnDisk {
    fn len(&self) -> u64 {
        self.size
    }

    fn reader_from(&self, offset: u64) -> std::io::Result<Box<dyn Read + Send>> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(offset))?;
        Ok(Box::new(file))
    }
}

//! Fetches the preview of a link. Every address (the page, each redirect, the picture) is checked like
//! the address of a file. Bytes and time are limited.

use std::time::Duration;

use passerelle_engine::{content::LinkPreview, ids::OrgId};
use reqwest::{
    Client, Response, StatusCode, Url,
    header::{ACCEPT, CONTENT_TYPE, USER_AGENT},
};
use tokio::time::timeout_at;

use super::page::{self, Page};
use crate::{media, services::Services};

/// From the first DNS look-up to the picture's last byte.
const WITHIN: Duration = Duration::from_secs(5);
/// Bytes of a page that are read: its metadata comes first.
const PAGE_MAX: usize = 512 * 1024;
/// The most bytes of its picture.
const PICTURE_MAX: usize = 5 * 1024 * 1024;

/// Fetches previews. Cheap to clone.
#[derive(Clone)]
pub(super) struct Fetcher {
    services: Services,
    client: Client,
}

impl Fetcher {
    /// Fails if the system's TLS roots cannot be read.
    pub(super) fn new(services: Services) -> reqwest::Result<Self> {
        let client = media::client(&services.settings().egress, WITHIN)?;
        Ok(Self { services, client })
    }

    /// Returns the preview with the page's texts; `None` if the page has none or was too slow. Without a
    /// picture if that cannot be fetched.
    pub(super) async fn fill(&self, org: OrgId, wanted: LinkPreview) -> Option<LinkPreview> {
        let end = self.services.clock().monotonic() + WITHIN;
        let (base, page) = timeout_at(end, self.page(org, &wanted.url)).await.ok()??;
        let mut preview = wanted.saying(page.title.as_deref(), page.description.as_deref());
        if !preview.is_shown() {
            return None;
        }
        if let Some(picture) = page.image.and_then(|image| base.join(&image).ok()) {
            let thumbnail = timeout_at(end, self.thumbnail(org, &picture))
                .await
                .ok()
                .flatten();
            preview.thumbnail = thumbnail.unwrap_or_default();
        }
        Some(preview)
    }

    /// Fetches the page. Returns its address after all redirects, and its metadata.
    async fn page(&self, org: OrgId, url: &str) -> Option<(Url, Page)> {
        let reply = self.get(url, "text/html").await?;
        let declared = reply.headers().get(CONTENT_TYPE)?.to_str().ok()?.to_owned();
        let (essence, parameters) = declared.split_once(';').unwrap_or((&declared, ""));
        if !essence.trim().eq_ignore_ascii_case("text/html") {
            return None;
        }
        let base = reply.url().clone();
        let bytes = beginning(reply, PAGE_MAX).await?;
        let charset = charset(parameters).map(str::to_owned);
        let slot = self.services.decoding().reading(org).await;
        let page = slot
            .work(move || page::read(&bytes, charset.as_deref()))
            .await?;
        Some((base, page))
    }

    async fn thumbnail(&self, org: OrgId, picture: &Url) -> Option<Vec<u8>> {
        let reply = self
            .get(picture.as_str(), "image/jpeg, image/png, image/webp")
            .await?;
        let bytes = beginning(reply, PICTURE_MAX + 1).await?;
        if bytes.len() > PICTURE_MAX {
            return None;
        }
        media::thumbnail(&self.services, org, &bytes).await
    }

    async fn get(&self, url: &str, wanted: &str) -> Option<Response> {
        let url = self.services.settings().egress.check_url(url).ok()?;
        let reply = self
            .client
            .get(url)
            .header(ACCEPT, wanted)
            .header(USER_AGENT, &*self.services.settings().preview_agent)
            .send()
            .await
            .ok()?;
        (reply.status() == StatusCode::OK).then_some(reply)
    }
}

/// Returns at most `most` bytes from the start of the body; `None` if it breaks off before.
async fn beginning(mut reply: Response, most: usize) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    while bytes.len() < most {
        let Some(piece) = reply.chunk().await.ok()? else {
            break;
        };
        let room = most - bytes.len();
        bytes.extend_from_slice(&piece[..piece.len().min(room)]);
    }
    Some(bytes)
}

/// Returns the charset among the parameters of a media type.
pub(super) fn charset(parameters: &str) -> Option<&str> {
    let mut parameters = parameters.split(';').filter_map(|one| one.split_once('='));
    let (_, label) = parameters.find(|(name, _)| name.trim().eq_ignore_ascii_case("charset"))?;
    Some(label.trim().trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_charset_stands_among_the_parameters() {
        assert_eq!(charset(" charset=UTF-8"), Some("UTF-8"));
        assert_eq!(charset(" a=b; Charset = \"koi8-r\""), Some("koi8-r"));
        assert_eq!(charset(""), None);
    }
}

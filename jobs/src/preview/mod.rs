//! Link previews: what a page says of itself is shown beside the link that leads to it.
//!
//! Only where the caller asks for it, because the gateway then calls an address that stands in a text.
//! The page is fetched by a job, as files at addresses are, while the message waits its turn; the
//! message's row is the job. At the head of its lane the message waits for it a little, and goes out
//! as plain text where the preview could not be had.
//!
//! | page | what it holds |
//! |---|---|
//! | here | finding the link; what the head of a lane asks |
//! | `job` | the job that fetches previews |
//! | `fetch` | from a link to a preview, over the network |
//! | `page` | what an HTML page says of itself |

mod fetch;
pub(crate) mod job;
mod page;

use std::time::Duration;

use linkify::{LinkFinder, LinkKind};
use passerelle_engine::{
    content::{Content, LinkPreview},
    ids::{MessageId, OrgId},
    store::Tx,
};

use crate::{
    error::Fault,
    messages,
    model::{Message, millis},
    services::Services,
    store,
};

/// How long after it was accepted a message waits for its preview at the head of its lane: a fetch, a
/// second for a wake-up that was lost, and one to record it.
const PATIENCE: Duration = Duration::from_secs(7);
/// Between two looks of a message that waits.
const LOOK: Duration = Duration::from_millis(300);

/// A preview that is still to be fetched of the first `http` or `https` link in the text; none when
/// there is none.
pub fn of_first_link(body: &str) -> Option<LinkPreview> {
    let mut finder = LinkFinder::new();
    finder.kinds(&[LinkKind::Url]);
    let is_web = |link: &str| {
        let scheme = link.split_once("://").map(|(scheme, _)| scheme);
        scheme.is_some_and(|scheme| {
            scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")
        })
    };
    let mut links = finder.links(body).map(|link| link.as_str());
    LinkPreview::of(links.find(|link| is_web(link))?)
}

/// The preview that is still to be fetched, of a content with one.
pub(crate) fn unfinished(content: &Content) -> Option<&LinkPreview> {
    match content {
        Content::Text { link_preview, .. } => {
            link_preview.as_ref().filter(|preview| !preview.is_shown())
        }
        _ => None,
    }
}

/// Waits, at the head of the message's lane, until its preview is there or is not to be had. The message
/// is then as it goes out, with its preview or without.
pub(crate) async fn wait(services: &Services, message: &mut Message) -> Result<(), Fault> {
    if unfinished(&message.content).is_none() {
        return Ok(());
    }
    let (org, id) = (message.org, message.id);
    let waited = || services.clock().now().saturating_sub(message.created_at);
    while waited() < millis(PATIENCE) && is_wanted(services, org, id).await? {
        tokio::time::sleep(LOOK).await;
    }
    forget(services, org, id).await?;
    if let Some(now) = messages::read(services, org, id).await? {
        message.content = now.content;
    }
    Ok(())
}

async fn is_wanted(services: &Services, org: OrgId, id: MessageId) -> Result<bool, Fault> {
    let mut conn = services.store().read(org).await?;
    Ok(store::previews::is_wanted(&mut conn, org, id).await?)
}

/// What is fetched from now on changes the message no more.
async fn forget(services: &Services, org: OrgId, id: MessageId) -> Result<(), Fault> {
    let write = services.store().write(org, move |tx: &mut Tx| {
        Box::pin(async move { store::previews::settle(tx, org, id, None).await })
    });
    write.await.map_err(Fault::Store)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(body: &str) -> Option<String> {
        of_first_link(body).map(|preview| preview.url)
    }

    #[test]
    fn the_first_web_link_is_found_as_it_stands() {
        for (body, link) in [
            ("https://shop.example/1042", "https://shop.example/1042"),
            (
                "see https://shop.example/1042.",
                "https://shop.example/1042",
            ),
            (
                "(https://shop.example/a?b=c&d=e), thanks",
                "https://shop.example/a?b=c&d=e",
            ),
            ("HTTP://SHOP.EXAMPLE/A now", "HTTP://SHOP.EXAMPLE/A"),
            (
                "ftp://a.example http://b.example/ http://c.example",
                "http://b.example/",
            ),
            ("zu https://müller.example/ä", "https://müller.example/ä"),
        ] {
            assert_eq!(found(body).as_deref(), Some(link), "{body}");
        }
    }

    #[test]
    fn what_is_no_web_link_is_none() {
        for body in [
            "",
            "shop.example",
            "a@shop.example",
            "javascript:alert(1)",
            "file:///etc/passwd",
            "https://",
        ] {
            assert_eq!(found(body), None, "{body}");
        }
    }
}

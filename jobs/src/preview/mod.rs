//! Link previews: the title, description and picture of a page, shown beside the link to it.
//!
//! Only at the caller's request, because the gateway then calls an address found in a text. A job
//! fetches the page while the message waits in its lane; the message's row is the job. At the head of
//! its lane the message waits a few seconds for the preview. It is sent as plain text if there is none
//! by then.
//!
//! | page | what it holds |
//! |---|---|
//! | here | waiting at the head of a lane |
//! | `link` | the link of a text |
//! | `job` | the job that fetches previews |
//! | `fetch` | from a link to a preview, over the network |
//! | `page` | the metadata of an HTML page |

mod fetch;
pub(crate) mod job;
mod link;
mod page;

use std::time::Duration;

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

/// How long after its accept a message waits for its preview at the head of its lane: the time of a
/// fetch, one second for a lost wake-up, and one to record it.
const PATIENCE: Duration = Duration::from_secs(7);
/// Between two checks while a message waits.
const LOOK: Duration = Duration::from_millis(300);

/// Returns an unfetched preview of the first `http` or `https` link in the text; `None` if there is no
/// link.
pub fn of_first_link(body: &str) -> Option<LinkPreview> {
    LinkPreview::of(link::first(body)?)
}

/// Returns the preview that the content still waits for.
pub(crate) fn unfinished(content: &Content) -> Option<&LinkPreview> {
    match content {
        Content::Text { link_preview, .. } => {
            link_preview.as_ref().filter(|preview| !preview.is_shown())
        }
        _ => None,
    }
}

/// Waits at the head of the message's lane until its preview is stored or given up. The message then has
/// its final content.
pub(crate) async fn wait(services: &Services, message: &mut Message) -> Result<(), Fault> {
    if unfinished(&message.content).is_none() {
        return Ok(());
    }
    let (org, id) = (message.org, message.id);
    let waited = || services.clock().now().saturating_sub(message.created_at);
    while waited() < millis(PATIENCE) && is_wanted(services, org, id).await? {
        tokio::time::sleep(LOOK).await;
    }
    give_up(services, org, id).await?;
    if let Some(now) = messages::read(services, org, id).await? {
        message.content = now.content;
    }
    Ok(())
}

async fn is_wanted(services: &Services, org: OrgId, id: MessageId) -> Result<bool, Fault> {
    let mut conn = services.store().read(org).await?;
    Ok(store::previews::is_wanted(&mut conn, org, id).await?)
}

/// Gives up the preview: a fetch that ends later no longer changes the message.
async fn give_up(services: &Services, org: OrgId, id: MessageId) -> Result<(), Fault> {
    let write = services.store().write(org, move |tx: &mut Tx| {
        Box::pin(async move { store::previews::settle(tx, org, id, None).await })
    });
    write.await.map_err(Fault::Store)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_address_gets_no_preview() {
        for body in ["file:///etc/passwd", "https://"] {
            assert!(of_first_link(body).is_none(), "{body}");
        }
        let preview = of_first_link("see https://shop.example/1042.");
        assert_eq!(preview.unwrap().url, "https://shop.example/1042");
    }
}

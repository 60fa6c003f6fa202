//! The advertisement that a message answers. WhatsApp puts it beside the content, and a first message may
//! have nothing else.

use whatsapp_rust::waproto::whatsapp::{
    ContextInfo,
    context_info::{
        AdReplyInfo, ExternalAdReplyInfo, ad_reply_info::MediaType as OldMediaType,
        external_ad_reply_info::MediaType,
    },
};

use super::text::limited;
use crate::content::Referral;

/// Maximum length of a field, in bytes.
const MAX: usize = 4096;

/// Reads the advertisement. Returns `None` if there is none, or nothing is said of it.
pub(super) fn read(info: &ContextInfo) -> Option<Referral> {
    let ad = info.external_ad_reply.as_option();
    let mut referral = ad.map(external).unwrap_or_default();
    if let Some(old) = info.quoted_ad.as_option() {
        from_old(&mut referral, old);
    }
    if referral == Referral::default() {
        return None;
    }
    if referral.source_app.is_none() {
        referral.source_app = limited(info.entry_point_conversion_app.as_ref(), MAX);
    }
    Some(referral)
}

fn external(ad: &ExternalAdReplyInfo) -> Referral {
    let text = |text: &Option<String>| limited(text.as_ref(), MAX);
    Referral {
        source_type: text(&ad.source_type),
        source_id: text(&ad.source_id),
        source_url: text(&ad.source_url),
        source_app: text(&ad.source_app),
        headline: text(&ad.title),
        body: text(&ad.body),
        media_type: ad.media_type.and_then(|kind| match kind {
            MediaType::IMAGE => Some("image".to_owned()),
            MediaType::VIDEO => Some("video".to_owned()),
            MediaType::NONE => None,
        }),
        media_url: text(&ad.media_url)
            .or_else(|| text(&ad.original_image_url))
            .or_else(|| text(&ad.ad_preview_url)),
        thumbnail_url: text(&ad.thumbnail_url),
        ctwa_clid: text(&ad.ctwa_clid),
        attached: text(&ad.r#ref),
        greeting: text(&ad.greeting_message_body),
    }
}

/// Adds what an old client writes about an advertisement.
fn from_old(referral: &mut Referral, old: &AdReplyInfo) {
    let text = |text: &Option<String>| limited(text.as_ref(), MAX);
    if referral.headline.is_none() {
        referral.headline = text(&old.advertiser_name);
    }
    if referral.body.is_none() {
        referral.body = text(&old.caption);
    }
    if referral.media_type.is_none() {
        referral.media_type = old.media_type.and_then(|kind| match kind {
            OldMediaType::IMAGE => Some("image".to_owned()),
            OldMediaType::VIDEO => Some("video".to_owned()),
            OldMediaType::NONE => None,
        });
    }
}

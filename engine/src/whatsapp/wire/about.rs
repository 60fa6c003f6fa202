//! How a message refers to another one: keys, quotes, and the context info.

use whatsapp_rust::{
    Jid,
    buffa::{Enumeration as _, MessageField},
    waproto::whatsapp::{ContextInfo, Message, MessageContextInfo, MessageKey, message},
};

use super::{referral, sides::Sides, wrappers};
use crate::{
    content::{Context, PartOf, Peer, Reply, Summary, Target},
    whatsapp::{jid::parse_peer, wa_id::storable},
};

pub(super) fn key(target: &Target, sides: &Sides) -> MessageField<MessageKey> {
    MessageField::some(MessageKey {
        remote_jid: Some(sides.chat.to_string()),
        from_me: Some(target.from_me),
        id: Some(target.wa_message_id.clone()),
        participant: target.participant.clone(),
    })
}

/// Reads the target of an incoming message. Its key has `from_me` from the writer's point of view;
/// in a group it names the author of someone else's message.
pub(super) fn target(key: &MessageField<MessageKey>) -> Option<Target> {
    let key = key.as_option()?;
    Some(Target {
        message_id: None,
        wa_message_id: storable(key.id.as_deref().filter(|id| !id.is_empty())?),
        from_me: !key.from_me.unwrap_or(false),
        participant: key.participant.clone().filter(|name| !name.is_empty()),
    })
}

/// Builds the context info. Returns `None` if there is nothing in it.
pub(super) fn context_info(context: &Context, sides: &Sides) -> Option<ContextInfo> {
    let mut info = ContextInfo {
        mentioned_jid: context
            .mentions
            .iter()
            .filter_map(|mention| jid(&mention.who))
            .collect(),
        ..Default::default()
    };
    if context.forwarded {
        info.is_forwarded = Some(true);
        info.forwarding_score = Some(1);
    }
    if let Some(reply) = &context.reply_to {
        let author = match (&reply.target.participant, reply.target.from_me) {
            (Some(member), _) => Some(member.clone()),
            (None, true) => sides.me.as_ref().map(Jid::to_non_ad_string),
            (None, false) => Some(sides.chat.to_non_ad_string()),
        };
        info.stanza_id = Some(reply.target.wa_message_id.clone());
        info.participant = author;
        info.quoted_message = MessageField::some(quoted(reply.summary.as_ref()));
    }
    (info != ContextInfo::default()).then_some(info)
}

fn jid(peer: &Peer) -> Option<String> {
    if let Some(phone) = &peer.phone {
        return Some(Jid::pn(phone.digits()).to_string());
    }
    peer.lid.as_deref().map(|lid| Jid::lid(lid).to_string())
}

/// Builds the quoted message, as far as a quote shows it. A phone that has the original shows the
/// original.
fn quoted(summary: Option<&Summary>) -> Message {
    let (kind, text) = summary.map_or(("text", None), |summary| {
        (summary.kind.as_str(), summary.text.clone())
    });
    let mut quoted = Message::default();
    macro_rules! quote {
        ($field:ident: $message:ident { $($shown:tt)* }) => {
            quoted.$field = message::$message { $($shown)* ..Default::default() }.into()
        };
    }
    match kind {
        "image" => quote!(image_message: ImageMessage { caption: text, }),
        "video" => quote!(video_message: VideoMessage { caption: text, }),
        "audio" => quote!(audio_message: AudioMessage { ptt: Some(false), }),
        "voice" => quote!(audio_message: AudioMessage { ptt: Some(true), }),
        "document" => quote!(document_message: DocumentMessage { file_name: text, }),
        "sticker" => quote!(sticker_message: StickerMessage {}),
        "location" => quote!(location_message: LocationMessage { name: text, }),
        "contacts" => quote!(contact_message: ContactMessage { display_name: text, }),
        "poll" => quote!(poll_creation_message_v3: PollCreationMessage { name: text, }),
        _ => quoted.conversation = Some(text.unwrap_or_default()),
    }
    quoted
}

/// Reads the context info of an incoming message. Also returns who wrote the message that it
/// answers.
pub(super) fn context(info: Option<&ContextInfo>) -> (Context, Option<Peer>) {
    let Some(info) = info else {
        return (Context::default(), None);
    };
    let mentioned = Some(&info.mentioned_jid).filter(|_| !mentions_too_many(info));
    let mentioned = mentioned.into_iter().flatten();
    let context = Context {
        reply_to: reply(info),
        mentions: mentioned
            .filter_map(|jid| parse_peer(jid).map(Into::into))
            .collect(),
        forwarded: info.is_forwarded.unwrap_or(false),
        referral: referral::read(info),
        ..Context::default()
    };
    (context, info.participant.as_deref().and_then(parse_peer))
}

/// The most people that a message may mention. Each is looked up.
const MENTIONS_MAX: usize = 256;

/// Returns whether a message mentions more people than are read.
pub(super) fn mentions_too_many(info: &ContextInfo) -> bool {
    info.mentioned_jid.len() > MENTIONS_MAX
}

/// Reads what the message belongs to, such as an album.
pub(super) fn part_of(info: &MessageContextInfo) -> Option<PartOf> {
    let association = info.message_association.as_option()?;
    let kind = association.association_type?;
    let parent = association.parent_message_key.as_option()?;
    Some(PartOf {
        kind: kind.proto_name().to_ascii_lowercase(),
        wa_message_id: storable(parent.id.as_deref().filter(|id| !id.is_empty())?),
        position: association
            .message_index
            .and_then(|index| u32::try_from(index).ok()),
    })
}

fn reply(info: &ContextInfo) -> Option<Reply> {
    let id = info.stanza_id.as_deref().filter(|id| !id.is_empty())?;
    Some(Reply {
        target: Target {
            message_id: None,
            wa_message_id: storable(id),
            from_me: false,
            participant: info.participant.clone().filter(|name| !name.is_empty()),
        },
        summary: info.quoted_message.as_option().map(summary),
    })
}

fn summary(quoted: &Message) -> Summary {
    let quoted = wrappers::peel(quoted).message;
    if let Some(content) = super::read::shown(quoted) {
        return Summary::of(&content);
    }
    let file = |kind: &str, text: Option<&String>| Summary::new(kind, text.map(String::as_str));
    if let Some(image) = quoted.image_message.as_option() {
        return file("image", image.caption.as_ref());
    }
    if let Some(video) = quoted.video_message.as_option() {
        return file("video", video.caption.as_ref());
    }
    if let Some(audio) = quoted.audio_message.as_option() {
        let voice = audio.ptt.unwrap_or(false);
        return file(if voice { "voice" } else { "audio" }, None);
    }
    if let Some(document) = quoted.document_message.as_option() {
        let text = document.caption.as_ref().or(document.file_name.as_ref());
        return file("document", text);
    }
    if let Some(place) = quoted.location_message.as_option() {
        // Some clients quote a place without saying where it is.
        return file("location", place.name.as_ref().or(place.address.as_ref()));
    }
    let sticker = quoted.sticker_message.is_set();
    file(if sticker { "sticker" } else { "unsupported" }, None)
}

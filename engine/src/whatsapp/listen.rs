//! Incoming messages: from the library's durability hook to an [`InboundSink`].
//!
//! The hook is called with each decrypted message before WhatsApp is told that it arrived. What
//! this version does not carry (groups, channels, status, what our own other devices wrote) and
//! what is no message to a person (keys, history notices) is left out and so acknowledged.

use std::sync::Arc;

use async_trait::async_trait;
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use sha2::{Digest as _, Sha256};
use wacore::types::{
    events::InboundMessage,
    message::{MessageCategory, MessageInfo},
};
use whatsapp_rust::{Client, InboundDurabilityHook, Jid};

use super::wire::{self, Read};
use crate::{
    clock::Clock,
    content::{Inbound, Peer, Phone},
    event::InboundSink,
    ids::MediaId,
};

/// The longest message id that is kept as it came, in bytes. WhatsApp's clients give 20 to 32.
const ID_MAX: usize = 128;

/// Stands between the library and the sink.
pub(super) struct Hook {
    pub(super) sink: Arc<dyn InboundSink>,
    pub(super) clock: Clock,
}

#[async_trait]
impl InboundDurabilityHook for Hook {
    /// The client is asked only for its own names and for the phone behind a LID, which it answers
    /// from memory or the key store, never over the network.
    async fn on_messages(
        &self,
        client: Arc<Client>,
        batch: &[InboundMessage],
    ) -> anyhow::Result<()> {
        let mut messages = Vec::with_capacity(batch.len());
        for InboundMessage { message, info, .. } in batch {
            if !is_one_to_one(info) {
                continue;
            }
            let Some(read) = wire::read(message, MediaId::new(&self.clock)) else {
                continue;
            };
            let from = peer(&client, info).await;
            if from.phone.is_none() && from.lid.is_none() {
                tracing::warn!("left out a message of somebody with neither phone nor LID");
                continue;
            }
            let read = known(&client, read).await;
            messages.push(inbound(info, &own(&client), from, read));
        }
        let skipped = batch.len() - messages.len();
        if skipped > 0 {
            tracing::debug!(skipped, "left out what is no one-to-one message");
        }
        if messages.is_empty() {
            return Ok(());
        }
        self.sink.commit(messages).await
    }
}

/// Whether a person wrote it to this number alone.
fn is_one_to_one(info: &MessageInfo) -> bool {
    let source = &info.source;
    let person = source.chat.is_pn() || source.chat.is_lid();
    person && !source.is_group && !source.is_from_me && info.category != MessageCategory::Peer
}

fn inbound(info: &MessageInfo, me: &Peer, from: Peer, read: Read) -> Inbound {
    let chat = info.source.chat.to_non_ad_string();
    let mut context = read.context;
    if let Some(reply) = &mut context.reply_to {
        reply.target.from_me = read.answered.is_some_and(|author| is_same(&author, me));
    }
    context.chat = Some(chat.clone());
    let ours = read.content.target().is_some_and(|target| target.from_me);
    let names = names_of_vote(if ours { me } else { &from }, &from);
    Inbound {
        chat,
        sender: info.source.sender.to_non_ad_string(),
        id: storable(&info.id),
        from,
        content: read.content,
        context,
        ballot: read.vote.map(|vote| vote.between(names)),
        remote: read.remote,
        at: info.timestamp.timestamp_millis(),
    }
}

/// Whether two are one account, as far as their names tell.
fn is_same(one: &Peer, other: &Peer) -> bool {
    let phones = one.phone.is_some() && one.phone == other.phone;
    phones || (one.lid.is_some() && one.lid == other.lid)
}

/// A poll's maker and the voter, both by their LIDs or both by their phones, never mixed.
fn names_of_vote(maker: &Peer, voter: &Peer) -> Vec<(String, String)> {
    let lid = |peer: &Peer| peer.lid.as_deref().map(|lid| Jid::lid(lid).to_string());
    let phone = |peer: &Peer| {
        let phone = peer.phone.as_ref()?;
        Some(Jid::pn(phone.digits()).to_string())
    };
    [lid(maker).zip(lid(voter)), phone(maker).zip(phone(voter))]
        .into_iter()
        .flatten()
        .collect()
}

fn own(client: &Client) -> Peer {
    let (phone, lid) = (client.pn(), client.lid());
    own_words([&phone, &lid].into_iter().flatten())
}

/// With the phones of those whom a text mentions by their LIDs.
async fn known(client: &Client, mut read: Read) -> Read {
    for mentioned in &mut read.context.mentions {
        if let (None, Some(lid)) = (&mentioned.phone, &mentioned.lid)
            && let Ok(Some(entry)) = client.get_lid_pn_entry(&Jid::lid(lid.as_str())).await
        {
            mentioned.phone = phone(&entry.phone_number);
        }
    }
    read
}

/// The sender's client chooses a message's id: one that no database would take, or find again, is
/// known by its digest.
pub(super) fn storable(id: &str) -> String {
    let plain = (1..=ID_MAX).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic());
    if plain {
        return id.to_owned();
    }
    BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(id))
}

/// Phone and LID of the sender, as far as the stanza or an earlier one told them.
async fn peer(client: &Client, info: &MessageInfo) -> Peer {
    let named = [Some(&info.source.sender), info.source.sender_alt.as_ref()];
    let mut peer = own_words(named.into_iter().flatten());
    if peer.phone.is_some() == peer.lid.is_some() {
        return peer;
    }
    if let Ok(Some(entry)) = client
        .get_lid_pn_entry(&info.source.sender.to_non_ad())
        .await
    {
        peer.phone = peer.phone.or_else(|| phone(&entry.phone_number));
        peer.lid.get_or_insert_with(|| entry.lid.to_string());
    }
    peer
}

/// Puts the library's names of one account into ours.
pub(super) fn own_words<'a>(names: impl Iterator<Item = &'a Jid>) -> Peer {
    let mut peer = Peer {
        phone: None,
        lid: None,
    };
    for name in names {
        if name.is_lid() {
            peer.lid = Some(name.user_base().to_owned());
        } else if name.is_pn() {
            peer.phone = phone(name.user_base());
        }
    }
    peer
}

fn phone(digits: &str) -> Option<Phone> {
    Phone::parse(&format!("+{digits}"))
}

#[cfg(test)]
mod tests {
    use wacore::types::message::MessageSource;

    use super::*;
    use crate::content::{Content, Context, Reply, Target};

    #[test]
    fn an_id_that_no_database_takes_is_known_by_its_digest() {
        assert_eq!(storable("3EB0C0FFEE"), "3EB0C0FFEE");
        for bad in ["", "a\0b", "a b", "ä", &"x".repeat(129)] {
            let kept = storable(bad);
            assert_eq!(kept.len(), 43, "{bad:?} became {kept}");
            assert_eq!(kept, storable(bad));
        }
        assert_ne!(storable("a\0b"), storable("a\0c"));
    }

    fn from(chat: Jid) -> MessageInfo {
        MessageInfo {
            source: MessageSource {
                sender: chat.clone(),
                chat,
                ..Default::default()
            },
            ..Default::default()
        }
    }

    #[test]
    fn only_what_a_person_wrote_to_this_number_alone_comes_in() {
        let person = from(Jid::pn("491711234567"));
        assert!(is_one_to_one(&person));
        assert!(is_one_to_one(&from(Jid::lid_device("1234567890", 3))));
        assert!(!is_one_to_one(&from(Jid::group("120363000000000000"))));
        assert!(!is_one_to_one(&from(Jid::status_broadcast())));
        assert!(!is_one_to_one(&from(Jid::newsletter("120363000000000001"))));
        let mut own = person.clone();
        own.source.is_from_me = true;
        assert!(!is_one_to_one(&own));
        let mut peer = person;
        peer.category = MessageCategory::Peer;
        assert!(!is_one_to_one(&peer));
    }

    fn said(answered: Option<Peer>) -> Read {
        let reply_to = answered.is_some().then(|| Reply {
            target: Target::default(),
            summary: None,
        });
        Read {
            content: Content::text("x"),
            context: Context {
                reply_to,
                ..Context::default()
            },
            answered,
            vote: None,
            remote: None,
        }
    }

    #[test]
    fn an_answer_tells_whether_it_answers_this_number() {
        let me = own_words([&Jid::pn("491510000001"), &Jid::lid("77")].into_iter());
        let them = own_words([&Jid::pn("491510000002")].into_iter());
        let info = from(Jid::pn("491510000002"));
        let is_mine = |author: Peer| {
            let message = inbound(&info, &me, them.clone(), said(Some(author)));
            message.context.reply_to.unwrap().target.from_me
        };
        assert!(is_mine(me.clone()));
        assert!(is_mine(own_words([&Jid::lid("77")].into_iter())));
        assert!(!is_mine(them.clone()));
    }

    #[test]
    fn a_vote_is_between_two_names_of_one_kind() {
        let both = own_words([&Jid::pn("491510000001"), &Jid::lid("77")].into_iter());
        let phone = own_words([&Jid::pn("491510000002")].into_iter());
        let names = names_of_vote(&both, &phone);
        let expected = ("491510000001@s.whatsapp.net", "491510000002@s.whatsapp.net");
        assert_eq!(names, [(expected.0.to_owned(), expected.1.to_owned())]);
        assert_eq!(names_of_vote(&both, &both)[0].0, "77@lid");
    }

    #[test]
    fn chat_and_sender_are_named_without_the_device() {
        let info = from(Jid::lid_device("1234567890", 3));
        let lid = own_words([&info.source.sender].into_iter());
        let me = own_words([&Jid::pn("491510000001")].into_iter());
        let message = inbound(&info, &me, lid, said(None));
        assert_eq!(message.chat, "1234567890@lid");
        assert_eq!(message.sender, "1234567890@lid");
        assert_eq!(message.from.lid.as_deref(), Some("1234567890"));
        assert_eq!(message.from.phone, None);
    }
}

//! Passes incoming messages from the library's durability hook to an [`InboundSink`].
//!
//! The library calls the hook with each decrypted message before it acknowledges the message to
//! WhatsApp. Some messages are left out, and so acknowledged without being stored: those of
//! channels and statuses, which this version does not support, and those that carry nothing for a
//! person, such as keys and history notices. What the number's owner writes on the phone or on another
//! linked device comes here as well.

use std::sync::Arc;

use anyhow::bail;
use async_trait::async_trait;
use tokio_util::sync::CancellationToken;
use wacore::types::{
    events::InboundMessage,
    message::{MessageCategory, MessageInfo},
};
use waproto::whatsapp::Message;
use whatsapp_rust::{Client, InboundDurabilityHook, Jid};

use super::{
    inbound::{Inbound, InboundSink, OwnDevice},
    jid::{parse_peer, peer_of, with_both_names},
    late, mentions,
    raw::RawMessage,
    unstored::Unstored,
    wa_id::storable,
    wire::{self, Read},
};
use crate::{
    clock::Clock,
    content::{Content, Group, Peer, SenderNames, Target},
    ids::MediaId,
};

/// Connects the library to the sink.
pub(super) struct Hook {
    pub(super) sink: Arc<dyn InboundSink>,
    pub(super) clock: Clock,
    pub(super) unstored: Unstored,
    /// Cancelled when the session's lease is lost. Then nothing of this connection is stored any more.
    pub(super) lost: CancellationToken,
}

impl Hook {
    /// Waits until all late messages are stored. Fails if the lease is lost: nobody stores them then.
    async fn all_stored(&self) -> anyhow::Result<()> {
        tokio::select! {
            () = self.unstored.none() => Ok(()),
            () = self.lost.cancelled() => bail!("the session's lease is lost"),
        }
    }
}

#[async_trait]
impl InboundDurabilityHook for Hook {
    /// Asks the client only for its own JIDs and for the phone number of a LID. It answers from
    /// memory or the key store, never over the network.
    async fn on_messages(
        &self,
        client: Arc<Client>,
        batch: &[InboundMessage],
    ) -> anyhow::Result<()> {
        // The answer of this number's phone about a message that could not be decrypted comes here as well. The
        // library keeps it until this returns, and the message in it is stored before.
        if batch.iter().any(|message| is_own(&message.info)) {
            self.all_stored().await?;
        }
        let mut messages = Vec::with_capacity(batch.len());
        for message in batch {
            messages.extend(read(&client, message, &self.clock).await);
            for given in late::given_by_phone(message) {
                let given = read(&client, &given, &self.clock).await;
                messages.extend(given.map(Inbound::recovered));
            }
        }
        let skipped = batch.len().saturating_sub(messages.len());
        if skipped > 0 {
            tracing::debug!(skipped, "left out messages that are not for this number");
        }
        if messages.is_empty() {
            return Ok(());
        }
        self.sink.commit(messages).await
    }
}

/// Converts a decrypted message. Returns `None` if it is neither to this number nor from its owner.
pub(super) async fn read(
    client: &Client,
    message: &InboundMessage,
    clock: &Clock,
) -> Option<Inbound> {
    if !is_wanted(&message.info) {
        return None;
    }
    let read = setting(&message.message);
    let read = read.or_else(|| wire::read(&message.message, MediaId::new(clock)))?;
    let mut inbound = with_sender(client, &message.info, read).await?;
    inbound.expires_in = wire::timer::carried(&message.message);
    inbound.timer = timer(message, &inbound);
    inbound.raw = Some(RawMessage(Arc::clone(&message.message)));
    Some(inbound)
}

/// Reads a notice that only sets how long the chat's messages stay.
fn setting(message: &Message) -> Option<Read> {
    let seconds = wire::timer::setting(message)?;
    Some(Read::of(Content::ChatTimer { seconds }))
}

/// Returns what a message says of the chat's timer. A phone's messages carry the timer of their chat; those of a
/// linked device, which may be a program that knows no timers, only if it set one.
fn timer(message: &InboundMessage, inbound: &Inbound) -> Option<u32> {
    match &inbound.content {
        Content::ChatTimer { seconds } => Some(*seconds),
        Content::Unsupported { .. } => inbound.expires_in,
        about if about.target().is_some() => None,
        _ => inbound.expires_in.or_else(|| {
            let by_phone = message.info.source.sender.device == 0;
            (by_phone && wire::timer::is_without(&message.message)).then_some(0)
        }),
    }
}

/// Adds sender and chat. Returns `None` if the sender has neither phone nor LID, because nobody
/// could reply.
pub(super) async fn with_sender(
    client: &Client,
    info: &MessageInfo,
    read: Read,
) -> Option<Inbound> {
    if !is_wanted(info) {
        return None;
    }
    let source = &info.source;
    let (from, phone_is_derived) = if source.is_from_me && group(info).is_some() {
        (peer_of(std::iter::empty()), false)
    } else {
        let (from, phone_is_derived) = peer(client, info).await;
        if from.phone.is_none() && from.lid.is_none() {
            tracing::warn!("left out a message whose other side has neither phone nor LID");
            return None;
        }
        (from, phone_is_derived)
    };
    let read = mentions::with_phones(client, read).await;
    let device = client.pn().map_or(0, |me| me.device);
    Some(Inbound {
        phone_is_derived,
        ..inbound(info, &own(client), device, from, read)
    })
}

/// Returns whether it is part of a chat: with another person, or in a group.
fn is_wanted(info: &MessageInfo) -> bool {
    let source = &info.source;
    let person = (source.chat.is_pn() || source.chat.is_lid()) && !source.is_group;
    info.category != MessageCategory::Peer && (person || group(info).is_some())
}

/// Returns which other device of this number wrote it. `me` is the number of this device: if it is named,
/// the library did not know better, because the phone gave the message without naming its device.
fn own_device(info: &MessageInfo, me: u16) -> Option<OwnDevice> {
    let device = info.source.sender.device;
    let linked = device != 0 && device != me;
    info.source.is_from_me.then_some(if linked {
        OwnDevice::Linked
    } else {
        OwnDevice::Phone
    })
}

/// Returns whether another device of this number sent it.
fn is_own(info: &MessageInfo) -> bool {
    info.source.is_from_me || info.category == MessageCategory::Peer
}

fn group(info: &MessageInfo) -> Option<Group> {
    let source = &info.source;
    let chat = source.is_group.then(|| source.chat.to_non_ad_string())?;
    Group::parse(&chat)
}

fn inbound(info: &MessageInfo, me: &Peer, device: u16, from: Peer, read: Read) -> Inbound {
    let chat = info.source.chat.to_non_ad_string();
    let sender = info.source.sender.to_non_ad_string();
    let (group, own) = (group(info), own_device(info, device));
    let in_group = group.as_ref().map(|_| sender.as_str());
    let (mut content, mut context) = (read.content, read.context);
    if let Some(reply) = &mut context.reply_to {
        let target = &mut reply.target;
        target.from_me = read.answered.is_some_and(|author| author.is_same(me));
        target.participant = target
            .participant
            .take()
            .filter(|_| in_group.is_some() && !target.from_me);
    }
    if let Some(target) = content.target_mut() {
        match own {
            Some(_) => place_own(target, in_group.is_some()),
            None => place(target, in_group, me),
        }
    }
    context.chat = Some(chat.clone());
    context.participant = in_group.filter(|_| own.is_none()).map(str::to_owned);
    let maker = content.target().and_then(|target| maker(target, me));
    let voter = own.map_or(&from, |_| me);
    let names = names_of_vote(maker.as_ref().unwrap_or(&from), voter);
    Inbound {
        chat,
        sender,
        own,
        id: storable(&info.id),
        from,
        phone_is_derived: false,
        names: sender_names(info),
        group,
        content,
        context,
        ballot: read.vote.map(|vote| vote.between(names)),
        remote: read.remote,
        expires_in: None,
        timer: None,
        raw: None,
        at: info.timestamp.timestamp_millis(),
        recovered: false,
    }
}

/// Returns what the sender is called.
fn sender_names(info: &MessageInfo) -> SenderNames {
    let verified = info.verified_name.as_ref();
    let verified = verified.and_then(|verified| verified.name.as_deref());
    SenderNames::new(Some(&info.push_name), verified)
}

/// Corrects a target, which was read from the writer's point of view, to this number's point of
/// view. In a chat of two, the message is ours or the other person's. In a group, where `writer`
/// wrote, it may also be a third member's.
fn place(target: &mut Target, writer: Option<&str>, me: &Peer) {
    let named = target.participant.take();
    let Some(writer) = writer else { return };
    if !target.from_me {
        target.participant = Some(writer.to_owned());
        return;
    }
    let author = named.as_deref().and_then(parse_peer);
    target.from_me = author.is_some_and(|author| author.is_same(me));
    target.participant = named.filter(|_| !target.from_me);
}

/// As [`place`], for a target that this number's own owner named.
fn place_own(target: &mut Target, in_group: bool) {
    target.from_me = !target.from_me;
    let named = target.participant.take();
    target.participant = named.filter(|_| in_group && !target.from_me);
}

/// Returns who made a poll: this number or the named member. `None` if it was the other side.
fn maker(poll: &Target, me: &Peer) -> Option<Peer> {
    if poll.from_me {
        return Some(me.clone());
    }
    poll.participant.as_deref().and_then(parse_peer)
}

/// Returns the JIDs of the poll's maker and the voter. They are both LIDs or both phones, never
/// mixed.
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
    peer_of([&phone, &lid].into_iter().flatten())
}

/// Returns phone and LID of the sender, or of the recipient of an own message, as far as this stanza or an
/// earlier one contained them, and whether the phone is from an earlier one.
async fn peer(client: &Client, info: &MessageInfo) -> (Peer, bool) {
    let source = &info.source;
    let (name, other) = if source.is_from_me {
        let other = source.recipient_alt.as_ref();
        (&source.chat, other.or(info.peer_recipient_pn.as_ref()))
    } else {
        (&source.sender, source.sender_alt.as_ref())
    };
    with_both_names(client, peer_of([Some(name), other].into_iter().flatten())).await
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use wacore::types::message::MessageSource;

    use super::*;
    use crate::content::{Context, Reply};

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

    struct Nowhere;

    #[async_trait]
    impl InboundSink for Nowhere {
        async fn commit(&self, _: Vec<Inbound>) -> anyhow::Result<()> {
            bail!("nothing is stored here")
        }
    }

    #[tokio::test]
    async fn who_lost_its_session_waits_for_no_late_message() {
        let (unstored, lost) = (Unstored::new(), CancellationToken::new());
        let hook = Hook {
            sink: Arc::new(Nowhere),
            clock: Clock::system(),
            unstored: unstored.clone(),
            lost: lost.clone(),
        };
        hook.all_stored().await.unwrap();
        unstored.add_one();
        assert!(hook.all_stored().now_or_never().is_none());
        lost.cancel();
        let ended = hook.all_stored().now_or_never();
        assert!(ended.is_some_and(|ended| ended.is_err()));
    }

    #[test]
    fn only_what_is_part_of_a_chat_comes_in() {
        let person = from(Jid::pn("491711234567"));
        assert!(is_wanted(&person));
        assert!(is_wanted(&from(Jid::lid_device("1234567890", 3))));
        let group = in_group("77@lid");
        assert!(is_wanted(&group));
        for odd in [
            Jid::status_broadcast(),
            Jid::newsletter("120363000000000001"),
        ] {
            assert!(!is_wanted(&from(odd.clone())));
            let mut listed = from(odd);
            listed.source.is_group = true;
            assert!(!is_wanted(&listed));
        }
        for message in [person, group] {
            let mut own = message.clone();
            own.source.is_from_me = true;
            assert!(is_wanted(&own));
            let mut peer = message;
            peer.category = MessageCategory::Peer;
            assert!(!is_wanted(&peer));
        }
    }

    #[test]
    fn own_phone_and_own_linked_devices_are_told_from_another_person() {
        let mut info = from(Jid::pn("491510000002"));
        info.source.sender = Jid::pn_device("491510000001", 4);
        assert_eq!(own_device(&info, 3), None);
        info.source.is_from_me = true;
        assert_eq!(own_device(&info, 3), Some(OwnDevice::Linked));
        // The library names this device if it does not know which one it was.
        assert_eq!(own_device(&info, 4), Some(OwnDevice::Phone));
        info.source.sender.device = 0;
        assert_eq!(own_device(&info, 3), Some(OwnDevice::Phone));
    }

    #[test]
    fn own_phones_targets_are_its_own_or_the_other_sides() {
        // As read: the opposite of the writer's `from_me`.
        let placed = |from_me: bool, participant: Option<&str>, in_group| {
            let mut target = Target {
                from_me: !from_me,
                participant: participant.map(str::to_owned),
                ..Target::default()
            };
            place_own(&mut target, in_group);
            (target.from_me, target.participant)
        };
        assert_eq!(placed(true, Some("77@lid"), true), (true, None));
        let member = Some("88@lid".to_owned());
        assert_eq!(placed(false, Some("88@lid"), true), (false, member));
        assert_eq!(placed(false, Some("88@lid"), false), (false, None));
        assert_eq!(placed(true, None, false), (true, None));
    }

    /// A message that this member wrote in a group.
    fn in_group(member: &str) -> MessageInfo {
        let mut info = from(Jid::group("120363000000000000"));
        info.source.sender = member.parse().unwrap();
        info.source.is_group = true;
        info
    }

    #[test]
    fn in_a_group_a_target_is_ours_its_writers_or_a_third_ones() {
        let me = peer_of([&Jid::pn("491510000001"), &Jid::lid("77")].into_iter());
        // As in the key: `from_me` of the writer, and who wrote it otherwise.
        let placed = |writers_own: bool, participant: Option<&str>| {
            let mut target = Target {
                from_me: !writers_own,
                participant: participant.map(str::to_owned),
                ..Target::default()
            };
            place(&mut target, Some("88@lid"), &me);
            (target.from_me, target.participant)
        };
        let member = |name: &str| Some(name.to_owned());
        assert_eq!(placed(true, None), (false, member("88@lid")));
        assert_eq!(placed(true, Some("77@lid")), (false, member("88@lid")));
        assert_eq!(placed(false, Some("77@lid")), (true, None));
        assert_eq!(
            placed(false, Some("491510000001@s.whatsapp.net")),
            (true, None)
        );
        assert_eq!(placed(false, Some("99@lid")), (false, member("99@lid")));
        assert_eq!(placed(false, None), (false, None));
    }

    #[test]
    fn what_comes_in_in_a_group_names_the_group_and_who_wrote_it() {
        let info = in_group("88:3@lid");
        let writer = peer_of([&info.source.sender].into_iter());
        let me = peer_of([&Jid::lid("77")].into_iter());
        let author = peer_of([&Jid::lid("99")].into_iter());
        let mut answer = said(Some(author));
        answer.context.reply_to.as_mut().unwrap().target.participant = Some("99@lid".into());
        let message = inbound(&info, &me, 1, writer, answer);
        assert_eq!(message.chat, "120363000000000000@g.us");
        assert_eq!(message.group.unwrap().as_str(), message.chat);
        assert_eq!(message.context.participant.as_deref(), Some("88@lid"));
        assert_eq!(message.from.lid.as_deref(), Some("88"));
        let answered = message.context.reply_to.unwrap().target;
        assert_eq!(
            (answered.from_me, answered.participant.as_deref()),
            (false, Some("99@lid"))
        );
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
        let me = peer_of([&Jid::pn("491510000001"), &Jid::lid("77")].into_iter());
        let them = peer_of([&Jid::pn("491510000002")].into_iter());
        let info = from(Jid::pn("491510000002"));
        let is_mine = |author: Peer| {
            let message = inbound(&info, &me, 1, them.clone(), said(Some(author)));
            message.context.reply_to.unwrap().target.from_me
        };
        assert!(is_mine(me.clone()));
        assert!(is_mine(peer_of([&Jid::lid("77")].into_iter())));
        assert!(!is_mine(them.clone()));
    }

    #[test]
    fn a_vote_is_between_two_names_of_one_kind() {
        let both = peer_of([&Jid::pn("491510000001"), &Jid::lid("77")].into_iter());
        let phone = peer_of([&Jid::pn("491510000002")].into_iter());
        let names = names_of_vote(&both, &phone);
        let expected = ("491510000001@s.whatsapp.net", "491510000002@s.whatsapp.net");
        assert_eq!(names, [(expected.0.to_owned(), expected.1.to_owned())]);
        assert_eq!(names_of_vote(&both, &both)[0].0, "77@lid");
    }

    #[test]
    fn chat_and_sender_are_named_without_the_device() {
        let info = from(Jid::lid_device("1234567890", 3));
        let lid = peer_of([&info.source.sender].into_iter());
        let me = peer_of([&Jid::pn("491510000001")].into_iter());
        let message = inbound(&info, &me, 1, lid, said(None));
        assert_eq!(message.chat, "1234567890@lid");
        assert_eq!(message.sender, "1234567890@lid");
        assert_eq!(message.from.lid.as_deref(), Some("1234567890"));
        assert_eq!(message.from.phone, None);
    }
}

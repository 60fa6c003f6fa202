//! Converts the library's events to ours.

use std::sync::Arc;

use wacore::types::{
    events::{
        ConnectFailureReason, Event, EventHandler, EventInterest, EventKind, LoggedOut, Receipt,
        ServerAck, TemporaryBan,
    },
    presence::ReceiptType,
};
use whatsapp_rust::OwnedNodeRef;

use super::{
    call::CallStanza,
    connect_slot::ConnectSlot,
    event::{self, ConnectionEvent, Ended, Member, Outbox, PairingCode, QrCode, ReceiptKind},
    group_changes::{GroupChange, GroupQueue},
    jid::peer_of,
    late::{Late, LateQueue},
    timelock,
};
use crate::{clock::Clock, content::Group};

/// Receives the library's events. It is called while the socket is read, so it only queues them.
pub(super) struct Listener {
    pub(super) outbox: Arc<Outbox>,
    pub(super) late: Arc<LateQueue>,
    pub(super) groups: Arc<GroupQueue>,
    pub(super) clock: Clock,
    pub(super) slot: ConnectSlot,
}

/// What an event means for the connection.
#[derive(Debug, PartialEq, Eq)]
enum Meaning {
    Event(ConnectionEvent),
    End(Ended),
}

impl EventHandler for Listener {
    fn handle_event(&self, event: Arc<Event>) {
        if let Event::Messages(batch) = &*event {
            Late::recovered(batch).for_each(|late| self.late.push(late));
            return;
        }
        if let Event::GroupUpdate(update) = &*event {
            if let Some(change) = GroupChange::of(update) {
                self.groups.push(change);
            }
            return;
        }
        if let Event::UndecryptableMessage(message) = &*event {
            if let Some(late) = Late::undecryptable(message) {
                self.late.push(late);
            }
            return;
        }
        if let Event::RawNode(node) = &*event {
            if let Some(call) = CallStanza::of(node) {
                self.outbox.push(ConnectionEvent::Call(Box::new(call)));
            }
            if is_rate_limit(node) {
                self.slot.refused();
                self.outbox.push(ConnectionEvent::RateLimited);
            }
            return;
        }
        if is_too_much(&event) {
            self.slot.refused();
        }
        if let Event::PairSuccess(_) = &*event {
            self.slot.linked();
        }
        match meaning(&event, &self.clock) {
            Some(Meaning::Event(event)) => self.outbox.push(event),
            Some(Meaning::End(why)) => self.outbox.ending(why),
            None => {}
        }
    }

    /// Only these events. The library builds an event only if someone wants it, so it drops history
    /// as soon as it has read the tokens.
    fn interest(&self) -> EventInterest {
        EventInterest::of(&[
            EventKind::Connected,
            EventKind::Disconnected,
            EventKind::PairSuccess,
            EventKind::PairingQrCode,
            EventKind::PairingQrCodesExhausted,
            EventKind::PairingCode,
            EventKind::PairingCodeRefresh,
            EventKind::PairingCodeError,
            EventKind::LoggedOut,
            EventKind::StreamReplaced,
            EventKind::TemporaryBan,
            EventKind::ConnectFailure,
            EventKind::StreamError,
            EventKind::ClientOutdated,
            EventKind::ServerAck,
            EventKind::Receipt,
            EventKind::UndecryptableMessage,
            EventKind::Messages,
            EventKind::GroupUpdate,
            // The time-lock and the quota of new chats are pushed in it.
            EventKind::MexNotification,
            // Calls and the stream's error 429 are read from it. The library makes no event of the latter.
            EventKind::RawNode,
        ])
    }
}

/// Returns whether WhatsApp closes the stream because of too many requests.
fn is_rate_limit(node: &OwnedNodeRef) -> bool {
    let node = node.get();
    let code = (node.tag == "stream:error").then(|| node.attrs().optional_string("code"));
    code.flatten().as_deref() == Some("429")
}

/// Returns whether WhatsApp says that it has too many connections.
fn is_too_much(event: &Event) -> bool {
    match event {
        Event::StreamError(error) => ["429", "503"].contains(&error.code.as_str()),
        Event::ConnectFailure(failure) => {
            failure.reason == ConnectFailureReason::ServiceUnavailable
        }
        _ => false,
    }
}

fn meaning(event: &Event, clock: &Clock) -> Option<Meaning> {
    let told = match event {
        Event::Connected(_) => ConnectionEvent::Connected,
        Event::Disconnected(_) => ConnectionEvent::Disconnected,
        Event::PairSuccess(pair) => ConnectionEvent::Linked {
            me: peer_of([&pair.id, &pair.lid].into_iter()),
        },
        Event::PairingQrCode(qr) => ConnectionEvent::Qr {
            code: QrCode::new(qr.code.clone()),
            valid_for: qr.timeout,
        },
        Event::PairingCode(pairing) => ConnectionEvent::PairingCode {
            code: PairingCode::new(pairing.code.clone()),
            valid_for: pairing.timeout,
        },
        Event::PairingCodeRefresh(_) | Event::PairingCodeError(_) => {
            ConnectionEvent::PairingCodeVoid
        }
        Event::PairingQrCodesExhausted(codes) if codes.disconnected => {
            return Some(Meaning::End(Ended::QrExhausted));
        }
        Event::PairingQrCodesExhausted(_) => ConnectionEvent::QrExhausted,
        Event::ServerAck(ack) => acknowledgement(ack)?,
        Event::Receipt(receipt) => receipt_of_another(receipt)?,
        Event::MexNotification(push) => timelock::pushed(push)?,
        end => return Some(Meaning::End(ending(end, clock)?)),
    };
    Some(Meaning::Event(told))
}

/// Converts acknowledgements of messages. WhatsApp acknowledges other stanzas, too.
fn acknowledgement(ack: &ServerAck) -> Option<ConnectionEvent> {
    (ack.class.as_deref() == Some("message")).then(|| ConnectionEvent::Ack {
        id: ack.id.clone(),
        // A code that is no number is still a refusal.
        error: ack.error.as_ref().map(|code| code.parse().unwrap_or(0)),
    })
}

/// Converts receipts of the other side; in a group, of any member. Receipts of this number's other
/// devices are left out.
fn receipt_of_another(receipt: &Receipt) -> Option<ConnectionEvent> {
    let kind = match receipt.r#type {
        ReceiptType::Delivered => ReceiptKind::Delivered,
        ReceiptType::Read => ReceiptKind::Read,
        ReceiptType::Played => ReceiptKind::Played,
        _ => return None,
    };
    (!receipt.source.is_from_me).then(|| ConnectionEvent::Receipt {
        ids: receipt
            .message_ids
            .iter()
            .map(ToString::to_string)
            .collect(),
        receipt: event::Receipt {
            kind,
            at: receipt.timestamp.timestamp_millis(),
            member: member(receipt),
        },
    })
}

/// Returns whose phone sent the receipt, if it is about a message in a group and names the member.
fn member(receipt: &Receipt) -> Option<Member> {
    let source = &receipt.source;
    let names = [Some(&source.sender), source.sender_alt.as_ref()];
    let who = peer_of(names.into_iter().flatten());
    let is_named = who.phone.is_some() || who.lid.is_some();
    let group = Group::parse(&source.chat.to_non_ad_string()).filter(|_| is_named)?;
    Some(Member { group, who })
}

fn ending(event: &Event, clock: &Clock) -> Option<Ended> {
    Some(match event {
        Event::LoggedOut(out) => logged_out(out),
        Event::StreamReplaced(_) => Ended::Replaced,
        Event::ClientOutdated(_) => Ended::Outdated,
        Event::TemporaryBan(ban) => banned(ban, clock),
        Event::ConnectFailure(failure) => match failure.reason {
            // The library reconnects by itself after these two.
            ConnectFailureReason::InternalServerError
            | ConnectFailureReason::ServiceUnavailable => return None,
            // A ban without a duration or a reason.
            ConnectFailureReason::TempBanned => Ended::Banned {
                code: 0,
                until: None,
            },
            reason => Ended::Failed(u16::try_from(reason.code()).unwrap_or(0)),
        },
        _ => return None,
    })
}

fn logged_out(out: &LoggedOut) -> Ended {
    match out.reason {
        ConnectFailureReason::AccountLocked | ConnectFailureReason::UnknownLogout => {
            Ended::AccountLocked
        }
        _ => Ended::LoggedOut,
    }
}

fn banned(ban: &TemporaryBan, clock: &Clock) -> Ended {
    Ended::Banned {
        code: u32::try_from(ban.code.code()).unwrap_or(0),
        until: clock.now().checked_add(ban.expire.num_milliseconds()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use wacore::types::{
        events::{
            ConnectFailure, PairSuccess, PairingQrCode, PairingQrCodesExhausted, StreamError,
            StreamReplaced, TempBanReason,
        },
        message::MessageSource,
    };
    use whatsapp_rust::{Jid, NodeBuilder, wacore_binary};

    use super::*;

    fn means(event: &Event) -> Option<Meaning> {
        meaning(event, &Clock::system())
    }

    fn ack(class: &str, error: Option<&str>) -> Event {
        let ack = ServerAck::builder()
            .id("3EB0".into())
            .class(class.into())
            .maybe_error(error.map(Into::into))
            .build();
        Event::ServerAck(ack)
    }

    #[test]
    fn only_messages_are_acknowledged_and_a_refusal_keeps_its_code() {
        let told = |error| {
            let id = "3EB0".into();
            Some(Meaning::Event(ConnectionEvent::Ack { id, error }))
        };
        assert_eq!(means(&ack("message", None)), told(None));
        assert_eq!(means(&ack("message", Some("463"))), told(Some(463)));
        assert_eq!(means(&ack("message", Some("odd"))), told(Some(0)));
        assert_eq!(means(&ack("receipt", None)), None);
    }

    fn receipt(kind: ReceiptType, own: bool) -> Event {
        let source = MessageSource {
            is_from_me: own,
            ..Default::default()
        };
        let at = wacore::time::from_millis(1_700_000_000_000).unwrap();
        let receipt = Receipt::builder()
            .source(source)
            .message_ids(vec!["3EB0".into()])
            .timestamp(at)
            .r#type(kind)
            .offline(false)
            .build();
        Event::Receipt(receipt)
    }

    #[test]
    fn receipts_of_the_other_side_are_told_and_others_are_not() {
        let read = Some(Meaning::Event(ConnectionEvent::Receipt {
            ids: vec!["3EB0".into()],
            receipt: event::Receipt {
                kind: ReceiptKind::Read,
                at: 1_700_000_000_000,
                member: None,
            },
        }));
        assert_eq!(means(&receipt(ReceiptType::Read, false)), read);
        assert_eq!(means(&receipt(ReceiptType::Read, true)), None);
        for kind in [
            ReceiptType::ReadSelf,
            ReceiptType::Retry,
            ReceiptType::Inactive,
        ] {
            assert_eq!(means(&receipt(kind, false)), None);
        }
    }

    #[test]
    fn a_receipt_in_a_group_names_the_member() {
        let Event::Receipt(mut receipt) = receipt(ReceiptType::Delivered, false) else {
            panic!("a receipt");
        };
        receipt.source.chat = Jid::group("120363000000000000");
        receipt.source.sender = Jid::lid_device("77", 3);
        receipt.source.sender_alt = Some(Jid::pn("491711234567"));
        let member = member(&receipt).unwrap();
        assert_eq!(member.group.as_str(), "120363000000000000@g.us");
        assert_eq!(member.who.lid.as_deref(), Some("77"));
        assert_eq!(member.who.phone.unwrap().as_str(), "+491711234567");
        // Without a member, the group itself is given as the sender.
        receipt.source.sender = receipt.source.chat.clone();
        receipt.source.sender_alt = None;
        assert_eq!(super::member(&receipt), None);
    }

    #[test]
    fn linking_tells_both_names_of_the_number() {
        let pair = PairSuccess::builder()
            .id(Jid::pn_device("491711234567", 5))
            .lid(Jid::lid_device("1234567890", 5))
            .business_name(String::new())
            .platform("android".into())
            .build();
        let Some(Meaning::Event(ConnectionEvent::Linked { me })) = means(&Event::PairSuccess(pair))
        else {
            panic!("not linked");
        };
        assert_eq!(me.phone.unwrap().as_str(), "+491711234567");
        assert_eq!(me.lid.unwrap(), "1234567890");
    }

    #[test]
    fn a_qr_is_told_until_all_are_used_up() {
        let qr = PairingQrCode::builder()
            .code("2@x".into())
            .timeout(Duration::from_secs(20))
            .build();
        let told = means(&Event::PairingQrCode(qr));
        assert!(matches!(
            told,
            Some(Meaning::Event(ConnectionEvent::Qr { .. }))
        ));
        let exhausted = |disconnected| {
            let codes = PairingQrCodesExhausted::builder()
                .disconnected(disconnected)
                .build();
            means(&Event::PairingQrCodesExhausted(codes))
        };
        assert_eq!(exhausted(true), Some(Meaning::End(Ended::QrExhausted)));
        assert_eq!(
            exhausted(false),
            Some(Meaning::Event(ConnectionEvent::QrExhausted))
        );
    }

    fn refused(reason: ConnectFailureReason) -> Option<Meaning> {
        means(&Event::ConnectFailure(
            ConnectFailure::builder().reason(reason).build(),
        ))
    }

    fn out(reason: ConnectFailureReason) -> Option<Meaning> {
        let out = LoggedOut::builder().on_connect(true).reason(reason).build();
        means(&Event::LoggedOut(out))
    }

    #[test]
    fn each_way_to_end_keeps_its_reason() {
        use ConnectFailureReason as Reason;
        let end = |why| Some(Meaning::End(why));
        assert_eq!(out(Reason::LoggedOut), end(Ended::LoggedOut));
        assert_eq!(out(Reason::AccountLocked), end(Ended::AccountLocked));
        assert_eq!(out(Reason::UnknownLogout), end(Ended::AccountLocked));
        let replaced = means(&Event::StreamReplaced(StreamReplaced::builder().build()));
        assert_eq!(replaced, end(Ended::Replaced));
        assert_eq!(refused(Reason::BadUserAgent), end(Ended::Failed(409)));
        assert_eq!(refused(Reason::ServiceUnavailable), None);
    }

    #[test]
    fn safety_a_stream_that_ends_because_of_too_many_requests_is_recognised() {
        let is_limit = |tag: &'static str, code: &str| {
            let node = NodeBuilder::new(tag).attr("code", code.to_owned()).build();
            // The first byte says how the rest is packed.
            let bytes = wacore_binary::marshal(&node).unwrap();
            is_rate_limit(&OwnedNodeRef::new(bytes[1..].to_vec()).unwrap())
        };
        assert!(is_limit("stream:error", "429"));
        assert!(!is_limit("stream:error", "503"));
        assert!(!is_limit("failure", "429"));
    }

    #[test]
    fn too_many_connections_are_told_from_other_ends() {
        use ConnectFailureReason as Reason;
        let stream = |code: &str| {
            let error = StreamError::builder().code(code.into()).build();
            is_too_much(&Event::StreamError(error))
        };
        assert!(stream("429") && stream("503"));
        assert!(!stream("515") && !stream("500"));
        let login = |reason| {
            let failure = ConnectFailure::builder().reason(reason).build();
            is_too_much(&Event::ConnectFailure(failure))
        };
        assert!(login(Reason::ServiceUnavailable));
        assert!(!login(Reason::BadUserAgent));
    }

    #[test]
    fn a_ban_tells_its_reason_and_until_when() {
        let clock = Clock::system();
        let before = clock.now();
        let ban = TemporaryBan::builder()
            .code(TempBanReason::SentToTooManyPeople)
            .expire(wacore::chrono::Duration::seconds(3600))
            .build();
        let Some(Meaning::End(Ended::Banned {
            code: 101,
            until: Some(until),
        })) = meaning(&Event::TemporaryBan(ban), &clock)
        else {
            panic!("not banned");
        };
        let from_now = until - before;
        assert!((3_600_000..3_660_000).contains(&from_now), "{from_now}");
    }
}

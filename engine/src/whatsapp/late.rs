//! Messages that do not come through the durability hook: those that cannot be decrypted, and those
//! that WhatsApp recovered later.
//!
//! The library acknowledges both to WhatsApp without waiting for us, so the socket waits instead
//! (`unstored`). For a message that cannot be decrypted it asks the sender's phone, or this number's
//! own phone, to send it again. The repeated message comes through the hook or through here.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::mpsc;
use wacore::types::{
    events::{
        DecryptFailMode, InboundMessage, MessageBatch, UnavailableType, UndecryptableMessage,
    },
    message::{MessageInfo, MessageSource},
};
use waproto::whatsapp::WebMessageInfo;
use whatsapp_rust::{Jid, wacore_binary::JidExt as _};

use super::{connection::Connection, inbound::Inbound, listen, unstored::Unstored, wire};
use crate::{content::Content, sealed::sealed_debug};

/// A message that did not come through the hook, in the library's form.
#[derive(Clone)]
pub struct Late(What);

#[derive(Clone)]
enum What {
    /// Nothing of it can be read: it was not decrypted, or is for phones only.
    Unread(Arc<MessageInfo>, Box<Content>),
    Recovered(InboundMessage),
}

impl Late {
    /// Returns `None` if a phone would not show it either.
    pub(super) fn undecryptable(message: &UndecryptableMessage) -> Option<Self> {
        let shown = message.decrypt_fail_mode == DecryptFailMode::Show;
        // WhatsApp gives what may be viewed once to phones only, also when it is asked again.
        let content = match message.unavailable_type {
            UnavailableType::ViewOnce => Content::ViewOnceUnavailable {},
            _ => Content::Undecryptable {},
        };
        shown.then(|| Self::unread(Arc::clone(&message.info), content))
    }

    fn unread(info: Arc<MessageInfo>, content: Content) -> Self {
        Self(What::Unread(info, Box::new(content)))
    }

    /// Returns the messages of a batch that the hook has not committed.
    pub(super) fn recovered(batch: &MessageBatch) -> impl Iterator<Item = Self> {
        let beside = batch.iter().filter(|_| !batch.hook_committed);
        beside.map(|message| Self(What::Recovered(message.clone())))
    }
}

sealed_debug!(Late);

/// Returns the messages in an answer of this number's phone, which was asked for messages that could not be
/// decrypted here. The library reports them as [`Late`] messages, too, but not again when WhatsApp repeats
/// the answer because the process died before it was acknowledged.
pub(super) fn given_by_phone(answer: &InboundMessage) -> Vec<InboundMessage> {
    let source = &answer.info.source;
    let protocol = answer.message.protocol_message.as_option();
    let response = protocol
        .and_then(|protocol| {
            protocol
                .peer_data_operation_request_response_message
                .as_option()
        })
        .filter(|_| source.is_from_me && source.sender.device == 0);
    let results = response.map(|response| response.peer_data_operation_result.iter());
    let given = results.into_iter().flatten().filter_map(|result| {
        let given = result.placeholder_message_resend_response.as_option()?;
        let bytes = given.web_message_info_bytes.as_deref()?;
        message_of(waproto::codec::web_message_info_decode(bytes).ok()?)
    });
    given.collect()
}

fn message_of(mut given: WebMessageInfo) -> Option<InboundMessage> {
    let message = given.message.take()?;
    let key = given.key.as_option()?;
    let chat: Jid = key.remote_jid.as_deref()?.parse().ok()?;
    let sender = match key.participant.as_deref() {
        Some(participant) => participant.parse().ok()?,
        None => chat.clone(),
    };
    let at = given.message_timestamp.unwrap_or_default();
    let info = MessageInfo {
        id: key.id.clone()?,
        source: MessageSource {
            is_group: chat.is_group(),
            is_from_me: key.from_me.unwrap_or_default(),
            chat,
            sender,
            ..MessageSource::default()
        },
        timestamp: wacore::time::from_secs_or_now(i64::try_from(at).unwrap_or_default()),
        ..MessageInfo::default()
    };
    let message = InboundMessage::builder()
        .message(Arc::from(message))
        .info(Arc::new(info));
    Some(message.build())
}

/// The late messages of one connection, in order of arrival. None is dropped. Until they are stored, nothing
/// is written to the socket, so WhatsApp delivers again those of a process that died.
#[derive(Debug)]
pub struct LateMessages {
    queue: mpsc::UnboundedReceiver<Late>,
    unstored: Unstored,
}

impl LateMessages {
    /// Waits for messages and returns at most `most` of them; none once the connection has ended. Call
    /// [`LateMessages::stored`] when they are stored.
    pub async fn next(&mut self, most: usize) -> Vec<Late> {
        let mut some = Vec::new();
        self.queue.recv_many(&mut some, most).await;
        some
    }

    /// Reports that this many of the returned messages are stored, or never can be.
    pub fn stored(&self, count: usize) {
        self.unstored.stored(count);
    }
}

/// The sending end of [`LateMessages`].
#[derive(Debug)]
pub(super) struct LateQueue {
    queue: Mutex<Option<mpsc::UnboundedSender<Late>>>,
    unstored: Unstored,
}

impl LateQueue {
    pub(super) fn new(unstored: Unstored) -> (Self, LateMessages) {
        let (sender, queue) = mpsc::unbounded_channel();
        let late = LateMessages {
            queue,
            unstored: unstored.clone(),
        };
        let queue = Mutex::new(Some(sender));
        (Self { queue, unstored }, late)
    }

    /// Queues a message. It is called while the socket is read and must not wait.
    pub(super) fn push(&self, late: Late) {
        self.unstored.add_one();
        if let Some(queue) = self.queue.lock().as_ref() {
            // If the receiver is gone, the message stays unstored, and so unacknowledged.
            let _ = queue.send(late);
        }
    }

    /// Closes the queue: the connection has ended.
    pub(super) fn close(&self) {
        self.queue.lock().take();
    }
}

impl Connection {
    /// Converts the message. Returns `None` if it is neither to this number nor from its owner.
    pub async fn read(&self, late: &Late) -> Option<Inbound> {
        match &late.0 {
            What::Recovered(message) => listen::read(self.client(), message, self.clock())
                .await
                .map(Inbound::recovered),
            What::Unread(info, content) => {
                let nothing = wire::Read::of(content.as_ref().clone());
                listen::with_sender(self.client(), info, nothing).await
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use wacore::proto_helpers::MessageBuilderExt as _;
    use waproto::{
        buffa::Message as _,
        whatsapp::{
            Message, MessageKey,
            message::{
                PeerDataOperationRequestResponseMessage, ProtocolMessage,
                peer_data_operation_request_response_message::{
                    PeerDataOperationResult,
                    peer_data_operation_result::PlaceholderMessageResendResponse,
                },
            },
        },
    };

    use super::*;

    /// An answer of the device `device`, which gives a text that somebody said.
    fn answer(device: u16, from_me: bool) -> InboundMessage {
        let said = WebMessageInfo {
            key: MessageKey {
                remote_jid: Some("491510000002@s.whatsapp.net".to_owned()),
                from_me: Some(false),
                id: Some("3A01".to_owned()),
                ..Default::default()
            }
            .into(),
            message: Message::text("Are you open?").into(),
            message_timestamp: Some(1_800_000_000),
            ..Default::default()
        };
        let given = PlaceholderMessageResendResponse {
            web_message_info_bytes: Some(said.encode_to_vec()),
        };
        let result = PeerDataOperationResult {
            placeholder_message_resend_response: given.into(),
            ..Default::default()
        };
        let response = PeerDataOperationRequestResponseMessage {
            peer_data_operation_result: vec![result, PeerDataOperationResult::default()],
            ..Default::default()
        };
        let protocol = ProtocolMessage {
            peer_data_operation_request_response_message: response.into(),
            ..Default::default()
        };
        let mut info = MessageInfo::default();
        info.source.sender = Jid::pn_device("491510000001", device);
        info.source.is_from_me = from_me;
        let message = Message {
            protocol_message: protocol.into(),
            ..Default::default()
        };
        InboundMessage::builder()
            .message(Arc::new(message))
            .info(Arc::new(info))
            .build()
    }

    #[test]
    fn what_the_phone_gives_is_read_from_its_answer_and_from_no_other() {
        let given = given_by_phone(&answer(0, true));
        let [given] = given.as_slice() else {
            panic!("{} messages", given.len());
        };
        assert_eq!(given.message.conversation.as_deref(), Some("Are you open?"));
        let (info, source) = (&given.info, &given.info.source);
        assert_eq!(info.id, "3A01");
        assert_eq!(info.timestamp.timestamp(), 1_800_000_000);
        assert_eq!(source.chat, Jid::pn("491510000002"));
        assert_eq!(source.sender, source.chat);
        assert!(!source.is_from_me && !source.is_group);
        assert!(given_by_phone(&answer(1, true)).is_empty());
        assert!(given_by_phone(&answer(0, false)).is_empty());
    }

    #[tokio::test]
    async fn a_flood_of_late_messages_loses_none_and_the_socket_waits_for_the_last_one() {
        let unstored = Unstored::new();
        let (queue, mut late) = LateQueue::new(unstored.clone());
        let info = Arc::new(MessageInfo::default());
        for _ in 0..5000 {
            let unread = Content::Undecryptable {};
            queue.push(Late::unread(Arc::clone(&info), unread));
        }
        queue.close();
        let mut got = 0;
        loop {
            let some = late.next(100).await.len();
            if some == 0 {
                break;
            }
            assert!(unstored.none().now_or_never().is_none());
            got += some;
            late.stored(some);
        }
        assert_eq!(got, 5000);
        assert!(unstored.none().now_or_never().is_some());
        // What comes when nobody can store it any more is not acknowledged.
        queue.push(Late::unread(info, Content::Undecryptable {}));
        assert!(unstored.none().now_or_never().is_none());
    }
}

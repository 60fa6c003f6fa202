//! A linked device that could not decrypt a message asks its own phone for it (`PeerDataOperationRequestMessage`).
//! The phone answers with what it has shown.

use wacore_binary::{Jid, Server};
use waproto::buffa::{Message as _, MessageField};
use waproto::whatsapp::message::peer_data_operation_request_response_message::PeerDataOperationResult;
use waproto::whatsapp::message::peer_data_operation_request_response_message::peer_data_operation_result::PlaceholderMessageResendResponse;
use waproto::whatsapp::message::protocol_message::Type;
use waproto::whatsapp::message::{
    PeerDataOperationRequestMessage, PeerDataOperationRequestResponseMessage,
    PeerDataOperationRequestType, ProtocolMessage,
};
use waproto::whatsapp::{Message, MessageKey, WebMessageInfo};

use super::{Phone, welcome};
use crate::state::chat::Chat;

/// Returns what a device asks its phone for, if the message asks for something.
pub(super) fn asked(message: &Message) -> Option<&PeerDataOperationRequestMessage> {
    let protocol = message.protocol_message.as_option()?;
    protocol.peer_data_operation_request_message.as_option()
}

impl Phone {
    /// Answers the request with this id of one of the account's devices, if the phone has shown what it asks for.
    pub(super) fn give_again(
        &mut self,
        device: u16,
        id: &str,
        asked: &PeerDataOperationRequestMessage,
    ) {
        let keys = asked.placeholder_message_resend_request.iter();
        let keys = keys.filter_map(|one| one.message_key.as_option());
        let given: Vec<_> = keys.filter_map(|key| self.shown_under(key)).collect();
        if given.is_empty() {
            return;
        }
        let result = |bytes| PeerDataOperationResult {
            placeholder_message_resend_response: MessageField::some(
                PlaceholderMessageResendResponse {
                    web_message_info_bytes: Some(bytes),
                },
            ),
            ..Default::default()
        };
        let response = PeerDataOperationRequestResponseMessage {
            peer_data_operation_request_type: Some(
                PeerDataOperationRequestType::PLACEHOLDER_MESSAGE_RESEND,
            ),
            stanza_id: Some(id.to_owned()),
            peer_data_operation_result: given.into_iter().map(result).collect(),
        };
        let answer = ProtocolMessage {
            r#type: Some(Type::PEER_DATA_OPERATION_REQUEST_RESPONSE_MESSAGE),
            peer_data_operation_request_response_message: MessageField::some(response),
            ..Default::default()
        };
        welcome::send(self, device, answer);
    }

    /// Returns a shown message of a chat of two, as a phone gives it to a device: chats are named by phone number.
    fn shown_under(&self, key: &MessageKey) -> Option<Vec<u8>> {
        let chat: Jid = key.remote_jid.as_deref()?.parse().ok()?;
        let (pn, jid) = {
            let state = self.world.state();
            let pn = state.pn(&chat)?;
            let jid = state.accounts.get(&pn)?.jid(Server::Pn, 0);
            (pn, jid)
        };
        let shown = self.screen.find(&Chat::With(pn), key.id.as_deref()?)?;
        let given = WebMessageInfo {
            key: MessageKey {
                remote_jid: Some(jid.to_string()),
                from_me: Some(shown.sender == self.own.pn),
                id: key.id.clone(),
                ..Default::default()
            }
            .into(),
            message: MessageField::some(shown.original.clone()),
            message_timestamp: Some(shown.at_ms / 1000),
            ..Default::default()
        };
        Some(given.encode_to_vec())
    }
}

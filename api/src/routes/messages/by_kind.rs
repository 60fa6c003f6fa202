//! One route for each kind of message. The path names the session and the kind, so the body does not.

use passerelle_jobs::{Services, ids::SessionId};
use poem::{Request, web::Data};
use poem_openapi::{
    OpenApi,
    param::{Header, Path},
    payload::Response,
};

use super::{
    request::{
        AudioMessage, ContactsMessage, DeleteMessage, DocumentMessage, EditMessage, ImageMessage,
        LocationMessage, NewMessage, PollMessage, ReactionMessage, StickerMessage, TextMessage,
        VideoMessage, VoiceMessage,
    },
    response::Message,
    send,
};
use crate::{
    auth::Caller,
    body::{Accepted, Body},
    problem::Problem,
    routes::Group,
    types::Id,
};

macro_rules! by_kind {
    ($($(#[$doc:meta])* $name:ident $operation:literal $path:literal $body:ty;)*) => {
        /// Messages, one route for each kind.
        pub struct MessagesByKind;

        #[OpenApi(prefix_path = "/v1/sessions", tag = "Group::Messages")]
        impl MessagesByKind {
            $($(#[$doc])*
            #[oai(path = $path, method = "post", operation_id = $operation)]
            async fn $name(
                &self,
                caller: Caller,
                services: Data<&Services>,
                /// The session that sends the message.
                id: Path<Id<SessionId>>,
                /// 1 to 255 printable ASCII characters, different for each message.
                #[oai(name = "Idempotency-Key")]
                _key: Header<Option<String>>,
                request: &Request,
                body: Body<$body>,
            ) -> Result<Response<Accepted<Message>>, Problem> {
                let new: NewMessage = body.0.through(id.0);
                send(&services, caller, request, new).await
            })*
        }
    };
}

by_kind! {
    /// Send a text to a person or a group.
    send_text "send_text" "/:id/messages/text" TextMessage;
    /// Send an image to a person or a group.
    send_image "send_image" "/:id/messages/image" ImageMessage;
    /// Send a video to a person or a group.
    send_video "send_video" "/:id/messages/video" VideoMessage;
    /// Send an audio file to a person or a group.
    send_audio "send_audio" "/:id/messages/audio" AudioMessage;
    /// Send a voice note to a person or a group.
    send_voice "send_voice" "/:id/messages/voice" VoiceMessage;
    /// Send any file to a person or a group.
    send_document "send_document" "/:id/messages/document" DocumentMessage;
    /// Send a sticker to a person or a group.
    send_sticker "send_sticker" "/:id/messages/sticker" StickerMessage;
    /// Send a location to a person or a group.
    send_location "send_location" "/:id/messages/location" LocationMessage;
    /// Send contact cards to a person or a group.
    send_contacts "send_contacts" "/:id/messages/contacts" ContactsMessage;
    /// Send a poll to a person or a group. Each vote is an event `message.poll_vote`.
    send_poll "send_poll" "/:id/messages/poll" PollMessage;
    /// React to a message with an emoji, or remove the reaction.
    send_reaction "send_reaction" "/:id/messages/reaction" ReactionMessage;
    /// Edit a text that you sent.
    send_edit "send_edit" "/:id/messages/edit" EditMessage;
    /// Delete a message that you sent, for everyone.
    send_delete "send_delete" "/:id/messages/delete" DeleteMessage;
}

//! One route for each kind, through the session in the path: [`NewMessage`] without what the path says.

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
        /// Messages, a route for each kind.
        pub struct MessagesByKind;

        #[OpenApi(prefix_path = "/v1/sessions", tag = "Group::Messages")]
        impl MessagesByKind {
            $($(#[$doc])*
            #[oai(path = $path, method = "post", operation_id = $operation)]
            async fn $name(
                &self,
                caller: Caller,
                services: Data<&Services>,
                /// Through which session.
                id: Path<Id<SessionId>>,
                /// 1 to 255 printable ASCII characters, new for each message.
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
    /// Send a text to one person.
    send_text "send_text" "/:id/messages/text" TextMessage;
    /// Send a picture to one person.
    send_image "send_image" "/:id/messages/image" ImageMessage;
    /// Send a film to one person.
    send_video "send_video" "/:id/messages/video" VideoMessage;
    /// Send a recording to one person, as a file that plays.
    send_audio "send_audio" "/:id/messages/audio" AudioMessage;
    /// Send a voice note to one person.
    send_voice "send_voice" "/:id/messages/voice" VoiceMessage;
    /// Send any file to one person.
    send_document "send_document" "/:id/messages/document" DocumentMessage;
    /// Send a sticker to one person.
    send_sticker "send_sticker" "/:id/messages/sticker" StickerMessage;
    /// Send a place on the map to one person.
    send_location "send_location" "/:id/messages/location" LocationMessage;
    /// Send contact cards to one person.
    send_contacts "send_contacts" "/:id/messages/contacts" ContactsMessage;
    /// Send a poll to one person. Their votes come in as `message.poll_vote`.
    send_poll "send_poll" "/:id/messages/poll" PollMessage;
    /// Put an emoji under a message, or take it back.
    send_reaction "send_reaction" "/:id/messages/reaction" ReactionMessage;
    /// Edit a text that was sent.
    send_edit "send_edit" "/:id/messages/edit" EditMessage;
    /// Delete a message that was sent, for everybody.
    send_delete "send_delete" "/:id/messages/delete" DeleteMessage;
}

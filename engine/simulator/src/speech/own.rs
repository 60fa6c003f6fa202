//! Shows a phone's messages on its own screen and records them in the ledger.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use waproto::whatsapp::Message;

use crate::phone::Phone;
use crate::phone::outgoing::Outgoing;
use crate::reading;
use crate::state::address::{Pn, plus};
use crate::state::chat::Chat;
use crate::state::ledger::EntryKind;
use crate::state::screen::ScreenMessage;
use crate::state::view::{Media, View};

impl Phone {
    /// Shows a message that this phone sent and records it.
    pub(super) fn show_own(
        &mut self,
        chat: &Chat,
        out: &Outgoing,
        voted: Option<Vec<String>>,
        media: Option<&Value>,
    ) {
        let Some(mut view) = reading::read(&out.message) else {
            return;
        };
        view.options = voted;
        view.media = media.map(said_media);
        self.replace_addresses(&mut view);
        let own = Arc::clone(&self.own.pn);
        self.on_screen(chat, &own, &out.id, &mut view, &out.message);
        self.record(EntryKind::Said, &self.own, chat, &out.id, Some(view));
    }

    /// Shows a message on the screen, or applies its change to another message there.
    pub(crate) fn on_screen(
        &mut self,
        chat: &Chat,
        sender: &Pn,
        id: &str,
        view: &mut View,
        original: &Message,
    ) {
        if view.target.is_some() {
            let admin = self.is_admin(chat, sender);
            let applied = self.screen.apply(chat, &plus(sender), view, admin);
            view.applied = Some(applied);
            return;
        }
        self.screen.show(ScreenMessage {
            id: id.to_owned(),
            chat: chat.clone(),
            sender: Arc::clone(sender),
            from: plus(sender),
            at_ms: self.world.clock.millis(),
            message: view.clone(),
            original: original.clone(),
            edited: false,
            deleted: false,
            reactions: BTreeMap::new(),
            votes: BTreeMap::new(),
        });
    }
}

fn said_media(media: &Value) -> Media {
    let text = |key: &str| media[key].as_str().map(str::to_owned);
    Media {
        direct_path: text("direct_path"),
        sha256: text("sha256"),
        enc_sha256: text("enc_sha256"),
        length: media["length"].as_u64(),
        undecryptable: None,
    }
}

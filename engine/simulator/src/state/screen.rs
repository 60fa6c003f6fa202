//! A phone's screen: the messages that it shows, with their edits, deletions, reactions and votes.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;
use waproto::whatsapp::Message;

use super::address::Pn;
use super::chat::Chat;
use super::view::View;

/// How many messages a phone keeps on its screen. The oldest is dropped first.
const MESSAGES: usize = 1000;

/// A message on the screen.
#[derive(Clone, Serialize)]
pub(crate) struct ScreenMessage {
    pub(crate) id: String,
    #[serde(skip)]
    pub(crate) chat: Chat,
    #[serde(skip)]
    pub(crate) sender: Pn,
    /// The author: `+` and digits.
    pub(crate) from: String,
    pub(crate) at_ms: u64,
    /// The message with all its edits.
    pub(crate) message: View,
    #[serde(skip)]
    pub(crate) original: Message,
    pub(crate) edited: bool,
    pub(crate) deleted: bool,
    /// Emoji by phone number.
    pub(crate) reactions: BTreeMap<String, String>,
    /// Chosen options by phone number, for a poll.
    pub(crate) votes: BTreeMap<String, Vec<String>>,
}

/// All chats of a phone.
#[derive(Default)]
pub(crate) struct Screen {
    messages: VecDeque<ScreenMessage>,
}

impl Screen {
    /// Shows a new message.
    pub(crate) fn show(&mut self, message: ScreenMessage) {
        if self.messages.len() == MESSAGES {
            self.messages.pop_front();
        }
        self.messages.push_back(message);
    }

    /// Returns a message of a chat.
    pub(crate) fn find(&self, chat: &Chat, id: &str) -> Option<&ScreenMessage> {
        let mut newest_first = self.messages.iter().rev();
        newest_first.find(|shown| shown.id == id && shown.chat == *chat)
    }

    /// Returns the message with this id in any chat.
    pub(crate) fn anywhere(&self, id: &str) -> Option<&ScreenMessage> {
        self.messages.iter().rev().find(|shown| shown.id == id)
    }

    /// Returns the messages of a chat, oldest first.
    pub(crate) fn chat(&self, chat: &Chat) -> Vec<ScreenMessage> {
        let messages = self.messages.iter();
        messages
            .filter(|shown| shown.chat == *chat)
            .cloned()
            .collect()
    }

    /// Applies a change as an official app does: the author may edit, the author or an `admin` may
    /// delete, everyone may react and vote. Returns `false` if nothing changed.
    pub(crate) fn apply(&mut self, chat: &Chat, from: &str, change: &View, admin: bool) -> bool {
        let Some(id) = change.target.as_deref() else {
            return false;
        };
        let mut newest_first = self.messages.iter_mut().rev();
        let target = newest_first.find(|shown| shown.id == id && shown.chat == *chat);
        target.is_some_and(|target| target.change(from, change, admin))
    }
}

impl ScreenMessage {
    fn change(&mut self, from: &str, change: &View, admin: bool) -> bool {
        let author = self.from == from;
        match change.kind {
            "edit" if author && !self.deleted => self.edit(change.text.clone()),
            "revoke" if author || admin => {
                self.deleted = true;
                self.message = View {
                    kind: self.message.kind,
                    ..View::default()
                };
            }
            "reaction" => match change.text.as_deref() {
                None | Some("") => {
                    self.reactions.remove(from);
                }
                Some(emoji) => {
                    self.reactions.insert(from.to_owned(), emoji.to_owned());
                }
            },
            "poll_vote" => {
                let Some(options) = &change.options else {
                    return false;
                };
                self.votes.insert(from.to_owned(), options.clone());
            }
            _ => return false,
        }
        true
    }

    fn edit(&mut self, text: Option<String>) {
        self.edited = true;
        if self.message.kind == "text" {
            self.message.text = text;
        } else {
            self.message.caption = text;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn screen() -> (Screen, Chat) {
        let chat = Chat::With("1".into());
        let mut screen = Screen::default();
        screen.show(ScreenMessage {
            id: "A".to_owned(),
            chat: chat.clone(),
            sender: "1".into(),
            from: "+1".to_owned(),
            at_ms: 0,
            message: View {
                kind: "text",
                text: Some("before".to_owned()),
                ..View::default()
            },
            original: Message::default(),
            edited: false,
            deleted: false,
            reactions: BTreeMap::new(),
            votes: BTreeMap::new(),
        });
        (screen, chat)
    }

    fn change(kind: &'static str, target: &str, text: &str) -> View {
        View {
            kind,
            target: Some(target.to_owned()),
            text: Some(text.to_owned()),
            ..View::default()
        }
    }

    #[test]
    fn only_the_author_edits_and_deletes() {
        let (mut screen, chat) = screen();
        assert!(!screen.apply(&chat, "+2", &change("edit", "A", "after"), false));
        assert!(!screen.apply(&chat, "+2", &change("revoke", "A", ""), false));
        assert!(!screen.apply(&chat, "+1", &change("edit", "B", "after"), false));
        assert!(screen.apply(&chat, "+1", &change("edit", "A", "after"), false));
        let shown = screen.find(&chat, "A").unwrap();
        assert_eq!(
            (shown.message.text.as_deref(), shown.edited),
            (Some("after"), true)
        );
        assert!(screen.apply(&chat, "+1", &change("revoke", "A", ""), false));
        let shown = screen.find(&chat, "A").unwrap();
        assert_eq!((shown.message.text.as_deref(), shown.deleted), (None, true));
    }

    #[test]
    fn a_reaction_attaches_changes_and_goes() {
        let (mut screen, chat) = screen();
        for (emoji, left) in [("👍", Some("👍")), ("🎉", Some("🎉")), ("", None)] {
            assert!(screen.apply(&chat, "+2", &change("reaction", "A", emoji), false));
            let shown = screen.find(&chat, "A").unwrap();
            assert_eq!(shown.reactions.get("+2").map(String::as_str), left);
        }
    }
}

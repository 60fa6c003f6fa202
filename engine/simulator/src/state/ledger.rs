//! The ledger: what reached the server and what phones showed, in order and with times. Tests use
//! it to check gaps, order and duplicates.

use std::collections::VecDeque;

use parking_lot::{Mutex, MutexGuard};
use serde::{Deserialize, Serialize};

use super::view::View;

/// The default number of entries. Older ones are dropped, and their numbers are never reused.
pub const LEDGER_ENTRIES: usize = 100_000;

/// What an entry is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum EntryKind {
    /// A message frame of a linked device was read from the socket.
    Sent,
    /// A phone decrypted a message and showed it.
    Shown,
    /// A phone decrypted a message that it has shown before, and did not show it again.
    Repeat,
    /// A phone could not decrypt a message and asked for it again.
    Unreadable,
    /// A scripted phone sent a message.
    Said,
    /// A receipt reached the server. `type` says which kind.
    Receipt,
    /// A typing notice of a linked device reached the server. `type` is composing, recording or
    /// paused.
    Chatstate,
    /// The presence of a linked device reached the server. `type` is available or unavailable.
    Presence,
    /// A device said something about a call, and it reached the server. `type` is offer, accept, reject or
    /// terminate.
    Call,
    /// What a device said about a call reached a phone. `type` is the same.
    Heard,
}

/// One entry of the ledger.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Entry {
    /// The number of the entry. Numbers start at 1 and have no gaps.
    pub(crate) n: u64,
    /// Milliseconds since the Unix epoch.
    pub(crate) at_ms: u64,
    /// Monotonic microseconds since the simulator started. For frames: when they were read.
    pub(crate) wire_us: u64,
    /// What happened.
    pub(crate) kind: EntryKind,
    /// Phone number of the sender: `+` and digits.
    pub(crate) from: String,
    /// The sender's device. 0 is the phone.
    pub(crate) device: u16,
    /// Phone number of the recipient, or the address itself if no phone has it.
    pub(crate) to: String,
    /// WhatsApp message id.
    pub(crate) id: String,
    /// The text, if a phone could read it.
    pub(crate) text: Option<String>,
    /// For what was said or shown: the message's kind. Otherwise: the type of the stanza, receipt
    /// or typing notice.
    #[serde(rename = "type")]
    pub(crate) subtype: String,
    /// Whether a frame carried the privacy token that its recipient gave the sender's account.
    pub(crate) token: bool,
    /// Whether a frame answers a phone that could not decrypt the message and asked for it again.
    pub(crate) retry: bool,
    /// What was said or shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) message: Option<Box<View>>,
    /// The group of the message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) group: Option<String>,
}

/// When a frame was read from the socket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FrameTime {
    pub(crate) at_ms: u64,
    pub(crate) wire_us: u64,
}

/// The optional fields of an entry.
#[derive(Default)]
pub(crate) struct EntryDetails<'a> {
    pub(crate) id: &'a str,
    pub(crate) text: Option<String>,
    pub(crate) subtype: &'a str,
    pub(crate) read: Option<FrameTime>,
    pub(crate) token: bool,
    pub(crate) retry: bool,
    pub(crate) message: Option<Box<View>>,
    pub(crate) group: Option<String>,
}

#[derive(Default)]
struct KeptEntries {
    entries: VecDeque<Entry>,
    last: u64,
}

/// A bounded, append-only list of entries.
pub(crate) struct Ledger {
    kept: Mutex<KeptEntries>,
    most: usize,
}

/// A page of entries.
pub(crate) struct LedgerPage {
    pub(crate) entries: Vec<Entry>,
    /// Pass this as `after` to get the next page.
    pub(crate) next: u64,
    /// Entries up to this number have been dropped.
    pub(crate) forgotten: u64,
}

impl Ledger {
    /// Returns a ledger that keeps the newest `most` entries.
    pub(crate) fn of(most: usize) -> Self {
        Self {
            kept: Mutex::default(),
            most: most.max(1),
        }
    }

    /// Appends an entry and sets its number.
    pub(crate) fn write(&self, mut entry: Entry) {
        let mut kept = self.kept();
        kept.last += 1;
        entry.n = kept.last;
        if kept.entries.len() == self.most {
            kept.entries.pop_front();
        }
        kept.entries.push_back(entry);
    }

    /// Returns up to `limit` entries numbered above `after` that `wanted` accepts.
    pub(crate) fn read(
        &self,
        after: u64,
        limit: usize,
        wanted: impl Fn(&Entry) -> bool,
    ) -> LedgerPage {
        let kept = self.kept();
        let first = kept.entries.front().map_or(1, |entry| entry.n);
        let skip =
            usize::try_from(after.saturating_add(1).saturating_sub(first)).unwrap_or(usize::MAX);
        let mut found: Vec<Entry> = Vec::new();
        let mut next = kept.last.max(after);
        for entry in kept.entries.iter().skip(skip) {
            if !wanted(entry) {
                continue;
            }
            if found.len() == limit {
                next = found.last().map_or(after, |entry| entry.n);
                break;
            }
            found.push(entry.clone());
        }
        LedgerPage {
            entries: found,
            next,
            forgotten: first - 1,
        }
    }

    fn kept(&self) -> MutexGuard<'_, KeptEntries> {
        self.kept.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(kind: EntryKind) -> Entry {
        Entry {
            n: 0,
            at_ms: 0,
            wire_us: 0,
            kind,
            from: "+1".into(),
            device: 0,
            to: "+2".into(),
            id: "A".into(),
            text: None,
            subtype: String::new(),
            token: false,
            retry: false,
            message: None,
            group: None,
        }
    }

    #[test]
    fn reading_on_from_next_misses_and_repeats_nothing() {
        let ledger = Ledger::of(LEDGER_ENTRIES);
        for n in 0..10 {
            ledger.write(entry(if n % 2 == 0 {
                EntryKind::Sent
            } else {
                EntryKind::Shown
            }));
        }
        let (mut seen, mut after) = (Vec::new(), 0);
        for _ in 0..4 {
            let page = ledger.read(after, 2, |entry| entry.kind == EntryKind::Sent);
            seen.extend(page.entries.iter().map(|entry| entry.n));
            after = page.next;
        }
        assert_eq!(seen, [1, 3, 5, 7, 9]);
        assert_eq!(after, 10);
        ledger.write(entry(EntryKind::Sent));
        assert_eq!(ledger.read(after, 2, |_| true).entries[0].n, 11);
    }

    #[test]
    fn the_oldest_entries_make_room_and_numbers_go_on() {
        let ledger = Ledger::of(10);
        for _ in 0..10 {
            ledger.write(entry(EntryKind::Sent));
        }
        assert_eq!(ledger.read(0, 1, |_| true).forgotten, 0);
        for _ in 0..5 {
            ledger.write(entry(EntryKind::Sent));
        }
        let page = ledger.read(0, 1, |_| true);
        assert_eq!((page.entries[0].n, page.forgotten), (6, 5));
    }
}

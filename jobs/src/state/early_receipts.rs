//! Receipts that came before their message was stored. What the number's owner writes on the phone comes to this
//! device and to the other side at the same time, so a receipt of it may be faster.

use std::{collections::VecDeque, time::Duration};

use parking_lot::Mutex;
use passerelle_engine::whatsapp::event::Receipt;
use tokio::time::Instant;

/// The most receipts that a session keeps; the oldest are dropped first.
const MOST: usize = 256;
/// How long a receipt is kept. One whose message never comes is of a message from before the session was linked.
const KEPT: Duration = Duration::from_mins(5);

/// The early receipts of one session.
#[derive(Default)]
pub(crate) struct EarlyReceipts(Mutex<VecDeque<Early>>);

struct Early {
    wa_id: String,
    receipt: Receipt,
    came_at: Instant,
}

impl EarlyReceipts {
    /// Keeps a receipt of these messages. It is kept before the store is asked for the messages: a message that is
    /// stored in between finds the receipt here.
    pub(crate) fn keep(&self, wa_ids: &[String], receipt: &Receipt, now: Instant) {
        let mut kept = self.0.lock();
        let is_old = |early: &Early| now.saturating_duration_since(early.came_at) >= KEPT;
        while kept.front().is_some_and(is_old) {
            kept.pop_front();
        }
        kept.extend(wa_ids.iter().map(|wa_id| Early {
            wa_id: wa_id.clone(),
            receipt: receipt.clone(),
            came_at: now,
        }));
        let most = kept.len().saturating_sub(MOST);
        kept.drain(..most);
    }

    /// Returns the receipts of a message, in their order.
    pub(crate) fn of(&self, wa_id: &str) -> Vec<Receipt> {
        let kept = self.0.lock();
        let of = kept.iter().filter(|early| early.wa_id == wa_id);
        of.map(|early| early.receipt.clone()).collect()
    }

    /// Forgets the receipts of messages that are stored.
    pub(crate) fn forget(&self, wa_ids: &[String]) {
        self.0.lock().retain(|early| !wa_ids.contains(&early.wa_id));
    }
}

#[cfg(test)]
mod tests {
    use passerelle_engine::whatsapp::event::ReceiptKind;

    use super::*;

    fn receipt(at: i64) -> Receipt {
        Receipt {
            kind: ReceiptKind::Read,
            at,
            member: None,
        }
    }

    fn ids(some: impl IntoIterator<Item = usize>) -> Vec<String> {
        some.into_iter().map(|id| id.to_string()).collect()
    }

    #[test]
    fn a_receipt_is_kept_until_its_message_is_stored_or_some_minutes_are_over() {
        let (early, now) = (EarlyReceipts::default(), Instant::now());
        early.keep(&ids([1, 2]), &receipt(1), now);
        early.keep(&ids([1]), &receipt(2), now);
        assert_eq!(early.of("1"), [receipt(1), receipt(2)]);
        early.forget(&ids([1]));
        assert_eq!((early.of("1").len(), early.of("2").len()), (0, 1));
        early.keep(&ids([3]), &receipt(3), now + KEPT);
        assert_eq!((early.of("2").len(), early.of("3").len()), (0, 1));
    }

    #[test]
    fn no_more_than_so_many_receipts_are_kept() {
        let (early, now) = (EarlyReceipts::default(), Instant::now());
        early.keep(&ids(0..MOST), &receipt(1), now);
        early.keep(&ids(MOST..MOST + 2), &receipt(1), now);
        let kept = (0..MOST + 2).filter(|id| !early.of(&id.to_string()).is_empty());
        assert_eq!(kept.collect::<Vec<_>>(), (2..MOST + 2).collect::<Vec<_>>());
        early.keep(&ids(0..3 * MOST), &receipt(1), now);
        assert_eq!(early.0.lock().len(), MOST);
    }
}

//! What a recipient did with a message.

use passerelle_engine::{
    clock::Millis,
    content::Peer,
    ids::{ContactId, ReceiptId},
};

use super::contact::Called;

/// The most members of a group, this number included, of which the gateway keeps what each one did.
pub const MEMBERS_MAX: i64 = 256;

/// What one person did with a message, and when.
#[derive(Debug, Clone)]
pub struct Receipt {
    /// The row's id; `None` if the message went to this person alone.
    pub id: Option<ReceiptId>,
    /// The contact, if there is one.
    pub contact: Option<ContactId>,
    /// The person's phone and LID, as far as they are known.
    pub peer: Peer,
    /// What the person is called.
    pub called: Called,
    /// A phone of theirs got it.
    pub delivered_at: Option<Millis>,
    /// It was shown.
    pub read_at: Option<Millis>,
    /// It was played.
    pub played_at: Option<Millis>,
}

//! What WhatsApp's answers mean for a message.

use passerelle_engine::whatsapp::{NOT_IN_GROUP, event::ReceiptKind};

use crate::model::{Message, Status};

/// Returns the stable code of a refusal by WhatsApp's server. A group that does not exist any more or that
/// this number is not in has its own code; the same code is used when this is known before sending.
pub(crate) fn refusal(message: &Message, code: u16) -> String {
    match code {
        401 | 403 | 404 if message.group.is_some() => NOT_IN_GROUP.to_owned(),
        _ => format!("whatsapp_{code}"),
    }
}

/// Returns the status that a receipt means.
pub(crate) fn of_receipt(kind: ReceiptKind) -> Status {
    match kind {
        ReceiptKind::Delivered => Status::Delivered,
        ReceiptKind::Read => Status::Read,
        ReceiptKind::Played => Status::Played,
    }
}

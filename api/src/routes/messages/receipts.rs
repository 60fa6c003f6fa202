//! Who has a message: the answer of its receipts.

use passerelle_jobs::model;
use poem_openapi::Object;
use serde::Serialize;

use crate::{
    list::{List, UnreadableRow},
    types::Timestamp,
};

/// A person whose phone has the message.
#[derive(Debug, Serialize, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct Receipt {
    /// Always `receipt`.
    pub object: String,
    /// The contact. Absent if the person is a member of a group whom no message of yours went to or came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contact_id: Option<String>,
    /// The name to show: yours, or the one that the person chose.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The phone number in E.164, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// WhatsApp's own id of the person (LID), if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lid: Option<String>,
    /// When a phone of the person got the message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivered_at: Option<Timestamp>,
    /// When it was read. Absent if the person's settings hide that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_at: Option<Timestamp>,
    /// When a voice message or a video was played.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub played_at: Option<Timestamp>,
}

impl From<model::receipt::Receipt> for Receipt {
    fn from(receipt: model::receipt::Receipt) -> Self {
        let phone = receipt.peer.phone.as_ref();
        Self {
            object: "receipt".to_owned(),
            contact_id: receipt.contact.map(|id| id.to_string()),
            name: receipt.called.name().map(str::to_owned),
            phone: phone.map(|phone| phone.as_str().to_owned()),
            lid: receipt.peer.lid,
            delivered_at: receipt.delivered_at.map(Timestamp),
            read_at: receipt.read_at.map(Timestamp),
            played_at: receipt.played_at.map(Timestamp),
        }
    }
}

/// A page of people who have the message.
#[derive(Debug, Serialize, Object)]
pub struct ReceiptList {
    /// The people, the one whose first receipt is the newest first.
    pub data: Vec<Receipt>,
    /// The items of this page that cannot be read. They are not in `data`, but count as part of the
    /// page. Absent if there are none.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<Vec<UnreadableRow>>,
    /// Whether there are older items.
    pub has_more: bool,
    /// The `cursor` of the next page, if there is one.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
    /// Whether it is kept who has the message. False for a message to a group with more than 256 members; then
    /// `data` is empty.
    pub per_member: bool,
}

impl List for ReceiptList {
    type Item = Receipt;

    fn of(
        data: Vec<Receipt>,
        unreadable: Option<Vec<UnreadableRow>>,
        has_more: bool,
        next_cursor: Option<String>,
    ) -> Self {
        Self {
            data,
            unreadable,
            has_more,
            next_cursor,
            per_member: true,
        }
    }
}

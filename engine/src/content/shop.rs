//! Orders and products of a shop.

use serde::{Deserialize, Serialize};

/// An order that a person placed from a catalogue.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// WhatsApp's id of it.
    pub order_id: String,
    /// What it is called.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub title: Option<String>,
    /// What the person wrote with it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub text: Option<String>,
    /// How many items it has.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub item_count: Option<u32>,
    /// `inquiry`, `accepted` or `declined`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub status: Option<String>,
    /// The sum, in thousandths of the currency.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub total_amount_1000: Option<i64>,
    /// The currency, such as `EUR`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub currency: Option<String>,
}

/// A product, or a whole catalogue.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Product {
    /// WhatsApp's id of it. Absent for a catalogue.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub product_id: Option<String>,
    /// The shop's own id of it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub retailer_id: Option<String>,
    /// What it is called.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub title: Option<String>,
    /// What the shop writes about it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub description: Option<String>,
    /// What the sender wrote with it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub text: Option<String>,
    /// The line below it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub footer: Option<String>,
    /// The price, in thousandths of the currency.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub price_amount_1000: Option<i64>,
    /// The price in a sale, in thousandths of the currency.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sale_price_amount_1000: Option<i64>,
    /// The currency, such as `EUR`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub currency: Option<String>,
    /// Its page.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub url: Option<String>,
}

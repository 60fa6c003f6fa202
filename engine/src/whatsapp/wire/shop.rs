//! Orders and products.

use whatsapp_rust::{
    buffa::Enumeration as _,
    waproto::whatsapp::{
        Message,
        message::{OrderMessage, ProductMessage},
    },
};

use super::text::limited;
use crate::content::{Content, Order, Product};

/// Maximum length of a text, in bytes.
const MAX: usize = 8192;

/// Reads an order or a product. Returns `None` if there is none, or nothing that identifies it.
pub(super) fn read(message: &Message) -> Option<Content> {
    if let Some(message) = message.order_message.as_option() {
        return order(message).map(Content::Order);
    }
    product(message.product_message.as_option()?).map(Content::Product)
}

fn order(message: &OrderMessage) -> Option<Order> {
    Some(Order {
        order_id: limited(message.order_id.as_ref(), MAX)?,
        title: limited(message.order_title.as_ref(), MAX),
        text: limited(message.message.as_ref(), MAX),
        item_count: message
            .item_count
            .and_then(|count| u32::try_from(count).ok()),
        status: message
            .status
            .map(|status| status.proto_name().to_ascii_lowercase()),
        total_amount_1000: message.total_amount1000,
        currency: limited(message.total_currency_code.as_ref(), MAX),
    })
}

fn product(message: &ProductMessage) -> Option<Product> {
    let words = Product {
        text: limited(message.body.as_ref(), MAX),
        footer: limited(message.footer.as_ref(), MAX),
        ..Product::default()
    };
    if let Some(product) = message.product.as_option() {
        return Some(Product {
            product_id: Some(limited(product.product_id.as_ref(), MAX)?),
            retailer_id: limited(product.retailer_id.as_ref(), MAX),
            title: limited(product.title.as_ref(), MAX),
            description: limited(product.description.as_ref(), MAX),
            price_amount_1000: product.price_amount1000,
            sale_price_amount_1000: product.sale_price_amount1000,
            currency: limited(product.currency_code.as_ref(), MAX),
            url: limited(product.url.as_ref(), MAX),
            ..words
        });
    }
    let catalog = message.catalog.as_option()?;
    Some(Product {
        title: Some(limited(catalog.title.as_ref(), MAX)?),
        description: limited(catalog.description.as_ref(), MAX),
        ..words
    })
}

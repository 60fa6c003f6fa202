//! What a message can carry that only comes in, and what is beside it.

use poem_openapi::Object;
use poem_openapi::types::Any;
use serde_json::Value;

/// A location.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct Location {
    /// Degrees north, -90 to 90.
    pub latitude: f64,
    /// Degrees east, -180 to 180.
    pub longitude: f64,
    /// The name of the place.
    pub name: Option<String>,
    /// The address of the place.
    pub address: Option<String>,
    /// What the sender wrote below it.
    pub caption: Option<String>,
    /// Whether it is where the sender is now; absent if not. When they move, further messages of this type come.
    pub live: Option<bool>,
    /// The number of a live location. A later one of the same sender is higher.
    pub sequence: Option<i64>,
    /// How exact it is, in metres.
    pub accuracy: Option<u32>,
}

/// A button that was tapped, or a row that was chosen from a list. `reply_to` names the message that offered it.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct Tap {
    /// The id that the business gave it. Absent if the answer is a form that was filled in.
    pub id: Option<String>,
    /// The words on it.
    pub title: String,
    /// The words below the title of a row.
    pub description: Option<String>,
    /// What else the answer has: the fields of a form.
    pub params: Option<Any<Value>>,
}

/// An order from a catalogue.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct Order {
    /// WhatsApp's id of the order.
    pub order_id: String,
    /// The title.
    pub title: Option<String>,
    /// What the sender wrote with it.
    pub text: Option<String>,
    /// The number of items.
    pub item_count: Option<u32>,
    /// `inquiry`, `accepted` or `declined`.
    pub status: Option<String>,
    /// The sum, in thousandths of the currency.
    pub total_amount_1000: Option<i64>,
    /// The currency, such as `EUR`.
    pub currency: Option<String>,
}

/// A product, or a catalogue.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct Product {
    /// WhatsApp's id of the product. Absent for a catalogue.
    pub product_id: Option<String>,
    /// The shop's own id of the product.
    pub retailer_id: Option<String>,
    /// The title.
    pub title: Option<String>,
    /// The description.
    pub description: Option<String>,
    /// What the sender wrote with it.
    pub text: Option<String>,
    /// The line below it.
    pub footer: Option<String>,
    /// The price, in thousandths of the currency.
    pub price_amount_1000: Option<i64>,
    /// The price in a sale, in thousandths of the currency.
    pub sale_price_amount_1000: Option<i64>,
    /// The currency, such as `EUR`.
    pub currency: Option<String>,
    /// The page of the product.
    pub url: Option<String>,
}

/// The announcement of an album. Its images and videos are messages of their own, whose `album_id` is the
/// `wa_message_id` of this message.
#[derive(Debug, Object)]
pub struct Album {
    /// The number of images.
    pub images: u32,
    /// The number of videos.
    pub videos: u32,
}

/// A message of a kind that this version does not support.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct Unsupported {
    /// WhatsApp's name of the kind, such as `eventMessage`. `unknown` if WhatsApp added it after this version.
    pub kind: String,
    /// What can be read of it.
    pub text: Option<String>,
}

/// The advertisement or post that led the sender to write. The fields are as WhatsApp gives them.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct Referral {
    /// `ad` or `post`.
    pub source_type: Option<String>,
    /// The id of the advertisement.
    pub source_id: Option<String>,
    /// The URL of the advertisement.
    pub source_url: Option<String>,
    /// The app that showed it, such as `facebook`.
    pub source_app: Option<String>,
    /// The headline.
    pub headline: Option<String>,
    /// The text.
    pub body: Option<String>,
    /// `image` or `video`.
    pub media_type: Option<String>,
    /// The URL of the image or video.
    pub media_url: Option<String>,
    /// The URL of a small image.
    pub thumbnail_url: Option<String>,
    /// The id of the click, for Meta's Conversions API.
    pub ctwa_clid: Option<String>,
    /// What the advertiser attached.
    #[oai(rename = "ref")]
    pub attached: Option<String>,
    /// The greeting that WhatsApp showed in the name of the business.
    pub greeting: Option<String>,
}

/// The earlier message that a message belongs to.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct PartOf {
    /// WhatsApp's name of the relation, such as `hd_image_dual_upload`: the same image in a better quality.
    #[oai(rename = "type")]
    pub kind: String,
    /// WhatsApp's id of the earlier message.
    pub wa_message_id: String,
    /// The place in it, from 0.
    pub position: Option<u32>,
}

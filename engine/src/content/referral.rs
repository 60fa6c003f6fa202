//! The advertisement that led a person to write.

use serde::{Deserialize, Serialize};

/// An advertisement or post that a message answers. Every field is as WhatsApp gives it.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Referral {
    /// `ad` or `post`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub source_type: Option<String>,
    /// The id of the advertisement.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub source_id: Option<String>,
    /// The address of the advertisement.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub source_url: Option<String>,
    /// The app that showed it, such as `facebook`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub source_app: Option<String>,
    /// Its headline.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub headline: Option<String>,
    /// Its text.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub body: Option<String>,
    /// `image` or `video`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub media_type: Option<String>,
    /// The address of its image or video.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub media_url: Option<String>,
    /// The address of a small image of it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub thumbnail_url: Option<String>,
    /// The id of the click.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ctwa_clid: Option<String>,
    /// What the advertiser attached to it.
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none", default)]
    pub attached: Option<String>,
    /// The greeting that WhatsApp showed in the business's name.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub greeting: Option<String>,
}

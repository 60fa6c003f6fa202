//! Contents that stand alone: a location, contact cards, a poll, an album.

use serde::{Deserialize, Serialize};

/// A place on the map.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Location {
    /// Degrees north, -90 to 90.
    pub latitude: f64,
    /// Degrees east, -180 to 180.
    pub longitude: f64,
    /// Name of the place.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub name: Option<String>,
    /// Its address.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub address: Option<String>,
    /// What the sender wrote below it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub caption: Option<String>,
    /// Whether it is where the sender is now, and further messages follow when they move.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub live: bool,
    /// Number of a live location. A later one is higher.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sequence: Option<i64>,
    /// How exact a live location is, in metres.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub accuracy: Option<u32>,
}

impl Location {
    /// Makes a place of which only the coordinates are known.
    pub fn at(latitude: f64, longitude: f64) -> Self {
        Self {
            latitude,
            longitude,
            name: None,
            address: None,
            caption: None,
            live: false,
            sequence: None,
            accuracy: None,
        }
    }
}

/// A contact card.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    /// Name of the person or company.
    pub name: String,
    /// Phone numbers, as written on the card.
    #[serde(default)]
    pub phones: Vec<String>,
    /// The company they work for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub organisation: Option<String>,
    /// E-mail addresses.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub emails: Vec<String>,
}

/// A question with options to choose from.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Poll {
    /// The question.
    pub question: String,
    /// The options. Each occurs once.
    pub options: Vec<String>,
    /// How many options one person may choose: 1 to the number of options.
    pub selectable_count: u32,
}

/// Announces that an album follows. Its images and videos are messages of their own.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Album {
    /// How many images it has.
    pub images: u32,
    /// How many videos it has.
    pub videos: u32,
}

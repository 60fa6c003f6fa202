//! Contents that stand alone: a location, contact cards, a poll.

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

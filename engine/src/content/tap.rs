//! What a person chose under a message of a business.

use serde::{Deserialize, Serialize};

/// A button that was tapped, or a row that was chosen from a list.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tap {
    /// The id that the business gave it. Absent if the answer is a filled-in form.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub id: Option<String>,
    /// The words on it.
    pub title: String,
    /// The words below the title of a row.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub description: Option<String>,
    /// What else the answer carries, as JSON: the fields of a form.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub params: Option<serde_json::Value>,
}

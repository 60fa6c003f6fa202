//! What a session does with calls, instead of letting them ring.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Each call is rejected at once.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AutoReject {
    /// The message that the caller gets.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub text: Option<String>,
}

impl fmt::Debug for AutoReject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AutoReject[sealed]")
    }
}

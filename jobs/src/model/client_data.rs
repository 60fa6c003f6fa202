//! What a tenant attaches to a message or a session for its own use. The gateway stores it and shows it again.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The longest reference, in characters.
pub const CLIENT_REF_MAX: usize = 128;
/// The most entries of metadata.
pub const METADATA_MAX: usize = 50;
/// The longest name in metadata, in characters.
pub const METADATA_NAME_MAX: usize = 40;
/// The most bytes of all names and texts of metadata together.
pub const METADATA_BYTES_MAX: usize = 4096;

/// A reference of the tenant's own, such as the number of an order. It need not be unique.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClientRef(String);

impl ClientRef {
    /// Returns `None` unless it has 1 to [`CLIENT_REF_MAX`] characters, none of them a control character.
    pub fn parse(text: &str) -> Option<Self> {
        is_plain(text, CLIENT_REF_MAX).then(|| Self(text.to_owned()))
    }

    /// Returns the reference.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Texts of the tenant's own, by name.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Metadata(BTreeMap<String, String>);

impl Metadata {
    /// Returns `None` if there are more than [`METADATA_MAX`], if they have more than [`METADATA_BYTES_MAX`], or if a
    /// name is empty, too long or has control characters.
    pub fn parse(texts: BTreeMap<String, String>) -> Option<Self> {
        let bytes: usize = texts
            .iter()
            .map(|(name, text)| name.len() + text.len())
            .sum();
        let fits = texts.len() <= METADATA_MAX && bytes <= METADATA_BYTES_MAX;
        let named = texts.keys().all(|name| is_plain(name, METADATA_NAME_MAX));
        (fits && named).then_some(Self(texts))
    }

    /// Returns the texts by name.
    pub fn texts(&self) -> &BTreeMap<String, String> {
        &self.0
    }

    /// Returns whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn is_plain(text: &str, longest: usize) -> bool {
    let sized = (1..=longest).contains(&text.chars().count());
    sized && !text.chars().any(char::is_control)
}

/// A reference and metadata.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientData {
    /// The reference.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub client_ref: Option<ClientRef>,
    /// The metadata.
    #[serde(skip_serializing_if = "Metadata::is_empty", default)]
    pub metadata: Metadata,
}

impl ClientData {
    /// Returns whether there is nothing to store.
    pub fn is_empty(&self) -> bool {
        self.client_ref.is_none() && self.metadata.is_empty()
    }
}

/// They may name people, so no log shows them.
macro_rules! sealed {
    ($($name:ident),*) => {$(
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("[sealed]")
            }
        }
    )*};
}
sealed!(ClientRef, Metadata, ClientData);

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(texts: impl IntoIterator<Item = (String, String)>) -> Option<Metadata> {
        Metadata::parse(texts.into_iter().collect())
    }

    fn one(name: &str, text: &str) -> Option<Metadata> {
        metadata([(name.to_owned(), text.to_owned())])
    }

    #[test]
    fn fidelity_a_reference_is_bounded() {
        for good in ["1", "order 1042/ä", &"ä".repeat(CLIENT_REF_MAX)] {
            assert_eq!(ClientRef::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", "a\nb", "\0", &"x".repeat(CLIENT_REF_MAX + 1)] {
            assert!(ClientRef::parse(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn fidelity_metadata_is_bounded() {
        assert!(metadata([]).unwrap().is_empty());
        assert!(one("order", "").is_some());
        assert!(one("order", "line\nline").is_some());
        for name in ["", "a\nb", &"x".repeat(METADATA_NAME_MAX + 1)] {
            assert!(one(name, "x").is_none(), "{name:?}");
        }
        let longest = "x".repeat(METADATA_BYTES_MAX - 1);
        assert!(one("a", &longest).is_some());
        assert!(one("ab", &longest).is_none());
        let many = |count: usize| metadata((0..count).map(|n| (n.to_string(), String::new())));
        assert!(many(METADATA_MAX).is_some());
        assert!(many(METADATA_MAX + 1).is_none());
    }
}

//! Fields of a change. A field that is absent stays as it is, and one that is there replaces the whole value. `null`
//! removes the value where that has a meaning (`MaybeUndefined`), and is refused elsewhere ([`given`]).

use poem_openapi::types::MaybeUndefined;
use serde::{Deserialize, Deserializer};

/// Reads a field that cannot be removed.
pub(crate) fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    from: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

/// Returns the new value of a field, where `null` stands for the empty value.
pub(crate) fn or_empty<T: Default>(field: MaybeUndefined<T>) -> Option<T> {
    match field {
        MaybeUndefined::Undefined => None,
        MaybeUndefined::Null => Some(T::default()),
        MaybeUndefined::Value(value) => Some(value),
    }
}

//! Texts from outside, shortened.

/// Returns the text, shortened to `max` bytes. `None` if it is absent or empty.
pub(super) fn limited(text: Option<&String>, max: usize) -> Option<String> {
    let text = text.filter(|text| !text.is_empty())?;
    Some(cut(text.clone(), max))
}

/// Shortens the text to `max` bytes, between two characters.
pub(crate) fn cut(mut text: String, max: usize) -> String {
    let end = text.floor_char_boundary(max);
    text.truncate(end);
    text
}

//! Text, and scripts that a shell runs.

/// Returns whether the first line names a shell; the library takes any interpreter for one.
pub(super) fn is_shell(head: &[u8]) -> bool {
    let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let words = line.split(|byte| b"/ \t\r".contains(byte));
    let shells: [&[u8]; 6] = [b"sh", b"bash", b"dash", b"zsh", b"ksh", b"ash"];
    words.into_iter().any(|word| shells.contains(&word))
}

/// Returns whether this is text: UTF-8 without control characters, or UTF-16 that says so. The last
/// character may be cut.
pub(super) fn is_text(head: &[u8]) -> bool {
    if matches!(head, [0xff, 0xfe, ..] | [0xfe, 0xff, ..]) {
        // Text of any length has an ASCII character early, and few others of value zero.
        return head.len() >= 4 && !head.windows(4).any(|four| four == [0; 4]);
    }
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return false,
    };
    !text.is_empty() && !text.chars().any(|c| c.is_control() && !c.is_whitespace())
}

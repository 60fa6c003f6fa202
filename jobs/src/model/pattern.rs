//! What an endpoint asks for: a type of event, a group of them such as `message.*`, or `*`.

use std::{collections::BTreeSet, sync::LazyLock};

use super::event::EventType;

/// Every type of event.
const ALL: &str = "*";

/// Returns whether the pattern includes this type. Types of a later version are included, too.
pub fn includes(pattern: &str, kind: &str) -> bool {
    let group = pattern.strip_suffix(".*");
    let in_group = |group| {
        let rest: Option<&str> = kind.strip_prefix(group);
        rest.is_some_and(|rest| rest.starts_with('.'))
    };
    pattern == ALL || pattern == kind || group.is_some_and(in_group)
}

/// Returns whether the pattern includes a type that this version knows.
pub fn is_known(pattern: &str) -> bool {
    pattern == ALL || !types(pattern).is_empty()
}

fn types(pattern: &str) -> Vec<&'static str> {
    let all = EventType::ALL.iter().map(|kind| kind.as_str());
    all.filter(|kind| includes(pattern, kind)).collect()
}

/// Returns the types that the patterns include today. Empty means all, as in the patterns themselves.
pub(crate) fn expanded(patterns: &[String]) -> Vec<&'static str> {
    if patterns.iter().any(|pattern| pattern == ALL) {
        return Vec::new();
    }
    let all = EventType::ALL.iter().map(|kind| kind.as_str());
    all.filter(|kind| patterns.iter().any(|pattern| includes(pattern, kind)))
        .collect()
}

static GROUPS: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    let kinds = EventType::ALL.iter().map(|kind| kind.as_str());
    let groups = kinds.filter_map(|kind| kind.split_once('.'));
    groups.map(|(group, _)| format!("{group}.*")).collect()
});

/// Returns `*` and the groups, for the document.
pub fn groups() -> Vec<&'static str> {
    let groups = GROUPS.iter().map(String::as_str);
    std::iter::once(ALL).chain(groups).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(patterns: &[&str]) -> Vec<String> {
        patterns
            .iter()
            .map(|pattern| (*pattern).to_owned())
            .collect()
    }

    #[test]
    fn fidelity_a_group_includes_a_type_that_is_added_later_and_no_other_group() {
        for (pattern, kind, expected) in [
            ("*", "invented.later", true),
            ("message.*", "message.invented_later", true),
            ("message.*", "messages.sent", false),
            ("message.*", "message", false),
            ("message.sent", "message.sent", true),
            ("message.sent", "message.sent_later", false),
            (".*", "message.sent", false),
            ("message*", "message.sent", false),
            ("*.sent", "message.sent", false),
        ] {
            assert_eq!(includes(pattern, kind), expected, "{pattern} {kind}");
        }
    }

    #[test]
    fn a_group_without_a_type_is_not_known() {
        for known in groups() {
            assert!(is_known(known), "{known}");
        }
        for unknown in ["", ".*", "mess.*", "message.", "message.**", "**", "*.*"] {
            assert!(!is_known(unknown), "{unknown}");
        }
    }

    #[test]
    fn an_older_version_reads_the_types_of_today() {
        assert_eq!(
            expanded(&owned(&["session.banned", "*"])),
            Vec::<&str>::new()
        );
        let read = expanded(&owned(&["session.banned", "media.*"]));
        assert_eq!(read, ["media.available", "media.failed", "session.banned"]);
    }
}

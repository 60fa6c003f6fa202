//! What was decided about a message: why it waited, and as what it went.

use passerelle_engine::clock::Millis;
use serde::{Deserialize, Serialize};

use super::Class;

/// A claim of a message, as `message.decision` holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Decided {
    /// When it was claimed. Earlier versions did not note it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) at: Option<Millis>,
    /// When it was to be written.
    pub(crate) send_at: Millis,
    /// As what it went; `None` where messages go in their order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) class: Option<Class>,
    /// What held its number before, and since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) waited: Option<(String, Millis)>,
}

impl Decided {
    /// Reads one; `None` if it is of a later version.
    pub(crate) fn read(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

/// A time that a message waited for a limit, as `message.waits` holds it: why, since when, until when.
pub(crate) type Wait = (String, Millis, Millis);

/// Before the class with which a message was accepted, among its waits: its recipient wrote, and it became a reply.
const WAS: &str = "class:";

/// Reads the waits of a message, and the class with which it was accepted if that has changed.
pub(crate) fn waits_and_class(text: Option<&str>) -> (Vec<Wait>, Option<Class>) {
    let is_class = |wait: &Wait| wait.0.starts_with(WAS);
    let (was, waits): (Vec<_>, Vec<_>) = waits(text).into_iter().partition(is_class);
    let was = was.first().and_then(|(was, ..)| was.strip_prefix(WAS));
    (waits, was.and_then(|class| class.parse().ok()))
}

/// Reads the waits of a message. What cannot be read is left out.
fn waits(text: Option<&str>) -> Vec<Wait> {
    let list = format!("[{}]", text.unwrap_or_default());
    serde_json::from_str(&list).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn safety_what_earlier_versions_decided_is_read_too() {
        let now = Decided {
            at: Some(1),
            send_at: 2,
            class: Some(Class::Cold),
            waited: Some(("day".to_owned(), 0)),
        };
        let text = serde_json::to_string(&now).unwrap();
        assert_eq!(Decided::read(&text), Some(now));
        let earlier = Decided::read(r#"{"class":"warm","send_at":2}"#).unwrap();
        assert_eq!((earlier.at, earlier.class), (None, Some(Class::Warm)));
        let in_order = Decided::read(r#"{"at":1,"send_at":2}"#).unwrap();
        assert_eq!((in_order.class, in_order.waited), (None, None));
        assert_eq!(Decided::read("[]"), None);
    }

    #[test]
    fn safety_waits_are_read_in_their_order() {
        let text = r#"["quiet_hours",1,2],["spacing",3,4]"#;
        let read = waits(Some(text));
        assert_eq!(read[1], ("spacing".to_owned(), 3, 4));
        assert_eq!(waits(None), []);
        assert_eq!(waits(Some("[1")), []);
        assert_eq!(waits_and_class(Some(text)), (read, None));
        let changed = r#"["quiet_hours",1,2],["class:cold",0,0]"#;
        let (read, class) = waits_and_class(Some(changed));
        assert_eq!((read.len(), class), (1, Some(Class::Cold)));
    }
}

//! What WhatsApp says about opening new chats: whether this number may, and how many. We ask for it, and WhatsApp also
//! pushes it.

use std::time::Duration;

use serde_json::{Value, json};
use wacore::{
    chrono,
    iq::mex_operations::{fetch_new_chat_message_capping_info, fetch_reachout_timelock},
    types::events::MexNotification,
};
use whatsapp_rust::MexRequest;

use super::{connection::Connection, event::ConnectionEvent};
use crate::clock::Millis;

/// How long WhatsApp may take to answer.
const ANSWER: Duration = Duration::from_secs(10);
/// The quota that we ask for, in WhatsApp Web's word.
const NEW_CHATS: &str = "INDIVIDUAL_NEW_CHAT_MSG";
/// The kind of a time-lock that is none.
const NO_LOCK: &str = "DEFAULT";
/// The longest word of WhatsApp that is kept.
const WORD: usize = 64;

/// Whether the number may open new chats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timelock {
    /// Whether it may not.
    pub is_active: bool,
    /// WhatsApp's word for the kind of lock, which may be one that is not known yet.
    pub kind: Option<String>,
    /// When the lock ends, in milliseconds UTC, if WhatsApp said so.
    pub ends_at: Option<Millis>,
}

/// WhatsApp's own quota of messages to new chats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capping {
    /// WhatsApp's word: `NONE`, `FIRST_WARNING`, `SECOND_WARNING`, `CAPPED`, or one that is not known yet.
    pub status: String,
    /// The quota of a cycle.
    pub total: Option<i64>,
    /// How much of it is used.
    pub used: Option<i64>,
    /// When the cycle began, in milliseconds UTC.
    pub cycle_start: Option<Millis>,
    /// When the cycle ends, in milliseconds UTC.
    pub cycle_end: Option<Millis>,
}

impl Connection {
    /// Asks WhatsApp whether this number may open new chats. Ask at most four times an hour.
    pub async fn reachout_timelock(&self) -> anyhow::Result<Timelock> {
        let (name, id) = (
            fetch_reachout_timelock::NAME,
            fetch_reachout_timelock::DOC_ID,
        );
        let data = self.ask(MexRequest::new(name, id, json!({}))).await?;
        let lock = data.get("xwa2_fetch_account_reachout_timelock");
        lock.and_then(Timelock::read)
            .ok_or_else(|| anyhow::anyhow!("the answer says nothing of a time-lock"))
    }

    /// Asks WhatsApp how many messages to new chats this number has left. Returns `None` if WhatsApp sets no quota. Ask at
    /// most once an hour.
    pub async fn new_chat_capping(&self) -> anyhow::Result<Option<Capping>> {
        let (name, id) = (
            fetch_new_chat_message_capping_info::NAME,
            fetch_new_chat_message_capping_info::DOC_ID,
        );
        let input = json!({ "input": { "type": NEW_CHATS } });
        let data = self.ask(MexRequest::new(name, id, input)).await?;
        let capping = data.get("xwa2_message_capping_info");
        Ok(capping.and_then(Capping::read))
    }

    async fn ask(&self, request: MexRequest<Value>) -> anyhow::Result<Value> {
        let mex = self.client().mex();
        let asked = tokio::time::timeout(ANSWER, mex.query(request)).await??;
        Ok(asked.data.unwrap_or_default())
    }
}

/// Returns what a push of WhatsApp means, if it is about new chats.
pub(super) fn pushed(push: &MexNotification) -> Option<ConnectionEvent> {
    let data = push.payload.get("data").unwrap_or(&push.payload);
    let of = |field: &str| data.get(field).unwrap_or(data);
    match push.op_name.as_str() {
        "NotificationUserReachoutTimelockUpdate" => {
            let lock = of("xwa2_notify_account_reachout_timelock");
            Timelock::read(lock).map(ConnectionEvent::Timelock)
        }
        "MessageCappingInfoNotification" => {
            let capping = of("xwa2_notify_new_chat_messages_capping_info_update");
            Capping::read(capping).map(ConnectionEvent::Capping)
        }
        _ => None,
    }
}

impl Timelock {
    /// Reads a time-lock. A kind that is not known is a lock, unless WhatsApp says that it is not active.
    fn read(lock: &Value) -> Option<Self> {
        let kind = word(lock, "enforcement_type");
        let is_named = kind.as_deref().is_some_and(|kind| kind != NO_LOCK);
        let is_active = lock.get("is_active").and_then(Value::as_bool);
        if is_active.is_none() && kind.is_none() {
            return None;
        }
        Some(Self {
            is_active: is_active.unwrap_or(is_named),
            kind,
            ends_at: time(lock, "time_enforcement_ends"),
        })
    }
}

impl Capping {
    fn read(capping: &Value) -> Option<Self> {
        Some(Self {
            status: word(capping, "capping_status")?,
            total: number(capping, "total_quota"),
            used: number(capping, "used_quota"),
            cycle_start: time(capping, "cycle_start_timestamp"),
            cycle_end: time(capping, "cycle_end_timestamp"),
        })
    }
}

/// Returns a word of WhatsApp, cut where it is too long to be one.
fn word(of: &Value, field: &str) -> Option<String> {
    let text = of.get(field)?.as_str()?;
    Some(text.chars().take(WORD).collect())
}

/// Returns a number that WhatsApp writes as one or as text.
fn number(of: &Value, field: &str) -> Option<i64> {
    let value = of.get(field)?;
    value
        .as_i64()
        .or_else(|| value.as_str()?.trim().parse().ok())
}

/// Returns a time in milliseconds UTC. WhatsApp writes seconds since 1970 or RFC 3339; 0 is none.
fn time(of: &Value, field: &str) -> Option<Millis> {
    if let Some(seconds) = number(of, field) {
        return seconds.checked_mul(1000).filter(|at| *at > 0);
    }
    let text = of.get(field)?.as_str()?;
    let time = chrono::DateTime::parse_from_rfc3339(text).ok()?;
    Some(time.timestamp_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(is_active: bool, kind: &str, ends_at: Option<Millis>) -> Timelock {
        Timelock {
            is_active,
            kind: Some(kind.to_owned()),
            ends_at,
        }
    }

    #[test]
    fn safety_a_time_lock_ends_at_seconds_or_at_a_date() {
        for (ends, at) in [
            (json!("1700000000"), Some(1_700_000_000_000)),
            (json!(1_700_000_000), Some(1_700_000_000_000)),
            (json!("2023-11-14T22:13:20Z"), Some(1_700_000_000_000)),
            (json!("0"), None),
            (json!("soon"), None),
            (json!(null), None),
        ] {
            let told = json!({ "is_active": true, "enforcement_type": "BIZ_QUALITY", "time_enforcement_ends": ends });
            let expected = lock(true, "BIZ_QUALITY", at);
            assert_eq!(Timelock::read(&told), Some(expected), "{told}");
        }
    }

    #[test]
    fn safety_a_kind_of_lock_that_is_not_known_is_a_lock() {
        let new = json!({ "enforcement_type": "RESTRICT_EVERYTHING" });
        let expected = Some(lock(true, "RESTRICT_EVERYTHING", None));
        assert_eq!(Timelock::read(&new), expected);
        let none = json!({ "enforcement_type": "DEFAULT" });
        assert_eq!(Timelock::read(&none), Some(lock(false, "DEFAULT", None)));
        let ended = json!({ "is_active": false, "enforcement_type": "RESTRICT_EVERYTHING" });
        let expected = Some(lock(false, "RESTRICT_EVERYTHING", None));
        assert_eq!(Timelock::read(&ended), expected);
        assert_eq!(Timelock::read(&json!({})), None);
    }

    #[test]
    fn safety_a_quota_is_read_from_text_and_from_numbers() {
        let expected = Some(Capping {
            status: "FIRST_WARNING".to_owned(),
            total: Some(300),
            used: Some(240),
            cycle_start: None,
            cycle_end: Some(1_700_000_000_000),
        });
        let text = json!({ "capping_status": "FIRST_WARNING", "total_quota": "300", "used_quota": "240", "cycle_end_timestamp": "1700000000" });
        let numbers = json!({ "capping_status": "FIRST_WARNING", "total_quota": 300, "used_quota": 240, "cycle_end_timestamp": 1_700_000_000 });
        assert_eq!(Capping::read(&text), expected);
        assert_eq!(Capping::read(&numbers), expected);
        assert_eq!(Capping::read(&json!({ "total_quota": "300" })), None);
    }

    fn push(op_name: &str, payload: Value) -> MexNotification {
        MexNotification::builder()
            .op_name(op_name.to_owned())
            .payload(payload)
            .build()
    }

    #[test]
    fn safety_what_whatsapp_pushes_is_read_and_other_pushes_are_left() {
        const LOCK: &str = "NotificationUserReachoutTimelockUpdate";
        let told = json!({ "is_active": true, "enforcement_type": "WEB_COMPANION_ONLY", "time_enforcement_ends": "1700000000" });
        let expected = lock(true, "WEB_COMPANION_ONLY", Some(1_700_000_000_000));
        let expected = Some(ConnectionEvent::Timelock(expected));
        let wrapped = json!({ "data": { "xwa2_notify_account_reachout_timelock": told.clone() } });
        assert_eq!(pushed(&push(LOCK, wrapped)), expected);
        assert_eq!(pushed(&push(LOCK, told.clone())), expected);
        assert_eq!(pushed(&push(LOCK, json!({ "data": null }))), None);
        assert_eq!(pushed(&push("NotificationGroupPropertyUpdate", told)), None);
        let capped = json!({ "data": { "xwa2_notify_new_chat_messages_capping_info_update": { "capping_status": "CAPPED" } } });
        let capped = pushed(&push("MessageCappingInfoNotification", capped));
        assert!(matches!(capped, Some(ConnectionEvent::Capping(_))));
    }
}

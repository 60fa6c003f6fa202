//! The events of groups: their settings and their members.

use passerelle_engine::{
    content::{Group, Phone},
    ids::{OrgId, SessionId},
    whatsapp::GroupSetting,
};
use serde_json::{Map, Value, json};

use super::emit::NewEvent;
use crate::model::{
    event::EventType,
    group::{GroupAction, Person},
    rfc3339,
};

/// What an event says of a change beside what changed.
pub(crate) struct Changed<'c> {
    pub(crate) group: &'c Group,
    pub(crate) by: Option<&'c Person>,
    pub(crate) at: i64,
}

/// Members who came, went, or have another role.
pub(crate) struct Members<'m> {
    pub(crate) action: GroupAction,
    pub(crate) who: &'m [Person],
    pub(crate) count: usize,
    pub(crate) includes_me: bool,
}

/// Returns the event of a setting.
pub(crate) fn of_setting(
    place: (OrgId, SessionId),
    changed: &Changed<'_>,
    setting: &GroupSetting,
) -> NewEvent {
    let (name, value) = match setting {
        GroupSetting::Subject(text) => ("subject", json!(text)),
        GroupSetting::Description(text) => ("description", json!(text)),
        GroupSetting::AdminsOnly(only) => ("admins_only", json!(only)),
        GroupSetting::Locked(locked) => ("locked", json!(locked)),
        GroupSetting::JoinApproval(needed) => ("join_approval", json!(needed)),
        GroupSetting::Timer(seconds) => ("expires_in", json!(seconds)),
    };
    let mut data = data(changed);
    data["changes"] = json!({ name: value });
    event(place, EventType::GroupUpdated, data)
}

/// Returns the event of members.
pub(crate) fn of_members(
    place: (OrgId, SessionId),
    changed: &Changed<'_>,
    members: &Members<'_>,
) -> NewEvent {
    let mut data = data(changed);
    data["action"] = json!(members.action.as_str());
    data["participants"] = members.who.iter().map(shown).collect();
    data["participant_count"] = json!(members.count);
    data["includes_this_number"] = json!(members.includes_me);
    event(place, EventType::GroupParticipants, data)
}

fn event((org, session): (OrgId, SessionId), kind: EventType, data: Value) -> NewEvent {
    NewEvent {
        org,
        session: Some(session),
        message: None,
        kind,
        data,
    }
}

fn data(changed: &Changed<'_>) -> Value {
    let mut data = json!({
        "group": { "id": changed.group.as_str(), "object": "group" },
        "changed_at": rfc3339(changed.at),
    });
    if let Some(by) = changed.by {
        data["by"] = shown(by);
    }
    data
}

/// Returns the JSON of a person in a group.
fn shown(person: &Person) -> Value {
    let called = &person.called;
    let contact = person.contact.map(|id| id.to_string());
    let phone = person.peer.phone.as_ref().map(Phone::as_str);
    let mut shown = Map::new();
    for (field, value) in [
        ("contact_id", contact.as_deref()),
        ("phone", phone),
        ("lid", person.peer.lid.as_deref()),
        ("name", called.name()),
        ("push_name", called.push_name.as_deref()),
        ("verified_name", called.verified_name.as_deref()),
    ] {
        if let Some(value) = value {
            shown.insert(field.to_owned(), json!(value));
        }
    }
    shown.insert("this_number".to_owned(), json!(person.is_me));
    Value::Object(shown)
}

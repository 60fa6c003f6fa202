//! Which endpoints want an event.

use passerelle_engine::ids::EndpointId;

use crate::model::{event::EventType, pattern, report_unreadable};

/// SQL for the enabled endpoints of organisation `$1` that want events of the session `$2`, or those without a
/// session, with the types that each wants, as text that both engines can build: a line such as
/// `whe_… ["message.sent"]` for each, or `whe_…+raw …` if it wants messages as they came. An organisation has few
/// endpoints, and each event reads them inside another statement.
macro_rules! listening {
    (of_session) => {
        "(SELECT string_agg(id || CASE raw WHEN 1 THEN '+raw ' ELSE ' ' END || coalesce(wanted, events), '\n') FROM endpoint \
         WHERE org_id = $1 AND disabled_at IS NULL AND (sessions IS NULL OR sessions LIKE '%' || $2 || '%'))"
    };
    (of_none) => {
        "(SELECT string_agg(id || CASE raw WHEN 1 THEN '+raw ' ELSE ' ' END || coalesce(wanted, events), '\n') FROM endpoint \
         WHERE org_id = $1 AND disabled_at IS NULL AND sessions IS NULL)"
    };
}
pub(in crate::store) use listening;

/// Returns the endpoints of a `listening!` result that want this type. An endpoint whose types cannot be read
/// gets every event, so that nothing is lost.
pub(crate) fn wanting(listening: Option<&str>, kind: EventType) -> Vec<EndpointId> {
    let id = |name: &str| name.strip_suffix(RAW).unwrap_or(name).parse().ok();
    names_wanting(listening, kind).filter_map(id).collect()
}

/// Returns whether one of them wants this type with the message as it came.
pub(crate) fn want_raw(listening: Option<&str>, kind: EventType) -> bool {
    names_wanting(listening, kind).any(|name| name.ends_with(RAW))
}

/// Ends the name of an endpoint that wants messages as they came.
const RAW: &str = "+raw";

fn names_wanting(listening: Option<&str>, kind: EventType) -> impl Iterator<Item = &str> {
    let wants = move |id: &str, types: &str| match serde_json::from_str::<Vec<&str>>(types) {
        Ok(types) => {
            let includes = |wanted: &&str| pattern::includes(wanted, kind.as_str());
            types.is_empty() || types.iter().any(includes)
        }
        Err(error) => {
            report_unreadable("endpoint", &id, &error);
            true
        }
    };
    let lines = listening.unwrap_or_default().lines();
    let endpoints = lines.filter_map(|line| line.split_once(' '));
    let wanting = endpoints.filter(move |(id, types)| wants(id, types));
    wanting.map(|(id, _)| id)
}

#[cfg(test)]
mod tests {
    use passerelle_engine::clock::Clock;

    use super::*;

    #[test]
    fn types_that_cannot_be_read_hold_up_no_other_endpoint() {
        let clock = Clock::system();
        let [all, sent, group, any, read, damaged] =
            std::array::from_fn(|_| EndpointId::new(&clock));
        let listening = format!(
            "{all} []\n{sent} [\"message.sent\"]\n{group} [\"message.*\"]\n{any} [\"*\"]\n{read} [\"message.read\",\"media.*\"]\n{damaged} [\"mes"
        );
        let wanting = wanting(Some(&listening), EventType::MessageSent);
        assert_eq!(wanting, [all, sent, group, any, damaged]);
        assert_eq!(super::wanting(None, EventType::MessageSent), []);
    }

    #[test]
    fn fidelity_raw_is_kept_only_for_an_endpoint_that_wants_this_type_so() {
        let clock = Clock::system();
        let [raw, plain] = std::array::from_fn(|_| EndpointId::new(&clock));
        let listening = format!("{raw}+raw [\"message.received\"]\n{plain} []");
        let received = (Some(listening.as_str()), EventType::MessageReceived);
        assert_eq!(super::wanting(received.0, received.1), [raw, plain]);
        assert!(want_raw(received.0, received.1));
        assert!(!want_raw(Some(&listening), EventType::MessageSent));
        let without = format!("{plain} []");
        assert!(!want_raw(Some(&without), EventType::MessageReceived));
    }
}

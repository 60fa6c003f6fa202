//! Which endpoints want an event.

use passerelle_engine::ids::EndpointId;

use crate::model::{event::EventType, pattern, report_unreadable};

/// SQL for the enabled endpoints of organisation `$1` that want events of the session `$2`, or those without a
/// session, with the types that each wants, as text that both engines can build: a line such as
/// `whe_… ["message.sent"]` for each. An organisation has few endpoints, and each event reads them inside another
/// statement.
macro_rules! listening {
    (of_session) => {
        "(SELECT string_agg(id || ' ' || coalesce(wanted, events), '\n') FROM endpoint \
         WHERE org_id = $1 AND disabled_at IS NULL AND (sessions IS NULL OR sessions LIKE '%' || $2 || '%'))"
    };
    (of_none) => {
        "(SELECT string_agg(id || ' ' || coalesce(wanted, events), '\n') FROM endpoint \
         WHERE org_id = $1 AND disabled_at IS NULL AND sessions IS NULL)"
    };
}
pub(in crate::store) use listening;

/// Returns the endpoints of a `listening!` result that want this type. An endpoint whose types cannot be read
/// gets every event, so that nothing is lost.
pub(crate) fn wanting(listening: Option<&str>, kind: EventType) -> Vec<EndpointId> {
    let wants = |id: &str, types: &str| match serde_json::from_str::<Vec<&str>>(types) {
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
    let wanting = endpoints.filter(|(id, types)| wants(id, types));
    wanting.filter_map(|(id, _)| id.parse().ok()).collect()
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
}

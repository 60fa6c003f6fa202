//! The policies of organisations: that of the gateway, and the stricter ones of organisations with limits of their own.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;

use crate::safety::{policy::Policy, tighten::Tightening};

/// As many different policies are kept. After that they are made anew.
const KEPT: usize = 1000;

/// The policies by what the database holds of them.
#[derive(Debug)]
pub(crate) struct Policies {
    of_gateway: Arc<Policy>,
    own: Mutex<HashMap<String, Arc<Policy>>>,
}

impl Policies {
    pub(crate) fn new(of_gateway: Arc<Policy>) -> Self {
        Self {
            of_gateway,
            own: Mutex::default(),
        }
    }

    /// Returns the policy of an organisation with these limits. Limits that cannot be read were written by a later version:
    /// then those of the gateway count.
    pub(crate) fn of(&self, own: Option<&str>) -> Arc<Policy> {
        let Some(own) = own else {
            return Arc::clone(&self.of_gateway);
        };
        if let Some(known) = self.own.lock().get(own) {
            return Arc::clone(known);
        }
        let limits = read(own).unwrap_or_default();
        let policy = Arc::new(self.of_gateway.with(&limits));
        let mut kept = self.own.lock();
        if kept.len() >= KEPT {
            kept.clear();
        }
        kept.insert(own.to_owned(), Arc::clone(&policy));
        policy
    }
}

/// Reads an organisation's own limits.
pub(crate) fn read(own: &str) -> Option<Tightening> {
    let read = serde_json::from_str(own);
    read.inspect_err(|error| {
        tracing::error!(%error, "an organisation's own limits cannot be read; those of the gateway count");
    })
    .ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::safety::{pace::Pace, preset::Preset};

    #[test]
    fn safety_an_organisation_has_its_own_limits_and_otherwise_those_of_the_gateway() {
        let of_gateway = Arc::new(Policy::of(Preset::Default, Pace::default()));
        let policies = Policies::new(Arc::clone(&of_gateway));
        assert!(Arc::ptr_eq(&policies.of(None), &of_gateway));
        let own = policies.of(Some(r#"{"replies_an_hour":7}"#));
        assert_eq!(own.replies_an_hour, Some(7));
        assert_eq!(own.messages, of_gateway.messages);
        assert!(Arc::ptr_eq(
            &own,
            &policies.of(Some(r#"{"replies_an_hour":7}"#))
        ));
        // It was stored under another preset, or by a later version.
        for unknown in [
            r#"{"replies_an_hour":7000}"#,
            r#"{"of_tomorrow":1}"#,
            "[",
            "",
        ] {
            assert_eq!(*policies.of(Some(unknown)), *of_gateway, "{unknown}");
        }
    }

    #[test]
    fn safety_the_policies_that_are_kept_are_bounded() {
        let policies = Policies::new(Arc::new(Policy::of(Preset::Strict, Pace::default())));
        for n in 0..2 * KEPT {
            policies.of(Some(&format!(r#"{{"messages_a_day":{n}}}"#)));
        }
        assert!(policies.own.lock().len() <= KEPT);
    }
}

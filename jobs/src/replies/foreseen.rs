//! What the regular expressions of rules find in inbound messages, before the transaction that stores them begins. The worst
//! of them takes tens of milliseconds, and there may be twenty: nobody has to wait for the writer so long.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use passerelle_engine::{
    ids::{AutoReplyId, OrgId, SessionId},
    whatsapp::inbound::Inbound,
};

use super::{
    cache::Ruleset,
    matching::Compiled,
    text::{self, Wanted},
};
use crate::{model::auto_reply::REGEX_TEXT_MAX, services::Services};

/// What regular expressions find in the messages of a batch. Nothing is foreseen with rules that have just changed: then they
/// are matched as part of the transaction, once.
#[derive(Default)]
pub(crate) struct Foreseen(Option<Known>);

struct Known {
    rules: Arc<Ruleset>,
    /// By the beginning of a text, the rules whose regular expression finds something in it.
    found: HashMap<String, HashSet<AutoReplyId>>,
}

impl Foreseen {
    /// Matches the messages of a batch with the rules that this process remembers.
    pub(crate) async fn of(
        services: &Services,
        (org, session): (OrgId, SessionId),
        batch: &[Inbound],
    ) -> Self {
        let Some(rules) = services.rules().known(org) else {
            return Self::default();
        };
        let asked = move |rule: &Compiled| {
            matches!(rule.wanted, Some(Wanted::Regex(_)))
                && rule.session.is_none_or(|only| only == session)
        };
        if !rules.rules.iter().any(asked) {
            return Self::default();
        }
        let others = batch.iter().filter(|inbound| inbound.own.is_none());
        let texts = others.filter_map(|inbound| text::of(&inbound.content));
        let texts: HashSet<_> = texts.map(|text| beginning(text).to_owned()).collect();
        let search = move || {
            let find = |text: String| {
                let some = rules.rules.iter().filter(|rule| asked(rule));
                let some = some.filter(|rule| rule.wants(&text)).map(|rule| rule.id);
                let some: HashSet<_> = some.collect();
                (text, some)
            };
            let found = texts.into_iter().map(find).collect();
            Known { rules, found }
        };
        // The threads that serve everybody do not wait for it, either.
        Self(tokio::task::spawn_blocking(search).await.ok())
    }

    /// Returns whether the text is what a rule with a regular expression wants; `None` if that is not known.
    pub(super) fn is(&self, rules: &Arc<Ruleset>, rule: &Compiled, text: &str) -> Option<bool> {
        let known = self.0.as_ref()?;
        let is_asked = matches!(rule.wanted, Some(Wanted::Regex(_)));
        if !is_asked || !Arc::ptr_eq(&known.rules, rules) {
            return None;
        }
        let found = known.found.get(beginning(text))?;
        Some(found.contains(&rule.id))
    }
}

fn beginning(text: &str) -> &str {
    text::beginning(text, REGEX_TEXT_MAX)
}

//! What the rules would do with a message: nothing is stored, counted or sent.

use std::collections::BTreeMap;

use passerelle_engine::{
    clock::Millis,
    content::Content,
    ids::{AutoReplyId, OrgId, SessionId},
};

use super::{
    cache, check,
    check::template_of,
    matching::{Chat, Compiled, Heard},
    run::filled,
    sealed,
    template::{self, ContactShown, MessageShown, Values},
    text,
};
use crate::{
    error::Fault,
    model::auto_reply::{REPLIES_MAX, TEMPLATE_MAX, Then, Why},
    services::Services,
    store,
};

/// A message and its chat that somebody thought up.
#[derive(Debug, Clone)]
pub struct Trial {
    /// The session that it would come to; `None`: the rule's own.
    pub session: Option<SessionId>,
    /// Its type.
    pub kind: String,
    /// Its text.
    pub text: Option<String>,
    /// Whether it is written in a group.
    pub is_group: bool,
    /// When it is received; now if `None`.
    pub at: Option<Millis>,
    /// When it was sent; when it is received if `None`.
    pub sent_at: Option<Millis>,
    /// When the contact wrote before.
    pub previous: Option<Millis>,
    /// When the rules last answered the contact.
    pub answered_at: Option<Millis>,
    /// When a person last wrote from a phone or a linked device.
    pub person_at: Option<Millis>,
    /// Automatic replies to the contact rest until then.
    pub rests_until: Option<Millis>,
    /// Whether the contact opted out.
    pub opted_out: bool,
    /// What the contact is called.
    pub name: Option<String>,
    /// The contact's phone number.
    pub phone: Option<String>,
    /// The contact's metadata.
    pub metadata: BTreeMap<String, String>,
}

/// What one rule would do.
#[derive(Debug, Clone)]
pub struct Tried {
    /// The rule.
    pub id: AutoReplyId,
    /// Its name.
    pub name: String,
    /// Whether it fires, or the first thing that keeps it from that.
    pub why: Why,
    /// Its answer, if it fires; `None` if its template makes no text.
    pub answer: Option<Content>,
}

/// Tries the organisation's rules in their order. Returns `None` if there is no rule `id`.
pub async fn run(
    services: &Services,
    org: OrgId,
    id: AutoReplyId,
    trial: &Trial,
) -> Result<Option<Vec<Tried>>, Fault> {
    let key = services.vault().org_key(org).await?;
    let (own, rules) = {
        let mut conn = services.store().read(org).await?;
        let Some(own) = store::auto_replies::read(&mut conn, org, id).await? else {
            return Ok(None);
        };
        (own, cache::read(&mut conn, &key, org).await?)
    };
    let own = sealed::open(&key, org, &own)?;
    let now = trial.at.unwrap_or_else(|| services.clock().now());
    // A rule of every session is tried with a session of which no other rule knows.
    let session = trial.session.or(own.session);
    let session = session.unwrap_or_else(|| SessionId::new(services.clock()));
    Ok(Some(tried(&rules, trial, (session, now))))
}

fn tried(rules: &[Compiled], trial: &Trial, (session, now): (SessionId, Millis)) -> Vec<Tried> {
    let heard = Heard {
        now,
        sent_at: trial.sent_at.unwrap_or(now),
        session,
        is_answerable: check::TYPES.contains(&trial.kind.as_str()),
        kind: &trial.kind,
        text: trial.text.as_deref().filter(|text| !text.is_empty()),
        is_group: trial.is_group,
        previous: trial.previous,
    };
    let answered = trial.answered_at;
    let chat = Chat {
        opted_out: trial.opted_out,
        rests_until: trial.rests_until,
        looped_at: None,
        person_at: trial.person_at,
        answered: rules
            .iter()
            .filter_map(|rule| Some((rule.id, answered?)))
            .collect(),
    };
    let (mut fired, mut is_stopped) = (0, false);
    let each = rules.iter().map(|rule| {
        let found = rule
            .matches(&heard)
            .and_then(|()| rule.allows(&heard, &chat));
        let why = match found {
            Ok(()) if is_stopped || fired == REPLIES_MAX => Why::Stopped,
            Ok(()) => Why::Fires,
            Err(why) => why,
        };
        if why == Why::Fires {
            fired += 1;
            is_stopped = rule.rule.then == Then::Stop;
        }
        Tried {
            id: rule.id,
            name: rule.rule.name.clone(),
            why,
            answer: (why == Why::Fires).then(|| answer(rule, trial)).flatten(),
        }
    });
    each.collect()
}

fn answer(rule: &Compiled, trial: &Trial) -> Option<Content> {
    let answer = &rule.rule.answer;
    let Some((source, _)) = template_of(answer) else {
        return Some(answer.clone());
    };
    let values = Values {
        message: MessageShown {
            text: trial
                .text
                .as_deref()
                .map(|text| text::beginning(text, TEMPLATE_MAX).to_owned()),
            kind: trial.kind.clone(),
        },
        contact: ContactShown {
            id: None,
            name: trial.name.clone(),
            push_name: trial.name.clone(),
            phone: trial.phone.clone(),
            metadata: trial.metadata.clone(),
        },
    };
    let text = template::render(source, &values).ok()?;
    Some(filled(answer, text))
}

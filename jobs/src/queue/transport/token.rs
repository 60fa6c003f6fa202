//! What travels through Redis: ids, and the generation of the token.

use apalis_core::backend::codec::Codec;
use serde::{Deserialize, Serialize};

use crate::{
    model::token::RowToken, queue::tokens::Travels, store::system::dispatches::Dispatched,
};

const VERSION: u16 = 1;

/// A token. Every field has a default, so that a token of any version decodes: a job that does not
/// decode makes apalis end the worker.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Token {
    v: u16,
    kind: String,
    id: String,
    attempt: i64,
    #[serde(rename = "gen")]
    generation: i64,
    /// The process that pushed it, for the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    trace: Option<String>,
}

impl Token {
    pub(super) fn of<K: Travels>(row: &Dispatched, trace: &str) -> Self {
        Self {
            v: VERSION,
            kind: K::KIND.to_owned(),
            id: row.id.clone(),
            attempt: row.attempts + 1,
            generation: row.generation,
            trace: Some(trace.to_owned()),
        }
    }

    /// Returns what the token says; `None` if it is of another version or kind, or no token at all.
    pub(super) fn known<K: Travels>(&self) -> Option<RowToken<K::Id>> {
        let ours = self.v == VERSION && self.kind == K::KIND;
        let id = self.id.parse().ok().filter(|_| ours)?;
        Some(RowToken {
            id,
            attempts: self.attempt.saturating_sub(1),
            generation: self.generation,
        })
    }

    /// Returns the same key for a repeated push, which makes it one token.
    pub(super) fn idempotency_key(&self) -> String {
        format!("{}:{}:{}", self.id, self.attempt, self.generation)
    }

    pub(super) fn version(&self) -> u16 {
        self.v
    }

    pub(super) fn trace(&self) -> &str {
        self.trace.as_deref().unwrap_or_default()
    }
}

/// JSON that never fails to decode: anything else becomes a token of version 0.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Forgiving;

impl Codec<Token> for Forgiving {
    type Error = serde_json::Error;
    type Compact = Vec<u8>;

    fn encode(&self, token: &Token) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(token)
    }

    fn decode(&self, bytes: &Vec<u8>) -> Result<Token, serde_json::Error> {
        Ok(serde_json::from_slice(bytes).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use passerelle_engine::{clock::Clock, ids::DeliveryId};

    use super::*;
    use crate::webhook::deliver::Deliverer;

    fn decoded(text: &str) -> Token {
        Forgiving.decode(&text.as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn a_token_says_what_was_dispatched() {
        let row = Dispatched {
            id: DeliveryId::new(&Clock::system()).to_string(),
            attempts: 2,
            generation: 5,
            again: false,
        };
        let token = Token::of::<Deliverer>(&row, "boot");
        let wire = String::from_utf8(Forgiving.encode(&token).unwrap()).unwrap();
        assert_eq!(
            wire,
            format!(
                r#"{{"v":1,"kind":"deliver_webhook","id":"{}","attempt":3,"gen":5,"trace":"boot"}}"#,
                row.id
            )
        );
        assert_eq!(decoded(&wire), token);
        assert_eq!(token.idempotency_key(), format!("{}:3:5", row.id));
        let known = token.known::<Deliverer>().unwrap();
        assert_eq!(
            (known.id.to_string(), known.attempts, known.generation),
            (row.id, 2, 5)
        );
    }

    #[test]
    fn whatever_comes_decodes_and_only_what_is_known_is_known() {
        for text in [
            "",
            "\u{1}nonsense",
            "null",
            "[]",
            "7",
            "{}",
            r#"{"v":1}"#,
            r#"{"v":"one","kind":"deliver_webhook"}"#,
            r#"{"v":2,"kind":"deliver_webhook","id":"dlv_01h455vb4pex5vsknk084sn02q","attempt":1,"gen":1}"#,
            r#"{"v":1,"kind":"fetch_media","id":"dlv_01h455vb4pex5vsknk084sn02q","attempt":1,"gen":1}"#,
            r#"{"v":1,"kind":"deliver_webhook","id":"msg_01h455vb4pex5vsknk084sn02q","attempt":1,"gen":1}"#,
        ] {
            assert_eq!(decoded(text).known::<Deliverer>(), None, "{text}");
        }
        let later = r#"{"v":1,"kind":"deliver_webhook","id":"dlv_01h455vb4pex5vsknk084sn02q","attempt":1,"more":[1]}"#;
        assert!(
            decoded(later).known::<Deliverer>().is_some(),
            "fields may be added, and left out"
        );
    }
}

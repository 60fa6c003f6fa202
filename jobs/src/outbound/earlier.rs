//! Idempotency: returns the earlier answer when a request is repeated with its key.

use passerelle_engine::{
    clock::Millis,
    ids::OrgId,
    store::Tx,
    vault::{DataKey, Place},
};
use sqlx::AnyConnection;

use crate::{
    error::Fault,
    outbound::request::{AcceptError, Accepted},
    store,
};

/// An `Idempotency-Key` with its request.
#[derive(Debug, Clone)]
pub struct Idempotency {
    /// The caller's key.
    pub key: String,
    /// Route and body. A different request with the same key is refused.
    pub request: Vec<u8>,
}

/// The label under which an answer is encrypted.
const ANSWER: &str = "idempotency.answer";

/// A key and its request, as they are looked up.
#[derive(Clone, Copy)]
pub(super) struct Macs {
    key: [u8; 32],
    request: [u8; 32],
}

impl Macs {
    pub(super) fn of(key: &DataKey, given: &Idempotency) -> Self {
        Self {
            key: key.mac("idempotency.key", given.key.as_bytes()),
            request: key.mac("idempotency.request", &given.request),
        }
    }

    /// Returns the earlier answer, if there is one.
    pub(super) async fn answered(
        &self,
        conn: &mut AnyConnection,
        org: OrgId,
        key: &DataKey,
    ) -> Result<Option<Accepted>, AcceptError> {
        let Some(earlier) = store::idempotency::find(conn, org, &self.key).await? else {
            return Ok(None);
        };
        if earlier.request_mac != self.request {
            return Err(AcceptError::KeyReused);
        }
        let record = hex::encode(self.key);
        let answer = key.open_json(&Place::of(org, ANSWER, &record), &earlier.answer_sealed);
        let mut accepted: Accepted = answer.map_err(Fault::from)?;
        accepted.replayed = true;
        Ok(Some(accepted))
    }

    /// Stores the answer, for when the request is repeated.
    pub(super) async fn remember(
        &self,
        tx: &mut Tx,
        org: OrgId,
        key: &DataKey,
        accepted: &Accepted,
        now: Millis,
    ) -> Result<(), AcceptError> {
        let record = hex::encode(self.key);
        let answer = key.seal_json(&Place::of(org, ANSWER, &record), accepted);
        let answer = answer.map_err(Fault::from)?;
        let of = (org, accepted.message.session);
        let free =
            store::idempotency::insert(tx, of, &self.key, &self.request, answer, now).await?;
        free.then_some(()).ok_or(AcceptError::KeyInUse)
    }
}

//! What WhatsApp says of messages that were written: acknowledgements and receipts.

use passerelle_engine::whatsapp::event::Receipt;

use super::RunningSession;
use crate::{
    error::Fault,
    host::receipts::{self, StatusUpdate},
    state::in_flight::ServerVerdict,
};

/// The most messages updated in one commit; a receipt may name any number of them.
const RECEIPTS: usize = 100;

impl RunningSession {
    pub(super) async fn acknowledged(
        &self,
        wa_id: String,
        error: Option<u16>,
    ) -> Result<(), Fault> {
        let verdict = error.map_or(ServerVerdict::Taken, ServerVerdict::Refused);
        if self.in_flight.report(&wa_id, verdict) {
            return Ok(());
        }
        self.commit_update(
            vec![wa_id],
            error.map_or(StatusUpdate::Taken, StatusUpdate::Refused),
        )
        .await
    }

    pub(super) async fn receipt(
        &self,
        mut ids: Vec<String>,
        mut receipt: Receipt,
    ) -> Result<(), Fault> {
        let verdict = ServerVerdict::Receipt(receipt.kind, receipt.at);
        if let Some(mut member) = receipt.member.take()
            && let Some(connection) = self.connection()
        {
            member.who = connection.both_names(member.who).await;
            receipt.member = Some(member).filter(|member| !connection.is_me(&member.who));
        }
        // What a member did is stored beside the message, also if the send waits for an answer.
        let is_group = receipt.member.is_some();
        ids.retain(|id| !self.in_flight.report(id, verdict) || is_group);
        self.commit_update(ids, StatusUpdate::Receipt(receipt))
            .await
    }

    async fn commit_update(&self, wa_ids: Vec<String>, update: StatusUpdate) -> Result<(), Fault> {
        self.in_flight.settled(&wa_ids).await;
        for some in wa_ids.chunks(RECEIPTS) {
            if let StatusUpdate::Receipt(receipt) = &update {
                let now = self.services.clock().monotonic();
                self.early.keep(some, receipt, now);
            }
            let stored = self
                .commit_with_retry(|| {
                    receipts::commit(&self.services, &self.lease, some.to_vec(), update.clone())
                })
                .await?;
            self.early.forget(&stored);
        }
        Ok(())
    }
}

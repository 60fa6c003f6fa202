//! The world of a case: one session of one organisation, and what waits for its contacts.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, Result, ensure};
use passerelle_engine::{
    content::{Content, Context, Peer, Phone, SenderNames},
    ids::{MessageId, OrgId, SessionId},
    lease::Lease,
    store::Dialect,
    whatsapp::inbound::{Inbound, InboundSink as _},
};
use sqlx::AssertSqlSafe;

use super::{CONTACTS, How, Step};
use crate::{
    contacts,
    host::{
        claim::Lanes,
        job::SendMessage,
        outcome::{self, Outcome},
    },
    inbound::Inbox,
    model::{Priority, Purpose},
    organisations,
    outbound::{self, recipient::To, request::NewMessage},
    queue::JobSource as _,
    services::Services,
    sessions,
    state::in_flight::ServerVerdict,
    store,
};

/// A message that was accepted and has not ended.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    id: MessageId,
    to: usize,
    priority: Priority,
}

pub(super) struct World<'s> {
    services: &'s Services,
    org: OrgId,
    lease: Lease,
    /// In the order in which they were accepted.
    waiting: Vec<Waiting>,
    said: u32,
}

impl<'s> World<'s> {
    pub(super) async fn start(services: &'s Services) -> Result<Self> {
        let org = organisations::create(services, "Acme").await?.id;
        let session = sessions::create(services, org, "till", sessions::New::default());
        let session = session.await?.id;
        let host = Arc::clone(&services.settings().host);
        let world = Self {
            services,
            org,
            lease: Lease {
                org,
                session,
                host,
                epoch: 1,
            },
            waiting: Vec::new(),
            said: 0,
        };
        let mac = hex::encode(rand::random::<[u8; 32]>());
        for sql in [
            format!(
                "INSERT INTO number (mac, next_at, sent, first_linked_at) VALUES ({}, 0, 0, 1)",
                world.blob(&mac)
            ),
            format!(
                "UPDATE lane SET open_epoch = 1, number_mac = {} WHERE session_id = '{session}'",
                world.blob(&mac)
            ),
            format!("UPDATE lease SET host_id = 'test', epoch = 1 WHERE session_id = '{session}'"),
            format!("UPDATE link SET linked_at = 1 WHERE session_id = '{session}'"),
        ] {
            world.run(sql).await?;
        }
        Ok(world)
    }

    fn blob(&self, hex: &str) -> String {
        match self.services.store().dialect() {
            Dialect::Sqlite => format!("x'{hex}'"),
            Dialect::Postgres => format!("'\\x{hex}'::bytea"),
        }
    }

    async fn run(&self, sql: String) -> Result<()> {
        let done = self.services.store().write_system(move |tx| {
            Box::pin(async move {
                sqlx::query(AssertSqlSafe(sql))
                    .execute(tx.conn())
                    .await
                    .map(drop)
            })
        });
        Ok(done.await?)
    }

    fn session(&self) -> SessionId {
        self.lease.session
    }

    pub(super) async fn take(&mut self, step: Step) -> Result<()> {
        match step {
            Step::Accept { to, priority } => self.accept(to, priority).await,
            Step::Send { how, hears } => self.send(how, hears).await.map(drop),
            Step::Hear { from } => self.hear(from).await,
            Step::Know { to } => self.know(to).await,
            Step::Free { to } => self.free(to).await,
            Step::Ripen { nth } => match self.waiting.get(nth) {
                Some(message) => self.ripen(message.id).await,
                None => Ok(()),
            },
        }
    }

    async fn accept(&mut self, to: usize, priority: Priority) -> Result<()> {
        let phone = To::Phone(phone(to));
        let mut new = NewMessage::of(self.session(), phone, Content::text("hello"));
        // At night such a message goes, too.
        new.purpose = Some(Purpose::Order);
        new.priority = priority;
        let accepted = match outbound::accept(self.services, self.org, new, None).await {
            Ok(accepted) => accepted,
            Err(outbound::AcceptError::QueueFull(_) | outbound::AcceptError::Refused(_)) => {
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        let id = accepted.message.id;
        self.waiting.push(Waiting { id, to, priority });
        // It has thought long enough.
        let sql = format!("UPDATE message SET created_at = created_at - 20000 WHERE id = '{id}'");
        self.run(sql).await
    }

    /// Claims the next message, as if all limits of the number were free.
    async fn claim(&self) -> Result<Option<SendMessage>> {
        let session = self.session();
        for sql in [
            format!(
                "UPDATE lane SET opened_at = 0, next_at = CASE WHEN session_id = '{session}' THEN 0 ELSE 99999999999999 END"
            ),
            "UPDATE number SET state = NULL, next_at = 0".to_owned(),
        ] {
            self.run(sql).await?;
        }
        let claimed = Lanes(self.services.clone()).claim(1).await?;
        Ok(claimed.into_iter().next().map(|(_, job)| job))
    }

    /// Sends the next message. Returns it; `None` if none may go.
    pub(super) async fn send(
        &mut self,
        how: How,
        hears: Option<usize>,
    ) -> Result<Option<MessageId>> {
        let Some(job) = self.claim().await? else {
            return Ok(None);
        };
        let place = self.waiting.iter().position(|one| one.id == job.message);
        let place = place.context("what is claimed waits")?;
        let sent = self.waiting[place];
        let passed = self.waiting[..place]
            .iter()
            .find(|one| one.to == sent.to && one.priority.to_store() >= sent.priority.to_store());
        ensure!(passed.is_none(), "{sent:?} goes before {passed:?}");
        let claimed = outcome::load(self.services, &job).await?;
        let claimed = claimed.context("a claimed message")?;
        if let Some(from) = hears {
            self.hear(from).await?;
        }
        let (wire_at, gap) = (self.services.clock().monotonic(), Duration::ZERO);
        let written = |verdict| Outcome::Written {
            wire_at,
            gap,
            verdict,
            members: None,
        };
        let outcome = match how {
            How::Taken => written(Some(ServerVerdict::Taken)),
            How::PutBack => Outcome::PutBack,
            How::Silence => written(None),
            How::Again => Outcome::Refused {
                wire_at,
                gap,
                code: "whatsapp_463".to_owned(),
                again: Some(Duration::from_mins(1)).filter(|_| claimed.resends == 0),
            },
        };
        let resent = claimed.resends > 0;
        let _ = outcome::settle(self.services, &job, &claimed, &outcome).await;
        if how == How::Taken || resent && how != How::PutBack {
            self.waiting.remove(place);
        }
        Ok(Some(job.message))
    }

    async fn hear(&mut self, from: usize) -> Result<()> {
        self.said += 1;
        let lid = format!("{}", 100_000 + from);
        let jid = format!("{lid}@lid");
        let inbound = Inbound {
            chat: jid.clone(),
            sender: jid,
            own: None,
            id: format!("3A{}", self.said),
            from: Peer {
                phone: Some(phone(from)),
                lid: Some(lid),
            },
            phone_is_derived: false,
            names: SenderNames::default(),
            group: None,
            content: Content::text("hello"),
            context: Context::default(),
            ballot: None,
            remote: None,
            expires_in: None,
            timer: None,
            raw: None,
            at: self.services.clock().now(),
            recovered: false,
        };
        let inbox = Inbox {
            services: self.services.clone(),
            early: Arc::default(),
            lease: self.lease.clone(),
        };
        inbox.commit(vec![inbound]).await.map(drop)?;
        Ok(())
    }

    async fn contact(&self, to: usize) -> Result<Option<String>> {
        let key = self.services.vault().org_key(self.org).await?;
        let mac = contacts::phone_mac(&key, &phone(to));
        let mut conn = self.services.store().read(self.org).await?;
        let known = store::contacts::by_phone(&mut conn, self.org, &mac).await?;
        Ok(known.map(|known| known.id.to_string()))
    }

    async fn know(&self, to: usize) -> Result<()> {
        let two_days = 2 * 24 * 60 * 60 * 1000;
        let at = self.services.clock().now() - two_days;
        let Some(id) = self.contact(to).await? else {
            return Ok(());
        };
        self.run(format!(
            "UPDATE acquaintance SET last_inbound_at = {at} WHERE contact_id = '{id}'"
        ))
        .await
    }

    async fn free(&self, to: usize) -> Result<()> {
        let Some(id) = self.contact(to).await? else {
            return Ok(());
        };
        self.run(format!(
            "UPDATE acquaintance SET unanswered = NULL WHERE contact_id = '{id}'"
        ))
        .await
    }

    async fn ripen(&self, id: MessageId) -> Result<()> {
        self.run(format!(
            "UPDATE message SET send_at = 0 WHERE id = '{id}' AND status = 'queued'"
        ))
        .await
    }

    /// Sends all that waits, as time goes by.
    pub(super) async fn end(mut self) -> Result<()> {
        let mut idle = 0;
        while !self.waiting.is_empty() {
            for to in 0..CONTACTS.len() {
                self.free(to).await?;
            }
            for message in self.waiting.clone() {
                self.ripen(message.id).await?;
            }
            match self.send(How::Taken, None).await? {
                Some(_) => idle = 0,
                None => idle += 1,
            }
            ensure!(idle < 5, "{} messages do not go", self.waiting.len());
        }
        Ok(())
    }
}

fn phone(to: usize) -> Phone {
    Phone::parse(CONTACTS[to]).unwrap()
}

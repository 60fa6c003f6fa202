//! What is ended for a contact who opted out, and what stays.

use passerelle_engine::{
    content::{Content, Context, Peer, Phone},
    ids::ContactId,
};

use super::*;
use crate::{
    contacts, messages,
    model::{
        Direction, Message, OptOutSource, Permission, Priority, Source, client_data::ClientData,
    },
    organisations, sessions,
    settings::MediaSettings,
    store::messages::{Outward, Way, When},
    testing,
};

/// Two pages and more than one transaction.
const MANY: usize = 110;

async fn queue(
    tx: &mut Tx,
    key: &DataKey,
    services: &Services,
    (org, session, contact): (OrgId, SessionId, ContactId),
) -> Result<MessageId, Fault> {
    let place = store::lanes::append(tx, org, session).await?.unwrap();
    let now = services.clock().now();
    let message = Message {
        id: MessageId::new(services.clock()),
        org,
        session,
        direction: Direction::Outbound,
        source: Source::Gateway,
        status: Status::Queued,
        peer: Peer {
            phone: Phone::parse("+4915100000001"),
            lid: None,
        },
        group: None,
        contact: Some(contact),
        content: Content::text("never"),
        context: Context::default(),
        client: ClientData::default(),
        wa_id: format!("3A{}", place.seq),
        error: None,
        expires_in: None,
        created_at: now,
        class: None,
        purpose: None,
        consent: None,
        send_at: None,
        priority: Priority::Normal,
        expires_at: Some(now + 60_000),
        sent_at: None,
        delivered_at: None,
        read_at: None,
        played_at: None,
        edited_at: None,
        deleted_at: None,
    };
    let outward = Outward {
        permission: Permission::default(),
        to_mac: contacts::mac(key, &message.peer),
        contact: Some(contact),
        seq: place.seq,
        when: When {
            send_at: 0,
            expires_at: now + 60_000,
            priority: Priority::Normal,
        },
        way: Way::short(),
    };
    let row = messages::sealed::row(key, &message)?;
    store::messages::insert_outbound(tx, &row, &outward).await?;
    Ok(message.id)
}

async fn contact(
    tx: &mut Tx,
    services: &Services,
    key: &DataKey,
    org: OrgId,
    phone: &str,
) -> Result<ContactId, sqlx::Error> {
    let id = ContactId::new(services.clock());
    let peer = Peer {
        phone: Phone::parse(phone),
        lid: None,
    };
    let first = contacts::first_written_to(key, org, id, &peer);
    store::contacts::write_to(tx, org, id, &first, services.clock().now()).await
}

async fn number(services: &Services, sql: &'static str) -> i64 {
    let mut conn = services.store().read_system().await.unwrap();
    sqlx::query_scalar(sql).fetch_one(&mut *conn).await.unwrap()
}

#[tokio::test]
async fn consent_all_that_is_queued_ends_each_with_its_event_and_nothing_else_does() {
    let folder = tempfile::tempdir().unwrap();
    for url in testing::databases(&folder).await {
        let services = testing::services(&url, MediaSettings::nowhere()).await;
        let org = organisations::create(&services, "Acme").await.unwrap().id;
        let session = async || {
            let made = sessions::create(&services, org, "one", sessions::New::default()).await;
            made.unwrap().id
        };
        let (one, two) = (session().await, session().await);
        let key = services.vault().org_key(org).await.unwrap();
        let inside = services.clone();
        let write = services.store().write(org, move |tx| {
            Box::pin(async move {
                let services = &inside;
                let gone = contact(tx, services, &key, org, "+4915100000001").await?;
                // A spelling that leads to the contact: older messages have its id.
                let spelling = contact(tx, services, &key, org, "+4915100000002").await?;
                let other = contact(tx, services, &key, org, "+4915100000003").await?;
                for _ in 0..MANY {
                    queue(tx, &key, services, (org, one, gone)).await?;
                }
                queue(tx, &key, services, (org, two, spelling)).await?;
                queue(tx, &key, services, (org, two, other)).await?;
                let resent = queue(tx, &key, services, (org, two, gone)).await?;
                store::messages::end(tx, org, resent, (Status::Sending, None), 1).await?;
                store::messages::requeue(tx, org, resent, 1).await?;
                let confirms = queue(tx, &key, services, (org, two, gone)).await?;
                opt_outs::confirms(tx, org, confirms).await?;
                store::contacts::merge_spelling(tx, org, gone, spelling).await?;
                let now = services.clock().now();
                assert!(opt_outs::opt_out(tx, org, gone, OptOutSource::Word, now).await?);
                assert!(!opt_outs::opt_out(tx, org, gone, OptOutSource::Api, now).await?);
                Ok::<_, Fault>(())
            })
        });
        write.await.unwrap();
        look(&services, &CancellationToken::new()).await.unwrap();
        let failed = i64::try_from(MANY).unwrap() + 1;
        for (sql, count) in [
            (
                "SELECT count(*) FROM message WHERE status = 'failed' AND error = 'recipient_opted_out'",
                failed,
            ),
            (
                "SELECT count(*) FROM event WHERE type = 'message.failed'",
                failed,
            ),
            ("SELECT count(*) FROM message WHERE status = 'queued'", 3),
            ("SELECT CAST(sum(pending) AS bigint) FROM lane", 3),
            (
                "SELECT count(*) FROM contact WHERE dequeue_since IS NOT NULL",
                0,
            ),
        ] {
            assert_eq!(number(&services, sql).await, count, "{sql}");
        }
    }
}

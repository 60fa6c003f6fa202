//! What is kept of receipts, whatever their order.

use passerelle_engine::store::Store;

use super::*;
use crate::{
    organisations,
    services::Services,
    sessions,
    settings::MediaSettings,
    store::contacts::{self, Address},
    testing,
};

const GROUP: [u8; 32] = [1; 32];
const SENT: Millis = 5_000;

/// A session, with messages to the group.
struct Sender {
    services: Services,
    of: (OrgId, SessionId),
}

impl Sender {
    async fn start(url: &str) -> Self {
        let services = testing::services(url, MediaSettings::nowhere()).await;
        let org = organisations::create(&services, "Acme").await.unwrap().id;
        let new = sessions::New::default();
        let session = sessions::create(&services, org, "one", new).await.unwrap();
        let of = (org, session.id);
        Self { services, of }
    }

    fn store(&self) -> &Store {
        self.services.store()
    }

    /// Adds a message that was sent to a group with so many members. Its WhatsApp id is its id.
    async fn message(&self, members: Option<i64>) -> MessageId {
        let (id, (org, session)) = (MessageId::new(self.services.clock()), self.of);
        let insert = "INSERT INTO message (id, org_id, session_id, direction, status, kind, wa_id, to_mac, peer_sealed, \
             content_sealed, resends, created_at, sent_at, members) \
             VALUES ($1, $2, $3, 'outbound', 'sent', 'text', $1, $4, $5, $5, 0, 0, $6, $7)";
        let write = self.store().write(org, move |tx| {
            Box::pin(async move {
                let insert = sqlx::query(insert)
                    .bind(id.to_string())
                    .bind(org.to_string())
                    .bind(session.to_string());
                let insert = insert.bind(GROUP.to_vec()).bind(Vec::<u8>::new());
                insert.bind(SENT).bind(members).run(tx).await
            })
        });
        write.await.unwrap();
        id
    }

    async fn keep(&self, id: MessageId, group: [u8; 32], by: u16, did: (Status, Millis)) {
        let mut mac = [0; 32];
        mac[..2].copy_from_slice(&by.to_be_bytes());
        self.keep_of(id, group, (mac, None), did).await;
    }

    /// Stores what a member did, who is found by these two look-up forms.
    async fn keep_of(
        &self,
        id: MessageId,
        group: [u8; 32],
        (mac, phone_mac): ([u8; 32], Option<[u8; 32]>),
        did: (Status, Millis),
    ) {
        let (of, clock) = (self.of, self.services.clock().clone());
        let write = self.store().write(of.0, move |tx| {
            Box::pin(async move {
                let by = MemberRow {
                    mac,
                    phone_mac,
                    sealed: Vec::new(),
                };
                let wa_id = id.to_string();
                let named = [(ReceiptId::new(&clock), wa_id.as_str())];
                keep(tx, of, &group, &named, &by, did).await
            })
        });
        write.await.unwrap();
    }

    async fn rows(&self, id: MessageId) -> Vec<ReceiptRow> {
        let mut conn = self.store().read(self.of.0).await.unwrap();
        let page = Page {
            limit: 100,
            after: None,
        };
        list(&mut conn, self.of.0, id, &page).await.unwrap().items
    }

    async fn members(&self, id: MessageId) -> i64 {
        let mut conn = self.store().read(self.of.0).await.unwrap();
        members(&mut conn, self.of.0, id).await.unwrap()
    }
}

#[tokio::test]
async fn fidelity_a_receipt_never_takes_back_what_is_known() {
    let steps = [
        (Status::Delivered, 6_000),
        (Status::Read, 7_000),
        (Status::Played, 8_000),
    ];
    let folder = tempfile::tempdir().unwrap();
    for url in testing::databases(&folder).await {
        let sender = Sender::start(&url).await;
        for order in [
            [0, 1, 2],
            [0, 2, 1],
            [1, 0, 2],
            [1, 2, 0],
            [2, 0, 1],
            [2, 1, 0],
        ] {
            let id = sender.message(Some(256)).await;
            for step in order {
                sender.keep(id, GROUP, 1, steps[step]).await;
            }
            for (status, at) in steps {
                sender.keep(id, GROUP, 1, (status, at + 1_000)).await;
            }
            let rows = sender.rows(id).await;
            let row = rows.first().unwrap();
            assert_eq!(rows.len(), 1);
            // The first receipt, whatever it says, tells that the message was delivered.
            let first = steps[order[0]].1;
            let known = (row.delivered_at, row.read_at, row.played_at);
            assert_eq!(known, (Some(first), Some(7_000), Some(8_000)), "{order:?}");
        }
        let id = sender.message(Some(256)).await;
        sender.keep(id, GROUP, 1, (Status::Read, SENT - 1)).await;
        let rows = sender.rows(id).await;
        assert_eq!(
            (rows[0].delivered_at, rows[0].read_at),
            (Some(SENT), Some(SENT))
        );
    }
}

#[tokio::test]
async fn fidelity_receipts_are_kept_of_the_members_of_the_messages_group_alone() {
    let did = (Status::Delivered, 6_000);
    let folder = tempfile::tempdir().unwrap();
    for url in testing::databases(&folder).await {
        let sender = Sender::start(&url).await;
        let id = sender.message(Some(MEMBERS_MAX)).await;
        sender.keep(id, [2; 32], 1, did).await;
        assert_eq!(sender.rows(id).await.len(), 0, "of another group");
        let large = sender.message(Some(MEMBERS_MAX + 1)).await;
        sender.keep(large, GROUP, 1, did).await;
        assert_eq!(sender.rows(large).await.len(), 0);
        assert_eq!(sender.members(large).await, MEMBERS_MAX + 1);
        // Nobody knows how many members the group has: the rows tell.
        let unknown = sender.message(None).await;
        for member in 0..600 {
            sender.keep(unknown, GROUP, member, did).await;
            let members = i64::from(member) + 2;
            if members <= ROWS_MAX {
                assert_eq!(sender.members(unknown).await, members);
            }
        }
        assert_eq!(sender.members(unknown).await, ROWS_MAX + 1);
    }
}

/// A member who is named by phone first and by LID later has two rows.
#[tokio::test]
async fn fidelity_a_member_with_two_names_is_listed_once() {
    let folder = tempfile::tempdir().unwrap();
    for url in testing::databases(&folder).await {
        let sender = Sender::start(&url).await;
        let (clock, org) = (sender.services.clock(), sender.of.0);
        let (id, [one, other]) = (
            sender.message(Some(3)).await,
            [(); 2].map(|()| ContactId::new(clock)),
        );
        let (phone, lid) = ([7; 32], [8; 32]);
        let write = sender.store().write(org, move |tx| {
            Box::pin(async move {
                for (id, phone, lid) in [(one, Some(phone), None), (other, None, Some(lid))] {
                    let address = |mac: [u8; 32]| Address {
                        mac,
                        sealed: Vec::new(),
                    };
                    let (phone, lid) = (phone.map(address), lid.map(address));
                    let (phone, lid) = (phone.as_ref(), lid.as_ref());
                    contacts::insert(tx, org, id, phone, lid, (0, None)).await?;
                }
                Ok::<_, sqlx::Error>(())
            })
        });
        write.await.unwrap();
        let by_phone = (Status::Delivered, 6_000);
        sender
            .keep_of(id, GROUP, (phone, Some(phone)), by_phone)
            .await;
        sender
            .keep_of(id, GROUP, (lid, None), (Status::Read, 7_000))
            .await;
        sender.keep(id, GROUP, 1, (Status::Delivered, 8_000)).await;
        let contacts: Vec<_> = sender
            .rows(id)
            .await
            .iter()
            .map(|row| row.contact)
            .collect();
        assert_eq!(contacts, [None, Some(other), Some(one)]);
        // They turn out to be one person, whose spelling keeps its phone.
        let write = sender.store().write(org, move |tx| {
            Box::pin(async move { contacts::merge_spelling(tx, org, other, one).await })
        });
        write.await.unwrap();
        let rows = sender.rows(id).await;
        let contacts: Vec<_> = rows.iter().map(|row| row.contact).collect();
        assert_eq!(contacts, [None, Some(other)]);
        let known = (rows[1].delivered_at, rows[1].read_at);
        assert_eq!(known, (Some(6_000), Some(7_000)));
    }
}

//! Who is recognised among many people, by phone or by LID.

use std::sync::Arc;

use passerelle_engine::content::Phone;

use super::*;
use crate::{contacts::Book, ids::SessionId, organisations, settings::MediaSettings, testing};

fn named(phone: Option<&str>, lid: Option<&str>) -> Peer {
    Peer {
        phone: phone.and_then(Phone::parse),
        lid: lid.map(str::to_owned),
    }
}

#[tokio::test]
async fn a_contact_is_known_by_either_name_and_the_next_owner_of_its_phone_is_not() {
    const ADA: &str = "+491510000002";
    let folder = tempfile::tempdir().unwrap();
    for url in testing::databases(&folder).await {
        let services = testing::services(&url, MediaSettings::nowhere()).await;
        let org = organisations::create(&services, "Acme").await.unwrap().id;
        let other = organisations::create(&services, "Globex").await.unwrap().id;
        let key = services.vault().org_key(org).await.unwrap();
        let (met_by, clock) = (Arc::clone(&key), services.clock().clone());
        let ada = services.store().write(org, move |tx| {
            Box::pin(async move {
                let book = Book {
                    org,
                    key: &met_by,
                    clock: &clock,
                    session: SessionId::new(&clock),
                };
                book.meet(tx, &named(Some(ADA), Some("77"))).await
            })
        });
        let ada = ada.await.unwrap().id;
        // Ada comes last, behind more people than one statement looks up.
        let mut peers: Vec<Peer> = (0..3 * AT_ONCE)
            .map(|n| named(None, Some(&format!("10{n:04}"))))
            .collect();
        peers.push(named(Some(ADA), Some("88")));
        peers.push(named(Some(ADA), None));
        peers.push(named(None, Some("77")));
        let mut conn = services.store().read(org).await.unwrap();
        let found = people(&mut conn, (&key, org), &peers).await.unwrap();
        drop(conn);
        let (strangers, known) = found.split_at(peers.len() - 2);
        assert!(strangers.iter().all(|one| one.contact.is_none()));
        for person in known {
            assert_eq!(person.contact, Some(ada));
            assert!(person.peer == named(Some(ADA), Some("77")));
        }
        let key = services.vault().org_key(other).await.unwrap();
        let mut conn = services.store().read(other).await.unwrap();
        let found = people(&mut conn, (&key, other), &peers).await.unwrap();
        assert!(found.iter().all(|one| one.contact.is_none()));
    }
}

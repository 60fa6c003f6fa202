//! An endpoint is disabled between the claim of a delivery and its attempt.

use super::{receiver::Answer, *};
use crate::{error::Fault, model::endpoint::Disabled, store::system::delivery_claims};

/// Claims what is due. Returns the deliveries of the world's organisation.
async fn claim(world: &World) -> Vec<DeliverWebhook> {
    let (now, org) = (world.clock.now(), world.org);
    let claim = world.store.write_system(move |tx| {
        Box::pin(
            async move { Ok::<_, Fault>(delivery_claims::claim(tx, now, now + 60_000, 64).await?) },
        )
    });
    let claimed = claim.await.unwrap().into_iter();
    let jobs = claimed.map(|(org, delivery)| DeliverWebhook { delivery, org });
    jobs.filter(|job| job.org == org).collect()
}

async fn set_disabled(world: &World, endpoint: EndpointId, is_disabled: bool) {
    let (org, now) = (world.org, world.clock.now());
    let key = world.vault.org_key(org).await.unwrap();
    let mut changed = world.read_endpoint(endpoint).await;
    changed.disabled = is_disabled.then_some((now, Disabled::Requested));
    let write = world.store.write(org, move |tx| {
        Box::pin(async move {
            assert!(endpoints::change::begin(tx, org, endpoint).await?);
            endpoints::change::store(tx, &key, &changed).await
        })
    });
    write.await.unwrap();
}

#[tokio::test]
async fn fidelity_a_delivery_that_was_claimed_before_its_endpoint_was_disabled_waits() {
    for world in worlds().await {
        let mut receiver = Receiver::start(vec![Answer::Status(200)]).await;
        let (endpoint, _) = world.endpoint(&receiver.url, &[]).await;
        world.emit(EventType::MessageSent).await;
        let job = claim(&world).await.remove(0);
        set_disabled(&world, endpoint, true).await;
        world.deliverer().deliver(job.clone()).await.unwrap();
        assert_eq!(receiver.rest().len(), 0);
        let waiting = world.deliveries(Wanted::default()).await;
        assert_eq!(waiting[0].status, DeliveryStatus::Due);
        assert_eq!(waiting[0].attempts, 0);
        assert!(
            claim(&world).await.is_empty(),
            "it is not claimed meanwhile"
        );
        set_disabled(&world, endpoint, false).await;
        let again = claim(&world).await.remove(0);
        assert_eq!(again.delivery, job.delivery);
        world.deliverer().deliver(again).await.unwrap();
        receiver.next().await;
        world.all_stand(DeliveryStatus::Delivered).await;
    }
}

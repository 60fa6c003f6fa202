//! Sessions without end, and sessions that show QR codes: others connect in their turn.

use anyhow::Result;
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use passerelle_tests::{
    Api, Backing, Finished, Setup, World, api::Session, on_both_stores, simulator::Phone, soon,
};
use serde_json::json;

on_both_stores!(
    an_organisation_has_a_limit_of_sessions,
    sessions_that_show_codes_hold_up_no_other_and_each_has_its_turn,
);

const NUMBER: &str = "+4915170000001";
const OTHER: &str = "+4915170000002";

async fn an_organisation_has_a_limit_of_sessions(backing: Backing) -> Result<Finished> {
    let setup = Setup {
        sessions_per_organisation: 2,
        ..Setup::default()
    };
    let world = World::with(backing, setup).await?;
    let noisy = world.admin.tenant("Noisy").await?;
    let body = json!({ "name": "one more" });
    let mut creating: FuturesUnordered<_> =
        (0..8).map(|_| noisy.post("/v1/sessions", &body)).collect();
    let mut made = Vec::new();
    while let Some(reply) = creating.next().await {
        let reply = reply?;
        if reply.status.as_u16() == 201 {
            made.push(reply.into::<Session>(201)?.id);
            continue;
        }
        let refused = (reply.status.as_u16(), reply.code());
        assert_eq!(refused, (429, "session_limit"));
        let detail = reply.body["detail"].as_str().unwrap_or_default();
        assert!(detail.contains("--sessions-per-organisation"), "{detail}");
        assert!(detail.contains("2 sessions"), "{detail}");
    }
    assert_eq!(made.len(), 2, "those at once are counted, too");
    world.api.create_session("front desk").await?;
    let path = format!("/v1/sessions/{}", made[0]);
    assert_eq!(noisy.delete(&path).await?.status.as_u16(), 204);
    noisy.create_session("another").await?;
    world.finish().await
}

/// Returns the sessions in a state.
async fn showing(api: &Api, state: &str) -> Result<Vec<String>> {
    let sessions = api.sessions().await?.into_iter();
    let shown = sessions.filter(|session| session.state == state);
    Ok(shown.map(|session| session.id).collect())
}

async fn sessions_that_show_codes_hold_up_no_other_and_each_has_its_turn(
    backing: Backing,
) -> Result<Finished> {
    let mut world = World::start(backing).await?;
    let session = world.linked(NUMBER).await?.id;
    let noisy = world.admin.tenant("Noisy").await?;
    for _ in 0..12 {
        let one = noisy.create_session("waits for a scan").await?;
        noisy.connect(&one.id).await?;
    }
    world.gateway.stop().await?;
    // The number was linked long ago, and nobody writes to it.
    let aged = "UPDATE link SET linked_at = linked_at - 7200000 WHERE session_id = $1";
    world.gateway.database.execute_on(aged, &session).await?;
    world.gateway.setup.connects_per_second = 1;
    world.gateway.start().await?;
    world.api.session_in(&session, "connected").await?;
    assert!(showing(&noisy, "qr").await?.len() <= 3);
    let shown = soon("three show their codes", async || {
        let shown = showing(&noisy, "qr").await?;
        Ok((shown.len() == 3).then_some(shown))
    });
    let shown = shown.await?;
    assert_eq!(showing(&noisy, "connecting").await?.len(), 9);
    world.simulator.phone(OTHER, Phone::default()).await?;
    let code = noisy.qr(&shown[0]).await?;
    world.simulator.scan(OTHER, &code).await?;
    noisy.session_in(&shown[0], "connected").await?;
    soon("another one shows its code", async || {
        let now = showing(&noisy, "qr").await?;
        let is_new = now.iter().any(|one| !shown.contains(one));
        assert!(now.len() <= 3, "{now:?}");
        Ok(is_new.then_some(()))
    })
    .await?;
    // One that waits can be stopped.
    let waiting = showing(&noisy, "connecting").await?;
    noisy.disconnect(&waiting[0]).await?;
    noisy.session_in(&waiting[0], "stopped").await?;
    world.finish().await
}

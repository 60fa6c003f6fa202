//! What happened to a message, step by step.

use anyhow::Result;
use passerelle_tests::{Backing, Finished, on_every_shape};
use serde_json::{Value, json};

use super::{BOB, Story, id, millis, names};

on_every_shape!(queue_timeline_has_each_step_of_a_message_in_its_order);

async fn queue_timeline_has_each_step_of_a_message_in_its_order(
    backing: Backing,
) -> Result<Finished> {
    let story = Story::start(backing).await?;
    let api = &story.world.api;
    let tomorrow = api.in_seconds(86_400).await?;
    let consent = json!({ "source": "checkout", "proof": "order 1042" });
    let fields = json!({ "purpose": "order", "consent": consent, "send_at": tomorrow });
    let message = story.send(BOB, fields).await?;
    let steps = story.timeline(&message).await?;
    assert_eq!(names(&steps), ["accepted", "waiting"], "{steps:?}");
    assert_eq!(
        (&steps[0]["class"], &steps[0]["purpose"]),
        (&json!("cold"), &json!("order"))
    );
    assert_eq!(steps[0]["consent_id"], message["consent_id"]);
    assert_eq!(
        (&steps[1]["hold"], &steps[1]["until"]),
        (&json!("schedule"), &message["send_at"])
    );
    let path = format!("/v1/messages/{}", id(&message)?);
    let now = json!({ "send_at": null });
    api.patch(&path, &now).await?.into::<Value>(200)?;
    api.message_at(id(&message)?, "read").await?;
    let steps = story.timeline(&message).await?;
    let expected = ["accepted", "claimed", "sent", "delivered", "read"];
    assert_eq!(names(&steps), expected, "{steps:?}");
    let times: Vec<_> = steps
        .iter()
        .map(|step| millis(&step["at"]))
        .collect::<Result<_>>()?;
    assert!(times.is_sorted(), "{times:?}");
    assert!(millis(&steps[1]["send_at"])? >= times[1]);
    // A failure says why.
    let fault =
        json!({ "phone": super::NUMBER, "on": "ack", "do": "nack", "code": 479, "times": 1 });
    story.world.simulator.fault(&fault).await?;
    let refused = story.send(BOB, json!({})).await?;
    api.message_at(id(&refused)?, "failed").await?;
    let steps = story.timeline(&refused).await?;
    assert_eq!(
        names(&steps),
        ["accepted", "claimed", "failed"],
        "{steps:?}"
    );
    let shown = api.whole_message(id(&refused)?).await?;
    assert_eq!(steps[2]["error"], shown["error"]);
    // One that came in.
    let received = story.world.endpoint(&["message.received"]).await?;
    story
        .world
        .simulator
        .say(BOB, super::NUMBER, "Thanks!")
        .await?;
    let told = received.wait_for("message.received", 1).await?;
    let inbound = &told[0].body["data"]["message"];
    assert_eq!(names(&story.timeline(inbound).await?), ["received"]);
    story.world.finish().await
}

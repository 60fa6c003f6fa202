//! Polls and votes.

use serde_json::json;
use waproto::whatsapp::message::PollEncValue;

use super::{BOB, OWN, chat, newest, pair};
use crate::library::jid;

/// Returns the hashes of the options that a vote chose.
fn chosen(vote: &PollEncValue, secret: &[u8], poll: &str, by: &str, voter: &str) -> Vec<Vec<u8>> {
    let cipher = wacore::poll::PollVoteCiphertext {
        enc_payload: vote.enc_payload.as_deref().unwrap(),
        enc_iv: vote.enc_iv.as_deref().unwrap(),
    };
    wacore::poll::decrypt_poll_vote_with_secret(cipher, secret, poll, by, voter).unwrap()
}

#[tokio::test]
async fn a_phone_votes_in_the_library_s_poll() {
    let (sim, mut library) = pair().await;
    let options = ["yes".to_owned(), "no".to_owned()];
    let polls = library.client.polls();
    let (sent, secret) = polls.create(jid(BOB), "Well?", &options, 1).await.unwrap();
    let shown = newest(&sim, 1).await;
    let poll = json!({"name": "Well?", "options": options, "selectable": 1});
    assert_eq!(shown["message"]["poll"], poll);
    let id = sent.message_id;
    let vote = json!({"type": "poll_vote", "target": id, "options": ["no"]});
    sim.say(BOB, OWN, vote).await;
    let got = library.next().await;
    let update = got.message.poll_update_message.as_option().unwrap();
    let vote = update.vote.as_option().unwrap();
    let voter = got.info.source.sender.to_non_ad().to_string();
    let own = library.client.lid().unwrap().to_non_ad().to_string();
    let no = wacore::poll::compute_option_hash("no").to_vec();
    assert_eq!(chosen(vote, &secret, &id, &own, &voter), [no]);
    let odd = json!({"type": "poll_vote", "target": id, "options": ["maybe"]});
    let body = json!({"to": OWN, "message": odd});
    let path = format!("/phones/{BOB}/say");
    assert_eq!(sim.call("POST", &path, Some(body)).await.0, 400);
    library.stop().await;
}

#[tokio::test]
async fn the_library_votes_in_a_phone_s_poll() {
    let (sim, mut library) = pair().await;
    let poll = json!({"type": "poll", "name": "Where?", "options": ["here", "there"]});
    let said = sim.say(BOB, OWN, poll).await;
    let got = library.next().await;
    let secret = got.message.message_context_info.as_option().unwrap();
    let secret = secret.message_secret.clone().unwrap();
    let id = said["id"].as_str().unwrap();
    let creator = got.info.source.sender.to_non_ad();
    let here = ["here".to_owned()];
    let polls = library.client.polls();
    let vote = polls.vote(jid(BOB), id, &creator, &secret, &here);
    vote.await.unwrap();
    let shown = newest(&sim, 1).await;
    assert_eq!(shown["message"]["options"], json!(["here"]), "{shown}");
    let screen = chat(&sim, BOB, OWN).await;
    assert_eq!(screen[0]["votes"], json!({OWN: ["here"]}));
    library.stop().await;
}

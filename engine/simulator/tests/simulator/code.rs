//! Linking by a code, with the library's client code.

use serde_json::json;
use wacore::pair_code::PairCodeUtils;
use wacore_binary::{Node, NodeContent};
use wacore_libsignal::protocol::KeyPair;

use crate::raw::Companion;
use crate::sim::Sim;

/// A device that shows a code.
struct Code {
    text: String,
    ephemeral: KeyPair,
    pairing_ref: Vec<u8>,
}

async fn show_code(companion: &mut Companion, phone: &str) -> Code {
    let text = PairCodeUtils::generate_code();
    let ephemeral = KeyPair::generate(&mut rand::make_rng::<rand::rngs::StdRng>());
    let public = ephemeral.public_key.public_key_bytes().try_into().unwrap();
    let noise = &companion.device.noise_key.public_key;
    let hello = PairCodeUtils::build_companion_hello_iq(
        phone,
        noise.public_key_bytes().try_into().unwrap(),
        &PairCodeUtils::encrypt_ephemeral_pub(&public, &text),
        "1",
        "Chrome (Linux)",
        true,
        "hello".to_owned(),
    );
    companion.expect("iq").await;
    companion.send(hello).await;
    let reply = companion.expect("iq").await;
    let pairing_ref = PairCodeUtils::parse_companion_hello_response(&reply.as_node_ref());
    Code {
        text,
        ephemeral,
        pairing_ref: pairing_ref.expect("a ref"),
    }
}

fn bytes(node: &Node, tag: &str) -> Vec<u8> {
    match &node.get_optional_child(tag).unwrap().content {
        Some(NodeContent::Bytes(bytes)) => bytes.clone(),
        other => panic!("{tag}: {other:?}"),
    }
}

/// Answers as the device when the phone reports that a code was entered.
async fn finish_code(companion: &mut Companion, code: &Code, phone: &str) {
    let notification = companion.expect("notification").await;
    let hello = notification
        .get_optional_child("link_code_companion_reg")
        .unwrap();
    assert_eq!(bytes(hello, "link_code_pairing_ref"), code.pairing_ref);
    let wrapped = bytes(hello, "link_code_pairing_wrapped_primary_ephemeral_pub");
    let primary = PairCodeUtils::decrypt_primary_ephemeral_pub(&wrapped, &code.text).unwrap();
    let identity = bytes(hello, "primary_identity_pub").try_into().unwrap();
    let own = companion.device.identity_key.clone();
    let (bundle, secret) =
        PairCodeUtils::prepare_key_bundle(&code.ephemeral, &primary, &identity, &own).unwrap();
    companion.device.adv_secret_key = secret;
    let finish = PairCodeUtils::build_companion_finish_iq(
        phone,
        bundle,
        own.public_key.public_key_bytes().try_into().unwrap(),
        &code.pairing_ref,
        "finish".to_owned(),
    );
    companion.send(finish).await;
    companion.expect("iq").await;
}

#[tokio::test]
async fn a_code_links_a_device_and_a_wrong_one_does_not() {
    let sim = Sim::start();
    let mut companion = Companion::new(&sim);
    companion.connect().await;
    let digits = "491510000001";
    let code = show_code(&mut companion, digits).await;
    let path = "/phones/+491510000001/enter-code";
    let wrong = Some(json!({ "code": "AAAA-AAAA" }));
    let ((status, reply), ()) = tokio::join!(
        sim.call("POST", path, wrong),
        finish_code(&mut companion, &code, digits)
    );
    assert_eq!(
        (status, &reply["error"]),
        (409, &json!("the code is wrong"))
    );
    let (linked, ()) = tokio::join!(sim.post(path, json!({ "code": code.text })), async {
        finish_code(&mut companion, &code, digits).await;
        companion.sign().await;
    });
    assert_eq!(linked["device"], 1);
    companion.connect().await;
    companion.expect("success").await;
}

//! Linking by a code: the device shows eight characters, and a person enters them on the phone. The
//! cryptography is the phone's side of `wacore::pair_code`.

use anyhow::{Context, anyhow, bail};
use rand::RngExt;
use tokio::sync::oneshot;
use wacore::crypto::hkdf_sha256_into;
use wacore::pair_code::PairCodeUtils;
use wacore_binary::Node;
use wacore_libsignal::crypto::aes_256_gcm_decrypt;
use wacore_libsignal::protocol::{KeyPair, PublicKey};

use crate::certs::raw;
use crate::next_step::NextStep;
use crate::pairing::{linked, offer};
use crate::stanza::{self, el, notification};
use crate::state::address::{Pn, parse_phone};
use crate::state::pairing::LinkedDevice;
use crate::state::pairing::{CodeRequest, EnteredCode};
use crate::state::world::{State, World};

/// Handles a device's `link_code_companion_reg`: its hello or its finish.
pub(crate) fn companion(world: &World, connection: u64, id: &str, node: &Node) -> NextStep {
    let outcome = match stanza::text(node, "stage").as_deref() {
        Some("companion_hello") => hello(world, connection, node)
            .map(|reply| NextStep::Reply(stanza::result(id, vec![reply]))),
        Some("companion_finish") => finish(world, connection, id, node).map(|()| NextStep::Silence),
        _ => None,
    };
    outcome.unwrap_or_else(|| NextStep::Reply(stanza::refusal(id, 400, "bad-request")))
}

fn hello(world: &World, connection: u64, node: &Node) -> Option<Node> {
    let phone = parse_phone(stanza::jid(node, "jid")?.user_base())?;
    let tag = "link_code_pairing_wrapped_companion_ephemeral_pub";
    let wrapped_ephemeral = stanza::child_bytes(node, tag)?;
    let mut state = world.state();
    let pairing_ref: [u8; 16] = state.rng.random();
    let pairing = state.pairings.get_mut(&connection)?;
    pairing.code = Some(CodeRequest {
        phone,
        pairing_ref: pairing_ref.to_vec(),
        wrapped_ephemeral,
        entered: None,
    });
    let reply = el("link_code_pairing_ref").bytes(pairing_ref).build();
    Some(el("link_code_companion_reg").children([reply]).build())
}

/// Enters a code on the phone. Resolves when the device has signed.
pub(crate) async fn enter(world: &World, phone: &Pn, code: &str) -> anyhow::Result<LinkedDevice> {
    let code = code.replace('-', "").to_uppercase();
    if !PairCodeUtils::validate_code(&code) {
        bail!(
            "a code has eight characters from 1-9 and A-Z without I, O and U; a dash is optional"
        );
    }
    let wrapped = {
        let state = world.state();
        let request = newest(&state, phone).and_then(|connection| request(&state, connection));
        let request = request.context("no device shows a code for this phone")?;
        request.wrapped_ephemeral.clone()
    };
    let own = KeyPair::generate(&mut world.state().rng);
    let own_public = raw(&own);
    // Two key derivations of 131,072 rounds would block a runtime thread.
    let opened = tokio::task::spawn_blocking(move || {
        let theirs = PairCodeUtils::decrypt_primary_ephemeral_pub(&wrapped, &code)?;
        let wrapped_own = PairCodeUtils::encrypt_ephemeral_pub(&own_public, &code);
        anyhow::Ok((theirs, wrapped_own))
    });
    let (theirs, wrapped_own) = opened.await??;
    let (done, finished) = oneshot::channel();
    let entered = EnteredCode { own, theirs, done };
    primary_hello(world, phone, entered, &wrapped_own)?;
    let limit = std::time::Duration::from_secs(20);
    let offered = tokio::time::timeout(limit, finished).await;
    let waiting = offered
        .map_err(|_| anyhow!("the device did not answer within 20 s"))?
        .map_err(|_| anyhow!("the device disconnected while it was being linked"))??;
    linked(waiting).await
}

/// Returns the newest connection that shows a code for this phone.
fn newest(state: &State, phone: &Pn) -> Option<u64> {
    let asking = state.pairings.iter().filter(|(_, pairing)| {
        let request = pairing.code.as_ref();
        request.is_some_and(|request| request.phone == *phone)
    });
    asking.map(|(connection, _)| *connection).max()
}

fn request(state: &State, connection: u64) -> Option<&CodeRequest> {
    state.pairings.get(&connection)?.code.as_ref()
}

fn primary_hello(
    world: &World,
    phone: &Pn,
    entered: EnteredCode,
    wrapped_own: &[u8; 80],
) -> anyhow::Result<()> {
    let now = world.clock.seconds();
    let mut state = world.state();
    let account = state.accounts.get(phone).context("no such phone")?;
    let identity = raw(&account.keys.identity);
    let id = state.fresh_id();
    let connection = newest(&state, phone).context("the device has disconnected")?;
    let pairing = state.pairings.get_mut(&connection);
    let pairing = pairing.context("the device has disconnected")?;
    let request = pairing
        .code
        .as_mut()
        .context("the device has disconnected")?;
    let registration = el("link_code_companion_reg")
        .attr("stage", "primary_hello")
        .children([
            el("link_code_pairing_wrapped_primary_ephemeral_pub")
                .bytes(*wrapped_own)
                .build(),
            el("primary_identity_pub").bytes(identity).build(),
            el("link_code_pairing_ref")
                .bytes(request.pairing_ref.clone())
                .build(),
        ])
        .build();
    request.entered = Some(entered);
    let node = notification("link_code_companion_reg", None, id, now);
    pairing.send(node.children([registration]).build());
    Ok(())
}

/// The device has sent its encrypted bundle. Acknowledges it, and signs the device if the bundle
/// can be decrypted.
fn finish(world: &World, connection: u64, id: &str, node: &Node) -> Option<()> {
    let bundle = stanza::child_bytes(node, "link_code_pairing_wrapped_key_bundle")?;
    let companion = stanza::child_key(node, "companion_identity_public")?;
    let mut state = world.state();
    let pairing = state.pairings.get_mut(&connection)?;
    let request = pairing.code.as_mut()?;
    let phone = request.phone.clone();
    let entered = request.entered.take()?;
    pairing.send(stanza::result(id, Vec::new()));
    let identity = state.accounts.get(&phone)?.keys.identity.clone();
    let outcome = open_bundle(&entered, &identity, &companion, &bundle)
        .and_then(|secret| offer(world, &mut state, connection, &phone, &secret));
    let _ = entered.done.send(outcome);
    Some(())
}

/// Returns the secret that both sides derive from the device's bundle.
fn open_bundle(
    entered: &EnteredCode,
    identity: &KeyPair,
    companion: &[u8; 32],
    bundle: &[u8],
) -> anyhow::Result<[u8; 32]> {
    if bundle.len() < 44 {
        bail!("the device's bundle is too short");
    }
    let ephemeral = agree(&entered.own, &entered.theirs)?;
    let mut key = [0; 32];
    let info = b"link_code_pairing_key_bundle_encryption_key";
    hkdf_sha256_into(&ephemeral, Some(&bundle[..32]), info, &mut key)?;
    let nonce = bundle[32..44]
        .try_into()
        .expect("the slice has twelve bytes");
    let mut opened = Vec::new();
    aes_256_gcm_decrypt(&key, &nonce, b"", &bundle[44..], &mut opened)
        .map_err(|_| anyhow!("the code is wrong"))?;
    let (theirs, rest) = opened
        .split_at_checked(32)
        .context("the device's bundle is incomplete")?;
    let (ours, random) = rest
        .split_at_checked(32)
        .context("the device's bundle is incomplete")?;
    if theirs != companion || ours != raw(identity) {
        bail!("the bundle is for another phone or device");
    }
    let shared = agree(identity, companion)?;
    let secret = [&ephemeral[..], &shared, random].concat();
    let mut adv_secret = [0; 32];
    hkdf_sha256_into(&secret, None, b"adv_secret", &mut adv_secret)?;
    Ok(adv_secret)
}

fn agree(own: &KeyPair, theirs: &[u8; 32]) -> anyhow::Result<[u8; 32]> {
    let theirs = PublicKey::from_djb_public_key_bytes(theirs)?;
    Ok(own.calculate_agreement(&theirs)?)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    /// Returns the keys of both sides and a bundle made by the library's client code.
    fn exchange() -> (EnteredCode, KeyPair, KeyPair, Vec<u8>, [u8; 32]) {
        let mut rng = StdRng::seed_from_u64(11);
        let mut pair = || KeyPair::generate(&mut rng);
        let (own, identity, device, device_ephemeral) = (pair(), pair(), pair(), pair());
        let (bundle, secret) = PairCodeUtils::prepare_key_bundle(
            &device_ephemeral,
            &raw(&own),
            &raw(&identity),
            &device,
        )
        .unwrap();
        let (done, _) = oneshot::channel();
        let theirs = raw(&device_ephemeral);
        (
            EnteredCode { own, theirs, done },
            identity,
            device,
            bundle,
            secret,
        )
    }

    #[test]
    fn phone_and_device_derive_the_same_secret() {
        let (entered, identity, device, bundle, secret) = exchange();
        let opened = open_bundle(&entered, &identity, &raw(&device), &bundle).unwrap();
        assert_eq!(opened, secret);
    }

    #[test]
    fn a_wrong_code_opens_nothing() {
        let (mut entered, identity, device, bundle, _) = exchange();
        entered.theirs[3] ^= 1;
        let refused = open_bundle(&entered, &identity, &raw(&device), &bundle).unwrap_err();
        assert_eq!(refused.to_string(), "the code is wrong");
    }
}

//! Links a device: the server offers refs, the phone signs the device, the device signs back.

use std::sync::Arc;

use anyhow::{Context, anyhow, bail};
use rand::RngExt;
use tokio::sync::oneshot;
use wacore::pair::PairUtils;
use wacore_binary::{Jid, Node, Server};
use waproto::buffa::Message;
use waproto::whatsapp::ClientPairingProps;
use waproto::whatsapp::client_payload::DevicePairingRegistrationData;

use crate::stanza::{self, el, notification};
use crate::state::account::LINKED_DEVICES;
use crate::state::address::{Address, Pn};
use crate::state::device::{Device, DeviceConnection, SignedKey};
use crate::state::pairing::{LinkOffer, LinkedDevice, Pairing};
use crate::state::world::{State, World};

/// Refs offered to one connection. Clients show the first for 60 s and the others for 20 s each.
const REFS: usize = 6;

/// Starts pairing on a connection: sends it refs.
pub(crate) fn begin(
    world: &World,
    connection: DeviceConnection,
    noise: [u8; 32],
    data: DevicePairingRegistrationData,
) {
    let mut state = world.state();
    let refs: Vec<String> = (0..REFS).map(|_| fresh_ref(&mut state)).collect();
    let nodes = refs
        .iter()
        .map(|text| el("ref").bytes(text.as_bytes()).build());
    let pair_device = el("pair-device").children(nodes).build();
    let iq = server_iq(state.fresh_id(), world.clock.seconds(), pair_device);
    let pairing = Pairing {
        noise,
        data,
        refs,
        code: None,
        offer: None,
        connection,
    };
    pairing.send(iq);
    state.pairings.insert(pairing.connection.number, pairing);
}

fn fresh_ref(state: &mut State) -> String {
    use base64::Engine;
    let bytes: [u8; 32] = state.rng.random();
    let text = base64::engine::general_purpose::STANDARD.encode(bytes);
    format!("2@{}", text.replace(['+', '/', '='], "x"))
}

fn server_iq(id: String, now: u64, child: Node) -> Node {
    el("iq")
        .attr("from", stanza::server())
        .attr("type", "set")
        .attr("xmlns", "md")
        .attr("id", id)
        .attr("t", now)
        .children([child])
        .build()
}

/// The contents of a QR code.
struct QrCode {
    text_ref: String,
    noise: [u8; 32],
    identity: [u8; 32],
    adv_secret: [u8; 32],
}

fn parse_qr(text: &str) -> anyhow::Result<QrCode> {
    use base64::Engine;
    let (text_ref, noise, identity) = PairUtils::parse_qr_code(text)?;
    let secret = text
        .split(',')
        .nth(3)
        .context("the QR code has no secret")?;
    let secret = base64::engine::general_purpose::STANDARD.decode(secret)?;
    Ok(QrCode {
        text_ref,
        noise,
        identity,
        adv_secret: secret
            .try_into()
            .map_err(|_| anyhow!("the secret in the QR code must have 32 bytes"))?,
    })
}

/// Scans a QR code with the phone. Resolves when the device has signed.
pub(crate) async fn scan(world: &World, phone: &Pn, qr: &str) -> anyhow::Result<LinkedDevice> {
    let qr = parse_qr(qr)?;
    let waiting = {
        let mut state = world.state();
        let found = state.pairings.values().find(|pairing| {
            pairing.refs.contains(&qr.text_ref)
                && pairing.noise == qr.noise
                && pairing.identity() == Some(qr.identity)
        });
        let connection = found
            .context("no device shows this QR code now")?
            .connection
            .number;
        offer(world, &mut state, connection, phone, &qr.adv_secret)?
    };
    linked(waiting).await
}

/// Waits for the device's signature.
pub(crate) async fn linked(
    waiting: oneshot::Receiver<Result<LinkedDevice, String>>,
) -> anyhow::Result<LinkedDevice> {
    let limit = std::time::Duration::from_secs(20);
    match tokio::time::timeout(limit, waiting).await {
        Ok(Ok(Ok(linked))) => Ok(linked),
        Ok(Ok(Err(reason))) => Err(anyhow!(reason)),
        Ok(Err(_)) => Err(anyhow!("the device disconnected while it was being linked")),
        Err(_) => Err(anyhow!("the device did not answer within 20 s")),
    }
}

/// Signs the device behind a connection with the phone's keys and sends `pair-success`.
pub(crate) fn offer(
    world: &World,
    state: &mut State,
    connection: u64,
    phone: &Pn,
    adv_secret: &[u8; 32],
) -> anyhow::Result<oneshot::Receiver<Result<LinkedDevice, String>>> {
    let now = world.clock.seconds();
    let iq = state.fresh_id();
    let pairing = state.pairings.get_mut(&connection);
    let pairing = pairing.context("the device has disconnected")?;
    let identity = pairing.identity().context("the device has no identity")?;
    let account = state.accounts.get_mut(phone).context("no such phone")?;
    if account.devices.len() > LINKED_DEVICES {
        bail!("the phone already has {LINKED_DEVICES} linked devices");
    }
    let number = account.next_device;
    account.next_device += 1;
    let key_index = u32::from(number);
    let (container, signed) =
        account
            .keys
            .sign_device(&identity, key_index, adv_secret, now, &mut state.rng)?;
    let node = pair_success(
        container,
        account.jid(Server::Pn, number),
        account.jid(Server::Lid, number),
    );
    let (done, waiting) = oneshot::channel();
    pairing.offer = Some(LinkOffer {
        iq: iq.clone(),
        address: Address {
            pn: Arc::clone(phone),
            device: number,
        },
        key_index,
        signed,
        done,
    });
    pairing.send(server_iq(iq, now, node));
    Ok(waiting)
}

fn pair_success(container: Vec<u8>, jid: Jid, lid: Jid) -> Node {
    let props = ClientPairingProps {
        is_chat_db_lid_migrated: Some(true),
        ..Default::default()
    };
    el("pair-success")
        .children([
            el("device-identity").bytes(container).build(),
            el("device").attr("jid", jid).attr("lid", lid).build(),
            el("platform").attr("name", "android").build(),
            el("client-props").bytes(props.encode_to_vec()).build(),
        ])
        .build()
}

/// Handles a device's answer to `pair-success`. Returns the last stanza of its connection.
pub(crate) fn answered(world: &World, connection: u64, node: &Node) -> Option<Node> {
    let id = stanza::text(node, "id")?;
    let mut state = world.state();
    let pairing = state.pairings.get_mut(&connection)?;
    if pairing.offer.as_ref()?.iq != id {
        return None;
    }
    let offer = pairing.offer.take()?;
    let answer = node
        .get_optional_child("pair-device-sign")
        .and_then(|sign| stanza::child_bytes(sign, "device-identity"));
    let outcome = accept(world, &mut state, connection, &offer, answer.as_deref());
    drop(state);
    let ended = outcome.is_ok();
    let _ = offer.done.send(outcome.map_err(|error| error.to_string()));
    ended.then(|| stanza::stream_error(515))
}

fn accept(
    world: &World,
    state: &mut State,
    connection: u64,
    offer: &LinkOffer,
    answer: Option<&[u8]>,
) -> anyhow::Result<LinkedDevice> {
    let answer = answer.context("the device refused to be linked")?;
    let pairing = state.pairings.get(&connection).context("no such device")?;
    let identity = pairing.identity().context("the device has no identity")?;
    let account = state.accounts.get_mut(&offer.address.pn);
    let account = account.context("the phone has stopped")?;
    let proof = account.keys.verify_device(&offer.signed, &identity, answer);
    let mut device = Device::new(offer.key_index, Some(pairing.noise));
    device.identity_proof = proof.context("the device's signature is wrong")?;
    device.identity = identity.to_vec();
    device.registration = pairing.data.e_regid.clone().unwrap_or_default();
    device.signed_key = SignedKey {
        id: pairing.data.e_skey_id.clone().unwrap_or_default(),
        value: pairing.data.e_skey_val.clone().unwrap_or_default(),
        signature: pairing.data.e_skey_sig.clone().unwrap_or_default(),
    };
    account.devices.insert(offer.address.device, device);
    let jid = account.jid(Server::Pn, offer.address.device);
    announce(world, state, &offer.address, true);
    Ok(LinkedDevice {
        jid,
        device: offer.address.device,
    })
}

/// Notifies an account's other devices that a device was linked or removed.
pub(crate) fn announce(world: &World, state: &mut State, address: &Address, came: bool) {
    let now = world.clock.seconds();
    let id = state.fresh_id();
    let Some(account) = state.accounts.get_mut(&address.pn) else {
        return;
    };
    let list = el("key-index-list").attr("ts", now);
    let mut device = el("device")
        .attr("jid", account.jid(Server::Pn, address.device))
        .attr("lid", account.jid(Server::Lid, address.device));
    let change = if came {
        device = device.attr("key-index", u32::from(address.device));
        let signed = account.key_index_list(now, &mut state.rng);
        el("add").children([device.build(), list.bytes(signed).build()])
    } else {
        el("remove").children([device.build(), list.build()])
    };
    let from = account.jid(Server::Pn, 0);
    let node = notification("devices", Some(from), id, now)
        .attr("lid", account.jid(Server::Lid, 0))
        .children([change.build()])
        .build();
    account.send_to_devices(&Arc::new(node), Some(address.device), true);
}

/// Removes a device from its account. Its connection is closed with "device removed", and a later
/// login is refused. Returns `false` if the device does not exist.
pub(crate) fn unlink(world: &World, address: &Address) -> bool {
    let mut state = world.state();
    let Some(account) = state.accounts.get_mut(&address.pn) else {
        return false;
    };
    let Some(mut device) = account.devices.remove(&address.device) else {
        return false;
    };
    device.disconnect(Some(stanza::conflict("device_removed")));
    announce(world, &mut state, address, false);
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_qr_gives_up_its_four_secrets_and_a_torn_one_is_refused() {
        use base64::Engine;
        let key = |byte: u8| base64::engine::general_purpose::STANDARD.encode([byte; 32]);
        let qr = parse_qr(&format!("2@ref,{},{},{},7", key(1), key(2), key(3))).unwrap();
        assert_eq!(qr.text_ref, "2@ref");
        assert_eq!((qr.noise, qr.identity), ([1; 32], [2; 32]));
        assert_eq!(qr.adv_secret, [3; 32]);
        assert!(parse_qr(&format!("2@ref,{},{}", key(1), key(2))).is_err());
        assert!(parse_qr("hello").is_err());
    }
}

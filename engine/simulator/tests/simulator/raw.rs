//! A bare client: handshake, pairing and stanzas. It does nothing that the test does not ask for.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_websockets::{ClientBuilder, MaybeTlsStream, Message, WebSocketStream};
use wacore::pair::{DeviceState, PairUtils};
use wacore::store::Device;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::consts::{NOISE_PATTERN_XX, WA_CONN_HEADER};
use wacore_binary::{Jid, Node, NodeContent, NodeValue};
use wacore_libsignal::protocol::KeyPair;
use wacore_noise::{HandshakeUtils, NoiseCipher, NoiseHandshake};
use waproto::buffa::Message as _;
use waproto::whatsapp::ADVSignedDeviceIdentity;

use crate::sim::Sim;

/// Long enough for a busy machine, short enough for a test.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

struct Wire {
    socket: Socket,
    send: NoiseCipher,
    receive: NoiseCipher,
    sent: u32,
    received: u32,
    inbox: VecDeque<Node>,
}

/// A device that does only what the test tells it.
pub(crate) struct Companion {
    url: String,
    pub(crate) device: Device,
    /// The server's certificates from the last handshake.
    pub(crate) chain: Vec<u8>,
    wire: Option<Wire>,
}

impl Companion {
    pub(crate) fn new(sim: &Sim) -> Self {
        Self {
            url: sim.server.ws_url(),
            device: Device::new(),
            chain: Vec::new(),
            wire: None,
        }
    }

    /// Connects and does the handshake: pairs, or logs in if the device is linked.
    pub(crate) async fn connect(&mut self) {
        let client = ClientBuilder::new().uri(&self.url).unwrap();
        let (socket, _) = client.connect().await.unwrap();
        self.shake_hands(socket).await;
    }

    /// Does what [`Self::connect`] does, over an open stream.
    pub(crate) async fn connect_over(&mut self, stream: TcpStream) {
        let client = ClientBuilder::new().uri(&self.url).unwrap();
        let stream = MaybeTlsStream::Plain(stream);
        let (socket, _) = client.connect_on(stream).await.unwrap();
        self.shake_hands(socket).await;
    }

    async fn shake_hands(&mut self, mut socket: Socket) {
        let ephemeral = KeyPair::generate(&mut rand::make_rng::<rand::rngs::StdRng>());
        let public = ephemeral.public_key.public_key_bytes();
        let hello = HandshakeUtils::build_client_hello(public).encode_to_vec();
        let first = [&WA_CONN_HEADER[..], &framed(&hello)].concat();
        socket.send(Message::binary(first)).await.unwrap();
        let reply = socket.next().await.unwrap().unwrap();
        let reply = HandshakeUtils::parse_server_hello(&reply.as_payload()[3..]).unwrap();
        let mut noise = NoiseHandshake::new(NOISE_PATTERN_XX, &WA_CONN_HEADER).unwrap();
        noise.authenticate(public);
        let finish = self.finish(&mut noise, &ephemeral, reply);
        socket.send(Message::binary(framed(&finish))).await.unwrap();
        let (send, receive) = noise.finish().unwrap();
        self.wire = Some(Wire {
            socket,
            send,
            receive,
            sent: 0,
            received: 0,
            inbox: VecDeque::new(),
        });
    }

    fn finish(
        &mut self,
        noise: &mut NoiseHandshake,
        ephemeral: &KeyPair,
        (server, sealed_key, sealed_chain): (Vec<u8>, Vec<u8>, Vec<u8>),
    ) -> Vec<u8> {
        noise.authenticate(&server);
        let secret = ephemeral.private_key.serialize();
        noise.mix_shared_secret(secret, &server).unwrap();
        let server_key = noise.decrypt(&sealed_key).unwrap();
        noise.mix_shared_secret(secret, &server_key).unwrap();
        self.chain = noise.decrypt(&sealed_chain).unwrap();
        let own = &self.device.noise_key;
        let sealed = noise.encrypt(own.public_key.public_key_bytes()).unwrap();
        let secret = own.private_key.serialize();
        noise.mix_shared_secret(secret, &server).unwrap();
        let payload = self.device.get_client_payload().encode_to_vec();
        let payload = noise.encrypt(&payload).unwrap();
        HandshakeUtils::build_client_finish(sealed, payload).encode_to_vec()
    }

    pub(crate) async fn send(&mut self, node: Node) {
        let wire = self.wire.as_mut().expect("connected");
        let plain = wacore_binary::marshal(&node).unwrap();
        let sealed = wire.send.encrypt_with_counter(wire.sent, &plain).unwrap();
        wire.sent += 1;
        wire.socket
            .send(Message::binary(framed(&sealed)))
            .await
            .unwrap();
    }

    /// Returns the next stanza. Returns `None` when the server has closed.
    pub(crate) async fn next(&mut self) -> Option<Node> {
        let wire = self.wire.as_mut().expect("connected");
        if let Some(node) = wire.inbox.pop_front() {
            return Some(node);
        }
        loop {
            let message = tokio::time::timeout(DEADLINE, wire.socket.next()).await;
            let message = message.expect("a stanza in time")?.ok()?;
            if message.is_close() {
                return None;
            }
            if message.is_binary() {
                let mut frame = message.as_payload()[3..].to_vec();
                wire.receive
                    .decrypt_in_place_with_counter(wire.received, &mut frame)
                    .unwrap();
                wire.received += 1;
                let plain = wacore_binary::util::unpack(&frame).unwrap();
                let node = wacore_binary::marshal::unmarshal_ref(&plain).unwrap();
                let node = node.to_owned();
                addresses_are_addresses(&node);
                return Some(node);
            }
        }
    }

    /// Returns whether the server sends nothing and keeps the connection open for this long.
    pub(crate) async fn receives_nothing(&mut self, long: Duration) -> bool {
        tokio::time::timeout(long, self.next()).await.is_err()
    }

    /// Returns the next stanza with this tag and skips others.
    pub(crate) async fn expect(&mut self, tag: &str) -> Node {
        loop {
            let node = self.next().await;
            let node = node.unwrap_or_else(|| panic!("closed while waiting for <{tag}>"));
            if node.tag == tag {
                return node;
            }
        }
    }

    /// Returns everything until the server closes.
    pub(crate) async fn rest(&mut self) -> Vec<Node> {
        let mut nodes = Vec::new();
        while let Some(node) = self.next().await {
            nodes.push(node);
        }
        nodes
    }

    /// Asks the server and waits for the answer.
    pub(crate) async fn ask(&mut self, xmlns: &str, kind: &str, child: Node) -> Node {
        self.ask_to("s.whatsapp.net", xmlns, kind, vec![child])
            .await
    }

    /// Sends a request to an address and waits for the answer.
    pub(crate) async fn ask_to(
        &mut self,
        to: &str,
        xmlns: &str,
        kind: &str,
        children: Vec<Node>,
    ) -> Node {
        let id = format!("q{}", self.wire.as_ref().unwrap().sent);
        let iq = NodeBuilder::new("iq")
            .attr("to", to.parse::<Jid>().unwrap())
            .attr("type", kind.to_owned())
            .attr("xmlns", xmlns.to_owned())
            .attr("id", id.clone())
            .children(children);
        self.send(iq.build()).await;
        let mut passed = Vec::new();
        loop {
            let node = self.next().await.expect("an answer");
            if node.tag == "iq" && attr(&node, "id") == id {
                let wire = self.wire.as_mut().unwrap();
                wire.inbox.extend(passed);
                return node;
            }
            passed.push(node);
        }
    }

    /// Returns what arrived while it waited for an answer.
    pub(crate) fn passed(&self) -> &VecDeque<Node> {
        &self.wire.as_ref().expect("connected").inbox
    }

    /// Returns the first QR code that the server offers.
    pub(crate) async fn qr(&mut self) -> String {
        let offer = self.expect("iq").await;
        let list = offer.get_optional_child("pair-device").expect("refs");
        let Some(NodeContent::Bytes(text)) = &list.children().unwrap()[0].content else {
            panic!("no ref");
        };
        let text = String::from_utf8(text.clone()).unwrap();
        let client =
            wacore::companion_reg::companion_web_client_type_for_props(&self.device.device_props);
        PairUtils::make_qr_data(&self.state(), &text, client)
    }

    fn state(&self) -> DeviceState {
        DeviceState {
            identity_key: self.device.identity_key.clone(),
            noise_key: self.device.noise_key.clone(),
            adv_secret_key: self.device.adv_secret_key,
        }
    }

    /// Answers the phone's `pair-success`. The server then closes the connection.
    pub(crate) async fn sign(&mut self) {
        let iq = self.expect("iq").await;
        let success = iq.get_optional_child("pair-success").expect("pair-success");
        let device = success.get_optional_child("device").unwrap();
        self.device.pn = device.attrs.get("jid").unwrap().to_jid();
        self.device.lid = device.attrs.get("lid").unwrap().to_jid();
        let node = success.as_node_ref();
        let identity = PairUtils::extract_device_identity_bytes(&node).unwrap();
        let (signed, index) = PairUtils::do_pair_crypto(&self.state(), identity).unwrap();
        self.device.account = Some(
            ADVSignedDeviceIdentity::decode_from_slice(&signed)
                .unwrap()
                .into(),
        );
        let answer = PairUtils::build_pair_success_response(&attr(&iq, "id"), signed, index);
        self.send(answer).await;
        let last = self.expect("stream:error").await;
        assert_eq!(attr(&last, "code"), "515");
        assert!(self.next().await.is_none(), "the server hangs up after 515");
    }

    /// Becomes active. Returns the queued stanzas without the markers around them.
    pub(crate) async fn go_active(&mut self) -> Vec<Node> {
        let active = NodeBuilder::new("active").build();
        self.ask("passive", "set", active).await;
        let mut waited = Vec::new();
        loop {
            let node = self.next().await.expect("the end of what waited");
            match node.get_optional_child("offline") {
                Some(end) if node.tag == "ib" => {
                    assert_eq!(attr(end, "count"), waited.len().to_string());
                    return waited;
                }
                _ if node.tag == "ib" => {}
                _ => waited.push(node),
            }
        }
    }

    /// Uploads keys for sessions with this device, one one-time key among them.
    pub(crate) async fn upload_keys(&mut self) {
        let device = &self.device;
        let part =
            |tag: &'static str, bytes: &[u8]| NodeBuilder::new(tag).bytes(bytes.to_vec()).build();
        let id = |id: u32| part("id", &id.to_be_bytes()[1..]);
        let key = |pair: &KeyPair| part("value", pair.public_key.public_key_bytes());
        let one_time = KeyPair::generate(&mut rand::make_rng::<rand::rngs::StdRng>());
        let one_time = NodeBuilder::new("key").children([id(1), key(&one_time)]);
        let signed = NodeBuilder::new("skey").children([
            id(device.signed_pre_key_id),
            key(&device.signed_pre_key),
            part("signature", &device.signed_pre_key_signature),
        ]);
        let identity = device.identity_key.public_key.public_key_bytes();
        let keys = vec![
            part("registration", &device.registration_id.to_be_bytes()),
            part("type", &[5]),
            part("identity", identity),
            NodeBuilder::new("list")
                .children([one_time.build()])
                .build(),
            signed.build(),
        ];
        self.ask_to("s.whatsapp.net", "encrypt", "set", keys).await;
    }

    /// Drops the connection without a close frame.
    pub(crate) fn drop_connection(&mut self) {
        self.wire = None;
    }

    /// Acknowledges a stanza.
    pub(crate) async fn acknowledge(&mut self, node: &Node) {
        let ack = NodeBuilder::new("ack")
            .attr("class", node.tag.to_string())
            .attr("id", attr(node, "id"))
            .attr("to", attr(node, "from"));
        self.send(ack.build()).await;
    }

    /// Sends a message whose ciphertext cannot be decrypted.
    pub(crate) async fn send_message(&mut self, to: &str, id: &str) {
        self.send_message_with(to, id, None).await;
    }

    /// Does what [`Self::send_message`] does, with one more child in the stanza.
    pub(crate) async fn send_message_with(&mut self, to: &str, id: &str, more: Option<Node>) {
        let to = Jid::pn(to.trim_start_matches('+'));
        let enc = NodeBuilder::new("enc")
            .attr("v", "2")
            .attr("type", "msg")
            .bytes([0x33; 40]);
        let copy = NodeBuilder::new("to")
            .attr("jid", &to)
            .children([enc.build()]);
        let participants = NodeBuilder::new("participants").children([copy.build()]);
        let message = NodeBuilder::new("message")
            .attr("to", to)
            .attr("id", id.to_owned())
            .attr("type", "text")
            .children([participants.build()].into_iter().chain(more));
        self.send(message.build()).await;
    }
}

pub(crate) fn attr(node: &Node, key: &str) -> String {
    let value = node.attrs.get(key);
    value.map_or_else(String::new, |value| value.as_str().into_owned())
}

/// Checks that no attribute holds an address as text. Some clients ignore such a stanza.
fn addresses_are_addresses(node: &Node) {
    for (key, value) in node.attrs.iter() {
        if let NodeValue::String(text) = value {
            let address = text.contains('.') && text.parse::<Jid>().is_ok();
            assert!(!address, "{key} is text in {node:?}");
        }
    }
    for child in node.children().unwrap_or_default() {
        addresses_are_addresses(child);
    }
}

fn framed(payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], payload].concat()
}

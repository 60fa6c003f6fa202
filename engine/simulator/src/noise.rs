//! The server's side of WhatsApp's Noise handshakes: XX, IK, and XXfallback if an IK hello used
//! another server key. It takes bytes and returns bytes; it does no I/O.

use anyhow::{Context, bail};
use rand::rngs::StdRng;
use wacore_binary::consts::{
    NOISE_PATTERN_IK, NOISE_PATTERN_XX, NOISE_PATTERN_XXFALLBACK, WA_CONN_HEADER,
};
use wacore_libsignal::protocol::KeyPair;
use wacore_noise::{NoiseCipher, NoiseHandshake};
use waproto::buffa::{Message, MessageField};
use waproto::whatsapp::HandshakeMessage;
use waproto::whatsapp::handshake_message::{ClientHello, ServerHello};

use crate::certs::{NoiseIdentity, raw};

/// A completed handshake.
pub(crate) struct SecureChannel {
    /// The client's static Noise key. A login compares it with the key stored at pairing.
    pub(crate) client_key: [u8; 32],
    /// The encoded `ClientPayload`.
    pub(crate) payload: Vec<u8>,
    /// Decrypts frames from the client.
    pub(crate) receive: FrameCipher,
    /// Encrypts frames for the client.
    pub(crate) send: FrameCipher,
}

/// The answer to the client's hello.
pub(crate) enum HandshakeReply {
    /// IK: the hello contained everything.
    Done {
        reply: Vec<u8>,
        secured: Box<SecureChannel>,
    },
    /// XX or XXfallback: the client must send one more message.
    More {
        reply: Vec<u8>,
        half: Box<PendingHandshake>,
    },
}

/// An XX handshake that waits for `ClientFinish`.
pub(crate) struct PendingHandshake {
    noise: NoiseHandshake,
    ephemeral: KeyPair,
}

/// The cipher of one direction: AES-256-GCM with a counter as nonce.
pub(crate) struct FrameCipher {
    cipher: NoiseCipher,
    counter: u32,
}

impl FrameCipher {
    fn new(cipher: NoiseCipher) -> Self {
        Self { cipher, counter: 0 }
    }

    /// Encrypts the payload of one frame.
    pub(crate) fn seal(&mut self, plain: &[u8]) -> anyhow::Result<Vec<u8>> {
        let sealed = self.cipher.encrypt_with_counter(self.counter, plain)?;
        self.counter = self
            .counter
            .checked_add(1)
            .context("the frame counter is exhausted")?;
        Ok(sealed)
    }

    /// Decrypts the payload of one frame.
    pub(crate) fn open(&mut self, mut sealed: Vec<u8>) -> anyhow::Result<Vec<u8>> {
        self.cipher
            .decrypt_in_place_with_counter(self.counter, &mut sealed)?;
        self.counter = self
            .counter
            .checked_add(1)
            .context("the frame counter is exhausted")?;
        Ok(sealed)
    }
}

/// Answers a client's first frame.
pub(crate) fn answer(
    frame: &[u8],
    identity: &NoiseIdentity,
    rng: &mut StdRng,
) -> anyhow::Result<HandshakeReply> {
    let hello = HandshakeMessage::decode_from_slice(frame)
        .context("decoding the hello")?
        .client_hello
        .into_option()
        .context("the handshake message has no client hello")?;
    let client = hello
        .ephemeral
        .clone()
        .context("the hello has no ephemeral key")?;
    if hello.r#static.is_none() {
        return xx(NOISE_PATTERN_XX, &client, identity, rng);
    }
    match ik(&hello, &client, identity, rng) {
        Ok(done) => Ok(done),
        Err(_) => xx(NOISE_PATTERN_XXFALLBACK, &client, identity, rng),
    }
}

fn xx(
    pattern: &str,
    client: &[u8],
    identity: &NoiseIdentity,
    rng: &mut StdRng,
) -> anyhow::Result<HandshakeReply> {
    let ephemeral = KeyPair::generate(rng);
    let mut noise = NoiseHandshake::new(pattern, &WA_CONN_HEADER)?;
    noise.authenticate(client);
    noise.authenticate(&raw(&ephemeral));
    noise.mix_shared_secret(ephemeral.private_key.serialize(), client)?;
    let sealed_static = noise.encrypt(&raw(&identity.key))?;
    noise.mix_shared_secret(identity.key.private_key.serialize(), client)?;
    let sealed_chain = noise.encrypt(&identity.chain)?;
    let reply = server_hello(&ephemeral, Some(sealed_static), sealed_chain);
    Ok(HandshakeReply::More {
        reply,
        half: Box::new(PendingHandshake { noise, ephemeral }),
    })
}

fn ik(
    hello: &ClientHello,
    client: &[u8],
    identity: &NoiseIdentity,
    rng: &mut StdRng,
) -> anyhow::Result<HandshakeReply> {
    let sealed_static = hello
        .r#static
        .as_deref()
        .context("the handshake message has no static key")?;
    let sealed_payload = hello
        .payload
        .as_deref()
        .context("the handshake message has no payload")?;
    let mut noise = NoiseHandshake::new(NOISE_PATTERN_IK, &WA_CONN_HEADER)?;
    noise.authenticate(&raw(&identity.key));
    noise.authenticate(client);
    noise.mix_shared_secret(identity.key.private_key.serialize(), client)?;
    let client_key = key(&noise.decrypt(sealed_static)?)?;
    noise.mix_shared_secret(identity.key.private_key.serialize(), &client_key)?;
    let payload = noise.decrypt(sealed_payload)?;

    let ephemeral = KeyPair::generate(rng);
    noise.authenticate(&raw(&ephemeral));
    noise.mix_shared_secret(ephemeral.private_key.serialize(), client)?;
    noise.mix_shared_secret(ephemeral.private_key.serialize(), &client_key)?;
    let sealed_chain = noise.encrypt(&identity.chain)?;
    Ok(HandshakeReply::Done {
        reply: server_hello(&ephemeral, None, sealed_chain),
        secured: Box::new(secured(noise, client_key, payload)?),
    })
}

impl PendingHandshake {
    /// Completes the handshake with the client's second message.
    pub(crate) fn finish(mut self, frame: &[u8]) -> anyhow::Result<SecureChannel> {
        let finish = HandshakeMessage::decode_from_slice(frame)
            .context("decoding the finish")?
            .client_finish
            .into_option()
            .context("the handshake message has no client finish")?;
        let sealed_static = finish
            .r#static
            .context("the handshake message has no static key")?;
        let client_key = key(&self.noise.decrypt(&sealed_static)?)?;
        self.noise
            .mix_shared_secret(self.ephemeral.private_key.serialize(), &client_key)?;
        let payload = self.noise.decrypt(
            &finish
                .payload
                .context("the handshake message has no payload")?,
        )?;
        secured(self.noise, client_key, payload)
    }
}

fn secured(
    noise: NoiseHandshake,
    client_key: [u8; 32],
    payload: Vec<u8>,
) -> anyhow::Result<SecureChannel> {
    let (from_client, to_client) = noise.finish()?;
    Ok(SecureChannel {
        client_key,
        payload,
        receive: FrameCipher::new(from_client),
        send: FrameCipher::new(to_client),
    })
}

fn server_hello(ephemeral: &KeyPair, sealed_static: Option<Vec<u8>>, payload: Vec<u8>) -> Vec<u8> {
    HandshakeMessage {
        server_hello: MessageField::some(ServerHello {
            ephemeral: Some(raw(ephemeral).to_vec()),
            r#static: sealed_static,
            payload: Some(payload),
            ..Default::default()
        }),
        ..Default::default()
    }
    .encode_to_vec()
}

fn key(bytes: &[u8]) -> anyhow::Result<[u8; 32]> {
    match bytes.try_into() {
        Ok(key) => Ok(key),
        Err(_) => bail!("a Noise key has 32 bytes, got {}", bytes.len()),
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use wacore_noise::{HandshakeUtils, IkHandshakeState, IkServerHelloOutcome};

    use super::*;

    fn identity(seed: u64) -> NoiseIdentity {
        NoiseIdentity::generate(1_800_000_000, &mut StdRng::seed_from_u64(seed)).unwrap()
    }

    #[test]
    fn a_resumed_handshake_needs_one_round_trip() {
        let (server, mut rng) = (identity(1), StdRng::seed_from_u64(7));
        let client = KeyPair::generate(&mut rng);
        let mut state = IkHandshakeState::new(
            client.clone(),
            raw(&server.key),
            b"login".to_vec(),
            &WA_CONN_HEADER,
        )
        .unwrap();
        let hello = state.build_client_hello().unwrap();
        let HandshakeReply::Done { reply, mut secured } =
            answer(&hello, &server, &mut rng).unwrap()
        else {
            panic!("a hello for this server's key was not accepted");
        };
        assert_eq!(secured.payload, b"login");
        assert_eq!(secured.client_key, raw(&client));
        let IkServerHelloOutcome::Continue(done) = state.read_server_hello(&reply).unwrap() else {
            panic!("the client fell back");
        };
        let frame = done.write_cipher.encrypt_with_counter(0, b"ping").unwrap();
        assert_eq!(secured.receive.open(frame).unwrap(), b"ping");
    }

    #[test]
    fn a_hello_for_another_server_key_falls_back() {
        let (server, stranger) = (identity(1), identity(2));
        let mut rng = StdRng::seed_from_u64(8);
        let client = KeyPair::generate(&mut rng);
        let mut state = IkHandshakeState::new(
            client.clone(),
            raw(&stranger.key),
            b"login".to_vec(),
            &WA_CONN_HEADER,
        )
        .unwrap();
        let hello = state.build_client_hello().unwrap();
        let HandshakeReply::More { reply, half } = answer(&hello, &server, &mut rng).unwrap()
        else {
            panic!("a hello for a stranger's key was accepted");
        };
        let IkServerHelloOutcome::Fallback(inputs) = state.read_server_hello(&reply).unwrap()
        else {
            panic!("the client did not fall back");
        };
        let ephemeral = inputs.ephemeral_kp;
        let finish = finish_as_client(NOISE_PATTERN_XXFALLBACK, &ephemeral, &client, &reply);
        let secured = half.finish(&finish).unwrap();
        assert_eq!(secured.payload, b"login");
        assert_eq!(secured.client_key, raw(&client));
    }

    #[test]
    fn a_first_handshake_takes_two_flights() {
        let (server, mut rng) = (identity(1), StdRng::seed_from_u64(9));
        let (ephemeral, client) = (KeyPair::generate(&mut rng), KeyPair::generate(&mut rng));
        let hello = HandshakeUtils::build_client_hello(&raw(&ephemeral)).encode_to_vec();
        let HandshakeReply::More { reply, half } = answer(&hello, &server, &mut rng).unwrap()
        else {
            panic!("a hello without a key was accepted as a login");
        };
        let finish = finish_as_client(NOISE_PATTERN_XX, &ephemeral, &client, &reply);
        assert_eq!(half.finish(&finish).unwrap().client_key, raw(&client));
    }

    /// Runs the initiator's side of XX, without the check against WhatsApp's root key.
    fn finish_as_client(
        pattern: &str,
        ephemeral: &KeyPair,
        own: &KeyPair,
        reply: &[u8],
    ) -> Vec<u8> {
        let (server_ephemeral, sealed_static, sealed_chain) =
            HandshakeUtils::parse_server_hello(reply).unwrap();
        let mut noise = NoiseHandshake::new(pattern, &WA_CONN_HEADER).unwrap();
        noise.authenticate(&raw(ephemeral));
        noise.authenticate(&server_ephemeral);
        let secret = ephemeral.private_key.serialize();
        noise.mix_shared_secret(secret, &server_ephemeral).unwrap();
        let server_static = noise.decrypt(&sealed_static).unwrap();
        noise.mix_shared_secret(secret, &server_static).unwrap();
        noise.decrypt(&sealed_chain).unwrap();
        let sealed_own = noise.encrypt(&raw(own)).unwrap();
        noise
            .mix_shared_secret(own.private_key.serialize(), &server_ephemeral)
            .unwrap();
        let payload = noise.encrypt(b"login").unwrap();
        HandshakeUtils::build_client_finish(sealed_own, payload).encode_to_vec()
    }

    #[test]
    fn a_sealed_frame_opens_only_in_its_place() {
        let mut out = FrameCipher::new(NoiseCipher::new(&[7; 32]).unwrap());
        let mut back = FrameCipher::new(NoiseCipher::new(&[7; 32]).unwrap());
        let (first, second) = (out.seal(b"one").unwrap(), out.seal(b"two").unwrap());
        assert!(back.open(second.clone()).is_err());
        assert_eq!(back.open(first).unwrap(), b"one");
        assert_eq!(back.open(second).unwrap(), b"two");
    }
}

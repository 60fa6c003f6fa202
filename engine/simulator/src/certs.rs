//! The keys that identify the simulator: a Noise certificate chain and a TLS certificate. Both are
//! made at start and never stored.

use std::sync::Arc;

use anyhow::Context;
use rand::rngs::StdRng;
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use wacore_libsignal::protocol::KeyPair;
use waproto::buffa::{Message, MessageField};
use waproto::whatsapp::CertChain;
use waproto::whatsapp::cert_chain::NoiseCertificate;
use waproto::whatsapp::cert_chain::noise_certificate::Details;

/// Ten years on either side of now. Clients reuse a chain (Noise IK) only while it is valid.
const VALID_SECONDS: u64 = 10 * 365 * 24 * 3600;

/// The server's static Noise key and the certificate chain that signs it.
pub(crate) struct NoiseIdentity {
    /// The static key that every handshake uses.
    pub(crate) key: KeyPair,
    /// An encoded `CertChain`: a leaf for `key`, and an intermediate certificate signed by `root`.
    pub(crate) chain: Vec<u8>,
    /// Public half of the root key. A client must trust it in place of WhatsApp's.
    pub(crate) root: [u8; 32],
}

impl NoiseIdentity {
    /// Generates the root, the intermediate and the leaf certificate.
    pub(crate) fn generate(now: u64, rng: &mut StdRng) -> anyhow::Result<Self> {
        let root = KeyPair::generate(rng);
        let intermediate = KeyPair::generate(rng);
        let key = KeyPair::generate(rng);
        let chain = CertChain {
            intermediate: MessageField::some(certificate(1, 0, &intermediate, &root, now, rng)?),
            leaf: MessageField::some(certificate(2, 1, &key, &intermediate, now, rng)?),
        };
        Ok(Self {
            chain: chain.encode_to_vec(),
            root: raw(&root),
            key,
        })
    }
}

fn certificate(
    serial: u32,
    issuer_serial: u32,
    subject: &KeyPair,
    issuer: &KeyPair,
    now: u64,
    rng: &mut StdRng,
) -> anyhow::Result<NoiseCertificate> {
    let details = Details {
        serial: Some(serial),
        issuer_serial: Some(issuer_serial),
        key: Some(raw(subject).to_vec()),
        not_before: Some(now.saturating_sub(VALID_SECONDS)),
        not_after: Some(now + VALID_SECONDS),
    }
    .encode_to_vec();
    let signature = issuer.calculate_signature(&details, rng)?;
    Ok(NoiseCertificate {
        details: Some(details),
        signature: Some(signature.to_vec()),
    })
}

/// Returns the 32 bytes of a public key, without Signal's type byte.
pub(crate) fn raw(pair: &KeyPair) -> [u8; 32] {
    pair.public_key
        .public_key_bytes()
        .try_into()
        .expect("a Curve25519 public key has 32 bytes")
}

/// The hosts in the TLS certificate: loopback, and WhatsApp's hosts for clients that can be given a
/// proxy but no address.
const HOSTS: [&str; 5] = [
    "localhost",
    "127.0.0.1",
    "whatsapp.net",
    "*.whatsapp.net",
    "*.whatsapp.com",
];

/// A self-signed TLS certificate for loopback and WhatsApp's hosts.
pub(crate) struct Tls {
    /// The certificate as PEM, for clients that want to trust it.
    pub(crate) pem: String,
    /// The configuration for the TLS acceptor.
    pub(crate) config: Arc<ServerConfig>,
}

impl Tls {
    /// Generates the certificate.
    pub(crate) fn generate() -> anyhow::Result<Self> {
        let names = HOSTS.map(str::to_owned).to_vec();
        let made = rcgen::generate_simple_self_signed(names).context("making the certificate")?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .context("choosing TLS versions")?
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .context("loading the certificate")?;
        Ok(Self {
            pem: made.cert.pem(),
            config: Arc::new(config),
        })
    }
}

//! Standard Webhooks 1.0: secrets, and the three headers of an attempt.
//! <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>

use base64::{Engine as _, engine::general_purpose::STANDARD};
use passerelle_engine::{clock::Millis, ids::EventId};
use rand::CryptoRng;
use reqwest::header::{HeaderMap, HeaderValue};
use standardwebhooks::{
    HEADER_WEBHOOK_ID, HEADER_WEBHOOK_SIGNATURE, HEADER_WEBHOOK_TIMESTAMP, Webhook,
};

/// Bytes of a secret; the specification asks for 24 to 64.
const SECRET_BYTES: usize = 32;

/// Returns a new secret as the receiver is shown it: `whsec_` and standard base64.
pub fn new_secret(chance: &mut impl CryptoRng) -> String {
    let mut secret = [0; SECRET_BYTES];
    chance.fill_bytes(&mut secret);
    format!("whsec_{}", STANDARD.encode(secret))
}

/// Returns the headers of an attempt made `now`. During a rotation there are two secrets and so two
/// signatures, separated by a space; a receiver accepts if one of them is its own.
pub fn headers(
    secrets: &[impl AsRef<str>],
    event: EventId,
    now: Millis,
    body: &[u8],
) -> anyhow::Result<HeaderMap> {
    let (id, seconds) = (event.to_string(), now / 1000);
    let signatures = secrets
        .iter()
        .map(|secret| Ok(Webhook::new(secret.as_ref())?.sign(&id, seconds, body)?))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let mut headers = HeaderMap::new();
    headers.insert(HEADER_WEBHOOK_ID, HeaderValue::from_str(&id)?);
    headers.insert(HEADER_WEBHOOK_TIMESTAMP, seconds.into());
    let signature = HeaderValue::from_str(&signatures.join(" "))?;
    headers.insert(HEADER_WEBHOOK_SIGNATURE, signature);
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use hmac::{Hmac, KeyInit as _, Mac as _};
    use passerelle_engine::clock::Clock;
    use rand::{SeedableRng as _, rngs::StdRng};
    use sha2::Sha256;

    use super::*;

    const BODY: &[u8] = br#"{"type":"message.received","data":{"text":"gr\u00fc\u00dfe"}}"#;

    fn secrets(n: usize) -> Vec<String> {
        let mut chance = StdRng::seed_from_u64(7);
        (0..n).map(|_| new_secret(&mut chance)).collect()
    }

    #[test]
    fn the_signature_is_the_specifications_own_formula() {
        let (clock, secrets) = (Clock::system(), secrets(1));
        let event = EventId::new(&clock);
        let headers = headers(&secrets, event, 1_700_000_000_999, BODY).unwrap();
        let key = STANDARD.decode(&secrets[0]["whsec_".len()..]).unwrap();
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
        mac.update(format!("{event}.1700000000.").as_bytes());
        mac.update(BODY);
        let signature = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
        assert_eq!(headers["webhook-signature"], signature);
        assert_eq!(headers["webhook-timestamp"], "1700000000");
        assert_eq!(headers["webhook-id"], event.to_string());
    }

    #[test]
    fn during_a_rotation_either_secret_verifies_and_no_other() {
        let (clock, secrets) = (Clock::system(), secrets(3));
        let made = headers(&secrets[..2], EventId::new(&clock), clock.now(), BODY).unwrap();
        for secret in &secrets[..2] {
            Webhook::new(secret).unwrap().verify(BODY, &made).unwrap();
        }
        let other = Webhook::new(&secrets[2]).unwrap();
        assert!(other.verify(BODY, &made).is_err());
        let own = Webhook::new(&secrets[0]).unwrap();
        assert!(own.verify(b"{}", &made).is_err(), "another body");
    }

    #[test]
    fn a_secret_has_32_bytes_of_its_own() {
        let secrets = secrets(2);
        assert_ne!(secrets[0], secrets[1]);
        let bytes = STANDARD.decode(secrets[0].strip_prefix("whsec_").unwrap());
        assert_eq!(bytes.unwrap().len(), 32);
    }
}

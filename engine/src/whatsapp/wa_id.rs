//! WhatsApp's message ids.

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use sha2::{Digest as _, Sha256};

/// Maximum length of a message id that is stored unchanged, in bytes. WhatsApp's clients use 20 to
/// 32.
const ID_MAX: usize = 128;

/// Makes a message id in the form that WhatsApp's web client uses: `3EB0` and 18 upper-case
/// hexadecimal digits.
pub fn new_wa_id(rng: &mut impl rand::Rng) -> String {
    let mut random = [0; 9];
    rng.fill_bytes(&mut random);
    random
        .iter()
        .fold(String::from("3EB0"), |id, byte| id + &format!("{byte:02X}"))
}

/// Returns the id to store. The sender's client chooses a message's id, so it may be one that a
/// database cannot store or find again; then its digest is used.
pub(super) fn storable(id: &str) -> String {
    let plain = (1..=ID_MAX).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic());
    if plain {
        return id.to_owned();
    }
    digest(id)
}

/// Returns the id of a call, as it can be stored and written into a path. The caller's client chooses it.
pub(super) fn in_path(id: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    if id.bytes().all(is_plain) {
        return storable(id);
    }
    digest(id)
}

fn digest(id: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(id))
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    #[test]
    fn an_id_looks_like_the_web_clients_own_and_never_repeats() {
        let mut rng = rand::rngs::StdRng::seed_from_u64(1);
        let ids: std::collections::HashSet<_> = (0..1000).map(|_| new_wa_id(&mut rng)).collect();
        assert_eq!(ids.len(), 1000);
        for id in ids {
            let hex = id.strip_prefix("3EB0").unwrap();
            assert_eq!(hex.len(), 18);
            assert!(hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'A'..=b'F')));
        }
    }

    #[test]
    fn an_id_that_no_database_takes_is_known_by_its_digest() {
        assert_eq!(storable("3EB0C0FFEE"), "3EB0C0FFEE");
        for bad in ["", "a\0b", "a b", "ä", &"x".repeat(129)] {
            let kept = storable(bad);
            assert_eq!(kept.len(), 43, "{bad:?} became {kept}");
            assert_eq!(kept, storable(bad));
        }
        assert_ne!(storable("a\0b"), storable("a\0c"));
    }

    #[test]
    fn the_id_of_a_call_can_be_written_into_a_path() {
        assert_eq!(in_path("A0F3-c2d1_E4"), "A0F3-c2d1_E4");
        for bad in ["", "a/b", "../a", "a%2Fb", "a?b", &"x".repeat(129)] {
            assert_eq!(in_path(bad).len(), 43, "{bad:?}");
        }
    }
}

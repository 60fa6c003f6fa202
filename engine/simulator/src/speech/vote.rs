//! Poll votes: hashes of the chosen options, encrypted with the poll's secret (wacore 0.7.0,
//! `secret_enc_addon`; Baileys 7.0.0-rc14, `decryptPollVote`).

use sha2::{Digest, Sha256};
use waproto::buffa::Message as _;
use waproto::whatsapp::message::{PollEncValue, PollVoteMessage};

use crate::addon::{self, IV};

/// The poll, its creator and the voter, which the encryption binds. Addresses have no device.
#[derive(Clone, Debug)]
pub(crate) struct Ballot {
    pub(crate) poll: String,
    pub(crate) creator: String,
    pub(crate) voter: String,
}

impl Ballot {
    fn info(&self) -> Vec<u8> {
        format!("{}{}{}Poll Vote", self.poll, self.creator, self.voter).into_bytes()
    }

    fn bound(&self) -> Vec<u8> {
        format!("{}\0{}", self.poll, self.voter).into_bytes()
    }

    /// Encrypts a vote for these options.
    pub(crate) fn seal(&self, secret: &[u8], iv: [u8; IV], options: &[String]) -> PollEncValue {
        let hashes = options.iter().map(|option| hash(option));
        let vote = PollVoteMessage {
            selected_options: hashes.collect(),
        };
        let plain = vote.encode_to_vec();
        let sealed = addon::seal(secret, &self.info(), &self.bound(), iv, &plain);
        PollEncValue {
            enc_payload: Some(sealed),
            enc_iv: Some(iv.to_vec()),
        }
    }

    /// Returns the options that were voted for. Returns `None` if the vote is not for this ballot.
    pub(crate) fn open(
        &self,
        secret: &[u8],
        vote: &PollEncValue,
        options: &[String],
    ) -> Option<Vec<String>> {
        let iv = vote.enc_iv.as_deref()?;
        let sealed = vote.enc_payload.as_deref()?;
        let plain = addon::open(secret, &self.info(), &self.bound(), iv, sealed)?;
        let vote = PollVoteMessage::decode_from_slice(&plain).ok()?;
        let chosen = options
            .iter()
            .filter(|option| vote.selected_options.iter().any(|one| *one == hash(option)));
        Some(chosen.cloned().collect())
    }
}

fn hash(option: &str) -> Vec<u8> {
    Sha256::digest(option.as_bytes()).to_vec()
}

#[cfg(test)]
mod tests {
    use wacore::poll::{PollVoteCiphertext, compute_option_hash, decrypt_poll_vote_with_secret};

    use super::*;

    #[test]
    fn the_library_opens_a_vote_and_nobody_else_s() {
        let ballot = Ballot {
            poll: "3EB0A".to_owned(),
            creator: "1@lid".to_owned(),
            voter: "2@lid".to_owned(),
        };
        let options = ["yes".to_owned(), "no".to_owned()];
        let sealed = ballot.seal(&[3; 32], [4; IV], &options[1..]);
        assert_eq!(
            ballot.open(&[3; 32], &sealed, &options),
            Some(vec!["no".to_owned()])
        );
        let cipher = PollVoteCiphertext {
            enc_payload: sealed.enc_payload.as_deref().unwrap(),
            enc_iv: sealed.enc_iv.as_deref().unwrap(),
        };
        let theirs = decrypt_poll_vote_with_secret(cipher, &[3; 32], "3EB0A", "1@lid", "2@lid");
        assert_eq!(theirs.unwrap(), [compute_option_hash("no").to_vec()]);
        let other = Ballot {
            voter: "3@lid".to_owned(),
            ..ballot
        };
        assert_eq!(other.open(&[3; 32], &sealed, &options), None);
    }
}

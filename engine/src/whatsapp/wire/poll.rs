//! Polls and votes. A vote names its options by digest. It is encrypted under a key that is derived
//! from the poll's secret and from the JIDs of the poll's maker and the voter.

use wacore::poll::{PollVoteCiphertext, compute_option_hash, decrypt_poll_vote_with_secret};
use whatsapp_rust::{
    buffa::MessageField,
    waproto::whatsapp::{
        ContextInfo, Message,
        message::{
            PollCreationMessage, PollUpdateMessage, poll_creation_message::Option as Choice,
        },
    },
};

use crate::{content::Poll, sealed::sealed_debug};

/// Built as in whatsapp-rust 0.7.0 (`features/polls.rs`): polls with a single choice use another
/// field.
pub(super) fn message(poll: &Poll, beside: Option<ContextInfo>) -> Message {
    let choice = |name: &String| Choice {
        option_name: Some(name.clone()),
        option_hash: None,
    };
    let creation = MessageField::some(PollCreationMessage {
        name: Some(poll.question.clone()),
        options: poll.options.iter().map(choice).collect(),
        selectable_options_count: Some(poll.selectable_count),
        context_info: beside.into(),
        ..Default::default()
    });
    if poll.selectable_count == 1 {
        return Message {
            poll_creation_message_v3: creation,
            ..Default::default()
        };
    }
    Message {
        poll_creation_message: creation,
        ..Default::default()
    }
}

/// The most options that are read. A phone offers twelve.
const OPTIONS_MAX: usize = 64;

/// Reads the poll of a message, of any version: version 4 is another one in a wrapper. WhatsApp writes "any
/// number of choices" as 0. Returns `None` if it has too many options.
pub(super) fn read(message: &Message) -> Option<Poll> {
    let fields = [
        &message.poll_creation_message,
        &message.poll_creation_message_v2,
        &message.poll_creation_message_v3,
        &message.poll_creation_message_v5,
        &message.poll_creation_message_v6,
    ];
    let creation = fields.into_iter().find_map(|field| field.as_option())?;
    if creation.options.len() > OPTIONS_MAX {
        return None;
    }
    let mut options: Vec<String> = Vec::new();
    for name in creation
        .options
        .iter()
        .filter_map(|one| one.option_name.clone())
    {
        if !options.contains(&name) {
            options.push(name);
        }
    }
    let all = u32::try_from(options.len()).unwrap_or(u32::MAX);
    let count = creation.selectable_options_count.unwrap_or(0);
    Some(Poll {
        question: creation.name.clone().unwrap_or_default(),
        selectable_count: if count == 0 { all } else { count.min(all) },
        options,
    })
}

/// An encrypted vote.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct SealedVote {
    /// WhatsApp's id of the poll message.
    poll: String,
    payload: Vec<u8>,
    iv: Vec<u8>,
}

impl SealedVote {
    pub(super) fn of(update: &PollUpdateMessage) -> Option<Self> {
        let vote = update.vote.as_option()?;
        let key = update.poll_creation_message_key.as_option()?;
        Some(Self {
            poll: key.id.clone()?,
            payload: vote.enc_payload.clone()?,
            iv: vote.enc_iv.clone()?,
        })
    }

    /// Adds the JIDs that the poll's maker and the voter may have in the chat: both phones, or both
    /// LIDs.
    pub(crate) fn between(self, names: Vec<(String, String)>) -> Ballot {
        Ballot { vote: self, names }
    }
}

/// An encrypted vote. Only the poll's secret is still needed to open it.
#[derive(Clone, PartialEq, Eq)]
pub struct Ballot {
    vote: SealedVote,
    names: Vec<(String, String)>,
}

impl Ballot {
    /// Returns the chosen options of the poll. Returns `None` if this is not the poll's secret.
    pub fn open(&self, secret: &[u8; 32], options: &[String]) -> Option<Vec<String>> {
        let chosen = self.names.iter().find_map(|(maker, voter)| {
            let sealed = PollVoteCiphertext {
                enc_payload: &self.vote.payload,
                enc_iv: &self.vote.iv,
            };
            decrypt_poll_vote_with_secret(sealed, secret, &self.vote.poll, maker, voter).ok()
        })?;
        let is_chosen = |name: &&String| {
            let digest = compute_option_hash(name);
            chosen.iter().any(|one| one.as_slice() == digest)
        };
        Some(options.iter().filter(is_chosen).cloned().collect())
    }
}

sealed_debug!(Ballot);

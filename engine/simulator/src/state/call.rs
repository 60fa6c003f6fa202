//! Calls between accounts, as the caller's phone remembers them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use wacore_binary::{Jid, Server};

use super::address::{Address, Pn};
use super::group::GroupId;

/// The most calls that are remembered. Beyond it the oldest is forgotten.
const REMEMBERED: usize = 1000;

/// What became of a call at one of the accounts that are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Its devices ring.
    None,
    /// This device accepted.
    Accepted(u16),
    /// It is over there.
    Over,
}

/// A call.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) id: String,
    /// The device that calls. It is a phone.
    pub(crate) caller: Address,
    /// How the caller is named: by LID or by phone number.
    pub(crate) server: Server,
    pub(crate) video: bool,
    /// How many seconds ago the server takes the offer.
    pub(crate) age: u64,
    pub(crate) group: Option<GroupId>,
    pub(crate) called: BTreeMap<Pn, Answer>,
}

impl Call {
    /// Returns the address of the group that is called, if it is one.
    pub(crate) fn group_jid(&self) -> Option<Jid> {
        self.group.as_ref().map(|id| Jid::group(&**id))
    }
}

/// The calls that are remembered, oldest first.
#[derive(Default)]
pub(crate) struct Calls(VecDeque<Call>);

impl Calls {
    /// Remembers a call.
    pub(crate) fn begin(&mut self, call: Call) {
        if self.0.len() == REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back(call);
    }

    /// Returns a call.
    pub(crate) fn find(&self, id: &str) -> Option<&Call> {
        self.0.iter().find(|call| call.id == id)
    }

    /// Records what became of a call at one account. Returns what was known before; `None` if the account is not
    /// called.
    pub(crate) fn answer(&mut self, id: &str, by: &Pn, answer: Answer) -> Option<Answer> {
        let call = self.0.iter_mut().find(|call| call.id == id)?;
        let known = call.called.get_mut(by)?;
        Some(std::mem::replace(known, answer))
    }
}

/// Returns the devices of an account that hear that a call is over, of those that it has.
pub(crate) fn told(answer: Answer, by: &Pn, devices: impl Iterator<Item = u16>) -> Vec<Address> {
    let devices = devices.filter(|device| match answer {
        Answer::None => true,
        Answer::Accepted(answering) => *device == answering,
        Answer::Over => false,
    });
    let address = |device| Address {
        pn: Arc::clone(by),
        device,
    };
    devices.map(address).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(id: &str) -> Call {
        let caller = Address {
            pn: "491510000001".into(),
            device: 0,
        };
        Call {
            id: id.to_owned(),
            caller,
            server: Server::Lid,
            video: false,
            age: 0,
            group: None,
            called: [("491510000002".into(), Answer::None)].into(),
        }
    }

    #[test]
    fn a_call_is_answered_once_and_the_oldest_is_forgotten() {
        let mut calls = Calls::default();
        calls.begin(call("A"));
        let bob: Pn = "491510000002".into();
        assert_eq!(
            calls.answer("A", &bob, Answer::Accepted(2)),
            Some(Answer::None)
        );
        assert_eq!(
            calls.answer("A", &bob, Answer::Over),
            Some(Answer::Accepted(2))
        );
        assert_eq!(calls.answer("A", &"1".into(), Answer::Over), None);
        for n in 0..REMEMBERED {
            calls.begin(call(&n.to_string()));
        }
        assert!(calls.find("A").is_none() && calls.find("0").is_some());
    }

    #[test]
    fn who_hears_of_the_end_is_who_rings_or_speaks() {
        let bob: Pn = "491510000002".into();
        let told = |answer| {
            let told = told(answer, &bob, [0, 1, 2].into_iter());
            told.into_iter().map(|one| one.device).collect::<Vec<_>>()
        };
        assert_eq!(told(Answer::None), [0, 1, 2]);
        assert_eq!(told(Answer::Accepted(1)), [1]);
        assert!(told(Answer::Over).is_empty());
    }
}

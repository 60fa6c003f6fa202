//! Faults: what tests tell the server to do wrong.

use parking_lot::{Mutex, MutexGuard};

use serde::{Deserialize, Serialize};

/// The step that a fault applies to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FaultPoint {
    /// The acknowledgement of a message that the server accepted.
    Ack,
    /// A message frame that was just read, before it is delivered.
    Message,
    /// A login.
    Login,
    /// An upload to the media server.
    Upload,
    /// A download from the media server.
    Download,
}

/// What a fault does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FaultAction {
    /// Wait `delay_ms` first.
    Delay,
    /// Do nothing and answer nothing.
    Drop,
    /// Refuse with `code` and deliver nothing.
    Nack,
    /// Cut the connection without an answer.
    Cut,
    /// Refuse the login with `reason`, `code` and `expire`.
    Refuse,
    /// Deliver the frame twice.
    Duplicate,
    /// Send one wrong byte.
    Corrupt,
}

/// A fault, as the control API takes it.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fault {
    /// The account whose linked devices it applies to. `None` for all.
    #[serde(default)]
    pub(crate) phone: Option<String>,
    /// The step it applies to.
    pub(crate) on: FaultPoint,
    /// What it does.
    #[serde(rename = "do")]
    pub(crate) action: FaultAction,
    /// The `error` of a nack or the status of a refused transfer, default 500. For a refused login,
    /// its `code`.
    #[serde(default)]
    pub(crate) code: Option<u16>,
    /// Milliseconds of a delay, at most 600,000.
    #[serde(default)]
    pub(crate) delay_ms: u64,
    /// How often it applies. `None`: until it is deleted.
    #[serde(default)]
    pub(crate) times: Option<u32>,
    /// The `reason` of a refused login, default 401.
    #[serde(default)]
    pub(crate) reason: Option<u16>,
    /// The `expire` of a refused login, in seconds.
    #[serde(default)]
    pub(crate) expire: Option<u64>,
}

/// The most active faults.
const LARGEST: usize = 1000;

#[derive(Default)]
struct ActiveFaults {
    list: Vec<(u64, Fault)>,
    last: u64,
}

/// The active faults.
#[derive(Default)]
pub(crate) struct Faults {
    active: Mutex<ActiveFaults>,
}

impl Faults {
    /// Adds a fault and returns its id.
    pub(crate) fn add(&self, fault: Fault) -> Result<u64, &'static str> {
        fault.check()?;
        let mut active = self.active();
        if active.list.len() >= LARGEST {
            return Err("at most 1000 faults can be active");
        }
        active.last += 1;
        let id = active.last;
        active.list.push((id, fault));
        Ok(id)
    }

    /// Removes a fault. Returns `false` if it is not active.
    pub(crate) fn remove(&self, id: u64) -> bool {
        let mut active = self.active();
        let before = active.list.len();
        active.list.retain(|(known, _)| *known != id);
        active.list.len() < before
    }

    /// Removes all faults.
    pub(crate) fn clear(&self) {
        self.active().list.clear();
    }

    /// Returns the oldest fault that applies here and counts it down.
    pub(crate) fn trigger(&self, phone: &str, on: FaultPoint) -> Option<Fault> {
        let mut active = self.active();
        let at = active.list.iter().position(|(_, fault)| {
            fault.on == on && fault.phone.as_deref().is_none_or(|wanted| wanted == phone)
        })?;
        let fault = active.list[at].1.clone();
        match &mut active.list[at].1.times {
            Some(times) if *times <= 1 => {
                active.list.remove(at);
            }
            Some(times) => *times -= 1,
            None => {}
        }
        Some(fault)
    }

    fn active(&self) -> MutexGuard<'_, ActiveFaults> {
        self.active.lock()
    }
}

impl Fault {
    fn check(&self) -> Result<(), &'static str> {
        let fits = match self.on {
            FaultPoint::Login => matches!(
                self.action,
                FaultAction::Refuse | FaultAction::Delay | FaultAction::Drop | FaultAction::Cut
            ),
            FaultPoint::Ack => matches!(
                self.action,
                FaultAction::Nack | FaultAction::Delay | FaultAction::Drop | FaultAction::Cut
            ),
            FaultPoint::Message => self.action != FaultAction::Refuse,
            FaultPoint::Upload => matches!(
                self.action,
                FaultAction::Nack | FaultAction::Delay | FaultAction::Drop | FaultAction::Cut
            ),
            FaultPoint::Download => {
                !matches!(self.action, FaultAction::Refuse | FaultAction::Duplicate)
            }
        };
        if !fits {
            return Err("this `do` is not possible with this `on`");
        }
        if self.delay_ms > 600_000 {
            return Err("delay_ms must be at most 600000");
        }
        if self.times == Some(0) {
            return Err("times must be at least 1");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nack(phone: Option<&str>, times: Option<u32>) -> Fault {
        Fault {
            phone: phone.map(str::to_owned),
            on: FaultPoint::Ack,
            action: FaultAction::Nack,
            code: Some(463),
            delay_ms: 0,
            times,
            reason: None,
            expire: None,
        }
    }

    #[test]
    fn a_fault_strikes_as_often_as_it_was_told_and_only_its_phone() {
        let faults = Faults::default();
        faults.add(nack(Some("+1"), Some(2))).unwrap();
        assert!(faults.trigger("+2", FaultPoint::Ack).is_none());
        assert!(faults.trigger("+1", FaultPoint::Message).is_none());
        assert!(faults.trigger("+1", FaultPoint::Ack).is_some());
        assert!(faults.trigger("+1", FaultPoint::Ack).is_some());
        assert!(faults.trigger("+1", FaultPoint::Ack).is_none());
    }

    #[test]
    fn a_fault_without_a_count_lasts_until_it_is_lifted() {
        let faults = Faults::default();
        let id = faults.add(nack(None, None)).unwrap();
        assert!((0..10).all(|_| faults.trigger("+1", FaultPoint::Ack).is_some()));
        assert!(faults.remove(id));
        assert!(!faults.remove(id));
        assert!(faults.trigger("+1", FaultPoint::Ack).is_none());
    }

    #[test]
    fn what_cannot_happen_at_a_step_is_refused() {
        let fault = Fault {
            on: FaultPoint::Login,
            ..nack(None, None)
        };
        assert!(Faults::default().add(fault).is_err());
    }
}

//! Messages that WhatsApp refuses with 463. It has two causes: the number may not open new chats for some time, or the
//! recipient takes no messages of strangers. What the message becomes depends on which one it is.

use std::time::Duration;

use passerelle_engine::whatsapp::Connection;

use crate::{
    error::Fault,
    host::{
        addressee::NOT_ON_WHATSAPP,
        job::SendMessage,
        outcome::{Claimed, Outcome},
        session::health::ask_timelock,
        verdict::refusal,
    },
    model::{Class, Message},
    number_health,
    safety::health::{Health, Signal},
    services::Services,
    state::{in_flight::ServerVerdict, registry::Running},
    store,
};

/// WhatsApp's code of these refusals.
const CODE: u16 = 463;
/// The error code of a message that the number may not send before its lock ends.
pub(crate) const TIMELOCKED: &str = "reachout_timelocked";
/// The error code of a message to somebody who takes no messages of strangers.
pub(crate) const PRIOR_CONTACT: &str = "recipient_requires_prior_contact";
/// How long a message to somebody who wrote before waits until it is sent once more. WhatsApp may give the number a new
/// privacy token in this time.
const AGAIN: Duration = Duration::from_mins(1);

/// Records what the outcome says about the number, and finds out what a refusal means for the message. If that fails, the
/// message fails with WhatsApp's own code.
pub(super) async fn explain(
    services: &Services,
    running: &Running,
    job: &SendMessage,
    claimed: &Claimed,
    outcome: Outcome,
) -> Outcome {
    let explained = match &outcome {
        Outcome::Failed(code) if code == NOT_ON_WHATSAPP => {
            let signal = Signal::NotOnWhatsapp(recipient(services, &claimed.message));
            let stored = number_health::signal(services, &running.lease, vec![signal]).await;
            stored.map(|()| None)
        }
        Outcome::Written {
            wire_at,
            gap,
            verdict: Some(ServerVerdict::Refused(CODE)),
            ..
        } if claimed.message.group.is_none() => {
            let refused = find_out(services, running, claimed).await;
            refused.map(|(code, again)| {
                Some(Outcome::Refused {
                    wire_at: *wire_at,
                    gap: *gap,
                    code,
                    again,
                })
            })
        }
        _ => Ok(None),
    };
    match explained {
        Ok(explained) => explained.unwrap_or(outcome),
        Err(fault) => {
            tracing::warn!(message.id = %job.message, error = %fault, "what a refusal says about the number was not stored");
            outcome
        }
    }
}

/// Returns the code that the message fails with, and after which time it is sent once more instead.
async fn find_out(
    services: &Services,
    running: &Running,
    claimed: &Claimed,
) -> Result<(String, Option<Duration>), Fault> {
    let message = &claimed.message;
    let class = class(services, message).await?;
    let health = number_health::read(services, message.session).await?;
    let health = health.unwrap_or_default();
    let (is_locked, mut signals) = match &running.connection {
        Some(connection) => is_locked(services, connection, &health).await,
        None => (false, Vec::new()),
    };
    signals.push(Signal::Refused {
        who: recipient(services, message),
        is_cold: class == Class::Cold,
        is_locked,
    });
    number_health::signal(services, &running.lease, signals).await?;
    if is_locked {
        return Ok((TIMELOCKED.to_owned(), None));
    }
    if class == Class::Cold {
        return Ok((PRIOR_CONTACT.to_owned(), None));
    }
    metrics::counter!("passerelle_warm_refusals_total").increment(1);
    let again = (claimed.resends == 0).then_some(AGAIN);
    Ok((refusal(message, CODE), again))
}

/// Returns whether the number is under a time-lock. WhatsApp is asked if it was not asked often.
async fn is_locked(
    services: &Services,
    connection: &Connection,
    health: &Health,
) -> (bool, Vec<Signal>) {
    let now = services.clock().now();
    let asked = ask_timelock(connection, health, now).await;
    let answer = asked.iter().find_map(|signal| match signal {
        Signal::Timelock(lock) => Some(lock),
        _ => None,
    });
    let known = answer.or(health.figures.timelock.as_ref());
    let is_locked = known.is_some_and(|lock| lock.holds(now));
    (is_locked, asked)
}

/// Returns how well the number knows the recipient now. Who wrote since the message was accepted is no stranger any more.
async fn class(services: &Services, message: &Message) -> Result<Class, Fault> {
    let Some(contact) = message.contact else {
        return Ok(Class::Cold);
    };
    let mut conn = services.store().read(message.org).await?;
    let (org, session) = (message.org, message.session);
    let known = store::acquaintances::read(&mut conn, org, session, contact).await?;
    let at_accept = store::messages::class(&mut conn, org, message.id).await?;
    let last_inbound_at = known.and_then(|known| known.last_inbound_at);
    let has_token = at_accept.is_some_and(|class| class != Class::Cold);
    Ok(Class::of(
        last_inbound_at,
        has_token,
        services.clock().now(),
    ))
}

fn recipient(services: &Services, message: &Message) -> String {
    number_health::recipient(services, message.contact, message.peer.phone.as_ref())
}

//! What each preset does with one message: near-duplicates, quiet hours, consent, expiry.

use super::*;
use crate::model::Purpose;
use crate::safety::{decide::Refusal, level::Level, quiet::Zones};

#[test]
fn safety_near_duplicates_to_new_recipients_wait_or_are_refused() {
    for (preset, most) in [(Preset::Default, 50), (Preset::Strict, 10)] {
        let policy = policy(preset);
        let state = State::default();
        let number = number(&policy, &state, 100);
        let mut cold = message(Class::Cold, NOON);
        cold.zones = Zones::named("Europe/London").unwrap();
        cold.alike = (0..most - 1)
            .map(|i| NOON - DAY + (i + 1) * MINUTE)
            .collect();
        assert!(earliest(&number, &cold, NOON).at < NOON + MINUTE);
        cold.alike.push(NOON - MINUTE);
        let when = earliest(&number, &cold, NOON);
        let decision = decide(&number, std::slice::from_ref(&cold), NOON);
        if preset == Preset::Default {
            assert_eq!(when.why, Some(Hold::NearDuplicates));
            assert!((NOON + MINUTE..NOON + 2 * MINUTE).contains(&when.at));
            assert!(matches!(decision, Decision::WaitUntil { .. }));
        } else {
            let code = Refusal::NearDuplicates;
            assert_eq!(decision, Decision::Refuse { index: 0, code });
        }
        // Codes and everybody who is no new recipient are exempt.
        cold.purpose = Some(Purpose::Code);
        assert!(earliest(&number, &cold, NOON).at < NOON + MINUTE);
        cold.purpose = None;
        for class in [Class::Reply, Class::Warm] {
            cold.class = class;
            assert!(earliest(&number, &cold, NOON).at < NOON + MINUTE);
        }
    }
}

#[test]
fn safety_quiet_hours_hold_new_conversations_and_in_strict_warm_messages() {
    let night = NOON + 10 * HOUR; // 22:00 in London
    let morning = NOON + 20 * HOUR;
    for (preset, class, purpose, waits) in [
        (Preset::Default, Class::Cold, None, true),
        (Preset::Default, Class::Cold, Some(Purpose::Billing), true),
        (Preset::Default, Class::Cold, Some(Purpose::Order), false),
        (Preset::Default, Class::Cold, Some(Purpose::Delivery), false),
        (Preset::Default, Class::Cold, Some(Purpose::Code), false),
        (Preset::Default, Class::Cold, Some(Purpose::Security), false),
        (Preset::Default, Class::Warm, None, false),
        (Preset::Default, Class::Reply, None, false),
        (Preset::Strict, Class::Cold, Some(Purpose::Order), true),
        (Preset::Strict, Class::Warm, Some(Purpose::Order), true),
        (Preset::Strict, Class::Cold, Some(Purpose::Code), false),
        (Preset::Strict, Class::Warm, Some(Purpose::Security), false),
        (Preset::Strict, Class::Reply, None, false),
        (Preset::Sandbox, Class::Cold, None, false),
    ] {
        let policy = policy(preset);
        let state = State::default();
        let number = number(&policy, &state, 100);
        let mut message = message(class, night);
        message.purpose = purpose;
        message.zones = Zones::named("Europe/London").unwrap();
        let when = earliest(&number, &message, night);
        assert_eq!(when.at >= morning, waits, "{preset} {class:?} {purpose:?}");
        assert_eq!(when.why == Some(Hold::QuietHours), waits);
        message.is_trial = true;
        assert!(
            earliest(&number, &message, night).at < morning,
            "a trial has no quiet hours"
        );
    }
}

#[test]
fn safety_a_first_message_needs_consent_unless_it_is_a_trial_or_the_sandbox() {
    for (preset, needed) in [
        (Preset::Default, true),
        (Preset::Strict, true),
        (Preset::Sandbox, false),
    ] {
        let policy = policy(preset);
        let state = State::default();
        let number = number(&policy, &state, 100);
        let mut message = Candidate::new(Class::Cold, NOON);
        let refuses = |message: &Candidate| {
            let decision = decide(&number, std::slice::from_ref(message), NOON);
            matches!(
                decision,
                Decision::Refuse {
                    code: Refusal::ConsentRequired,
                    ..
                }
            )
        };
        assert_eq!(refuses(&message), needed);
        message.is_trial = true;
        assert!(!refuses(&message));
        message.is_trial = false;
        message.class = Class::Warm;
        assert!(!refuses(&message));
        assert_eq!(policy.needs_consent, needed);
    }
}

#[test]
fn safety_purposes_have_their_lives() {
    for purpose in Purpose::ALL {
        let minutes = match purpose {
            Purpose::Code => 10,
            Purpose::Security => 60,
            Purpose::Delivery => 6 * 60,
            _ => 24 * 60,
        };
        assert_eq!(purpose.life(), Duration::from_mins(minutes), "{purpose:?}");
    }
}

#[test]
fn safety_what_would_expire_waiting_is_refused_and_what_waits_for_people_is_not() {
    let policy = policy(Preset::Default);
    let state = State::default();
    let night = NOON + 10 * HOUR;
    let mut number = number(&policy, &state, 100);
    let mut message = message(Class::Cold, night);
    message.expires_at = Some(night + HOUR);
    let decision = decide(&number, std::slice::from_ref(&message), night);
    let code = Refusal::WouldExpire;
    assert_eq!(decision, Decision::Refuse { index: 0, code });
    number.level = Level::Locked;
    message.class = Class::Reply;
    let decision = decide(&number, std::slice::from_ref(&message), night);
    let Decision::WaitUntil { at, why, .. } = decision else {
        panic!("{decision:?}");
    };
    assert_eq!((at, why), (Millis::MAX, Some(Hold::Health)));
}

#[test]
fn safety_what_has_expired_is_never_sent() {
    let policy = policy(Preset::Default);
    let state = State::default();
    let number = number(&policy, &state, 100);
    let mut reply = message(Class::Reply, NOON);
    reply.expires_at = Some(NOON + MINUTE);
    let decided = |now| decide(&number, std::slice::from_ref(&reply), now);
    let at = NOON + MINUTE;
    assert_eq!(decided(at), Decision::Send { index: 0, at });
    let code = Refusal::WouldExpire;
    assert_eq!(decided(at + 1), Decision::Refuse { index: 0, code });
}

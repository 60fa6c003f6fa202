//! What a tenant may change.

use super::*;
use crate::safety::tighten::{BelowFloor, Tightening};

fn asked(preset: Preset, json: &str) -> Result<Policy, BelowFloor> {
    policy(preset).tightened(&serde_json::from_str::<Tightening>(json).unwrap())
}

#[test]
fn safety_a_limit_that_is_looser_than_the_platforms_is_refused_with_its_pointer() {
    for (field, looser, tighter) in [
        ("reply_gap_ms", "1999", "2000"),
        ("warm_gap_ms", "4999", "6000"),
        ("cold_gap_ms", "29999", "60000"),
        ("cold_gap_ms", "3600001", "3600000"),
        ("new_conversations_a_day", "251", "10"),
        ("messages_a_day", "2001", "2000"),
        ("replies_an_hour", "601", "0"),
        ("unanswered_by_one_contact", "5", "4"),
        ("unanswered_apart_minutes", "9", "10"),
        ("unanswered_in_30_days", "1001", "1000"),
        ("near_duplicates", "51", "50"),
        ("quiet_from_minute", "1261", "1260"),
        ("quiet_from_minute", "779", "780"),
        ("quiet_to_minute", "479", "480"),
        ("quiet_to_minute", "661", "660"),
        ("codes_at_night_an_hour", "61", "0"),
        ("group_apart_seconds", "59", "60"),
        ("group_apart_seconds", "601", "600"),
        ("group_joined_hours", "49", "48"),
    ] {
        let refused = asked(Preset::Default, &format!("{{\"{field}\": {looser}}}"));
        let pointer = refused.unwrap_err().pointer;
        assert_eq!(pointer.strip_prefix('/'), Some(field), "{looser}");
        let accepted = asked(Preset::Default, &format!("{{\"{field}\": {tighter}}}"));
        assert!(accepted.is_ok(), "{field} {tighter}: {accepted:?}");
    }
    let joined = r#"{"group_joined_hours": 11}"#;
    assert!(asked(Preset::Default, joined).is_ok());
    let refused = asked(Preset::Strict, joined).unwrap_err();
    assert_eq!(refused.pointer, "/group_joined_hours");
    let warm = r#"{"quiet_holds_warm": false}"#;
    assert!(asked(Preset::Default, warm).is_ok());
    let refused = asked(Preset::Strict, warm).unwrap_err();
    assert_eq!(refused.pointer, "/quiet_holds_warm");
}

#[test]
fn safety_a_tightened_policy_has_another_hash_and_an_empty_one_the_same() {
    let platform = policy(Preset::Default);
    assert_eq!(
        asked(Preset::Default, "{}").unwrap().hash(),
        platform.hash()
    );
    let own = asked(Preset::Default, r#"{"cold_gap_ms": 60000}"#).unwrap();
    assert_ne!(own.hash(), platform.hash());
    // The whole curve is twice as slow.
    let (ours, theirs) = (own.cold.at(0.5), platform.cold.at(0.5));
    assert!(ours.abs_diff(theirs * 2) < Duration::from_millis(2));
    assert!(serde_json::from_str::<Tightening>(r#"{"cold_gap": 1}"#).is_err());
}

#[test]
fn safety_the_sandbox_keeps_the_limits_of_a_tenant() {
    for (limit, name) in [
        (r#"{"new_conversations_a_day": 7}"#, "new_conversations"),
        (r#"{"messages_a_day": 7}"#, "messages"),
        (r#"{"replies_an_hour": 7}"#, "replies_an_hour"),
        (r#"{"unanswered_by_one_contact": 7}"#, "unanswered"),
        (r#"{"unanswered_apart_minutes": 7}"#, "unanswered"),
        (r#"{"unanswered_in_30_days": 7}"#, "unanswered_in_30_days"),
        (r#"{"near_duplicates": 7}"#, "near_duplicates"),
        (r#"{"quiet_from_minute": 1320}"#, "quiet_hours"),
        (r#"{"quiet_to_minute": 420}"#, "quiet_hours"),
        (r#"{"quiet_holds_warm": true}"#, "quiet_hours"),
        (r#"{"codes_at_night_an_hour": 7}"#, "quiet_hours"),
        (r#"{"group_apart_seconds": 7}"#, "groups"),
        (r#"{"group_joined_hours": 7}"#, "groups"),
    ] {
        let shown = |policy: &Policy| serde_json::to_value(policy).unwrap()[name].clone();
        let own = asked(Preset::Sandbox, limit).unwrap();
        assert_ne!(shown(&own), shown(&policy(Preset::Sandbox)), "{limit}");
        assert!(own.orders_by_class, "{limit}");
    }
    let own = asked(Preset::Sandbox, r#"{"unanswered_apart_minutes": 7}"#).unwrap();
    let streak = own.unanswered.cold.unwrap();
    assert_eq!(streak.apart, Duration::from_mins(7));
    let own = asked(Preset::Sandbox, r#"{"messages_a_day": 7}"#).unwrap();
    assert_eq!(own.messages.map(|growth| growth.day(3)), Some(7));
    let own = asked(Preset::Sandbox, r#"{"group_apart_seconds": 30}"#).unwrap();
    assert_eq!(own.groups.map(|rule| rule.apart.as_secs()), Some(30));
    assert!(own.orders_by_class, "what is limited waits by class");
    assert!(
        !asked(Preset::Sandbox, r#"{"reply_gap_ms": 9000}"#)
            .unwrap()
            .orders_by_class
    );
}

//! The numbers of each preset, with where each comes from.
//!
//! WhatsApp publishes no limits. The numbers follow what it has said in public, what vendors of gateways advise, and what
//! people report. Where they differ, the smaller one was taken for the preset `strict`. The sources, as of August 2026:
//!
//! - WhatsApp: the paper "Stopping Abuse" (2019), the codes of temporary bans, and its quota of new chats.
//! - Vendors: WAHA "How to Avoid Blocking", `WasenderApi` "Account Protection", GREEN-API's guide for new numbers, `MoltFlow`,
//!   Effess and wapower.
//! - A limiter for Baileys: the npm package `baileys-antiban` 3.8.11.

use crate::model::Purpose;
use std::time::Duration;

use super::{
    curve::Curve,
    pace::Pace,
    policy::{
        Budget, ByAge, Groups, Growth, NearDuplicates, Policy, QuietHours, ReplyRatio, Step,
        Streak, Think, Typing, Unanswered,
    },
    preset::Preset,
    state::IDLE_DAYS,
};

const DAY: Duration = Duration::from_hours(24);

/// A person who chats answers in about four seconds, never in less than two. Vendors hold 0.5 s (GREEN-API) to 5 s
/// (`WasenderApi`) between any two messages; WhatsApp's paper "Stopping Abuse" (2019) names 100 messages in 15 seconds.
const REPLY: Curve = log_normal(4, 0.5, 2, 20);
/// Twice a reply: the chat must be found first. A limiter for Baileys holds 2.5 to 7 seconds.
const WARM: Curve = log_normal(8, 0.5, 5, 45);
/// WAHA advises a random 30 to 60 seconds to people who have not written; the tail is longer, as people's pauses are.
const COLD: Curve = log_normal(50, 0.4, 30, 180);
/// A first message never directly follows another one. `WasenderApi` holds 5 seconds for all.
const COLD_AFTER_ANY: Duration = Duration::from_secs(5);
/// Two messages to one person are no closer than three seconds: one must be read before the next.
const SPACING: Duration = Duration::from_secs(3);
/// After a pause a person looks at the phone first. GREEN-API sends at once then, which lets many numbers write together.
const THINK: Think = Think {
    least: Duration::from_secs(1),
    most: Duration::from_secs(3),
};
/// Six characters a second are fast typing on a phone. The state "typing" ends by itself after some 10 seconds (Baileys),
/// so it is shown for not much more. WhatsApp's paper names accounts that rarely show it.
const TYPING: Typing = Typing {
    characters_a_second: 6.0,
    deviation: 1.5,
    slowest: 2.5,
    share_of_voice: 0.5,
    least: Duration::from_secs(1),
    most: Duration::from_secs(12),
    // With more, a reply would wait longer than ten seconds too often.
    most_while_others_wait: Duration::from_secs(4),
};

/// GREEN-API and `MoltFlow` advise at most 20 new recipients a day in the first ten days; wapower grows to 300 in a month.
const NEW_DEFAULT: ([(u32, u32); 2], u32) = ([(10, 20), (30, 50)], 250);
/// A limiter for Baileys lets 5 strangers a day through; 1,000 then take 41 days on a new number.
const NEW_STRICT: ([(u32, u32); 3], u32) = ([(3, 5), (10, 10), (30, 20)], 50);
/// Effess begins with 50 to 200 a day, wapower ends at 1,000; a shop sends three messages for each of 50 orders.
const MESSAGES_DEFAULT: Growth = Growth {
    first_day: 150,
    factor: 1.5,
    most: 2000,
    hours: 5,
};
/// A limiter for Baileys warms a number up for ten days; this curve reaches its end on the eleventh.
const MESSAGES_STRICT: Growth = Growth {
    first_day: 40,
    factor: 1.35,
    most: 1000,
    hours: 5,
};
/// Ten a minute: what the curve of replies gives at its mean, with room for pauses.
const REPLIES_AN_HOUR: u32 = 600;
/// WAHA advises at most 4 messages an hour to one contact; an order has about four in a week.
pub(super) const STREAK_DEFAULT: Streak = Streak {
    most: 4,
    within: DAY.saturating_mul(7),
    apart: Duration::from_mins(10),
};
/// One message, and one more a day later: WhatsApp counts each message until it is answered.
const STREAK_STRICT_COLD: Streak = Streak {
    most: 2,
    within: DAY.saturating_mul(30),
    apart: DAY,
};
/// Who has written before may hear of one order from start to end.
const STREAK_STRICT_WARM: Streak = Streak {
    most: 5,
    within: DAY,
    apart: Duration::ZERO,
};
/// A person who explains something writes many short messages, but not one every minute for hours.
const STREAK_STRICT_REPLY: Streak = Streak {
    most: 30,
    within: Duration::from_hours(1),
    apart: Duration::ZERO,
};
/// WhatsApp tests a monthly limit of messages without an answer (`TechCrunch`, October 2025). One part in five stays for
/// what is sent from the phone.
const BUDGET_DEFAULT: Budget = Budget {
    percent_of_quota: 80,
    without_quota: 1000,
    most: None,
};
/// See [`BUDGET_DEFAULT`]; four messages an order for 50 orders.
const BUDGET_STRICT: Budget = Budget {
    percent_of_quota: 80,
    without_quota: 200,
    most: Some(200),
};
/// GREEN-API calls a reply rate of 30 % safe; half of that is a sign that people do not want the messages.
const RATIO_DEFAULT: ReplyRatio = ReplyRatio {
    least_percent: 15,
    of_at_least: 50,
    stops: false,
};
/// See [`RATIO_DEFAULT`].
const RATIO_STRICT: ReplyRatio = ReplyRatio {
    least_percent: 15,
    of_at_least: 20,
    stops: true,
};
/// WhatsApp bans for "the same message to too many people" (code 104). 50 leaves room for the orders of a day.
const DUPLICATES_DEFAULT: NearDuplicates = NearDuplicates {
    most: 50,
    refuses: false,
};
/// See [`DUPLICATES_DEFAULT`]. A limiter for Baileys lets 3 equal ones an hour through.
const DUPLICATES_STRICT: NearDuplicates = NearDuplicates {
    most: 10,
    refuses: true,
};
/// From 21:00 to 08:00: the hours in which telephone sales are forbidden in the United States (47 CFR 64.1200).
pub(super) const QUIET_FROM: u16 = 21 * 60;
/// See [`QUIET_FROM`].
pub(super) const QUIET_TO: u16 = 8 * 60;
/// What cannot wait for the morning.
const QUIET_PASS_STRICT: [Purpose; 2] = [Purpose::Code, Purpose::Security];
/// Who signs in at night waits for the code. So many an hour are one a minute, what first messages reach by their gaps.
pub(super) const CODES_AN_HOUR: u32 = 60;
/// A message to a group reaches many people at once, so it takes twice the time of a warm one. open-wa advises 30 to 60
/// seconds between two messages to a group.
const GROUPS_DEFAULT: Groups = Groups {
    gap_times: 2,
    apart: Duration::from_mins(1),
    joined_for: Duration::ZERO,
};
/// See [`GROUPS_DEFAULT`]. A limiter for Baileys reads along for 12 hours before it writes. In this time the members can remove
/// a number that they do not want.
const GROUPS_STRICT: Groups = Groups {
    joined_for: Duration::from_hours(12),
    ..GROUPS_DEFAULT
};
/// A limiter for Baileys warms a number up again after 72 idle hours; two weeks let a shop close for a holiday.
const NEW_AGAIN_STRICT: u32 = IDLE_DAYS;

const fn log_normal(median: u64, sigma: f64, floor: u64, ceiling: u64) -> Curve {
    Curve::LogNormal {
        median: Duration::from_secs(median),
        sigma,
        floor: Duration::from_secs(floor),
        ceiling: Duration::from_secs(ceiling),
    }
}

fn by_age<const N: usize>((steps, older): ([(u32, u32); N], u32)) -> ByAge {
    let step = |(younger_than_days, most)| Step {
        younger_than_days,
        most,
    };
    ByAge {
        steps: steps.into_iter().map(step).collect(),
        older,
    }
}

/// Returns what a person waits for even at night.
pub(super) fn quiet_pass() -> Vec<Purpose> {
    let all = Purpose::ALL.iter().copied();
    all.filter(|purpose| purpose.passes_quiet()).collect()
}

/// For a business that people know.
pub(super) fn default() -> Policy {
    Policy {
        preset: Preset::Default,
        orders_by_class: true,
        needs_consent: true,
        reply: REPLY,
        warm: WARM,
        cold: COLD,
        cold_after_any: COLD_AFTER_ANY,
        spacing: SPACING,
        think: THINK,
        typing: TYPING,
        new_conversations: Some(by_age(NEW_DEFAULT)),
        messages: Some(MESSAGES_DEFAULT),
        replies_an_hour: Some(REPLIES_AN_HOUR),
        unanswered: Unanswered {
            reply: None,
            warm: Some(STREAK_DEFAULT),
            cold: Some(STREAK_DEFAULT),
        },
        unanswered_in_30_days: Some(BUDGET_DEFAULT),
        reply_ratio: Some(RATIO_DEFAULT),
        near_duplicates: Some(DUPLICATES_DEFAULT),
        quiet_hours: Some(QuietHours {
            from_minute: QUIET_FROM,
            to_minute: QUIET_TO,
            holds_warm: false,
            pass: quiet_pass(),
            codes_an_hour: CODES_AN_HOUR,
        }),
        groups: Some(GROUPS_DEFAULT),
        new_again_after_days: None,
    }
}

/// For new numbers and for operators who take no risk.
pub(super) fn strict() -> Policy {
    Policy {
        preset: Preset::Strict,
        new_conversations: Some(by_age(NEW_STRICT)),
        messages: Some(MESSAGES_STRICT),
        unanswered: Unanswered {
            reply: Some(STREAK_STRICT_REPLY),
            warm: Some(STREAK_STRICT_WARM),
            cold: Some(STREAK_STRICT_COLD),
        },
        unanswered_in_30_days: Some(BUDGET_STRICT),
        reply_ratio: Some(RATIO_STRICT),
        near_duplicates: Some(DUPLICATES_STRICT),
        quiet_hours: Some(QuietHours {
            from_minute: QUIET_FROM,
            to_minute: QUIET_TO,
            holds_warm: true,
            pass: QUIET_PASS_STRICT.to_vec(),
            codes_an_hour: CODES_AN_HOUR,
        }),
        groups: Some(GROUPS_STRICT),
        new_again_after_days: Some(NEW_AGAIN_STRICT),
        ..default()
    }
}

/// For tests without a phone: one gap for all, the typing of the flags, and no other limit.
pub(super) fn sandbox(pace: Pace) -> Policy {
    let gap = Curve::Uniform {
        floor: pace.floor(),
        ceiling: pace.ceiling(),
    };
    Policy {
        preset: Preset::Sandbox,
        orders_by_class: false,
        needs_consent: false,
        reply: gap,
        warm: gap,
        cold: gap,
        cold_after_any: Duration::ZERO,
        spacing: Duration::ZERO,
        think: Think {
            least: Duration::ZERO,
            most: Duration::ZERO,
        },
        typing: Typing {
            least: pace.typing(),
            most: pace.typing(),
            most_while_others_wait: pace.typing(),
            ..TYPING
        },
        new_conversations: None,
        messages: None,
        replies_an_hour: None,
        unanswered: Unanswered::default(),
        unanswered_in_30_days: None,
        reply_ratio: None,
        near_duplicates: None,
        quiet_hours: None,
        groups: None,
        new_again_after_days: None,
    }
}

//! What a notification of a group means, and what a flood of them costs.

use wacore::stanza::groups::GroupNotification;
use whatsapp_rust::wacore_binary::{Node, builder::NodeBuilder};

use super::*;

const GROUP: &str = "120363041234567890@g.us";
const ADA: &str = "100000000000001@lid";
const BOB: &str = "100000000000002@lid";

fn el(tag: &'static str) -> NodeBuilder {
    NodeBuilder::new(tag)
}

fn of(tag: &'static str, who: &[&str]) -> NodeBuilder {
    let named = who.iter().map(|jid| {
        let one = el("participant").attr("jid", jid.parse::<Jid>().unwrap());
        one.build()
    });
    el(tag).children(named.collect::<Vec<_>>())
}

/// Returns what a notification means in which `by` did this.
fn told(by: Option<&str>, action: Node) -> Option<GroupChange> {
    let mut node = el("notification")
        .attr("from", GROUP.parse::<Jid>().unwrap())
        .attr("type", "w:gp2")
        .attr("id", "1")
        .attr("t", 1_800_000_000_u64)
        .attr("addressing_mode", "lid");
    if let Some(by) = by {
        node = node.attr("participant", by.parse::<Jid>().unwrap());
    }
    let node = node.children([action]).build();
    let mut notice = GroupNotification::try_from_node_ref(&node.as_node_ref()).unwrap();
    let action = notice.actions.pop()?;
    let update = GroupUpdate::builder()
        .group_jid(notice.group_jid)
        .maybe_participant(notice.participant)
        .timestamp(wacore::time::from_secs(1_800_000_000).unwrap())
        .is_lid_addressing_mode(true)
        .action(action)
        .build();
    GroupChange::of(&update)
}

fn action(by: Option<&str>, action: Node) -> PeopleAction {
    match told(by, action).unwrap().what {
        GroupNews::People(people) => people.action,
        GroupNews::Setting(_) => panic!("people"),
    }
}

#[test]
fn it_is_told_who_came_and_went_by_themselves() {
    let add = |who: &[&str], reason: Option<&'static str>| {
        let add = of("add", who);
        match reason {
            Some(reason) => add.attr("reason", reason).build(),
            None => add.build(),
        }
    };
    assert_eq!(action(Some(BOB), add(&[ADA], None)), PeopleAction::Added);
    assert_eq!(action(None, add(&[ADA], None)), PeopleAction::Added);
    assert_eq!(action(Some(ADA), add(&[ADA], None)), PeopleAction::Joined);
    let invited = add(&[ADA], Some("invite"));
    assert_eq!(action(None, invited), PeopleAction::Joined);
    let went = |by, who: &[&str]| action(Some(by), of("remove", who).build());
    assert_eq!(went(ADA, &[ADA]), PeopleAction::Left);
    assert_eq!(went(BOB, &[ADA]), PeopleAction::Removed);
    assert_eq!(went(ADA, &[ADA, BOB]), PeopleAction::Removed);
    for (tag, expected) in [
        ("promote", PeopleAction::Promoted),
        ("demote", PeopleAction::Demoted),
    ] {
        assert_eq!(action(Some(BOB), of(tag, &[ADA]).build()), expected);
    }
    assert!(told(Some(BOB), of("add", &[]).build()).is_none());
}

#[test]
fn settings_are_told_and_a_time_that_no_phone_offers_is_not() {
    let what = |node: Node| told(Some(BOB), node).map(|change| change.what);
    let is = |node: Node, setting| assert!(what(node) == Some(GroupNews::Setting(setting)));
    let named = el("subject").attr("subject", "Team").build();
    is(named, GroupSetting::Subject("Team".to_owned()));
    let body = el("body").string_content("About us").build();
    let described = el("description").attr("id", "1").children([body]).build();
    is(described, GroupSetting::Description("About us".to_owned()));
    let gone = el("description").children([el("delete").build()]).build();
    is(gone, GroupSetting::Description(String::new()));
    for (tag, setting) in [
        ("announcement", GroupSetting::AdminsOnly(true)),
        ("not_announcement", GroupSetting::AdminsOnly(false)),
        ("locked", GroupSetting::Locked(true)),
        ("unlocked", GroupSetting::Locked(false)),
        ("not_ephemeral", GroupSetting::Timer(0)),
    ] {
        is(el(tag).build(), setting);
    }
    let timer = |seconds: u64| el("ephemeral").attr("expiration", seconds).build();
    is(timer(86_400), GroupSetting::Timer(86_400));
    assert!(what(timer(u64::from(u32::MAX))).is_none());
    assert!(what(el("growth_unlocked").build()).is_none());
}

fn people(count: usize) -> GroupChange {
    let who: Vec<String> = (0..count)
        .map(|n| format!("1000000000{n:05}@lid"))
        .collect();
    let who: Vec<&str> = who.iter().map(String::as_str).collect();
    told(Some(BOB), of("add", &who).build()).unwrap()
}

#[test]
fn this_number_is_found_among_a_thousand_and_comes_first() {
    let GroupNews::People(mut added) = people(1000).what else {
        panic!("people");
    };
    let me = added.who[777].clone();
    place_me(&mut added, &me, None);
    assert!(added.includes_me && added.count == 1000);
    assert!(added.who[0] == me && added.action == PeopleAction::Added);
}

#[test]
fn a_group_that_this_number_made_is_joined_and_one_made_for_it_is_not() {
    let timer = el("ephemeral").attr("expiration", 86_400_u64).build();
    let group = el("group").attr("id", "120363041234567890");
    let create = el("create").children([group.children([timer]).build()]);
    let change = told(Some(ADA), create.build()).unwrap();
    let GroupNews::People(made) = &change.what else {
        panic!("people");
    };
    assert!(made.includes_me && made.timer == Some(86_400));
    for (me, expected) in [(ADA, PeopleAction::Joined), (BOB, PeopleAction::Added)] {
        let (mut made, me) = (made.clone(), peer_of([&me.parse().unwrap()].into_iter()));
        place_me(&mut made, &me, change.by.as_ref());
        assert!(made.action == expected && made.who == [me]);
    }
}

#[tokio::test]
async fn a_flood_of_changes_is_bounded_and_a_taken_one_makes_room() {
    let (queue, mut changes) = GroupQueue::new();
    for _ in 0..10 {
        queue.push(people(1000));
    }
    assert!(changes.next().await.is_some());
    queue.push(people(1000));
    queue.close();
    queue.push(people(1));
    let mut left = 0;
    while changes.next().await.is_some() {
        left += 1;
    }
    assert_eq!(left, 4);
}

//! What changes in the groups of this number: who comes, goes and administers, and the settings.
//!
//! WhatsApp notifies once. The library acknowledges a notification before it reports it, so a change is lost if the
//! process dies before it is stored. Changes have a queue of their own: a flood of them delays no acknowledgement of
//! a message.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use parking_lot::Mutex;
use tokio::sync::mpsc;
use wacore::{
    stanza::groups::{GroupNotificationAction as Action, GroupParticipantInfo},
    types::events::GroupUpdate,
};
use whatsapp_rust::{Client, Jid, wacore_binary::Node};

use super::{
    connection::Connection,
    jid::{peer_of, phone},
    wire,
};
use crate::{
    clock::Millis,
    content::{Group, Peer},
    sealed::sealed_debug,
};

/// Maximum number of waiting changes, each counted with the people that it names and with its text; more are dropped.
/// After a pause WhatsApp can send any number of them at once.
const WAITING: usize = 4096;
/// How many bytes of text count as one person.
const PERSON: usize = 64;
/// Maximum number of people of one change that are looked at. A group has at most 1,024 members; a community more.
const PEOPLE: usize = 2048;
/// Maximum number of people that a change names.
pub const NAMED: usize = 100;
/// Maximum length of a subject, in bytes. WhatsApp allows 100 characters.
const SUBJECT: usize = 1024;
/// Maximum length of a description, in bytes. WhatsApp allows 2,048 characters.
const DESCRIPTION: usize = 16 * 1024;

/// A change of a group.
#[derive(Clone, PartialEq, Eq)]
pub struct GroupChange {
    /// The group.
    pub group: Group,
    /// Who changed it, if WhatsApp said so.
    pub by: Option<Peer>,
    /// When, by WhatsApp's clock, in milliseconds UTC.
    pub at: Millis,
    /// What changed.
    pub what: GroupNews,
}

/// What changed in a group.
#[derive(Clone, PartialEq, Eq)]
pub enum GroupNews {
    /// A setting.
    Setting(GroupSetting),
    /// Members came, went, or have another role.
    People(PeopleChange),
}

/// A setting of a group, as it is now.
#[derive(Clone, PartialEq, Eq)]
pub enum GroupSetting {
    /// The group has this name.
    Subject(String),
    /// The group has this description; an empty text if it has none any more.
    Description(String),
    /// Whether only admins may write.
    AdminsOnly(bool),
    /// Whether only admins may change the name, the description, the picture and the timer.
    Locked(bool),
    /// Whether an admin must approve who joins by link.
    JoinApproval(bool),
    /// Messages disappear after this many seconds; 0 if they stay.
    Timer(u32),
}

/// Members who came, went, or have another role.
#[derive(Clone, PartialEq, Eq)]
pub struct PeopleChange {
    /// What happened to them.
    pub action: PeopleAction,
    /// Who they are: at most [`NAMED`], with this number first.
    pub who: Vec<Peer>,
    /// How many they are.
    pub count: usize,
    /// Whether this number is one of them.
    pub includes_me: bool,
    /// The timer of the group that this number came into, in seconds; 0 if messages stay.
    pub timer: Option<u32>,
}

/// What happened to members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeopleAction {
    /// They joined by a link, or made the group.
    Joined,
    /// They left.
    Left,
    /// Another member added them.
    Added,
    /// An admin removed them, or the group was deleted.
    Removed,
    /// They are admins now.
    Promoted,
    /// They are no longer admins.
    Demoted,
}

sealed_debug!(GroupChange, GroupNews, GroupSetting, PeopleChange);

impl GroupChange {
    /// Converts a notification. Returns `None` if it is of a kind that is not reported.
    pub(super) fn of(update: &GroupUpdate) -> Option<Self> {
        let by = [&update.participant, &update.participant_pn];
        let by = peer_of(by.into_iter().flatten());
        let by = (by.phone.is_some() || by.lid.is_some()).then_some(by);
        let what = news(&update.action, by.as_ref())?;
        Some(Self {
            group: Group::parse(&update.group_jid.to_non_ad_string())?,
            by: by.or_else(|| what.doer()),
            at: update.timestamp.timestamp_millis(),
            what,
        })
    }

    /// Returns how many places it takes in the queue.
    fn weight(&self) -> usize {
        1 + match &self.what {
            GroupNews::People(people) => people.who.len(),
            GroupNews::Setting(GroupSetting::Subject(text) | GroupSetting::Description(text)) => {
                text.len() / PERSON
            }
            GroupNews::Setting(_) => 0,
        }
    }
}

impl GroupNews {
    /// Returns who did it, if WhatsApp does not name anybody: one who joins by a link acts alone.
    fn doer(&self) -> Option<Peer> {
        match self {
            Self::People(people) if people.action == PeopleAction::Joined => {
                match &people.who[..] {
                    [one] => Some(one.clone()),
                    _ => None,
                }
            }
            _ => None,
        }
    }
}

fn news(action: &Action, by: Option<&Peer>) -> Option<GroupNews> {
    let people = |action, who: &[GroupParticipantInfo]| {
        (!who.is_empty()).then(|| GroupNews::People(PeopleChange::of(action, who)))
    };
    match action {
        Action::Add {
            participants,
            reason,
        } => people(came(participants, reason.as_deref(), by), participants),
        Action::Remove { participants, .. } => people(went(participants, by), participants),
        Action::Promote { participants } => people(PeopleAction::Promoted, participants),
        Action::Demote { participants } => people(PeopleAction::Demoted, participants),
        Action::Create { raw } => Some(GroupNews::People(PeopleChange {
            timer: timer_in(raw),
            ..PeopleChange::of_me(came_with(raw))
        })),
        Action::Delete { .. } => Some(GroupNews::People(PeopleChange::of_me(
            PeopleAction::Removed,
        ))),
        _ => setting(action).map(GroupNews::Setting),
    }
}

fn setting(action: &Action) -> Option<GroupSetting> {
    Some(match action {
        Action::Subject { subject, .. } => {
            GroupSetting::Subject(wire::cut(subject.clone(), SUBJECT))
        }
        Action::Description { description, .. } => {
            let text = description.clone().unwrap_or_default();
            GroupSetting::Description(wire::cut(text, DESCRIPTION))
        }
        Action::Announce => GroupSetting::AdminsOnly(true),
        Action::NotAnnounce => GroupSetting::AdminsOnly(false),
        Action::Locked { .. } => GroupSetting::Locked(true),
        Action::Unlocked => GroupSetting::Locked(false),
        Action::MembershipApprovalMode { enabled } => GroupSetting::JoinApproval(*enabled),
        Action::Ephemeral { expiration, .. } => {
            GroupSetting::Timer(wire::timer::believed(*expiration)?)
        }
        _ => return None,
    })
}

/// Returns how members came: by themselves, or added by another one.
fn came(who: &[GroupParticipantInfo], reason: Option<&str>, by: Option<&Peer>) -> PeopleAction {
    if is_by_link(reason) || is_only(who, by) {
        PeopleAction::Joined
    } else {
        PeopleAction::Added
    }
}

fn went(who: &[GroupParticipantInfo], by: Option<&Peer>) -> PeopleAction {
    if is_only(who, by) {
        PeopleAction::Left
    } else {
        PeopleAction::Removed
    }
}

/// Returns whether nobody but the one who acted is named.
fn is_only(who: &[GroupParticipantInfo], by: Option<&Peer>) -> bool {
    match (who, by) {
        ([one], Some(by)) => peer(one).is_same(by),
        _ => false,
    }
}

/// Returns whether somebody came by a link, or from another group of the community.
fn is_by_link(reason: Option<&str>) -> bool {
    matches!(reason, Some("invite" | "linked_group_join"))
}

/// Returns how this number came into a group. Whether it made the group itself is known only later.
fn came_with(create: &Node) -> PeopleAction {
    let mut attributes = create.attrs();
    if is_by_link(attributes.optional_string("reason").as_deref()) {
        PeopleAction::Joined
    } else {
        PeopleAction::Added
    }
}

/// Returns the timer of the group that a notification describes.
fn timer_in(create: &Node) -> Option<u32> {
    let group = create.get_optional_child("group")?;
    let Some(timer) = group.get_optional_child("ephemeral") else {
        return Some(0);
    };
    let seconds = timer.attrs().optional_u64("expiration").unwrap_or(0);
    wire::timer::believed(u32::try_from(seconds).ok()?)
}

fn peer(of: &GroupParticipantInfo) -> Peer {
    let names = [Some(&of.jid), of.phone_number.as_ref(), of.lid.as_ref()];
    peer_of(names.into_iter().flatten())
}

impl PeopleChange {
    fn of(action: PeopleAction, who: &[GroupParticipantInfo]) -> Self {
        Self {
            action,
            who: who.iter().take(PEOPLE).map(peer).collect(),
            count: who.len(),
            includes_me: false,
            timer: None,
        }
    }

    /// Returns a change of this number. Its names are added by [`Connection::complete`].
    fn of_me(action: PeopleAction) -> Self {
        Self {
            action,
            who: Vec::new(),
            count: 1,
            includes_me: true,
            timer: None,
        }
    }
}

impl Connection {
    /// Adds what the connection knows to a change: this number's own names, and the other name of people who are named by
    /// phone or by LID alone. It asks nobody. Leaves out people beyond [`NAMED`].
    pub async fn complete(&self, mut change: GroupChange) -> GroupChange {
        if let Some(by) = &mut change.by {
            add_other_name(self.client(), by).await;
        }
        let GroupNews::People(people) = &mut change.what else {
            return change;
        };
        if let Some(me) = self.me() {
            place_me(people, &me, change.by.as_ref());
            let alone = people.includes_me && people.count == 1;
            if alone && people.action == PeopleAction::Joined {
                change.by.get_or_insert(me);
            }
        }
        people.who.truncate(NAMED);
        for one in &mut people.who {
            add_other_name(self.client(), one).await;
        }
        change
    }
}

/// Puts this number first, if it is one of the people.
fn place_me(people: &mut PeopleChange, me: &Peer, by: Option<&Peer>) {
    if people.includes_me {
        people.who.insert(0, me.clone());
        let by_me = by.is_some_and(|by| by.is_same(me));
        if by_me && people.action == PeopleAction::Added {
            people.action = PeopleAction::Joined;
        }
    } else if let Some(at) = people.who.iter().position(|one| one.is_same(me)) {
        people.includes_me = true;
        people.who.swap(0, at);
    }
}

/// Adds the other name of a person who is named by phone or by LID alone, as far as an earlier stanza contained it.
async fn add_other_name(client: &Client, peer: &mut Peer) {
    let known = match (&peer.phone, &peer.lid) {
        (None, Some(lid)) => Jid::lid(lid.as_str()),
        (Some(phone), None) => Jid::pn(phone.digits()),
        _ => return,
    };
    if let Ok(Some(entry)) = client.get_lid_pn_entry(&known).await {
        peer.phone = peer.phone.take().or_else(|| phone(&entry.phone_number));
        peer.lid.get_or_insert_with(|| entry.lid.to_string());
    }
}

/// The changes of groups of one connection, in order of arrival.
#[derive(Debug)]
pub struct GroupChanges {
    queue: mpsc::UnboundedReceiver<GroupChange>,
    waiting: Arc<AtomicUsize>,
}

impl GroupChanges {
    /// Returns the next change; `None` once the connection has ended. Cancel-safe.
    pub async fn next(&mut self) -> Option<GroupChange> {
        let change = self.queue.recv().await?;
        self.waiting.fetch_sub(change.weight(), Ordering::Relaxed);
        Some(change)
    }
}

/// The sending end of [`GroupChanges`].
#[derive(Debug)]
pub(super) struct GroupQueue {
    queue: Mutex<Option<mpsc::UnboundedSender<GroupChange>>>,
    waiting: Arc<AtomicUsize>,
}

impl GroupQueue {
    pub(super) fn new() -> (Self, GroupChanges) {
        let (sender, queue) = mpsc::unbounded_channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let changes = GroupChanges {
            queue,
            waiting: Arc::clone(&waiting),
        };
        let queue = Mutex::new(Some(sender));
        (Self { queue, waiting }, changes)
    }

    /// Queues a change. It is called while the socket is read and must not wait. Drops a change beyond the limit.
    pub(super) fn push(&self, change: GroupChange) {
        let weight = change.weight();
        if self.waiting.load(Ordering::Relaxed) + weight > WAITING {
            tracing::warn!("dropped a change of a group: too many are waiting");
            return;
        }
        if let Some(queue) = self.queue.lock().as_ref() {
            self.waiting.fetch_add(weight, Ordering::Relaxed);
            // If the receiver is gone, the session was dropped. That is no error.
            let _ = queue.send(change);
        }
    }

    /// Closes the queue: nothing follows.
    pub(super) fn close(&self) {
        self.queue.lock().take();
    }
}

#[cfg(test)]
mod tests;

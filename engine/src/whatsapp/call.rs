//! Calls to this number. They ring on all devices of the account; this one can only report and reject them.
//!
//! The library reports calls that ring now. Of a call that came while the session was away it reports little, not even
//! whether it was a video call. So calls are read from the stanzas themselves, with the library's own parser. The library
//! acknowledges them without waiting for us, so what is made of them here happens at most once.

use strum::{EnumString, IntoStaticStr};
use wacore::{
    stanza::call::{
        REJECT_REASON_BUSY, TERMINATE_REASON_ACCEPTED_ELSEWHERE,
        TERMINATE_REASON_REJECTED_ELSEWHERE, parse_call_stanza,
    },
    types::call::{CallAction, IncomingCall},
};
use whatsapp_rust::{Jid, OwnedNodeRef, wacore_binary::JidExt as _};

use super::{
    connection::Connection,
    jid::{peer_of, with_both_names},
    wa_id::in_path,
};
use crate::{
    clock::Millis,
    content::{Group, Peer, SenderNames},
    sealed::sealed_debug,
};

/// Maximum length of WhatsApp's id of a call, in bytes. Its clients use 32.
const ID_MAX: usize = 256;

/// What a call carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum CallMedia {
    /// Voice only.
    Voice,
    /// Voice and video.
    Video,
}

/// How a call ended before this device could have answered it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum CallEnd {
    /// Nobody answered.
    Missed,
    /// It was rejected, here or on another device of this number.
    Rejected,
    /// Another device of this number answered.
    AcceptedElsewhere,
}

/// A stanza about a call, in the library's form.
#[derive(Clone, PartialEq, Eq)]
pub struct CallStanza {
    route: CallRoute,
    caller_phone: Option<Jid>,
    names: SenderNames,
    at: Millis,
    is_queued: bool,
    step: Step,
}

#[derive(Clone, PartialEq, Eq)]
enum Step {
    Offer {
        media: CallMedia,
        is_group: bool,
        group: Option<Jid>,
    },
    /// A device of the account answered or rejected it; of this number's, or of another member of a group call.
    Answer(CallEnd),
    /// The caller's side ended it for this device.
    End(CallEnd),
}

/// Where WhatsApp expects what is said about a call.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct CallRoute {
    id: String,
    from: Jid,
    creator: Jid,
}

sealed_debug!(CallStanza, CallRoute);

/// What happened with a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// Somebody calls.
    Offered(Box<Offer>),
    /// A call is over for this device.
    Ended {
        /// The call.
        id: String,
        /// How it ended.
        how: CallEnd,
    },
}

/// A call that came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Identifies the call. It is WhatsApp's own id if that can be written into a path.
    pub id: String,
    /// Who calls.
    pub from: Peer,
    /// The stanza did not name the phone, as with messages.
    pub phone_is_derived: bool,
    /// What the caller is called, as far as the stanza says.
    pub names: SenderNames,
    /// What it carries.
    pub media: CallMedia,
    /// Whether others are called, too.
    pub is_group: bool,
    /// The group that is called, if WhatsApp named one.
    pub group: Option<Group>,
    /// When the caller called, by WhatsApp's clock, in milliseconds UTC.
    pub at: Millis,
    /// It came while the session was away, and may have ended long ago.
    pub is_queued: bool,
    /// Where to reject it.
    pub route: CallRoute,
}

impl CallStanza {
    /// Reads a stanza. Returns `None` if it is not about a call, or says nothing that matters here.
    pub(super) fn of(node: &OwnedNodeRef) -> Option<Self> {
        let node = node.get();
        if node.tag != "call" {
            return None;
        }
        // The error is not logged: it may name people.
        let Ok(call) = parse_call_stanza(node) else {
            tracing::warn!("left out a stanza about a call that cannot be read");
            return None;
        };
        Self::read(&call?)
    }

    fn read(call: &IncomingCall) -> Option<Self> {
        if call.action.call_id().len() > ID_MAX {
            tracing::warn!("left out a call whose id is too long");
            return None;
        }
        let mut caller_phone = None;
        let step = match &call.action {
            CallAction::Offer {
                caller_pn,
                is_video,
                group_jid,
                ..
            } => {
                caller_phone.clone_from(caller_pn);
                Step::Offer {
                    media: media(*is_video),
                    is_group: group_jid.is_some() || call.group.is_some(),
                    group: group_jid.clone(),
                }
            }
            CallAction::OfferNotice {
                is_video, is_group, ..
            } => Step::Offer {
                media: media(*is_video),
                is_group: *is_group,
                group: None,
            },
            CallAction::Accept { .. } => Step::Answer(CallEnd::AcceptedElsewhere),
            // One device cannot take it; the others go on ringing.
            CallAction::Reject { reason, .. } if reason.as_deref() == Some(REJECT_REASON_BUSY) => {
                return None;
            }
            CallAction::Reject { .. } => Step::Answer(CallEnd::Rejected),
            CallAction::Terminate { reason, .. } => Step::End(ended(reason.as_deref())),
            _ => return None,
        };
        let by = call.participant.as_ref().filter(|_| call.from.is_group());
        Some(Self {
            route: CallRoute {
                id: call.action.call_id().to_owned(),
                from: by.unwrap_or(&call.from).clone(),
                creator: call.action.call_creator().clone(),
            },
            caller_phone,
            names: SenderNames::new(call.notify.as_deref(), None),
            at: call.timestamp.timestamp_millis(),
            is_queued: call.offline,
            step: with_group(step, &call.from),
        })
    }
}

/// Adds the group that a notice came from.
fn with_group(step: Step, from: &Jid) -> Step {
    match step {
        Step::Offer {
            media, group: None, ..
        } if from.is_group() => Step::Offer {
            media,
            is_group: true,
            group: Some(from.clone()),
        },
        step => step,
    }
}

fn media(is_video: bool) -> CallMedia {
    if is_video {
        CallMedia::Video
    } else {
        CallMedia::Voice
    }
}

/// Returns how a call ended that the caller's side ended with this reason. Without one the caller gave up, or the
/// time was over; a reason of a later version says only that nobody answered here.
fn ended(reason: Option<&str>) -> CallEnd {
    match reason {
        Some(TERMINATE_REASON_ACCEPTED_ELSEWHERE) => CallEnd::AcceptedElsewhere,
        Some(TERMINATE_REASON_REJECTED_ELSEWHERE) => CallEnd::Rejected,
        _ => CallEnd::Missed,
    }
}

impl Connection {
    /// Converts a stanza about a call. Returns `None` if this number's owner calls, or if it is about another
    /// member of a group call. Asks only the key store, never the network.
    pub async fn read_call(&self, stanza: &CallStanza) -> Option<Call> {
        let route = &stanza.route;
        let id = in_path(&route.id);
        let (media, is_group, group) = match &stanza.step {
            Step::Offer {
                media,
                is_group,
                group,
            } => (*media, *is_group, group),
            Step::Answer(how) => {
                let how = *how;
                return self.is_own(&route.from).then_some(Call::Ended { id, how });
            }
            Step::End(how) => return Some(Call::Ended { id, how: *how }),
        };
        if self.is_own(&route.creator) {
            return None;
        }
        let (from, phone_is_derived) = self.caller(stanza).await;
        if from.phone.is_none() && from.lid.is_none() {
            tracing::warn!("left out a call whose caller has neither phone nor LID");
            return None;
        }
        let group = group
            .as_ref()
            .map(Jid::to_non_ad_string)
            .and_then(|group| Group::parse(&group));
        Some(Call::Offered(Box::new(Offer {
            id,
            from,
            phone_is_derived,
            names: stanza.names.clone(),
            media,
            is_group,
            group,
            at: stanza.at,
            is_queued: stanza.is_queued,
            route: route.clone(),
        })))
    }

    /// Rejects a call on behalf of this device. WhatsApp tells the caller, whose client tells the other devices of
    /// this number. `Ok` means that it was written to the socket.
    pub async fn reject_call(&self, call: &CallRoute) -> anyhow::Result<()> {
        let voip = self.client().voip();
        Ok(voip
            .reject_call(&call.id, &call.from, &call.creator)
            .await?)
    }

    fn is_own(&self, jid: &Jid) -> bool {
        let own = [self.client().pn(), self.client().lid()];
        own.iter()
            .flatten()
            .any(|own| own.server == jid.server && own.user_base() == jid.user_base())
    }

    /// Returns phone and LID of the caller, as far as the stanza or an earlier one contained them, and whether the
    /// phone is from an earlier one.
    async fn caller(&self, stanza: &CallStanza) -> (Peer, bool) {
        let CallRoute { from, creator, .. } = &stanza.route;
        let is_person = |jid: &Jid| jid.is_pn() || jid.is_lid();
        let name = if is_person(creator) { creator } else { from };
        let named = [Some(name), stanza.caller_phone.as_ref()];
        with_both_names(self.client(), peer_of(named.into_iter().flatten())).await
    }
}

#[cfg(test)]
mod tests {
    use whatsapp_rust::{NodeBuilder, wacore_binary};

    use super::*;

    fn stanza(from: Jid, action: NodeBuilder) -> Option<CallStanza> {
        let call = NodeBuilder::new("call")
            .attr("from", from)
            .attr("id", "1")
            .attr("t", "1800000000")
            .attr("notify", "Ada")
            .children([action
                .attr("call-id", "C1")
                .attr("call-creator", Jid::lid("77"))
                .build()])
            .build();
        let bytes = wacore_binary::marshal(&call).unwrap();
        // The first byte says how the rest is packed.
        CallStanza::of(&OwnedNodeRef::new(bytes[1..].to_vec()).unwrap())
    }

    fn step(action: NodeBuilder) -> Option<Step> {
        stanza(Jid::lid_device("77", 3), action).map(|stanza| stanza.step)
    }

    #[test]
    fn an_offer_says_who_calls_and_what_it_carries() {
        let offer = || NodeBuilder::new("offer").attr("caller_pn", Jid::pn("491510000002"));
        let voice = stanza(Jid::lid_device("77", 3), offer()).unwrap();
        assert_eq!(voice.caller_phone, Some(Jid::pn("491510000002")));
        assert_eq!(voice.names.push_name.as_deref(), Some("Ada"));
        assert_eq!((voice.at, voice.is_queued), (1_800_000_000_000, false));
        let Step::Offer {
            media, is_group, ..
        } = voice.step
        else {
            panic!("no offer");
        };
        assert_eq!((media, is_group), (CallMedia::Voice, false));
        let video = offer().children([NodeBuilder::new("video").build()]);
        let Some(Step::Offer { media, .. }) = step(video) else {
            panic!("no offer");
        };
        assert_eq!(media, CallMedia::Video);
    }

    #[test]
    fn a_group_is_named_by_the_offer_or_by_where_its_notice_comes_from() {
        let group = Jid::group("120363041234567890");
        let offer = NodeBuilder::new("offer").attr("group-jid", group.clone());
        let notice = || {
            let notice = NodeBuilder::new("offer_notice");
            notice.attr("media", "video").attr("type", "group")
        };
        for of_group in [
            stanza(Jid::lid("77"), offer),
            stanza(group.clone(), notice()),
        ] {
            let Some(Step::Offer {
                is_group,
                group: named,
                ..
            }) = of_group.map(|one| one.step)
            else {
                panic!("no offer");
            };
            assert!(is_group && named == Some(group.clone()));
        }
        let Some(Step::Offer {
            media,
            is_group,
            group,
        }) = step(notice())
        else {
            panic!("no offer");
        };
        assert_eq!((media, is_group, group), (CallMedia::Video, true, None));
    }

    #[test]
    fn each_way_to_end_is_told_from_the_others_and_a_busy_device_ends_nothing() {
        let with = |tag, reason: Option<&str>| {
            let action = NodeBuilder::new(tag);
            step(match reason {
                Some(reason) => action.attr("reason", reason.to_owned()),
                None => action,
            })
        };
        for (reason, how) in [
            (None, CallEnd::Missed),
            (Some("timeout"), CallEnd::Missed),
            (Some("group_call_ended"), CallEnd::Missed),
            (Some("of a later version"), CallEnd::Missed),
            (Some("accepted_elsewhere"), CallEnd::AcceptedElsewhere),
            (Some("rejected_elsewhere"), CallEnd::Rejected),
        ] {
            assert!(
                with("terminate", reason) == Some(Step::End(how)),
                "{reason:?}"
            );
        }
        let accepted = Step::Answer(CallEnd::AcceptedElsewhere);
        assert!(with("accept", None) == Some(accepted));
        assert!(with("reject", None) == Some(Step::Answer(CallEnd::Rejected)));
        assert!(with("reject", Some("busy")).is_none());
        assert!(with("preaccept", None).is_none());
        assert!(with("of_a_later_version", None).is_none());
    }
}

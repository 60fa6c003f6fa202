//! An example of each type of event, for the document, `GET /v1/event-types` and tests of an endpoint. They are made
//! by the same code as real events, of one story: Ada's order.

use passerelle_engine::{
    clock::Millis,
    content::{Group, Media, MediaKind, Peer, SenderNames},
    ids::{
        AutoReplyId, ConsentId, ContactId, EndpointId, EventId, MediaId, MessageId, OptInLinkId,
        OrgId, SessionId,
    },
    whatsapp::{CallEnd, CallMedia, CallRoute, GroupSetting, Offer},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    SessionChange, calls, consents,
    emit::{NewEvent, envelope},
    groups::{Changed, Members, of_members, of_setting},
    health::of_news,
    of_endpoint, of_file, of_merge, of_message, of_renamed, of_session,
    opt_outs::of_change,
    rules::{Matched, of_match},
    shown_person,
};
use crate::{
    error::Fault,
    media::View,
    model::{
        MediaStatus, Message, OptOutSource,
        auto_reply::Outcome,
        client_data::ClientData,
        consent::{Agreement, Consent},
        contact::Called,
        endpoint::Disabled,
        event::EventType,
        group::{GroupAction, Person},
    },
    safety::{
        health::{News, Reason, Standing},
        level::Level,
    },
};

/// 2026-11-22T08:00:00Z
const AT: Millis = 1_795_334_400_000;
const DAY: Millis = 86_400_000;
const PHONE: &str = "+491510000002";
const LID: &str = "100000087654321";

/// The ids of the story.
#[derive(Deserialize)]
struct Ids {
    org: OrgId,
    session: SessionId,
    event: EventId,
    message: MessageId,
    media: MediaId,
    contact: ContactId,
    merged: ContactId,
    consent: ConsentId,
    link: OptInLinkId,
    endpoint: EndpointId,
    auto_reply: AutoReplyId,
    reply: MessageId,
}

impl Ids {
    fn new() -> Result<Self, Fault> {
        Ok(serde_json::from_value(json!({
            "org": "org_01kaq6h3zve9qbw4r2t8n5c7xd",
            "session": "ses_01kaq6h3zve9qbw4r2t8n5c7xd",
            "event": "evt_01kaq6h3zve9qbw4r2t8n5c7xd",
            "message": "msg_01kaq6h3zve9qbw4r2t8n5c7xd",
            "media": "med_01kaq6h3zve9qbw4r2t8n5c7xd",
            "contact": "ctc_01kaq6h3zve9qbw4r2t8n5c7xd",
            "merged": "ctc_01kaq5xv8mh2dz7k3p9r4w6yte",
            "consent": "con_01kaq6h3zve9qbw4r2t8n5c7xd",
            "link": "oil_01kaq6h3zve9qbw4r2t8n5c7xd",
            "endpoint": "whe_01kaq6h3zve9qbw4r2t8n5c7xd",
            "auto_reply": "alr_01kaq6h3zve9qbw4r2t8n5c7xd",
            "reply": "msg_01kaq6h4a8f2kd5n9q3t7w1yrb",
        }))?)
    }
}

/// Returns the JSON that is posted for an event of this type.
pub fn example(kind: EventType) -> Result<Value, Fault> {
    let (ids, event) = (Ids::new()?, of(kind)?);
    let sequence = event.session.map(|_| 1234);
    let posted = envelope(event, ids.event, sequence, AT, false);
    Ok(serde_json::to_value(posted)?)
}

/// Returns an event of this type, as it is before it is written.
pub(crate) fn of(kind: EventType) -> Result<NewEvent, Fault> {
    let ids = Ids::new()?;
    let desk: ClientData = serde_json::from_value(client("desk-3"))?;
    let change = |state| Ok(session(&ids, kind, (state, None), &desk));
    let ended = |reason| Ok(session(&ids, kind, ("stopped", Some(reason)), &desk));
    match kind {
        EventType::MessageReceived => {
            let mut event = said(&json!({ "type": "text", "body": "Thank you, on my way." }))?;
            event.data["contact"] = shown_person(ids.contact, &peer()?, &called());
            Ok(event)
        }
        EventType::MessageReaction => said(&about("reaction", json!({ "emoji": "👍" }))),
        EventType::MessageEdited => {
            said(&about("edit", json!({ "body": "Thank you, on my way!" })))
        }
        EventType::MessageDeleted => said(&about("delete", json!({}))),
        EventType::MessagePollVote => said(&about("poll_vote", json!({ "options": ["Tomorrow"] }))),
        EventType::MessageUndecryptable => said(&json!({ "type": "undecryptable" })),
        EventType::MessageSent => ours("sent", None),
        EventType::MessageDelivered => ours("delivered", None),
        EventType::MessageRead => ours("read", None),
        EventType::MessagePlayed => ours("played", None),
        EventType::MessageFailed => ours("failed", Some("recipient_opted_out")),
        EventType::MessageUnknown => ours("unknown", None),
        EventType::MessageExpired => ours("expired", None),
        EventType::MessageCanceled => ours("canceled", None),
        EventType::MediaAvailable => file(&ids, MediaStatus::Available),
        EventType::MediaFailed => file(&ids, MediaStatus::Failed),
        EventType::SessionLinked => change("connecting"),
        EventType::SessionConnected => change("connected"),
        EventType::SessionDisconnected => change("disconnected"),
        EventType::SessionLoggedOut => ended("logged_out"),
        EventType::SessionBanned => ended("banned"),
        EventType::SessionReplaced => ended("replaced"),
        EventType::SessionFailed => ended("outdated"),
        EventType::SessionRestricted | EventType::SessionRecovered => Ok(health(&ids, kind, &desk)),
        EventType::ContactOptedOut | EventType::ContactOptedIn => {
            let place = (ids.org, Some(ids.session));
            let what = (kind, OptOutSource::Word);
            Ok(of_change(place, (ids.contact, &peer()?), what))
        }
        EventType::ConsentGiven => consent(&ids),
        EventType::ContactUpdated => {
            let place = (ids.org, ids.session);
            Ok(of_renamed(place, ids.contact, &peer()?, &called()))
        }
        EventType::ContactMerged => {
            let place = (ids.org, ids.session);
            Ok(of_merge(place, (ids.contact, ids.merged), &peer()?))
        }
        EventType::GroupUpdated | EventType::GroupParticipants => group(&ids, kind),
        EventType::CallReceived | EventType::CallEnded => call(&ids, kind),
        EventType::RuleMatched => Ok(of_match(&Matched {
            place: (ids.org, ids.session),
            rule: (ids.auto_reply, "Opening hours"),
            message: ids.message,
            contact: ids.contact,
            outcome: Outcome::Answered,
            reply: Some(ids.reply),
            rests_until: None,
        })),
        EventType::EndpointDisabled => Ok(of_endpoint(ids.org, ids.endpoint, Disabled::Gone)),
    }
}

fn consent(ids: &Ids) -> Result<NewEvent, Fault> {
    let consent = Consent {
        id: ids.consent,
        contact: ids.contact,
        how: Agreement {
            source: Agreement::LINK.to_owned(),
            proof: Some(ids.message.to_string()),
        },
        link: Some(ids.link),
        given_at: AT,
        ended_at: None,
        created_at: AT,
    };
    let place = (ids.org, ids.session);
    Ok(consents::of_given(place, &consent, &peer()?))
}

fn call(ids: &Ids, kind: EventType) -> Result<NewEvent, Fault> {
    let offer = Offer {
        id: "A0F3C2D1E4B5968778695A4B3C2D1E0F".to_owned(),
        from: peer()?,
        phone_is_derived: false,
        names: SenderNames::default(),
        media: CallMedia::Voice,
        is_group: false,
        group: None,
        at: AT - 1200,
        is_queued: false,
        route: CallRoute::default(),
    };
    let place = (ids.org, ids.session);
    let data = calls::shown(ids.session, &offer, ids.contact, &called());
    Ok(match kind {
        EventType::CallEnded => calls::of_ended(place, data, CallEnd::Missed, AT),
        _ => calls::of_received(place, data, true),
    })
}

fn peer() -> Result<Peer, Fault> {
    Ok(serde_json::from_value(
        json!({ "phone": PHONE, "lid": LID }),
    )?)
}

fn called() -> Called {
    Called {
        own: None,
        push_name: Some("Ada".to_owned()),
        verified_name: None,
    }
}

/// Returns a content that is about the message of the story.
fn about(kind: &str, mut content: Value) -> Value {
    content["type"] = json!(kind);
    content["message_id"] = json!("msg_01kaq6h2c5r8w3v7k1m9p4n6tb");
    content["wa_message_id"] = json!("3EB0C7D8E9F0A1B2C3D4E5");
    content["from_me"] = json!(matches!(kind, "reaction" | "poll_vote"));
    content
}

/// Returns the event of an inbound message.
fn said(content: &Value) -> Result<NewEvent, Fault> {
    let fields = json!({ "direction": "inbound", "status": "received", "content": content, "sent_at": AT - 1200 });
    message(fields)
}

/// Returns the event of an outbound message of this status.
fn ours(status: &str, error: Option<&str>) -> Result<NewEvent, Fault> {
    let order = ["sent", "delivered", "read", "played"];
    let reached = order.iter().position(|one| *one == status);
    let mut fields = json!({
        "direction": "outbound", "status": status, "error": error, "expires_at": AT + DAY,
        "client": client("order-1042"), "class": "reply", "purpose": "order",
        "content": { "type": "text", "body": "Your order 1042 is ready for pick-up." },
    });
    let times = order.iter().zip([4200, 5100, 61_000, 70_000]);
    for (place, (step, time)) in times.enumerate() {
        if reached.is_some_and(|reached| place <= reached) {
            fields[format!("{step}_at")] = json!(AT + time);
        }
    }
    message(fields)
}

fn message(mut fields: Value) -> Result<NewEvent, Fault> {
    let ids = Ids::new()?;
    fields["id"] = json!(ids.message);
    fields["org"] = json!(ids.org);
    fields["session"] = json!(ids.session);
    fields["peer"] = json!({ "phone": PHONE, "lid": LID });
    fields["contact"] = json!(ids.contact);
    fields["source"] = json!("gateway");
    fields["wa_id"] = json!("3EB0A1B2C3D4E5F6A7B8C9");
    fields["created_at"] = json!(AT);
    let message: Message = serde_json::from_value(fields)?;
    of_message(&message).ok_or_else(no_event)
}

fn file(ids: &Ids, status: MediaStatus) -> Result<NewEvent, Fault> {
    let stored = status == MediaStatus::Available;
    let facts = Media {
        mime_type: Some("image/jpeg".to_owned()),
        size: Some(48_213),
        sha256: Some("9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08".to_owned()),
        width: Some(1200),
        height: Some(900),
        ..Media::new(ids.media)
    };
    let link = "https://gateway.example/media/org_01kaq6h3zve9qbw4r2t8n5c7xd".to_owned();
    let view = View {
        id: ids.media,
        session: Some(ids.session),
        message: Some(ids.message),
        kind: MediaKind::Image,
        status,
        error: (!stored).then(|| "media_unreachable".to_owned()),
        facts: stored.then_some(facts),
        link: stored.then_some((link, AT + DAY)),
        created_at: AT,
        delete_at: AT + 3 * DAY,
    };
    let news = (view.session, view.message, status, view.json());
    of_file(ids.org, news).ok_or_else(no_event)
}

fn no_event() -> Fault {
    Fault::Json(serde::de::Error::custom("an example without an event"))
}

/// Returns the event of Ada's group: she renamed it, or added a member whom the gateway does not know.
fn group(ids: &Ids, kind: EventType) -> Result<NewEvent, Fault> {
    let id = "120363041234567890@g.us";
    let group = Group::parse(id).ok_or_else(no_event)?;
    let ada = Person {
        peer: peer()?,
        contact: Some(ids.contact),
        called: called(),
        is_me: false,
    };
    let new = json!({ "phone": "+491510000003", "lid": "100000012345678" });
    let new = Person {
        peer: serde_json::from_value(new)?,
        contact: None,
        called: Called::default(),
        is_me: false,
    };
    let place = (ids.org, ids.session);
    let changed = Changed {
        group: &group,
        by: Some(&ada),
        at: AT - 1200,
    };
    if kind == EventType::GroupUpdated {
        let name = GroupSetting::Subject("Order 1042".to_owned());
        return Ok(of_setting(place, &changed, &name));
    }
    let members = Members {
        action: GroupAction::Added,
        who: &[new],
        count: 1,
        includes_me: false,
    };
    Ok(of_members(place, &changed, &members))
}

/// Returns what Ada's shop attaches to its messages and its session.
fn client(client_ref: &str) -> Value {
    json!({ "client_ref": client_ref, "metadata": { "shop": "berlin" } })
}

/// Returns the event of a number that WhatsApp keeps from opening new chats for two days, or no longer does.
fn health(ids: &Ids, kind: EventType, client: &ClientData) -> NewEvent {
    let place = (ids.org, ids.session);
    let news = if kind == EventType::SessionRecovered {
        News::Recovered(Standing::default())
    } else {
        News::Restricted(Standing {
            level: Level::ColdStop,
            until: Some(AT + 2 * DAY),
            reasons: vec![Reason::ReachoutTimelock],
        })
    };
    of_news(place, &news, client)
}

fn session(
    ids: &Ids,
    kind: EventType,
    (state, reason): (&'static str, Option<&'static str>),
    client: &ClientData,
) -> NewEvent {
    let change = SessionChange {
        reason,
        ..SessionChange::to(kind, state)
    };
    of_session((ids.org, ids.session), &change, client)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fidelity_every_type_of_event_has_an_example_of_itself() {
        for kind in EventType::ALL {
            let example = example(*kind).unwrap();
            assert_eq!(example["type"], kind.as_str());
            let (group, _) = kind.as_str().split_once('.').unwrap();
            assert!(example["data"][group].is_object(), "{example}");
            assert!(example.get("test").is_none(), "{example}");
        }
    }
}

//! Examples: one object per schema, and named ones for request bodies. They are in one file and not beside
//! the types, because they tell one story: Ada's order.

use passerelle_jobs::{events::examples, model::event::EventType};
use serde_json::{Value, json};

const ORG: &str = "org_01kaq6h3zve9qbw4r2t8n5c7xd";
pub(super) const SESSION: &str = "ses_01kaq6h3zve9qbw4r2t8n5c7xd";
const KEY: &str = "key_01kaq6h3zve9qbw4r2t8n5c7xd";
pub(super) const MESSAGE: &str = "msg_01kaq6h3zve9qbw4r2t8n5c7xd";
pub(super) const MEDIA: &str = "med_01kaq6h3zve9qbw4r2t8n5c7xd";
pub(super) const SHA256: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
const ENDPOINT: &str = "whe_01kaq6h3zve9qbw4r2t8n5c7xd";
const DELIVERY: &str = "dlv_01kaq6h3zve9qbw4r2t8n5c7xd";
const EVENT: &str = "evt_01kaq6h3zve9qbw4r2t8n5c7xd";
const CONSENT: &str = "con_01kaq6h3zve9qbw4r2t8n5c7xd";
const LINK: &str = "oil_01kaq6h3zve9qbw4r2t8n5c7xd";
const AUTO_REPLY: &str = "alr_01kaq6h3zve9qbw4r2t8n5c7xd";
const REQUEST: &str = "req_01kaq6h3zve9qbw4r2t8n5c7xd";
const AT: &str = "2026-11-22T08:00:00.000Z";
const LATER: &str = "2026-11-22T08:00:04.200Z";
const TOMORROW: &str = "2026-11-23T08:00:00.000Z";
const IN_THREE_DAYS: &str = "2026-11-25T08:00:00.000Z";
const PHONE: &str = "+491510000001";
const CONTACT_ID: &str = "ctc_01kaq6h3zve9qbw4r2t8n5c7xd";
pub(super) const CONTACT: &str = "+491510000002";

/// Returns the example of a schema, if it has one.
pub(super) fn of_schema(name: &str) -> Option<Value> {
    tenancy(name)
        .or_else(|| session(name))
        .or_else(|| super::kinds::of(name))
        .or_else(|| message(name))
        .or_else(|| auto_reply(name))
        .or_else(|| webhook(name))
        .or_else(|| event(name))
        .map(present)
}

/// Leaves out absent fields, as answers do.
fn present(example: Value) -> Value {
    match example {
        Value::Object(fields) => {
            let fields = fields.into_iter().filter(|(_, value)| !value.is_null());
            fields.map(|(name, value)| (name, present(value))).collect()
        }
        Value::Array(items) => items.into_iter().map(present).collect(),
        plain => plain,
    }
}

fn tenancy(name: &str) -> Option<Value> {
    Some(match name {
        "NewOrganisation" => json!({ "name": "Acme Repairs" }),
        "Organisation" => {
            json!({ "id": ORG, "object": "organisation", "name": "Acme Repairs", "created_at": AT })
        }
        "NewMediaRetention" => json!({ "hours": 24 }),
        "UnreadableRow" => json!({ "id": MESSAGE, "code": "unreadable_row" }),
        "Limit" => {
            json!({ "name": "sessions", "used": 3, "allowed": 50, "code": "session_limit",
            "flag": "--sessions-per-organisation" })
        }
        "Usage" => json!({ "object": "usage", "limits": [of_schema("Limit")?] }),
        "OrganisationList" => list(&of_schema("Organisation")?),
        "NewApiKey" => json!({ "name": "order service" }),
        "ApiKey" => {
            json!({ "id": KEY, "object": "api_key", "name": "order service", "public_id": "4fzKq2Lr9TbX", "created_at": AT, "revoked_at": null })
        }
        "MadeApiKey" => json!({ "id": KEY, "object": "api_key", "name": "order service",
            "key": "psl_4fzKq2Lr9TbX…", "created_at": AT }),
        "ApiKeyList" => list(&of_schema("ApiKey")?),
        "Flaw" => {
            json!({ "pointer": "/to", "code": "invalid_recipient",
            "detail": "a phone number with its country code, such as +33612345678 for the French number 06 12 34 56 78" })
        }
        "Problem" => {
            json!({ "type": "/docs/problems#invalid_recipient", "title": "The recipient is not a phone number, a contact or a group",
            "status": 422, "detail": "The recipient is not a phone number, a contact or a group. Expected: a phone number with \
            its country code, such as +33612345678 for the French number 06 12 34 56 78.", "instance": "/v1/messages",
            "code": "invalid_recipient", "request_id": REQUEST, "errors": [of_schema("Flaw")?] })
        }
        "Readiness" => json!({ "ready": true, "store": true, "redis": true, "tokens": true }),
        "Health" => json!({ "ok": true, "version": "0.1.0" }),
        _ => return None,
    })
}

fn session(name: &str) -> Option<Value> {
    Some(match name {
        "NewSession" => json!({ "name": "front desk" }),
        "SessionChange" => {
            json!({ "name": "front desk", "client_ref": "desk-3", "metadata": { "shop": "berlin" }, "presence": "phone_first" })
        }
        "Session" => {
            json!({ "id": SESSION, "object": "session", "name": "front desk", "client_ref": "desk-3", "desired": "running",
            "state": "connected", "phone": PHONE, "lid": "100000012345678", "linked_at": AT, "created_at": AT,
            "uncertain_sends": "resend", "presence": "phone_first", "queue": { "pending": 2 } })
        }
        "AutoReject" | "CallsRejected" => {
            json!({ "text": "Please write to us here; we do not answer calls." })
        }
        "RejectedCall" => {
            json!({ "id": "A0F3C2D1E4B5968778695A4B3C2D1E0F", "object": "call", "session_id": SESSION, "outcome": "rejected" })
        }
        "HealthRestriction" => {
            json!({ "reason": "reachout_timelock", "level": "cold_stop", "since": AT, "until": IN_THREE_DAYS })
        }
        "ReachoutTimelock" => {
            json!({ "active": true, "kind": "WEB_COMPANION_ONLY", "ends_at": TOMORROW, "checked_at": AT })
        }
        "NewChatQuota" => {
            json!({ "status": "FIRST_WARNING", "total": 300, "used": 240, "cycle_started_at": AT, "cycle_ends_at": IN_THREE_DAYS,
            "caps_divided_by": 2, "checked_at": AT })
        }
        "HealthFigure" => json!({ "name": "opt_outs", "value": 1, "threshold": 3, "of": 42 }),
        "SessionHealth" => {
            json!({ "object": "session_health", "session_id": SESSION, "level": "cold_stop", "until": IN_THREE_DAYS,
            "reasons": ["reachout_timelock"], "enforced": true, "restrictions": [of_schema("HealthRestriction")?],
            "timelock": of_schema("ReachoutTimelock")?, "new_chat_quota": of_schema("NewChatQuota")?,
            "figures": [of_schema("HealthFigure")?] })
        }
        "Queue" => {
            json!({ "object": "queue", "session_id": SESSION, "depth": 3, "sending": 1, "oldest_at": AT,
            "next": of_schema("QueueNext")?, "classes": [{ "class": "reply", "waiting": 1, "held": 0 },
            { "class": "warm", "waiting": 0, "held": 0 }, of_schema("QueueClass")?], "holds": [of_schema("QueueHold")?],
            "caps": [of_schema("QueueCap")?], "level": "ok" })
        }
        "QueueNext" => json!({ "at": LATER, "hold": "gap" }),
        "QueueClass" => json!({ "class": "cold", "waiting": 1, "held": 1 }),
        "QueueHold" => json!({ "hold": "quiet_hours", "messages": 1, "until": TOMORROW }),
        "QueueCap" => {
            json!({ "name": "new_conversations_a_day", "limit": 20, "used": 7, "remaining": 13, "resets_at": TOMORROW })
        }
        "QueuedMessageList" => list(&of_schema("Message")?),
        "CanceledMessages" => {
            json!({ "object": "canceled_messages", "canceled": 42, "has_more": false })
        }
        "OwnLimits" => json!({ "new_conversations_a_day": 10, "quiet_holds_warm": true }),
        "Policy" => {
            json!({ "object": "policy", "preset": "default", "hash": SHA256, "limits": { "preset": "default", "needs_consent": true,
            "replies_an_hour": 600 }, "own": of_schema("OwnLimits")?, "risk": "Passerelle is an unofficial client. …" })
        }
        "StatusReason" => json!({ "code": "logged_out" }),
        "SessionQueue" => json!({ "pending": 2 }),
        "SessionList" => list(&of_schema("Session")?),
        "Qr" => {
            json!({ "qr": "2@kV0n…,Zm9v…,YmFy…,cXV4…", "expires_at": AT, "png_data_url": "data:image/png;base64,iVBORw0KGgo…" })
        }
        "QrStreamEvent" => json!({ "qr": "2@kV0n…,Zm9v…,YmFy…,cXV4…", "expires_at": AT }),
        "NewUncertainSends" => json!({ "policy": "hold" }),
        "NewPairingCode" => json!({ "phone": PHONE }),
        "NewNumberCheck" => json!({ "phone": CONTACT }),
        "NewPhoneNumber" => json!({ "phone": "06 12 34 56 78", "country": "FR" }),
        "PhoneNumber" => json!({ "object": "phone_number", "phone": "+33612345678",
            "formatted": "+33 6 12 34 56 78", "country": "FR", "valid": true }),
        "NumberCheck" => {
            json!({ "object": "number_check", "phone": CONTACT, "requested_phone": CONTACT, "on_whatsapp": true,
            "lid": "100000087654321", "checked_at": AT })
        }
        "WhatsAppGroup" => {
            json!({ "id": "120363041234567890@g.us", "object": "group", "subject": "Team", "members": 12,
            "admins_only": false })
        }
        "GroupList" => json!({ "data": [of_schema("WhatsAppGroup")?] }),
        "GroupDetails" => {
            let me = json!({ "phone": PHONE, "lid": "100000011112222", "this_number": true, "role": "member" });
            json!({ "id": "120363041234567890@g.us", "object": "group", "session_id": SESSION, "subject": "Team",
            "description": "Orders of today", "members": 2, "admins_only": false, "locked": true, "join_approval": false,
            "expires_in": 604_800, "created_at": AT, "participants": [of_schema("GroupParticipant")?, me] })
        }
        "GroupParticipant" => {
            json!({ "contact_id": CONTACT_ID, "phone": CONTACT, "lid": "100000087654321", "name": "Ada",
            "push_name": "Ada", "this_number": false, "role": "owner" })
        }
        "GroupLeft" => {
            json!({ "id": "120363041234567890@g.us", "object": "group", "session_id": SESSION, "left": true })
        }
        "NewTyping" => json!({ "to": CONTACT, "state": "typing" }),
        "TypingShown" => {
            json!({ "object": "typing", "to": CONTACT, "state": "typing", "until": LATER })
        }
        "PairingCode" => json!({ "code": "ABCD1234" }),
        _ => return None,
    })
}

fn message(name: &str) -> Option<Value> {
    Some(match name {
        "Message" => {
            json!({ "id": MESSAGE, "object": "message", "session_id": SESSION, "direction": "outbound",
            "source": "gateway", "type": "text", "to": CONTACT, "from": PHONE, "status": "queued",
            "text": { "body": "Your order 1042 is ready for pick-up." },
            "client_ref": "order-1042", "metadata": { "shop": "berlin" }, "class": "warm", "purpose": "order",
            "queue": { "position": 0, "estimated_send_at": LATER, "estimated_send_by": LATER },
            "wa_message_id": "3EB0A1B2C3D4E5F6A7B8C9", "created_at": AT, "expires_at": TOMORROW,
            "sent_at": null, "delivered_at": null, "read_at": null, "played_at": null })
        }
        "Media" => {
            json!({ "id": MEDIA, "object": "media", "kind": "image", "status": "available",
            "mime_type": "image/jpeg", "size": 48213, "sha256": SHA256, "width": 1200, "height": 900,
            "url": "https://gateway.example/media/org_…", "url_expires_at": TOMORROW, "created_at": AT,
            "expires_at": IN_THREE_DAYS })
        }
        "MediaError" => json!({ "code": "media_unreachable" }),
        "MessageQueue" => {
            json!({ "position": 0, "estimated_send_at": LATER, "estimated_send_by": LATER })
        }
        "MessageTimeline" => {
            json!({ "object": "message_timeline", "message_id": MESSAGE, "steps": [
            { "step": "accepted", "at": AT, "class": "warm", "purpose": "order" }, of_schema("TimelineStep")?,
            { "step": "sent", "at": LATER }] })
        }
        "TimelineStep" => {
            json!({ "step": "claimed", "at": AT, "class": "warm", "send_at": LATER })
        }
        "MessageTrial" => json!({ "used": 1, "of": 5 }),
        "MessageError" => json!({ "code": "recipient_opted_out" }),
        "Chat" => {
            json!({ "object": "chat", "session_id": SESSION, "contact_id": CONTACT_ID, "phone": CONTACT,
            "lid": "100000087654321", "group_id": null, "last_message": of_event(EventType::MessageReceived)?.pointer("/data/message"), "unread": 1 })
        }
        "Receipt" => {
            json!({ "object": "receipt", "contact_id": CONTACT_ID, "name": "Ada", "phone": CONTACT,
            "lid": "100000087654321", "delivered_at": AT, "read_at": LATER, "played_at": null })
        }
        "ReceiptList" => {
            let mut listed = list(&of_schema("Receipt")?);
            listed["per_member"] = json!(true);
            listed
        }
        "ChatList" => list(&of_schema("Chat")?),
        "MessageList" => list(&of_schema("Message")?),
        _ => return None,
    })
}

fn auto_reply(name: &str) -> Option<Value> {
    let answer = "Hello {{ contact.name | default('there') }}, we are here again from 9:00.";
    let answer = json!({ "type": "text", "text": { "body": answer } });
    Some(match name {
        "OpeningTime" | "OpeningTimeShown" => {
            json!({ "days": ["mon", "tue", "wed", "thu", "fri"], "from": "09:00", "until": "18:00" })
        }
        "OfficeHours" | "OfficeHoursShown" => {
            json!({ "when": "outside", "timezone": "Europe/Berlin",
            "open": [of_schema("OpeningTime")?], "holidays": ["2026-12-25"] })
        }
        "AutoReplyMatch" | "AutoReplyMatchShown" => {
            json!({ "office_hours": of_schema("OfficeHours")? })
        }
        "AutoReplyConditions" => {
            json!({ "once_per_seconds": 43200, "private_only": true, "person_minutes": 60,
            "max_age_seconds": 300 })
        }
        "NewAutoReplyAnswer" | "AutoReplyAnswer" => answer,
        "NewAutoReply" => json!({ "name": "Away", "match": of_schema("AutoReplyMatch")?,
            "conditions": { "once_per_seconds": 43200 }, "answer": answer }),
        "AutoReply" => {
            json!({ "id": AUTO_REPLY, "object": "auto_reply", "name": "Away", "enabled": true,
            "position": 100, "then": "stop", "match": of_schema("AutoReplyMatch")?,
            "conditions": of_schema("AutoReplyConditions")?, "answer": answer, "hits": 7, "last_hit_at": AT,
            "created_at": AT, "updated_at": AT })
        }
        "AutoReplyList" => list(&of_schema("AutoReply")?),
        "TestedMessage" => json!({ "text": "When do you open?" }),
        "TestedContact" => json!({ "name": "Ada", "last_inbound_at": AT }),
        "NewAutoReplyTest" => json!({ "message": of_schema("TestedMessage")?,
            "contact": of_schema("TestedContact")?, "at": "2026-11-22T22:00:00.000Z" }),
        "TriedAutoReply" => {
            let said = json!({ "type": "text", "text": { "body": "Hello Ada, we are here again from 9:00." } });
            json!({ "id": AUTO_REPLY, "name": "Away", "fires": true, "why": "fires", "answer": said })
        }
        "AutoReplyTest" => {
            json!({ "object": "auto_reply_test", "fires": true, "rules": [of_schema("TriedAutoReply")?] })
        }
        "NewContactAutomation" => json!({ "rests_until": TOMORROW }),
        "ContactAutomation" => {
            json!({ "object": "contact_automation", "contact_id": CONTACT_ID, "rests_until": TOMORROW })
        }
        _ => return None,
    })
}

fn webhook(name: &str) -> Option<Value> {
    Some(match name {
        "NewWebhookEndpoint" => {
            json!({ "url": "https://shop.example/hooks/whatsapp", "events": ["message.received", "message.read"] })
        }
        "WebhookEndpointChange" => {
            json!({ "url": "https://shop.example/hooks/v2", "events": ["message.*", "session.*"], "sessions": [SESSION],
            "headers": { "authorization": "Bearer 4fzKq2Lr9TbX" }, "enabled": true })
        }
        "WebhookEndpoint" => {
            json!({ "id": ENDPOINT, "object": "webhook_endpoint", "url": "https://shop.example/hooks/whatsapp",
            "events": ["message.received", "message.read"], "sessions": [], "header_names": [], "inline_media": false, "raw": false, "status": "enabled", "created_at": AT })
        }
        "MadeWebhookEndpoint" => {
            json!({ "id": ENDPOINT, "object": "webhook_endpoint", "url": "https://shop.example/hooks/whatsapp",
            "events": ["message.received", "message.read"], "sessions": [], "header_names": [], "inline_media": false, "raw": false, "status": "enabled", "secret": "whsec_…", "created_at": AT })
        }
        "WebhookEndpointList" => list(&of_schema("WebhookEndpoint")?),
        "NewWebhookTest" => json!({ "event_type": "message.received" }),
        "EventTypeDescription" => json!({ "name": "message.received", "object": "event_type",
            "description": "A message was received.", "example": of_event(EventType::MessageReceived)? }),
        "EventTypeList" => json!({ "data": [of_schema("EventTypeDescription")?] }),
        "RotatedSecret" => json!({ "secret": "whsec_…", "old_secret_expires_at": TOMORROW }),
        "WebhookDelivery" => {
            json!({ "id": DELIVERY, "object": "webhook_delivery", "endpoint_id": ENDPOINT, "event_id": EVENT,
            "event_type": "message.received", "test": false, "status": "delivered", "attempts_made": 1, "created_at": AT })
        }
        "WebhookAttempt" => {
            json!({ "number": 1, "started_at": AT, "took_ms": 42, "http_status": 200, "error": null })
        }
        "WebhookDeliveryList" => list(&of_schema("WebhookDelivery")?),
        _ => return None,
    })
}

fn event(name: &str) -> Option<Value> {
    let person = match name {
        "Contact" => Some(
            json!({ "id": CONTACT_ID, "object": "contact", "name": "Ada Lovelace", "push_name": "Ada", "phone": CONTACT,
            "lid": "100000087654321", "metadata": { "customer": "1815" }, "opted_out": false, "created_at": AT }),
        ),
        "Mentioned" => {
            Some(json!({ "contact_id": CONTACT_ID, "phone": CONTACT, "lid": "100000087654321" }))
        }
        "ContactList" => Some(list(&of_schema("Contact")?)),
        "MessageChange" => Some(json!({ "send_at": TOMORROW, "priority": "high" })),
        "ContactChange" => {
            Some(json!({ "name": "Ada Lovelace", "metadata": { "customer": "1815" } }))
        }
        "OptOut" => Some(
            json!({ "object": "opt_out", "contact_id": CONTACT_ID, "phone": CONTACT, "lid": "100000087654321",
            "source": "word", "opted_out_at": AT }),
        ),
        "OptOutList" => Some(list(&of_schema("OptOut")?)),
        "NewOptOut" => Some(json!({ "phone": CONTACT })),
        "NewConsent" => Some(json!({ "source": "checkout", "proof": "order 1042" })),
        "Consent" => Some(
            json!({ "id": CONSENT, "object": "consent", "contact_id": CONTACT_ID, "source": "checkout",
            "proof": "order 1042", "given_at": AT, "created_at": AT }),
        ),
        "ConsentList" => Some(list(&of_schema("Consent")?)),
        "NewOptInLink" => Some(json!({ "text": "Please keep me posted about my order." })),
        "OptInLink" => Some(
            json!({ "id": LINK, "object": "opt_in_link", "session_id": SESSION,
            "url": "https://wa.me/491510000001?text=Please%20keep%20me%20posted%20about%20my%20order.%20K7QMF-2XRWD",
            "code": "K7QMF-2XRWD", "message": "Please keep me posted about my order. K7QMF-2XRWD", "created_at": AT }),
        ),
        "OptInLinkList" => Some(list(&of_schema("OptInLink")?)),
        "OptOutSettings" => Some(
            json!({ "ambiguous_words": true, "confirmation": "You get no more messages. Write START to get them again." }),
        ),
        "ContactAvatar" => Some(
            json!({ "object": "avatar", "contact_id": CONTACT_ID, "picture_id": "1764500000",
            "url": "https://pps.whatsapp.net/v/t61.24694-24/picture.jpg" }),
        ),
        _ => None,
    };
    if person.is_some() {
        return person;
    }
    let (kind, part) = match name {
        "MessageEvent" => (EventType::MessageReceived, ""),
        "MessageEventBody" => (EventType::MessageReceived, "/data"),
        "MediaEvent" => (EventType::MediaAvailable, ""),
        "MediaEventBody" => (EventType::MediaAvailable, "/data"),
        "SessionEvent" => (EventType::SessionConnected, ""),
        "SessionEventBody" => (EventType::SessionConnected, "/data"),
        "SessionShown" => (EventType::SessionConnected, "/data/session"),
        "SessionHealthEvent" => (EventType::SessionRestricted, ""),
        "SessionHealthEventBody" => (EventType::SessionRestricted, "/data"),
        "SessionNamed" => (EventType::SessionRestricted, "/data/session"),
        "HealthShown" => (EventType::SessionRestricted, "/data/health"),
        "ContactEvent" => (EventType::ContactUpdated, ""),
        "ContactEventBody" => (EventType::ContactUpdated, "/data"),
        "ConsentEvent" => (EventType::ConsentGiven, ""),
        "ConsentEventBody" => (EventType::ConsentGiven, "/data"),
        "OptOutEvent" => (EventType::ContactOptedOut, ""),
        "OptOutEventBody" => (EventType::ContactOptedOut, "/data"),
        "ContactShown" => (EventType::ContactUpdated, "/data/contact"),
        "GroupUpdateEvent" => (EventType::GroupUpdated, ""),
        "GroupUpdateEventBody" => (EventType::GroupUpdated, "/data"),
        "GroupShown" => (EventType::GroupUpdated, "/data/group"),
        "GroupSettings" => (EventType::GroupUpdated, "/data/changes"),
        "GroupParticipantsEvent" => (EventType::GroupParticipants, ""),
        "GroupParticipantsEventBody" => (EventType::GroupParticipants, "/data"),
        "CallEvent" => (EventType::CallReceived, ""),
        "CallEventBody" => (EventType::CallReceived, "/data"),
        "CallShown" => (EventType::CallEnded, "/data/call"),
        "RuleEvent" => (EventType::RuleMatched, ""),
        "RuleEventBody" => (EventType::RuleMatched, "/data"),
        "RuleShown" => (EventType::RuleMatched, "/data/rule"),
        "EndpointEvent" => (EventType::EndpointDisabled, ""),
        "EndpointEventBody" => (EventType::EndpointDisabled, "/data"),
        "EndpointShown" => (EventType::EndpointDisabled, "/data/endpoint"),
        _ => return None,
    };
    of_event(kind)?.pointer(part).cloned()
}

/// Returns what is posted for an event of this type.
pub(super) fn of_event(kind: EventType) -> Option<Value> {
    examples::example(kind).ok()
}

fn list(item: &Value) -> Value {
    json!({ "data": [item], "has_more": false, "next_cursor": null })
}

/// Returns one message of each kind.
fn messages() -> Value {
    let mut named = serde_json::Map::new();
    for (kind, summary, ..) in super::kinds::KINDS {
        let value = super::kinds::whole(kind);
        named.insert(
            kind.to_owned(),
            json!({ "summary": summary, "value": value }),
        );
    }
    let mut reply = super::kinds::whole("text");
    reply["reply_to"] = json!(MESSAGE);
    named.insert(
        "reply".to_owned(),
        json!({ "summary": "An answer to a message", "value": reply }),
    );
    let mut referenced = super::kinds::whole("text");
    referenced["client_ref"] = json!("order-1042");
    referenced["metadata"] = json!({ "shop": "berlin" });
    let summary = "A text with a reference and metadata of yours";
    named.insert(
        "reference".to_owned(),
        json!({ "summary": summary, "value": referenced }),
    );
    let mut expiring = super::kinds::whole("text");
    expiring["text"] = json!({ "body": "Your code is 481516." });
    expiring["expires_at"] = json!(TOMORROW);
    let summary = "A text that is worthless after a while";
    named.insert(
        "expiring".to_owned(),
        json!({ "summary": summary, "value": expiring }),
    );
    let mut first = super::kinds::whole("text");
    first["purpose"] = json!("order");
    first["consent"] = json!({ "source": "checkout", "proof": "order 1042" });
    let summary = "A first message to a customer who agreed to it";
    named.insert(
        "first".to_owned(),
        json!({ "summary": summary, "value": first }),
    );
    Value::Object(named)
}

/// Returns the named examples of a request body. `/docs` fills in the first one.
pub(super) fn of_request(operation: &str) -> Option<Value> {
    let schema = match operation {
        "create_organisation" => "NewOrganisation",
        "create_organisation_api_key" | "create_api_key" => "NewApiKey",
        "set_media_retention" => "NewMediaRetention",
        "set_uncertain_sends" => "NewUncertainSends",
        "create_session" => "NewSession",
        "change_session" => "SessionChange",
        "change_message" => "MessageChange",
        "request_pairing_code" => "NewPairingCode",
        "create_webhook_endpoint" => "NewWebhookEndpoint",
        "change_webhook_endpoint" => "WebhookEndpointChange",
        "test_webhook_endpoint" => "NewWebhookTest",
        "check_number" => "NewNumberCheck",
        "normalise_phone_number" => "NewPhoneNumber",
        "change_contact" => "ContactChange",
        "create_opt_out" => "NewOptOut",
        "create_consent" => "NewConsent",
        "create_opt_in_link" => "NewOptInLink",
        "set_opt_out_settings" => "OptOutSettings",
        "create_auto_reply" | "replace_auto_reply" => "NewAutoReply",
        "test_auto_reply" => "NewAutoReplyTest",
        "set_contact_automation" => "NewContactAutomation",
        "set_policy" => "OwnLimits",
        "show_typing" => "NewTyping",
        "send_message" => return Some(messages()),
        by_kind if by_kind.starts_with("send_") => {
            let kind = by_kind.trim_start_matches("send_");
            let (_, summary, ..) = super::kinds::KINDS
                .iter()
                .find(|(word, ..)| *word == kind)?;
            let value = super::kinds::bare(kind);
            return Some(json!({ kind: { "summary": summary, "value": value } }));
        }
        _ => return None,
    };
    Some(json!({ "example": { "summary": "As it is usually sent", "value": of_schema(schema)? } }))
}

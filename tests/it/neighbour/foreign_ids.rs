//! Every operation of the document is called with the ids of another organisation. It must answer exactly as
//! for ids that never existed. A new operation needs a line here.

use anyhow::{Context as _, Result};
use passerelle_tests::{
    Api, Backing, Finished, Setup, World, api::Reply, on_every_shape, simulator::Phone,
};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

use crate::tenancy::{a_delivery, bare, never};

on_every_shape!(
    neighbour_asks_every_operation_with_foreign_ids,
    neighbour_names_foreign_ids_in_bodies_and_filters,
);

const NUMBER: &str = "+4915170000001";
const CONTACT: &str = "+4915199000001";

/// What is in the path of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Of {
    AutoReply,
    Contact,
    Group,
    Key,
    Media,
    Message,
    Session,
    Delivery,
    Endpoint,
    /// The operator's operations, which no organisation may call.
    Operator,
    /// The path has no id.
    None,
}

/// Each operation with what is in its path, and the code for an id that never existed.
const OPERATIONS: &[(&str, Of, &str)] = &[
    ("health", Of::None, ""),
    ("metrics", Of::None, ""),
    ("readiness", Of::None, ""),
    // Its signature decides, not a key: see `erase::traces`.
    ("open_media_link", Of::None, ""),
    ("list_api_keys", Of::None, ""),
    ("create_api_key", Of::None, ""),
    ("revoke_api_key", Of::Key, "not_found"),
    ("upload_media", Of::None, ""),
    ("stream_media", Of::None, ""),
    ("delete_media", Of::Media, "not_found"),
    ("read_media", Of::Media, "not_found"),
    ("read_media_content", Of::Media, "not_found"),
    ("fetch_media", Of::Media, "not_found"),
    ("list_messages", Of::None, ""),
    ("list_chats", Of::None, ""),
    ("list_contacts", Of::None, ""),
    ("read_contact", Of::Contact, "not_found"),
    ("change_contact", Of::Contact, "not_found"),
    ("read_contact_avatar", Of::Contact, "not_found"),
    ("create_consent", Of::Contact, "not_found"),
    ("list_consents", Of::Contact, "not_found"),
    ("revoke_consent", Of::Contact, "not_found"),
    ("create_opt_in_link", Of::Session, "not_found"),
    ("list_opt_in_links", Of::Session, "not_found"),
    ("read_opt_in_link_qr", Of::Session, "not_found"),
    ("delete_opt_in_link", Of::Session, "not_found"),
    ("list_opt_outs", Of::None, ""),
    ("create_opt_out", Of::None, ""),
    ("delete_opt_out", Of::Contact, "not_found"),
    ("read_opt_out_settings", Of::None, ""),
    ("set_opt_out_settings", Of::None, ""),
    ("create_auto_reply", Of::None, ""),
    ("list_auto_replies", Of::None, ""),
    ("read_auto_reply", Of::AutoReply, "not_found"),
    ("replace_auto_reply", Of::AutoReply, "not_found"),
    ("delete_auto_reply", Of::AutoReply, "not_found"),
    ("test_auto_reply", Of::AutoReply, "not_found"),
    ("set_contact_automation", Of::Contact, "not_found"),
    ("normalise_phone_number", Of::None, ""),
    ("send_message", Of::None, ""),
    ("read_message", Of::Message, "not_found"),
    ("list_receipts", Of::Message, "not_found"),
    ("read_message_timeline", Of::Message, "not_found"),
    ("cancel_message", Of::Message, "not_found"),
    ("change_message", Of::Message, "not_found"),
    ("mark_message_played", Of::Message, "not_found"),
    ("mark_message_read", Of::Message, "not_found"),
    ("list_organisations", Of::None, ""),
    ("create_organisation", Of::None, ""),
    ("read_organisation", Of::Operator, "insufficient_scope"),
    ("suspend_organisation", Of::Operator, "insufficient_scope"),
    ("resume_organisation", Of::Operator, "insufficient_scope"),
    (
        "list_organisation_api_keys",
        Of::Operator,
        "insufficient_scope",
    ),
    (
        "create_organisation_api_key",
        Of::Operator,
        "insufficient_scope",
    ),
    (
        "revoke_organisation_api_key",
        Of::Operator,
        "insufficient_scope",
    ),
    ("set_media_retention", Of::Operator, "insufficient_scope"),
    ("unset_media_retention", Of::Operator, "insufficient_scope"),
    ("read_usage", Of::None, ""),
    (
        "read_organisation_usage",
        Of::Operator,
        "insufficient_scope",
    ),
    ("list_sessions", Of::None, ""),
    ("create_session", Of::None, ""),
    ("read_session", Of::Session, "not_found"),
    ("read_session_health", Of::Session, "not_found"),
    ("read_queue", Of::Session, "not_found"),
    ("pause_queue", Of::Session, "not_found"),
    ("resume_queue", Of::Session, "not_found"),
    ("list_queued_messages", Of::Session, "not_found"),
    ("cancel_queued_messages", Of::Session, "not_found"),
    ("read_policy", Of::None, ""),
    ("set_policy", Of::None, ""),
    ("reset_policy", Of::None, ""),
    ("delete_session", Of::Session, "not_found"),
    ("connect_session", Of::Session, "not_found"),
    ("disconnect_session", Of::Session, "not_found"),
    ("change_session", Of::Session, "not_found"),
    ("logout_session", Of::Session, "not_found"),
    ("list_groups", Of::Session, "not_found"),
    // Only WhatsApp knows groups, and their session is not connected. `fidelity_groups` has one that is.
    ("read_group", Of::Group, "session_not_ready"),
    ("leave_group", Of::Group, "session_not_ready"),
    ("check_number", Of::Session, "not_found"),
    ("request_pairing_code", Of::Session, "not_found"),
    ("read_qr", Of::Session, "not_found"),
    ("read_qr_image", Of::Session, "not_found"),
    ("stream_qr", Of::Session, "not_found"),
    ("show_typing", Of::Session, "not_found"),
    ("reject_call", Of::Session, "not_found"),
    ("set_uncertain_sends", Of::Session, "not_found"),
    ("send_audio", Of::Session, "not_found"),
    ("send_contacts", Of::Session, "not_found"),
    ("send_document", Of::Session, "not_found"),
    ("send_image", Of::Session, "not_found"),
    ("send_location", Of::Session, "not_found"),
    ("send_poll", Of::Session, "not_found"),
    ("send_sticker", Of::Session, "not_found"),
    ("send_text", Of::Session, "not_found"),
    ("send_video", Of::Session, "not_found"),
    ("send_voice", Of::Session, "not_found"),
    // The message that they are about is looked for first.
    ("send_delete", Of::Session, "target_not_found"),
    ("send_edit", Of::Session, "target_not_found"),
    ("send_reaction", Of::Session, "target_not_found"),
    ("list_webhook_deliveries", Of::None, ""),
    ("read_webhook_delivery", Of::Delivery, "not_found"),
    ("list_webhook_endpoints", Of::None, ""),
    ("list_event_types", Of::None, ""),
    ("create_webhook_endpoint", Of::None, ""),
    ("read_webhook_endpoint", Of::Endpoint, "not_found"),
    ("change_webhook_endpoint", Of::Endpoint, "not_found"),
    ("test_webhook_endpoint", Of::Endpoint, "not_found"),
    ("delete_webhook_endpoint", Of::Endpoint, "not_found"),
    ("rotate_webhook_secret", Of::Endpoint, "not_found"),
];

/// An operation of the document.
struct Operation {
    method: Method,
    path: String,
    /// The first example of its body.
    body: Option<Value>,
}

async fn operations(world: &World) -> Result<BTreeMap<String, Operation>> {
    let document: Value = world.api.get("/openapi.json").await?.into(200)?;
    let paths = document["paths"].as_object().context("paths")?;
    let mut found = BTreeMap::new();
    for (path, methods) in paths {
        for (method, operation) in methods.as_object().context("methods")? {
            let Some(id) = operation["operationId"].as_str() else {
                continue;
            };
            let examples = &operation["requestBody"]["content"]["application/json"]["examples"];
            let first = examples.as_object().and_then(|all| all.values().next());
            let one = Operation {
                method: method.to_uppercase().parse()?,
                path: path.clone(),
                body: first.map(|example| example["value"].clone()),
            };
            found.insert(id.to_owned(), one);
        }
    }
    Ok(found)
}

/// What an organisation has: an id of each kind.
struct Owned(BTreeMap<Of, String>);

impl Owned {
    async fn by(world: &World) -> Result<Self> {
        let api = &world.api;
        let session = world.linked(NUMBER).await?.id;
        world.simulator.phone(CONTACT, Phone::default()).await?;
        let message = api.send(&session, CONTACT, "ours").await?.id;
        api.message_at(&message, "delivered").await?;
        let contact = api.whole_message(&message).await?["contact_id"].clone();
        let (endpoint, _) = api.create_endpoint("http://127.0.0.1:9/hook", &[]).await?;
        let offline = api.create_session("offline").await?.id;
        let delivery = a_delivery(api, &offline).await?;
        let file: Value = api
            .upload("document", b"%PDF-1.4\n".as_slice())
            .await?
            .into(201)?;
        let group = json!({ "subject": "Ours", "creator": NUMBER, "members": [CONTACT] });
        let group = world.simulator.call(Method::POST, "/groups", Some(&group));
        let group = group.await?["id"].clone();
        let keys: Value = api.get("/v1/api-keys").await?.into(200)?;
        let id =
            |value: &Value| Ok::<_, anyhow::Error>(value.as_str().context("an id")?.to_owned());
        let rule = json!({ "name": "ours", "match": { "exact": ["menu"] },
            "answer": { "type": "text", "text": { "body": "1, 2 or 3" } } });
        let rule: Value = api.post("/v1/auto-replies", &rule).await?.into(201)?;
        Ok(Self(BTreeMap::from([
            (Of::AutoReply, id(&rule["id"])?),
            (Of::Contact, id(&contact)?),
            (Of::Group, id(&group)?),
            (Of::Key, id(&keys["data"][0]["id"])?),
            (Of::Media, id(&file["id"])?),
            (Of::Message, message),
            (Of::Session, session),
            (Of::Delivery, delivery),
            (Of::Endpoint, endpoint),
            (Of::Operator, world.org.clone()),
        ])))
    }
}

async fn ask(api: &Api, operation: &Operation, id: &str, body: Option<&Value>) -> Result<Reply> {
    let mut path = operation.path.replace("{id}", id);
    if path.ends_with("/avatar") || path.starts_with("/v1/groups/") {
        let session = api.sessions().await?.pop().context("a session")?.id;
        path = format!("{path}?session_id={session}");
    }
    let path = path.replace("{key_id}", "key_01kaq6h3zve9qbw4r2t8n5c7xd");
    let path = path.replace("{consent_id}", "con_01kaq6h3zve9qbw4r2t8n5c7xd");
    let path = path.replace("{link_id}", "oil_01kaq6h3zve9qbw4r2t8n5c7xd");
    let path = path.replace("{call_id}", "AC90CFD09DF712D981142B172706F9F2");
    let mut request = api.request(operation.method.clone(), &path);
    if let Some(body) = body {
        request = request.json(body);
    }
    Api::reply(request).await
}

async fn neighbour_asks_every_operation_with_foreign_ids(backing: Backing) -> Result<Finished> {
    let world = World::with(backing, Setup::quick()).await?;
    let ours = Owned::by(&world).await?;
    let theirs = world.admin.tenant("Globex").await?;
    theirs.create_session("offline").await?;
    let operations = operations(&world).await?;
    let listed: BTreeSet<_> = OPERATIONS.iter().map(|(id, ..)| *id).collect();
    let known: BTreeSet<_> = operations.keys().map(String::as_str).collect();
    assert_eq!(known, listed, "the document's operations and those here");
    for (name, of, code) in OPERATIONS {
        let operation = &operations[*name];
        let Some(id) = ours.0.get(of) else {
            assert!(!operation.path.contains("{id}"), "{name} has an id");
            continue;
        };
        let mut body = operation.body.clone();
        // A file by its address, so that no file of theirs is missing.
        let kind = name.trim_start_matches("send_");
        if let Some(file) = body.as_mut().and_then(|body| body.get_mut(kind))
            && file.is_object()
            && ["audio", "document", "image", "sticker", "video", "voice"].contains(&kind)
        {
            *file = json!({ "url": "http://127.0.0.1:9/file" });
        }
        let foreign = ask(&theirs, operation, id, body.as_ref()).await?;
        let no_id = match of {
            Of::Group => "120363999999999999@g.us".to_owned(),
            _ => never(id),
        };
        let nowhere = ask(&theirs, operation, &no_id, body.as_ref()).await?;
        assert_eq!(foreign.code(), *code, "{name}: {}", foreign.body);
        assert_eq!(
            bare(&foreign, id),
            bare(&nowhere, &no_id),
            "{name} shows that the id exists"
        );
    }
    untouched(&world, &ours).await?;
    world.finish_with_work_undone().await
}

/// Fails if a stranger changed something.
async fn untouched(world: &World, ours: &Owned) -> Result<()> {
    let session = &ours.0[&Of::Session];
    assert_eq!(world.api.session(session).await?.state, "connected");
    for (path, of) in [
        ("/v1/messages/", Of::Message),
        ("/v1/auto-replies/", Of::AutoReply),
        ("/v1/contacts/", Of::Contact),
        ("/v1/media/", Of::Media),
        ("/v1/webhook-endpoints/", Of::Endpoint),
        ("/v1/webhook-deliveries/", Of::Delivery),
    ] {
        let reply = world.api.get(&format!("{path}{}", ours.0[&of])).await?;
        assert_eq!(reply.status.as_u16(), 200, "{path}");
    }
    Ok(())
}

async fn neighbour_names_foreign_ids_in_bodies_and_filters(backing: Backing) -> Result<Finished> {
    let world = World::with(backing, Setup::quick()).await?;
    let ours = Owned::by(&world).await?;
    let theirs = world.admin.tenant("Globex").await?;
    let session = theirs.create_session("offline").await?.id;
    let message = &ours.0[&Of::Message];
    let whole = world.api.whole_message(message).await?;
    let contact = whole["contact_id"].as_str().context("a contact")?;
    let text = json!({ "body": "hello" });
    let with = |kind: Value| Api::of_kind(&session, CONTACT, kind);
    let to_contact = json!({ "session_id": session, "type": "text", "to": "ID", "text": text });
    let through = json!({ "session_id": "ID", "type": "text", "to": CONTACT, "text": text });
    let document = with(json!({ "type": "document", "document": { "media_id": "ID" } }));
    let reply = with(json!({ "type": "text", "text": text, "reply_to": "ID" }));
    let edit = json!({ "message_id": "ID", "body": "x" });
    let reaction = json!({ "message_id": "ID", "emoji": "👍" });
    let cases = [
        (&ours.0[&Of::Session], through, "not_found"),
        (&contact.to_owned(), to_contact, "contact_not_found"),
        (&ours.0[&Of::Media], document, "media_not_found"),
        (message, reply, "target_not_found"),
        (
            message,
            with(json!({ "type": "edit", "edit": edit })),
            "target_not_found",
        ),
        (
            message,
            with(json!({ "type": "delete", "delete": { "message_id": "ID" } })),
            "target_not_found",
        ),
        (
            message,
            with(json!({ "type": "reaction", "reaction": reaction })),
            "target_not_found",
        ),
    ];
    for (id, body, code) in cases {
        let mut replies = Vec::new();
        for id in [id.clone(), never(id)] {
            let body = body.to_string().replace("\"ID\"", &format!("\"{id}\""));
            let reply = theirs
                .post("/v1/messages", &serde_json::from_str(&body)?)
                .await?;
            assert_eq!(reply.code(), code, "{body}: {}", reply.body);
            replies.push(bare(&reply, &id));
        }
        assert_eq!(replies[0], replies[1], "{body} shows that the id exists");
    }
    for (filter, of) in [
        ("/v1/messages?session_id=", Of::Session),
        ("/v1/webhook-deliveries?endpoint_id=", Of::Endpoint),
    ] {
        let id = &ours.0[&of];
        let foreign = theirs.get(&format!("{filter}{id}")).await?;
        let nowhere = theirs.get(&format!("{filter}{}", never(id))).await?;
        assert_eq!(bare(&foreign, id), bare(&nowhere, &never(id)), "{filter}");
    }
    // A cursor of theirs shows nothing of ours.
    world.api.create_session("second").await?;
    let page: Value = world.api.get("/v1/sessions?limit=1").await?.into(200)?;
    let cursor = page["next_cursor"].as_str().context("a second page")?;
    let listed: Value = theirs
        .get(&format!("/v1/sessions?cursor={cursor}"))
        .await?
        .into(200)?;
    assert!(!listed.to_string().contains(&ours.0[&Of::Session]));
    untouched(&world, &ours).await?;
    world.finish_with_work_undone().await
}

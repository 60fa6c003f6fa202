//! Contacts: list, read, name, and their profile pictures.

use passerelle_jobs::{
    Services,
    ids::{ContactId, SessionId},
    limits, model,
    people::{self, Change, Filter},
};
use poem::web::Data;
use poem_openapi::{
    Object, OpenApi,
    param::{Path, Query},
    types::MaybeUndefined,
};
use serde::{Deserialize, Serialize};

use super::{Group, client_data, name, not_found, of_ask, phone};
use crate::{
    auth::Caller,
    body::{Body, Success},
    flaws::Flaws,
    list::{self, list_of},
    patch::or_empty,
    problem::{Code, Problem},
    texts::Texts,
    types::{Id, Timestamp},
};

/// A person or a business that you wrote to, or that wrote to you.
#[derive(Debug, Serialize, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct Contact {
    /// Its id. Use it as `to`. The id of a contact that was merged leads to the one that stays.
    pub id: Id<ContactId>,
    /// Always `contact`.
    pub object: String,
    /// The name to show: yours, or the one that the person chose.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The name that the person chose at WhatsApp, as their last message said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub push_name: Option<String>,
    /// The name of a business that WhatsApp verified.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verified_name: Option<String>,
    /// The phone number in E.164, as WhatsApp writes it once it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// WhatsApp's own id of the contact (LID), if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lid: Option<String>,
    /// Your own values.
    pub metadata: Texts,
    /// Whether the contact opted out: messages to it are refused.
    pub opted_out: bool,
    /// When it opted out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opted_out_at: Option<Timestamp>,
    /// When it last wrote to one of your numbers, outside of groups.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_inbound_at: Option<Timestamp>,
    /// Automatic replies to the contact rest until then (`PUT /v1/contacts/{id}/automation`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub automation_rests_until: Option<Timestamp>,
    /// When it was created.
    pub created_at: Timestamp,
}

impl From<model::contact::Contact> for Contact {
    fn from(contact: model::contact::Contact) -> Self {
        Self {
            id: Id(contact.id),
            object: "contact".to_owned(),
            name: contact.called.name().map(str::to_owned),
            push_name: contact.called.push_name,
            verified_name: contact.called.verified_name,
            phone: contact.phone.map(|phone| phone.as_str().to_owned()),
            lid: contact.lid,
            metadata: Texts(contact.metadata),
            opted_out: contact.opted_out_at.is_some(),
            opted_out_at: contact.opted_out_at.map(Timestamp),
            last_inbound_at: contact.last_inbound_at.map(Timestamp),
            automation_rests_until: contact.automation_rests_until.map(Timestamp),
            created_at: Timestamp(contact.created_at),
        }
    }
}

list_of!(
    /// A page of contacts.
    ContactList, Contact);

/// A change of a contact. What is absent does not change.
#[derive(Debug, Deserialize, Object)]
#[serde(deny_unknown_fields)]
pub struct ContactChange {
    /// Your name for the contact, 1 to 100 characters. An empty text or null removes it.
    #[serde(default)]
    pub name: MaybeUndefined<String>,
    /// Your own texts by name, instead of the earlier ones: at most 50, with 4,096 bytes of names and texts. A name has
    /// 1 to 40 characters. None when empty or null.
    #[serde(default)]
    pub metadata: MaybeUndefined<Texts>,
}

/// A profile picture.
#[derive(Debug, Serialize, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct ContactAvatar {
    /// Always `avatar`.
    pub object: String,
    /// The contact.
    pub contact_id: Id<ContactId>,
    /// WhatsApp's id of the picture. It changes with the picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub picture_id: Option<String>,
    /// The address of the picture at WhatsApp, valid for some hours. Absent if there is none, or the contact does not
    /// show it to the session's number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

fn filter(
    wanted: Option<String>,
    written: Option<String>,
    lid: Option<String>,
) -> Result<Filter, Problem> {
    match (wanted, written, lid) {
        (None, None, None) => Ok(Filter::All),
        (Some(wanted), None, None) => Ok(Filter::Name(wanted)),
        (None, Some(text), None) => Ok(Filter::Phone(phone(&text)?)),
        (None, None, Some(lid)) => {
            let digits = lid.strip_suffix("@lid").unwrap_or(&lid);
            if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                let wanted = "the digits of a LID, with or without @lid";
                return Err(Problem::new(Code::ValidationFailed).parameter(
                    "lid",
                    "invalid_lid",
                    wanted,
                ));
            }
            Ok(Filter::Lid(digits.to_owned()))
        }
        _ => {
            let rule = "one of `name`, `phone` and `lid`";
            Err(Problem::new(Code::ValidationFailed).parameter("name", "too_many_filters", rule))
        }
    }
}

/// Contacts.
pub struct Contacts;

#[OpenApi(prefix_path = "/v1/contacts", tag = "Group::Contacts")]
impl Contacts {
    /// List the contacts, newest first.
    ///
    /// Give at most one of `name`, `phone` and `lid`.
    #[oai(path = "/", method = "get", operation_id = "list_contacts")]
    #[expect(
        clippy::too_many_arguments,
        reason = "each is a query parameter of its own"
    )]
    async fn list_contacts(
        &self,
        caller: Caller,
        services: Data<&Services>,
        /// Only contacts with these words in one of their names, whatever their case and accents. Whole words; the three
        /// longest count.
        name: Query<Option<String>>,
        /// Only the contact with this phone number. Any spelling of it that is known finds it.
        phone: Query<Option<String>>,
        /// Only the contact with this LID.
        lid: Query<Option<String>>,
        /// Maximum number of contacts to return.
        #[oai(
            default = "super::twenty",
            validator(minimum(value = "1"), maximum(value = "100"))
        )]
        limit: Query<u32>,
        /// The `next_cursor` of the previous page.
        cursor: Query<Option<String>>,
    ) -> Result<Success<ContactList>, Problem> {
        let filter = filter(name.0, phone.0, lid.0)?;
        let load =
            |page| async move { people::list(services.0, caller.0.org, &filter, &page).await };
        list::answer(services.0, limit.0, cursor.as_deref(), load).await
    }

    /// Read a contact.
    #[oai(path = "/:id", method = "get", operation_id = "read_contact")]
    async fn read_contact(
        &self,
        caller: Caller,
        services: Data<&Services>,
        /// The contact.
        id: Path<Id<ContactId>>,
    ) -> Result<Success<Contact>, Problem> {
        let contact = people::read(&services, caller.0.org, id.0.0).await?;
        contact
            .map(|contact| Success::of(contact.into()))
            .ok_or_else(not_found)
    }

    /// Change your name and your values for a contact.
    #[oai(path = "/:id", method = "patch", operation_id = "change_contact")]
    async fn change_contact(
        &self,
        caller: Caller,
        services: Data<&Services>,
        /// The contact.
        id: Path<Id<ContactId>>,
        body: Body<ContactChange>,
    ) -> Result<Success<Contact>, Problem> {
        let ContactChange {
            name: called,
            metadata,
        } = body.0;
        let mut flaws = Flaws::default();
        let metadata = or_empty(metadata).map(|texts| client_data::metadata(texts, &mut flaws));
        let metadata = flaws.judge(metadata)?;
        let called = or_empty(called).map(|text| match text.trim() {
            "" => Ok(String::new()),
            text => name(text),
        });
        let change = Change {
            name: called.transpose()?,
            metadata: metadata.map(|metadata| metadata.texts().clone()),
        };
        let contact = people::change(&services, caller.0.org, id.0.0, change).await?;
        contact
            .map(|contact| Success::of(contact.into()))
            .ok_or_else(not_found)
    }

    /// Ask WhatsApp for the profile picture of a contact.
    ///
    /// Each call asks WhatsApp, and counts with the number checks of the session: ten at once and then one every three
    /// seconds.
    #[oai(
        path = "/:id/avatar",
        method = "get",
        operation_id = "read_contact_avatar"
    )]
    async fn read_contact_avatar(
        &self,
        caller: Caller,
        services: Data<&Services>,
        /// The contact.
        id: Path<Id<ContactId>>,
        /// The session to ask through.
        session_id: Query<Id<SessionId>>,
    ) -> Result<Success<ContactAvatar>, Problem> {
        let avatar = people::avatar(&services, caller.0.org, session_id.0.0, id.0.0).await;
        let avatar = avatar
            .map_err(|error| of_ask(error, (Code::NumberCheckPaced, limits::NUMBER_CHECKS)))?;
        let (picture_id, url) = avatar.map(|avatar| (avatar.id, avatar.url)).unzip();
        Ok(Success::of(ContactAvatar {
            object: "avatar".to_owned(),
            contact_id: id.0,
            picture_id,
            url,
        }))
    }
}

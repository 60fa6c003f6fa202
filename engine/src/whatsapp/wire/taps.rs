//! What a person chose under a message of a business: a button, a row of a list, or a form.

use serde_json::{Map, Value};
use whatsapp_rust::waproto::whatsapp::{
    Message,
    message::{
        InteractiveResponseMessage, buttons_response_message::Response,
        interactive_response_message::InteractiveResponseMessage as Answer,
    },
};

use super::text::limited;
use crate::content::{Content, TEXT_MAX, Tap};

/// Maximum length of an id, in bytes. WhatsApp's own limit is 256 characters.
const ID_MAX: usize = 4096;
/// Maximum length of the JSON of an answer, in bytes. A longer one is left out.
const PARAMS_MAX: usize = 65_536;
/// The flows whose answer is a row of a list.
const LISTS: [&str; 3] = ["single_select", "menu_options", "list_reply"];

/// Reads the choice. Returns `None` if there is none, or neither its id nor its words.
pub(super) fn read(message: &Message) -> Option<Content> {
    if let Some(reply) = message.buttons_response_message.as_option() {
        let Response::SelectedDisplayText(title) = reply
            .response
            .clone()
            .unwrap_or(Response::SelectedDisplayText(String::new()));
        let tap = tap(reply.selected_button_id.as_ref(), Some(&title))?;
        return Some(Content::ButtonReply(tap));
    }
    if let Some(reply) = message.template_button_reply_message.as_option() {
        let title = reply.selected_display_text.as_ref();
        return tap(reply.selected_id.as_ref(), title).map(Content::ButtonReply);
    }
    if let Some(reply) = message.list_response_message.as_option() {
        let row = reply.single_select_reply.as_option();
        let id = row.and_then(|row| row.selected_row_id.as_ref());
        let mut tap = tap(id, reply.title.as_ref())?;
        tap.description = limited(reply.description.as_ref(), TEXT_MAX);
        return Some(Content::ListReply(tap));
    }
    flow(message.interactive_response_message.as_option()?)
}

fn tap(id: Option<&String>, title: Option<&String>) -> Option<Tap> {
    let id = limited(id, ID_MAX);
    let title = limited(title, TEXT_MAX).or_else(|| id.clone())?;
    Some(Tap {
        id,
        title,
        description: None,
        params: None,
    })
}

/// Reads the answer to an interactive message. What was chosen is in a JSON that each kind of flow fills in
/// its own way.
fn flow(reply: &InteractiveResponseMessage) -> Option<Content> {
    let body = reply.body.as_option().and_then(|body| body.text.as_ref());
    let Answer::NativeFlowResponseMessage(answer) = reply.interactive_response_message.as_ref()?;
    let json = answer.params_json.as_deref().unwrap_or_default();
    let mut params = Some(json)
        .filter(|json| json.len() <= PARAMS_MAX)
        .and_then(|json| serde_json::from_str::<Map<String, Value>>(json).ok())
        .unwrap_or_default();
    let mut take = |names: &[&str]| {
        names.iter().find_map(|name| {
            let text = match params.get(*name)? {
                Value::String(text) => text.clone(),
                Value::Number(number) => number.to_string(),
                _ => return None,
            };
            params.remove(*name);
            Some(text).filter(|text| !text.is_empty())
        })
    };
    let id = take(&["id"]);
    let title = take(&["display_text", "title"]);
    let description = take(&["description"]);
    let name = answer.name.clone().filter(|_| !params.is_empty());
    // A form has no id; its words are those of the message, or the name of the flow.
    let title = body.filter(|text| !text.is_empty()).cloned().or(title);
    let mut tap = tap(id.as_ref(), title.or(name).as_ref())?;
    tap.description = limited(description.as_ref(), TEXT_MAX);
    tap.params = (!params.is_empty()).then_some(Value::Object(params));
    let is_list = answer
        .name
        .as_deref()
        .is_some_and(|name| LISTS.contains(&name));
    Some(if is_list {
        Content::ListReply(tap)
    } else {
        Content::ButtonReply(tap)
    })
}

//! What a business sent with buttons, lists or cards, as a readable text: a line for each thing that can be
//! chosen. A file at its head is shown with the text as its caption.

use serde_json::Value;
use whatsapp_rust::waproto::whatsapp::{
    HydratedTemplateButton, Message, TemplateButton,
    hydrated_template_button::HydratedButton,
    message::{
        ButtonsMessage, DocumentMessage, HighlyStructuredMessage, ImageMessage, InteractiveMessage,
        ListMessage, LocationMessage, TemplateMessage, VideoMessage, buttons_message,
        interactive_message::{
            InteractiveMessage as Offered, NativeFlowMessage, header::Media as InteractiveHead,
            native_flow_message::NativeFlowButton,
        },
        template_message::{
            Format, FourRowTemplate, HydratedFourRowTemplate, four_row_template,
            hydrated_four_row_template,
        },
    },
    template_button::Button as PlainButton,
};

use super::{
    media::{self, Shown},
    text::cut,
};
use crate::{content::TEXT_MAX, ids::MediaId};

/// Maximum length of the JSON of a button, in bytes.
const PARAMS_MAX: usize = 65_536;

/// What a business sent.
pub(super) struct Offer {
    /// Everything that can be read, at most [`TEXT_MAX`] bytes.
    pub(super) text: String,
    /// The file at its head.
    pub(super) file: Option<Shown>,
}

/// Reads the offer. Returns `None` if the message is none, or shows nothing. `id` is the id that its file
/// gets.
pub(super) fn read(message: &Message, id: MediaId) -> Option<Offer> {
    let mut page = Page::default();
    if let Some(template) = message.template_message.as_option() {
        page.template(template);
    } else if let Some(structured) = message.highly_structured_message.as_option() {
        page.structured(structured);
    } else if let Some(buttons) = message.buttons_message.as_option() {
        page.buttons(buttons);
    } else if let Some(list) = message.list_message.as_option() {
        page.list(list);
    } else if let Some(interactive) = message.interactive_message.as_option() {
        page.interactive(interactive);
    }
    page.done(id)
}

enum Head<'m> {
    Image(&'m ImageMessage),
    Video(&'m VideoMessage),
    Document(&'m DocumentMessage),
}

/// The lines of an offer. Nothing is added beyond [`TEXT_MAX`] bytes.
#[derive(Default)]
struct Page<'m> {
    text: String,
    head: Option<Head<'m>>,
}

impl<'m> Page<'m> {
    fn done(self, id: MediaId) -> Option<Offer> {
        let file = self.head.map(|head| match head {
            Head::Image(image) => media::image_shown(image, id),
            Head::Video(video) => media::video_shown(video, id),
            Head::Document(document) => media::document_shown(document, id),
        });
        let text = cut(self.text, TEXT_MAX);
        (!text.is_empty() || file.is_some()).then_some(Offer { text, file })
    }

    fn line(&mut self, line: Option<&String>) {
        let Some(line) = line.filter(|line| !line.is_empty()) else {
            return;
        };
        if self.text.len() >= TEXT_MAX {
            return;
        }
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.text.push_str(line);
    }

    /// Adds what can be chosen, with what it leads to.
    fn choice(&mut self, title: Option<&String>, leads_to: Option<&String>) {
        let words = [title, leads_to].into_iter().flatten();
        let words: Vec<&str> = words
            .map(String::as_str)
            .filter(|text| !text.is_empty())
            .collect();
        if !words.is_empty() {
            self.line(Some(&format!("- {}", words.join(": "))));
        }
    }

    fn place(&mut self, place: &LocationMessage) {
        self.line(place.name.as_ref());
        self.line(place.address.as_ref());
    }

    fn head(&mut self, head: Head<'m>) {
        // Of the cards of a carousel, the first one's picture is kept.
        self.head.get_or_insert(head);
    }

    fn template(&mut self, template: &'m TemplateMessage) {
        match &template.format {
            Some(Format::HydratedFourRowTemplate(rows)) => self.hydrated(rows),
            Some(Format::InteractiveMessageTemplate(interactive)) => self.interactive(interactive),
            Some(Format::FourRowTemplate(rows)) => self.four_rows(rows),
            None => {}
        }
        if self.text.is_empty()
            && let Some(rows) = template.hydrated_template.as_option()
        {
            self.hydrated(rows);
        }
    }

    fn hydrated(&mut self, rows: &'m HydratedFourRowTemplate) {
        use hydrated_four_row_template::Title;
        match &rows.title {
            Some(Title::HydratedTitleText(title)) => self.line(Some(title)),
            Some(Title::ImageMessage(image)) => self.head(Head::Image(image)),
            Some(Title::VideoMessage(video)) => self.head(Head::Video(video)),
            Some(Title::DocumentMessage(document)) => self.head(Head::Document(document)),
            Some(Title::LocationMessage(place)) => self.place(place),
            None => {}
        }
        self.line(rows.hydrated_content_text.as_ref());
        self.line(rows.hydrated_footer_text.as_ref());
        for button in &rows.hydrated_buttons {
            self.hydrated_button(button);
        }
    }

    fn hydrated_button(&mut self, button: &HydratedTemplateButton) {
        match &button.hydrated_button {
            Some(HydratedButton::QuickReplyButton(reply)) => {
                self.choice(reply.display_text.as_ref(), None);
            }
            Some(HydratedButton::UrlButton(link)) => {
                self.choice(link.display_text.as_ref(), link.url.as_ref());
            }
            Some(HydratedButton::CallButton(call)) => {
                self.choice(call.display_text.as_ref(), call.phone_number.as_ref());
            }
            None => {}
        }
    }

    fn four_rows(&mut self, rows: &'m FourRowTemplate) {
        use four_row_template::Title;
        match &rows.title {
            Some(Title::HighlyStructuredMessage(title)) => self.structured(title),
            Some(Title::ImageMessage(image)) => self.head(Head::Image(image)),
            Some(Title::VideoMessage(video)) => self.head(Head::Video(video)),
            Some(Title::DocumentMessage(document)) => self.head(Head::Document(document)),
            Some(Title::LocationMessage(place)) => self.place(place),
            None => {}
        }
        for part in [&rows.content, &rows.footer] {
            if let Some(part) = part.as_option() {
                self.structured(part);
            }
        }
        for button in &rows.buttons {
            self.plain_button(button);
        }
    }

    fn plain_button(&mut self, button: &TemplateButton) {
        let (title, leads_to) = match &button.button {
            Some(PlainButton::QuickReplyButton(reply)) => (reply.display_text.as_option(), None),
            Some(PlainButton::UrlButton(link)) => {
                (link.display_text.as_option(), link.url.as_option())
            }
            Some(PlainButton::CallButton(call)) => {
                (call.display_text.as_option(), call.phone_number.as_option())
            }
            None => return,
        };
        let name = |text: Option<&HighlyStructuredMessage>| {
            text.and_then(|text| text.element_name.clone())
        };
        self.choice(name(title).as_ref(), name(leads_to).as_ref());
    }

    /// Adds a template that the phone fills in from a catalogue of texts. What is here is the finished text,
    /// or the name of the template with its values.
    fn structured(&mut self, structured: &'m HighlyStructuredMessage) {
        if let Some(finished) = structured.hydrated_hsm.as_option() {
            return self.template(finished);
        }
        self.line(structured.element_name.as_ref());
        for value in &structured.params {
            self.line(Some(value));
        }
        for value in &structured.localizable_params {
            self.line(value.default.as_ref());
        }
    }

    fn buttons(&mut self, message: &'m ButtonsMessage) {
        use buttons_message::Header;
        match &message.header {
            Some(Header::Text(title)) => self.line(Some(title)),
            Some(Header::ImageMessage(image)) => self.head(Head::Image(image)),
            Some(Header::VideoMessage(video)) => self.head(Head::Video(video)),
            Some(Header::DocumentMessage(document)) => self.head(Head::Document(document)),
            Some(Header::LocationMessage(place)) => self.place(place),
            None => {}
        }
        self.line(message.content_text.as_ref());
        self.line(message.footer_text.as_ref());
        for button in &message.buttons {
            let text = button.button_text.as_option();
            self.choice(text.and_then(|text| text.display_text.as_ref()), None);
            if let Some(flow) = button.native_flow_info.as_option() {
                self.flow(flow.name.as_ref(), flow.params_json.as_deref());
            }
        }
    }

    fn list(&mut self, list: &ListMessage) {
        self.line(list.title.as_ref());
        self.line(list.description.as_ref());
        self.line(list.footer_text.as_ref());
        self.line(list.button_text.as_ref());
        for section in &list.sections {
            self.line(section.title.as_ref());
            for row in &section.rows {
                self.choice(row.title.as_ref(), row.description.as_ref());
            }
        }
        let products = list.product_list_info.as_option();
        for section in products.into_iter().flat_map(|info| &info.product_sections) {
            self.line(section.title.as_ref());
            for product in &section.products {
                self.choice(product.product_id.as_ref(), None);
            }
        }
    }

    fn interactive(&mut self, message: &'m InteractiveMessage) {
        if let Some(head) = message.header.as_option() {
            match &head.media {
                Some(InteractiveHead::ImageMessage(image)) => self.head(Head::Image(image)),
                Some(InteractiveHead::VideoMessage(video)) => self.head(Head::Video(video)),
                Some(InteractiveHead::DocumentMessage(file)) => self.head(Head::Document(file)),
                Some(InteractiveHead::LocationMessage(place)) => self.place(place),
                Some(InteractiveHead::ProductMessage(product)) => {
                    let product = product.product.as_option();
                    self.line(product.and_then(|product| product.title.as_ref()));
                }
                Some(InteractiveHead::JpegThumbnail(_)) | None => {}
            }
            self.line(head.title.as_ref());
            self.line(head.subtitle.as_ref());
        }
        self.line(message.body.as_option().and_then(|body| body.text.as_ref()));
        self.line(
            message
                .footer
                .as_option()
                .and_then(|footer| footer.text.as_ref()),
        );
        match &message.interactive_message {
            Some(Offered::NativeFlowMessage(flow)) => self.native_flow(flow),
            Some(Offered::CarouselMessage(carousel)) => {
                for card in &carousel.cards {
                    self.interactive(card);
                }
            }
            Some(Offered::ShopStorefrontMessage(_) | Offered::CollectionMessage(_)) | None => {}
        }
    }

    fn native_flow(&mut self, message: &NativeFlowMessage) {
        for NativeFlowButton {
            name,
            button_params_json,
            ..
        } in &message.buttons
        {
            self.flow(name.as_ref(), button_params_json.as_deref());
        }
    }

    /// Adds a button whose words are in a JSON, which each kind of flow fills in its own way.
    fn flow(&mut self, name: Option<&String>, params: Option<&str>) {
        let params = params.filter(|json| json.len() <= PARAMS_MAX);
        let params = params.and_then(|json| serde_json::from_str::<Value>(json).ok());
        let params = params.unwrap_or_default();
        let word = |names: &[&str]| {
            let texts = names.iter().filter_map(|name| params.get(name)?.as_str());
            texts.map(ToOwned::to_owned).find(|text| !text.is_empty())
        };
        let title = word(&["display_text", "title"]);
        let leads_to = word(&["url", "phone_number", "copy_code", "coupon_code"]);
        self.choice(title.as_ref().or(name), leads_to.as_ref());
        let sections = params.get("sections").and_then(Value::as_array);
        for section in sections.into_iter().flatten() {
            let text = |value: &Value, name: &str| value.get(name)?.as_str().map(ToOwned::to_owned);
            self.line(text(section, "title").as_ref());
            let rows = section.get("rows").and_then(Value::as_array);
            for row in rows.into_iter().flatten() {
                self.choice(
                    text(row, "title").as_ref(),
                    text(row, "description").as_ref(),
                );
            }
        }
    }
}

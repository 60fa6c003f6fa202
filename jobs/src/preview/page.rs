//! Reads the title, description and picture of an HTML page.
//!
//! The page is untrusted. The tokenizer of a browser's parser reads it in one pass and builds no tree.
//! The memory it holds at once and the time that one tag can cost are limited.

use std::cell::{Cell, RefCell};

use encoding_rs::{Encoding, UTF_8};
use html5ever::{
    Attribute,
    tendril::StrTendril,
    tokenizer::{
        BufferQueue, Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts,
        states::RawKind,
    },
};

use super::fetch::charset;

/// Bytes that are passed to the tokenizer at once.
const PIECE: usize = 4 * 1024;
/// The longest tag or comment, in bytes. After a longer one nothing more is read, because the tokenizer
/// compares each attribute of a tag with every other.
const TAG_MAX: usize = 32 * 1024;
/// Bytes that are kept of each text.
const TEXT_MAX: usize = 4 * 1024;

/// The metadata of a page. Texts are unchanged, but cut to a maximum length.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) title: Option<String>,
    pub(super) description: Option<String>,
    /// An address, which may be relative to the page's.
    pub(super) image: Option<String>,
}

/// Reads a page in the encoding that its server or the page itself declares.
pub(super) fn read(bytes: &[u8], declared: Option<&str>) -> Page {
    let declared = declared.and_then(encoding);
    let found = found(&declared.unwrap_or(UTF_8).decode(bytes).0);
    let own = found
        .encoding
        .filter(|own| declared.is_none() && *own != UTF_8);
    match own {
        Some(own) => self::found(&own.decode(bytes).0).page(),
        None => found.page(),
    }
}

/// Returns the encoding of this name. One that is not a superset of ASCII is replaced by UTF-8.
fn encoding(label: &str) -> Option<&'static Encoding> {
    Encoding::for_label(label.trim().as_bytes()).map(Encoding::output_encoding)
}

fn found(text: &str) -> PageMeta {
    let sink = Sink::default();
    let tokenizer = Tokenizer::new(sink, TokenizerOpts::default());
    let (queue, mut rest) = (BufferQueue::default(), text);
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(rest.floor_char_boundary(PIECE));
        queue.push_back(StrTendril::from_slice(piece));
        // `Sink` never makes it stop early.
        let _ = tokenizer.feed(&queue);
        if tokenizer.sink.is_stuck(piece.len()) {
            return tokenizer.sink.found.take();
        }
        rest = after;
    }
    tokenizer.end();
    tokenizer.sink.found.take()
}

#[derive(Default)]
struct PageMeta {
    /// From the page's head.
    title: Option<String>,
    shared_title: Option<String>,
    description: Option<String>,
    shared_description: Option<String>,
    image: Option<String>,
    encoding: Option<&'static Encoding>,
}

impl PageMeta {
    /// Prefers the texts meant for sharing (<https://ogp.me>).
    fn page(self) -> Page {
        Page {
            title: self.shared_title.or(self.title),
            description: self.shared_description.or(self.description),
            image: self.image,
        }
    }

    fn meta(&mut self, tag: &Tag) {
        let value = |name: &str| {
            let named = |one: &&Attribute| &*one.name.local == name;
            let found = tag.attrs.iter().find(named)?;
            Some(found.value.trim()).filter(|value| !value.is_empty())
        };
        let declared = || {
            value("http-equiv").filter(|what| what.eq_ignore_ascii_case("content-type"))?;
            charset(value("content")?)
        };
        if let Some(label) = value("charset").or_else(declared) {
            self.encoding = self.encoding.or_else(|| encoding(label));
        }
        let (Some(name), Some(content)) = (
            value("property").or_else(|| value("name")),
            value("content"),
        ) else {
            return;
        };
        let place = match name.to_ascii_lowercase().as_str() {
            "og:title" => &mut self.shared_title,
            "og:description" => &mut self.shared_description,
            "description" => &mut self.description,
            "og:image" | "og:image:url" | "og:image:secure_url" => &mut self.image,
            _ => return,
        };
        // The first of several values is used.
        place.get_or_insert_with(|| cut(content).to_owned());
    }
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_MAX)]
}

/// Receives the page's tokens.
#[derive(Default)]
struct Sink {
    found: RefCell<PageMeta>,
    /// Inside the title.
    in_title: Cell<bool>,
    /// After the head. A `title` there belongs to a drawing.
    past_head: Cell<bool>,
    /// Bytes passed on since the last token.
    silent: Cell<usize>,
}

impl Sink {
    /// Returns whether this piece makes the current tag too long.
    fn is_stuck(&self, piece: usize) -> bool {
        self.silent.set(self.silent.get() + piece);
        self.silent.get() > TAG_MAX
    }

    fn begin(&self, tag: &Tag) -> TokenSinkResult<()> {
        match &*tag.name {
            "meta" => self.found.borrow_mut().meta(tag),
            "body" | "svg" => self.past_head.set(true),
            "title" => {
                let is_first = self.found.borrow().title.is_none() && !self.past_head.get();
                self.in_title.set(is_first);
                return TokenSinkResult::RawData(RawKind::Rcdata);
            }
            "textarea" => return TokenSinkResult::RawData(RawKind::Rcdata),
            "script" => return TokenSinkResult::RawData(RawKind::ScriptData),
            "style" | "xmp" | "iframe" | "noembed" | "noframes" => {
                return TokenSinkResult::RawData(RawKind::Rawtext);
            }
            "plaintext" => return TokenSinkResult::Plaintext,
            _ => {}
        }
        TokenSinkResult::Continue
    }

    fn say(&self, text: &str) {
        if !self.in_title.get() {
            return;
        }
        let mut found = self.found.borrow_mut();
        let title = found.title.get_or_insert_default();
        let room = TEXT_MAX.saturating_sub(title.len());
        title.push_str(&text[..text.floor_char_boundary(room)]);
    }
}

impl TokenSink for Sink {
    type Handle = ();

    fn process_token(&self, token: Token, _line: u64) -> TokenSinkResult<()> {
        match token {
            // Parse errors are reported in the middle of a tag.
            Token::ParseError(_) => return TokenSinkResult::Continue,
            Token::TagToken(tag) if tag.kind == TagKind::StartTag => {
                self.silent.set(0);
                return self.begin(&tag);
            }
            Token::TagToken(tag) if &*tag.name == "title" => self.in_title.set(false),
            Token::CharacterTokens(text) => self.say(&text),
            _ => {}
        }
        self.silent.set(0);
        TokenSinkResult::Continue
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use passerelle_engine::clock::Clock;
    use proptest::prelude::*;

    use super::*;

    fn page(html: &str) -> Page {
        read(html.as_bytes(), None)
    }

    #[expect(clippy::unnecessary_wraps, reason = "compared with what may be none")]
    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn what_is_meant_to_be_shown_comes_first() {
        let both = page(
            "<!doctype html><html><head><title>Shop | Order</title><meta name=description content='A shop'>\
             <META PROPERTY='og:title' CONTENT='Order &amp; more'><meta property=og:title content=second>\
             <meta property='og:description' content='Ready'><meta property='og:image' content='/a.jpg'/>",
        );
        assert_eq!(both.title, some("Order & more"));
        assert_eq!(both.description, some("Ready"));
        assert_eq!(both.image, some("/a.jpg"));
        let plain =
            page("<title>Shop &#8212; Order</title><meta content='A shop' name='Description'>");
        assert_eq!(plain.title, some("Shop — Order"));
        assert_eq!((plain.description, plain.image), (some("A shop"), None));
    }

    #[test]
    fn what_looks_like_a_tag_and_is_none_says_nothing() {
        for html in [
            "",
            "<!-- <title>no</title> -->",
            "<script>'<title>no</title>'</script>",
            "<style><meta property='og:title' content='no'></style>",
            "<textarea><title>no</title></textarea>",
            "<body><svg><title>a drawing</title></svg>",
            "<meta property='og:title'><meta property='og:title' content='  '>",
            "<title",
        ] {
            assert_eq!(page(html), Page::default(), "{html}");
        }
        assert_eq!(
            page("<title><b>bold</b></title>").title,
            some("<b>bold</b>")
        );
    }

    #[test]
    fn a_page_is_read_as_it_is_written() {
        let cyrillic = encoding_rs::WINDOWS_1251.encode("<title>Заказ</title>").0;
        assert_eq!(read(&cyrillic, Some("windows-1251")).title, some("Заказ"));
        let mut own =
            b"<meta http-equiv=content-type content='text/html; charset=windows-1251'>".to_vec();
        own.extend_from_slice(&cyrillic);
        assert_eq!(read(&own, None).title, some("Заказ"));
        let mut told = b"<meta name=description content='says charset=windows-1251'>".to_vec();
        told.extend_from_slice("<title>Größe</title>".as_bytes());
        assert_eq!(read(&told, None).title, some("Größe"));
        let mut short = b"<meta charset=windows-1251>".to_vec();
        short.extend_from_slice(&cyrillic);
        assert_eq!(read(&short, Some("no such")).title, some("Заказ"));
        assert_eq!(
            read("\u{feff}<title>ä</title>".as_bytes(), None).title,
            some("ä")
        );
    }

    #[test]
    fn a_tag_without_end_costs_little_and_what_stood_before_it_counts() {
        use std::fmt::Write as _;
        let mut html = "<title>Order</title><a ".to_owned();
        for n in 0..60_000 {
            write!(html, "a{n} ").unwrap();
        }
        let start = Clock::system().monotonic();
        assert_eq!(page(&html).title, some("Order"));
        // To compare all of them with each other takes two thousand million steps.
        let took = start.elapsed();
        assert!(took < Duration::from_secs(2), "{took:?}");
        let long = format!("<title>{}", "x".repeat(512 * 1024));
        assert_eq!(page(&long).title.map(|title| title.len()), Some(TEXT_MAX));
    }

    /// Returns pieces of pages, whole and broken.
    fn soup() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            any::<String>(),
            "[<>/=\"' !-]{1,8}",
            prop::sample::select(vec![
                "<title>",
                "</title>",
                "<script>",
                "</script>",
                "<!--",
                "-->",
                "<meta ",
                "property=og:title ",
                "content=x ",
                ">",
                "<body>",
                "<plaintext>",
                "&amp",
                "&#x110000;",
                "<![CDATA[",
                "charset=utf-16",
            ])
            .prop_map(str::to_owned),
        ];
        prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn whatever_bytes_come_reading_ends(bytes in prop::collection::vec(any::<u8>(), 0..4096), label in "[a-z0-9-]{0,12}") {
            let page = read(&bytes, Some(&label));
            let length = |text: Option<String>| text.map_or(0, |text| text.len());
            prop_assert!(length(page.title) <= TEXT_MAX && length(page.description) <= TEXT_MAX);
            prop_assert!(length(page.image) <= TEXT_MAX);
        }

        #[test]
        fn what_stands_first_is_found_whatever_follows(html in soup()) {
            let before = "<meta property='og:title' content='Order'><meta property='og:image' content='a'>";
            let page = page(&format!("{before}{html}"));
            prop_assert_eq!((page.title, page.image), (some("Order"), some("a")));
        }
    }
}

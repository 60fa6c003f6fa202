//! Finds the link of a text, as people write it.
//!
//! The library ends a link where ASCII says so. Here it also ends before what belongs to the text around
//! it: the marks of chats (`_…_`, `~…~`), and quotes, brackets and full stops of other scripts.

use linkify::{LinkFinder, LinkKind};

/// Marks that make a text italic or struck through. The library ends a link before the two others, the
/// star and the backtick.
const MARKS: [char; 2] = ['_', '~'];
/// What ends or parts a sentence, in any script.
const STOPS: &str = ".,:;?!*'…‥⋯·、。，．：；？！｡､،؛؟۔؞।॥։՝՞՜፡።፣፤፥፦፧၊။៖។៕᠃᠉᥄᥅；‼⁇⁈⁉";
/// Quotes that may open or close, which depends on the language; a family a row.
const QUOTES: [&str; 3] = ["«»‹›", "“”„‟〝〞〟", "‘’‚‛"];
/// Brackets, opening and closing.
const BRACKETS: [(char, char); 14] = [
    ('「', '」'),
    ('『', '』'),
    ('（', '）'),
    ('［', '］'),
    ('｛', '｝'),
    ('【', '】'),
    ('《', '》'),
    ('〈', '〉'),
    ('〔', '〕'),
    ('〖', '〗'),
    ('〘', '〙'),
    ('〚', '〛'),
    ('｢', '｣'),
    ('＜', '＞'),
];

/// Returns the first `http` or `https` link in the text.
pub(super) fn first(body: &str) -> Option<&str> {
    let mut finder = LinkFinder::new();
    finder.kinds(&[LinkKind::Url]);
    let is_web = |link: &str| {
        let scheme = link.split_once("://").map(|(scheme, _)| scheme);
        scheme.is_some_and(|scheme| {
            scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")
        })
    };
    let readable = without_ends_of_hosts(body);
    let mut links = finder.links(&readable);
    let link = links.find(|link| is_web(link.as_str()))?;
    Some(trimmed(
        &body[link.start()..link.end()],
        &body[..link.start()],
    ))
}

/// Puts spaces for what ends a link directly after its host. The library finds no link where it takes
/// that for a part of the host.
fn without_ends_of_hosts(body: &str) -> String {
    let mut readable = String::with_capacity(body.len());
    let mut rest = body;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        let end = after.find(|c: char| c.is_whitespace() || "/?#".contains(c));
        let (host, after) = after.split_at(end.unwrap_or(after.len()));
        let name = host.trim_end_matches(|c: char| !c.is_alphanumeric());
        readable.push_str(before);
        readable.push_str(name);
        let end = &host[name.len()..];
        if after.starts_with(['/', '?', '#']) {
            readable.push_str(end);
        } else {
            readable.push_str(&" ".repeat(end.len()));
        }
        rest = after;
    }
    readable + rest
}

/// Returns the link without what belongs to the text around it. `before` is the text before it.
fn trimmed<'a>(link: &'a str, before: &str) -> &'a str {
    let mut link = before_bracket(before_space(link));
    let mut marks = MARKS.map(|mark| (mark, open_marks(before, mark)));
    while let Some(last) = link.chars().next_back() {
        let mut marks = marks.iter_mut();
        let opened = marks.find(|(mark, open)| *mark == last && *open > 0);
        let ends = STOPS.contains(last) || is_unbalanced_quote(link, last) || opened.is_some();
        if !ends {
            break;
        }
        if let Some((_, open)) = opened {
            *open -= 1;
        }
        link = &link[..link.len() - last.len_utf8()];
    }
    link
}

/// Ends the link before the first space of any script, or a mark of the direction of writing.
fn before_space(link: &str) -> &str {
    let is_space = |c: char| {
        c.is_whitespace()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
    };
    link.split(is_space).next().unwrap_or_default()
}

/// Ends the link before the first bracket that closes what the link did not open.
fn before_bracket(link: &str) -> &str {
    let mut open = Vec::new();
    for (at, c) in link.char_indices() {
        if let Some((_, close)) = BRACKETS.iter().find(|(open, _)| *open == c) {
            open.push(*close);
        } else if BRACKETS.iter().any(|(_, close)| *close == c) && open.pop() != Some(c) {
            return &link[..at];
        }
    }
    link
}

/// Returns whether the last character is a quote without a partner in the link.
fn is_unbalanced_quote(link: &str, last: char) -> bool {
    let family = QUOTES.iter().find(|family| family.contains(last));
    family.is_some_and(|family| link.chars().filter(|c| family.contains(*c)).count() % 2 == 1)
}

/// Returns how many of a mark are open at the end of the text. A mark opens before a word and closes
/// after one, on the same line; inside a word it is a letter.
fn open_marks(text: &str, mark: char) -> usize {
    let line = text.rsplit('\n').next().unwrap_or_default();
    let mut open = 0_usize;
    let mut before = ' ';
    let mut rest = line.chars();
    while let Some(c) = rest.next() {
        // After the text the link begins, which is a word.
        let after = rest.clone().next().unwrap_or('h');
        let opens = !before.is_alphanumeric() && !after.is_whitespace();
        let closes = !before.is_whitespace() && !after.is_alphanumeric();
        if c == mark && closes && open > 0 {
            open -= 1;
        } else if c == mark && opens {
            open += 1;
        }
        before = c;
    }
    open
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_web_link_is_found_as_it_stands() {
        for (body, link) in [
            ("https://shop.example/1042", "https://shop.example/1042"),
            (
                "see https://shop.example/1042.",
                "https://shop.example/1042",
            ),
            (
                "(https://shop.example/a?b=c&d=e), thanks",
                "https://shop.example/a?b=c&d=e",
            ),
            ("HTTP://SHOP.EXAMPLE/A now", "HTTP://SHOP.EXAMPLE/A"),
            (
                "ftp://a.example http://b.example/ http://c.example",
                "http://b.example/",
            ),
            ("zu https://müller.example/ä", "https://müller.example/ä"),
        ] {
            assert_eq!(first(body), Some(link), "{body}");
        }
    }

    #[test]
    fn what_is_no_web_link_is_none() {
        for body in ["", "shop.example", "a@shop.example", "javascript:alert(1)"] {
            assert_eq!(first(body), None, "{body}");
        }
    }

    #[test]
    fn marks_quotes_and_stops_around_a_link_are_not_part_of_it() {
        for (before, after) in [
            ("_", "_"),
            ("~", "~"),
            ("*", "*"),
            ("`", "`"),
            ("```", "```"),
            ("*_", "_*"),
            ("_~", "~_ now"),
            ("_see ", "_"),
            ("_see ", "._"),
            ("(_", "_)"),
            ("a_b _", "_, c"),
            ("_one_ _", "_"),
            ("__", "__"),
            ("»", "«"),
            ("«", "»"),
            ("« ", " »"),
            ("„", "“"),
            ("“", "”"),
            ("“", ".”"),
            ("‘", "’"),
            ("‚", "‘"),
            ("‹", "›"),
            ("«\u{a0}", "\u{a0}»"),
            ("«\u{202f}", "\u{202f}»."),
            ("", "\u{3000}です"),
            ("\u{2067}", "\u{2069}"),
            ("「", "」"),
            ("「", "」をご覧ください"),
            ("『", "』。"),
            ("（", "）"),
            ("【", "】"),
            ("《", "》！"),
            ("", "…"),
            ("", "... "),
            ("", "。"),
            ("", "，"),
            ("", "、"),
            ("", "！"),
            ("", "？"),
            ("", "،"),
            ("", "؛"),
            ("", "؟"),
            ("", "۔"),
            ("", "।"),
            ("", "։"),
            ("„_", "_“, "),
        ] {
            for link in ["https://shop.example", "https://shop.example/a_b?c=d"] {
                let body = format!("{before}{link}{after}");
                assert_eq!(first(&body), Some(link), "{body}");
            }
        }
    }

    #[test]
    fn what_a_link_has_itself_stays() {
        for link in [
            "https://de.wikipedia.org/wiki/Wien_(Begriffsklärung)",
            "https://ja.wikipedia.org/wiki/君の名は（映画）",
            "https://fr.wikipedia.org/wiki/L’Équipe",
            "https://shop.example/«a»",
            "https://shop.example/a_",
            "https://shop.example/__init__",
            "https://shop.example/~ada",
            "https://shop.example/~ada~",
            "https://shop.example/a.b,c;d",
            "https://zh.wikipedia.org/wiki/你好，李焕英",
        ] {
            for body in [
                link.to_owned(),
                format!("see {link} now"),
                format!("_really_ {link}"),
                format!("snake_case {link}"),
                format!("*{link}*"),
                format!("_on another line\n{link}"),
            ] {
                assert_eq!(first(&body), Some(link), "{body}");
            }
        }
    }
}

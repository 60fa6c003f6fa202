//! The tables of `docs/guide/limits.md`. Made from the numbers and the flags, and compared with the page.

use std::{fmt::Write as _, sync::LazyLock, time::Duration};

use clap::{CommandFactory as _, Parser as _};
use passerelle_jobs::limits as of_jobs;

use super::*;
use crate::{
    cli::{Cli, Gateway},
    config::MESSAGE_TTL,
    problem::Code,
    quota::{BURST, STREAMS_MAX},
    routes::{
        self,
        messages::{files::CAPTION_MAX, kinds, request::MENTIONS_MAX},
    },
};

/// Read when the test runs, so that a corrected page needs no build.
const GUIDE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/guide/limits.md");

/// The defaults of the flags.
static FLAGS: LazyLock<Gateway> = LazyLock::new(|| Cli::parse_from(["passerelle"]).serve);

/// A limit: what is limited, by default to how much, the flag that changes it, and what is answered beyond it.
struct Row {
    limit: String,
    value: String,
    flag: &'static str,
    beyond: Vec<Code>,
    then: String,
}

fn row(limit: impl Into<String>, value: impl Into<String>) -> Row {
    Row {
        limit: limit.into(),
        value: value.into(),
        flag: "",
        beyond: Vec::new(),
        then: String::new(),
    }
}

impl Row {
    fn flag(self, flag: &'static str) -> Self {
        Self { flag, ..self }
    }

    fn code(mut self, code: Code) -> Self {
        self.beyond.push(code);
        self
    }

    /// What happens instead of an answer, or besides it.
    fn then(self, then: impl Into<String>) -> Self {
        Self {
            then: then.into(),
            ..self
        }
    }

    /// Returns its line.
    fn line(&self) -> String {
        let Self {
            limit,
            value,
            flag,
            beyond,
            then,
        } = self;
        let quoted = |text: &str| {
            if text.is_empty() {
                String::new()
            } else {
                format!("`{text}`")
            }
        };
        let mut told: Vec<_> = beyond
            .iter()
            .map(|code| format!("`{} {}`", code.status(), code.as_str()))
            .collect();
        told.extend((!then.is_empty()).then(|| then.clone()));
        let later = beyond.iter().any(|code| code.passes());
        let mut headers = Vec::new();
        headers.extend(later.then_some("`Retry-After`"));
        // A stranger has no budget to be told of.
        let budget = beyond.contains(&Code::RateLimited) && !flag.is_empty();
        headers.extend(budget.then_some("`RateLimit`"));
        let (told, headers) = (told.join(", "), headers.join(", "));
        let flag = quoted(flag);
        format!("| {limit} | {value} | {flag} | {told} | {headers} |")
    }
}

fn table(rows: &[Row]) -> String {
    let mut table =
        "| limit | default | flag | beyond it | headers |\n|---|---|---|---|---|\n".to_owned();
    for row in rows {
        let _ = writeln!(table, "{}", row.line());
    }
    table
}

/// Writes a number with commas.
fn number(number: impl TryInto<u64>) -> String {
    let digits = number.try_into().unwrap_or(u64::MAX).to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn bytes(bytes: impl TryInto<u64>) -> String {
    let bytes = bytes.try_into().unwrap_or(u64::MAX);
    match bytes {
        whole if whole.is_multiple_of(1 << 30) => format!("{} GiB", whole >> 30),
        whole if whole.is_multiple_of(1 << 20) => format!("{} MiB", whole >> 20),
        whole if whole.is_multiple_of(1 << 10) => format!("{} KiB", whole >> 10),
        odd => format!("{} bytes", number(odd)),
    }
}

fn time(time: Duration) -> String {
    let seconds = time.as_secs();
    let of = |count: u64, unit: &str| match count {
        1 => format!("1 {unit}"),
        many => format!("{many} {unit}s"),
    };
    match seconds {
        0 => format!("{} ms", time.as_millis()),
        days if days.is_multiple_of(86_400) => of(days / 86_400, "day"),
        hours if hours.is_multiple_of(3_600) => of(hours / 3_600, "hour"),
        minutes if minutes.is_multiple_of(60) => of(minutes / 60, "minute"),
        seconds => format!("{seconds} s"),
    }
}

fn paced((at_once, every): of_jobs::Pacing) -> String {
    format!(
        "{at_once} at once, then one in {} for a session",
        time(every)
    )
}

fn requests() -> Vec<Row> {
    let mut rows = bodies();
    rows.extend(connections_and_lists());
    rows
}

fn bodies() -> Vec<Row> {
    let a_minute = FLAGS.requests_per_minute;
    let held = |all, of_one| {
        format!(
            "{} in a process, {} of one organisation",
            bytes(all),
            bytes(of_one)
        )
    };
    let memory = format!("after a wait of {}", time(BODY_PATIENCE));
    vec![
        row(
            "requests of an organisation",
            format!(
                "{a_minute} a minute, {} of them at once",
                a_minute.get() / BURST
            ),
        )
        .flag("--requests-per-minute")
        .code(Code::RateLimited),
        row(
            "answer with 429 to a request that was read",
            format!("no sooner than {} after the request", time(REFUSAL_AFTER)),
        ),
        row("body of JSON", bytes(BODY_MAX as u64)).code(Code::BodyTooLarge),
        row(
            "the same with a file in base64, where a message may have one",
            bytes(BODY_WITH_FILE_MAX),
        )
        .code(Code::BodyTooLarge),
        row("values in a body of JSON", number(JSON_VALUES_MAX)).code(Code::BodyTooLarge),
        row("body without a valid key", "is read and dropped").code(Code::InvalidApiKey),
        row(
            format!("bodies above {} at once", bytes(SMALL_BODY)),
            held(LARGE_BODIES_MAX, LARGE_BODIES_OF_ONE),
        )
        .code(Code::Overloaded)
        .then(&memory),
        row(
            format!("bodies up to {} at once", bytes(SMALL_BODY)),
            held(SMALL_BODIES_MAX, SMALL_BODIES_OF_ONE),
        )
        .code(Code::Overloaded)
        .then(&memory),
        row("form before its file begins", bytes(FORM_HEAD_MAX)).code(Code::BodyTooLarge),
        row(
            "least rate of an upload",
            format!(
                "{} a second, from {} on",
                bytes(UPLOAD_RATE_MIN),
                time(UPLOAD_RATE_AFTER)
            ),
        )
        .code(Code::RequestTimeout),
        row("header section", bytes(HEADERS_MAX)).then("the connection ends"),
        row("time to send a body", time(BODY_WITHIN)).code(Code::RequestTimeout),
        row("time to answer it", time(ANSWER_WITHIN)).code(Code::DeadlineExceeded),
        row(
            "time of an upload",
            format!(
                "{}, with pauses of at most {}",
                time(UPLOAD_WITHIN),
                time(PAUSE_MAX)
            ),
        )
        .code(Code::RequestTimeout)
        .code(Code::DeadlineExceeded),
    ]
}

fn connections_and_lists() -> Vec<Row> {
    let ((_, lists), (_, lists_on_sqlite)) = (of_jobs::LISTS_ON_POSTGRES, of_jobs::LISTS_ON_SQLITE);
    vec![
        row("connections of a process", number(CONNECTIONS_MAX as u64)).then("further ones wait"),
        row(
            "connections of an IP address (of IPv6: a /64)",
            number(FLAGS.connections_per_address.get()),
        )
        .flag("--connections-per-address")
        .code(Code::TooManyConnections),
        row(
            "connections of the machine itself",
            number(CONNECTIONS_MAX / 2),
        )
        .code(Code::TooManyConnections),
        row(
            "keys that are not valid, from one address",
            format!("{REFUSED_KEYS_AT_ONCE} at once, then {REFUSED_KEYS_A_SECOND} a second"),
        )
        .code(Code::RateLimited),
        row(
            "QR streams of an organisation",
            format!("{STREAMS_MAX} open at once"),
        )
        .code(Code::LimitReached),
        row(
            "QR stream",
            format!(
                "{}; its key is looked at every {}",
                time(QR_STREAM_MAX),
                time(KEY_LOOK)
            ),
        )
        .then("the stream ends; open it again"),
        row(
            "lists of an organisation that are read at once",
            format!("{lists} (on SQLite {lists_on_sqlite})"),
        )
        .code(Code::QueryTimeout)
        .then(format!("after a wait of {}", time(of_jobs::QUERY_MAX))),
        row("query of a list", time(of_jobs::QUERY_MAX)).code(Code::QueryTimeout),
        row(
            "items of a list",
            format!("{} a page; follow `next_cursor`", of_jobs::PAGE_MAX),
        )
        .code(Code::ValidationFailed),
    ]
}

fn numbers() -> Vec<Row> {
    let gap = |ms| Duration::from_millis(ms).as_secs();
    let (floor, ceiling) = (gap(FLAGS.gap_floor_ms), gap(FLAGS.gap_ceiling_ms));
    let codes = |count, within| format!("{count} in {}", time(within));
    vec![
        row(
            "gap between two messages of a number, through however many sessions it is linked",
            format!("by the class of the message: see [Pacing](pacing.md); in the preset `sandbox` random, {floor} to {ceiling} s"),
        )
        .flag("--safety")
        .then("messages wait"),
        row(
            "first messages, messages that are no replies, and unanswered ones of a number",
            "by preset and age of the number: see [Pacing](pacing.md)".to_owned(),
        )
        .flag("--safety")
        .then("messages wait, or are refused if they would expire"),
        row(
            "sessions of an organisation",
            number(FLAGS.sessions_per_organisation),
        )
        .flag("--sessions-per-organisation")
        .code(Code::SessionLimit),
        row(
            "sessions of an organisation that show a QR code at once",
            format!("{} on each host", of_jobs::UNLINKED),
        )
        .then("further ones are `connecting` until one of them is linked or stops"),
        row(
            "sessions of an organisation that are linked to one number",
            "one",
        )
        .then("the link of a second one is undone (`number_linked_already`)"),
        row(
            "messages that wait in a session's lane",
            number(FLAGS.lane_limit),
        )
        .flag("--lane-limit")
        .code(Code::QueueFull),
        row(
            "messages of a queue that are canceled at once",
            number(of_jobs::CANCELED_MAX),
        )
        .then("`has_more` says whether more wait"),
        row(
            "how long a message waits",
            format!(
                "as long as its `purpose` says, {} without one, from its `send_at`; or until its `expires_at`",
                time(MESSAGE_TTL)
            ),
        )
        .then("it is `expired`"),
        row("typing", paced(of_jobs::TYPING)).code(Code::TypingPaced),
        row(
            "pairing codes of a session",
            codes(of_jobs::OF_SESSION, of_jobs::OF_SESSION_WITHIN),
        )
        .code(Code::PairingCodeLimit),
        row(
            "pairing codes of an organisation",
            codes(of_jobs::OF_ORGANISATION, of_jobs::OF_ORGANISATION_WITHIN),
        )
        .code(Code::PairingCodeLimit),
        row("number checks", paced(of_jobs::NUMBER_CHECKS)).code(Code::NumberCheckPaced),
        row("list of groups", paced(of_jobs::GROUP_LISTS)).code(Code::GroupListPaced),
        row("requests about one group", paced(of_jobs::GROUP_REQUESTS))
            .code(Code::GroupRequestPaced),
        row(
            "connections that a host opens to WhatsApp",
            format!(
                "{} a second at first, fewer when WhatsApp refuses",
                FLAGS.connects_per_second
            ),
        )
        .flag("--connects-per-second")
        .then("further ones wait"),
    ]
}

fn consents() -> Vec<Row> {
    vec![
        row(
            "people to whom a number writes without a consent or a purpose",
            format!("the first {}", of_jobs::TRIAL),
        )
        .code(Code::ConsentRequired)
        .code(Code::PurposeRequired),
        row(
            "consent",
            format!(
                "a source of {} and a proof of {} characters",
                of_jobs::SOURCE_MAX,
                of_jobs::PROOF_MAX
            ),
        )
        .code(Code::InvalidConsent),
        row("opt-in links of a session", number(of_jobs::LINKS_MAX)).code(Code::LimitReached),
        row(
            "text of an opt-in link",
            format!("{} characters", of_jobs::LINK_TEXT_MAX),
        )
        .code(Code::TextTooLong),
    ]
}

fn messages() -> Vec<Row> {
    let mut rows = contents();
    rows.extend(consents());
    rows
}

fn contents() -> Vec<Row> {
    let (each, options) = (kinds::EACH_MAX, kinds::OPTIONS);
    vec![
        row("text", format!("{} bytes", number(of_jobs::TEXT_MAX))).code(Code::TextTooLong),
        row("caption", format!("{} bytes", number(CAPTION_MAX))).code(Code::TextTooLong),
        row("mentions", number(MENTIONS_MAX)).code(Code::InvalidMention),
        row(
            "members of a group of which it is kept who has a message",
            of_jobs::MEMBERS_MAX.to_string(),
        )
        .then("the `status` of the message alone tells how far it got"),
        row(
            "contact cards",
            format!(
                "{}, each with at most {each} numbers and {each} mail addresses",
                kinds::CARDS_MAX
            ),
        )
        .code(Code::InvalidContact),
        row(
            "poll",
            format!(
                "a question of {} characters, {} to {} options of {} characters",
                kinds::QUESTION_MAX,
                options.start(),
                options.end(),
                kinds::OPTION_MAX
            ),
        )
        .code(Code::InvalidPoll),
        row(
            "edit",
            format!("{} after the message was sent", time(of_jobs::EDIT_WINDOW)),
        )
        .code(Code::EditWindowOver),
        row(
            "deletion",
            format!(
                "{} after the message was sent",
                time(of_jobs::DELETE_WINDOW)
            ),
        )
        .code(Code::DeleteWindowOver),
        row(
            "`client_ref`",
            format!("{} characters", of_jobs::CLIENT_REF_MAX),
        )
        .code(Code::InvalidClientRef),
        row(
            "`metadata`",
            format!(
                "{} entries with {} bytes of names and texts together, names of {} characters",
                of_jobs::METADATA_MAX,
                number(of_jobs::METADATA_BYTES_MAX),
                of_jobs::METADATA_NAME_MAX
            ),
        )
        .code(Code::InvalidMetadata),
        row(
            "names of sessions, keys and organisations",
            format!("1 to {} characters", routes::NAME_MAX),
        )
        .code(Code::InvalidName),
    ]
}

fn files() -> Vec<Row> {
    let (film, other) = (of_jobs::FILM_MIB, of_jobs::WORKER_MIB);
    vec![
        row("sizes", "see [Types and sizes](media.md#types-and-sizes)").code(Code::MediaTooLarge),
        row("file in base64", bytes(of_jobs::INLINE_MAX)).code(Code::MediaTooLarge),
        row(
            "uploads at once",
            format!("{} in a process, {} of an organisation", of_jobs::UPLOADS, of_jobs::UPLOADS_OF_ONE),
        )
        .code(Code::Overloaded)
        .then(format!("after a wait of {}", time(of_jobs::UPLOAD_PATIENCE))),
        row(
            "files that are decoded at once",
            format!(
                "as many as fit into the memory for it: a film takes {film} MiB, another file {other} MiB of address \
                 space. An organisation has all of it but {} MiB, so that a film and a file of another one always fit",
                number(of_jobs::LEAST_MIB)
            ),
        )
        .flag("--decoding-memory")
        .then("further ones wait"),
        row(
            "time to decode a file",
            format!(
                "{} for a picture, {} for a recording, {} for a film",
                time(of_jobs::PICTURE_WITHIN),
                time(of_jobs::RECORDING_WITHIN),
                time(of_jobs::FILM_WITHIN)
            ),
        )
            .code(Code::MediaDamaged)
            .code(Code::TranscodingLimit),
        row(
            "a recording",
            format!("{} samples a second and {} channels at most", number(of_jobs::RATE_MAX), of_jobs::CHANNELS_MAX),
        )
        .code(Code::MediaDamaged),
        row("tries to fetch a file at an address", number(of_jobs::URL_AGAIN.len() + 1))
            .then("the message fails; a process that dies while it fetches counts, too"),
        row("how long files are kept", format!("{} hours, or the organisation's own time", FLAGS.media_retention_hours))
            .flag("--media-retention-hours")
            .then("they are deleted"),
        row("files of an organisation", format!("{} together", bytes(FLAGS.media_quota << 20)))
            .flag("--media-quota")
            .code(Code::MediaQuotaReached),
        row("a file that comes in", bytes(FLAGS.media_inbound_max << 20))
            .flag("--media-inbound-max")
            .then("it fails with `media_too_large`; `POST /v1/media/{id}/fetch` fetches it"),
        row(
            "disk",
            format!("{} % full, with the files that are being written; texts go on", FLAGS.media_disk_max),
        )
        .flag("--media-disk-max")
        .code(Code::StorageFull),
        row(
            "link to a file",
            format!("{}, in a webhook from each attempt on; never longer than the file is kept", time(of_jobs::LINK)),
        )
        .code(Code::NotFound),
        row("file in a webhook", format!("{}, for endpoints with `inline_media`", bytes(of_jobs::WEBHOOK_FILE_MAX)))
            .then("the webhook has its link alone"),
    ]
}

fn auto_replies() -> Vec<Row> {
    let days = |hours: i64| format!("{hours} days");
    vec![
        row("rules of an organisation", number(of_jobs::RULES_MAX)).code(Code::LimitReached),
        row(
            "rules of them with a regular expression",
            number(of_jobs::REGEX_RULES_MAX),
        )
        .code(Code::LimitReached),
        row(
            "regular expression",
            format!(
                "{} bytes, {} when it is compiled; it sees the first {} bytes of a text",
                of_jobs::PATTERN_MAX,
                bytes(of_jobs::COMPILED_MAX),
                number(of_jobs::REGEX_TEXT_MAX)
            ),
        )
        .code(Code::InvalidPattern),
        row(
            "keywords, texts or beginnings of a rule",
            format!(
                "{} of {} characters",
                of_jobs::TEXTS_MAX,
                of_jobs::TEXT_CHARS_MAX
            ),
        )
        .code(Code::InvalidRule),
        row(
            "office hours",
            format!(
                "{} opening times and {} holidays",
                of_jobs::OPENINGS_MAX,
                of_jobs::HOLIDAYS_MAX
            ),
        )
        .code(Code::InvalidRule),
        row(
            "template, and the text that it makes",
            bytes(of_jobs::TEMPLATE_MAX),
        )
        .code(Code::InvalidTemplate)
        .then("with real values: nothing is sent, and `rule.matched` says `template_failed`"),
        row("replies to one message", number(of_jobs::REPLIES_MAX))
            .then("no further rule is tried"),
        row(
            "how long replies to a contact may rest",
            days(routes::auto_replies::REST_DAYS_MAX),
        )
        .code(Code::InvalidRest),
    ]
}

fn webhooks() -> Vec<Row> {
    let days = of_jobs::WAITS.iter().sum::<Duration>().as_secs() / 86_400;
    vec![
        row("endpoints of an organisation", number(of_jobs::ENDPOINTS_MAX)).code(Code::LimitReached),
        row("sessions that an endpoint names", of_jobs::SESSIONS_MAX.to_string()).code(Code::ValidationFailed),
        row(
            "further headers of an endpoint",
            format!(
                "{}, with {} bytes of names and values together",
                of_jobs::HEADERS_MAX,
                number(of_jobs::HEADER_BYTES_MAX)
            ),
        )
        .code(Code::InvalidHeaders),
        row(
            "attempts at once",
            format!(
                "{} to an endpoint, {} of an organisation (of {} that a worker makes)",
                of_jobs::ATTEMPTS_TO_ENDPOINT,
                of_jobs::ATTEMPTS_OF_ORGANISATION,
                of_jobs::ATTEMPTS_AT_ONCE
            ),
        )
        .then("further ones wait"),
        row(
            format!("attempts to an endpoint whose last {} attempts failed", of_jobs::FAILURES),
            format!(
                "{} at once, until one succeeds; {} at once to all such endpoints of an organisation",
                of_jobs::ATTEMPTS_TO_FAILING_ENDPOINT,
                of_jobs::ATTEMPTS_TO_FAILING_ENDPOINTS
            ),
        )
        .then("further ones wait"),
        row("answer of a receiver", format!("within {}", time(of_jobs::REPLY_WITHIN))).then("the attempt has failed"),
        row("what is kept of it", bytes(of_jobs::REPLY_MAX)).then("the rest is dropped"),
        row("attempts", format!("{} over about {days} days", of_jobs::WAITS.len())).then("the delivery is `dead`"),
    ]
}

type Table = (&'static str, fn() -> Vec<Row>);

const TABLES: [Table; 6] = [
    ("Requests", requests),
    ("Numbers", numbers),
    ("Messages", messages),
    ("Automatic replies", auto_replies),
    ("Files", files),
    ("Webhooks", webhooks),
];

#[test]
fn the_guide_has_the_tables_of_the_limits() {
    let guide = std::fs::read_to_string(GUIDE).unwrap();
    let mut missing = String::new();
    for (heading, rows) in TABLES {
        let section = guide.split(&format!("## {heading}\n")).nth(1);
        let section = section.unwrap_or_default().split("\n## ").next();
        let table = table(&rows());
        if !section.unwrap_or_default().contains(&table) {
            let _ = writeln!(missing, "## {heading}\n\n{table}");
        }
    }
    assert!(
        missing.is_empty(),
        "docs/guide/limits.md is out of date. Replace these tables:\n\n{missing}"
    );
}

#[test]
fn every_flag_of_the_tables_exists() {
    let command = Cli::command();
    for row in TABLES.iter().flat_map(|(_, rows)| rows()) {
        for flag in row.flag.split("`, `").filter(|flag| !flag.is_empty()) {
            let known = command
                .get_arguments()
                .any(|arg| arg.get_long() == flag.strip_prefix("--"));
            assert!(known, "{flag}");
        }
    }
}

//! JSON from outside, and the errors in it.
//!
//! A text is parsed once, into a [`Json`]. serde then reads a type from it, with [`TypeError`] as the error type:
//! serde calls a different function of it for each kind of error, so no code depends on the wording of serde.

use std::{borrow::Cow, cell::Cell, fmt};

use serde::{
    Deserializer,
    de::{
        DeserializeOwned, DeserializeSeed, Error, Expected, IntoDeserializer, MapAccess, SeqAccess,
        Unexpected, Visitor,
        value::{MapDeserializer, SeqDeserializer, StrDeserializer},
    },
    forward_to_deserialize_any,
};
use serde_path_to_error::Segment;

use crate::{
    limits::{BODY_MAX, JSON_VALUES_MAX},
    problem::{Code, Problem},
};

/// The error text of [`crate::types::Id`].
pub(crate) const WRONG_ID: &str = "expected an id of this kind";

/// A JSON value. An object keeps a field that occurs twice, so that the type can refuse it.
pub enum Json<'a> {
    Null,
    Bool(bool),
    Whole(i64),
    Large(u64),
    Float(f64),
    /// Borrowed from the body unless it has an escape.
    Text(Cow<'a, str>),
    List(Vec<Json<'a>>),
    Object(Vec<(Cow<'a, str>, Json<'a>)>),
}

impl<'a> Json<'a> {
    /// Parses a body. Refuses malformed JSON, more than 128 levels, and more than [`JSON_VALUES_MAX`] values.
    /// Without its longest text, which may be a file, a body has at most [`BODY_MAX`] bytes.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, Problem> {
        let tally = Tally::default();
        let mut from = serde_json::Deserializer::from_slice(bytes);
        let json = Value(&tally).deserialize(&mut from);
        let json = json.and_then(|json| from.end().map(|()| json));
        if tally.values.get() > JSON_VALUES_MAX {
            return Err(Problem::new(Code::BodyTooLarge).detail(format!(
                "A body may have at most {JSON_VALUES_MAX} values. This limit is fixed."
            )));
        }
        if bytes.len() - tally.longest.get().min(bytes.len()) > BODY_MAX {
            return Err(Problem::new(Code::BodyTooLarge).detail(format!(
                "A body may have at most {BODY_MAX} bytes beside its file. This limit is fixed."
            )));
        }
        json.map_err(|error| {
            let (line, column) = (error.line(), error.column());
            Problem::new(Code::MalformedJson).detail(format!(
                "The body is not valid JSON (line {line}, column {column})."
            ))
        })
    }

    /// Returns the text of a field of an object.
    pub(crate) fn text(&self, field: &str) -> Option<&str> {
        let Self::Object(fields) = self else {
            return None;
        };
        match fields.iter().rfind(|(name, _)| name == field) {
            Some((_, Self::Text(text))) => Some(text),
            _ => None,
        }
    }

    /// Reads a type strictly. The problem names the place and repeats nothing of the value.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        serde_path_to_error::deserialize(self).map_err(|error| {
            let mut place = pointer(error.path());
            let error = error.into_inner();
            if let Some(field) = error.missing {
                place = format!("{place}/{field}");
            }
            Problem::new(error.problem).at(&place, error.code, error.detail)
        })
    }
}

/// Returns a JSON Pointer (RFC 6901). It ends before a name that cannot be one of our fields, because callers
/// sometimes put values in the place of names.
fn pointer(path: &serde_path_to_error::Path) -> String {
    let mut pointer = String::new();
    for segment in path {
        let step = match segment {
            Segment::Seq { index } => index.to_string(),
            Segment::Map { key } if plain(key) => key.clone(),
            Segment::Map { .. } | Segment::Enum { .. } | Segment::Unknown => break,
        };
        pointer.push('/');
        pointer.push_str(&step);
    }
    pointer
}

fn plain(key: &str) -> bool {
    key.len() <= 40
        && key.starts_with(|c: char| c.is_ascii_lowercase())
        && key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
}

/// What a body holds, counted while it is parsed.
#[derive(Default)]
struct Tally {
    values: Cell<usize>,
    /// The bytes of the longest text.
    longest: Cell<usize>,
}

impl Tally {
    fn text(&self, text: &str) {
        self.longest.set(self.longest.get().max(text.len()));
    }
}

/// Parses one value.
#[derive(Clone, Copy)]
struct Value<'t>(&'t Tally);

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = Json<'de>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Json<'de>, D::Error> {
        let values = self.0.values.get() + 1;
        self.0.values.set(values);
        if values > JSON_VALUES_MAX {
            return Err(D::Error::custom("too many values"));
        }
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_> {
    type Value = Json<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json<'de>, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, it: bool) -> Result<Json<'de>, E> {
        Ok(Json::Bool(it))
    }

    fn visit_i64<E>(self, it: i64) -> Result<Json<'de>, E> {
        Ok(Json::Whole(it))
    }

    fn visit_u64<E>(self, it: u64) -> Result<Json<'de>, E> {
        Ok(Json::Large(it))
    }

    fn visit_f64<E>(self, it: f64) -> Result<Json<'de>, E> {
        Ok(Json::Float(it))
    }

    fn visit_borrowed_str<E>(self, it: &'de str) -> Result<Json<'de>, E> {
        self.0.text(it);
        Ok(Json::Text(it.into()))
    }

    fn visit_str<E>(self, it: &str) -> Result<Json<'de>, E> {
        self.0.text(it);
        Ok(Json::Text(it.to_owned().into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Json<'de>, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = from.next_element_seed(self)? {
            list.push(item);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Json<'de>, A::Error> {
        let mut fields = Vec::new();
        while let Some(name) = from.next_key_seed(Name)? {
            fields.push((name, from.next_value_seed(self)?));
        }
        Ok(Json::Object(fields))
    }
}

/// Parses the name of a field.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Cow<'de, str>, D::Error> {
        from.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_borrowed_str<E>(self, it: &'de str) -> Result<Cow<'de, str>, E> {
        Ok(it.into())
    }

    fn visit_str<E>(self, it: &str) -> Result<Cow<'de, str>, E> {
        Ok(it.to_owned().into())
    }
}

impl<'de> Deserializer<'de> for &'de Json<'de> {
    type Error = TypeError;

    fn deserialize_any<V: Visitor<'de>>(self, to: V) -> Result<V::Value, TypeError> {
        match self {
            Json::Null => to.visit_unit(),
            Json::Bool(it) => to.visit_bool(*it),
            Json::Whole(it) => to.visit_i64(*it),
            Json::Large(it) => to.visit_u64(*it),
            Json::Float(it) => to.visit_f64(*it),
            Json::Text(it) => to.visit_borrowed_str(it),
            Json::List(it) => SeqDeserializer::new(it.iter()).deserialize_any(to),
            Json::Object(it) => {
                let fields = it.iter().map(|(name, value)| (&**name, value));
                MapDeserializer::new(fields).deserialize_any(to)
            }
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, to: V) -> Result<V::Value, TypeError> {
        match self {
            Json::Null => to.visit_none(),
            _ => to.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        to: V,
    ) -> Result<V::Value, TypeError> {
        to.visit_newtype_struct(self)
    }

    // serde accepts an array of the values in place of an object. The schema does not.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        to: V,
    ) -> Result<V::Value, TypeError> {
        match self {
            Json::List(_) => Err(TypeError::invalid_type(Unexpected::Seq, &to)),
            _ => self.deserialize_any(to),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        words: &'static [&'static str],
        to: V,
    ) -> Result<V::Value, TypeError> {
        match self {
            Json::Text(word) => to.visit_enum(StrDeserializer::new(word)),
            _ => Err(TypeError::unknown_variant("", words)),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map identifier ignored_any
    }
}

impl<'de> IntoDeserializer<'de, TypeError> for &'de Json<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

/// Why a type cannot be read from a [`Json`]. It never contains what was sent.
#[derive(Debug)]
pub struct TypeError {
    problem: Code,
    code: &'static str,
    /// The field that is missing at the place.
    missing: Option<&'static str>,
    detail: String,
}

impl TypeError {
    fn new(problem: Code, code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            problem,
            code,
            missing: None,
            detail: detail.into(),
        }
    }

    fn wrong_type(expected: impl fmt::Display) -> Self {
        let expected = expected.to_string();
        let expected = match expected.strip_prefix("struct ") {
            Some(_) => "an object",
            None => &expected,
        };
        Self::new(
            Code::ValidationFailed,
            "wrong_type",
            format!("expected {expected}"),
        )
    }
}

fn one_of(words: &[&str]) -> String {
    let quoted: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.len() {
        0 => "this object has no fields".to_owned(),
        1 | 2 => format!("expected {}", quoted.join(" or ")),
        _ => format!("expected one of {}", quoted.join(", ")),
    }
}

impl fmt::Display for TypeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for TypeError {}

impl Error for TypeError {
    /// Only our own types call this, with a text of ours.
    fn custom<T: fmt::Display>(text: T) -> Self {
        let text = text.to_string();
        if text == WRONG_ID {
            return Self::new(Code::InvalidId, "invalid_id", text);
        }
        Self::new(Code::ValidationFailed, "wrong_type", text)
    }

    fn invalid_type(_found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::wrong_type(expected)
    }

    fn invalid_value(_found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::wrong_type(expected)
    }

    fn invalid_length(_found: usize, expected: &dyn Expected) -> Self {
        Self::wrong_type(expected)
    }

    fn unknown_variant(_found: &str, words: &'static [&'static str]) -> Self {
        Self::new(Code::ValidationFailed, "unknown_value", one_of(words))
    }

    fn unknown_field(_found: &str, fields: &'static [&'static str]) -> Self {
        Self::new(Code::UnknownField, "unknown_field", one_of(fields))
    }

    fn missing_field(field: &'static str) -> Self {
        Self {
            missing: Some(field),
            ..Self::new(Code::ValidationFailed, "required", "this field is required")
        }
    }

    fn duplicate_field(_field: &'static str) -> Self {
        let detail = "this field is here twice";
        Self::new(Code::ValidationFailed, "duplicate_field", detail)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        body: String,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        text: Inner,
    }

    fn refused(body: &str) -> (&'static str, String) {
        let problem = Json::parse(body.as_bytes())
            .and_then(|json| json.read::<Outer>())
            .unwrap_err();
        (problem.code().as_str(), format!("{problem:?}"))
    }

    #[test]
    fn each_kind_of_bad_body_has_its_code() {
        for (body, code) in [
            ("", "malformed_json"),
            ("{", "malformed_json"),
            (r#"{"text":{"body":"a"}} x"#, "malformed_json"),
            (r#"{"text":{"body":"a"},"more":1}"#, "unknown_field"),
            (r#"{"text":{"body":"a","more":1}}"#, "unknown_field"),
            (r#"{"text":{"body":7}}"#, "validation_failed"),
            (r#"{"text":{}}"#, "validation_failed"),
            ("[]", "validation_failed"),
            ("null", "validation_failed"),
            (r#"[{"body":"a"}]"#, "validation_failed"),
            (r#"{"text":["a"]}"#, "validation_failed"),
            (
                r#"{"text":{"body":"a"},"text":{"body":"b"}}"#,
                "validation_failed",
            ),
        ] {
            assert_eq!(refused(body).0, code, "{body}");
        }
    }

    #[test]
    fn each_fault_has_its_place_and_says_what_is_expected() {
        #[derive(Debug, PartialEq, Deserialize)]
        #[serde(rename_all = "snake_case", deny_unknown_fields)]
        struct All {
            outer: Option<Outer>,
            policy: Option<Policy>,
            ids: Option<Vec<crate::types::Id<passerelle_jobs::ids::MessageId>>>,
            count: Option<u32>,
        }
        #[derive(Debug, PartialEq, Deserialize)]
        #[serde(rename_all = "snake_case")]
        enum Policy {
            Resend,
            Hold,
        }
        for (body, place, code, detail) in [
            (
                r#"{"outer":{}}"#,
                "/outer/text",
                "required",
                "this field is required",
            ),
            (
                r#"{"outer":5}"#,
                "/outer",
                "wrong_type",
                "expected an object",
            ),
            (
                r#"{"outer":[{"body":""}]}"#,
                "/outer",
                "wrong_type",
                "expected an object",
            ),
            (
                r#"{"outer":{"text":{"body":null}}}"#,
                "/outer/text/body",
                "wrong_type",
                "expected a string",
            ),
            (
                r#"{"outer":{"text":{"body":"","x":1}}}"#,
                "/outer/text/x",
                "unknown_field",
                "expected `body`",
            ),
            (r#"{"count":-1}"#, "/count", "wrong_type", "expected u32"),
            (
                r#"{"count":1,"count":2}"#,
                "",
                "duplicate_field",
                "this field is here twice",
            ),
            (
                r#"{"policy":"x"}"#,
                "/policy",
                "unknown_value",
                "expected `resend` or `hold`",
            ),
            (
                r#"{"policy":7}"#,
                "/policy",
                "unknown_value",
                "expected `resend` or `hold`",
            ),
            (
                r#"{"policy":{"hold":null}}"#,
                "/policy",
                "unknown_value",
                "expected `resend` or `hold`",
            ),
            (r#"{"ids":["x"]}"#, "/ids/0", "invalid_id", WRONG_ID),
            (
                r#"{"ids":{"x":1}}"#,
                "/ids",
                "wrong_type",
                "expected a sequence",
            ),
        ] {
            let json = Json::parse(body.as_bytes()).unwrap();
            let problem = format!("{:?}", json.read::<All>().unwrap_err());
            for part in [place, code, detail] {
                assert!(problem.contains(&format!("{part:?}")), "{body}: {problem}");
            }
        }
        assert!(
            Json::parse(br#"{"count":1,"policy":"hold"}"#)
                .unwrap()
                .read::<All>()
                .is_ok()
        );
    }

    #[test]
    fn a_fault_names_its_place_and_never_what_was_sent() {
        let (_, shown) = refused(r#"{"text":{"body":{"CANARY":"CANARY"}}}"#);
        assert!(shown.contains("/text/body"), "{shown}");
        assert!(!shown.contains("CANARY"), "{shown}");
        let (_, shown) = refused(r#"{"text":{"body":"a"},"CANARY":1}"#);
        assert!(!shown.contains("CANARY"), "{shown}");
        let (_, shown) = refused(r#"{"text":{"CANARY expected CANARY":"a"}}"#);
        assert!(!shown.contains("CANARY"), "{shown}");
    }

    #[test]
    fn a_body_of_very_many_values_is_refused_before_it_is_held() {
        let list = |count: usize| format!("[{}]", vec!["1"; count].join(","));
        assert!(Json::parse(list(JSON_VALUES_MAX - 1).as_bytes()).is_ok());
        assert_eq!(refused(&list(JSON_VALUES_MAX)).0, "body_too_large");
    }

    #[test]
    fn only_one_text_may_be_as_long_as_a_file() {
        let body = |one: usize, other: usize| {
            format!(
                r#"{{"a":"{}","b":"{}"}}"#,
                "x".repeat(one),
                "x".repeat(other)
            )
        };
        assert!(Json::parse(body(7 << 20, BODY_MAX - 100).as_bytes()).is_ok());
        assert_eq!(refused(&body(7 << 20, BODY_MAX)).0, "body_too_large");
    }

    #[test]
    fn a_long_text_is_borrowed_from_the_body() {
        let json = Json::parse(br#"{"a":"long","b":"with \"escapes\""}"#).unwrap();
        let Json::Object(fields) = json else { panic!() };
        let borrowed = |at: usize| matches!(&fields[at].1, Json::Text(Cow::Borrowed(_)));
        assert_eq!((borrowed(0), borrowed(1)), (true, false));
    }

    /// Returns any JSON value of a few levels.
    fn value() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<u64>().prop_map(Into::into),
            any::<f64>().prop_map(Into::into),
            any::<String>().prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            let object = prop::collection::btree_map(any::<String>(), inner.clone(), 0..6);
            prop_oneof![
                prop::collection::vec(inner, 0..6).prop_map(Into::into),
                object.prop_map(|fields| fields.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_value_is_read_as_another_parser_reads_it(value in value()) {
            let body = value.to_string();
            let json = Json::parse(body.as_bytes()).unwrap();
            let other: serde_json::Value = serde_json::from_str(&body).unwrap();
            prop_assert_eq!(json.read::<serde_json::Value>().unwrap(), other);
        }

        /// Bodies that another parser refuses are refused here, and no other ones.
        #[test]
        fn a_bent_body_is_read_or_refused(
            value in value(),
            bends in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
            cut in any::<prop::sample::Index>(),
            is_cut in any::<bool>(),
        ) {
            let mut bent = value.to_string().into_bytes();
            for (at, byte) in bends {
                let at = at.index(bent.len());
                bent[at] = byte;
            }
            if is_cut {
                bent.truncate(cut.index(bent.len()));
            }
            let is_json = serde_json::from_slice::<serde_json::Value>(&bent).is_ok();
            prop_assert_eq!(Json::parse(&bent).is_ok(), is_json);
            if let Ok(json) = Json::parse(&bent) {
                let _ = json.read::<Outer>();
            }
        }

        #[test]
        fn noise_is_read_or_refused(noise in prop::collection::vec(any::<u8>(), 0..600)) {
            let is_json = serde_json::from_slice::<serde_json::Value>(&noise).is_ok();
            prop_assert_eq!(Json::parse(&noise).is_ok(), is_json);
        }
    }

    #[test]
    fn deep_nesting_is_refused_without_a_stack_overflow() {
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        assert_eq!(refused(&deep).0, "malformed_json");
    }
}

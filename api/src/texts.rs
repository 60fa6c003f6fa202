//! Texts by name: an object of which the caller chooses the names.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use poem_openapi::{
    registry::{MetaSchemaRef, Registry},
    types::{ParseError, ParseFromJSON, ParseResult, ToJSON, Type},
};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error as _, MapAccess, Visitor},
};
use serde_json::Value;

type Map = BTreeMap<String, String>;

/// Texts by name. A name that occurs twice is refused.
#[derive(Clone, Default, PartialEq, Eq, Serialize)]
pub struct Texts(pub Map);

impl fmt::Debug for Texts {
    /// Omits names and texts, because they may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} texts", self.0.len())
    }
}

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Texts;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of texts")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Texts, A::Error> {
        let mut all = Map::new();
        while let Some((name, text)) = from.next_entry()? {
            if all.insert(name, text).is_some() {
                return Err(A::Error::duplicate_field("name"));
            }
        }
        Ok(Texts(all))
    }
}

impl Type for Texts {
    const IS_REQUIRED: bool = true;
    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        "texts".into()
    }

    fn schema_ref() -> MetaSchemaRef {
        Map::schema_ref()
    }

    fn register(registry: &mut Registry) {
        Map::register(registry);
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::once(self))
    }
}

impl ParseFromJSON for Texts {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        let map = Map::parse_from_json(value);
        map.map(Self).map_err(ParseError::propagate)
    }
}

impl ToJSON for Texts {
    fn to_json(&self) -> Option<Value> {
        self.0.to_json()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Json;

    fn read(body: &str) -> Result<Texts, &'static str> {
        let json = Json::parse(body.as_bytes()).unwrap();
        json.read().map_err(|problem| problem.code().as_str())
    }

    #[test]
    fn a_name_that_occurs_twice_and_a_value_that_is_no_text_are_refused() {
        assert_eq!(read("{}"), Ok(Texts::default()));
        assert_eq!(read(r#"{"a":"1","A":"2"}"#).unwrap().0.len(), 2);
        for bad in [
            r#"{"a":"1","a":"2"}"#,
            r#"{"a":1}"#,
            r#"{"a":null}"#,
            r#"["a"]"#,
            r#""a""#,
        ] {
            assert_eq!(read(bad), Err("validation_failed"), "{bad}");
        }
    }
}

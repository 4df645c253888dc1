//! Free-form data that rows carry: JSON objects and tags.

mod measure;

use std::{fmt, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::{Map, Value, value::RawValue};

use crate::{Invalid, schema::described};
use measure::Measure;

/// A JSON object, kept as the text that it is: as values, many small ones take twenty times as much memory.
///
/// One that is made here fits PostgreSQL's `jsonb`: no U+0000 in any text, no half of a surrogate pair, at most
/// [`Document::MAX_BYTES`] when written, [`Document::MAX_VALUES`] values and [`Document::MAX_DEPTH`] levels. One
/// that is stored may break these rules; it can be read all the same.
#[derive(Clone)]
pub struct Document(Arc<RawValue>);

impl Document {
    /// The most bytes it may have as compact JSON, with numbers written as `jsonb` does.
    pub const MAX_BYTES: usize = 256 * 1024;
    /// The most values it may have: objects, lists, texts, numbers and the like.
    pub const MAX_VALUES: usize = 50_000;
    /// The most levels it may have, itself included. What wraps it (the audit log, a list, an export) adds
    /// some, and most readers of JSON give up at 128.
    pub const MAX_DEPTH: usize = 64;

    /// Why one is refused that most readers of JSON cannot read at all.
    pub const TOO_DEEP: &str = "has more than 127 levels";
    /// Why one is refused that readers of JSON read differently.
    pub const OUT_OF_RANGE: &str = "has a number out of range";

    /// Takes an object that is stored, whatever its size and depth.
    ///
    /// # Errors
    /// When it is no object.
    pub fn stored(text: String) -> Result<Self, Invalid> {
        let raw = RawValue::from_string(text)
            .map_err(|_| Invalid::new("document", "must be a JSON object"))?;
        Self::object(raw)
    }

    /// Returns it as it is written.
    pub fn text(&self) -> &str {
        self.0.get()
    }

    /// Reads its members.
    ///
    /// # Errors
    /// When it is stored with more levels, or a larger number, than can be read.
    pub fn members(&self) -> Result<Map<String, Value>, Invalid> {
        serde_json::from_str(self.text()).map_err(|_| {
            Invalid::new("document", "has more levels or larger numbers than can be read")
        })
    }

    fn object(raw: Box<RawValue>) -> Result<Self, Invalid> {
        if !raw.get().trim_start().starts_with('{') {
            return Err(Invalid::new("document", "must be a JSON object"));
        }
        Ok(Self(raw.into()))
    }
}

impl TryFrom<Box<RawValue>> for Document {
    type Error = Invalid;

    fn try_from(raw: Box<RawValue>) -> Result<Self, Invalid> {
        let document = Self::object(raw)?;
        let Measure { bytes, values, depth } = Measure::of(document.text())?;
        for (what, found, most) in [
            ("bytes", bytes, Self::MAX_BYTES),
            ("values", values, Self::MAX_VALUES),
            ("levels", depth, Self::MAX_DEPTH),
        ] {
            if found > most {
                let reason = format!("must have at most {most} {what}, not {found}");
                return Err(Invalid::new("document", reason));
            }
        }
        Ok(document)
    }
}

impl TryFrom<Value> for Document {
    type Error = Invalid;

    fn try_from(value: Value) -> Result<Self, Invalid> {
        let raw = serde_json::value::to_raw_value(&value)
            .map_err(|_| Invalid::new("document", "must be a JSON object"))?;
        raw.try_into()
    }
}

/// A stored one that cannot be read as values becomes null.
impl From<Document> for Value {
    fn from(document: Document) -> Self {
        document.members().map_or(Self::Null, Self::Object)
    }
}

impl Default for Document {
    fn default() -> Self {
        let empty = serde_json::value::to_raw_value(&Map::new());
        Self(empty.unwrap_or_else(|_| RawValue::NULL.to_owned()).into())
    }
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// Two are equal if they say the same, however it is written.
impl PartialEq for Document {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
            || matches!((self.members(), other.members()), (Ok(one), Ok(two)) if one == two)
    }
}

impl Serialize for Document {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Box::<RawValue>::deserialize(deserializer)?.try_into().map_err(de::Error::custom)
    }
}

/// Short words on a row, in the order given, none twice.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(into = "Vec<String>", try_from = "Vec<String>")]
pub struct Tags(Vec<String>);

impl Tags {
    /// The most tags a row may have.
    pub const MAX: usize = 100;
    /// The most characters a tag may have.
    pub const MAX_LENGTH: usize = 100;

    /// Returns the words.
    pub fn as_slice(&self) -> &[String] {
        &self.0
    }
}

impl TryFrom<Vec<String>> for Tags {
    type Error = Invalid;

    fn try_from(words: Vec<String>) -> Result<Self, Invalid> {
        if words.len() > Self::MAX {
            return Err(Invalid::new(
                "tags",
                format!("must be at most {}, not {}", Self::MAX, words.len()),
            ));
        }
        let mut tags = Vec::with_capacity(words.len());
        for word in words {
            let length = word.chars().count();
            if length == 0 || length > Self::MAX_LENGTH || word.chars().any(char::is_control) {
                return Err(Invalid::new(
                    "tags",
                    format!("must each have 1 to {} printable characters", Self::MAX_LENGTH),
                ));
            }
            if !tags.contains(&word) {
                tags.push(word);
            }
        }
        Ok(Self(tags))
    }
}

impl From<Tags> for Vec<String> {
    fn from(tags: Tags) -> Self {
        tags.0
    }
}

described!(Document, "A JSON object, at most 256 KiB, without U+0000 in any text.", {
    "type": "object",
    "additionalProperties": true,
    "examples": [{ "region": "eu-west-1" }],
});

described!(Tags, "Short words on a row, in the order given, none twice.", {
    "type": "array",
    "maxItems": Tags::MAX,
    "items": {
        "type": "string",
        "minLength": 1,
        "maxLength": Tags::MAX_LENGTH,
        "pattern": r"^[^\x00-\x1f\x7f-\x9f]*$",
    },
    "examples": [["database", "eu"]],
});

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_zero_character_is_found_at_any_depth() {
        for value in [json!({"a": "\0"}), json!({"a\0": 1}), json!({"a": [{"b": "x\0"}]})] {
            let error = Document::try_from(value).unwrap_err();
            assert_eq!(error.to_string(), "document must not contain U+0000");
        }
    }

    #[test]
    fn only_objects_are_documents() {
        assert!(Document::try_from(json!([1])).is_err());
        assert!(Document::try_from(json!({"a": [1]})).is_ok());
    }

    #[test]
    fn a_heavy_document_is_refused() {
        assert!(Document::try_from(json!({"a": "x".repeat(Document::MAX_BYTES)})).is_err());
    }

    #[test]
    fn a_short_spelling_of_much_is_weighed_as_what_it_becomes() {
        let digits = json!({"a": vec![1e308; 1000]});
        assert!(Document::try_from(digits).is_err());
        let escapes = json!({"a": "\u{1}".repeat(Document::MAX_BYTES / 4)});
        assert!(Document::try_from(escapes).is_err());
    }

    /// FAULTS C0 and C1: what is small as text and much as values, or deep, is refused by the rule that it breaks;
    /// what is stored all the same can be read.
    #[test]
    fn c0_c1_values_and_levels_are_bounded_and_what_is_stored_can_be_read() {
        let refused = |text: String| {
            let refused = serde_json::from_str::<Document>(&text).unwrap_err().to_string();
            assert!(Document::stored(text).is_ok());
            refused
        };
        let objects = format!("{{\"l\":[{}0]}}", "{\"\":0},".repeat(32_000));
        assert!(refused(objects).contains("at most 50000 values"));
        let deep = |levels: usize| "{\"a\":".repeat(levels) + "1" + &"}".repeat(levels);
        assert!(serde_json::from_str::<Document>(&deep(64)).is_ok());
        assert!(refused(deep(65)).contains("at most 64 levels"));
        assert!(refused(deep(10_000)).contains("levels"));
        // PostgreSQL's numeric has up to 16,383 digits after the point, and writes all of them.
        assert!(refused("{\"a\":1e-16384}".to_owned()).contains(Document::OUT_OF_RANGE));
        assert!(refused("{\"a\":1e400}".to_owned()).contains(Document::OUT_OF_RANGE));
        let digits = format!("{{\"a\":[{}0]}}", "1e-16383,".repeat(1000));
        assert!(refused(digits).contains("bytes"));
    }

    #[test]
    fn a_number_is_kept_as_it_is_written() {
        let text = r#"{"a":[123456789012345678901234567890,9007199254740993.0,1e-400,-0,18446744073709551616]}"#;
        let document: Document = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&document).unwrap(), text);
    }

    #[test]
    fn half_a_pair_is_refused_and_a_pair_is_not() {
        for (text, is_good) in [
            (r#"{"a":"\ud83d\ude00"}"#, true),
            (r#"{"a":"\ud83d"}"#, false),
            (r#"{"a":"\ude00\ud83d"}"#, false),
            (r#"{"a":"\ud83dx"}"#, false),
            (r#"{"a":"\\ud83d"}"#, true),
            (r#"{"a":"\\u0000"}"#, true),
            (r#"{"a":"\\\u0000"}"#, false),
        ] {
            assert_eq!(serde_json::from_str::<Document>(text).is_ok(), is_good, "{text}");
        }
    }

    #[test]
    fn a_tag_said_twice_counts_once() {
        let tags = Tags::try_from(vec!["db".to_owned(), "eu".to_owned(), "db".to_owned()]).unwrap();
        assert_eq!(tags.as_slice(), ["db", "eu"]);
    }
}

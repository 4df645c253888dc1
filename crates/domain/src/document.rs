//! Free-form data that rows carry: JSON objects and tags.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Invalid, schema::described};

/// A JSON object that PostgreSQL's `jsonb` can keep: no U+0000 in any text, at most
/// [`Document::MAX_BYTES`] when written.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(into = "Value", try_from = "Value")]
pub struct Document(Map<String, Value>);

impl Document {
    /// The most bytes it may have as compact JSON.
    pub const MAX_BYTES: usize = 256 * 1024;

    /// Returns the members.
    pub fn members(&self) -> &Map<String, Value> {
        &self.0
    }
}

impl TryFrom<Value> for Document {
    type Error = Invalid;

    fn try_from(value: Value) -> Result<Self, Invalid> {
        let Value::Object(members) = value else {
            return Err(Invalid::new("document", "must be a JSON object"));
        };
        let bytes = weigh(&members)?;
        if bytes > Self::MAX_BYTES {
            return Err(Invalid::new(
                "document",
                format!("must have at most {} bytes, not {bytes}", Self::MAX_BYTES),
            ));
        }
        Ok(Self(members))
    }
}

impl From<Document> for Value {
    fn from(document: Document) -> Self {
        Self::Object(document.0)
    }
}

/// Returns the written size. The recursion is bounded by `serde_json`, which reads at most 128
/// levels.
fn weigh(members: &Map<String, Value>) -> Result<usize, Invalid> {
    members
        .iter()
        .try_fold(2, |sum, (key, value)| Ok(sum + weigh_text(key)? + weigh_value(value)? + 2))
}

fn weigh_value(value: &Value) -> Result<usize, Invalid> {
    match value {
        Value::Null | Value::Bool(_) => Ok(4),
        Value::Number(number) => Ok(written_out(number)),
        Value::String(text) => weigh_text(text),
        Value::Array(items) => {
            items.iter().try_fold(2, |sum, item| Ok(sum + weigh_value(item)? + 1))
        }
        Value::Object(members) => weigh(members),
    }
}

fn weigh_text(text: &str) -> Result<usize, Invalid> {
    if text.contains('\0') {
        return Err(Invalid::new("document", "must not contain U+0000"));
    }
    // What JSON escapes takes two bytes, or six.
    let escapes = text.bytes().map(|byte| match byte {
        b'"' | b'\\' => 1,
        0..0x20 => 5,
        _ => 0,
    });
    Ok(text.len() + 2 + escapes.sum::<usize>())
}

/// `jsonb` keeps a number as a decimal and writes it without an exponent: 1e308 has 309 digits each
/// time it is read.
fn written_out(number: &serde_json::Number) -> usize {
    match number.as_f64() {
        Some(float) if number.is_f64() => float.to_string().len(),
        _ => number.to_string().len(),
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

    #[test]
    fn a_tag_said_twice_counts_once() {
        let tags = Tags::try_from(vec!["db".to_owned(), "eu".to_owned(), "db".to_owned()]).unwrap();
        assert_eq!(tags.as_slice(), ["db", "eu"]);
    }
}

//! JSON Schemas that configurations must satisfy.

use std::{error::Error, fmt, sync::Arc};

use jsonschema::{PatternOptions, Retrieve, Uri, Validator};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{clip, survey};
use crate::{Document, Invalid, schema::described};

/// A JSON Schema: of draft 2020-12, unless its `$schema` names 2019-09, 7 or 6.
///
/// It stands alone: a `$ref` leads to a place in it (`#/$defs/port`), never to a URL or a file. It
/// is finite and cheap to apply: no recursion, no `unevaluatedProperties` or `unevaluatedItems`,
/// at most [`ConfigSchema::MAX_PARTS`] values and [`ConfigSchema::MAX_DEPTH`] levels once every
/// `$ref` is written out. Patterns match in linear time. `format` is a note to the reader.
#[derive(Clone, Serialize, Deserialize)]
#[serde(into = "Document", try_from = "Document")]
pub struct ConfigSchema {
    document: Document,
    validator: Arc<Validator>,
    parts: usize,
}

/// A place in a document that does not satisfy its schema.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// Where, as a JSON pointer (RFC 6901); cut when longer than 500 characters.
    pub pointer: String,
    /// What is wrong. Names keys and what the schema wants, no value of the document.
    pub message: String,
}

impl ConfigSchema {
    /// The most values that it may have once every `$ref` is written out; a pattern counts as 100.
    pub const MAX_PARTS: usize = 10_000;
    /// The most levels that it may have once every `$ref` is written out.
    pub const MAX_DEPTH: usize = 64;
    /// The most violations that are told.
    pub const MAX_VIOLATIONS: usize = 20;
    /// The most bytes that one of its patterns may take when compiled.
    const MAX_PATTERN: usize = 32 * 1024;
    /// The most work, in parts of the schema times bytes of the document.
    const MAX_WORK: usize = 25_000_000;
    /// The most work, in parts times values, for which violations are listed: there may be as many.
    const MAX_LISTED: usize = 250_000;

    /// Checks a document.
    ///
    /// # Errors
    ///
    /// The violations, at most [`ConfigSchema::MAX_VIOLATIONS`]; only one, of the whole, when both
    /// schema and document are large.
    pub fn check(&self, document: &Document) -> Result<(), Vec<Violation>> {
        let members = document.members().map_err(|error| whole(&error.reason))?;
        let value = Value::Object(members);
        let size = survey::size(&value);
        if self.parts.saturating_mul(size.bytes) > Self::MAX_WORK {
            return Err(whole("is too large to be checked by a schema of this size"));
        }
        if self.validator.is_valid(&value) {
            return Ok(());
        }
        if self.parts.saturating_mul(size.values) > Self::MAX_LISTED {
            return Err(whole("does not satisfy the schema; it is too large to say where"));
        }
        let errors = self.validator.iter_errors(&value).take(Self::MAX_VIOLATIONS);
        let violations = errors.map(|error| Violation {
            pointer: clip(error.instance_path().as_str(), 500),
            message: clip(&error.masked().to_string(), 200),
        });
        Err(violations.collect())
    }

    /// Returns the schema as a document.
    pub const fn document(&self) -> &Document {
        &self.document
    }
}

fn whole(message: &str) -> Vec<Violation> {
    vec![Violation { pointer: String::new(), message: message.to_owned() }]
}

impl TryFrom<Document> for ConfigSchema {
    type Error = Invalid;

    /// # Errors
    ///
    /// When it is no JSON Schema, leads out of itself, or is too large.
    fn try_from(document: Document) -> Result<Self, Invalid> {
        let value = Value::Object(document.members()?);
        let parts = survey::parts(&value)?;
        let validator = jsonschema::options()
            .with_retriever(NoRetriever)
            .should_validate_formats(false)
            .with_pattern_options(
                PatternOptions::regex()
                    .size_limit(Self::MAX_PATTERN)
                    .dfa_size_limit(Self::MAX_PATTERN),
            )
            .build(&value)
            .map_err(|error| {
                Invalid::new(
                    "schema",
                    format!(
                        "is wrong at {:?}: {}",
                        clip(error.instance_path().as_str(), 200),
                        clip(&error.masked().to_string(), 200)
                    ),
                )
            })?;
        Ok(Self { document, validator: Arc::new(validator), parts })
    }
}

impl From<ConfigSchema> for Document {
    fn from(schema: ConfigSchema) -> Self {
        schema.document
    }
}

described!(ConfigSchema, "A JSON Schema without references elsewhere, recursion or unevaluated keywords.", {
    "type": "object",
    "additionalProperties": true,
    "examples": [{ "type": "object" }],
});

impl PartialEq for ConfigSchema {
    fn eq(&self, other: &Self) -> bool {
        self.document == other.document
    }
}

impl fmt::Debug for ConfigSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ConfigSchema").field(&self.document).finish()
    }
}

/// The survey finds every reference that leads out; should it miss one, this does not follow it.
struct NoRetriever;

impl Retrieve for NoRetriever {
    fn retrieve(&self, _: &Uri<String>) -> Result<Value, Box<dyn Error + Send + Sync>> {
        Err("references are not followed".into())
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn schema(value: Value) -> ConfigSchema {
        ConfigSchema::try_from(Document::try_from(value).unwrap()).unwrap()
    }

    fn refused(value: Value) -> String {
        ConfigSchema::try_from(Document::try_from(value).unwrap()).unwrap_err().to_string()
    }

    fn check(schema: &ConfigSchema, value: Value) -> Vec<(String, String)> {
        let checked = schema.check(&Document::try_from(value).unwrap());
        let violations = checked.err().unwrap_or_default().into_iter();
        violations.map(|violation| (violation.pointer, violation.message)).collect()
    }

    fn nested(times: usize, of: impl Fn(Value) -> Value) -> Value {
        (0..times).fold(json!({}), |inner, _| of(inner))
    }

    #[test]
    fn violations_say_where_and_what_and_no_value() {
        let schema = schema(json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$defs": {"name": {"type": "string", "maxLength": 8, "pattern": "^[a-z]+$"}},
            "properties": {
                "name": {"$ref": "#/$defs/name"},
                "retries": {"type": "integer", "minimum": 0},
                "mode": {"enum": ["fast", "safe"]},
            },
            "required": ["retries"],
            "additionalProperties": false,
        }));
        assert_eq!(check(&schema, json!({"retries": 3, "name": "disk"})), []);
        let violations = check(
            &schema,
            json!({"name": "HUNTER2HUNTER2", "mode": "hunter2", "retries": -7, "token": "hunter2"}),
        );
        let mut said: Vec<_> = violations.iter().map(|(p, m)| format!("{p} {m}")).collect();
        said.sort();
        assert_eq!(
            said,
            [
                " Additional properties are not allowed ('token' was unexpected)",
                "/mode value is not one of \"fast\" or \"safe\"",
                "/name value does not match \"^[a-z]+$\"",
                "/name value is longer than 8 characters",
                "/retries value is less than the minimum of 0",
            ]
        );
    }

    #[test]
    fn violations_are_few_and_short() {
        let numbers = schema(json!({"additionalProperties": {"items": {"type": "string"}}}));
        assert_eq!(check(&numbers, json!({"a": vec![1; 1000]})).len(), 20);
        let long = schema(json!({"additionalProperties": {"const": "x".repeat(10_000)}}));
        let violations = check(&long, json!({"k".repeat(10_000): 1}));
        assert!(violations[0].0.len() < 510 && violations[0].1.len() < 210, "{violations:?}");
    }

    #[test]
    fn when_schema_and_document_are_large_less_is_told_and_less_is_done() {
        let parts = |n: usize| json!({"items": {"allOf": vec![json!({"type": "string"}); n]}});
        let one = |n: usize, values: usize| {
            let schema = schema(json!({"properties": {"a": parts(n)}}));
            check(&schema, json!({"a": vec![1; values]}))
        };
        assert_eq!(one(10, 30).len(), 20);
        for (found, message) in [
            (one(1_000, 200), "does not satisfy the schema; it is too large to say where"),
            (one(4_000, 4_000), "is too large to be checked by a schema of this size"),
        ] {
            assert_eq!(found, [(String::new(), message.to_owned())]);
        }
    }

    #[test]
    fn a_format_is_a_note() {
        let draft = "http://json-schema.org/draft-07/schema#";
        let schema = schema(json!({"$schema": draft, "properties": {"a": {"format": "email"}}}));
        assert_eq!(check(&schema, json!({"a": "nobody"})), []);
    }

    #[test]
    fn what_is_no_schema_is_refused_with_its_place() {
        assert_eq!(
            refused(json!({"properties": {"a": {"type": "hunter2"}}})),
            "schema is wrong at \"/properties/a/type\": value is not valid under any of the \
             schemas listed in the 'anyOf' keyword"
        );
        assert!(refused(json!({"pattern": "(?=x)"})).contains("/pattern"));
        assert!(refused(json!({"pattern": "(a"})).contains("/pattern"));
        assert!(refused(json!({"pattern": "a{1000}{100}"})).contains("pattern"));
        assert!(refused(json!({"$schema": "https://example.com/mine"})).contains("$schema"));
        assert!(refused(json!({"$schema": 7})).contains("$schema"));
    }

    #[test]
    fn every_draft_that_is_read_stands_by_itself() {
        for draft in [
            "https://json-schema.org/draft/2020-12/schema",
            "https://json-schema.org/draft/2019-09/schema",
            "http://json-schema.org/draft-07/schema#",
            "http://json-schema.org/draft-06/schema#",
        ] {
            let schema = schema(json!({"$schema": draft, "required": ["a"]}));
            assert_eq!(check(&schema, json!({})).len(), 1);
        }
    }

    #[test]
    fn the_deepest_schema_and_document_fit_a_small_stack() {
        let deepest = nested(31, |inner| json!({"properties": {"a": inner}}));
        let document = nested(60, |inner| json!({"a": inner}));
        let chain = nested(60, |inner| json!({"not": inner}));
        std::thread::Builder::new()
            .stack_size(2 * 1024 * 1024)
            .spawn(move || {
                assert_eq!(check(&schema(deepest), document), []);
                check(&schema(chain), json!({}));
            })
            .unwrap()
            .join()
            .unwrap();
    }

    /// Documents that satisfy their schemas, so that nothing is cut short, and are as large as they
    /// may be: many values, many alternatives. Of patterns that no cache helps a fifth of what may
    /// be, since engines are slow when they are not optimized.
    #[test]
    fn the_most_work_that_is_taken_on_ends_soon() {
        let objects = |sign: i32| (0..2_200).map(|n| json!({"k": sign * n})).collect::<Vec<_>>();
        let pattern = |n: usize| json!({"pattern": format!("^[ab]*a[ab]{{{n}}}c?$")});
        let mut hash = 1_u32;
        let text: String = std::iter::repeat_with(|| {
            hash = hash.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            if hash >> 31 == 0 { 'a' } else { 'b' }
        })
        .take(14_000)
        .collect();
        let (many, few) = (text[..2_000].to_owned(), text.clone());
        let ending = "a".repeat(400);
        let enumerated = [objects(-1), objects(1)].concat();
        let mut alternatives = vec![json!({"type": "string"}); 2_000];
        alternatives.push(json!(true));
        let cases = [
            (
                json!({"items": {"allOf": vec![json!({"type": "integer"}); 2_000]}}),
                json!(vec![1; 6_000]),
            ),
            (json!({"items": {"enum": enumerated}}), json!(&objects(1)[1_600..])),
            (
                json!({"allOf": (0..19).map(|n| pattern(n + 300)).collect::<Vec<_>>()}),
                json!(many + &ending),
            ),
            (
                json!({"allOf": (0..3).map(|n| pattern(n + 390)).collect::<Vec<_>>()}),
                json!(few + &ending),
            ),
            (json!({"items": {"anyOf": alternatives}}), json!(vec![1; 6_000])),
            (
                json!({"uniqueItems": true}),
                json!((0..20_000).map(|n| json!([n])).collect::<Vec<_>>()),
            ),
        ];
        for (part, value) in cases {
            let schema = schema(json!({"properties": {"a": part}}));
            let start = Instant::now();
            let found = check(&schema, json!({"a": value}));
            eprintln!("{:?} {:?}", start.elapsed(), found);
            assert!(start.elapsed() < Duration::from_mins(1), "{:?}", start.elapsed());
        }
    }

    #[test]
    fn a_schema_reads_back_what_it_prints() {
        let schema = schema(json!({"required": ["a"]}));
        let json = serde_json::to_value(&schema).unwrap();
        assert_eq!(json, json!({"required": ["a"]}));
        assert_eq!(serde_json::from_value::<ConfigSchema>(json).unwrap(), schema);
    }

    proptest! {
        #[test]
        fn no_schema_brings_it_down(
            keyword in "(\\$ref|\\$id|\\$anchor|\\$schema|allOf|anyOf|not|if|then|items|pattern|type|enum|const|properties|patternProperties|required|minimum|multipleOf|dependentSchemas|\\$defs|contains|minContains)",
            inner in "(\\$ref|type|pattern|items|allOf|a|b|\\$id)",
            text in "(#|#/|#/\\$defs/a|string|[a-z(){}*+]{0,6}|\\PC{0,6})",
            shape in 0..6,
        ) {
            let (keyword, inner, text) = (keyword.as_str(), inner.as_str(), text.as_str());
            let value = match shape {
                0 => json!({keyword: text}),
                1 => json!({keyword: {inner: text}}),
                2 => json!({keyword: [{inner: text}, {inner: [text]}]}),
                3 => json!({keyword: {inner: {"a": text}}, "$defs": {"a": {"type": "string"}}}),
                4 => json!({"properties": {"a": {keyword: text}}}),
                _ => json!({keyword: -1, inner: {"$ref": text}}),
            };
            if let Ok(schema) = ConfigSchema::try_from(Document::try_from(value).unwrap()) {
                check(&schema, json!({"a": "b", "c": [1, {"d": null}]}));
            }
        }
    }
}

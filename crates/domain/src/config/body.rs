//! What somebody wrote: the text as it was sent, and what it says.

use std::fmt;

use super::{json, yaml};
use crate::{Document, Invalid, kinds::kinds};

kinds! {
    /// The language that a body is written in.
    BodyFormat("body format") {
        /// RFC 8259.
        Json = "json",
        /// YAML 1.2.
        Yaml = "yaml",
    }
}

/// The body of a configuration: its text, byte for byte, together with the object it denotes.
///
/// Both languages have the same limits and say the same things: an object at the top, keys that are
/// texts and differ, at most [`ConfigBody::MAX_DEPTH`] levels, no U+0000, and numbers that can be
/// kept: whole ones from -2^63 to 2^64 - 1, others as the nearest `f64`, below 2^63.
#[derive(Clone, PartialEq)]
pub struct ConfigBody {
    format: BodyFormat,
    text: String,
    document: Document,
}

impl ConfigBody {
    /// The most bytes of text.
    pub const MAX_BYTES: usize = 256 * 1024;
    /// The most objects and arrays inside each other, the outermost included.
    pub const MAX_DEPTH: usize = 64;

    /// Reads `text`.
    ///
    /// YAML is that of version 1.2 without tags, directives and merge keys (`<<`). Aliases may copy
    /// [`ConfigBody::MAX_BYTES`] in all. A plain scalar that readers of YAML do not agree about
    /// (`yes`, `012`, `1_000`, `.5`) is refused; quotes make it a text.
    ///
    /// # Errors
    ///
    /// Names the line and the column, and quotes no value.
    pub fn read(format: BodyFormat, text: String) -> Result<Self, Invalid> {
        let what = match format {
            BodyFormat::Json => "JSON body",
            BodyFormat::Yaml => "YAML body",
        };
        if text.len() > Self::MAX_BYTES {
            return Err(Invalid::new(
                what,
                format!("must have at most {} bytes, not {}", Self::MAX_BYTES, text.len()),
            ));
        }
        if text.contains('\0') {
            return Err(Invalid::new(what, "must not contain U+0000"));
        }
        let value = match format {
            BodyFormat::Json => json::read(&text),
            BodyFormat::Yaml => yaml::read(&text),
        };
        let value = value.map_err(|reason| Invalid::new(what, reason))?;
        let document =
            Document::try_from(value).map_err(|error| Invalid::new(what, error.reason))?;
        Ok(Self { format, text, document })
    }

    /// Returns the language.
    pub const fn format(&self) -> BodyFormat {
        self.format
    }

    /// Returns the text as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns what it says.
    pub const fn document(&self) -> &Document {
        &self.document
    }

    /// Gives up the text for what it says.
    pub fn into_document(self) -> Document {
        self.document
    }
}

/// Without the text: bodies hold credentials of other systems.
impl fmt::Debug for ConfigBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfigBody")
            .field("format", &self.format)
            .field("bytes", &self.text.len())
            .finish_non_exhaustive()
    }
}

/// Tells whether a number that is not a whole one of 64 bits can be kept: from 2^63 on an `f64`
/// drops digits that somebody wrote.
pub(super) fn is_kept(number: f64) -> bool {
    number.abs() < 9_223_372_036_854_775_808.0
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn read(format: BodyFormat, text: &str) -> Result<Value, String> {
        ConfigBody::read(format, text.to_owned())
            .map(|body| Value::from(body.into_document()))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_body_is_kept_as_it_was_written() {
        let text = "# why\r\nretries:   3  # three\n";
        let body = ConfigBody::read(BodyFormat::Yaml, text.to_owned()).unwrap();
        assert_eq!(body.text(), text);
        assert_eq!(Value::from(body.document().clone()), json!({"retries": 3}));
        assert_eq!(body.format(), BodyFormat::Yaml);
    }

    #[test]
    fn what_a_body_says_is_not_in_its_debug_output() {
        let body =
            ConfigBody::read(BodyFormat::Json, r#"{"password": "hunter2"}"#.to_owned()).unwrap();
        assert_eq!(format!("{body:?}"), "ConfigBody { format: Json, bytes: 23, .. }");
    }

    #[test]
    fn what_both_languages_refuse() {
        for format in BodyFormat::ALL {
            for (text, expected) in [
                ("[1]", "must be a JSON object"),
                ("\"text\"", "must be a JSON object"),
                ("null", "must be a JSON object"),
                ("{\"a\": \"\\u0000\"}", "must not contain U+0000"),
                ("{\"a\": 1,\n \"a\": 2}", "line 2"),
                ("{\"a\": {\"b\": 1, \"b\": 1}}", "the key \"b\" is there twice"),
                ("{\"a\": 1} {\"b\": 2}", "line 1, column 10"),
                ("{\"a\": 18446744073709551616}", "number"),
                ("{\"a\": -9223372036854775809}", "number"),
                ("{\"a\": 1e300}", "number"),
                ("{\"a\": 1e400}", "number"),
                ("{\"a\":\0 1}", "must not contain U+0000"),
            ] {
                let error = read(*format, text).unwrap_err();
                assert!(error.contains(expected), "{format} {text:?}: {error}");
            }
            let long = format!("{{\"a\": \"{}\"}}", "x".repeat(ConfigBody::MAX_BYTES));
            assert!(read(*format, &long).unwrap_err().contains("at most 262144 bytes"));
        }
    }

    #[test]
    fn numbers_are_kept() {
        for format in BodyFormat::ALL {
            let text = "{\"a\": [0, -1, 18446744073709551615, -9223372036854775808, 0.1, 2.5e3]}";
            assert_eq!(
                read(*format, text).unwrap(),
                json!({"a": [0, -1, u64::MAX, i64::MIN, 0.1, 2500.0]})
            );
        }
    }

    #[test]
    fn depth_is_bounded_to_the_level() {
        for format in BodyFormat::ALL {
            let nested = |levels: usize| {
                format!("{{\"a\":{}{}}}", "[".repeat(levels - 1), "]".repeat(levels - 1))
            };
            assert!(read(*format, &nested(ConfigBody::MAX_DEPTH)).is_ok());
            let error = read(*format, &nested(ConfigBody::MAX_DEPTH + 1)).unwrap_err();
            assert!(error.contains("at most 64 levels"), "{error}");
            assert!(read(*format, &"[".repeat(200_000)).unwrap_err().contains("at most 64 levels"));
            assert!(read(*format, &"{\"a\":".repeat(40_000)).unwrap_err().contains("64 levels"));
        }
    }

    #[test]
    fn an_error_quotes_no_value() {
        for format in BodyFormat::ALL {
            for text in [
                "{\"a\": \"hunter2\" hunter2",
                "{\"a\": \"hunter2\": hunter2}",
                "{\"a\": 'hunter2}",
            ] {
                let error = read(*format, text).unwrap_err();
                assert!(!error.contains("hunter2"), "{error}");
                assert!(error.contains("line 1, column"), "{error}");
            }
        }
    }

    #[test]
    fn the_largest_of_anything_is_read_or_refused_soon() {
        let units = [
            "[", "]", "{", "- ", "-\n", "? ", "?\n", ": ", "&a ", "&a\n", "*a ", "#\n", " ", "\n",
            "\t", "\"", "'", "a\n", "a: ", "a:\n", "! ", "%", "---\n", "...\n", "|\n", ">\n", ", ",
            "[],", "\\u0000", "\u{85}", "\u{feff}", "a #", "- - ", "{\"a\":", "1,",
        ];
        let start = Instant::now();
        for unit in units {
            for prefix in ["", "[", "{a: ", "\"", "k: |\n ", "? "] {
                let times = (ConfigBody::MAX_BYTES - prefix.len()) / unit.len();
                let text = format!("{prefix}{}", unit.repeat(times));
                for format in BodyFormat::ALL {
                    let _ = read(*format, &text);
                }
            }
        }
        // 400 texts of 256 KiB. Quadratic time would take hours.
        assert!(start.elapsed() < Duration::from_mins(2), "{:?}", start.elapsed());
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            (-1e15..1e15_f64).prop_map(Value::from),
            "[ -~]{0,8}|[a-zäöü愛\\n\\t\"\\\\]{0,5}|yes|~|null|012|1_000|<<|\\PC{0,4}"
                .prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[ -~]{0,6}|\\PC{0,3}", inner, 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        /// YAML is a superset of JSON: two readers that share no line of code agree.
        #[test]
        fn what_is_written_as_json_reads_the_same_in_both_languages(
            members in prop::collection::btree_map("[ -~]{0,6}", values(), 0..5),
            pretty in any::<bool>(),
        ) {
            let value = Value::Object(members.into_iter().collect());
            let text = if pretty { format!("{value:#}") } else { value.to_string() };
            prop_assert_eq!(read(BodyFormat::Json, &text), Ok(value.clone()));
            prop_assert_eq!(read(BodyFormat::Yaml, &text), Ok(value));
        }

        #[test]
        fn no_text_brings_a_reader_down(text in any::<String>()) {
            for format in BodyFormat::ALL {
                let _ = read(*format, &text);
            }
        }

        #[test]
        fn nothing_that_looks_like_yaml_brings_a_reader_down(
            text in "([-?:,{}&*!|>'\"%@`# \n\tab1~.<]|\\[|\\]|---|&a|\\*a|: |- |\n  ){0,40}",
        ) {
            for format in BodyFormat::ALL {
                let _ = read(*format, &text);
            }
        }
    }
}

//! YAML 1.2, read into what JSON can say.
//!
//! The parser makes events in linear time; this builds the value of them. It is built here, not by
//! a serde layer, because the limits of [`ConfigBody`] and the places of errors are known here only.

use std::collections::HashMap;

use granit_parser::{Event, Marker, Parser, ScalarStyle, ScanError, options};
use serde_json::{Map, Value};

use super::{ConfigBody, clip, scalar::plain};

/// Reads one YAML document.
///
/// # Errors
///
/// Says what is wrong, with line and column.
pub(super) fn read(text: &str) -> Result<Value, String> {
    let options = options! {
        disallow_directives: true,
        emit_comments: false,
        block_nesting_limit: ConfigBody::MAX_DEPTH + 1,
        flow_nesting_limit: ConfigBody::MAX_DEPTH + 1,
    };
    let mut builder = Builder::default();
    for step in Parser::new_from_str_with_options(text, options) {
        let (event, span) = step.map_err(|error| at(error.marker(), &explain(&error)))?;
        builder.take(event).map_err(|what| at(&span.start, &what))?;
    }
    Ok(builder.whole.unwrap_or_default())
}

fn at(place: &Marker, what: &str) -> String {
    format!("is wrong at line {}, column {}: {what}", place.line(), place.col() + 1)
}

fn explain(error: &ScanError) -> String {
    match error.kind() {
        granit_parser::ErrorKind::RecursionLimitExceeded => too_deep(),
        granit_parser::ErrorKind::DirectiveDisallowed => {
            "directives (% at the start of a line) are not read".to_owned()
        }
        granit_parser::ErrorKind::UnknownAnchor => "the alias names no anchor before it".to_owned(),
        _ => clip(&error.info(), 200),
    }
}

fn too_deep() -> String {
    format!("there may be at most {} levels", ConfigBody::MAX_DEPTH)
}

/// The value so far.
#[derive(Default)]
struct Builder {
    /// What is begun and not ended, the outermost first.
    open: Vec<Open>,
    anchors: HashMap<usize, Anchored>,
    /// What anchors and aliases copied; a few lines of aliases to aliases mean gigabytes.
    copied: usize,
    documents: usize,
    whole: Option<Value>,
}

/// A sequence or mapping that is being read.
struct Open {
    kind: Kind,
    /// The number that aliases name it by, or 0.
    anchor: usize,
    weight: usize,
    height: usize,
}

enum Kind {
    Sequence(Vec<Value>),
    Mapping(Map<String, Value>, Option<String>),
}

/// A value that aliases may copy.
struct Anchored {
    value: Value,
    /// About its size in bytes.
    weight: usize,
    /// How many levels it has.
    height: usize,
}

impl Builder {
    fn take(&mut self, event: Event<'_>) -> Result<(), String> {
        if event.tag().is_some() {
            return Err("tags (!) are not read; quotes make a text of anything".to_owned());
        }
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err("only one document is read".to_owned());
                }
                Ok(())
            }
            Event::Scalar(text, style, anchor, _) => {
                let value = match style {
                    ScalarStyle::Plain => plain(&text, self.expects_a_key())?,
                    _ => Value::String(text.into_owned()),
                };
                self.finish(anchor, Anchored { weight: 1 + text_weight(&value), value, height: 0 })
            }
            Event::SequenceStart(_, anchor, _) => self.begin(Kind::Sequence(Vec::new()), anchor),
            Event::MappingStart(_, anchor, _) => {
                self.begin(Kind::Mapping(Map::new(), None), anchor)
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(anchor) => self.copy(anchor),
            _ => Ok(()),
        }
    }

    fn expects_a_key(&self) -> bool {
        matches!(self.open.last(), Some(Open { kind: Kind::Mapping(_, None), .. }))
    }

    fn begin(&mut self, kind: Kind, anchor: usize) -> Result<(), String> {
        if self.expects_a_key() {
            return Err(not_a_key());
        }
        if self.open.len() == ConfigBody::MAX_DEPTH {
            return Err(too_deep());
        }
        self.open.push(Open { kind, anchor, weight: 1, height: 1 });
        Ok(())
    }

    fn end(&mut self) -> Result<(), String> {
        let Some(Open { kind, anchor, weight, height }) = self.open.pop() else { return Ok(()) };
        let value = match kind {
            Kind::Sequence(items) => items.into(),
            Kind::Mapping(members, _) => members.into(),
        };
        self.finish(anchor, Anchored { value, weight, height })
    }

    fn copy(&mut self, anchor: usize) -> Result<(), String> {
        let Some(Anchored { weight, height, .. }) = self.anchors.get(&anchor) else {
            return Err("the alias is inside of what it names".to_owned());
        };
        let (weight, height) = (*weight, *height);
        self.charge(weight)?;
        if self.open.len() + height > ConfigBody::MAX_DEPTH {
            return Err(too_deep());
        }
        let value = self.anchors.get(&anchor).map(|anchored| anchored.value.clone());
        self.finish(0, Anchored { value: value.unwrap_or_default(), weight, height })
    }

    fn charge(&mut self, weight: usize) -> Result<(), String> {
        self.copied += weight;
        if self.copied > ConfigBody::MAX_BYTES {
            return Err(format!("aliases may copy at most {} bytes", ConfigBody::MAX_BYTES));
        }
        Ok(())
    }

    /// Puts a finished value where it belongs.
    fn finish(&mut self, anchor: usize, done: Anchored) -> Result<(), String> {
        if anchor != 0 {
            self.charge(done.weight)?;
            let Anchored { ref value, weight, height } = done;
            self.anchors.insert(anchor, Anchored { value: value.clone(), weight, height });
        }
        let Some(parent) = self.open.last_mut() else {
            self.whole = Some(done.value);
            return Ok(());
        };
        parent.weight += done.weight;
        parent.height = parent.height.max(done.height + 1);
        match &mut parent.kind {
            Kind::Sequence(items) => items.push(done.value),
            Kind::Mapping(members, key) => match key.take() {
                Some(key) => {
                    members.insert(key, done.value);
                }
                None => {
                    let Value::String(text) = done.value else { return Err(not_a_key()) };
                    if members.contains_key(&text) {
                        return Err(format!("the key {:?} is there twice", clip(&text, 40)));
                    }
                    *key = Some(text);
                }
            },
        }
        Ok(())
    }
}

fn not_a_key() -> String {
    "a key must be a text; quotes make one of anything".to_owned()
}

fn text_weight(value: &Value) -> usize {
    value.as_str().map_or(0, str::len)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn error(text: &str) -> String {
        read(text).unwrap_err()
    }

    #[test]
    fn the_usual_yaml_is_read() {
        let text = "
# comment
retries: 3
ratio: 0.5
name: disk full     # a text
empty:
quoted: \"012\"
when: 2024-01-01
at: 10:30
address: 10.0.0.1
version: 1.2.3
wait: 5m
list:
- a
- {b: [1, ~, true]}
text: |
  one
  two
folded: >-
  one
  two
";
        assert_eq!(
            read(text).unwrap(),
            json!({
                "retries": 3, "ratio": 0.5, "name": "disk full", "empty": null, "quoted": "012",
                "when": "2024-01-01", "at": "10:30", "address": "10.0.0.1", "version": "1.2.3",
                "wait": "5m", "list": ["a", {"b": [1, null, true]}], "text": "one\ntwo\n",
                "folded": "one two",
            })
        );
    }

    #[test]
    fn a_key_is_a_text_and_there_once() {
        for (text, place) in [
            ("1: a", "1, column 1"),
            ("a: 1\nnull: b", "2, column 1"),
            ("true: a", "1, column 1"),
            ("? [a]\n: b", "1, column 3"),
            ("{a: 1}: b", "1, column 1"),
            (": b", "1, column 1"),
            ("yes: 1", "1, column 1"),
            ("a: 1\nb: 2\na: 3", "3, column 1"),
            ("a: {b: 1, \"b\": 2}", "1, column 11"),
            ("a: &x {b: 1}\nc:\n  <<: *x", "3, column 3"),
        ] {
            let error = error(text);
            assert!(error.starts_with(&format!("is wrong at line {place}: ")), "{text}: {error}");
        }
        assert_eq!(read("\"1\": a\n\"<<\": b").unwrap(), json!({"1": "a", "<<": "b"}));
    }

    #[test]
    fn tags_directives_and_further_documents_are_refused() {
        for (text, what) in [
            ("a: !!binary aGk=", "tags"),
            ("a: !!str 1", "tags"),
            ("!include /etc/passwd", "tags"),
            ("a: !<tag:yaml.org,2002:js/function> x", "tags"),
            ("%YAML 1.1\n---\na: 1", "directives"),
            ("a: 1\n---\nb: 2", "only one document"),
        ] {
            assert!(error(text).contains(what), "{text}: {}", error(text));
        }
        assert_eq!(read("---\na: 1\n...\n").unwrap(), json!({"a": 1}));
    }

    #[test]
    fn aliases_copy() {
        let text = "base: &base {a: [1, 2]}\ncopy: *base\nkey: &k name\n";
        assert_eq!(
            read(text).unwrap(),
            json!({"base": {"a": [1, 2]}, "copy": {"a": [1, 2]}, "key": "name"})
        );
        assert!(error("a: *b").contains("names no anchor"));
        assert!(error("a: &a [*a]").contains("inside of what it names"));
    }

    #[test]
    fn a_billion_laughs_are_refused() {
        let mut laughs = "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n".to_owned();
        for level in 1..=9 {
            let again = vec![format!("*a{}", level - 1); 9].join(", ");
            laughs.push_str(&format!("a{level}: &a{level} [{again}]\n"));
        }
        assert!(error(&laughs).contains("aliases may copy at most 262144 bytes"));
    }

    #[test]
    fn one_large_text_many_times_is_refused() {
        let text = format!("a: &a {}\nb: [{}]", "x".repeat(100_000), vec!["*a"; 50_000].join(","));
        assert!(error(&text).contains("aliases may copy"));
    }

    #[test]
    fn anchors_at_every_level_are_refused_before_they_take_memory() {
        let text = format!(
            "{}{}{}",
            (0..60).map(|n| format!("a: &a{n}\n{}", " ".repeat(n + 1))).collect::<String>(),
            format_args!("b: [{}]", vec!["1"; 50_000].join(",")),
            ""
        );
        assert!(error(&text).contains("aliases may copy"), "{}", error(&text));
    }

    #[test]
    fn aliases_do_not_make_it_deeper_than_it_may_be() {
        let mut text = format!("a0: &a0 {}1{}\n", "[".repeat(40), "]".repeat(40));
        for level in 1..200 {
            text.push_str(&format!("a{level}: &a{level} [[*a{}]]\n", level - 1));
        }
        assert!(error(&text).contains("at most 64 levels"));
    }
}

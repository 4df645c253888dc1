//! How large a schema is once every reference is written out. A schema of a few lines can take
//! 2^30 steps to apply; the library that applies it does not count.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::{ConfigSchema, clip};
use crate::Invalid;

/// The drafts that are read, without the `#` that some write at the end.
const DRAFTS: [&str; 4] = [
    "https://json-schema.org/draft/2020-12/schema",
    "https://json-schema.org/draft/2019-09/schema",
    "http://json-schema.org/draft-07/schema",
    "http://json-schema.org/draft-06/schema",
];

/// Keywords that are refused wherever they are, and why.
const REFUSED: [(&str, &str); 4] = [
    ("$dynamicRef", "references must be plain: write $ref"),
    ("$recursiveRef", "references must be plain: write $ref"),
    ("unevaluatedItems", "it may take forever to apply: write items"),
    ("unevaluatedProperties", "it may take forever to apply: write additionalProperties"),
];

/// What a pattern counts: a hard one takes as long for a byte as so many other values.
const PATTERN: usize = 100;

/// Returns how many values the schema has once every reference is written out; a pattern counts as
/// 100.
///
/// # Errors
///
/// When it is too large, deep or recursive, or says what is refused. Every object counts as a
/// schema, also where it is only data: a reference may lead anywhere.
pub(super) fn parts(schema: &Value) -> Result<usize, Invalid> {
    if let Some(draft) = schema.get("$schema") {
        let draft = draft.as_str().unwrap_or_default();
        if !DRAFTS.contains(&draft.strip_suffix('#').unwrap_or(draft)) {
            return Err(invalid(format!(
                "must have one of these as $schema, or none: {}",
                DRAFTS.join(" ")
            )));
        }
    }
    let mut survey = Survey { root: schema, known: HashMap::new(), begun: HashSet::new() };
    Ok(survey.measure(schema, 1)?.parts)
}

struct Survey<'a> {
    root: &'a Value,
    known: HashMap<*const Value, Extent>,
    /// What was begun. What was begun and is not known contains what is being measured.
    begun: HashSet<*const Value>,
}

#[derive(Clone, Copy)]
struct Extent {
    parts: usize,
    levels: usize,
}

impl<'a> Survey<'a> {
    fn measure(&mut self, value: &'a Value, level: usize) -> Result<Extent, Invalid> {
        let mut extent = Extent { parts: 1, levels: 1 };
        if !value.is_object() && !value.is_array() {
            return Ok(extent);
        }
        if let Some(known) = self.known.get(&std::ptr::from_ref(value)) {
            return within(*known, level);
        }
        within(extent, level)?;
        if !self.begun.insert(std::ptr::from_ref(value)) {
            return Err(invalid("must not contain itself: a $ref leads back to where it is"));
        }
        let mut add = |inner: Extent| {
            extent.parts = extent.parts.saturating_add(inner.parts);
            extent.levels = extent.levels.max(inner.levels + 1);
            within(extent, level)
        };
        match value {
            Value::Array(items) => {
                for item in items {
                    add(self.measure(item, level + 1)?)?;
                }
            }
            Value::Object(members) => {
                for (key, member) in members {
                    self.look_at(key, member, value)?;
                    add(self.measure(member, level + 1)?)?;
                    add(Extent { parts: PATTERN * patterns(key, member), levels: 0 })?;
                    if let ("$ref", Value::String(target)) = (key.as_str(), member) {
                        add(self.measure(self.find(target)?, level + 1)?)?;
                    }
                }
            }
            _ => {}
        }
        self.known.insert(std::ptr::from_ref(value), extent);
        Ok(extent)
    }

    fn look_at(&self, key: &str, member: &Value, of: &Value) -> Result<(), Invalid> {
        if let Some((name, why)) = REFUSED.iter().find(|(name, _)| *name == key) {
            return Err(invalid(format!("must not contain {name}; {why}")));
        }
        // It would change what the references below it mean.
        if key == "$id" && member.is_string() && !std::ptr::eq(of, self.root) {
            return Err(invalid("must have $id at the top only"));
        }
        Ok(())
    }

    fn find(&self, target: &str) -> Result<&'a Value, Invalid> {
        let quoted = clip(target, 100);
        let pointer = target
            .strip_prefix('#')
            .filter(|rest| rest.is_empty() || (rest.starts_with('/') && !rest.contains('%')));
        let Some(pointer) = pointer else {
            return Err(invalid(format!(
                "must not lead out of itself by the $ref {quoted:?}; only places in it, such as \
                 #/$defs/name, are followed"
            )));
        };
        let found = self.root.pointer(pointer);
        found.ok_or_else(|| invalid(format!("has nothing where the $ref {quoted:?} leads")))
    }
}

fn patterns(key: &str, member: &Value) -> usize {
    match (key, member) {
        ("pattern", Value::String(_)) => 1,
        ("patternProperties", Value::Object(members)) => members.len(),
        _ => 0,
    }
}

fn within(extent: Extent, level: usize) -> Result<Extent, Invalid> {
    if extent.parts > ConfigSchema::MAX_PARTS {
        return Err(invalid(format!(
            "must have at most {} values; what is referred to counts each time, a pattern 100",
            ConfigSchema::MAX_PARTS
        )));
    }
    if level + extent.levels - 1 > ConfigSchema::MAX_DEPTH {
        return Err(invalid(format!(
            "must have at most {} levels, counting what is referred to",
            ConfigSchema::MAX_DEPTH
        )));
    }
    Ok(extent)
}

fn invalid(reason: impl Into<String>) -> Invalid {
    Invalid::new("schema", reason)
}

/// How large a document is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Size {
    /// How many values it has.
    pub(super) values: usize,
    /// About how many bytes.
    pub(super) bytes: usize,
}

/// Returns how large a document is.
pub(super) fn size(value: &Value) -> Size {
    let inner = |sum: Size, key: &str, value: &Value| {
        let of = size(value);
        Size { values: sum.values + of.values, bytes: sum.bytes + of.bytes + key.len() }
    };
    let own = Size { values: 1, bytes: value.as_str().map_or(1, |text| text.len() + 1) };
    match value {
        Value::Array(items) => items.iter().fold(own, |sum, item| inner(sum, "", item)),
        Value::Object(members) => {
            members.iter().fold(own, |sum, (key, member)| inner(sum, key, member))
        }
        _ => own,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(schema: &Value) -> String {
        parts(schema).unwrap_err().to_string()
    }

    fn nested(times: usize, of: impl Fn(Value) -> Value) -> Value {
        (0..times).fold(json!({}), |inner, _| of(inner))
    }

    #[test]
    fn what_is_referred_to_counts_each_time() {
        assert_eq!(parts(&json!({"type": "string"})), Ok(2));
        // The object, $defs, a and its type, the list, two objects with a $ref and what it is.
        let twice = json!({"$defs": {"a": {"type": "string"}}, "allOf": [
            {"$ref": "#/$defs/a"}, {"$ref": "#/$defs/a"},
        ]});
        assert_eq!(parts(&twice), Ok(1 + 1 + 2 + 1 + 2 * (1 + 1 + 2)));
    }

    #[test]
    fn a_reference_never_leads_out() {
        for target in [
            "https://example.com/schema",
            "http://127.0.0.1:9/x",
            "file:///etc/passwd",
            "other.json",
            "//example.com/x",
            "#name",
            "#/a%2Fb",
            "urn:uuid:1",
            "",
        ] {
            let error = refused(&json!({"properties": {"a": {"$ref": target}}}));
            let expected = format!("must not lead out of itself by the $ref {target:?}");
            assert!(error.contains(&expected), "{error}");
        }
        assert!(refused(&json!({"$ref": "#/$defs/none"})).contains("has nothing where"));
        assert!(refused(&json!({"$defs": {"a": {"$id": "https://a.b/c"}}})).contains("$id"));
        assert!(refused(&json!({"$dynamicRef": "#a"})).contains("$dynamicRef"));
        assert!(parts(&json!({"$id": "https://a.b/c"})).is_ok());
        // A property may have such a name.
        let named = json!({"properties": {"$ref": {"type": "string"}, "$id": true}});
        assert!(parts(&named).is_ok());
    }

    #[test]
    fn what_would_take_forever_is_refused() {
        for name in ["unevaluatedProperties", "unevaluatedItems"] {
            assert!(refused(&json!({"allOf": [{name: false}]})).contains(name));
        }
        for value in [
            json!({"$ref": "#"}),
            json!({"properties": {"a": {"allOf": [{"$ref": "#"}, {"$ref": "#"}]}}}),
            json!({"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}),
        ] {
            assert!(refused(&value).contains("must not contain itself"));
        }
        let doubled = |levels: usize| {
            let mut defs = serde_json::Map::new();
            defs.insert("d0".to_owned(), json!({"type": "object"}));
            for level in 1..=levels {
                let below = json!({"$ref": format!("#/$defs/d{}", level - 1)});
                defs.insert(format!("d{level}"), json!({"allOf": [below, below]}));
            }
            json!({"$defs": defs, "$ref": format!("#/$defs/d{levels}")})
        };
        assert!(refused(&doubled(40)).contains("at most 10000 values"));
        assert!(parts(&doubled(6)).is_ok());
        let deep = nested(70, |inner| json!({"not": inner}));
        assert!(refused(&deep).contains("at most 64 levels"));
        let below = || nested(40, |inner| json!({"not": inner}));
        let twice = json!({"$defs": {"a": below()}, "properties": {"a": {"$ref": "#/$defs/a"}}});
        assert!(parts(&twice).is_ok());
        let above = (0..30).fold(json!({"$ref": "#/$defs/a"}), |inner, _| json!({"not": inner}));
        let deep = json!({"$defs": {"a": below()}, "properties": {"a": above}});
        assert!(refused(&deep).contains("at most 64 levels"));
        let patterns: Vec<_> = (0..100).map(|n| json!({"pattern": n.to_string()})).collect();
        assert!(refused(&json!({"allOf": patterns})).contains("a pattern 100"));
        let patterns: serde_json::Map<_, _> =
            (0..100).map(|n| (n.to_string(), json!(true))).collect();
        assert!(refused(&json!({"patternProperties": patterns})).contains("a pattern 100"));
        let chain: serde_json::Map<_, _> = (0..100)
            .map(|n| (format!("d{n}"), json!({"$ref": format!("#/$defs/d{}", n + 1)})))
            .chain([("d100".to_owned(), json!({}))])
            .collect();
        assert!(refused(&json!({"$defs": chain})).contains("at most 64 levels"));
    }
}

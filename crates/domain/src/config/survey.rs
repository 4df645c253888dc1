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
    let mut survey = Survey { root: schema, known: HashMap::new(), open: HashSet::new() };
    Ok(survey.measure(schema, 1)?.parts)
}

struct Survey<'a> {
    root: &'a Value,
    known: HashMap<*const Value, Extent>,
    /// What is being measured, from the root to here.
    open: HashSet<*const Value>,
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
        if !self.open.insert(std::ptr::from_ref(value)) {
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
        self.open.remove(&std::ptr::from_ref(value));
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

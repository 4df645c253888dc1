//! Examples, made of the schemas: what a field's type or its own attribute says it may look like. So
//! an example cannot grow old.

use serde_json::{Map, Value};

/// How deep an example goes; schemas may refer to themselves.
const DEEPEST: usize = 8;

/// Returns an example of a schema. Of what need not be there, an example of what comes in has only
/// what has a default or an example of its own; one of what goes out has all.
pub(crate) fn of(schema: &Value, components: &Value, comes_in: bool) -> Value {
    make(schema, components, comes_in, 0)
}

fn make(schema: &Value, components: &Value, comes_in: bool, depth: usize) -> Value {
    if let Some(example) = schema["examples"].get(0) {
        return example.clone();
    }
    if let Some(example) = schema.get("default").or_else(|| schema.get("const")) {
        return example.clone();
    }
    if depth > DEEPEST {
        return Value::Null;
    }
    let inner = |schema: &Value| make(schema, components, comes_in, depth + 1);
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        return inner(&components[name]);
    }
    for any in ["anyOf", "oneOf", "allOf"] {
        if let Some(first) = schema[any].get(0) {
            return inner(first);
        }
    }
    if let Some(first) = schema["enum"].get(0) {
        return first.clone();
    }
    let kind = schema["type"].as_str().or_else(|| schema["type"][0].as_str());
    match kind.unwrap_or_default() {
        "object" => object(schema, comes_in, inner),
        "array" => Value::Array(schema.get("items").map(inner).into_iter().collect()),
        "integer" | "number" => schema.get("minimum").cloned().unwrap_or_else(|| 1.into()),
        "boolean" => true.into(),
        "string" if schema["format"] == "date-time" => "2026-11-21T12:00:00Z".into(),
        "string" if schema["format"] == "uuid" => "019aa5d3-7c00-7b1e-9c5e-3f4f8a1d2b6c".into(),
        "string" => "text".into(),
        _ => Value::Null,
    }
}

fn object(schema: &Value, comes_in: bool, inner: impl Fn(&Value) -> Value) -> Value {
    let required = schema["required"].as_array().map_or(&[][..], Vec::as_slice);
    let mut example = Map::new();
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let must = required.iter().any(|required| required == name);
        let shown = field.get("default").is_some_and(|default| !default.is_null())
            || field.get("examples").is_some();
        if must || shown || !comes_in {
            example.insert(name.clone(), inner(field));
        }
    }
    // A change of nothing shows nothing: the first text, or else the first field.
    if example.is_empty() {
        let fields = || schema["properties"].as_object().into_iter().flatten();
        let filled = || fields().map(|(name, field)| (name, inner(field)));
        let first = filled().find(|(_, value)| value.is_string()).or_else(|| filled().next());
        example.extend(first.map(|(name, value)| (name.clone(), value)));
    }
    example.into()
}

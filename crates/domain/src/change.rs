//! What a patch says of a value that may be absent: keep it, clear it, or set it.

use serde::{Deserialize, Deserializer};

/// One field of a merge patch (RFC 7396): a field that is not mentioned is kept, `null` clears it.
///
/// Fields of this type need `#[serde(default)]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Change<T> {
    /// Not mentioned.
    #[default]
    Keep,
    /// `null`.
    Clear,
    /// A value.
    Set(T),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Change<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Option::deserialize(deserializer)? {
            Some(value) => Self::Set(value),
            None => Self::Clear,
        })
    }
}

impl<T: schemars::JsonSchema> schemars::JsonSchema for Change<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("Change_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        Option::<T>::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Patch {
        #[serde(default)]
        note: Change<String>,
    }

    fn note(json: &str) -> Change<String> {
        serde_json::from_str::<Patch>(json).unwrap().note
    }

    #[test]
    fn absent_null_and_a_value_are_three_things() {
        assert_eq!(note("{}"), Change::Keep);
        assert_eq!(note(r#"{"note": null}"#), Change::Clear);
        assert_eq!(note(r#"{"note": "x"}"#), Change::Set("x".to_owned()));
    }
}

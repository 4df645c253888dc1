//! How the words of the domain look in JSON Schema (draft 2020-12): next to the code that reads them,
//! so that the API's document cannot promise other limits.

/// Implements [`schemars::JsonSchema`] for a type by the schema itself, under the type's own name.
macro_rules! described {
    ($name:ident, $doc:expr, $schema:tt) => {
        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let mut schema = schemars::json_schema!($schema);
                schema.insert("description".to_owned(), $doc.trim().into());
                schema
            }
        }
    };
}
pub(crate) use described;

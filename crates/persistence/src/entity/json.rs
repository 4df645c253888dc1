//! A `jsonb` column as text, on its way in and out.

use std::error::Error as StdError;

use brownie_domain::{Document, Invalid};
use sea_orm::{
    ColIdx, DbErr, QueryResult, TryGetError, TryGetable, Value,
    sea_query::{ArrayType, ColumnType, Nullable, ValueType, ValueTypeErr},
};
use serde_json::value::RawValue;
use tokio_postgres::types::{FromSql, Type};

/// The text of a JSON value. As values, it would take a multiple of the memory.
///
/// sea-orm has no value for it, so it travels as a JSON *text*: no column of ours is one, and
/// [`raw`] and the engine take a text for what is written in it.
#[derive(Debug, Clone, PartialEq)]
pub struct JsonText(String);

impl JsonText {
    pub(crate) fn into_document(self) -> Result<Document, Invalid> {
        Document::stored(self.0)
    }
}

impl From<Document> for JsonText {
    fn from(document: Document) -> Self {
        Self(document.text().to_owned())
    }
}

impl TryFrom<JsonText> for Document {
    type Error = Invalid;

    fn try_from(text: JsonText) -> Result<Self, Invalid> {
        text.into_document()
    }
}

impl From<Box<RawValue>> for JsonText {
    fn from(raw: Box<RawValue>) -> Self {
        Self(Box::<str>::from(raw).into())
    }
}

impl From<JsonText> for Value {
    fn from(text: JsonText) -> Self {
        Self::Json(Some(Box::new(serde_json::Value::String(text.0))))
    }
}

/// Returns a value as JSON, whatever column it is for.
pub(crate) fn raw(value: &Value) -> serde_json::Result<Box<RawValue>> {
    match value {
        Value::Json(Some(json)) => match json.as_ref() {
            serde_json::Value::String(text) => RawValue::from_string(text.clone()),
            other => serde_json::value::to_raw_value(other),
        },
        other => {
            serde_json::value::to_raw_value(&sea_orm::sea_query::sea_value_to_json_value(other))
        }
    }
}

impl ValueType for JsonText {
    fn try_from(value: Value) -> Result<Self, ValueTypeErr> {
        match value {
            Value::Json(Some(json)) => match *json {
                serde_json::Value::String(text) => Ok(Self(text)),
                other => Ok(Self(other.to_string())),
            },
            _ => Err(ValueTypeErr),
        }
    }

    fn type_name() -> String {
        "JsonText".to_owned()
    }

    fn array_type() -> ArrayType {
        ArrayType::Json
    }

    fn column_type() -> ColumnType {
        ColumnType::JsonBinary
    }
}

impl Nullable for JsonText {
    fn null() -> Value {
        Value::Json(None)
    }
}

/// Rows are read by tokio-postgres.
impl TryGetable for JsonText {
    fn try_get_by<I: ColIdx>(_: &QueryResult, index: I) -> Result<Self, TryGetError> {
        Err(TryGetError::DbErr(DbErr::Type(format!("{index:?} is not read through sea-orm"))))
    }
}

impl<'a> FromSql<'a> for JsonText {
    fn from_sql(_: &Type, bytes: &'a [u8]) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        // jsonb_send begins with the version of its format.
        let text = bytes.strip_prefix(&[1]).ok_or("this is no jsonb of version 1")?;
        Ok(Self(std::str::from_utf8(text)?.to_owned()))
    }

    fn accepts(kind: &Type) -> bool {
        *kind == Type::JSONB
    }
}

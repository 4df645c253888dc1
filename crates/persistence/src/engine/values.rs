//! Values from sea-query, whose statements we run, to tokio-postgres, which runs them.
//!
//! Only the types that our schema has. Another one is an error by name, not a guess.

use std::error::Error as StdError;

use bytes::{BufMut, BytesMut};
use sea_orm::Value;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

use crate::{Error, Result};

/// A statement's value on its way to the server.
pub(super) struct Parameter(Value);

/// tokio-postgres logs parameters at debug level. They are people's data, and hashes.
impl std::fmt::Debug for Parameter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[value]")
    }
}

impl Parameter {
    /// Takes the values of a statement.
    pub(super) fn all(values: Option<sea_orm::sea_query::Values>) -> Vec<Self> {
        values.map(|values| values.0.into_iter().map(Self).collect()).unwrap_or_default()
    }

    /// Returns the type to declare for it, so that the server does not guess from the context and
    /// then reads eight bytes where four were sent.
    pub(super) fn declared_type(&self) -> Result<Type> {
        Ok(match &self.0 {
            Value::Bool(_) => Type::BOOL,
            Value::SmallInt(_) => Type::INT2,
            Value::Int(_) => Type::INT4,
            Value::BigInt(_) | Value::BigUnsigned(_) => Type::INT8,
            Value::Double(_) => Type::FLOAT8,
            Value::String(_) => Type::TEXT,
            Value::Bytes(_) => Type::BYTEA,
            Value::Json(_) => Type::JSONB,
            Value::Uuid(_) => Type::UUID,
            Value::ChronoDateTimeUtc(_) => Type::TIMESTAMPTZ,
            _ => return Err(unsupported("a parameter of this type")),
        })
    }
}

impl ToSql for Parameter {
    fn to_sql(
        &self,
        ty: &Type,
        out: &mut BytesMut,
    ) -> std::result::Result<IsNull, Box<dyn StdError + Sync + Send>> {
        match &self.0 {
            Value::Bool(value) => value.to_sql(ty, out),
            Value::SmallInt(value) => value.to_sql(ty, out),
            Value::Int(value) => value.to_sql(ty, out),
            Value::BigInt(value) => value.to_sql(ty, out),
            Value::BigUnsigned(value) => value.map(i64::try_from).transpose()?.to_sql(ty, out),
            Value::Double(value) => value.to_sql(ty, out),
            Value::String(value) => value.as_deref().to_sql(ty, out),
            Value::Bytes(value) => value.as_deref().to_sql(ty, out),
            Value::Json(Some(value)) if let Some(text) = value.as_str() => {
                // What `JsonText` is: the text of a value, to be read by jsonb_recv, version 1.
                out.put_u8(1);
                out.put_slice(text.as_bytes());
                Ok(IsNull::No)
            }
            Value::Json(value) => value.as_deref().to_sql(ty, out),
            Value::Uuid(value) => value.to_sql(ty, out),
            Value::ChronoDateTimeUtc(value) => value.to_sql(ty, out),
            _ => Err("cannot send a value of this type".into()),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

fn unsupported(what: &str) -> Error {
    Error::Database(format!("engine/values.rs has no conversion for {what}").into())
}

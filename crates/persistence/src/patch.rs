//! From patches to the columns that a statement sets, and from stored values back to domain types.

use brownie_domain::{Change, Timestamp, UserId, Version};
use sea_orm::ActiveValue::{self, NotSet, Set};
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::{Error, Resource, Result};

/// Who wrote a row, when, and how often: the columns that every mutable row has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamps {
    /// When it was created.
    pub created_at: Timestamp,
    /// By whom, if by a person.
    pub created_by: Option<UserId>,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// By whom, if by a person.
    pub updated_by: Option<UserId>,
    /// How often it was written.
    pub version: Version,
}

/// Reads the stamps of a stored row, whatever table it is of.
macro_rules! stamps {
    ($row:ident, $stored:ident) => {
        crate::patch::Stamps {
            created_at: $row.created_at,
            created_by: $row.created_by.map(brownie_domain::UserId::from_uuid),
            updated_at: $row.updated_at,
            updated_by: $row.updated_by.map(brownie_domain::UserId::from_uuid),
            version: $stored.read("version", $row.version)?,
        }
    };
}
pub(crate) use stamps;

/// Sets a column if the patch mentions it.
pub(crate) fn set<T, U: From<T> + Into<sea_orm::Value>>(value: Option<T>) -> ActiveValue<U> {
    value.map_or(NotSet, |value| Set(value.into()))
}

/// Sets or clears a column that may be empty, if the patch mentions it.
pub(crate) fn change<T, U: From<T>>(change: Change<T>) -> ActiveValue<Option<U>>
where
    Option<U>: Into<sea_orm::Value>,
{
    match change {
        Change::Keep => NotSet,
        Change::Clear => Set(None),
        Change::Set(value) => Set(Some(value.into())),
    }
}

/// Reads the values of one stored row. One that the domain refuses is named, not guessed.
#[derive(Clone, Copy)]
pub(crate) struct Stored {
    pub(crate) resource: Resource,
    pub(crate) id: Uuid,
}

impl Stored {
    pub(crate) fn read<T, U: TryFrom<T>>(self, column: &'static str, value: T) -> Result<U> {
        U::try_from(value).map_err(|_| Error::Inconsistent {
            resource: self.resource,
            id: self.id,
            column,
        })
    }

    /// Reads a value that is stored as JSON.
    pub(crate) fn read_json<U: DeserializeOwned>(
        self,
        column: &'static str,
        value: serde_json::Value,
    ) -> Result<U> {
        serde_json::from_value(value).map_err(|_| Error::Inconsistent {
            resource: self.resource,
            id: self.id,
            column,
        })
    }

    pub(crate) fn read_optional<T, U: TryFrom<T>>(
        self,
        column: &'static str,
        value: Option<T>,
    ) -> Result<Option<U>> {
        value.map(|value| self.read(column, value)).transpose()
    }
}

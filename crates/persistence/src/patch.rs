//! From patches to the columns that a statement sets, and from stored values back to domain types.

use brownie_domain::Change;
use sea_orm::ActiveValue::{self, NotSet, Set};
use uuid::Uuid;

use crate::{Error, Resource, Result};

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

    pub(crate) fn read_optional<T, U: TryFrom<T>>(
        self,
        column: &'static str,
        value: Option<T>,
    ) -> Result<Option<U>> {
        value.map(|value| self.read(column, value)).transpose()
    }
}

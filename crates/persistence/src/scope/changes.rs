//! What the audit log says about a change: the fields that changed, before and after.

use std::collections::BTreeMap;

use sea_orm::{
    ActiveModelTrait, ActiveValue, IdenStatic, Iterable,
    sea_query::{Expr, Query, ReturningClause},
};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use tokio_postgres::{Row, types::Json};

use super::TenantEntity;
use crate::{Error, Result, entity::raw};

/// What stands in for the value of a secret column.
const HIDDEN: &str = "[hidden]";

/// Returns the columns that a caller set: not those that every write sets.
fn set_by_caller<E: TenantEntity>(row: &E::ActiveModel) -> Vec<E::Column> {
    E::Column::iter()
        .filter(|column| !is_stamp::<E>(*column))
        .filter(|column| matches!(row.get(*column), ActiveValue::Set(_)))
        .collect()
}

fn is_stamp<E: TenantEntity>(column: E::Column) -> bool {
    const fn stamps<E: TenantEntity>() -> [E::Column; 9] {
        [
            E::ORG_ID,
            E::ID,
            E::VERSION,
            E::CREATED_AT,
            E::CREATED_BY,
            E::UPDATED_AT,
            E::UPDATED_BY,
            E::DELETED_AT,
            E::DELETED_BY,
        ]
    }
    is_one_of(column, &stamps::<E>())
}

fn is_one_of<C: IdenStatic>(column: C, columns: &[C]) -> bool {
    columns.iter().any(|other| other.as_str() == column.as_str())
}

/// What changed, by column.
type Changes = BTreeMap<String, Change>;

/// What a column was and is. JSON stays text: however large documents are, the log repeats them.
#[derive(Serialize)]
struct Change {
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<Box<RawValue>>,
    after: Box<RawValue>,
}

/// Writes changes, if there are any.
fn written(changes: &Changes) -> Result<Option<Box<RawValue>>> {
    if changes.is_empty() {
        return Ok(None);
    }
    to_raw_value(changes).map(Some).map_err(unwritable)
}

pub(super) fn unwritable(error: serde_json::Error) -> Error {
    Error::Database(Box::new(error))
}

/// Returns what a new row begins with.
pub(super) fn of_insert<E: TenantEntity>(row: &E::ActiveModel) -> Result<Option<Box<RawValue>>> {
    let mut changes = Changes::new();
    for column in set_by_caller::<E>(row) {
        let ActiveValue::Set(value) = row.get(column) else { continue };
        if value == value.as_null() {
            continue;
        }
        // Hashes are bytes, which are no JSON.
        let after = if is_one_of(column, E::SECRETS) { to_raw_value(HIDDEN) } else { raw(&value) };
        let after = after.map_err(unwritable)?;
        changes.insert(column.as_str().to_owned(), Change { before: None, after });
    }
    written(&changes)
}

/// Returns what an UPDATE is to return besides the row: the columns it sets, as they were and as
/// they are. A sub-select in RETURNING sees the row as it was before the statement (PostgreSQL
/// manual, section 13.2.1: a query never sees what is done while it runs).
pub(super) fn returning<E: TenantEntity>(changes: &E::ActiveModel) -> ReturningClause {
    let table = E::default().to_string();
    let (mut before, mut after) = (Vec::new(), Vec::new());
    for column in set_by_caller::<E>(changes) {
        let name = column.as_str();
        if is_one_of(column, E::SECRETS) {
            after.push(format!("'{name}', '{HIDDEN}'"));
        } else {
            before.push(format!("'{name}', was.\"{name}\""));
            after.push(format!("'{name}', \"{table}\".\"{name}\""));
        }
    }
    let mut columns: Vec<Expr> = E::Column::iter().map(Expr::col).collect();
    if !after.is_empty() {
        let (org_id, id) = (E::ORG_ID.as_str(), E::ID.as_str());
        let key = format!(
            "was.\"{org_id}\" = \"{table}\".\"{org_id}\" AND was.\"{id}\" = \"{table}\".\"{id}\""
        );
        columns.push(Expr::cust(format!(
            "(SELECT jsonb_build_object({}) FROM \"{table}\" AS was WHERE {key}) AS changed_before",
            before.join(", ")
        )));
        columns
            .push(Expr::cust(format!("jsonb_build_object({}) AS changed_after", after.join(", "))));
    }
    Query::returning().exprs(columns)
}

/// Reads what [`returning`] asked for, and leaves out what did not change: `jsonb` writes equal values equally.
pub(super) fn of_update(row: &Row) -> Result<Option<Box<RawValue>>> {
    let read = |column| -> Result<BTreeMap<String, Box<RawValue>>> {
        if !row.columns().iter().any(|there| there.name() == column) {
            return Ok(BTreeMap::new());
        }
        Ok(row
            .try_get::<_, Option<Json<_>>>(column)?
            .map(|Json(fields)| fields)
            .unwrap_or_default())
    };
    let (mut before, after) = (read("changed_before")?, read("changed_after")?);
    let mut changes = Changes::new();
    for (name, after) in after {
        let before = match before.remove(&name) {
            Some(before) if before.get() == after.get() => continue,
            Some(before) => before,
            None => to_raw_value(HIDDEN).map_err(unwritable)?,
        };
        changes.insert(name, Change { before: Some(before), after });
    }
    written(&changes)
}

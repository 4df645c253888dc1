//! What the audit log says about a change: the fields that changed, before and after.

use sea_orm::{
    ActiveModelTrait, ActiveValue, IdenStatic, Iterable,
    sea_query::{Expr, Query, ReturningClause, sea_value_to_json_value},
};
use serde_json::{Map, Value, json};
use tokio_postgres::Row;

use super::TenantEntity;
use crate::Result;

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

/// Returns what a new row begins with.
pub(super) fn of_insert<E: TenantEntity>(row: &E::ActiveModel) -> Option<Value> {
    let mut changes = Map::new();
    for column in set_by_caller::<E>(row) {
        let ActiveValue::Set(value) = row.get(column) else { continue };
        // Hashes are bytes, which are no JSON.
        let after = match is_one_of(column, E::SECRETS) {
            true if value == value.as_null() => Value::Null,
            true => HIDDEN.into(),
            false => sea_value_to_json_value(&value),
        };
        if after.is_null() {
            continue;
        }
        changes.insert(column.as_str().to_owned(), json!({"after": after}));
    }
    (!changes.is_empty()).then_some(Value::Object(changes))
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

/// Reads what [`returning`] asked for, and leaves out what did not change.
pub(super) fn of_update(row: &Row) -> Result<Option<Value>> {
    let read = |column| -> Result<Map<String, Value>> {
        if !row.columns().iter().any(|there| there.name() == column) {
            return Ok(Map::new());
        }
        match row.try_get(column)? {
            Value::Object(fields) => Ok(fields),
            _ => Ok(Map::new()),
        }
    };
    let (mut before, after) = (read("changed_before")?, read("changed_after")?);
    let changes: Map<String, Value> = after
        .into_iter()
        .filter_map(|(name, after)| match before.remove(&name) {
            Some(before) if before == after => None,
            Some(before) => Some((name, json!({"before": before, "after": after}))),
            None => Some((name, json!({"before": HIDDEN, "after": HIDDEN}))),
        })
        .collect();
    Ok((!changes.is_empty()).then_some(Value::Object(changes)))
}

//! Many new rows at once.

use std::collections::{BTreeMap, HashSet};

use sea_orm::{ActiveModelTrait, ActiveValue, DbBackend, IdenStatic, Iterable, Statement};
use serde_json::value::{RawValue, to_raw_value};
use uuid::Uuid;

use super::{OrgScope, TenantEntity, Writing, changes::unwritable};
use crate::{
    Result,
    entity::{JsonText, raw},
    record::Verb,
};

/// The columns of a new row, as JSON.
type Columns = BTreeMap<String, Box<RawValue>>;

/// How many rows one statement writes at most.
const BATCH: usize = 1000;

impl OrgScope<Writing> {
    /// Writes new rows of one shape. Returns for each its id, or none if `conflict` found it there.
    ///
    /// The rows travel as one JSON text, so that however many there are, the statement is the same
    /// and is prepared once.
    pub(crate) async fn insert_all<E: TenantEntity>(
        &self,
        rows: Vec<E::ActiveModel>,
        conflict: &str,
    ) -> Result<Vec<Option<Uuid>>> {
        let mut ids = Vec::with_capacity(rows.len());
        let mut rows = rows.into_iter().peekable();
        while rows.peek().is_some() {
            let batch = rows.by_ref().take(BATCH).map(|row| self.to_insert::<E>(row));
            let batch = batch.collect::<Result<Vec<_>>>()?;
            let Some((_, first, _)) = batch.first() else { break };
            let columns = E::Column::iter()
                .map(|column| column.as_str().to_owned())
                .filter(|column| first.contains_key(column))
                .map(|column| format!("\"{column}\""))
                .collect::<Vec<_>>()
                .join(", ");
            let table = E::default().to_string();
            let sql = format!(
                "INSERT INTO \"{table}\" ({columns}) SELECT {columns} \
                 FROM jsonb_populate_recordset(NULL::\"{table}\", $1) {conflict} RETURNING id"
            );
            let values: Vec<&Columns> = batch.iter().map(|(_, row, _)| row).collect();
            let values = JsonText::from(to_raw_value(&values).map_err(unwritable)?);
            let statement =
                Statement::from_sql_and_values(DbBackend::Postgres, sql, [values.into()]);
            let written = self.rows(statement).await?;
            let written =
                written.iter().map(|row| Ok(row.try_get(0)?)).collect::<Result<HashSet<Uuid>>>()?;
            for (id, _, changes) in batch {
                let is_new = written.contains(&id);
                if is_new {
                    self.record::<E>(Verb::Created, id, brownie_domain::Version::FIRST, changes);
                }
                ids.push(is_new.then_some(id));
            }
        }
        Ok(ids)
    }

    /// Returns a new row's id, its columns, and what the audit log will say of it.
    fn to_insert<E: TenantEntity>(
        &self,
        row: E::ActiveModel,
    ) -> Result<(Uuid, Columns, Option<Box<RawValue>>)> {
        let id = self.new_id(self.now());
        let (row, changes) = self.stamped_new::<E>(id, row)?;
        let mut columns = Columns::new();
        for column in E::Column::iter() {
            if let ActiveValue::Set(value) = row.get(column) {
                columns.insert(column.as_str().to_owned(), raw(&value).map_err(unwritable)?);
            }
        }
        Ok((id, columns, changes))
    }
}

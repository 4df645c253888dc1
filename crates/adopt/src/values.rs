//! The hazards of single values: what a column may not hold, and what the domain's types refuse.

use sea_orm::{ConnectionTrait, DbErr, Statement, Value};
use serde_json::json;
use uuid::Uuid;

use crate::{
    columns::{Kind, Reads, Table},
    find::Finder,
    hazard::Hazard,
    judge::{judge, judge_body},
    source::{statement, texts},
    tables::TABLES,
};

/// How many rows are judged at once.
const PAGE: usize = 2000;

impl<C: ConnectionTrait> Finder<'_, C> {
    pub(crate) async fn plain_values(&self) -> Result<(), DbErr> {
        let naive = texts(
            self.db,
            "SELECT attrelid::regclass::text || '.' || attname FROM pg_attribute
             WHERE atttypid = 'timestamp'::regtype AND attnum > 0",
        )
        .await?;
        for table in TABLES {
            let name = table.name;
            for column in table.columns {
                let c = column.name;
                match column.kind {
                    Kind::Document(_) => {
                        let none = format!(
                            "SELECT id FROM public.{name} WHERE {c} IS NULL OR btrim({c}::text) = 'null'"
                        );
                        self.notice(Hazard::Null, name, c, &none).await?;
                    }
                    Kind::Body => {
                        let none = format!(
                            "SELECT id FROM public.{name} WHERE coalesce(btrim(config_json::text), 'null') = 'null'
                               AND coalesce(btrim(config_yaml), '') = ''"
                        );
                        self.notice(Hazard::Null, name, c, &none).await?;
                    }
                    Kind::Time => {
                        if naive.contains(&format!("{name}.{c}")) {
                            let said =
                                format!("SELECT id FROM public.{name} WHERE \"{c}\" IS NOT NULL");
                            self.notice(Hazard::NaiveTime, name, c, &said).await?;
                        }
                        let instead = match c {
                            "created_at" => "timestamptz 'epoch'",
                            "updated_at" | "timestamp" => {
                                "CASE WHEN isfinite(created_at) THEN created_at ELSE 'epoch' END"
                            }
                            _ => "NULL",
                        };
                        let infinite = format!(
                            "SELECT id, {instead} FROM public.{name} WHERE NOT isfinite(\"{c}\")"
                        );
                        self.change(Hazard::Time, name, c, &infinite).await?;
                    }
                    Kind::Label(_, labels) => {
                        let known =
                            labels.iter().map(|l| format!("'{l}'")).collect::<Vec<_>>().join(", ");
                        let role = c == "role";
                        let member = self.choices.way(Hazard::Editor);
                        let editors = format!(
                            "SELECT id, '{member}' FROM public.{name} WHERE {role} AND lower({c}::text) = 'editor'"
                        );
                        self.change(Hazard::Editor, name, c, &editors).await?;
                        let default = labels.last().copied().unwrap_or_default();
                        let unknown = format!(
                            "SELECT id, '{default}' FROM public.{name} WHERE lower({c}::text) NOT IN ({known})
                               AND NOT ({role} AND lower({c}::text) = 'editor')"
                        );
                        self.change(Hazard::Label, name, c, &unknown).await?;
                    }
                    _ => {}
                }
                if let Some(least) = column.least {
                    let below =
                        format!("SELECT id, {least} FROM public.{name} WHERE \"{c}\" < {least}");
                    self.change(Hazard::Number, name, c, &below).await?;
                }
            }
        }
        Ok(())
    }

    /// Judges a table's texts and documents by the types that will read them, page by page.
    pub(crate) async fn texts_of(&self, table: &Table) -> Result<(), DbErr> {
        let read: Vec<(&str, Reads)> =
            table.columns.iter().filter_map(|c| Some((c.name, c.reads?))).collect();
        let columns =
            read.iter().map(|(c, _)| format!("\"{c}\"::text")).collect::<Vec<_>>().join(", ");
        let mut after = None;
        loop {
            let rows = self.page(table.name, &columns, after).await?;
            let mut found = Vec::new();
            for row in &rows {
                let id: Uuid = row.try_get_by_index(0)?;
                for (index, (column, reads)) in read.iter().enumerate() {
                    let Some(text) = row.try_get_by_index::<Option<String>>(index + 1)? else {
                        continue;
                    };
                    if let Some((hazard, becomes)) = judge(*reads, id, &text) {
                        found.push(json!({
                            "hazard": hazard, "turn": hazard.turn(), "tbl": table.name, "id": id,
                            "col": column, "after": becomes,
                        }));
                    }
                }
                after = Some(id);
            }
            self.note(found).await?;
            if rows.len() < PAGE {
                return Ok(());
            }
        }
    }

    pub(crate) async fn bodies(&self) -> Result<(), DbErr> {
        let way = self.choices.way(Hazard::ConfigBody);
        let mut after = None;
        loop {
            let rows = self.page("configs", "config_yaml, config_json::text", after).await?;
            let mut found = Vec::new();
            for row in &rows {
                let id: Uuid = row.try_get_by_index(0)?;
                let yaml: Option<String> = row.try_get_by_index(1)?;
                let told: Option<String> = row.try_get_by_index(2)?;
                after = Some(id);
                let Some(body) = judge_body(yaml.as_deref(), told.as_deref(), way) else {
                    continue;
                };
                let name = body.hazard.map_or("", Hazard::as_str);
                let values = [
                    ("config_json", name, body.says),
                    ("source", "", body.source),
                    ("source_format", "", body.format.to_owned()),
                ];
                found.extend(values.map(|(column, hazard, becomes)| {
                    json!({
                        "hazard": hazard, "turn": Hazard::ConfigBody.turn(), "tbl": "configs",
                        "id": id, "col": column, "after": becomes,
                    })
                }));
            }
            self.note(found).await?;
            if rows.len() < PAGE {
                return Ok(());
            }
        }
    }

    async fn page(
        &self,
        table: &str,
        columns: &str,
        after: Option<Uuid>,
    ) -> Result<Vec<sea_orm::QueryResult>, DbErr> {
        let from = after.map_or_else(String::new, |id| format!("WHERE id > '{id}'"));
        let sql =
            format!("SELECT id, {columns} FROM public.{table} {from} ORDER BY id LIMIT {PAGE}");
        self.db.query_all_raw(statement(self.db, sql)).await
    }

    async fn note(&self, found: Vec<serde_json::Value>) -> Result<(), DbErr> {
        if found.is_empty() {
            return Ok(());
        }
        let sql = format!(
            "INSERT INTO {}.changes SELECT * FROM jsonb_to_recordset($1) AS found
                 (hazard text, turn integer, tbl text, id uuid, col text, after text)",
            self.work
        );
        let found: Value = serde_json::Value::Array(found).into();
        let backend = self.db.get_database_backend();
        self.db.execute_raw(Statement::from_sql_and_values(backend, sql, [found])).await.map(drop)
    }
}

//! What is backed up: every table and sequence of the schema, as the catalog tells, but for named
//! exceptions. So a new table is in the next backup without anybody thinking of it.

use serde::{Deserialize, Serialize};
use tokio_postgres::{Client, error::SqlState};

use crate::{Error, Result, server::ident};

/// Tables that are not backed up, and why.
pub const EXCEPTIONS: &[(&str, &str)] = &[
    (
        "backup_reports",
        "what is known of backups now: the worker says it anew, and what it was then would be wrong",
    ),
    (
        "login_guesses",
        "guesses at passwords within the last hour: what was guessed then is no guess of now",
    ),
    (
        "operations",
        "what operators asked for and the worker did: restored, what was queued then would be done now",
    ),
    (
        "seaql_migrations",
        "the ledger of the migrations: a restore makes the schema by the migrations, which write it anew; the manifest has what it said",
    ),
];

/// A table to copy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// Its name, in the schema `public`.
    pub name: String,
    /// Its columns in order, without those that are generated from others.
    pub columns: Vec<String>,
    /// The months for which it has a partition, each by its first day, `2026-11-01`. A partitioned
    /// table is copied through the parent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub months: Vec<String>,
}

impl Table {
    /// Returns it as SQL names it.
    pub(crate) fn sql_name(&self) -> String {
        format!("public.{}", ident(&self.name))
    }

    /// Returns its columns as SQL names them.
    pub(crate) fn sql_columns(&self) -> String {
        let columns: Vec<String> = self.columns.iter().map(|column| ident(column)).collect();
        columns.join(", ")
    }

    /// Returns the statement that copies it out. Text is what all versions of PostgreSQL read, and
    /// people, too; a partitioned table can be copied by a query only.
    pub(crate) fn copy_out(&self) -> String {
        format!("COPY (SELECT {} FROM {}) TO STDOUT", self.sql_columns(), self.sql_name())
    }

    /// Returns the statement that copies it in.
    pub(crate) fn copy_in(&self) -> String {
        format!("COPY {} ({}) FROM STDIN", self.sql_name(), self.sql_columns())
    }
}

/// What a database has to be backed up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The tables, by name, each with the bytes it takes by PostgreSQL's estimate.
    pub tables: Vec<(Table, u64)>,
    /// The sequences, by name.
    pub sequences: Vec<String>,
}

impl Plan {
    /// Reads the catalog.
    ///
    /// # Errors
    /// [`Error::Database`], or [`Error::Changing`] when a table is locked for long.
    pub async fn read(client: &Client) -> Result<Self> {
        // What an extension brought is the extension's.
        const TABLES: &str = r"
            SELECT c.relname::text, (SELECT array_agg(attname::text ORDER BY attnum)
                    FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0
                      AND NOT attisdropped AND attgenerated = ''),
                ARRAY(SELECT replace(substring(part.relname::text FROM '_(\d{4}_\d{2})$'), '_', '-') || '-01'
                    FROM pg_inherits JOIN pg_class AS part ON part.oid = inhrelid
                    WHERE inhparent = c.oid AND part.relname ~ '_\d{4}_\d{2}$'
                    ORDER BY part.relname),
                (SELECT coalesce(sum(pg_relation_size(relid)), 0)::bigint FROM pg_partition_tree(c.oid))
                    + CASE c.relkind WHEN 'r' THEN pg_table_size(c.oid) ELSE 0 END
            FROM pg_class AS c
            WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
              AND NOT c.relispartition
              AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = c.oid AND deptype = 'e')
            ORDER BY c.relname";
        const SEQUENCES: &str = "
            SELECT relname::text FROM pg_class AS c
            WHERE relnamespace = 'public'::regnamespace AND relkind = 'S'
              AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = c.oid AND deptype = 'e')
            ORDER BY relname";
        let doing = "reading which tables there are";
        let rows = match client.query(TABLES, &[]).await {
            Ok(rows) => rows,
            // Asking for the size of a table takes a lock on it.
            Err(error) if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) => {
                return Err(Error::Changing);
            }
            Err(error) => return Err(Error::database(doing)(error)),
        };
        let mut tables = Vec::new();
        for row in rows {
            let get = || -> Result<_, tokio_postgres::Error> {
                let columns: Option<Vec<String>> = row.try_get(1)?;
                let size: i64 = row.try_get(3)?;
                let table = Table {
                    name: row.try_get(0)?,
                    columns: columns.unwrap_or_default(),
                    months: row.try_get(2)?,
                };
                Ok((table, u64::try_from(size).unwrap_or(0)))
            };
            let (table, size) = get().map_err(Error::database(doing))?;
            if !EXCEPTIONS.iter().any(|(name, _)| *name == table.name) {
                tables.push((table, size));
            }
        }
        let rows = client.query(SEQUENCES, &[]).await.map_err(Error::database(doing))?;
        let names: Result<Vec<String>, _> = rows.iter().map(|row| row.try_get(0)).collect();
        Ok(Self { tables, sequences: names.map_err(Error::database(doing))? })
    }
}

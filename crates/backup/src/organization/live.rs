//! The database that everybody uses, and one organization of it that is about to change.

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use tokio_postgres::Client;
use uuid::Uuid;

use super::{
    Problem,
    tables::{self, Rule, TenantTable},
};
use crate::{
    Dial, Error, Progress, Result, Tell,
    load::set_owner,
    server::{Settle, find_pooler, ident, literal, settle},
};

/// A connection that acts as the owner of the tables. Row-level security holds it, too: it reaches the
/// rows of the one organization that it names, and no others, whatever a statement says.
pub(crate) struct Live {
    pub(crate) client: Client,
    pub(crate) database: String,
    /// Its server process.
    process: i32,
}

impl Live {
    /// Connects, and makes sure that the database has this program's schema.
    ///
    /// # Errors
    /// [`Problem::NotAtHead`], [`Problem::Role`], [`Error::Pooler`], and what dialling says.
    pub(crate) async fn open(dial: &dyn Dial, database: &str) -> Result<Self> {
        let clients = [dial.dial(Some(database)).await?, dial.dial(Some(database)).await?];
        find_pooler(&clients).await?;
        let [client, _] = clients;
        settle(&client, Settle::Session).await?;
        set_owner(&client).await?;
        // When we are gone, our locks are, too, even in the middle of a long statement.
        let failed = || Error::database("setting up the connection");
        let sql = "SET client_connection_check_interval = '1s'; SET client_min_messages = warning";
        client.batch_execute(sql).await.map_err(failed())?;
        let process = client.query_one("SELECT pg_backend_pid()", &[]).await;
        let process = process.and_then(|row| row.try_get(0)).map_err(failed())?;
        let live = Self { client, database: database.to_owned(), process };
        is_at_head(&live.client, database).await?;
        live.is_heard().await?;
        Ok(live)
    }

    /// Ends it at once, even in the middle of a statement, by way of another connection of the same
    /// role: whoever waits for its locks need not wait longer.
    pub(crate) async fn end(self, other: &Client) {
        // It may have ended by itself.
        let _ = other.query("SELECT pg_terminate_backend($1)", &[&self.process]).await;
    }

    /// Makes sure that readers of events wait for ours: the schema's `outbox_horizon()` goes by the
    /// role that logged in.
    async fn is_heard(&self) -> Result<()> {
        let failed = || Error::database("asking what the role may");
        let sql = "SELECT session_user::text,
            has_table_privilege(session_user, 'public.outbox', 'INSERT')";
        let row = self.client.query_one(sql, &[]).await.map_err(failed())?;
        if row.try_get(1).map_err(failed())? {
            return Ok(());
        }
        Err(Problem::Role { role: row.try_get(0).map_err(failed())? }.into())
    }

    /// Copies an organization's rows from another database into temporary tables, which nobody else
    /// sees. However many there are, a few at a time are in memory.
    pub(crate) async fn stage(
        &self,
        from: &Source<'_>,
        tables: &[&TenantTable],
        tell: &Tell,
    ) -> Result<()> {
        let failed = |table: &TenantTable| Error::database(format!("staging {}", table.name));
        for table in tables {
            let columns: Vec<String> = table.wanted().map(|it| ident(&it.name)).collect();
            let (columns, staged) = (columns.join(", "), table.staged());
            let make = format!(
                "CREATE TEMPORARY TABLE {} AS SELECT {columns} FROM {} WITH NO DATA",
                ident(&table.name),
                table.live()
            );
            self.client.batch_execute(&make).await.map_err(failed(table))?;
            let rows = from.client.copy_out(&from.copy_out(table)).await.map_err(failed(table))?;
            let sink = format!("COPY {staged} ({columns}) FROM STDIN");
            let sink = self.client.copy_in::<_, Bytes>(&sink).await.map_err(failed(table))?;
            let (mut rows, mut sink) = (std::pin::pin!(rows), std::pin::pin!(sink));
            while let Some(row) = rows.next().await {
                let row = row.map_err(failed(table))?;
                let plain = row.len() as u64;
                sink.send(row).await.map_err(failed(table))?;
                tell(Progress::Moved { table: &table.name, rows: 1, plain });
            }
            let rows = sink.finish().await.map_err(failed(table))?;
            let key: Vec<String> = table.key.iter().map(|name| ident(name)).collect();
            let index =
                format!("CREATE UNIQUE INDEX ON {staged} ({}); ANALYZE {staged}", key.join(", "));
            self.client.batch_execute(&index).await.map_err(failed(table))?;
            tell(Progress::Done { table: &table.name, rows });
        }
        Ok(())
    }

    /// Returns the tables with rows of organizations.
    pub(crate) async fn tables(&self) -> Result<Vec<TenantTable>> {
        tables::read(&self.client).await
    }
}

/// Makes sure that a database has the migrations of this program, and no others.
///
/// # Errors
/// [`Problem::NotAtHead`].
pub(crate) async fn is_at_head(client: &Client, database: &str) -> Result<()> {
    let failed = || Error::database("reading the ledger of migrations");
    let not = |what: String| Problem::NotAtHead { database: database.to_owned(), what };
    let sql = "SELECT to_regclass('public.seaql_migrations') IS NOT NULL";
    let is_ours = client.query_one(sql, &[]).await.and_then(|row| row.try_get(0));
    if !is_ours.map_err(failed())? {
        return Err(not("has not been migrated".to_owned()).into());
    }
    let sql = "SELECT version::text FROM public.seaql_migrations ORDER BY version";
    let rows = client.query(sql, &[]).await.map_err(failed())?;
    let applied: Result<Vec<String>, _> = rows.iter().map(|row| row.try_get(0)).collect();
    let (applied, known) = (applied.map_err(failed())?, brownie_migration::names());
    if let Some(missing) = known.iter().find(|name| !applied.contains(name)) {
        return Err(not(format!("does not have the migration {missing}")).into());
    }
    match applied.iter().find(|name| !known.contains(name)) {
        Some(newer) => Err(not(format!("has the migration {newer} of another release")).into()),
        None => Ok(()),
    }
}

/// A database with the organization as it is to be.
pub(crate) struct Source<'a> {
    pub(crate) client: &'a Client,
    pub(crate) organization: Uuid,
    /// Other ids and another slug for it, if it gets any.
    pub(crate) renaming: Option<&'a Renaming>,
}

/// How an organization gets other ids, which is the same for all columns that name one thing.
#[derive(Debug, Clone)]
pub(crate) struct Renaming {
    pub(crate) id: Uuid,
    pub(crate) slug: String,
    /// Makes the ids of one copy others than those of the next.
    pub(crate) salt: Uuid,
}

impl<'a> Source<'a> {
    /// Takes a connection of the owner of the tables, and names the organization to it.
    pub(crate) async fn new(
        client: &'a Client,
        organization: Uuid,
        renaming: Option<&'a Renaming>,
    ) -> Result<Self> {
        let failed = || Error::database("naming the organization");
        let scope = "SELECT set_config('app.org_id', $1, false)";
        client.query(scope, &[&organization.to_string()]).await.map_err(failed())?;
        if let Some(renaming) = renaming {
            client.batch_execute(&renaming.function(organization)).await.map_err(failed())?;
        }
        Ok(Self { client, organization, renaming })
    }

    fn copy_out(&self, table: &TenantTable) -> String {
        let value = |column: &tables::Column| -> String {
            let name = ident(&column.name);
            let Some(renaming) = self.renaming else { return format!("l.{name}") };
            match column.name.as_str() {
                "slug" if table.is_organizations() => literal(&renaming.slug),
                "deleted_at" | "deleted_by" if table.is_organizations() => "NULL".to_owned(),
                _ if column.kind == "uuid" => format!("pg_temp.renamed(l.{name})"),
                _ => format!("l.{name}"),
            }
        };
        let values: Vec<String> = table.wanted().map(value).collect();
        format!(
            "COPY (SELECT {} FROM {} AS l WHERE {}) TO STDOUT",
            values.join(", "),
            table.live(),
            table.is_of("l", self.organization)
        )
    }
}

impl Renaming {
    /// Returns what makes the function that gives ids. It keeps the first 48 bits and the version: ids
    /// stay in the order of time, by which tables are partitioned (RFC 9562 section 5.7). The rest,
    /// but for the variant, is of the SHA-256 of the salt and the id: the same for the same id, so
    /// that references hold, and no table of pairs is needed.
    fn function(&self, organization: Uuid) -> String {
        format!(
            "CREATE FUNCTION pg_temp.renamed(id uuid) RETURNS uuid LANGUAGE sql IMMUTABLE STRICT AS $$
                SELECT CASE id WHEN '{organization}' THEN '{}'::uuid ELSE
                    (left(old, 13) || left(new, 3) || substr(old, 17, 1) || substr(new, 4, 15))::uuid END
                FROM (SELECT replace(id::text, '-', '') AS old,
                    encode(sha256(convert_to('{}' || id::text, 'UTF8')), 'hex') AS new) AS hex
            $$",
            self.id, self.salt
        )
    }
}

/// Returns those tables whose rows are copied for a purpose.
pub(crate) fn staged(tables: &[TenantTable], into_known: bool) -> Vec<&TenantTable> {
    let is_staged = |table: &&TenantTable| match table.rule {
        Rule::Restored => true,
        Rule::Added | Rule::Narrowed => into_known,
        Rule::Left => false,
    };
    tables.iter().filter(is_staged).collect()
}

//! One state of the database, seen by several connections at once.
//!
//! The first connection begins a transaction, locks the tables against changes of their form, takes
//! the lock that keeps other backups away, and exports its snapshot; the others import it. Lock and
//! snapshot are of one transaction: while it lives, both hold, and when its connection breaks, both
//! are gone.

use tokio_postgres::{Client, error::SqlState};

use crate::{
    Dial, Error, Plan, Result,
    lock::{Work, take_in_transaction},
    manifest::{AppliedMigration, DatabaseInfo, Sequence},
    server::{Settle, find_pooler, ident, literal, settle},
};

/// How often to begin anew when the schema changed between looking and locking.
const TRIES: u32 = 5;

const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// How long to wait for a lock, here as in [`settle`].
const PATIENCE: &str = "SET LOCAL lock_timeout = '30s'";

/// A state of the database, and connections that see it.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// The first one holds the lock.
    pub(crate) clients: Vec<Client>,
    pub(crate) plan: Plan,
    pub(crate) fence: u64,
    pub(crate) database: DatabaseInfo,
    pub(crate) migrations: Vec<AppliedMigration>,
    pub(crate) sequences: Vec<Sequence>,
}

impl Snapshot {
    /// Takes the lock and a snapshot, for so many connections. With one it needs no second: an
    /// embedded PostgreSQL has no more.
    ///
    /// # Errors
    /// [`Error::Busy`], [`Error::Pooler`], [`Error::Standby`], [`Error::Empty`], [`Error::Changing`]
    /// and [`Error::Filtered`], before any row is read.
    pub(crate) async fn take(dial: &dyn Dial, connections: usize) -> Result<Self> {
        let mut clients = vec![dial.dial(None).await?];
        for _ in 1..connections {
            clients.push(dial.dial(None).await?);
        }
        find_pooler(&clients).await?;
        let (leader, others) = clients.split_first().ok_or(Error::Cancelled)?;
        let plan = begin(leader).await?;
        let row_security = judge_row_security(leader, &plan).await?;
        execute(leader, row_security).await?;
        let doing = "taking a snapshot";
        let id: String =
            value(leader, "SELECT pg_export_snapshot()").await.map_err(Error::database(doing))?;
        for other in others {
            execute(other, BEGIN).await?;
            execute(other, &format!("SET TRANSACTION SNAPSHOT {}", literal(&id))).await?;
            settle(other, Settle::Transaction).await?;
            execute(other, row_security).await?;
        }
        let fence: String = value(leader, "SELECT pg_current_xact_id()::text")
            .await
            .map_err(Error::database("numbering the run"))?;
        let database = database(leader).await.map_err(Error::database(doing))?;
        let migrations = migrations(leader).await.map_err(Error::database("reading the ledger"))?;
        let sequences =
            sequences(leader, &plan).await.map_err(Error::database("reading sequences"))?;
        let fence = fence.parse().unwrap_or_default();
        Ok(Self { clients, plan, fence, database, migrations, sequences })
    }
}

/// Makes sure that the session which holds lock and snapshot still does.
pub(crate) async fn still_holds(leader: &Client) -> Result<()> {
    leader.batch_execute("SELECT 1").await.map_err(Error::LockLost)
}

/// Begins the transaction in which the tables are locked and known.
async fn begin(leader: &Client) -> Result<Plan> {
    let is_standby = value(leader, "SELECT pg_is_in_recovery()").await;
    if is_standby.map_err(Error::database("asking whether this is a standby"))? {
        return Err(Error::Standby);
    }
    for _ in 0..TRIES {
        // Looking locks, too.
        execute(leader, &format!("BEGIN; {PATIENCE}")).await?;
        let seen = Plan::read(leader).await?;
        execute(leader, "COMMIT").await?;
        if seen.tables.is_empty() {
            let database = value(leader, "SELECT current_database()::text").await;
            let database = database.map_err(Error::database("asking for the database's name"))?;
            return Err(Error::Empty { database });
        }
        execute(leader, &format!("{BEGIN}; {PATIENCE}")).await?;
        let names: Vec<String> = seen.tables.iter().map(|(table, _)| table.sql_name()).collect();
        // First of all: LOCK takes no snapshot, so the one that is taken next knows what holds until
        // the end. A table that is rewritten in between would look empty.
        let locking = format!("LOCK TABLE {} IN ACCESS SHARE MODE", names.join(", "));
        match leader.batch_execute(&locking).await {
            Ok(()) => {}
            // Gone since.
            Err(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => {
                execute(leader, "ROLLBACK").await?;
                continue;
            }
            Err(error) if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) => {
                return Err(Error::Changing);
            }
            Err(source) => {
                return Err(Error::Database { doing: "locking the tables".to_owned(), source });
            }
        }
        take_in_transaction(leader, Work::Backup).await?;
        settle(leader, Settle::Transaction).await?;
        let plan = Plan::read(leader).await?;
        let forms = |plan: &Plan| -> Vec<_> {
            plan.tables.iter().map(|(table, _)| table.clone()).collect()
        };
        if forms(&plan) == forms(&seen) {
            return Ok(plan);
        }
        execute(leader, "ROLLBACK").await?;
    }
    Err(Error::Changing)
}

/// Makes sure that no row is hidden from us, and returns what makes PostgreSQL refuse to hide any,
/// where it can be told so.
///
/// A superuser and a role with BYPASSRLS are not subject to row-level security, and then
/// `row_security = off` is an assertion. brownie-backup is: it is let through by policies of its own,
/// which must be there for each table, unconditional, and not narrowed by a restrictive one.
pub(crate) async fn judge_row_security(leader: &Client, plan: &Plan) -> Result<&'static str> {
    const SQL: &str = "
        SELECT c.relname::text, current_user::text,
            EXISTS (SELECT FROM pg_policy WHERE polrelid = c.oid AND polpermissive
                    AND polcmd IN ('r', '*') AND pg_get_expr(polqual, polrelid) = 'true'
                    AND (polroles @> '{0}' OR EXISTS (SELECT FROM unnest(polroles) AS role
                        WHERE role <> 0 AND pg_has_role(role, 'USAGE'))))
            AND NOT EXISTS (SELECT FROM pg_policy WHERE polrelid = c.oid AND NOT polpermissive
                    AND polcmd IN ('r', '*'))
        FROM pg_class AS c
        WHERE c.relnamespace = 'public'::regnamespace AND c.relname::text = ANY ($1)
          AND row_security_active(c.oid)
        ORDER BY c.relname";
    let names: Vec<&str> = plan.tables.iter().map(|(table, _)| table.name.as_str()).collect();
    let doing = "asking whether row-level security hides anything";
    let rows = leader.query(SQL, &[&names]).await.map_err(Error::database(doing))?;
    for row in &rows {
        let get =
            || Ok::<_, tokio_postgres::Error>((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?));
        let (table, role, sees_all): (String, String, bool) =
            get().map_err(Error::database(doing))?;
        if !sees_all {
            return Err(Error::Filtered { table, role });
        }
    }
    Ok(if rows.is_empty() { "SET LOCAL row_security = off" } else { "SET LOCAL row_security = on" })
}

async fn database(leader: &Client) -> Result<DatabaseInfo, tokio_postgres::Error> {
    let row = leader
        .query_one(
            "SELECT current_database()::text, current_setting('server_version'),
                pg_current_wal_lsn()::text",
            &[],
        )
        .await?;
    Ok(DatabaseInfo {
        name: row.try_get(0)?,
        server_version: row.try_get(1)?,
        lsn: row.try_get(2)?,
    })
}

async fn migrations(leader: &Client) -> Result<Vec<AppliedMigration>, tokio_postgres::Error> {
    // By way of JSON, for ledgers that have no checksums.
    let sql = "SELECT version::text, to_jsonb(ledger) ->> 'checksum'
        FROM public.seaql_migrations AS ledger ORDER BY version";
    let rows = leader.query(sql, &[]).await?;
    rows.iter()
        .map(|row| Ok(AppliedMigration { name: row.try_get(0)?, checksum: row.try_get(1)? }))
        .collect()
}

/// Sequences know no snapshots: they are read after it was taken, so that none is behind the rows.
async fn sequences(leader: &Client, plan: &Plan) -> Result<Vec<Sequence>, tokio_postgres::Error> {
    let mut sequences = Vec::new();
    for name in &plan.sequences {
        let sql = format!("SELECT last_value, is_called FROM public.{}", ident(name));
        let row = leader.query_one(&sql, &[]).await?;
        let (last_value, is_called) = (row.try_get(0)?, row.try_get(1)?);
        sequences.push(Sequence { name: name.clone(), last_value, is_called });
    }
    Ok(sequences)
}

async fn value<T>(client: &Client, sql: &str) -> Result<T, tokio_postgres::Error>
where
    T: for<'a> tokio_postgres::types::FromSql<'a>,
{
    client.query_one(sql, &[]).await?.try_get(0)
}

async fn execute(client: &Client, sql: &str) -> Result<()> {
    client.batch_execute(sql).await.map_err(Error::database("taking a snapshot"))
}

//! What stands between us and the rows, found out once when a service starts: a pooler, and of what
//! kind; a role, and whether row-level security holds it.

use std::collections::BTreeSet;

use sea_orm::{DbBackend, Statement};
use tokio_postgres::{SimpleQueryMessage, error::SqlState};

use super::Engine;
use crate::{Error, Result};

/// What a store stands on: what [`crate::SystemScope::footing`] finds out.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Footing {
    /// Whether a pooler in transaction mode is in between, one of the kind that can be used.
    pub pooled: bool,
    /// Why row-level security does not hold the role that we are, if it does not.
    pub unwalled: Option<String>,
}

/// How often to look. A pooler may give us the same server connection twice by chance.
const LOOKS: usize = 8;

/// A statement that nobody else prepares.
const MARK: &str = "SELECT 'brownie asks who is in between'";

const BAD_POOLER: &str = "there is a pooler in transaction mode between us and the database that \
    hands on the names of prepared statements as they are (PgBouncer before 1.21, or a newer one \
    without max_prepared_statements): it gives one client the rows of another's query. Use PgBouncer \
    1.21 or newer with max_prepared_statements = 200, session mode, or no pooler";

impl Engine {
    /// Finds out what is in between, and acts upon it from now on.
    pub(crate) async fn footing(&self) -> Result<Footing> {
        let engine = self.clone();
        let pooled = match &self.doubt {
            Some(_) => self.spawn(async move { engine.find_pooler().await }).await?,
            None => false,
        };
        self.set_pooled(pooled);
        Ok(Footing { pooled, unwalled: self.find_gap().await? })
    }

    /// Tells whether two connections of ours get to share server processes, as they do behind a
    /// pooler in transaction mode.
    ///
    /// # Errors
    /// When such a pooler cannot tell our prepared statements from others'.
    async fn find_pooler(&self) -> Result<bool> {
        let first = self.connector.connect().await?;
        let second = self.connector.connect().await?;
        let marked = match first.prepare(MARK).await {
            Ok(marked) => marked,
            Err(error) => return Err(mixed_up(error)),
        };
        let look = format!(
            "SELECT pg_backend_pid(), (SELECT string_agg(name, ' ') FROM pg_prepared_statements
                WHERE statement = '{}')",
            MARK.replace('\'', "''")
        );
        let (mut firsts, mut seconds, mut names) =
            (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for _ in 0..LOOKS {
            for (client, backends) in [(&first, &mut firsts), (&second, &mut seconds)] {
                for message in client.simple_query(&look).await? {
                    let SimpleQueryMessage::Row(row) = message else { continue };
                    backends.extend(row.get(0).map(str::to_owned));
                    names.extend(row.get(1).map(str::to_owned));
                }
            }
        }
        let pooled = firsts.len() > 1 || seconds.len() > 1 || !firsts.is_disjoint(&seconds);
        if pooled {
            // tokio-postgres names its statements s0, s1 and so on, in every process alike.
            let ours = |name: &str| name.starts_with('s');
            if names.iter().any(|found| found.split(' ').any(ours)) {
                return Err(Error::Settings(BAD_POOLER.to_owned()));
            }
            first.query(&marked, &[]).await.map_err(mixed_up)?;
        }
        Ok(pooled)
    }

    /// Finds what lets us past row-level security: being a superuser or the owner, or being able to
    /// become one.
    async fn find_gap(&self) -> Result<Option<String>> {
        const SQL: &str = "WITH role AS (SELECT * FROM pg_roles WHERE rolname = current_user)
            SELECT role.rolname::text AS name, CASE
                WHEN rolsuper THEN 'is a superuser'
                WHEN rolbypassrls THEN 'has BYPASSRLS'
                -- Up to PostgreSQL 15 it may make itself a member of any role but a superuser.
                WHEN rolcreaterole THEN 'has CREATEROLE'
                ELSE coalesce(
                    (SELECT format('can become %s, which row-level security does not hold', other.rolname)
                     FROM pg_roles AS other
                     WHERE other.rolname <> role.rolname
                       AND (other.rolsuper OR other.rolbypassrls
                            OR other.rolname IN ('brownie-migrator', 'brownie-backup', 'brownie-lookup'))
                       AND pg_has_role(role.oid, other.oid, 'MEMBER')
                     ORDER BY other.rolname LIMIT 1),
                    (SELECT format('owns the table %s', min(relname)) FROM pg_class
                     WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
                       AND relowner = role.oid HAVING count(*) > 0),
                    (SELECT format('meets no row-level security on the table %s', min(relname))
                     FROM pg_class AS open
                     WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
                       AND NOT relispartition AND NOT (relrowsecurity AND relforcerowsecurity)
                       AND (relname = 'organizations' OR EXISTS (SELECT FROM pg_attribute
                            WHERE attrelid = open.oid AND attname = 'org_id'))
                     HAVING count(*) > 0))
                END AS gap
            FROM role";
        let rows = self.read_unscoped(Statement::from_string(DbBackend::Postgres, SQL)).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let (name, gap): (String, Option<String>) = (row.try_get("name")?, row.try_get("gap")?);
        Ok(gap.map(|gap| format!("the role {name} {gap}")))
    }
}

/// A statement that we prepared is not there, or another is: the pooler mixed them up.
fn mixed_up(error: tokio_postgres::Error) -> Error {
    match error.code() {
        Some(&SqlState::INVALID_SQL_STATEMENT_NAME | &SqlState::DUPLICATE_PSTATEMENT) => {
            Error::Settings(BAD_POOLER.to_owned())
        }
        _ => error.into(),
    }
}

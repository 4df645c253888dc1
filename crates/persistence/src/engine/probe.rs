//! What stands between us and the rows, found out once when a service starts: a pooler, and of what
//! kind; a role, and whether row-level security holds it.

use sea_orm::{DbBackend, Statement};

use super::Engine;
use crate::Result;

/// What a store stands on: what [`crate::SystemScope::footing`] finds out.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Footing {
    /// Whether a pooler in transaction mode is in between, one of the kind that can be used.
    pub pooled: bool,
    /// Why row-level security does not hold the role that we are, if it does not.
    pub unwalled: Option<String>,
}

impl Engine {
    /// Finds out what is in between. Each connection does so for itself when it is opened.
    pub(crate) async fn footing(&self) -> Result<Footing> {
        let unwalled = self.find_gap().await?;
        Ok(Footing { pooled: self.is_pooled(), unwalled })
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

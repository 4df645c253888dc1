//! Whether a database can be migrated: asked before, and changes nothing.

use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, Statement};
use serde::Serialize;

use crate::{Database, Error};

/// One thing that must be so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at.
    pub name: &'static str,
    /// Whether it is as it must be.
    pub good: bool,
    /// What was found.
    pub found: String,
    /// What to do about it, if it is not good.
    pub remedy: Option<&'static str>,
}

const FACTS: &str = "SELECT
    current_user::text AS role,
    current_setting('server_version') AS version,
    current_setting('server_version_num')::int AS version_number,
    coalesce((SELECT version || ', ' || cipher FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND ssl), '') AS tls,
    inet_server_addr() IS NULL OR inet_server_addr() << '127.0.0.0/8' OR inet_server_addr() = '::1' AS is_local,
    pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on' AS is_read_only,
    current_setting('server_encoding') AS encoding,
    has_schema_privilege('public', 'CREATE')
        OR (EXISTS (SELECT FROM pg_roles WHERE rolname = 'brownie-migrator')
            AND pg_has_role(current_user, (SELECT oid FROM pg_roles WHERE rolname = 'brownie-migrator'), 'MEMBER'))
        AS may_create,
    (SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user)
        OR 5 = (SELECT count(*) FROM pg_roles WHERE rolname IN ('brownie-migrator', 'brownie-server',
            'brownie-backup', 'brownie-monitor', 'brownie-lookup')) AS has_roles";

/// Looks at everything that [`crate::apply`] needs.
///
/// # Errors
/// When the server was reached and cannot be asked; that it cannot be reached is a check of its own.
pub async fn check(database: &Database) -> Result<Vec<Check>, Error> {
    let db = match database.connect().await {
        Ok(db) => db,
        Err(error) => {
            let found = std::iter::successors(Some(&error as &dyn std::error::Error), |error| {
                error.source()
            });
            let found = found.map(ToString::to_string).collect::<Vec<_>>().join(": ");
            let remedy = Some(
                "see that the server runs, and check host, port, role, certificate and the database's name",
            );
            return Ok(vec![Check { name: "connection", good: false, found, remedy }]);
        }
    };
    let checks = facts(&db).await;
    let _ = db.close().await;
    Ok(checks?)
}

async fn facts(db: &DatabaseConnection) -> Result<Vec<Check>, DbErr> {
    let statement = Statement::from_string(db.get_database_backend(), FACTS);
    let Some(row) = db.query_one_raw(statement).await? else { return Ok(Vec::new()) };
    let text = |name: &str| row.try_get::<String>("", name);
    let yes = |name: &str| row.try_get::<bool>("", name);
    let (role, version, encoding) = (text("role")?, text("version")?, text("encoding")?);
    let number: i32 = row.try_get("", "version_number")?;
    let (tls, is_local, is_read_only) = (text("tls")?, yes("is_local")?, yes("is_read_only")?);
    let (may_create, has_roles) = (yes("may_create")?, yes("has_roles")?);
    let look = |name, good: bool, found: String, remedy| Check {
        name,
        good,
        found,
        remedy: (!good).then_some(remedy),
    };
    Ok(vec![
        look("connection", true, format!("as {role}"), ""),
        look(
            "tls",
            !tls.is_empty() || is_local,
            if tls.is_empty() { "not encrypted".to_owned() } else { tls },
            "set sslmode=verify-full and sslrootcert in DATABASE_URL, or DB_SSL_MODE",
        ),
        look(
            "version",
            number >= 150_000,
            format!("PostgreSQL {version}"),
            "use PostgreSQL 15 or newer",
        ),
        look(
            "writable",
            !is_read_only,
            if is_read_only { "read-only" } else { "takes writes" }.to_owned(),
            "connect to the primary; a replica, or default_transaction_read_only, cannot be migrated",
        ),
        look("encoding", encoding == "UTF8", encoding, "create the database with ENCODING 'UTF8'"),
        look(
            "privileges",
            may_create,
            if may_create {
                "may create in schema public"
            } else {
                "may not create in schema public"
            }
            .to_owned(),
            "GRANT CREATE ON SCHEMA public TO the role, or make it a member of \"brownie-migrator\"",
        ),
        look(
            "roles",
            has_roles,
            if has_roles { "are there, or can be made" } else { "are missing and cannot be made" }
                .to_owned(),
            "give the role CREATEROLE for the first run, or make the roles of docs/operations.md beforehand",
        ),
        look("extensions", true, "none is needed".to_owned(), ""),
    ])
}

//! Is this a database of Brownie 0.1, and which of its two kinds?

use sea_orm::{ConnectionTrait, DbErr, Statement};
use serde::Serialize;

use crate::{Error, columns::TYPES, tables::TABLES};

/// The revision of the original's one migration.
const REVISION: &str = "d607e412e7b0";

/// How the original's tables were made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Variant {
    /// By its migration.
    Migration,
    /// By its ORM, which leaves no ledger and times without a zone.
    Orm,
}

pub(crate) fn statement(db: &impl ConnectionTrait, sql: impl Into<String>) -> Statement {
    Statement::from_string(db.get_database_backend(), sql.into())
}

/// Reads the first column of each row as text.
pub(crate) async fn texts(db: &impl ConnectionTrait, sql: &str) -> Result<Vec<String>, DbErr> {
    let rows = db.query_all_raw(statement(db, sql)).await?;
    rows.iter().map(|row| row.try_get_by_index(0)).collect()
}

/// Asks a question of yes or no.
pub(crate) async fn is(db: &impl ConnectionTrait, condition: &str) -> Result<bool, DbErr> {
    match db.query_one_raw(statement(db, format!("SELECT {condition} AS answer"))).await? {
        Some(row) => Ok(row.try_get::<Option<bool>>("", "answer")?.unwrap_or(false)),
        None => Ok(false),
    }
}

/// Recognises the original in `public`.
///
/// # Errors
/// [`Error::NotTheOriginal`] with everything that is not as it should be.
pub(crate) async fn recognise(db: &impl ConnectionTrait) -> Result<Variant, Error> {
    let refuse =
        |difference: &str| Error::NotTheOriginal { differences: vec![difference.to_owned()] };
    if is(db, "to_regclass('public.seaql_migrations') IS NOT NULL").await? {
        return Err(refuse("our own migrations were applied to it already"));
    }
    if !is(db, "to_regclass('public.organizations') IS NOT NULL").await? {
        return Err(refuse(
            "it has none of the original's tables (the original's downgrade may have dropped them); \
             there is nothing to adopt, `brownie-migrator up` makes ours",
        ));
    }
    let mut differences = columns(db).await?;
    differences.extend(types(db).await?);
    let variant = if is(db, "to_regclass('public.alembic_version') IS NULL").await? {
        Variant::Orm
    } else {
        let ledger = texts(db, "SELECT version_num::text FROM public.alembic_version").await?;
        if ledger != [REVISION] {
            differences.push(format!("alembic_version says {ledger:?} and not [{REVISION:?}]"));
        }
        Variant::Migration
    };
    // The migrations would take it for one of ours and hand it to our roles.
    let known =
        TABLES.iter().map(|table| format!("'{}'", table.name)).collect::<Vec<_>>().join(", ");
    let others = format!(
        "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace
           AND relkind IN ('r', 'p', 'v', 'm', 'S') AND relname NOT IN ({known}, 'alembic_version')
           AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_class.oid AND deptype = 'e')
         ORDER BY relname"
    );
    for other in texts(db, &others).await? {
        differences.push(format!(
            "public.{other} is not of the original; move it to another schema first"
        ));
    }
    differences.extend(privileges(db).await?);
    if differences.is_empty() { Ok(variant) } else { Err(Error::NotTheOriginal { differences }) }
}

async fn columns(db: &impl ConnectionTrait) -> Result<Vec<String>, DbErr> {
    let mut differences = Vec::new();
    for table in TABLES {
        let name = table.name;
        for (column, wanted) in table.original {
            // The ORM makes three times without a zone.
            let found = texts(
                db,
                &format!(
                    "SELECT CASE WHEN a.atttypid = '{wanted}'::regtype OR ('{wanted}' = 'timestamptz'
                        AND a.atttypid = 'timestamp'::regtype) THEN ''
                        ELSE format_type(a.atttypid, a.atttypmod) END
                     FROM pg_attribute AS a WHERE a.attrelid = to_regclass('public.{name}')
                       AND a.attname = '{column}' AND NOT a.attisdropped"
                ),
            )
            .await;
            match found.as_deref() {
                Ok([same]) if same.is_empty() => {}
                Ok([other]) => {
                    differences.push(format!("{name}.{column} is {other}, not {wanted}"));
                }
                Ok(_) => differences.push(format!("{name}.{column} is missing")),
                Err(_) => {
                    differences.push(format!("the type {wanted} of {name}.{column} is missing"));
                    return Ok(differences);
                }
            }
        }
    }
    Ok(differences)
}

async fn types(db: &impl ConnectionTrait) -> Result<Vec<String>, DbErr> {
    let mut differences = Vec::new();
    for of in TYPES {
        if !is(db, &format!("to_regtype('public.{of}') IS NOT NULL")).await? {
            differences.push(format!("the type {of} is missing"));
        }
    }
    Ok(differences)
}

/// What the role that we are cannot do.
async fn privileges(db: &impl ConnectionTrait) -> Result<Vec<String>, DbErr> {
    let names =
        TABLES.iter().map(|table| format!("'{}'", table.name)).collect::<Vec<_>>().join(", ");
    texts(
        db,
        &format!(
            "SELECT format('%I does not own its tables; as an administrator: GRANT %I TO %I;', current_user,
                 pg_get_userbyid(relowner), current_user)
             FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relname IN ({names})
               AND NOT pg_has_role(relowner, 'USAGE') GROUP BY relowner
             UNION ALL
             SELECT format('%I may not make schemas; as an administrator: GRANT CREATE ON DATABASE %I TO %I;',
                 current_user, current_database(), current_user)
             WHERE NOT has_database_privilege(current_database(), 'CREATE')"
        ),
    )
    .await
}

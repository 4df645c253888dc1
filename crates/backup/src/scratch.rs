//! Databases that are made to be filled, and get their name when they are full. A restore never writes
//! into a database that anybody uses.

use std::time::Duration;

use tokio_postgres::{Client, error::SqlState};
use uuid::Uuid;

use crate::{
    Dial, Error, Result,
    server::{ident, literal},
};

/// How the names of such databases begin; 32 hexadecimal digits follow.
const PREFIX: &str = "brownie_scratch_";

/// How often to ask whoever is connected to go, before giving a database its name.
const TRIES: u32 = 50;
const PAUSE: Duration = Duration::from_millis(200);

/// The longest name that PostgreSQL does not cut.
const NAME: usize = 63;

/// The name of a database to restore into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target(String);

impl Target {
    /// Takes a name, if a database that is ours can have it.
    ///
    /// # Errors
    /// [`Error::Target`].
    pub fn new(name: &str) -> Result<Self> {
        let refused = |why: &str| {
            let target: String = name.chars().take(NAME).collect();
            Err(Error::Target { target, why: why.to_owned() })
        };
        if name.is_empty() || name.len() > NAME || name.contains(char::is_control) {
            return refused("a name has 1 to 63 bytes, and no control characters");
        }
        if matches!(name, "postgres" | "template0" | "template1") {
            return refused("it is the server's own");
        }
        if name.starts_with(PREFIX) {
            return refused("such names are for databases that come and go");
        }
        Ok(Self(name.to_owned()))
    }

    /// Returns it as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// That a database which is not empty may be replaced. It is not removed, but renamed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replace(String);

impl Replace {
    /// Takes what somebody typed to confirm it: the name of the database, and nothing else.
    ///
    /// # Errors
    /// [`Error::Occupied`] when they typed something else.
    pub fn confirmed(typed: &str, target: &Target) -> Result<Self> {
        if typed == target.0 {
            Ok(Self(typed.to_owned()))
        } else {
            Err(Error::Occupied { target: target.0.clone() })
        }
    }
}

/// What is known of the database that is to be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// There is none.
    Absent,
    /// There is nothing in it.
    Empty,
    /// There is, and that was confirmed.
    Confirmed,
}

/// Looks whether a target may be taken.
pub(crate) async fn standing(
    dial: &dyn Dial,
    maintenance: &Client,
    target: &Target,
    replace: Option<&Replace>,
) -> Result<Standing> {
    let doing = "looking at the database to restore into";
    let sql = "SELECT FROM pg_database WHERE datname = $1";
    let found = maintenance.query_opt(sql, &[&target.0]).await.map_err(Error::database(doing))?;
    if found.is_none() {
        return Ok(Standing::Absent);
    }
    let inside = dial.dial(Some(&target.0)).await?;
    let sql = "SELECT count(*) FROM pg_catalog.pg_class AS c
        JOIN pg_catalog.pg_namespace AS n ON n.oid = relnamespace
        WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
          AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend WHERE objid = c.oid AND deptype = 'e')";
    let count = inside.query_one(sql, &[]).await.and_then(|row| row.try_get::<_, i64>(0));
    match (count.map_err(Error::database(doing))?, replace) {
        (0, _) => Ok(Standing::Empty),
        (_, Some(Replace(confirmed))) if *confirmed == target.0 => Ok(Standing::Confirmed),
        _ => Err(Error::Occupied { target: target.0.clone() }),
    }
}

/// A database that is being filled.
#[derive(Debug)]
pub(crate) struct Scratch {
    pub(crate) name: String,
}

impl Scratch {
    /// Makes an empty one. Whoever holds the lock removes those of runs that died before.
    pub(crate) async fn make(maintenance: &Client, id: Uuid) -> Result<Self> {
        let doing = "making a scratch database";
        let sql = format!(
            "SELECT datname::text FROM pg_database WHERE datname ~ '^{PREFIX}[0-9a-f]{{32}}$'"
        );
        let left = maintenance.query(&sql, &[]).await.map_err(Error::database(doing))?;
        for row in left {
            let name: String = row.try_get(0).map_err(Error::database(doing))?;
            tracing::warn!(%name, "removing the scratch database of a run that died");
            Self { name }.remove(maintenance).await?;
        }
        let name = format!("{PREFIX}{}", id.simple());
        // Of template0: what somebody put into template1 is not ours.
        let sql = format!("CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8'", ident(&name));
        maintenance.batch_execute(&sql).await.map_err(Error::database(doing))?;
        Ok(Self { name })
    }

    /// Removes it, with whoever is connected.
    pub(crate) async fn remove(&self, maintenance: &Client) -> Result<()> {
        let sql = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", ident(&self.name));
        maintenance
            .batch_execute(&sql)
            .await
            .map_err(Error::database("removing a scratch database"))
    }

    /// Gives it the target's name, in one transaction with taking that name from another: at any time
    /// there is one database of that name, or none if there was none. Returns what the other is called
    /// now, unless it was empty and has been removed.
    pub(crate) async fn rename(
        &self,
        maintenance: &Client,
        target: &Target,
        standing: Standing,
        stamp: &str,
    ) -> Result<Option<String>> {
        let doing = || format!("giving the restored database the name {}", target.0);
        let old = spare_name(&target.0, stamp);
        let mut sql = String::from("BEGIN;");
        if standing != Standing::Absent {
            sql += &inherit(&target.0, &self.name);
            sql += &rename(&target.0, &old);
        }
        sql += &rename(&self.name, &target.0);
        sql += "COMMIT;";
        for attempt in 1.. {
            for database in [&target.0, &self.name] {
                let ask = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                    WHERE datname = $1 AND pid <> pg_backend_pid()";
                maintenance.query(ask, &[database]).await.map_err(Error::database(doing()))?;
            }
            match maintenance.batch_execute(&sql).await {
                Ok(()) => break,
                Err(error) if error.code() == Some(&SqlState::OBJECT_IN_USE) && attempt < TRIES => {
                    let _ = maintenance.batch_execute("ROLLBACK").await;
                }
                Err(source) => {
                    let _ = maintenance.batch_execute("ROLLBACK").await;
                    return Err(Error::Database { doing: doing(), source });
                }
            }
            #[expect(
                clippy::disallowed_methods,
                reason = "sessions on a server end without a word"
            )]
            tokio::time::sleep(PAUSE).await;
        }
        match standing {
            Standing::Absent => Ok(None),
            Standing::Confirmed => Ok(Some(old)),
            Standing::Empty => {
                Self { name: old }.remove(maintenance).await?;
                Ok(None)
            }
        }
    }
}

/// Returns what a database is called when another has its name.
fn spare_name(target: &str, stamp: &str) -> String {
    let suffix = format!("_before_{stamp}");
    let mut base = target.to_owned();
    while base.len() + suffix.len() > NAME {
        base.pop();
    }
    base + &suffix
}

fn rename(from: &str, to: &str) -> String {
    format!("ALTER DATABASE {} RENAME TO {};", ident(from), ident(to))
}

/// Returns what gives a database the owner, the rights and the settings of another.
fn inherit(from: &str, to: &str) -> String {
    let (from, to) = (literal(from), literal(to));
    format!(
        "DO $inherit$
        DECLARE
            old record;
            one record;
        BEGIN
            SELECT * INTO STRICT old FROM pg_database WHERE datname = {from};
            IF old.datacl IS NOT NULL THEN
                EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', {to});
                FOR one IN SELECT privilege_type, grantee FROM aclexplode(old.datacl) LOOP
                    EXECUTE format('GRANT %s ON DATABASE %I TO %s', one.privilege_type, {to},
                        CASE one.grantee WHEN 0 THEN 'PUBLIC' ELSE one.grantee::regrole::text END);
                END LOOP;
            END IF;
            FOR one IN SELECT setrole, unnest(setconfig) AS setting FROM pg_db_role_setting
                WHERE setdatabase = old.oid
            LOOP
                EXECUTE CASE one.setrole WHEN 0 THEN format('ALTER DATABASE %I', {to})
                        ELSE format('ALTER ROLE %s IN DATABASE %I', one.setrole::regrole, {to}) END
                    || format(' SET %I = %L', split_part(one.setting, '=', 1),
                        substr(one.setting, strpos(one.setting, '=') + 1));
            END LOOP;
            EXECUTE format('ALTER DATABASE %I OWNER TO %s', {to}, old.datdba::regrole);
        END
        $inherit$;"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_database_of_ours() {
        assert_eq!(Target::new("brownie_metadata").unwrap().as_str(), "brownie_metadata");
        assert!(Target::new("with space \"and\" quotes").is_ok());
        for bad in ["", "postgres", "template1", "brownie_scratch_x", "a\0b", &"x".repeat(64)] {
            assert!(Target::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn only_the_whole_name_confirms() {
        let target = Target::new("brownie").unwrap();
        assert!(Replace::confirmed("brownie", &target).is_ok());
        for typed in ["", "yes", "Brownie", "brownie ", "brownie_metadata"] {
            assert!(Replace::confirmed(typed, &target).is_err(), "{typed:?}");
        }
    }

    #[test]
    fn a_spare_name_is_no_longer_than_a_name() {
        assert_eq!(spare_name("db", "20261121T020000Z"), "db_before_20261121T020000Z");
        let long = spare_name(&"\u{e4}".repeat(31), "20261121T020000Z");
        assert!(long.len() <= NAME && long.ends_with("_before_20261121T020000Z"), "{long}");
    }
}

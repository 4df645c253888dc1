//! Takes keys, indexes, references and row-level security off the tables of a scratch database while they
//! are filled, and puts them back, exactly as they were.
//!
//! It is much faster to index all rows than each, and references between tables that are filled at
//! the same time cannot hold. Put back, each reference is checked for all rows, by PostgreSQL. None
//! of that takes a superuser: whoever owns the tables may, and row-level security does not hold an
//! owner whom it is not forced upon.

use tokio_postgres::Client;

use crate::{Error, Result};

/// What was taken off, and what puts it back.
#[derive(Debug)]
pub(crate) struct Fastenings {
    /// How it all was, in words.
    before: Vec<String>,
    keys: Vec<String>,
    indexes: Vec<String>,
    references: Vec<String>,
    walls: Vec<String>,
}

impl Fastenings {
    /// Takes everything off.
    pub(crate) async fn take_off(client: &Client) -> Result<Self> {
        Ok(Self {
            before: facts(client).await?,
            // References first: they stand on keys.
            references: off(client, REFERENCES).await?,
            keys: off(client, KEYS).await?,
            indexes: off(client, INDEXES).await?,
            walls: off(client, WALLS).await?,
        })
    }

    /// Returns the statements that make the keys: in any order, several at a time, while nobody reads
    /// the tables.
    pub(crate) fn keys(&self) -> &[String] {
        &self.keys
    }

    /// Returns the statements that make the indexes: in any order, several at a time.
    pub(crate) fn indexes(&self) -> &[String] {
        &self.indexes
    }

    /// Returns the statements that make the references: when the keys are there.
    pub(crate) fn references(&self) -> &[String] {
        &self.references
    }

    /// Puts row-level security back, and makes sure that everything is as it was.
    ///
    /// # Errors
    /// [`Error::Schema`] when it is not.
    pub(crate) async fn finish(&self, client: &Client) -> Result<()> {
        for on in &self.walls {
            execute(client, on).await?;
        }
        let after = facts(client).await?;
        let other = |facts: &[String], than: &[String]| {
            facts.iter().find(|fact| !than.contains(fact)).cloned()
        };
        match (other(&self.before, &after), other(&after, &self.before)) {
            (None, None) => Ok(()),
            (Some(lost), _) => {
                Err(Error::Schema { what: format!("after loading there is no {lost}") })
            }
            (None, Some(new)) => {
                Err(Error::Schema { what: format!("after loading there is a {new}") })
            }
        }
    }
}

/// References, but for those that a partition has from its parent.
const REFERENCES: &str = "
    SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname),
        format('ALTER TABLE %s ADD CONSTRAINT %I %s', conrelid::regclass, conname,
            pg_get_constraintdef(oid))
    FROM pg_constraint
    WHERE contype = 'f' AND conparentid = 0 AND connamespace = 'public'::regnamespace
    ORDER BY conrelid::regclass::text, conname";

/// Keys, but for those that a partition has from its parent.
const KEYS: &str = "
    SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname),
        format('ALTER TABLE %s ADD CONSTRAINT %I %s', conrelid::regclass, conname,
            pg_get_constraintdef(oid))
    FROM pg_constraint
    WHERE contype IN ('p', 'u', 'x') AND conparentid = 0 AND connamespace = 'public'::regnamespace
      AND conrelid <> 'public.seaql_migrations'::regclass
    ORDER BY conrelid::regclass::text, conname";

/// Indexes that are no key's, but for those that a partition has from its parent. That of a parent
/// is said to be ON ONLY it.
const INDEXES: &str = "
    SELECT format('DROP INDEX %s', indexrelid::regclass),
        CASE part.relkind WHEN 'I'
            THEN replace(pg_get_indexdef(indexrelid), ' ON ONLY ', ' ON ')
            ELSE pg_get_indexdef(indexrelid) END
    FROM pg_index JOIN pg_class AS part ON part.oid = indexrelid
    WHERE part.relnamespace = 'public'::regnamespace AND NOT part.relispartition
      AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)
      AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = indrelid AND deptype = 'e')
    ORDER BY indexrelid::regclass::text";

const WALLS: &str = "
    SELECT format('ALTER TABLE %s NO FORCE ROW LEVEL SECURITY', oid::regclass),
        format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', oid::regclass)
    FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relforcerowsecurity
    ORDER BY oid::regclass::text";

/// Everything that is taken off, partitions included.
const FACTS: &str = "
    SELECT format('constraint %s of %s: %s, %s', conname, conrelid::regclass,
        pg_get_constraintdef(oid), CASE WHEN convalidated THEN 'valid' ELSE 'not valid' END)
    FROM pg_constraint WHERE connamespace = 'public'::regnamespace
    UNION ALL
    SELECT format('index %s, %s', pg_get_indexdef(indexrelid),
        CASE WHEN indisvalid THEN 'valid' ELSE 'not valid' END)
    FROM pg_index JOIN pg_class AS part ON part.oid = indexrelid
    WHERE part.relnamespace = 'public'::regnamespace
    UNION ALL
    SELECT format('table %s with row-level security %s and %s', oid::regclass,
        relrowsecurity, relforcerowsecurity)
    FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
    ORDER BY 1";

async fn facts(client: &Client) -> Result<Vec<String>> {
    let rows = client.query(FACTS, &[]).await.map_err(Error::database(DOING))?;
    rows.iter().map(|row| row.try_get(0).map_err(Error::database(DOING))).collect()
}

/// Runs what the first column of an answer says, and returns what the second one does.
async fn off(client: &Client, sql: &str) -> Result<Vec<String>> {
    let mut on = Vec::new();
    for row in client.query(sql, &[]).await.map_err(Error::database(DOING))? {
        let off: String = row.try_get(0).map_err(Error::database(DOING))?;
        execute(client, &off).await?;
        on.push(row.try_get(1).map_err(Error::database(DOING))?);
    }
    Ok(on)
}

async fn execute(client: &Client, sql: &str) -> Result<()> {
    client.batch_execute(sql).await.map_err(Error::database(format!("running {sql:?}")))
}

const DOING: &str = "preparing the tables to be filled";

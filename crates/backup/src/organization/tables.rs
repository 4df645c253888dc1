//! What tables an organization has rows in, in what order, and what is done with each of them.

use tokio_postgres::Client;
use uuid::Uuid;

use crate::{Error, Plan, Result, server::ident};

/// What bringing an organization back does with its rows of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// They become what the backup has.
    Restored,
    /// Those that are missing are added; what is there stays. Evidence is not taken away.
    Added,
    /// Those that the backup does not have are removed; the others stay as they are, and none is
    /// added: what was revoked since is not brought back to life.
    Narrowed,
    /// They stay as they are, as far as what they refer to does.
    Left,
}

/// The tables with another rule than [`Rule::Restored`], and why.
pub const RULES: &[(&str, Rule, &str)] = &[
    ("audit_log", Rule::Added, "who did what stays on record, whatever was restored since"),
    ("outbox", Rule::Left, "what readers of events have read has happened"),
    ("sessions", Rule::Left, "none comes back; those that are open are ended"),
    ("refresh_tokens", Rule::Left, "they go with their sessions"),
    ("api_keys", Rule::Narrowed, "what was revoked, replaced or narrowed since stays so"),
    ("api_key_uses", Rule::Left, "they go with their keys"),
    (
        "idempotency_keys",
        Rule::Narrowed,
        "an answer is kept as long as what it tells of is still there",
    ),
];

/// Columns that are not compared, and do not take the backup's value: they only ever grow.
///
/// A version that a client has seen must not come back with other content, or `If-Match` would let a
/// lost update through. A generation that came back would make tokens valid that were revoked.
pub const GROWING: &[&str] = &["version", "token_generation"];

/// Columns that are in no archive.
pub const SECRETS: &[(&str, &str)] = &[("users", "password_hash"), ("users", "token_generation")];

/// Returns what is done with a table's rows.
pub fn rule(table: &str) -> Rule {
    RULES.iter().find(|(name, _, _)| *name == table).map_or(Rule::Restored, |(_, rule, _)| *rule)
}

/// A column: its name, and its type as SQL has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) kind: String,
}

/// A reference to another table of the organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reference {
    pub(crate) to: String,
    /// Pairs of columns: here, and there.
    pub(crate) columns: Vec<(String, String)>,
}

/// A table with rows of organizations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TenantTable {
    pub(crate) name: String,
    pub(crate) columns: Vec<Column>,
    pub(crate) key: Vec<String>,
    pub(crate) references: Vec<Reference>,
    pub(crate) rule: Rule,
}

impl TenantTable {
    /// Returns the column that says whose a row is.
    pub(crate) fn tenant(&self) -> &'static str {
        if self.is_organizations() { "id" } else { "org_id" }
    }

    pub(crate) fn is_organizations(&self) -> bool {
        self.name == ORGANIZATIONS
    }

    pub(crate) fn has(&self, column: &str) -> bool {
        self.columns.iter().any(|it| it.name == column)
    }

    /// Returns it as SQL names it.
    pub(crate) fn live(&self) -> String {
        format!("public.{}", ident(&self.name))
    }

    /// Returns the temporary table that has its rows of the backup.
    pub(crate) fn staged(&self) -> String {
        format!("pg_temp.{}", ident(&self.name))
    }

    /// Returns the condition that a row, of the table or of an alias of it, is an organization's.
    pub(crate) fn is_of(&self, alias: &str, organization: Uuid) -> String {
        format!("{alias}.{} = '{organization}'::uuid", ident(self.tenant()))
    }

    /// Returns the columns of which the backup's rows are needed: of those that are only compared, the
    /// key.
    pub(crate) fn wanted(&self) -> impl Iterator<Item = &Column> {
        let key_only = self.rule == Rule::Narrowed;
        self.columns.iter().filter(move |column| !key_only || self.key.contains(&column.name))
    }
}

const ORGANIZATIONS: &str = "organizations";

const COLUMNS: &str = "
    SELECT c.relname::text, attname::text, format_type(atttypid, atttypmod),
        EXISTS (SELECT FROM pg_index WHERE indrelid = c.oid AND indisprimary
            AND attnum = ANY (indkey::smallint[]))
    FROM pg_class AS c JOIN pg_attribute ON attrelid = c.oid
    WHERE c.relnamespace = 'public'::regnamespace AND c.relname::text = ANY ($1)
      AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
    ORDER BY c.relname, attnum";

const REFERENCES: &str = "
    SELECT here.relname::text, there.relname::text, con.conname::text,
        one.attname::text, other.attname::text
    FROM pg_constraint AS con
    JOIN pg_class AS here ON here.oid = conrelid
    JOIN pg_class AS there ON there.oid = confrelid
    CROSS JOIN unnest(conkey, confkey) AS pair (here_number, there_number)
    JOIN pg_attribute AS one ON one.attrelid = conrelid AND one.attnum = here_number
    JOIN pg_attribute AS other ON other.attrelid = confrelid AND other.attnum = there_number
    WHERE contype = 'f' AND conparentid = 0 AND connamespace = 'public'::regnamespace
    ORDER BY 1, 2, 3, pair.here_number";

const DOING: &str = "reading which tables organizations have rows in";

/// Returns all tables with rows of organizations; what is referred to comes before who refers.
pub(crate) async fn read(client: &Client) -> Result<Vec<TenantTable>> {
    let plan = Plan::read(client).await?;
    let names: Vec<&str> = plan.tables.iter().map(|(table, _)| table.name.as_str()).collect();
    let failed = || Error::database(DOING);
    let mut tables: Vec<TenantTable> = Vec::new();
    for row in client.query(COLUMNS, &[&names]).await.map_err(failed())? {
        let get = || Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?));
        let (table, name, kind, is_key): (String, String, String, bool) = get().map_err(failed())?;
        if tables.last().is_none_or(|last| last.name != table) {
            let rule = rule(&table);
            let (columns, key, references) = (Vec::new(), Vec::new(), Vec::new());
            tables.push(TenantTable { name: table, columns, key, references, rule });
        }
        if let Some(last) = tables.last_mut() {
            if is_key {
                last.key.push(name.clone());
            }
            last.columns.push(Column { name, kind });
        }
    }
    tables.retain(|table| table.has(table.tenant()));
    let mut known: Option<(String, String)> = None;
    for row in client.query(REFERENCES, &[]).await.map_err(failed())? {
        let get = |at: usize| row.try_get::<_, String>(at).map_err(failed());
        let (here, to, name, one, other) = (get(0)?, get(1)?, get(2)?, get(3)?, get(4)?);
        let Some(table) = tables.iter_mut().find(|table| table.name == here) else { continue };
        let constraint = Some((here, name));
        if known != constraint {
            table.references.push(Reference { to, columns: Vec::new() });
            known = constraint;
        }
        if let Some(reference) = table.references.last_mut() {
            reference.columns.push((one, other));
        }
    }
    in_order(tables)
}

/// Sorts tables so that what is referred to comes first. Of itself a table may be the reference.
fn in_order(mut tables: Vec<TenantTable>) -> Result<Vec<TenantTable>> {
    let mut sorted: Vec<TenantTable> = Vec::new();
    while !tables.is_empty() {
        let next = tables.iter().position(|table| {
            let waits_for = |reference: &Reference| {
                reference.to != table.name && tables.iter().any(|other| other.name == reference.to)
            };
            !table.references.iter().any(waits_for)
        });
        let Some(next) = next else {
            let names: Vec<&str> = tables.iter().map(|table| table.name.as_str()).collect();
            return Err(Error::Schema {
                what: format!("{} refer to each other", names.join(", ")),
            });
        };
        sorted.push(tables.remove(next));
    }
    Ok(sorted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(name: &str, to: &[&str]) -> TenantTable {
        let reference = |to: &&str| Reference { to: (*to).to_owned(), columns: Vec::new() };
        TenantTable {
            name: name.to_owned(),
            columns: Vec::new(),
            key: Vec::new(),
            references: to.iter().map(reference).collect(),
            rule: rule(name),
        }
    }

    #[test]
    fn what_is_referred_to_comes_first() {
        let tables = vec![
            table("incidents", &["teams", "users", "organizations"]),
            table("users", &["teams", "organizations", "users"]),
            table("teams", &["organizations"]),
            table("organizations", &[]),
        ];
        let sorted = in_order(tables).unwrap();
        let names: Vec<&str> = sorted.iter().map(|table| table.name.as_str()).collect();
        assert_eq!(names, ["organizations", "teams", "users", "incidents"]);
        let circle = vec![table("a", &["b"]), table("b", &["a"])];
        assert!(in_order(circle).unwrap_err().to_string().contains("a, b refer to each other"));
    }

    #[test]
    fn credentials_are_not_brought_back() {
        for (table, expected) in [
            ("api_keys", Rule::Narrowed),
            ("sessions", Rule::Left),
            ("refresh_tokens", Rule::Left),
            ("audit_log", Rule::Added),
            ("incidents", Rule::Restored),
        ] {
            assert_eq!(rule(table), expected, "{table}");
        }
    }
}

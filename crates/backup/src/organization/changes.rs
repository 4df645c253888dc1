//! How the rows that are there become the rows that are staged: statements, a table at a time.
//!
//! Only what differs is written. So whoever holds the version of a row that did not change still does,
//! and a restore of a little takes little.

use uuid::Uuid;

use super::tables::{GROWING, TenantTable};
use crate::server::{ident, literal};

/// The statements for one table of one organization.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Changes<'a> {
    pub(crate) table: &'a TenantTable,
    pub(crate) organization: Uuid,
    /// Whether the organization is known here: rows that are gone may have had versions that somebody
    /// has seen.
    pub(crate) is_known: bool,
}

impl Changes<'_> {
    /// Takes what is about to go or to change out of the way: until it is done, it counts as deleted,
    /// and holds no name that another row is to have. It also moves `updated_at`, which the trigger of
    /// the table would set otherwise when it is the backup's already. Nobody sees that in between.
    pub(crate) fn park(&self) -> Option<String> {
        let mut set = Vec::new();
        if self.table.has("deleted_at") {
            set.push("deleted_at = coalesce(l.deleted_at, now())");
        }
        if self.table.has("updated_at") {
            set.push("updated_at = clock_timestamp()");
        }
        (!set.is_empty()).then(|| {
            format!(
                "UPDATE {} AS l SET {} WHERE {} AND NOT EXISTS (SELECT FROM {} AS s WHERE {} AND NOT ({}))",
                self.table.live(),
                set.join(", "),
                self.is_ours("l"),
                self.table.staged(),
                self.same_key(),
                self.differs(),
            )
        })
    }

    /// Gives the rows that are there the backup's values.
    pub(crate) fn change(&self) -> String {
        let set = self.table.columns.iter().filter(|column| !self.table.key.contains(&column.name));
        let set: Vec<String> = set
            .map(|column| {
                let name = ident(&column.name);
                match column.name.as_str() {
                    "version" => format!("{name} = greatest(l.{name}, s.{name}) + 1"),
                    grows if GROWING.contains(&grows) => {
                        format!("{name} = greatest(l.{name}, s.{name})")
                    }
                    _ => format!("{name} = s.{name}"),
                }
            })
            .collect();
        format!(
            "UPDATE {} AS l SET {} FROM {} AS s WHERE {} AND {} AND {}",
            self.table.live(),
            set.join(", "),
            self.table.staged(),
            self.is_ours("l"),
            self.same_key(),
            self.differs(),
        )
    }

    /// Adds the rows that are not there.
    pub(crate) fn add(&self) -> String {
        let names: Vec<String> = self.table.columns.iter().map(|it| ident(&it.name)).collect();
        let values: Vec<String> =
            self.table.columns.iter().map(|it| self.added(&it.name)).collect();
        format!(
            "INSERT INTO {} ({}) SELECT {} FROM {} AS s WHERE {}",
            self.table.live(),
            names.join(", "),
            values.join(", "),
            self.table.staged(),
            self.is_missing(),
        )
    }

    /// Returns the value with which a row is added.
    fn added(&self, column: &str) -> String {
        let name = ident(column);
        match column {
            // What the row was before it went is on record.
            "version" if self.is_known && self.table.rule == super::Rule::Restored => format!(
                "(SELECT CASE WHEN max(a.version) > s.version THEN max(a.version) + 1 ELSE s.version END
                  FROM public.audit_log AS a WHERE a.org_id = {}::uuid AND a.resource_id = s.id)",
                literal(&self.organization.to_string())
            ),
            "token_generation" => format!("s.{name} + 1"),
            _ => format!("s.{name}"),
        }
    }

    /// Removes the rows that the backup does not have; or that refer to what it does not have.
    pub(crate) fn remove(&self, restored: &[&TenantTable]) -> String {
        format!(
            "DELETE FROM {} AS l WHERE {} AND ({})",
            self.table.live(),
            self.is_ours("l"),
            self.is_extra(restored)
        )
    }

    /// Counts what [`Changes::add`], [`Changes::change`] and [`Changes::remove`] would do.
    pub(crate) fn count(&self, restored: &[&TenantTable]) -> String {
        let (live, staged) = (self.table.live(), self.table.staged());
        let (ours, same) = (self.is_ours("l"), self.same_key());
        let added = format!("SELECT count(*) FROM {staged} AS s WHERE {}", self.is_missing());
        let changed = format!(
            "SELECT count(*) FROM {live} AS l JOIN {staged} AS s ON {same} WHERE {ours} AND {}",
            self.differs()
        );
        let removed = format!(
            "SELECT count(*) FROM {live} AS l WHERE {ours} AND ({})",
            self.is_extra(restored)
        );
        let none = "SELECT 0::bigint".to_owned();
        let [added, changed, removed] = match self.table.rule {
            super::Rule::Restored => [added, changed, removed],
            super::Rule::Added => [added, none.clone(), none],
            super::Rule::Narrowed => [none.clone(), none, removed],
            super::Rule::Left => [none.clone(), none.clone(), none],
        };
        format!("SELECT ({added}), ({changed}), ({removed})")
    }

    /// Counts the rows that are not as in the backup, when all is done: there should be none.
    pub(crate) fn count_others(&self) -> String {
        let (live, staged) = (self.table.live(), self.table.staged());
        format!(
            "SELECT (SELECT count(*) FROM {staged} AS s LEFT JOIN {live} AS l ON {} AND {}
                     WHERE {} IS DISTINCT FROM {})
                  + (SELECT count(*) FROM {live} AS l WHERE {} AND NOT EXISTS
                        (SELECT FROM {staged} AS s WHERE {}))",
            self.same_key(),
            self.is_ours("l"),
            self.content("l"),
            self.content("s"),
            self.is_ours("l"),
            self.same_key(),
        )
    }

    fn is_ours(&self, alias: &str) -> String {
        self.table.is_of(alias, self.organization)
    }

    fn same_key(&self) -> String {
        let same = |name: &String| format!("l.{0} = s.{0}", ident(name));
        self.table.key.iter().map(same).collect::<Vec<_>>().join(" AND ")
    }

    fn is_missing(&self) -> String {
        format!(
            "NOT EXISTS (SELECT FROM {} AS l WHERE {} AND {})",
            self.table.live(),
            self.is_ours("l"),
            self.same_key()
        )
    }

    fn is_extra(&self, restored: &[&TenantTable]) -> String {
        let mut conditions = vec![format!(
            "NOT EXISTS (SELECT FROM {} AS s WHERE {})",
            self.table.staged(),
            self.same_key()
        )];
        if self.table.rule == super::Rule::Narrowed {
            for reference in &self.table.references {
                let Some(to) = restored.iter().find(|table| table.name == reference.to) else {
                    continue;
                };
                let (mut given, mut same) = (Vec::new(), Vec::new());
                for (here, there) in &reference.columns {
                    given.push(format!("l.{} IS NOT NULL", ident(here)));
                    same.push(format!("l.{} = t.{}", ident(here), ident(there)));
                }
                conditions.push(format!(
                    "{} AND NOT EXISTS (SELECT FROM {} AS t WHERE {})",
                    given.join(" AND "),
                    to.staged(),
                    same.join(" AND ")
                ));
            }
        }
        conditions.join(" OR ")
    }

    /// Compared as text, since numbers and JSON may be equal and yet be written otherwise.
    fn content(&self, alias: &str) -> String {
        let compared = self.table.columns.iter().filter(|it| !GROWING.contains(&it.name.as_str()));
        let columns: Vec<String> =
            compared.map(|column| format!("{alias}.{}", ident(&column.name))).collect();
        format!("ROW({})::text", columns.join(", "))
    }

    fn differs(&self) -> String {
        let content = format!("{} <> {}", self.content("l"), self.content("s"));
        if self.table.has("version") {
            // One that fell behind would give out a version for the second time.
            format!("({content} OR l.version < s.version)")
        } else {
            content
        }
    }
}

//! The rules: their names, why they are, and what to do instead.

use std::fmt;

use serde::{Serialize, Serializer};

/// Declares the rules once: the enum, their words, and [`RULES`] cannot disagree.
macro_rules! rules {
    ($($(#[$doc:meta])* $rule:ident = $name:literal, $why:literal, $instead:literal;)+) => {
        /// A rule. Its name is stable: migrations write it in their `lint: allow` comments.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Rule {
            $($(#[$doc])* $rule,)+
        }

        /// All rules, in the order of the page that documents them.
        pub const RULES: &[Rule] = &[$(Rule::$rule),+];

        impl Rule {
            /// The name, in kebab-case.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$rule => $name),+ }
            }

            /// Why the rule is there, in one sentence without a full stop.
            pub const fn why(self) -> &'static str {
                match self { $(Self::$rule => $why),+ }
            }

            /// What to do instead, in one sentence without a full stop.
            pub const fn instead(self) -> &'static str {
                match self { $(Self::$rule => $instead),+ }
            }
        }
    };
}

rules! {
    /// An index, or a constraint that makes one, on an existing table, not built concurrently.
    IndexNotConcurrent = "index-not-concurrent",
        "writers wait until the whole table is indexed",
        "CREATE INDEX CONCURRENTLY, as the one statement of a migration that begins with the line `-- no-transaction`; for a key, ADD CONSTRAINT ... USING INDEX in the next one";
    /// An index dropped without CONCURRENTLY.
    IndexDropNotConcurrent = "index-drop-not-concurrent",
        "the drop waits for every query on the table, and all that come later wait behind it",
        "DROP INDEX CONCURRENTLY, as the one statement of a migration that begins with the line `-- no-transaction`";
    /// CONCURRENTLY or VACUUM inside a transaction.
    ConcurrentlyInTransaction = "concurrently-in-transaction",
        "PostgreSQL refuses it inside a transaction, and several statements of one message are one",
        "make it the one statement of a migration that begins with the line `-- no-transaction`";
    /// NOT NULL put on an existing column.
    SetNotNull = "set-not-null",
        "the table is read from end to end while nobody may use it, and the release before may still write null",
        "ADD CONSTRAINT ... CHECK (... IS NOT NULL) NOT VALID once no release writes null; in the next migration VALIDATE CONSTRAINT, then SET NOT NULL";
    /// A new column that must be given and has no default.
    RequiredColumn = "required-column",
        "the release before does not know the column, so its inserts fail, and so does the migration if there are rows",
        "give it a constant default, or let it be null until every release writes it";
    /// A default that is computed for each row, or a stored generated column.
    VolatileDefault = "volatile-default",
        "each row gets a value of its own, so the whole table is rewritten while nobody may use it",
        "add the column without a default, SET DEFAULT for rows to come, and fill the old ones in batches";
    /// A column gets another type.
    ColumnType = "column-type",
        "the table may be rewritten while nobody may use it, and the release before reads the old type",
        "add a column of the new type, write both, fill the old rows in batches, and drop the old column a release later";
    /// A table, column or another thing gets another name or schema.
    Rename = "rename",
        "the release before asks for the old name until its last instance is gone",
        "add the new one beside it, write both, and drop the old one a release later";
    /// Something is dropped.
    DropInUse = "drop-in-use",
        "the release before may still use it, and what is dropped cannot be had back by rolling back",
        "release a version that does not use it; drop it in the release after that, with `-- lint: allow drop-in-use because <nothing has used it since ...>`";
    /// A foreign key or CHECK on an existing table that is validated at once.
    ConstraintValidated = "constraint-validated",
        "every row is checked while writers wait",
        "ADD CONSTRAINT ... NOT VALID, and VALIDATE CONSTRAINT in the next migration, which lets writers go on";
    /// A statement that locks a whole table, for as long as its work takes.
    TableLock = "table-lock",
        "nobody may use the table until it is done",
        "delete in batches, leave VACUUM to autovacuum, REINDEX and DETACH PARTITION CONCURRENTLY, and let statements take their own locks";
    /// The limit for waiting for locks is taken away.
    LockTimeoutOff = "lock-timeout-off",
        "a statement that waits for a lock without end stops all traffic behind it",
        "leave lock_timeout as the migrator sets it, or set another limit; a migration that ran into it is run again";
    /// A table of tenants' rows without the tenant.
    TenantWithoutOrgId = "tenant-without-org-id",
        "nothing says whose the rows are, so nothing can keep organizations apart",
        "begin the table with `org_id uuid NOT NULL` and a reference to organizations";
    /// A table of tenants' rows that row-level security does not guard.
    TenantWithoutWall = "tenant-without-wall",
        "a query that forgets the organization would see the rows of all",
        "`SELECT wall_in('<table>')` in the same migration, or ENABLE and FORCE ROW LEVEL SECURITY and a policy on app.org_id; for a partition, ENABLE";
    /// A key or an index that another column than `org_id` leads.
    KeyNotLedByOrgId = "key-not-led-by-org-id",
        "a query of one organization walks through the entries of all, and a unique key tells one tenant what another has",
        "put org_id first";
    /// A constraint or an index that PostgreSQL has to find a name for.
    UnnamedConstraint = "unnamed-constraint",
        "a later migration and the errors of the service must know its name",
        "name it `<table>_<columns>_<kind>`, after CONSTRAINT or CREATE INDEX";
    /// A DO block.
    UnreadCode = "unread-code",
        "what a block of code does is known when it runs, and is not read here",
        "write the statements out; if it must be code, read it by these rules and allow it";
    /// A migration without a way back.
    MissingDown = "missing-down",
        "whoever must go back has no way",
        "write the `.down.sql` beside it; if there is no way back, let it raise an error that says so";
    /// SQL that cannot be read.
    Syntax = "syntax",
        "what cannot be read cannot be judged",
        "write it in the SQL of PostgreSQL, without commands of psql";
    /// A `lint:` comment that allows nothing.
    BadAllow = "bad-allow",
        "an exception is of one rule, for one statement, and with its reason",
        "`-- lint: allow <rule> because <reason>` on a line before the statement, for a rule that it breaks";
}

impl Rule {
    /// Finds a rule by its name.
    pub fn of_name(name: &str) -> Option<Self> {
        RULES.iter().copied().find(|rule| rule.name() == name)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Rule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_has_a_name_of_its_own_and_words_that_fit_into_a_line_of_prose() {
        for rule in RULES {
            let name = rule.name();
            assert!(name.chars().all(|c| c.is_ascii_lowercase() || c == '-'), "{name}");
            assert_eq!(Rule::of_name(name), Some(*rule));
            for words in [rule.why(), rule.instead()] {
                assert!(!words.is_empty() && !words.ends_with('.'), "{name}: {words}");
            }
        }
    }
}

//! Reads migrations, and any other file of SQL, and refuses what takes a long lock, what the release
//! before cannot live with (expand, then contract), and what breaks the rules of the schema.
//!
//! [`check`] judges one file by all [`RULES`]. A table is existing unless the file itself made it
//! before. A statement may be excepted from a rule, with a reason, on a line before it:
//!
//! ```sql
//! -- lint: allow column-type because a longer varchar rewrites nothing
//! ALTER TABLE users ALTER COLUMN oidc_provider TYPE varchar(500);
//! ```
//!
//! An exception without a reason, of an unknown rule, or that excepts nothing is a finding itself.
//! The parser and some of the rules are those of squawk; why: docs/decisions/0010-the-linter.md.
//!
//! What functions and `DO` blocks do when they run is not read; the latter is a finding, so that
//! somebody reads them.

mod allow;
mod keys;
mod locks;
mod rule;
mod script;
mod squawk;
mod tenants;
mod tree;

use serde::Serialize;

pub use rule::{RULES, Rule};

use script::Script;

/// What is to be judged.
#[derive(Debug, Clone, Copy)]
pub struct File<'a> {
    /// The file's name. One that ends in `.up.sql` is half of a pair, and is run by the migrator: in a
    /// transaction, unless its first line is `-- no-transaction`.
    pub name: &'a str,
    /// What is in it.
    pub sql: &'a str,
    /// What is in the other half of the pair, if there is one.
    pub down: Option<&'a str>,
}

/// A rule that is broken, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The rule.
    pub rule: Rule,
    /// The line, from 1 on.
    pub line: usize,
    /// The character in the line, from 1 on.
    pub column: usize,
    /// What was found, and why it is refused.
    pub message: String,
    /// What to do instead.
    pub advice: &'static str,
}

/// How deep parentheses may be nested. The parser calls itself for each, and has only so much stack.
const DEEPEST: usize = 500;

fn is_too_deep(sql: &str) -> bool {
    let mut depth = 0_usize;
    sql.bytes().any(|byte| {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth > DEEPEST
    })
}

/// Judges a file. What it returns is in the order of the file; nothing is good.
pub fn check(file: &File<'_>) -> Vec<Finding> {
    if [Some(file.sql), file.down].into_iter().flatten().any(is_too_deep) {
        return vec![Finding {
            rule: Rule::Syntax,
            line: 1,
            column: 1,
            message: format!("parentheses are nested more than {DEEPEST} deep"),
            advice: Rule::Syntax.instead(),
        }];
    }
    let script = Script::read(file.name, file.sql);
    let mut found = script.unreadable();
    found.extend(script.missing_down(file.down));
    found.extend(squawk::find(&script));
    found.extend(locks::find(&script));
    found.extend(tenants::find(&script));
    found.extend(keys::find(&script));
    let mut found = allow::apply(&script, found);
    found.sort_by_key(|found| (found.at.start, found.rule));
    found.dedup_by_key(|found| (found.at.start, found.rule));
    found.into_iter().map(|found| script.finding(&found)).collect()
}

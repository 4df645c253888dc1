//! `brownie-migrator lint`.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use brownie_lint::{File, Finding, check};
use clap::Args;
use serde::Serialize;

/// The last migration of the first release. What it and those before it change, they made: there was
/// no release before, no row, and nobody who waits. So rules about what exists begin after it. The
/// rules about tenants, keys and names are kept for them by a test below.
const FIRST_RELEASE: &str = "m20261121_000025_config_bodies";

#[derive(Debug, Args)]
pub(crate) struct Lint {
    /// Files of SQL. Without any: this program's migrations since its first release. A .down.sql is
    /// read with its .up.sql, and not by itself.
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// A finding, and in which file.
#[derive(Debug, Serialize)]
struct Located {
    file: String,
    #[serde(flatten)]
    finding: Finding,
}

impl Lint {
    /// Prints what is found.
    pub(crate) fn run(&self, json: bool) -> ExitCode {
        let judged = if self.files.is_empty() { Ok(own()) } else { given(&self.files) };
        let (files, findings) = match judged {
            Ok(judged) => judged,
            Err((path, error)) => {
                eprintln!("brownie-migrator: {} cannot be read: {error}", path.display());
                return ExitCode::FAILURE;
            }
        };
        if json {
            println!("{}", serde_json::json!({"files": files, "findings": findings}));
        } else {
            for Located { file, finding } in &findings {
                let Finding { rule, line, column, message, advice } = finding;
                println!("{file}:{line}:{column}: {rule}: {message}\n    instead: {advice}");
            }
            println!("{} found in {files} files", findings.len());
        }
        if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(3) }
    }
}

fn located(file: &File<'_>) -> impl Iterator<Item = Located> {
    let name = file.name.to_owned();
    check(file).into_iter().map(move |finding| Located { file: name.clone(), finding })
}

/// Judges our own migrations. Returns how many there are, and what is found.
fn own() -> (usize, Vec<Located>) {
    let ours: Vec<_> =
        brownie_migration::sources().filter(|source| source.name > FIRST_RELEASE).collect();
    let findings = ours.iter().flat_map(|source| {
        let name = format!("{}.up.sql", source.name);
        located(&File { name: &name, sql: source.up, down: Some(source.down) }).collect::<Vec<_>>()
    });
    (ours.len(), findings.collect())
}

/// Judges files. Returns how many there are, and what is found, or the file that cannot be read.
fn given(paths: &[PathBuf]) -> Result<(usize, Vec<Located>), (&Path, io::Error)> {
    let mut findings = Vec::new();
    let mut files = 0;
    for path in paths {
        let name = path.display().to_string();
        if name.ends_with(".down.sql") {
            continue;
        }
        let sql = fs::read_to_string(path).map_err(|error| (path.as_path(), error))?;
        let down = match name.strip_suffix(".up.sql") {
            Some(stem) => match fs::read_to_string(format!("{stem}.down.sql")) {
                Ok(down) => Some(down),
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                Err(error) => return Err((path, error)),
            },
            None => None,
        };
        findings.extend(located(&File { name: &name, sql: &sql, down: down.as_deref() }));
        files += 1;
    }
    Ok((files, findings))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_migrations_keep_the_rules() {
        assert!(brownie_migration::sources().any(|source| source.name == FIRST_RELEASE));
        let (_, findings) = own();
        assert!(findings.is_empty(), "{findings:#?}");
    }

    /// Read as one file, the first release is judged by every rule, and what it made is new.
    #[test]
    fn the_first_release_breaks_only_the_rules_that_it_means_to() {
        let first = brownie_migration::sources().take_while(|source| source.name <= FIRST_RELEASE);
        let sql: String = first.map(|source| source.up).collect();
        let findings = check(&File { name: "first.sql", sql: &sql, down: None });
        let found: Vec<(&str, &str)> = findings
            .iter()
            .map(|it| (it.rule.name(), it.message.split('`').nth(1).unwrap_or_default()))
            .collect();
        // At a log-in the tenant is not known yet; roles and grants are asked for before they are made.
        let meant = [
            ("key-not-led-by-org-id", "CREATE INDEX users_email_idx "),
            ("unread-code", "DO $$ DECLARE wanted record; "),
            ("unread-code", "DO $$ BEGIN IF NOT (SELECT rolsuper "),
            ("unread-code", "DO $$ DECLARE thing record; "),
            ("unread-code", "DO $$ DECLARE part regclass; "),
            ("key-not-led-by-org-id", "CREATE INDEX users_oidc_subject_idx "),
        ];
        assert_eq!(found.len(), meant.len(), "{found:#?}");
        for ((rule, at), (expected, begins)) in found.iter().zip(meant) {
            assert!(*rule == expected && at.starts_with(begins), "{rule}: {at}");
        }
    }
}

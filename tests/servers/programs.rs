//! Where PostgreSQL's programs are, and whom they run as: PostgreSQL refuses to be root, so a root's
//! cluster runs as `postgres` or `nobody`.

use std::{env, fs, os::unix::process::CommandExt, path::PathBuf, process::Command};

use anyhow::{Context, Result};

/// Returns the programs that are tested with: those in `BROWNIE_TEST_PG_BIN`, on PATH, or where Debian keeps
/// them.
#[expect(clippy::disallowed_methods, reason = "the tests' own setting, read once")]
pub(crate) fn find_programs() -> Result<PathBuf> {
    let named = env::var("BROWNIE_TEST_PG_BIN").ok().map(PathBuf::from).into_iter();
    let path = env::var("PATH").unwrap_or_default();
    let places = named.chain(env::split_paths(&path).collect::<Vec<_>>()).chain(debian_places());
    first_with_programs(places)
}

/// Returns where Debian keeps the programs of the newest PostgreSQL that it has.
///
/// # Errors
/// When there is none.
pub fn debian_programs() -> Result<PathBuf> {
    first_with_programs(debian_places())
}

fn debian_places() -> impl Iterator<Item = PathBuf> {
    let mut places: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .map(|entries| entries.flatten().map(|entry| entry.path().join("bin")).collect())
        .unwrap_or_default();
    places.sort();
    places.into_iter().rev()
}

fn first_with_programs(mut places: impl Iterator<Item = PathBuf>) -> Result<PathBuf> {
    places
        .find(|place| place.join("initdb").exists() && place.join("postgres").exists())
        .context("no initdb: install postgresql, or name its programs in BROWNIE_TEST_PG_BIN")
}

/// Has a program run as whoever our PostgreSQL runs as: neither it nor `PgBouncer` runs as root.
///
/// # Errors
/// When users cannot be looked up.
pub fn unprivileged(command: &mut Command) -> Result<&mut Command> {
    Ok(as_user(command, unprivileged_user()?))
}

pub(crate) fn as_user(command: &mut Command, owner: Option<u32>) -> &mut Command {
    match owner {
        Some(uid) => command.uid(uid).gid(uid),
        None => command,
    }
}

/// Returns whom a root's cluster runs as; none when we are not root.
pub(crate) fn unprivileged_user() -> Result<Option<u32>> {
    if id(&[])? != Some(0) {
        return Ok(None);
    }
    match id(&["postgres"])? {
        Some(uid) => Ok(Some(uid)),
        None => id(&["nobody"]),
    }
}

fn id(user: &[&str]) -> Result<Option<u32>> {
    let output = Command::new("id").arg("-u").args(user).output().context("id")?;
    Ok(String::from_utf8(output.stdout)?.trim().parse().ok())
}

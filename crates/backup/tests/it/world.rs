//! What the tests have in common.

use std::{
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::Duration,
};

use age::secrecy::ExposeSecret;
use brownie_backup::{
    BackupName, Create, Error, Identities, Manifest, Read, Recipients, Restore, Restored, Result,
    Store, Target, create, provider, restore,
};
use brownie_domain::{RandomIds, SystemClock};
use brownie_test_servers::poll;

use crate::postgres::Postgres;

/// A key pair: the public half, and the private one.
pub(crate) fn keys() -> &'static (String, String) {
    static KEYS: OnceLock<(String, String)> = OnceLock::new();
    KEYS.get_or_init(|| {
        let identity = age::x25519::Identity::generate();
        (identity.to_public().to_string(), identity.to_string().expose_secret().to_owned())
    })
}

/// A directory for backups, removed with this value.
pub(crate) struct Place {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) store: Store,
}

impl Place {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = provider::directory(dir.path()).unwrap();
        Self { dir, store }
    }

    /// Returns all files, by their path below the directory.
    pub(crate) fn files(&self) -> Vec<String> {
        let mut files = Vec::new();
        let mut open: Vec<PathBuf> = vec![self.dir.path().into()];
        while let Some(directory) = open.pop() {
            for entry in std::fs::read_dir(directory).unwrap().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    open.push(path);
                } else {
                    let path = path.strip_prefix(self.dir.path()).unwrap();
                    files.push(path.to_str().unwrap().to_owned());
                }
            }
        }
        files.sort();
        files
    }
}

pub(crate) fn named(name: &str) -> BackupName {
    name.parse().unwrap()
}

pub(crate) fn encrypted(name: &str) -> Create {
    Create {
        name: Some(named(name)),
        recipients: Recipients::parse(&keys().0).unwrap(),
        ..Create::default()
    }
}

pub(crate) fn reading() -> Read {
    Read { identities: Identities::parse(&keys().1).unwrap(), ..Read::default() }
}

pub(crate) async fn back_up(
    pg: &Postgres,
    database: &str,
    store: &Store,
    how: Create,
) -> Result<Manifest> {
    let dial = pg.server("brownie-backup", database);
    create(dial, store, Arc::new(SystemClock), Arc::new(RandomIds), how).await
}

pub(crate) fn into(target: &str) -> Restore {
    Restore { read: reading(), target: Target::new(target).unwrap(), replace: None, to_head: false }
}

pub(crate) async fn bring_back(
    pg: &Postgres,
    store: &Store,
    name: &str,
    how: Restore,
) -> Result<Restored> {
    bring_back_as(pg, "postgres", store, name, how).await
}

pub(crate) async fn bring_back_as(
    pg: &Postgres,
    role: &str,
    store: &Store,
    name: &str,
    how: Restore,
) -> Result<Restored> {
    patiently(async || {
        let (clock, ids) = (Arc::new(SystemClock), Arc::new(RandomIds));
        restore(&pg.cluster(role), store, &named(name), clock, ids, how.clone()).await
    })
    .await
}

/// There is one restore at a time on a server, and other tests do theirs there, too.
pub(crate) async fn patiently<T>(work: impl AsyncFn() -> Result<T>) -> Result<T> {
    poll("other restores have ended", Duration::from_mins(2), async || match work().await {
        Err(error @ Error::Busy { .. }) => Err(error.into()),
        outcome => Ok(outcome),
    })
    .await
}

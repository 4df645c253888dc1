//! Restores a backup on trial.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use brownie_domain::{Clock, IdSource};

use crate::{
    BackupName, Cluster, Manifest, Read, Result, Store,
    list::{self, Verified},
    lock::{Lock, Work},
    restore::{Opened, forget},
    scratch::Scratch,
    task::{uncut, unless_cancelled},
};

/// What a drill has shown.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Drilled {
    /// Of what.
    pub manifest: Manifest,
    /// How long it took until the database could have been used.
    pub recovery_time: Duration,
}

/// Restores a backup into a database that nobody uses, compares it with the manifest, and removes it
/// again, whatever came of it. Marks the backup as verified, and restored.
///
/// # Errors
/// As [`restore`](crate::restore()). The mark does not move then.
pub async fn drill(
    cluster: &Cluster,
    store: &Store,
    name: &BackupName,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
    how: Read,
) -> Result<Drilled> {
    let (cluster, store, name) = (cluster.clone(), store.clone(), name.clone());
    let cancel = how.cancel.child_token();
    let cancelled = cancel.clone();
    uncut(&cancel, async move {
        let started = Instant::now();
        let backup = Opened::new(&store, &name, &how).await?;
        let (manifest, manifest_sha256) = (Arc::clone(&backup.manifest), backup.manifest_sha256);
        let Cluster { dial, migrate, maintenance } = cluster;
        let lock = Lock::take(dial.as_ref(), Some(&maintenance), Work::Restore).await?;
        let scratch = Scratch::make(lock.client(), ids.next(clock.now())).await?;
        let filling = backup.fill(dial.as_ref(), migrate.as_ref(), &store, &scratch.name, &how);
        let outcome = unless_cancelled(&cancelled, filling).await;
        let recovery_time = started.elapsed();
        forget(&scratch, lock.client()).await;
        outcome?;
        let mark = Verified { at: clock.now(), manifest_sha256, restored: true };
        list::put_mark(&store, &name, &mark, how.signing_key.as_ref()).await?;
        Ok(Drilled { manifest: Manifest::clone(&manifest), recovery_time })
    })
    .await
}

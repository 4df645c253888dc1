//! Backups of the embedded database: it has one connection, which the service gives up for as long as
//! one is made. A restore is made of a new database beside the old one, while the service is stopped.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use async_trait::async_trait;
use brownie_backup::{
    BackupName, Identities, MigrateByUrl, Read, Setup, SigningKey, Single, Tenant, Worker, list,
    provider, restore_here,
};
use brownie_config::BackupSettings;
use brownie_domain::{Clock, RequestId, SystemClock};
use brownie_persistence::{Store, SystemContext};
use tokio::{
    signal::unix::{SignalKind, signal},
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::embedded::{DataDir, Embedded};

/// How often it is looked whether there is anything to do.
const POLL: Duration = Duration::from_secs(2);

/// The service, which has the connection otherwise.
#[derive(Debug)]
struct Service(Store);

#[async_trait]
impl Tenant for Service {
    async fn give_way(&self) -> Result<Box<dyn Send>, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Box::new(self.0.lend().await?))
    }
}

/// The worker of the service's own process.
#[derive(Debug)]
pub(crate) struct Backups {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Backups {
    /// Begins to follow the schedule, and to do what operators ask for.
    pub(crate) async fn begin(settings: BackupSettings, url: &str, store: Store) -> Result<Self> {
        let stop = CancellationToken::new();
        let place = provider::open(&settings.provider).await?;
        let worker = Worker::new(Setup {
            dial: Arc::new(Single::new(url, Arc::new(Service(store.clone())))?),
            cluster: None,
            database: "brownie_metadata".to_owned(),
            store: place,
            settings,
            stop: stop.clone(),
        })?;
        // With the service, which needs the connection back to end.
        let mut terminate = signal(SignalKind::terminate())?;
        let told = stop.clone();
        drop(tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
            told.cancel();
        }));
        let task = tokio::spawn(work(worker, store, stop.clone()));
        Ok(Self { stop, task })
    }

    /// Calls off what is under way, and waits for it.
    pub(crate) async fn end(self) {
        self.stop.cancel();
        // A worker that panicked has ended, too.
        let _ = self.task.await;
    }
}

/// Takes the connection only when there is something to do.
async fn work(worker: Worker, store: Store, stop: CancellationToken) {
    let system = SystemContext::for_visitor(RequestId::from_uuid(uuid::Uuid::nil()));
    let system = store.system(&system);
    let mut has_begun = false;
    let mut was_well = true;
    while !stop.is_cancelled() {
        let outcome: Result<()> = async {
            if !has_begun {
                worker.begin().await?;
                has_begun = true;
            }
            if worker.is_due() || system.has_queued_operations().await? {
                worker.step().await?;
            }
            Ok(())
        }
        .await;
        if let Err(error) = &outcome
            && was_well
        {
            tracing::warn!(error = %brownie_logging::chain(error.as_ref()), "the worker cannot look for work; it tries again");
        }
        was_well = outcome.is_ok();
        // Not yet told to stop: it looks for work again.
        let _ = timeout(POLL, stop.cancelled()).await;
    }
}

/// Makes the database of a backup. That which was there before stays beside it.
pub(crate) async fn restore(
    settings: BackupSettings,
    data_dir: &Path,
    name: &BackupName,
) -> Result<()> {
    let data_dir = DataDir::open(data_dir)?;
    let store = provider::open(&settings.provider).await?;
    let key = settings.signing_key.as_ref();
    let key = key.map(|key| SigningKey::new(key.expose())).transpose()?;
    let entries = list(&store, key.as_ref()).await?;
    if !entries.iter().any(|entry| entry.name == *name) {
        let names: Vec<String> = entries.iter().map(|entry| entry.name.to_string()).collect();
        bail!("there is no backup {name}; there are: {}", names.join(", "));
    }
    let identities = match &settings.identity_file {
        Some(path) => Identities::parse(
            &std::fs::read_to_string(path)
                .with_context(|| format!("{} cannot be read", path.display()))?,
        )?,
        None => Identities::default(),
    };
    let how = Read { identities, signing_key: key, jobs: 1, ..Read::default() };
    let fresh = data_dir.fresh()?;
    let path = fresh.clone();
    let database = tokio::task::spawn_blocking(move || Embedded::start_in(&path)).await??;
    let url = database.url();
    let dial = Arc::new(Single::new(&url, Arc::new(()))?);
    let migrate = Arc::new(MigrateByUrl::new(&url, Duration::from_secs(30))?);
    let restored = restore_here(dial, migrate, "template1", &store, name, how).await;
    let stopped = tokio::task::spawn_blocking(move || database.stop()).await?;
    let restored = match (restored, stopped) {
        (Ok(manifest), Ok(())) => manifest,
        (Err(error), _) => {
            forget(&fresh);
            return Err(error.into());
        }
        (_, Err(error)) => {
            forget(&fresh);
            return Err(error);
        }
    };
    let stamp = SystemClock.now().format("%Y%m%dT%H%M%SZ").to_string();
    let before = data_dir.take(&fresh, &stamp)?;
    println!("restored {name}: {} rows", restored.rows());
    if let Some(before) = before {
        println!("what was there is in {} now", before.display());
    }
    Ok(())
}

fn forget(path: &PathBuf) {
    if let Err(error) = std::fs::remove_dir_all(path) {
        tracing::warn!(path = %path.display(), %error, "what was half restored could not be removed");
    }
}

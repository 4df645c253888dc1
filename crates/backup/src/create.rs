//! Makes a backup.

use std::{sync::Arc, time::Duration};

use brownie_domain::{Clock, IdSource, Timestamp};
use tokio::{sync::Mutex, task::JoinSet};
use tokio_postgres::Client;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    BackupName, Dial, Error, Progress, Provider, Recipients, Result, SigningKey, Stage, Store,
    Tell,
    dump::Dump,
    envelope, list,
    manifest::{self, Encryption, FORMAT, Manifest, Seal, TableData},
    plan::Table,
    seal::{self, BackupKey},
    snapshot::{Snapshot, still_holds},
    task::{uncut, unless_cancelled},
};

/// How long a run that failed tries to remove what it stored: the store may be what failed.
const TIDYING: Duration = Duration::from_secs(10);

/// What a backup is made with.
#[derive(Clone)]
pub struct Create {
    /// Its name; one of the time unless set.
    pub name: Option<BackupName>,
    /// How many tables are copied at once, each over a connection of its own. 1 or more.
    pub jobs: usize,
    /// Whom it is encrypted to.
    pub recipients: Recipients,
    /// Whether it may leave this machine unencrypted.
    pub allow_unencrypted: bool,
    /// What its manifest is signed with.
    pub signing_key: Option<SigningKey>,
    /// After how much time it is given up.
    pub timeout: Duration,
    /// After how many bytes of text another object begins. Several are read at once in a restore.
    pub part_bytes: u64,
    /// Calls it off. What was uploaded is removed before [`create`] returns.
    pub cancel: CancellationToken,
    /// Who is told how it goes.
    pub tell: Tell,
}

impl Default for Create {
    fn default() -> Self {
        Self {
            name: None,
            jobs: 2,
            recipients: Recipients::default(),
            allow_unencrypted: false,
            signing_key: None,
            timeout: Duration::from_hours(1),
            part_bytes: 128 << 20,
            cancel: CancellationToken::new(),
            tell: crate::silent(),
        }
    }
}

/// Does not show who listens.
impl std::fmt::Debug for Create {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Create")
            .field("name", &self.name)
            .field("jobs", &self.jobs)
            .field("recipients", &self.recipients)
            .finish_non_exhaustive()
    }
}

/// Makes a backup of the server's own database, and returns its manifest, which is written last: before
/// that there is no backup, and when anything fails there is none after it, either.
///
/// It takes about 40 MiB of memory for each of its jobs, however large the database is.
///
/// # Errors
/// As [`Error`] tells. When this future is dropped, it ends as if it had been called off.
pub async fn create(
    dial: Arc<dyn Dial>,
    store: &Store,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
    how: Create,
) -> Result<Manifest> {
    if how.recipients.is_empty()
        && store.provider() != Provider::Directory
        && !how.allow_unencrypted
    {
        return Err(Error::Unencrypted { provider: store.provider().as_str() });
    }
    if how.recipients.is_empty() {
        tracing::warn!(
            "the backup is not encrypted, as BACKUP_AGE_RECIPIENTS is not set: whoever can read its files can read every organization's data"
        );
    }
    // Uncut: whoever drops this future must not leave parts of uploads behind.
    let (cancel, after) = (how.cancel.child_token(), how.timeout);
    let run = Run { dial, store: store.clone(), clock, ids, how, cancel: cancel.clone() };
    let mut whole = std::pin::pin!(uncut(&cancel, run.whole()));
    if let Ok(outcome) = tokio::time::timeout(after, &mut whole).await {
        return outcome;
    }
    cancel.cancel();
    match whole.await {
        Err(Error::Cancelled) => Err(Error::TimedOut { after }),
        // It failed by itself, or was done after all.
        outcome => outcome,
    }
}

struct Run {
    dial: Arc<dyn Dial>,
    store: Store,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
    how: Create,
    cancel: CancellationToken,
}

impl Run {
    async fn whole(self) -> Result<Manifest> {
        let tell = &self.how.tell;
        tell(Progress::Begins { stage: Stage::Prepare, expected: 0 });
        let taking = Snapshot::take(self.dial.as_ref(), self.how.jobs.max(1));
        let snapshot = unless_cancelled(&self.cancel, taking).await?;
        let created_at = self.clock.now();
        let name = self.how.name.clone().unwrap_or_else(|| BackupName::at(created_at));
        let cancel = &self.cancel;
        unless_cancelled(cancel, list::judge_clock(&self.store, created_at)).await?;
        let object = format!("{name}/{}", manifest::FILE);
        if unless_cancelled(cancel, self.store.read(&object)).await?.is_some() {
            return Err(Error::Exists { name: name.to_string() });
        }
        let id = self.ids.next(created_at);
        let outcome = self.sealed(snapshot, &name, id, created_at).await;
        if outcome.is_err() {
            self.remove(&format!("{name}/{id}")).await;
        }
        outcome
    }

    /// Copies everything, and publishes it.
    async fn sealed(
        &self,
        snapshot: Snapshot,
        name: &BackupName,
        id: Uuid,
        created_at: Timestamp,
    ) -> Result<Manifest> {
        let Snapshot { clients, plan, fence, database, migrations, sequences } = snapshot;
        let key = (!self.how.recipients.is_empty()).then(BackupKey::generate);
        let encryption = match &key {
            Some(key) => Some(unless_cancelled(&self.cancel, self.store_key(key, name, id)).await?),
            None => None,
        };
        let dump = Dump {
            store: self.store.clone(),
            name: name.to_string(),
            run: id.to_string(),
            recipient: key.as_ref().map(BackupKey::recipient),
            part_bytes: self.how.part_bytes,
            cancel: self.cancel.clone(),
            tell: Arc::clone(&self.how.tell),
        };
        let expected = plan.tables.iter().map(|(_, size)| size).sum();
        (self.how.tell)(Progress::Begins { stage: Stage::Copy, expected });
        let clients: Vec<Arc<Client>> = clients.into_iter().map(Arc::new).collect();
        let tables = copy_all(&dump, &clients, plan.tables).await?;
        (self.how.tell)(Progress::Begins { stage: Stage::Publish, expected: 0 });
        let manifest = Manifest {
            format: FORMAT,
            name: name.clone(),
            id,
            fence,
            created_at,
            finished_at: self.clock.now(),
            program: env!("CARGO_PKG_VERSION").to_owned(),
            database,
            migrations,
            seal: Seal { compression: "zstd".to_owned(), encryption },
            tables,
            sequences,
        };
        let document = envelope::close(manifest::FILE, &manifest, self.how.signing_key.as_ref())?;
        if self.cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        // One that was frozen, and lost its lock meanwhile, ends here.
        if let Some(leader) = clients.first() {
            still_holds(leader).await?;
        }
        let object = format!("{name}/{}", manifest::FILE);
        if self.store.put_new(&object, document.into()).await? {
            Ok(manifest)
        } else {
            Err(Error::Exists { name: name.to_string() })
        }
    }

    /// Stores the backup's key, encrypted to the recipients.
    async fn store_key(&self, key: &BackupKey, name: &BackupName, id: Uuid) -> Result<Encryption> {
        let key_object = format!("{id}/{}", seal::KEY_FILE);
        let wrapped = key.wrap(&self.how.recipients)?;
        self.store.put(&format!("{name}/{key_object}"), wrapped.into()).await?;
        Ok(Encryption {
            recipient: key.recipient().to_string(),
            key_object,
            recipients: self.how.recipients.names(),
        })
    }

    /// Removes what a run that failed has stored, as far as the store lets us; a clean-up removes the
    /// rest when it is a day old.
    async fn remove(&self, directory: &str) {
        let outcome = async {
            for (key, _) in self.store.list(Some(directory)).await? {
                self.store.delete(&key).await?;
            }
            Ok::<_, Error>(())
        };
        let outcome = match tokio::time::timeout(TIDYING, outcome).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Error::TimedOut { after: TIDYING }),
        };
        if let Err(error) = outcome {
            tracing::warn!(%directory, %error, "what a failed backup has stored could not be removed; the next clean-up will");
        }
    }
}

/// Copies all tables, the largest first, each over the next connection that is free. Returns them by
/// name.
async fn copy_all(
    dump: &Dump,
    clients: &[Arc<Client>],
    mut tables: Vec<(Table, u64)>,
) -> Result<Vec<TableData>> {
    tables.sort_by_key(|(_, size)| *size);
    let queue = Arc::new(Mutex::new(tables));
    let mut workers = JoinSet::new();
    for client in clients {
        let (dump, client, queue) = (dump.clone(), Arc::clone(client), Arc::clone(&queue));
        workers.spawn(async move {
            let mut done = Vec::new();
            loop {
                let Some((table, _)) = queue.lock().await.pop() else { return Ok(done) };
                done.push(dump.table(&client, &table).await?);
            }
        });
    }
    let mut all = Vec::new();
    let mut failed = None;
    while let Some(outcome) = workers.join_next().await {
        match outcome.unwrap_or(Err(Error::Cancelled)) {
            Ok(done) => all.extend(done),
            Err(error) => {
                // The others stop, and call their uploads off. The first error is the one to tell.
                dump.cancel.cancel();
                failed.get_or_insert(error);
            }
        }
    }
    if let Some(error) = failed {
        return Err(error);
    }
    all.sort_by(|one: &TableData, other| one.table.name.cmp(&other.table.name));
    Ok(all)
}

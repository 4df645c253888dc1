//! What is done for an operation.

use std::{
    fs,
    sync::Arc,
    time::{Duration, Instant},
};

use brownie_config::BackupSettings;
use brownie_domain::{Clock, IdSource, OperationKind, OperationRequest};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::{
    BackupName, Cluster, Create, Dial, Error, Fate, Identities, Manifest, Read, Recipients,
    Replace, Restore, Result, SigningKey, Store, Target, Tell, cleanup, create, delete, drill,
    list, restore, verify,
};

/// With what operations are done.
#[derive(Debug)]
pub(crate) struct Tools {
    /// Reaches the database as one who may read all of it.
    pub(crate) dial: Arc<dyn Dial>,
    /// Reaches the server as one who may make databases, where anybody may.
    pub(crate) cluster: Option<Cluster>,
    /// The name of the database.
    pub(crate) database: String,
    pub(crate) store: Store,
    pub(crate) settings: BackupSettings,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn IdSource>,
}

/// What came of it, and the runs that count: which verb ended how.
pub(crate) struct Performed {
    pub(crate) outcome: Result<Value>,
    pub(crate) runs: Vec<(&'static str, &'static str)>,
}

impl Tools {
    /// Does it.
    pub(crate) async fn perform(
        &self,
        kind: OperationKind,
        request: &OperationRequest,
        cancel: &CancellationToken,
        tell: &Tell,
    ) -> Performed {
        let mut runs = Vec::new();
        let began = Instant::now();
        let outcome = match kind {
            OperationKind::Create => self.create(request, cancel, tell, &mut runs).await,
            OperationKind::Restore => self.restore(request, cancel, tell).await,
            OperationKind::Delete => self.delete(request).await,
            OperationKind::Cleanup => self.cleanup(request).await,
            OperationKind::Verify => self.verify(request, cancel, tell).await,
            OperationKind::Drill => self.drill(request, cancel, tell).await,
        };
        let outcome = outcome.map(|mut result| {
            result["duration"] = json!(seconds(began.elapsed()));
            result
        });
        // What was made and then not found good counts as both.
        if runs.is_empty() {
            runs.extend(outcome_of(&outcome).map(|outcome| (kind.verb(), outcome)));
        }
        Performed { outcome, runs }
    }

    pub(crate) fn signing_key(&self) -> Result<Option<SigningKey>> {
        self.settings.signing_key.as_ref().map(|key| SigningKey::new(key.expose())).transpose()
    }

    fn read(&self, cancel: &CancellationToken, tell: &Tell) -> Result<Read> {
        let identities = match &self.settings.identity_file {
            Some(path) => {
                let text = fs::read_to_string(path).map_err(|error| {
                    Error::Settings(format!("{} cannot be read: {error}", path.display()))
                })?;
                Identities::parse(&text)?
            }
            None => Identities::default(),
        };
        Ok(Read {
            identities,
            signing_key: self.signing_key()?,
            jobs: self.jobs(),
            cancel: cancel.clone(),
            tell: Arc::clone(tell),
        })
    }

    /// Where there is one connection, one table at a time.
    fn jobs(&self) -> usize {
        if self.dial.is_single() { 1 } else { self.settings.jobs }
    }

    async fn create(
        &self,
        request: &OperationRequest,
        cancel: &CancellationToken,
        tell: &Tell,
        runs: &mut Vec<(&'static str, &'static str)>,
    ) -> Result<Value> {
        let how = Create {
            name: request.backup_name.as_deref().map(str::parse).transpose()?,
            jobs: self.jobs(),
            recipients: Recipients::parse(&self.settings.recipients)?,
            allow_unencrypted: self.settings.allow_unencrypted,
            signing_key: self.signing_key()?,
            timeout: self.settings.timeout,
            cancel: cancel.clone(),
            tell: Arc::clone(tell),
            ..Create::default()
        };
        let (clock, ids) = (Arc::clone(&self.clock), Arc::clone(&self.ids));
        let made = create(Arc::clone(&self.dial), &self.store, clock, ids, how).await?;
        let is_wanted = request.verify.unwrap_or(self.settings.verify);
        if is_wanted {
            runs.push((OperationKind::Create.verb(), "succeeded"));
            let read = self.read(cancel, tell);
            let read = async { verify(&self.store, &made.name, &*self.clock, &read?).await };
            let outcome = read.await;
            runs.extend(outcome_of(&outcome).map(|it| (OperationKind::Verify.verb(), it)));
            outcome.map_err(|error| Error::Unverified {
                name: made.name.to_string(),
                source: Box::new(error),
            })?;
        }
        let mut result = told(&made);
        result["verified"] = is_wanted.into();
        Ok(result)
    }

    async fn restore(
        &self,
        request: &OperationRequest,
        cancel: &CancellationToken,
        tell: &Tell,
    ) -> Result<Value> {
        let cluster = self.cluster()?;
        let name = named(request)?;
        let target = match &request.target_database {
            Some(target) => Target::new(target)?,
            None => Target::new(&self.new_name())?,
        };
        let replace = match (request.force, &request.confirm) {
            (false, _) => None,
            (true, confirm) => {
                Some(Replace::confirmed(confirm.as_deref().unwrap_or_default(), &target)?)
            }
        };
        let how = Restore {
            read: self.read(cancel, tell)?,
            target: target.clone(),
            replace,
            to_head: request.to_head,
        };
        let (clock, ids) = (Arc::clone(&self.clock), Arc::clone(&self.ids));
        let restored = restore(cluster, &self.store, &name, clock, ids, how).await?;
        Ok(json!({
            "backup_name": name, "target_database": target.as_str(),
            "replaced": restored.replaced, "rows": restored.manifest.rows(), "status": "completed",
        }))
    }

    /// A database of this name is not there: nobody restores twice in a second.
    fn new_name(&self) -> String {
        let suffix = self.clock.now().format("_restored_%Y%m%dt%H%M%Sz").to_string();
        let mut name = self.database.clone();
        while name.len() + suffix.len() > 63 {
            name.pop();
        }
        name + &suffix
    }

    async fn delete(&self, request: &OperationRequest) -> Result<Value> {
        let name = named(request)?;
        delete(&*self.dial, &self.store, &name, self.signing_key()?.as_ref()).await?;
        Ok(json!({"backup_name": name, "status": "deleted"}))
    }

    async fn cleanup(&self, request: &OperationRequest) -> Result<Value> {
        let (policy, key) = (self.settings.retention.into(), self.signing_key()?);
        let cleaned =
            cleanup(&*self.dial, &self.store, &*self.clock, &policy, key.as_ref(), request.dry_run)
                .await?;
        let removed = cleaned.decisions.iter().filter(|decision| decision.fate == Fate::Removed);
        let removed: Vec<&str> = removed.map(|decision| decision.name.as_str()).collect();
        let kept = cleaned.decisions.len() - removed.len();
        let unreadable: Vec<&str> = cleaned.unreadable.iter().map(BackupName::as_str).collect();
        Ok(json!({
            "dry_run": request.dry_run, "removed": removed, "kept": kept,
            "unreadable": unreadable, "orphans": cleaned.orphans.len(),
        }))
    }

    async fn verify(
        &self,
        request: &OperationRequest,
        cancel: &CancellationToken,
        tell: &Tell,
    ) -> Result<Value> {
        let read = self.read(cancel, tell)?;
        let manifest = verify(&self.store, &named(request)?, &*self.clock, &read).await?;
        let mut result = told(&manifest);
        result["verified"] = true.into();
        Ok(result)
    }

    async fn drill(
        &self,
        request: &OperationRequest,
        cancel: &CancellationToken,
        tell: &Tell,
    ) -> Result<Value> {
        let cluster = self.cluster()?;
        let name = match &request.backup_name {
            Some(name) => name.parse()?,
            None => {
                let newest = list(&self.store, self.signing_key()?.as_ref()).await?;
                let newest = newest.into_iter().find(|entry| entry.manifest.is_ok());
                newest
                    .map(|entry| entry.name)
                    .ok_or(Error::NotFound { name: "at all".to_owned() })?
            }
        };
        let read = self.read(cancel, tell)?;
        let (clock, ids) = (Arc::clone(&self.clock), Arc::clone(&self.ids));
        let drilled = drill(cluster, &self.store, &name, clock, ids, read).await?;
        let mut result = told(&drilled.manifest);
        result["recovery_seconds"] = json!(seconds(drilled.recovery_time));
        Ok(result)
    }

    fn cluster(&self) -> Result<&Cluster> {
        self.cluster.as_ref().ok_or_else(|| {
            Error::Settings(
                "the embedded database makes no other; stop the program and run `brownie-standalone restore NAME`".to_owned(),
            )
        })
    }
}

fn named(request: &OperationRequest) -> Result<BackupName> {
    request.backup_name.as_deref().unwrap_or_default().parse()
}

/// What is told of a backup.
fn told(manifest: &Manifest) -> Value {
    json!({
        "backup_name": manifest.name, "path": manifest.name, "created": manifest.created_at,
        "size": manifest.plain_bytes(), "stored_size": manifest.stored_bytes(),
        "rows": manifest.rows(), "status": "completed",
    })
}

/// To the millisecond.
fn seconds(duration: Duration) -> f64 {
    f64::from(u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)) / 1000.0
}

/// What a run counts as; one that was called off counts as none.
fn outcome_of<T>(outcome: &Result<T>) -> Option<&'static str> {
    match outcome {
        Ok(_) => Some("succeeded"),
        Err(Error::Busy { .. }) => Some("skipped"),
        Err(Error::Cancelled) => None,
        Err(_) => Some("failed"),
    }
}

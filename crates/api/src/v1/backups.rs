//! `/backup`: backups, at the paths that the original promised. What takes long is queued as an
//! operation; what there is, the worker has reported: this service cannot look into the store.

use std::pin::Pin;

use actix_web::{FromRequest, HttpRequest, dev::Payload, http::header};
use brownie_domain::{
    BackupEntry, BackupRuns, BackupTimes, OperationKind, OperationRequest, Timestamp,
};
use brownie_persistence::BackupReport;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::operations::{Accepted, queue};
use crate::{
    Problem,
    access::Operator,
    answer::Plain,
    body::Path,
    openapi::{Describe, Operation},
    repeat::{Key, Keyed},
};

/// A backup to be made.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct BackupCreate {
    /// Its name; one of the time unless said.
    #[schemars(length(min = 1, max = 100), example = &"before-1.2")]
    backup_name: Option<String>,
    /// Whether it is read again when it was made; as the worker's settings say unless given.
    verify: Option<bool>,
}

/// A backup to be restored.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BackupRestore {
    #[schemars(length(min = 1, max = 100), example = &"backup-20261121-020000")]
    backup_name: String,
    /// The database to restore into, which is made, or empty; one with a new name unless said.
    #[serde(default)]
    #[schemars(length(min = 1, max = 63))]
    target_database: Option<String>,
    /// Replace one that is not empty. It is renamed, not dropped.
    #[serde(default)]
    force: bool,
    /// The name of the database that is replaced, once more.
    #[serde(default)]
    confirm: Option<String>,
    /// Migrate what was restored to the worker's schema.
    #[serde(default)]
    to_head: bool,
}

/// What to clean up.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct BackupCleanup {
    /// Only say what would be removed.
    dry_run: bool,
}

/// The backups that there are.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct BackupList {
    /// The newest first.
    backups: Vec<BackupEntry>,
    /// As of when; null while no worker has reported.
    reported_at: Option<Timestamp>,
}

/// How backups are.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct BackupStatus {
    /// Who keeps them: `local`, `s3`, `gcs` or `azure`.
    #[schemars(example = &"s3")]
    provider: Option<String>,
    /// The directory, or the bucket and what its keys begin with.
    #[schemars(example = &"bucket/prefix")]
    destination: Option<String>,
    #[schemars(example = &"0 2 * * *")]
    schedule: Option<String>,
    #[schemars(example = &"UTC")]
    timezone: Option<String>,
    next_backup: Option<Timestamp>,
    retention_days: Option<u32>,
    /// The newest that is whole.
    last_backup: Option<BackupEntry>,
    /// When one was last read from end to end, and found good.
    last_verified_at: Option<Timestamp>,
    total_backups: u64,
    /// Bytes as they are kept.
    total_size: u64,
    compression: bool,
    encryption: bool,
    /// How many runs came to which end, by what was done.
    runs: BackupRuns,
    /// As of when all this is known of the store; null while no worker has reported.
    reported_at: Option<Timestamp>,
    /// When the worker that follows the schedule was last heard of.
    worker_seen_at: Option<Timestamp>,
}

/// When the next backup is made.
#[expect(clippy::struct_field_names, reason = "the original's name of it")]
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct NextBackup {
    /// Null when nobody follows a schedule, or no date fits it any more.
    next_backup: Option<Timestamp>,
    #[schemars(example = &"0 2 * * *")]
    schedule: Option<String>,
    #[schemars(example = &"UTC")]
    timezone: Option<String>,
    /// When the worker that follows the schedule was last heard of.
    worker_seen_at: Option<Timestamp>,
}

/// A body that may be left out.
#[derive(Debug)]
pub(crate) struct Optional<T>(Keyed<T>);

impl<T: DeserializeOwned + Default + 'static> FromRequest for Optional<T> {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let headers = request.headers();
        let length = headers.get(header::CONTENT_LENGTH);
        let is_empty = length.is_none_or(|length| length == "0")
            && !headers.contains_key(header::CONTENT_TYPE)
            && !headers.contains_key(header::TRANSFER_ENCODING);
        if is_empty {
            let key = Key::of(request, b"");
            return Box::pin(async move { Ok(Self(Keyed(T::default(), key?))) });
        }
        let keyed = Keyed::from_request(request, payload);
        Box::pin(async move { keyed.await.map(Self) })
    }
}

impl<T: JsonSchema> Describe for Optional<T> {
    fn describe(operation: &mut Operation<'_>) {
        Keyed::<T>::describe(operation);
        if let Some(body) = &mut operation.request_body {
            body["required"] = false.into();
        }
    }
}

pub(crate) async fn create(
    operator: Operator,
    Optional(Keyed(body, key)): Optional<BackupCreate>,
) -> Result<Accepted, Problem> {
    let BackupCreate { backup_name, verify } = body;
    let request = OperationRequest { backup_name, verify, ..OperationRequest::default() };
    queue(&operator, OperationKind::Create, request, key).await
}

pub(crate) async fn restore(
    operator: Operator,
    Keyed(body, key): Keyed<BackupRestore>,
) -> Result<Accepted, Problem> {
    let BackupRestore { backup_name, target_database, force, confirm, to_head } = body;
    let request = OperationRequest {
        backup_name: Some(backup_name),
        target_database,
        force,
        confirm,
        to_head,
        ..OperationRequest::default()
    };
    queue(&operator, OperationKind::Restore, request, key).await
}

pub(crate) async fn delete(
    operator: Operator,
    Path(name): Path<String>,
    key: Key,
) -> Result<Accepted, Problem> {
    let request = OperationRequest { backup_name: Some(name), ..OperationRequest::default() };
    queue(&operator, OperationKind::Delete, request, key).await
}

pub(crate) async fn cleanup(
    operator: Operator,
    Optional(Keyed(body, key)): Optional<BackupCleanup>,
) -> Result<Accepted, Problem> {
    let request = OperationRequest { dry_run: body.dry_run, ..OperationRequest::default() };
    queue(&operator, OperationKind::Cleanup, request, key).await
}

pub(crate) async fn list(operator: Operator) -> Result<Plain<BackupList>, Problem> {
    let report = operator.system().backup_report().await?;
    let backups = report.store.map(|store| store.backups).unwrap_or_default();
    Ok(Plain(BackupList { backups, reported_at: report.stored_at }))
}

pub(crate) async fn status(operator: Operator) -> Result<Plain<BackupStatus>, Problem> {
    let report = operator.system().backup_report().await?;
    let BackupReport { heartbeat_at, times, store, stored_at, runs } = report;
    let (schedule, timezone, next_backup) = split(times);
    let known = store.is_some();
    let store = store.unwrap_or_default();
    Ok(Plain(BackupStatus {
        last_backup: store.newest().cloned(),
        last_verified_at: store.last_verified(),
        provider: known.then_some(store.provider),
        destination: known.then_some(store.destination),
        schedule,
        timezone,
        next_backup,
        retention_days: known.then_some(store.retention_days),
        total_backups: store.total_backups,
        total_size: store.total_size,
        compression: store.compression,
        encryption: store.encryption,
        runs,
        reported_at: stored_at,
        worker_seen_at: heartbeat_at,
    }))
}

pub(crate) async fn next(operator: Operator) -> Result<Plain<NextBackup>, Problem> {
    let report = operator.system().backup_report().await?;
    let (schedule, timezone, next_backup) = split(report.times);
    let worker_seen_at = report.heartbeat_at;
    Ok(Plain(NextBackup { next_backup, schedule, timezone, worker_seen_at }))
}

fn split(times: Option<BackupTimes>) -> (Option<String>, Option<String>, Option<Timestamp>) {
    match times {
        Some(BackupTimes { schedule, timezone, next_backup }) => {
            (Some(schedule), Some(timezone), next_backup)
        }
        None => (None, None, None),
    }
}

//! Operations of the whole database, and what is known of backups: for operators, who are of no
//! organization. Here they are queued and looked at; the backup worker does them.

use brownie_domain::{
    AskedOperation, BackupRuns, BackupStore, BackupTimes, OperationId, OperationKind,
    OperationRequest, OperationState, OperationsKey, Page, PageRequest, Position, Timestamp,
};
use sea_orm::{DbBackend, Statement};
use serde_json::Value;
use tokio_postgres::Row;

use crate::{Error, Repeatable, Resource, Result, SystemScope};

/// An operation that is asked for.
#[derive(Debug, Clone)]
pub struct NewOperation {
    /// What is to be done.
    pub kind: OperationKind,
    /// With what.
    pub request: OperationRequest,
    /// Which operator asks.
    pub requested_by: String,
    /// By what it is known when it is sent again.
    pub repeatable: Option<Repeatable>,
    /// What proves to the worker that the operator asked.
    pub key: Option<OperationsKey>,
}

/// What came of asking.
#[derive(Debug, Clone)]
pub enum Queued {
    /// It is queued.
    Now(Box<Operation>),
    /// It was queued before, when the same request was sent.
    Before(Box<Operation>),
    /// Another request had the same key.
    Taken,
}

/// An operation.
#[derive(Debug, Clone)]
pub struct Operation {
    /// Its id.
    pub id: OperationId,
    /// What is done.
    pub kind: OperationKind,
    /// With what.
    pub request: OperationRequest,
    /// How far it is.
    pub state: OperationState,
    /// Which operator asked, or `schedule`.
    pub requested_by: String,
    /// When that was.
    pub created_at: Timestamp,
    /// When a worker began.
    pub started_at: Option<Timestamp>,
    /// When its worker was last heard of.
    pub heartbeat_at: Option<Timestamp>,
    /// When it was called off.
    pub cancel_requested_at: Option<Timestamp>,
    /// When it was over.
    pub ended_at: Option<Timestamp>,
    /// How far the worker says that it is.
    pub progress: Option<Value>,
    /// What came of it.
    pub result: Option<Value>,
    /// Why nothing came of it: `code` and `detail`.
    pub error: Option<Value>,
}

/// What is known of backups.
#[derive(Debug, Clone, Default)]
pub struct BackupReport {
    /// When the worker that follows the schedule was last heard of.
    pub heartbeat_at: Option<Timestamp>,
    /// The schedule.
    pub times: Option<BackupTimes>,
    /// The backups.
    pub store: Option<BackupStore>,
    /// As of when.
    pub stored_at: Option<Timestamp>,
    /// How many runs came to which end.
    pub runs: BackupRuns,
}

/// What was called off before anybody began is over, whether or not a worker has said so.
macro_rules! columns {
    () => {
        "id, kind, request, requested_by, created_at, started_at, heartbeat_at,
            cancel_requested_at, progress, result, error,
            CASE WHEN state = 'queued' AND cancel_requested_at IS NOT NULL THEN 'cancelled'
                ELSE state END AS state,
            CASE WHEN state = 'queued' THEN cancel_requested_at ELSE ended_at END AS ended_at"
    };
}

impl SystemScope {
    /// Queues an operation.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn queue_operation(&self, new: NewOperation) -> Result<Queued> {
        // Whoever is not told whether it was written asks again, with the same id.
        const QUEUE: &str = concat!(
            "WITH queued AS (
                INSERT INTO operations (id, kind, request, requested_by, request_key, fingerprint,
                    created_at, proof)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
                ON CONFLICT DO NOTHING RETURNING *)
            SELECT true AS is_new, fingerprint, ",
            columns!(),
            " FROM queued"
        );
        const BEFORE: &str = concat!(
            "SELECT id = $1 AS is_new, fingerprint, ",
            columns!(),
            " FROM operations WHERE id = $1 OR requested_by = $2 AND request_key = $3"
        );
        let sources = self.store().sources();
        let now = sources.clock.now();
        let id = sources.ids.next(now);
        let request =
            serde_json::to_value(&new.request).map_err(|error| Error::Database(Box::new(error)))?;
        let proof = new.key.as_ref().map(|key| {
            key.prove(&AskedOperation {
                id: OperationId::from_uuid(id),
                kind: new.kind,
                request: &new.request,
                requested_by: &new.requested_by,
                created_at: now,
            })
        });
        let (key, fingerprint) = match new.repeatable {
            Some(Repeatable { key, route, fingerprint }) => {
                (Some(format!("{route} {key}")), Some(fingerprint.to_vec()))
            }
            None => (None, None),
        };
        let queue = Statement::from_sql_and_values(
            DbBackend::Postgres,
            QUEUE,
            [
                id.into(),
                new.kind.as_str().into(),
                request.into(),
                new.requested_by.clone().into(),
                key.clone().into(),
                fingerprint.clone().into(),
                now.into(),
                proof.into(),
            ],
        );
        let before = Statement::from_sql_and_values(
            DbBackend::Postgres,
            BEFORE,
            [id.into(), new.requested_by.into(), key.into()],
        );
        let engine = self.store().engine();
        let mut rows = engine.write_unscoped(queue).await?;
        if rows.is_empty() {
            rows = engine.read_unscoped(before).await?;
        }
        let Some(row) = rows.first() else {
            return Err(Error::NotFound { resource: Resource::Operation });
        };
        let operation = Box::new(operation(row)?);
        let found: Option<Vec<u8>> = row.try_get("fingerprint")?;
        Ok(match (row.try_get("is_new")?, found == fingerprint) {
            (true, _) => Queued::Now(operation),
            (false, true) => Queued::Before(operation),
            (false, false) => Queued::Taken,
        })
    }

    /// Returns an operation.
    ///
    /// # Errors
    /// [`Error::NotFound`]; when the database cannot answer.
    pub async fn operation(&self, id: OperationId) -> Result<Operation> {
        const GET: &str = concat!("SELECT ", columns!(), " FROM operations WHERE id = $1");
        let statement =
            Statement::from_sql_and_values(DbBackend::Postgres, GET, [id.as_uuid().into()]);
        one(&self.store().engine().read_unscoped(statement).await?)
    }

    /// Returns a page of the operations, the newest first.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn operations(&self, page: PageRequest) -> Result<Page<Operation>> {
        const LIST: &str = concat!(
            "SELECT ",
            columns!(),
            " FROM operations
            WHERE $1::timestamptz IS NULL OR (created_at, id) < ($1, $2::uuid)
            ORDER BY created_at DESC, id DESC LIMIT $3"
        );
        let after = page.after();
        let limit = i64::try_from(page.limit()).unwrap_or(i64::MAX).saturating_add(1);
        let statement = Statement::from_sql_and_values(
            DbBackend::Postgres,
            LIST,
            [
                after.map(|position| position.at).into(),
                after.map(|position| position.id).into(),
                limit.into(),
            ],
        );
        let rows = self.store().engine().read_unscoped(statement).await?;
        let rows = rows.iter().map(operation).collect::<Result<_>>()?;
        let position = |row: &Operation| Position { at: row.created_at, id: row.id.as_uuid() };
        Ok(Page::from_rows(rows, false, page, position))
    }

    /// Calls an operation off, and returns it. One that waits is over with that; of one under way the
    /// worker hears, and says what became of it; one that is over stays as it is.
    ///
    /// # Errors
    /// [`Error::NotFound`]; when the database cannot answer.
    pub async fn cancel_operation(&self, id: OperationId) -> Result<Operation> {
        const CANCEL: &str = "
            UPDATE operations SET cancel_requested_at = $2
            WHERE id = $1 AND state IN ('queued', 'running') AND cancel_requested_at IS NULL";
        let now = self.store().sources().clock.now();
        let statement = Statement::from_sql_and_values(
            DbBackend::Postgres,
            CANCEL,
            [id.as_uuid().into(), now.into()],
        );
        self.store().engine().write_unscoped(statement).await?;
        self.operation(id).await
    }

    /// Tells whether an operation waits for a worker.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn has_queued_operations(&self) -> Result<bool> {
        let statement = Statement::from_string(
            DbBackend::Postgres,
            "SELECT EXISTS (SELECT FROM operations WHERE state = 'queued') AS answer",
        );
        let rows = self.store().engine().read_unscoped(statement).await?;
        rows.first().map_or(Ok(false), |row| Ok(row.try_get("answer")?))
    }

    /// Returns what succeeded after a moment: its kind, when it ended, and how many seconds it took.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn operations_done(&self, since: Timestamp) -> Result<Vec<(String, Timestamp, f64)>> {
        const DONE: &str = "SELECT kind, ended_at,
                extract(epoch FROM ended_at - started_at)::double precision AS took
            FROM operations WHERE state = 'succeeded' AND ended_at > $1 ORDER BY ended_at";
        let statement = Statement::from_sql_and_values(DbBackend::Postgres, DONE, [since.into()]);
        let rows = self.store().engine().read_unscoped(statement).await?;
        let done =
            |row: &Row| Ok((row.try_get("kind")?, row.try_get("ended_at")?, row.try_get("took")?));
        rows.iter().map(done).collect()
    }

    /// Returns what is known of backups.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn backup_report(&self) -> Result<BackupReport> {
        let statement = Statement::from_string(
            DbBackend::Postgres,
            "SELECT heartbeat_at, schedule, store, stored_at, runs FROM backup_reports",
        );
        let rows = self.store().engine().read_unscoped(statement).await?;
        let Some(row) = rows.first() else { return Ok(BackupReport::default()) };
        Ok(BackupReport {
            heartbeat_at: row.try_get("heartbeat_at")?,
            times: read(row, "schedule")?,
            store: read(row, "store")?,
            stored_at: row.try_get("stored_at")?,
            runs: read(row, "runs")?.unwrap_or_default(),
        })
    }
}

fn one(rows: &[Row]) -> Result<Operation> {
    rows.first().map_or(Err(Error::NotFound { resource: Resource::Operation }), operation)
}

fn read<T: serde::de::DeserializeOwned>(row: &Row, column: &'static str) -> Result<Option<T>> {
    let value: Option<Value> = row.try_get(column)?;
    // Written by another release: what is not understood is not known.
    Ok(value.and_then(|value| serde_json::from_value(value).ok()))
}

fn operation(row: &Row) -> Result<Operation> {
    let word = |column: &'static str| -> Result<String> { Ok(row.try_get(column)?) };
    let unreadable = |error: brownie_domain::Invalid| Error::Database(Box::new(error));
    Ok(Operation {
        id: OperationId::from_uuid(row.try_get("id")?),
        kind: word("kind")?.parse().map_err(unreadable)?,
        request: read(row, "request")?.unwrap_or_default(),
        state: word("state")?.parse().map_err(unreadable)?,
        requested_by: word("requested_by")?,
        created_at: row.try_get("created_at")?,
        started_at: row.try_get("started_at")?,
        heartbeat_at: row.try_get("heartbeat_at")?,
        cancel_requested_at: row.try_get("cancel_requested_at")?,
        ended_at: row.try_get("ended_at")?,
        progress: row.try_get("progress")?,
        result: row.try_get("result")?,
        error: row.try_get("error")?,
    })
}

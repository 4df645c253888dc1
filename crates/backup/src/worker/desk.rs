//! Where operations are queued, and where it is said what became of them: two tables of the database
//! itself, `operations` and `backup_reports`.

use std::{sync::Arc, time::Duration};

use brownie_domain::{
    BackupStore, BackupTimes, OperationId, OperationKind, OperationRequest, OperationState,
    Timestamp,
};
use serde_json::Value;
use tokio::sync::Mutex;
use tokio_postgres::{Client, Row, types::Json};
use uuid::Uuid;

use crate::{
    Dial, Error, Result,
    server::{Settle, settle},
};

/// Who asks for what the schedule wants.
pub(crate) const SCHEDULE: &str = "schedule";

/// How often a run of the schedule is tried that failed, or whose worker died.
const ATTEMPTS: i64 = 3;

/// How long after one failed it is tried again.
const PAUSE_SECONDS: f64 = 300.0;

/// Who takes the next operation holds this until it is taken: the first seven bytes of "brownie", and
/// one of ours.
const TURN: i64 = 0x6272_6f77_6e69_656f;

/// An operation that a worker is at.
#[derive(Debug, Clone)]
pub(crate) struct Taken {
    pub(crate) id: OperationId,
    pub(crate) kind: OperationKind,
    pub(crate) request: Result<OperationRequest, String>,
    pub(crate) requested_by: String,
    pub(crate) created_at: Timestamp,
    pub(crate) started_at: Timestamp,
    /// Which run of the schedule it is.
    pub(crate) key: Option<String>,
    /// What proves that an operator asked.
    pub(crate) proof: Option<Vec<u8>>,
}

/// How an operation ended.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) state: OperationState,
    pub(crate) result: Option<Value>,
    pub(crate) error: Option<Value>,
    pub(crate) progress: Option<Value>,
}

/// The way to both tables, over a connection that it keeps.
#[derive(Debug)]
pub(crate) struct Desk {
    dial: Arc<dyn Dial>,
    client: Mutex<Option<Client>>,
    /// Who writes.
    worker: String,
}

impl Desk {
    pub(crate) fn new(dial: Arc<dyn Dial>, worker: String) -> Self {
        Self { dial, client: Mutex::new(None), worker }
    }

    /// Does something on a connection. One that broke is not used again.
    async fn with<T>(
        &self,
        doing: &str,
        work: impl AsyncFnOnce(&Client) -> Result<T, tokio_postgres::Error>,
    ) -> Result<T> {
        let mut kept = self.client.lock().await;
        let client = match kept.take().filter(|client| !client.is_closed()) {
            Some(client) => client,
            None => {
                let client = self.dial.dial(None).await?;
                settle(&client, Settle::Session).await?;
                client
            }
        };
        let outcome = work(&client).await;
        if outcome.is_ok() {
            *kept = Some(client);
        }
        outcome.map_err(Error::database(doing))
    }

    /// Gives the connection back where there is no second: others need it.
    pub(crate) async fn leave(&self) {
        if self.dial.is_single() {
            drop(self.client.lock().await.take());
        }
    }

    /// Takes the oldest operation that waits, if no worker is at another. Those of which none has
    /// heard for `silence` have failed: they are not done again.
    pub(crate) async fn take(
        &self,
        silence: Duration,
    ) -> Result<(Option<Taken>, Vec<OperationKind>)> {
        const BURY: &str = r#"
            UPDATE public.operations SET state = 'failed', ended_at = now(),
                error = jsonb_build_object('code', 'worker_lost', 'detail',
                    'the worker ' || coalesce(worker, '') || ' was not heard of since '
                    || to_char(heartbeat_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
                    || '; what it had begun was not done again')
            WHERE state = 'running' AND heartbeat_at <= now() - make_interval(secs => $1)
            RETURNING kind"#;
        const CANCEL: &str = "
            UPDATE public.operations SET state = 'cancelled', ended_at = cancel_requested_at
            WHERE state = 'queued' AND cancel_requested_at IS NOT NULL";
        const TAKE: &str = "
            UPDATE public.operations SET state = 'running', worker = $1, started_at = now(),
                heartbeat_at = now()
            WHERE id = (SELECT id FROM public.operations WHERE state = 'queued'
                ORDER BY created_at, id LIMIT 1)
              AND NOT EXISTS (SELECT FROM public.operations WHERE state = 'running')
            RETURNING id, kind, request, requested_by, created_at, started_at, request_key, proof";
        self.with("taking an operation", async |client| {
            client.batch_execute("BEGIN").await?;
            client.query("SELECT pg_advisory_xact_lock($1)", &[&TURN]).await?;
            let lost = client.query(BURY, &[&silence.as_secs_f64()]).await?;
            client.execute(CANCEL, &[]).await?;
            let taken = client.query_opt(TAKE, &[&self.worker]).await?;
            let taken = taken.as_ref().map(taken_of).transpose()?;
            client.batch_execute("COMMIT").await?;
            let kinds =
                lost.iter().filter_map(|row| row.try_get::<_, String>(0).ok()?.parse().ok());
            Ok((taken, kinds.collect()))
        })
        .await
    }

    /// Says that we are still at it, and how far. Returns whether we are to go on: nobody has called it
    /// off, nor given us up.
    pub(crate) async fn beat(&self, id: OperationId, progress: &Value) -> Result<bool> {
        const BEAT: &str = "
            UPDATE public.operations SET heartbeat_at = now(), progress = $3
            WHERE id = $1 AND worker = $2 AND state = 'running'
            RETURNING cancel_requested_at IS NULL";
        self.with("saying how far an operation is", async |client| {
            let row = client.query_opt(BEAT, &[&id.as_uuid(), &self.worker, progress]).await?;
            row.map_or(Ok(false), |row| row.try_get(0))
        })
        .await
    }

    /// Says how an operation ended. The whole row is written: the database may be another by now, which
    /// was restored and never heard of it. Returns whether it was ours to say.
    pub(crate) async fn end(&self, taken: &Taken, end: &End) -> Result<bool> {
        const END: &str = "
            INSERT INTO public.operations (id, kind, request, requested_by, request_key, created_at,
                started_at, heartbeat_at, worker, ended_at, state, result, error, progress)
            VALUES ($1, $2, $3, $4, $5, $6, $7, now(), $8, now(), $9, $10, $11, $12)
            ON CONFLICT (id) DO UPDATE SET state = excluded.state, result = excluded.result,
                error = excluded.error, ended_at = excluded.ended_at,
                progress = coalesce(excluded.progress, operations.progress)
            WHERE operations.state = 'running' AND operations.worker = excluded.worker";
        let request = taken.request.clone().unwrap_or_default();
        self.with("saying how an operation ended", async |client| {
            let written = client
                .execute(
                    END,
                    &[
                        &taken.id.as_uuid(),
                        &taken.kind.as_str(),
                        &Json(&request),
                        &taken.requested_by,
                        &taken.key,
                        &taken.created_at,
                        &taken.started_at,
                        &self.worker,
                        &end.state.as_str(),
                        &end.result,
                        &end.error,
                        &end.progress,
                    ],
                )
                .await?;
            Ok(written == 1)
        })
        .await
    }

    /// Queues what the schedule wants to be done at `due`, unless that was done, is under way, was
    /// called off, or has failed often enough.
    pub(crate) async fn queue_run(&self, id: Uuid, due: Timestamp) -> Result<bool> {
        const TRIED: &str = "
            SELECT count(*), coalesce(bool_or(NOT (state = 'failed'
                    OR state = 'cancelled' AND cancel_requested_at IS NULL)), false),
                coalesce(max(ended_at) FILTER (WHERE state = 'failed'
                    AND coalesce(error ->> 'code', '') <> 'worker_lost')
                    > now() - make_interval(secs => $2), false)
            FROM public.operations WHERE requested_by = 'schedule'
              AND kind = 'backup.create' AND starts_with(request_key, $1)";
        let run = format!("{}#", due.format("%Y-%m-%dT%H:%M:%SZ"));
        self.with("queueing what the schedule wants", async |client| {
            let row = client.query_one(TRIED, &[&run, &PAUSE_SECONDS]).await?;
            let (tried, is_settled, is_fresh): (i64, bool, bool) =
                (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            if is_settled || is_fresh || tried >= ATTEMPTS {
                return Ok(false);
            }
            let key = format!("{run}{}", tried + 1);
            queue(client, id, OperationKind::Create, &key).await
        })
        .await
    }

    /// Queues what follows a run of the schedule.
    pub(crate) async fn queue_after(
        &self,
        id: Uuid,
        run: &str,
        kind: OperationKind,
    ) -> Result<bool> {
        self.with("queueing what follows a backup", async |client| {
            queue(client, id, kind, &format!("{run} {}", kind.verb())).await
        })
        .await
    }

    /// Returns when the last run of the schedule came to an end after which it is not tried again.
    pub(crate) async fn last_run(&self) -> Result<Option<Timestamp>> {
        const LAST: &str = "
            SELECT max(ended_at) FROM (
                SELECT max(ended_at) AS ended_at, count(*) AS tried,
                    bool_or(state = 'succeeded' OR cancel_requested_at IS NOT NULL) AS settled
                FROM public.operations WHERE requested_by = 'schedule' AND kind = 'backup.create'
                GROUP BY split_part(request_key, '#', 1)
                HAVING bool_and(state NOT IN ('queued', 'running'))) AS runs
            WHERE settled OR tried >= $1";
        self.with("asking when the schedule last ran", async |client| {
            client.query_one(LAST, &[&ATTEMPTS]).await?.try_get(0)
        })
        .await
    }

    /// Returns when the database was last replaced by a restore. What had been asked for before is gone with it.
    pub(crate) async fn last_replaced(&self) -> Result<Option<Timestamp>> {
        const LAST: &str = "
            SELECT max(ended_at) FROM public.operations
            WHERE kind = 'backup.restore' AND state = 'succeeded' AND request @> '{\"force\": true}'";
        self.with("asking when the database was replaced", async |client| {
            client.query_one(LAST, &[]).await?.try_get(0)
        })
        .await
    }

    /// Says when the next backup is made, and that somebody will.
    pub(crate) async fn report_times(&self, times: &BackupTimes) -> Result<()> {
        const REPORT: &str = "
            INSERT INTO public.backup_reports (id, worker, heartbeat_at, schedule)
            VALUES (1, $1, now(), $2)
            ON CONFLICT (id) DO UPDATE SET worker = excluded.worker,
                heartbeat_at = excluded.heartbeat_at, schedule = excluded.schedule";
        self.with("reporting the schedule", async |client| {
            client.execute(REPORT, &[&self.worker, &Json(times)]).await.map(drop)
        })
        .await
    }

    /// Says which backups there are.
    pub(crate) async fn report_store(&self, store: &BackupStore) -> Result<()> {
        const REPORT: &str = "
            INSERT INTO public.backup_reports (id, store, stored_at) VALUES (1, $1, now())
            ON CONFLICT (id) DO UPDATE SET store = excluded.store, stored_at = excluded.stored_at";
        self.with("reporting which backups there are", async |client| {
            client.execute(REPORT, &[&Json(store)]).await.map(drop)
        })
        .await
    }

    /// Counts a run.
    pub(crate) async fn count(&self, verb: &str, outcome: &str) -> Result<()> {
        const COUNT: &str = "
            INSERT INTO public.backup_reports AS report (id, runs)
            VALUES (1, jsonb_build_object($1::text, jsonb_build_object($2::text, 1)))
            ON CONFLICT (id) DO UPDATE SET runs = report.runs || jsonb_build_object($1::text,
                coalesce(report.runs -> $1::text, '{}') || jsonb_build_object($2::text,
                    coalesce((report.runs -> $1::text ->> $2::text)::bigint, 0) + 1))";
        self.with("counting a run", async |client| {
            client.execute(COUNT, &[&verb, &outcome]).await.map(drop)
        })
        .await
    }

    /// Forgets operations that ended so many days ago.
    pub(crate) async fn forget(&self, days: i32) -> Result<()> {
        const FORGET: &str =
            "DELETE FROM public.operations WHERE ended_at < now() - make_interval(days => $1)";
        self.with("forgetting old operations", async |client| {
            client.execute(FORGET, &[&days]).await.map(drop)
        })
        .await
    }
}

async fn queue(
    client: &Client,
    id: Uuid,
    kind: OperationKind,
    key: &str,
) -> Result<bool, tokio_postgres::Error> {
    // Of several workers one gets to queue it.
    const QUEUE: &str = "
        INSERT INTO public.operations (id, kind, requested_by, request_key) VALUES ($1, $2, $3, $4)
        ON CONFLICT DO NOTHING";
    Ok(client.execute(QUEUE, &[&id, &kind.as_str(), &SCHEDULE, &key]).await? == 1)
}

fn taken_of(row: &Row) -> Result<Taken, tokio_postgres::Error> {
    let kind: String = row.try_get("kind")?;
    let request: Value = row.try_get("request")?;
    let request = serde_json::from_value(request).map_err(|error| error.to_string());
    let (kind, request) = match kind.parse() {
        Ok(kind) => (kind, request),
        // Of a newer release; the CHECK of our schema knows no other.
        Err(_) => (OperationKind::Verify, Err(format!("this release knows no {kind}"))),
    };
    Ok(Taken {
        id: OperationId::from_uuid(row.try_get("id")?),
        kind,
        request,
        requested_by: row.try_get("requested_by")?,
        created_at: row.try_get("created_at")?,
        started_at: row.try_get("started_at")?,
        key: row.try_get("request_key")?,
        proof: row.try_get("proof")?,
    })
}

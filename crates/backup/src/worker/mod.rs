//! The worker: follows the schedule, and does what operators ask for.
//!
//! Everything it does is an operation, a row of the table `operations`: those that the server queues,
//! and those that the schedule wants. Any number of workers may run; each operation is begun once, one
//! at a time. One whose worker is not heard of any more has failed, and says so.

mod desk;
mod perform;
mod report;
mod schedule;
mod seen;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use brownie_config::BackupSettings;
use brownie_domain::{
    AskedOperation, BackupTimes, Clock, IdSource, OperationKind, OperationRequest, OperationState,
    OperationsKey, RandomIds, SystemClock, Timestamp,
};
use chrono::TimeDelta;
use serde_json::json;
use tokio::time::{interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::{Cluster, Dial, Error, Result, Store};
use desk::{Desk, End, SCHEDULE, Taken};
use perform::{Performed, Tools};
pub use report::report;
pub use schedule::Schedule;
use seen::Seen;

/// How often it is said that an operation goes on, and how far it is.
const BEAT: Duration = Duration::from_secs(3);
/// After how long without a word the worker of an operation is taken for dead.
const SILENCE: Duration = Duration::from_secs(30);
/// How often the worker looks for something to do.
const POLL: Duration = Duration::from_secs(2);
/// How often it says that it is there.
const REPORT: Duration = Duration::from_mins(1);
/// How long it is left alone when a backup is due and may not be made: it was tried, or is under way.
const QUIET: Duration = Duration::from_secs(30);
/// How long operations are remembered.
const REMEMBERED_DAYS: i32 = 90;
/// How old a proof may be. A row that was done and is gone, as after a restore, could be added again.
const PROVEN: TimeDelta = TimeDelta::days(1);
/// How often it is tried to say how an operation ended: a database that was replaced, or restarts, is
/// back by then.
const TRIES: u32 = 60;

/// Follows a schedule, and does what is queued.
#[derive(Debug)]
pub struct Worker {
    tools: Tools,
    schedule: Schedule,
    desk: Desk,
    stop: CancellationToken,
    operations_key: Option<OperationsKey>,
    /// Of the newest backup: when it was whole.
    newest: Mutex<Option<Timestamp>>,
    /// Until when it is not looked again whether a backup is due.
    quiet_until: Mutex<Option<Instant>>,
}

/// What a worker works with.
#[derive(Debug)]
pub struct Setup {
    /// Reaches the database as brownie-backup.
    pub dial: Arc<dyn Dial>,
    /// Reaches the server as one who may make databases, to restore; none where nobody may.
    pub cluster: Option<Cluster>,
    /// The name of the database.
    pub database: String,
    /// Where backups are kept.
    pub store: Store,
    /// How they are made, when, and how long they are kept.
    pub settings: BackupSettings,
    /// Ends it, and calls off what it is at.
    pub stop: CancellationToken,
}

impl Worker {
    /// Sets a worker up.
    ///
    /// # Errors
    /// [`Error::Settings`] when schedule or time zone cannot be read.
    pub fn new(setup: Setup) -> Result<Self> {
        Self::with_sources(setup, Arc::new(SystemClock), Arc::new(RandomIds))
    }

    /// Sets a worker up with another clock and other ids, for tests.
    ///
    /// # Errors
    /// As [`Worker::new`].
    pub fn with_sources(
        setup: Setup,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdSource>,
    ) -> Result<Self> {
        let Setup { dial, cluster, database, store, settings, stop } = setup;
        let schedule = Schedule::new(&settings.schedule, &settings.timezone, &*clock)?;
        // Two of one host are two: what one has begun the other has not.
        let worker = format!("{}-{}", std::process::id(), ids.next(clock.now()).simple());
        let desk = Desk::new(Arc::clone(&dial), worker);
        let operations_key = settings.operations_key.as_ref();
        let operations_key = operations_key.map(|key| OperationsKey::new(key.expose()));
        let tools = Tools { dial, cluster, database, store, settings, clock, ids };
        Ok(Self {
            tools,
            schedule,
            desk,
            stop,
            operations_key,
            newest: Mutex::default(),
            quiet_until: Mutex::default(),
        })
    }

    /// Works until it is told to stop. What it cannot reach it tries again.
    ///
    /// # Errors
    /// When it cannot even begin: the store cannot be listed, or the database cannot be written to.
    pub async fn run(&self) -> Result<()> {
        self.begin().await?;
        let mut reported = Instant::now();
        let mut was_well = true;
        while !self.stop.is_cancelled() {
            match self.step().await {
                Ok(()) => was_well = true,
                // Once, not every two seconds.
                Err(error) if was_well => {
                    was_well = false;
                    tracing::warn!(error = %chain(&error), "the worker cannot look for work; it tries again");
                }
                Err(_) => {}
            }
            if reported.elapsed() >= REPORT && self.report_times().await.is_ok() {
                reported = Instant::now();
            }
            // Not yet told to stop: it looks for work again.
            let _ = timeout(POLL, self.stop.cancelled()).await;
        }
        tracing::info!("the worker stops");
        Ok(())
    }

    /// Looks which backups there are, and reports.
    ///
    /// # Errors
    /// When the store cannot be listed, or the database cannot be written to.
    pub async fn begin(&self) -> Result<()> {
        tracing::info!(schedule = self.schedule.text(), zone = self.schedule.zone(),
            next = ?self.next(), "the worker begins");
        let reported = async {
            self.report_times().await?;
            self.report_store().await
        };
        let outcome = reported.await;
        self.desk.leave().await;
        outcome
    }

    /// Returns when the next backup is made, if nobody asks for one before.
    pub fn next(&self) -> Option<Timestamp> {
        self.schedule.next_after(self.tools.clock.now())
    }

    /// Tells whether a backup is due by what is known of the newest.
    pub fn is_due(&self) -> bool {
        let quiet_until = *self.quiet_until.lock().unwrap_or_else(PoisonError::into_inner);
        quiet_until.is_none_or(|until| until <= Instant::now()) && self.due(None).is_some()
    }

    fn due(&self, last_run: Option<Timestamp>) -> Option<Timestamp> {
        let newest = *self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        self.schedule.due(newest.max(last_run), self.tools.clock.now())
    }

    /// Queues what is due, and does what is queued, one after the other until there is nothing.
    ///
    /// # Errors
    /// When database or store cannot be asked.
    pub async fn step(&self) -> Result<()> {
        let outcome = self.all().await;
        self.desk.leave().await;
        outcome
    }

    async fn all(&self) -> Result<()> {
        if self.is_due() {
            self.queue_due().await?;
        }
        // Without a second connection nobody else can be at anything, and nothing can be said meanwhile.
        let silence = if self.tools.dial.is_single() { Duration::ZERO } else { SILENCE };
        while !self.stop.is_cancelled() {
            let (taken, lost) = self.desk.take(silence).await?;
            for kind in lost {
                tracing::error!(operation = %kind, "an operation was given up: its worker is not heard of");
                self.desk.count(kind.verb(), "failed").await?;
            }
            let Some(taken) = taken else { break };
            self.work(taken).await;
        }
        Ok(())
    }

    /// Queues a backup if it is due in earnest: by the store and by what was tried.
    async fn queue_due(&self) -> Result<()> {
        let last_run = self.desk.last_run().await?;
        let now = self.tools.clock.now();
        let mut is_queued = false;
        if self.due(last_run).is_some() {
            // Somebody else may have made one.
            self.look().await?;
            let Some(due) = self.due(last_run) else { return Ok(()) };
            is_queued = self.desk.queue_run(self.tools.ids.next(now), due).await?;
            if is_queued {
                tracing::info!(%due, late = %(now - due), "a backup is due");
            }
        }
        let quiet_until = (!is_queued).then(|| Instant::now() + QUIET);
        *self.quiet_until.lock().unwrap_or_else(PoisonError::into_inner) = quiet_until;
        Ok(())
    }

    /// Tells whether an operation may be done: it takes nothing away, or an operator asked for it, not long ago and
    /// of this database. One that was done before a restore, and is gone with it, could be added once more.
    async fn is_proven(&self, taken: &Taken, request: &OperationRequest) -> Result<bool> {
        if !taken.kind.needs_proof() {
            return Ok(true);
        }
        let asked = AskedOperation {
            id: taken.id,
            kind: taken.kind,
            request,
            requested_by: &taken.requested_by,
            created_at: taken.created_at,
        };
        let proof = self.operations_key.as_ref().zip(taken.proof.as_ref());
        let is_asked = proof.is_some_and(|(key, proof)| key.accepts(&asked, proof));
        let is_recent = (self.tools.clock.now() - taken.created_at).abs() < PROVEN;
        let is_of_this = self.desk.last_replaced().await?.is_none_or(|at| at < taken.created_at);
        Ok(is_asked && is_recent && is_of_this)
    }

    /// Does an operation, and says what came of it.
    async fn work(&self, taken: Taken) {
        let (id, kind) = (taken.id, taken.kind);
        tracing::info!(operation = %id, %kind, by = %taken.requested_by, "an operation begins");
        let cancel = self.stop.child_token();
        let seen = Arc::new(Seen::default());
        let refused = match &taken.request {
            Err(why) => Some(Error::Settings(format!("the request cannot be read: {why}"))),
            Ok(request) => match self.is_proven(&taken, request).await {
                Ok(true) => None,
                Ok(false) => {
                    tracing::error!(operation = %id, %kind, by = %taken.requested_by, "an operation is refused: nothing proves that an operator asked");
                    Some(Error::Unproven { kind })
                }
                Err(error) => Some(error),
            },
        };
        let performed = match (&taken.request, refused) {
            (_, Some(error)) => Performed { outcome: Err(error), runs: Vec::new() },
            (Err(_), None) => return,
            (Ok(request), None) => {
                self.desk.leave().await;
                let tell = seen.tell();
                let work = self.tools.perform(kind, request, &cancel, &tell);
                let mut work = std::pin::pin!(work);
                tokio::select! {
                    performed = &mut work => performed,
                    () = self.beat(&taken, &seen, &cancel) => work.await,
                }
            }
        };
        let Performed { outcome, runs } = performed;
        let progress = Some(seen.told());
        let end = match outcome {
            Ok(result) => {
                tracing::info!(operation = %id, %kind, "an operation succeeded");
                End {
                    state: OperationState::Succeeded,
                    result: Some(result),
                    error: None,
                    progress,
                }
            }
            Err(error) => {
                let is_off = matches!(error, Error::Cancelled) && cancel.is_cancelled();
                let state = if is_off { OperationState::Cancelled } else { OperationState::Failed };
                let detail = if is_off && self.stop.is_cancelled() {
                    "the worker was told to stop; nothing came of it".to_owned()
                } else {
                    chain(&error)
                };
                tracing::error!(operation = %id, %kind, error = %detail, "an operation failed");
                let error = Some(json!({"code": error.code(), "detail": detail}));
                End { state, result: None, error, progress }
            }
        };
        self.tell(&taken, &end, &runs).await;
    }

    /// Says how an operation ended, as often as it takes to be heard.
    async fn tell(&self, taken: &Taken, end: &End, runs: &[(&'static str, &'static str)]) {
        for attempt in 1..=TRIES {
            match self.desk.end(taken, end).await {
                Ok(true) => break,
                Ok(false) => {
                    tracing::error!(operation = %taken.id, "an operation ended that was given up before: this worker was not heard of in time");
                    break;
                }
                Err(error) => {
                    tracing::warn!(operation = %taken.id, error = %chain(&error), "it cannot be said how an operation ended");
                    if attempt < TRIES {
                        #[expect(
                            clippy::disallowed_methods,
                            reason = "a database that is away says nothing when it comes back"
                        )]
                        sleep(Duration::from_secs(1)).await;
                    }
                }
            }
        }
        let rest = async {
            for (verb, outcome) in runs {
                self.desk.count(verb, outcome).await?;
            }
            self.after(taken, end).await?;
            self.report_times().await?;
            self.report_store().await
        };
        if let Err(error) = rest.await {
            tracing::warn!(error = %chain(&error), "what is known of backups could not be reported");
        }
    }

    /// What follows a run of the schedule.
    async fn after(&self, taken: &Taken, end: &End) -> Result<()> {
        if taken.kind == OperationKind::Cleanup {
            self.desk.forget(REMEMBERED_DAYS).await?;
        }
        let Some(run) = taken
            .key
            .as_deref()
            .filter(|_| taken.requested_by == SCHEDULE && taken.kind == OperationKind::Create)
        else {
            return Ok(());
        };
        let now = self.tools.clock.now();
        if self.schedule.due(Some(taken.started_at), now).is_some() {
            tracing::warn!(%run, "it took longer than to the next time of the schedule, which is passed over");
        }
        if end.state == OperationState::Succeeded {
            let id = self.tools.ids.next(now);
            self.desk.queue_after(id, run, OperationKind::Cleanup).await?;
        }
        Ok(())
    }

    /// Says every few seconds how far an operation is, until it is called off.
    async fn beat(&self, taken: &Taken, seen: &Seen, cancel: &CancellationToken) {
        if self.tools.dial.is_single() {
            return std::future::pending().await;
        }
        let mut every = interval(BEAT);
        loop {
            every.tick().await;
            match self.desk.beat(taken.id, &seen.told()).await {
                Ok(true) => {}
                Ok(false) => {
                    cancel.cancel();
                    return;
                }
                // A database that restarts, or is being replaced.
                Err(error) => {
                    tracing::warn!(error = %chain(&error), "it cannot be said how far an operation is");
                }
            }
        }
    }

    async fn look(&self) -> Result<brownie_domain::BackupStore> {
        let key = self.tools.signing_key()?;
        let found = report::look(&self.tools.store, &self.tools.settings, key.as_ref()).await?;
        let newest = found.newest().and_then(|backup| backup.finished);
        *self.newest.lock().unwrap_or_else(PoisonError::into_inner) = newest;
        Ok(found)
    }

    async fn report_store(&self) -> Result<()> {
        let found = self.look().await?;
        self.desk.report_store(&found).await
    }

    /// Says when the next backup is made, and that somebody will.
    ///
    /// # Errors
    /// When the database cannot be written to.
    pub async fn report_times(&self) -> Result<()> {
        let times = BackupTimes {
            schedule: self.schedule.text().to_owned(),
            timezone: self.schedule.zone().to_owned(),
            next_backup: self.next(),
        };
        self.desk.report_times(&times).await
    }
}

/// An error and its causes on one line.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

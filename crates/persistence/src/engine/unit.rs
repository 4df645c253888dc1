//! A unit of work: statements of one transaction, on a connection of their own.

use std::time::Duration;

use futures_util::future::{join, join3};
use sea_orm::Statement;
use tokio::{sync::Mutex, time::timeout};
use tokio_postgres::Row;

use super::{Cause, Engine, Lease, Ready, meter::UnitTimer, patiently};
use crate::{Error, Result};

/// How long a rollback may take before the connection is closed instead.
const ROLLBACK_LIMIT: Duration = Duration::from_millis(500);

/// Statements that take effect together or not at all. Dropped without [`Unit::commit`], none does.
#[derive(Debug)]
pub(crate) struct Unit {
    session: Mutex<Session>,
}

#[derive(Debug)]
struct Session {
    engine: Engine,
    /// None once the unit is over.
    client: Option<Lease>,
    /// BEGIN and tenant, until the first statement takes them along.
    bracket: Option<String>,
    /// Whether a statement failed. PostgreSQL answers COMMIT with a silent ROLLBACK then.
    failed: bool,
    /// Why the whole unit may be done again, if that is what its failure means.
    repeatable: Option<Cause>,
    timer: UnitTimer,
}

impl Unit {
    pub(super) fn new(client: Lease, bracket: String, engine: Engine) -> Self {
        let (client, bracket) = (Some(client), Some(bracket));
        let timer = UnitTimer::start();
        let session = Session { engine, client, bracket, failed: false, repeatable: None, timer };
        Self { session: Mutex::new(session) }
    }

    /// Runs the last statement, sends COMMIT with it, and waits for both answers.
    ///
    /// # Errors
    /// When any statement of the unit failed. Nothing has taken effect then, except that after
    /// [`Error::Timeout`] and [`Error::Unavailable`] nobody knows.
    pub(crate) async fn commit(&self, last: Option<Statement>) -> Result<()> {
        let mut session = self.session.lock().await;
        if session.failed {
            session.roll_back().await;
            return Err(Error::UnitOver);
        }
        session.commit(last).await
    }

    /// Makes a commit impossible.
    pub(crate) async fn fail(&self) {
        self.session.lock().await.failed = true;
    }

    /// Gives everything up.
    pub(crate) async fn roll_back(&self) {
        self.session.lock().await.roll_back().await;
    }

    /// Runs a statement and returns its rows.
    pub(crate) async fn rows(&self, statement: Statement) -> Result<Vec<Row>> {
        let (rows, _) = self.session.lock().await.rows(statement, None).await?;
        Ok(rows)
    }

    /// Runs two statements, the second without waiting for the first, and returns the rows of both.
    pub(crate) async fn rows_of_both(
        &self,
        first: Statement,
        second: Statement,
    ) -> Result<(Vec<Row>, Vec<Row>)> {
        self.session.lock().await.rows(first, Some(second)).await
    }

    /// Returns why the whole unit may be done again, if it failed in a way that left nothing behind
    /// and that another try may be spared.
    pub(crate) async fn repeatable(&self) -> Option<Cause> {
        self.session.lock().await.repeatable
    }
}

impl Session {
    async fn rows(
        &mut self,
        first: Statement,
        second: Option<Statement>,
    ) -> Result<(Vec<Row>, Vec<Row>)> {
        // What failed before may never have begun: another statement would run on its own.
        if self.failed {
            return Err(Error::UnitOver);
        }
        let client = self.client.as_ref().ok_or(Error::UnitOver)?;
        // Taken before anything is sent: a future that is dropped from here on has begun.
        let bracket = self.bracket.take();
        // Until the answer is here, the unit counts as failed: a caller that drops this future and
        // goes on must not commit half of it.
        self.failed = true;
        self.timer.has_begun();
        let timer = self.engine.meter.start(&first.sql);
        let work = Box::pin(async {
            let first = Ready::on(client, first).await?;
            let second = match second {
                Some(second) => Some(Ready::on(client, second).await?),
                None => None,
            };
            let bracketed = async {
                match &bracket {
                    Some(bracket) => client.batch_execute(bracket).await,
                    None => Ok(()),
                }
            };
            let go_on = async {
                match &second {
                    Some(second) => second.run(client).await,
                    None => Ok(Vec::new()),
                }
            };
            let (begun, first, second) = join3(bracketed, first.run(client), go_on).await;
            begun?;
            Ok((first?, second?))
        });
        let (doubt, limit) = (self.engine.doubt(client), self.engine.limit());
        let outcome = patiently(doubt, client.backend, limit, work).await;
        timer.stop(&outcome);
        match &outcome {
            Ok(_) => {
                client.answered();
                self.failed = false;
            }
            Err(error) => {
                self.repeatable = Cause::of(error);
                self.engine.connector.note(&outcome);
                if matches!(error, Error::Unavailable(_) | Error::Timeout) {
                    self.close();
                }
            }
        }
        outcome
    }

    async fn commit(&mut self, last: Option<Statement>) -> Result<()> {
        // The client stays in its place until the answer is here: if this future is dropped, the
        // session's Drop cleans up.
        let client = self.client.as_ref().ok_or(Error::UnitOver)?;
        let bracket = self.bracket.take();
        if bracket.is_some() && last.is_none() {
            // Nothing was ever sent.
            self.client = None;
            return Ok(());
        }
        let mut asked = false;
        let timer = self.engine.meter.start(last.as_ref().map_or("COMMIT", |last| &last.sql));
        let work = Box::pin(async {
            if let Some(bracket) = bracket {
                client.batch_execute(&bracket).await?;
            }
            let last = match last {
                Some(last) => Some(Ready::on(client, last).await?),
                None => None,
            };
            asked = true;
            let Some(last) = last else {
                return client.batch_execute("COMMIT").await.map_err(Error::from);
            };
            let (last, committed) = join(last.run(client), client.batch_execute("COMMIT")).await;
            last?;
            committed.map_err(Error::from)
        });
        let (doubt, limit) = (self.engine.doubt(client), self.engine.limit());
        let outcome = patiently(doubt, client.backend, limit, work).await;
        timer.stop(&outcome);
        self.timer.ends(&outcome);
        self.engine.connector.note(&outcome);
        match &outcome {
            Ok(()) => self.client = None,
            Err(error) => {
                // Once COMMIT is on its way, a lost connection leaves open whether it arrived.
                self.repeatable =
                    Cause::of(error).filter(|cause| !asked || matches!(cause, Cause::Contention));
                // Closing rolls back what a statement that could not be prepared left open.
                self.close();
            }
        }
        outcome
    }

    async fn roll_back(&mut self) {
        let Some(client) = self.client.take() else { return };
        if self.bracket.is_some() {
            return;
        }
        roll_back(client).await;
    }

    fn close(&mut self) {
        if let Some(client) = self.client.take() {
            client.discard();
        }
    }
}

async fn roll_back(client: Lease) {
    let mut unclean = Unclean(Some(client));
    if let Some(client) = &unclean.0
        && matches!(timeout(ROLLBACK_LIMIT, client.batch_execute("ROLLBACK")).await, Ok(Ok(())))
    {
        // Back to the pool.
        unclean.0 = None;
    }
}

/// A connection inside a transaction: if this is dropped, as by a runtime that ends, it is closed.
struct Unclean(Option<Lease>);

impl Drop for Unclean {
    fn drop(&mut self) {
        if let Some(client) = self.0.take() {
            client.discard();
        }
    }
}

/// A unit that was neither committed nor rolled back goes back to the pool clean or not at all.
/// What was sent is answered in order, so the ROLLBACK comes after whatever was under way.
impl Drop for Session {
    fn drop(&mut self) {
        let Some(client) = self.client.take() else { return };
        if self.bracket.is_some() {
            return;
        }
        // An async block, so that the guard is there before anything is polled.
        let unclean = Unclean(Some(client));
        drop(self.engine.runtime.spawn(async move {
            let mut unclean = unclean;
            if let Some(client) = unclean.0.take() {
                roll_back(client).await;
            }
        }));
    }
}

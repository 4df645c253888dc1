//! Whether an answer that does not come is being worked on, or will never come.
//!
//! A socket can die without a word: a host that is gone, a firewall that forgot us, a proxy that
//! froze. What waits on it would wait for the longest that a statement may take, and hold its place
//! in the pool for as long. So after a second somebody else is asked: a new connection, which looks
//! up in `pg_stat_activity` whether the other one's server process is at work.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{sync::Mutex, time::timeout};
use tokio_postgres::error::SqlState;

use super::{Engine, Lease, Tally, connection::Connector};
use crate::{Error, Result};

/// How long an answer is waited for without asking.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long asking may take.
const ASKING_LIMIT: Duration = Duration::from_millis(500);
/// How long what was learned is good for. Many wait at once; one asks.
const FRESH: Duration = Duration::from_millis(300);
/// How long an answer may still come after somebody said that it was sent.
const LAST_CHANCE: Duration = Duration::from_millis(200);

/// Asks about the connections of one engine.
#[derive(Debug, Clone)]
pub(super) struct Doubt {
    connector: Arc<Connector>,
    /// What was learned last, and when.
    known: Arc<Mutex<Option<(Instant, Known)>>>,
}

#[derive(Debug, Clone)]
enum Known {
    /// These server processes are at work.
    AtWork(BTreeSet<i32>),
    /// The server has no time for us, as far as can be seen.
    Overrun,
    /// Nobody answers.
    Silence,
}

impl Doubt {
    pub(super) fn new(connector: Arc<Connector>) -> Self {
        Self { connector, known: Arc::default() }
    }

    /// Tells whether a server process is at work, as far as can be known.
    async fn at_work(&self, backend: i32) -> bool {
        let mut known = self.known.lock().await;
        let fresh = known.as_ref().is_some_and(|(at, _)| at.elapsed() < FRESH);
        if !fresh {
            // A log-in that takes long is that of a server with much to do.
            let answer = timeout(ASKING_LIMIT, self.ask()).await.unwrap_or(Known::Overrun);
            *known = Some((Instant::now(), answer));
        }
        match &*known {
            Some((_, Known::AtWork(backends))) => backends.contains(&backend),
            Some((_, Known::Overrun)) => true,
            Some((_, Known::Silence)) | None => false,
        }
    }

    async fn ask(&self) -> Known {
        // A role sees what the sessions of its own name do (PostgreSQL manual, section 28.2).
        const SQL: &str = "SELECT pid FROM pg_stat_activity
            WHERE usename = session_user AND state IN ('active', 'fastpath function call')";
        let answer = match self.connector.connect().await {
            Ok(client) => client.query(SQL, &[]).await,
            Err(error) => Err(error),
        };
        match answer {
            Ok(rows) => Known::AtWork(rows.iter().filter_map(|row| row.try_get(0).ok()).collect()),
            Err(error) if error.code() == Some(&SqlState::TOO_MANY_CONNECTIONS) => Known::Overrun,
            Err(_) => Known::Silence,
        }
    }
}

/// Waits for `work` on the connection to `backend`: at most for `limit`, and no longer than there is
/// hope. `doubt` is none where nobody can be asked. `work` is boxed: what waits for it is moved about.
pub(super) async fn patiently<T>(
    doubt: Option<&Doubt>,
    backend: i32,
    limit: Duration,
    mut work: impl Future<Output = Result<T>> + Unpin,
) -> Result<T> {
    let hopefully = async {
        let Some(doubt) = doubt else { return work.await };
        loop {
            if let Ok(outcome) = timeout(PATIENCE, &mut work).await {
                return outcome;
            }
            tokio::select! {
                outcome = &mut work => return outcome,
                at_work = Box::pin(doubt.at_work(backend)) => if !at_work {
                    let silent = Error::Unavailable(Some("a connection fell silent".into()));
                    return timeout(LAST_CHANCE, &mut work).await.unwrap_or(Err(silent));
                }
            }
        }
    };
    let started = Instant::now();
    let outcome = timeout(limit, hopefully).await.unwrap_or(Err(Error::Timeout));
    Tally::note_wait(started.elapsed());
    outcome
}

impl Engine {
    /// Returns whom to ask, if anybody can be: not behind a pooler, which hides the server's
    /// processes, nor where there is one connection and no second.
    pub(super) fn doubt(&self, lease: &Lease) -> Option<&Doubt> {
        if lease.pooled { None } else { self.doubt.as_ref() }
    }
}

//! How much a piece of work asked of the database.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// Counts what is asked of the database inside [`Tally::of`], also by units of work, which run in
/// tasks of their own. Cheap to clone; all clones count together.
#[derive(Debug, Clone, Default)]
pub struct Tally(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    statements: AtomicU64,
    rows: AtomicU64,
    round_trips: AtomicU64,
    nanos: AtomicU64,
}

tokio::task_local! {
    static CURRENT: Tally;
}

impl Tally {
    /// Runs `work`, and counts what it asks for.
    pub fn of<F: Future>(&self, work: F) -> impl Future<Output = F::Output> + use<F> {
        CURRENT.scope(self.clone(), work)
    }

    /// Returns the tally of the task that asks, or one that nobody reads.
    pub(super) fn current() -> Self {
        CURRENT.try_with(Self::clone).unwrap_or_default()
    }

    /// Notes a statement that was answered.
    pub(super) fn note_rows(rows: usize) {
        let _ = CURRENT.try_with(|Self(counts)| {
            counts.statements.fetch_add(1, Ordering::Relaxed);
            counts.rows.fetch_add(u64::try_from(rows).unwrap_or_default(), Ordering::Relaxed);
        });
    }

    /// Notes that answers were waited for.
    pub(super) fn note_wait(waited: Duration) {
        let nanos = u64::try_from(waited.as_nanos()).unwrap_or_default();
        let _ = CURRENT.try_with(|Self(counts)| {
            counts.round_trips.fetch_add(1, Ordering::Relaxed);
            counts.nanos.fetch_add(nanos, Ordering::Relaxed);
        });
    }

    /// Returns how many statements were answered. BEGIN, COMMIT and SET are none.
    pub fn statements(&self) -> u64 {
        self.0.statements.load(Ordering::Relaxed)
    }

    /// Returns how many rows came back.
    pub fn rows(&self) -> u64 {
        self.0.rows.load(Ordering::Relaxed)
    }

    /// Returns how often answers were waited for: statements that are sent together are one round trip.
    pub fn round_trips(&self) -> u64 {
        self.0.round_trips.load(Ordering::Relaxed)
    }

    /// Returns how long answers were waited for. Waiting for a connection does not count.
    pub fn waited(&self) -> Duration {
        Duration::from_nanos(self.0.nanos.load(Ordering::Relaxed))
    }
}

//! Whether the server takes writes: known by the last ones, for nothing tells it beforehand.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::{Error, sqlstate::refuses_writes};

/// How long a refusal is believed. Whoever cannot write tries again, and is refused again.
const BELIEVED: Duration = Duration::from_mins(1);

/// When the server last refused to write.
#[derive(Debug, Default)]
pub(super) struct Writes(Mutex<Option<Instant>>);

impl Writes {
    /// Notes why something failed: that there is no room left, or that the server is a standby.
    pub(super) fn failed(&self, error: &Error) {
        if refuses_writes(error) {
            self.refused().replace(Instant::now());
        }
    }

    /// Tells whether writes are taken.
    pub(super) fn are_taken(&self) -> bool {
        self.refused().is_none_or(|at| at.elapsed() > BELIEVED)
    }

    fn refused(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

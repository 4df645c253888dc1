//! Whether Redis is asked at all.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use brownie_metrics::CACHE_UP;
use metrics::gauge;

/// Where short-lived state is at the moment. However that is, an instance can serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// `redis`, or `process` where none is set.
    pub backend: &'static str,
    /// Whether it is there that state is kept. If not, this instance keeps its own for the time being.
    pub healthy: bool,
    /// A sentence for whoever runs the service. It has no secret in it.
    pub detail: String,
    /// Since when it has been so.
    pub since: Instant,
}

/// Remembers whether Redis answered. After a failure nobody waits for it: a task of its own tries,
/// from time to time, and everybody else is answered by the process until it succeeds.
#[derive(Debug)]
pub(crate) struct Breaker {
    state: Mutex<State>,
    /// How long a try may take.
    patience: Duration,
}

#[derive(Debug)]
struct State {
    healthy: bool,
    detail: String,
    since: Instant,
    /// When to try again.
    retry_at: Instant,
}

/// What to do with a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// Ask Redis.
    Redis,
    /// Ask the process.
    Process,
    /// Ask the process, and try Redis in a task.
    ProcessAndTry,
}

impl Breaker {
    /// Expects the best: nobody has failed yet.
    pub(crate) fn new(detail: String, patience: Duration) -> Self {
        gauge!(CACHE_UP).set(1.0);
        let now = Instant::now();
        let state = State { healthy: true, detail, since: now, retry_at: now };
        Self { state: Mutex::new(state), patience }
    }

    /// Decides whom to ask. Of all who ask while Redis is away, one at a time is told to try.
    pub(crate) fn way(&self) -> Way {
        let mut state = self.state();
        let now = Instant::now();
        if state.healthy {
            Way::Redis
        } else if now < state.retry_at {
            Way::Process
        } else {
            state.retry_at = now + self.patience + pause();
            Way::ProcessAndTry
        }
    }

    /// Notes that Redis failed whoever began at `began`. Returns whether that is news: what began
    /// before it was well again says nothing.
    pub(crate) fn failed(&self, began: Instant, detail: String) -> bool {
        let mut state = self.state();
        if state.healthy && began < state.since {
            return false;
        }
        let is_news = state.healthy;
        let now = Instant::now();
        state.retry_at = now + pause();
        state.detail = detail;
        if is_news {
            state.healthy = false;
            state.since = now;
            gauge!(CACHE_UP).set(0.0);
        }
        is_news
    }

    /// Notes that a try succeeded. Returns whether that is news.
    pub(crate) fn succeeded(&self, detail: &str) -> bool {
        let mut state = self.state();
        let is_news = !state.healthy;
        if is_news {
            *state = State {
                healthy: true,
                detail: detail.to_owned(),
                since: Instant::now(),
                retry_at: state.retry_at,
            };
            gauge!(CACHE_UP).set(1.0);
        }
        is_news
    }

    /// Returns what is known.
    pub(crate) fn standing(&self) -> Standing {
        let state = self.state();
        Standing {
            backend: "redis",
            healthy: state.healthy,
            detail: state.detail.clone(),
            since: state.since,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Half a second to one and a half, so that instances do not all try at once.
fn pause() -> Duration {
    let random = getrandom::u32().unwrap_or(500);
    Duration::from_millis(500 + u64::from(random % 1_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_tries_and_only_when_it_is_time() {
        let breaker = Breaker::new(String::new(), Duration::ZERO);
        assert_eq!(breaker.way(), Way::Redis);
        assert!(breaker.failed(Instant::now(), "away".to_owned()));
        assert_eq!(breaker.way(), Way::Process);
        breaker.state().retry_at = Instant::now();
        assert_eq!(breaker.way(), Way::ProcessAndTry);
        assert_eq!(breaker.way(), Way::Process);
        assert!(!breaker.failed(Instant::now(), "still away".to_owned()));
        assert_eq!(breaker.standing().detail, "still away");
        assert!(breaker.succeeded("here"));
        assert_eq!(breaker.way(), Way::Redis);
    }

    #[test]
    fn what_began_before_it_was_well_again_says_nothing() {
        let breaker = Breaker::new(String::new(), Duration::ZERO);
        let began = Instant::now();
        assert!(breaker.failed(began, String::new()));
        assert!(breaker.succeeded("here"));
        assert!(!breaker.failed(began, String::new()));
        assert!(breaker.standing().healthy);
    }
}

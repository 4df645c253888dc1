//! What is repeated when it failed, and how often: the one place that decides.
//!
//! A statement that reads may always be repeated. A unit of work may be if the server says that it
//! was rolled back because of others, or if the connection was lost before COMMIT was sent: then
//! nothing has happened. After that nobody knows, and only the caller can decide.

use std::time::Duration;

use metrics::counter;

use crate::Error;

/// Why something may be repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Lost to another transaction: a serialization failure or a deadlock.
    Contention,
    /// The connection was lost, or was to a server that only reads by now.
    Connection,
}

impl Cause {
    /// Returns why `error` is no reason to give up, if it is none.
    pub(crate) fn of(error: &Error) -> Option<Self> {
        match error {
            Error::Contended => Some(Self::Contention),
            // Without a source it was waited for: that others have all connections, or that the
            // server lets nobody in, is not mended by waiting as long again.
            Error::Unavailable(Some(_)) => Some(Self::Connection),
            _ => None,
        }
    }

    /// Makes its counters be there from the start.
    pub(super) fn register() {
        for cause in [Self::Contention, Self::Connection] {
            counter!(brownie_metrics::DB_RETRIES, "cause" => cause.as_str()).increment(0);
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Contention => "contention",
            Self::Connection => "connection",
        }
    }
}

/// The tries of one piece of work.
#[derive(Debug, Default)]
pub(crate) struct Tries(u32);

impl Tries {
    /// More would make a server that has trouble have more of it.
    const MOST: u32 = 3;

    /// Tells whether to try again, and waits for a moment if so: a random one, so that two who lost
    /// against each other do not meet again.
    pub(crate) async fn again(&mut self, cause: Cause) -> bool {
        self.0 += 1;
        if self.0 >= Self::MOST {
            return false;
        }
        counter!(brownie_metrics::DB_RETRIES, "cause" => cause.as_str()).increment(1);
        let most = 20_u64 << self.0;
        let pause = most / 4 + u64::from(getrandom::u32().unwrap_or_default()) % most;
        #[expect(
            clippy::disallowed_methods,
            reason = "two that ran into each other do not meet again"
        )]
        tokio::time::sleep(Duration::from_millis(pause)).await;
        true
    }
}

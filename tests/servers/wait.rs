//! Waiting in tests: for a condition, with a deadline. A test that sleeps and hopes is slow on a fast
//! machine and wrong on a busy one, so clippy refuses `sleep` (`clippy.toml`), and these stand here
//! instead.

#![expect(clippy::disallowed_methods, reason = "the one place where tests sleep")]

use std::{
    fmt::Display,
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;

/// How long to wait for what takes a moment, on a machine that does something else, too.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// When a condition is looked at again, soon at first, then ever more slowly; and when no more.
struct Pause {
    begun: Instant,
    within: Duration,
    next: Duration,
}

impl Pause {
    const FIRST: Duration = Duration::from_millis(5);
    const LONGEST: Duration = Duration::from_millis(100);

    fn begin(within: Duration) -> Self {
        Self { begun: Instant::now(), within, next: Self::FIRST }
    }

    /// Returns how long to wait, unless it has been long enough.
    fn next(&mut self, what: &dyn Display, found: &dyn Display) -> Duration {
        let waited = self.begun.elapsed();
        assert!(waited < self.within, "waited {waited:?} in vain, until {what}: {found}");
        let pause = self.next;
        self.next = (pause * 4 / 3).min(Self::LONGEST);
        pause
    }
}

/// Waits until `condition` holds.
///
/// # Panics
/// When it does not within `within`: what was waited for.
pub async fn until<F>(what: impl Display, within: Duration, mut condition: impl FnMut() -> F)
where
    F: Future<Output = bool>,
{
    let mut pause = Pause::begin(within);
    while !condition().await {
        tokio::time::sleep(pause.next(&what, &"it is not so")).await;
    }
}

/// Waits until `ask` succeeds, and returns what it found.
///
/// # Panics
/// When it does not within `within`: what was waited for, and the last error.
pub async fn poll<T, F>(what: impl Display, within: Duration, mut ask: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<T>>,
{
    let mut pause = Pause::begin(within);
    loop {
        match ask().await {
            Ok(found) => return found,
            Err(error) => tokio::time::sleep(pause.next(&what, &format!("{error:#}"))).await,
        }
    }
}

/// As [`until`], where there is no runtime.
///
/// # Panics
/// As [`until`].
pub fn until_blocking(what: impl Display, within: Duration, mut condition: impl FnMut() -> bool) {
    let mut pause = Pause::begin(within);
    while !condition() {
        thread::sleep(pause.next(&what, &"it is not so"));
    }
}

/// As [`poll`], where there is no runtime.
///
/// # Panics
/// As [`poll`].
pub fn poll_blocking<T>(
    what: impl Display,
    within: Duration,
    mut ask: impl FnMut() -> Result<T>,
) -> T {
    let mut pause = Pause::begin(within);
    loop {
        match ask() {
            Ok(found) => return found,
            Err(error) => thread::sleep(pause.next(&what, &format!("{error:#}"))),
        }
    }
}

/// Lets time pass where time itself is what a test is about: a limit that gives something back each
/// second, a value that expires, a load with pauses in it. `because` tells the reader which; a test that
/// waits for something to have happened uses [`until`].
pub async fn pass(time: Duration, because: &str) {
    debug_assert!(!because.is_empty(), "the reason is for the reader");
    tokio::time::sleep(time).await;
}

/// As [`pass`], where there is no runtime.
pub fn pass_blocking(time: Duration, because: &str) {
    debug_assert!(!because.is_empty(), "the reason is for the reader");
    thread::sleep(time);
}

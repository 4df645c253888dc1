//! Waiting in tests: for a condition, with a deadline. A test that sleeps and hopes is slow on a fast
//! machine and wrong on a busy one, so clippy refuses `sleep` (`clippy.toml`), and these stand here
//! instead.

#![expect(clippy::disallowed_methods, reason = "the one place where tests sleep")]

use std::{
    fmt::Display,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};

/// How long to wait for what takes a moment, on a machine that does something else, too.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How long to wait before a condition is looked at again: a moment at first, then ever longer.
fn longer(pause: Duration) -> Duration {
    (pause * 4 / 3).min(Duration::from_millis(100))
}
const SOON: Duration = Duration::from_millis(5);

/// Waits until `condition` holds.
///
/// # Panics
/// When it does not within `within`: what was waited for.
pub async fn until<F>(what: impl Display, within: Duration, mut condition: impl FnMut() -> F)
where
    F: Future<Output = bool>,
{
    let mut pause = SOON;
    let holds = async {
        while !condition().await {
            tokio::time::sleep(pause).await;
            pause = longer(pause);
        }
    };
    let outcome = tokio::time::timeout(within, holds).await;
    assert!(outcome.is_ok(), "waited {within:?} in vain, until {what}");
}

/// Waits until `ask` succeeds, and returns what it found.
///
/// # Panics
/// When it does not within `within`: what was waited for, and the last error.
pub async fn poll<T, F>(what: impl Display, within: Duration, mut ask: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<T>>,
{
    let (mut pause, mut last) = (SOON, None);
    let found = async {
        loop {
            match ask().await {
                Ok(found) => return found,
                Err(error) => last = Some(error),
            }
            tokio::time::sleep(pause).await;
            pause = longer(pause);
        }
    };
    let outcome = tokio::time::timeout(within, found).await;
    outcome.unwrap_or_else(|_| panic!("waited {within:?} in vain, until {what}: {last:#?}"))
}

/// As [`until`], where there is no runtime. A condition that hangs is not given up.
///
/// # Panics
/// As [`until`].
pub fn until_blocking(what: impl Display, within: Duration, mut condition: impl FnMut() -> bool) {
    poll_blocking(what, within, || {
        ensure!(condition(), "it is not so");
        Ok(())
    });
}

/// As [`poll`], where there is no runtime. What hangs is not given up.
///
/// # Panics
/// As [`poll`].
pub fn poll_blocking<T>(
    what: impl Display,
    within: Duration,
    mut ask: impl FnMut() -> Result<T>,
) -> T {
    let (deadline, mut pause) = (Instant::now() + within, SOON);
    loop {
        match ask() {
            Ok(found) => return found,
            Err(error) if Instant::now() > deadline => {
                panic!("waited {within:?} in vain, until {what}: {error:#}")
            }
            Err(_) => thread::sleep(pause),
        }
        pause = longer(pause);
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

//! What the processes of one run of the tests have in common. nextest runs each test in a process of its
//! own, and `cargo test` all tests of a binary in one.

use std::{
    env,
    fs::{self, File},
    os::unix::fs::chown,
    path::PathBuf,
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

use anyhow::{Result, bail};
use brownie_domain::{Clock, IdSource, RandomIds, SystemClock};

use crate::{
    cluster::{MEMORY, place},
    programs::unprivileged_user,
};

/// A run of nextest.
#[derive(Debug)]
pub(crate) struct Run {
    /// What is there as long as the run.
    pub(crate) runner: u32,
    /// What its processes share. Belongs to whoever PostgreSQL runs as, who removes it.
    pub(crate) directory: PathBuf,
}

impl Run {
    /// Returns the run that this process is a part of, if it is part of one.
    ///
    /// # Errors
    /// When the directory cannot be made.
    #[expect(clippy::disallowed_methods, reason = "nextest tells by variables")]
    pub(crate) fn current() -> Result<Option<Self>> {
        let Some(id) = env::var("NEXTEST_RUN_ID").ok() else { return Ok(None) };
        let name = format!("brownie-run-{id}");
        // Where the first process of the run has put it, though there may be less room by now.
        let existing = [PathBuf::from(MEMORY), env::temp_dir()].map(|place| place.join(&name));
        let existing = existing.into_iter().find(|directory| directory.exists());
        let directory = existing.unwrap_or_else(|| place().join(&name));
        fs::create_dir_all(&directory)?;
        if let Some(owner) = unprivileged_user()? {
            chown(&directory, Some(owner), Some(owner))?;
        }
        Ok(Some(Self { runner: std::os::unix::process::parent_id(), directory }))
    }

    /// Returns what `make` has made for all processes of the run; the first one that asks makes it, and the
    /// others wait. When it cannot be made, all of them are told why.
    ///
    /// # Errors
    /// When it cannot be made or read.
    pub(crate) fn once(&self, name: &str, make: impl FnOnce() -> Result<String>) -> Result<String> {
        let lock = File::create(self.directory.join(format!("{name}.lock")))?;
        lock.lock()?;
        let path = self.directory.join(format!("{name}.made"));
        if let Ok(outcome) = fs::read_to_string(&path) {
            return match outcome.strip_prefix(FAILED) {
                Some(why) => bail!("it could not be made before: {why}"),
                None => Ok(outcome),
            };
        }
        // Should it panic, or be ended, the next one is told so.
        fs::write(&path, format!("{FAILED}by a test that did not end"))?;
        let outcome = make();
        let text = outcome.as_ref().map_or_else(|error| format!("{FAILED}{error:#}"), Clone::clone);
        fs::write(&path, text)?;
        outcome
    }
}

/// How what could not be made is written down.
const FAILED: &str = "failed: ";

/// Returns a word that no other test gets, for names that must differ on a server. Numbers of processes come
/// again; what is random here does not.
pub fn unique() -> String {
    static PROCESS: OnceLock<String> = OnceLock::new();
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let process = PROCESS.get_or_init(|| {
        let id = RandomIds.next(SystemClock.now()).simple().to_string();
        id[id.len() - 10..].to_owned()
    });
    format!("{process}_{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Tells whether the long runs are wanted: `tests/run.sh --long`.
#[expect(clippy::disallowed_methods, reason = "the tests' own setting")]
pub fn is_long() -> bool {
    env::var_os("BROWNIE_TEST_LONG").is_some()
}

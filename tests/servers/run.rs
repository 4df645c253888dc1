//! What the processes of one run of the tests have in common. nextest runs each test in a process of its
//! own, and `cargo test` all tests of a binary in one.

use std::{
    env,
    fs::{self, File},
    os::unix::fs::chown,
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::Result;

use crate::{cluster::place, programs::unprivileged_user};

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
        let directory = place().join(format!("brownie-run-{id}"));
        fs::create_dir_all(&directory)?;
        if let Some(owner) = unprivileged_user()? {
            chown(&directory, Some(owner), Some(owner))?;
        }
        Ok(Some(Self { runner: std::os::unix::process::parent_id(), directory }))
    }

    /// Returns what `make` has written down for all processes of the run; the first one that asks makes it,
    /// and the others wait.
    ///
    /// # Errors
    /// When it cannot be made or read.
    pub(crate) fn once(&self, name: &str, make: impl FnOnce() -> Result<String>) -> Result<String> {
        let lock = File::create(self.directory.join(format!("{name}.lock")))?;
        lock.lock()?;
        let path = self.directory.join(format!("{name}.ready"));
        if let Ok(made) = fs::read_to_string(&path) {
            return Ok(made);
        }
        let text = make()?;
        fs::write(path, &text)?;
        Ok(text)
    }
}

/// Returns a word that no other test of the run gets, for names that must differ on a server.
pub fn unique() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Tells whether the long runs are wanted: `tests/run.sh --long`.
#[expect(clippy::disallowed_methods, reason = "the tests' own setting")]
pub fn is_long() -> bool {
    env::var_os("BROWNIE_TEST_LONG").is_some()
}

//! What the tests have in common.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::OnceLock,
    time::Instant,
};

use age::secrecy::ExposeSecret;
use brownie_test_servers::{PATIENCE, poll_blocking};
use serde_json::Value;

use crate::postgres::{Postgres, contents};

/// A key pair: the public half, and the private one.
pub(crate) fn keys() -> &'static (String, String) {
    static KEYS: OnceLock<(String, String)> = OnceLock::new();
    KEYS.get_or_init(|| {
        let identity = age::x25519::Identity::generate();
        (identity.to_public().to_string(), identity.to_string().expose_secret().to_owned())
    })
}

/// Returns the program: the one that was built with these tests, unless `BROWNIE_TEST_BACKUP` names another,
/// such as that of a release, which is ten times as fast.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        #[expect(clippy::disallowed_methods, reason = "the tests' own setting")]
        let other = std::env::var_os("BROWNIE_TEST_BACKUP");
        other.map_or_else(|| env!("CARGO_BIN_EXE_brownie-backup").into(), PathBuf::from)
    })
}

/// The program with its variables, and no others.
pub(crate) struct Worker {
    variables: Vec<(String, String)>,
    /// The private key is in it; the program is run in it.
    pub(crate) dir: tempfile::TempDir,
}

impl Worker {
    /// With keys, and these variables.
    pub(crate) fn new(variables: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let identity = dir.path().join("identity");
        std::fs::write(&identity, &keys().1).unwrap();
        let own = [
            ("LOG_LEVEL", "warn"),
            ("BACKUP_AGE_RECIPIENTS", &keys().0),
            ("BACKUP_AGE_IDENTITY_FILE", identity.to_str().unwrap()),
        ];
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let variables = own.into_iter().chain(variables.iter().copied()).map(owned).collect();
        Self { variables, dir }
    }

    /// On a database, as a superuser, into a directory of its own.
    pub(crate) fn local(pg: &Postgres, database: &str) -> Self {
        let worker = Self::new(&[("DATABASE_URL", &pg.url("postgres", database))]);
        let directory = worker.directory().display().to_string();
        worker.with("BACKUP_DESTINATION", &directory)
    }

    /// On a database, as a superuser, into a store.
    pub(crate) fn on(pg: &Postgres, database: &str, store: &[(&str, String)]) -> Self {
        let worker = Self::new(&[("DATABASE_URL", &pg.url("postgres", database))]);
        store.iter().fold(worker, |worker, (name, value)| worker.with(name, value))
    }

    /// Where a directory's backups are.
    pub(crate) fn directory(&self) -> PathBuf {
        self.dir.path().join("backups")
    }

    /// Sets a variable.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.retain(|(known, _)| known != name);
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.variables.retain(|(known, _)| known != name);
        self
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program());
        command.arg("--json").args(arguments).current_dir(self.dir.path());
        command.env_clear().envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        let begun = Instant::now();
        let output = self.command(arguments).stdin(Stdio::null()).output().unwrap();
        eprintln!("{:4} ms: {arguments:?}", begun.elapsed().as_millis());
        output
    }

    /// Begins, and does not wait.
    pub(crate) fn spawn(&self, arguments: &[&str]) -> Child {
        let mut command = self.command(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().unwrap()
    }

    /// Runs it, and returns what it prints. A server process that has not noticed yet that its client is
    /// dead holds its lock: then it is run again.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        poll_blocking(format!("nobody else is at work: {arguments:?}"), PATIENCE, || {
            let output = self.run(arguments);
            let error = String::from_utf8_lossy(&output.stderr);
            if output.status.success() {
                return Ok(serde_json::from_slice(&output.stdout).unwrap());
            }
            assert!(error.contains("is at work on this database"), "{arguments:?}: {error}");
            Err(anyhow::anyhow!("{error}"))
        })
    }

    /// Runs it, and returns what it says against it.
    pub(crate) fn refused(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {error}");
        assert!(!error.contains(&keys().1), "{error}");
        error
    }

    /// Returns the names of the backups that are listed, the newest first.
    pub(crate) fn names(&self) -> Vec<String> {
        let listed = self.json(&["list", "--limit", "1000"]);
        let names = listed["backups"].as_array().unwrap().iter();
        names.map(|backup| backup["name"].as_str().unwrap().to_owned()).collect()
    }
}

/// Makes a database with rows in every table, and in one of them so many that do not compress that they
/// are uploaded in parts.
pub(crate) async fn filled(pg: &Postgres, scale: u32) -> String {
    let database = pg.filled(scale, 2).await;
    let sql = "UPDATE incidents SET description = (SELECT string_agg(md5(id::text || n), '')
        FROM generate_series(1, 250) AS n)";
    pg.connect(&database).await.batch_execute(sql).await.unwrap();
    database
}

/// Returns what is in a database, seen otherwise than the program sees it.
pub(crate) async fn inside(pg: &Postgres, database: &str) -> Vec<(String, i64, String)> {
    contents(&pg.connect(database).await).await
}

//! A private PostgreSQL: one cluster for all tests of a run, one database for each test. Our programs
//! reach it by mutual TLS, each role with its own certificate and none with a password; the tests
//! themselves connect by the socket.

use std::{
    fs,
    os::unix::fs::chown,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use brownie_certs::dev::CLIENTS;

use tokio_postgres::NoTls;

use crate::{
    Database,
    cluster::{KEEP_FILES, certify, keep, place},
    programs::{as_user, find_programs, unprivileged_user},
    run::Run,
    unique, wait,
};

/// What the server may leave out because nothing it holds need survive the machine.
pub(crate) const FAST: &[&str] = &[
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "max_wal_size=512MB",
    "jit=off",
];

/// The migrated database that those of tests are copies of.
const TEMPLATE: &str = "brownie_template";

/// Who comes in over TCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Who has the certificate of a role, by the rules in `compose/postgres`.
    Certificates,
    /// Everybody.
    Trust,
}

/// A database cluster of our own.
#[derive(Debug)]
pub struct Postgres {
    pub(crate) bin: PathBuf,
    pub(crate) dir: PathBuf,
    pub(crate) port: u16,
    pub(crate) settings: &'static [&'static str],
    /// Runs the server as long as our end of its standard input is open, and removes its files
    /// then: both end with the test process, however that ends. None for what is of a whole run, and
    /// ends with it.
    pub(crate) keeper: Option<Child>,
}

impl Postgres {
    /// Returns the cluster that the tests share, fast and forgetful: all of a run of nextest, or those
    /// of this process. Whoever comes first starts it and makes the template of the databases.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        SHARED.get_or_init(|| {
            let template = |postgres: &Self| postgres.migrated(TEMPLATE).map(drop);
            Self::shared_as("postgres", find_programs, Access::Certificates, template)
        })
    }

    /// Returns a cluster that the tests share, as [`Postgres::shared`], under a name, with the programs in
    /// `bin`, made ready by `prepare`.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn shared_as(
        name: &str,
        bin: impl Fn() -> Result<PathBuf>,
        access: Access,
        prepare: impl Fn(&Self) -> Result<()>,
    ) -> Self {
        let start = || -> Result<Self> {
            let bin = bin()?;
            let Some(run) = Run::current()? else {
                let postgres = Self::start(bin, FAST, access)?;
                prepare(&postgres)?;
                return Ok(postgres);
            };
            let dir = run.directory.join(name);
            let port = run.once(name, || {
                let postgres =
                    Self::start_in(dir.clone(), bin.clone(), FAST, access, Some(run.runner))?;
                prepare(&postgres)?;
                Ok(postgres.port.to_string())
            })?;
            Ok(Self { bin, dir, port: port.parse()?, settings: FAST, keeper: None })
        };
        start().unwrap_or_else(|error| panic!("PostgreSQL cannot be started: {error:#}"))
    }

    /// Starts a cluster that keeps its promises, for tests that kill it.
    ///
    /// # Errors
    /// When PostgreSQL is not installed or does not start.
    pub fn durable() -> Result<Self> {
        Self::on_disk(find_programs()?, &[], Access::Certificates)
    }

    /// Starts a cluster as fast and forgetful as the shared one, for tests that change what is of the
    /// whole server, or mind that others do.
    ///
    /// # Errors
    /// As [`Postgres::durable`].
    pub fn private() -> Result<Self> {
        Self::start(find_programs()?, FAST, Access::Certificates)
    }

    /// As [`Postgres::private`], with the programs in `bin`.
    ///
    /// # Errors
    /// As [`Postgres::durable`].
    pub fn private_of(bin: PathBuf, access: Access) -> Result<Self> {
        Self::start(bin, FAST, access)
    }

    /// Starts a cluster that acknowledges what is not on the disk yet, for tests that must notice.
    ///
    /// # Errors
    /// As [`Postgres::durable`].
    pub fn forgetful() -> Result<Self> {
        // The longest that PostgreSQL allows: what it holds back is lost with it.
        let forgetful: &[&str] =
            &["synchronous_commit=off", "wal_writer_delay=10s", "wal_writer_flush_after=1GB"];
        Self::on_disk(find_programs()?, forgetful, Access::Certificates)
    }

    /// As [`Postgres::private_of`], on a disk, for what is measured.
    ///
    /// # Errors
    /// As [`Postgres::durable`].
    pub fn private_on_disk_of(bin: PathBuf, access: Access) -> Result<Self> {
        Self::on_disk(bin, FAST, access)
    }

    fn on_disk(bin: PathBuf, settings: &'static [&'static str], access: Access) -> Result<Self> {
        let dir = std::env::temp_dir().join(format!("brownie-pg-{}", unique()));
        Self::start_in(dir, bin, settings, access, None)
    }

    pub(crate) fn start(
        bin: PathBuf,
        settings: &'static [&'static str],
        access: Access,
    ) -> Result<Self> {
        let dir = place().join(format!("brownie-pg-{}", unique()));
        Self::start_in(dir, bin, settings, access, None)
    }

    /// Starts a server that ends with `runner`, or with this process if there is none.
    fn start_in(
        dir: PathBuf,
        bin: PathBuf,
        settings: &'static [&'static str],
        access: Access,
        runner: Option<u32>,
    ) -> Result<Self> {
        fs::create_dir_all(&dir)?;
        let owner = unprivileged_user()?;
        if let Some(uid) = owner {
            chown(&dir, Some(uid), Some(uid))?;
        }
        let data = dir.join("data");
        let mut initdb = Command::new(bin.join("initdb"));
        initdb.args("-U postgres -A trust -E UTF8 --locale=C --no-sync -D".split(' '));
        initdb.arg(&data).current_dir(&dir);
        let output = as_user(&mut initdb, owner).output().context("initdb")?;
        if !output.status.success() {
            drop(fs::remove_dir_all(&dir));
            bail!("initdb: {}", String::from_utf8_lossy(&output.stderr));
        }

        match access {
            Access::Certificates => certify(&dir, owner)?,
            Access::Trust => {}
        }
        let port = crate::free_port()?;
        let keeper = keep(&bin, &dir, port, settings, owner, runner)?;
        let keeper = runner.is_none().then_some(keeper);
        let postgres = Self { bin, dir, port, settings, keeper };
        postgres.wait_until_ready();
        Ok(postgres)
    }

    /// Kills the server with SIGKILL, all its processes, and starts it again.
    ///
    /// # Errors
    /// When it does not come back.
    pub fn crash_and_restart(&mut self) -> Result<()> {
        self.crash()?;
        self.restart()
    }

    /// Kills the server with SIGKILL, all its processes.
    ///
    /// # Errors
    /// When they cannot be found.
    pub fn crash(&mut self) -> Result<()> {
        let pid = fs::read_to_string(self.dir.join("data/postmaster.pid"))?;
        let pid = pid.lines().next().unwrap_or_default().to_owned();
        let children = Command::new("pgrep").args(["-P", &pid]).output()?;
        let mut victims = vec![pid];
        victims.extend(String::from_utf8(children.stdout)?.lines().map(str::to_owned));
        Command::new("kill").arg("-9").args(&victims).stderr(Stdio::null()).status()?;
        // A server that is started while one of them is attached to its memory refuses.
        let alive = |pid: &String| {
            let status = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            !(status.is_empty() || status.contains(") Z "))
        };
        wait::until_blocking("its processes are gone", wait::PATIENCE, || {
            !victims.iter().any(alive)
        });
        fs::write(self.dir.join(KEEP_FILES), "")?;
        self.end_keeper()
    }

    fn end_keeper(&mut self) -> Result<()> {
        if let Some(mut keeper) = self.keeper.take() {
            drop(keeper.stdin.take());
            keeper.wait()?;
        }
        Ok(())
    }

    /// Starts it again after a crash.
    ///
    /// # Errors
    /// When it does not come back.
    pub fn restart(&mut self) -> Result<()> {
        fs::remove_file(self.dir.join("data/postmaster.pid")).ok();
        fs::remove_file(self.dir.join(KEEP_FILES))?;
        let owner = unprivileged_user()?;
        self.keeper = Some(keep(&self.bin, &self.dir, self.port, self.settings, owner, None)?);
        self.wait_until_ready();
        Ok(())
    }

    pub(crate) fn wait_until_ready(&self) {
        wait::poll_blocking("PostgreSQL answers", Duration::from_mins(1), || {
            block_on(enter(self.door("postgres", "postgres")))
                .with_context(|| fs::read_to_string(self.dir.join("log")).unwrap_or_default())
        });
    }

    /// Makes a migrated database in a cluster of the test's own, and returns its URL for the role
    /// that serves.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn migrated(&self, name: &str) -> Result<String> {
        self.execute(&format!("CREATE DATABASE {name}"))?;
        let database = brownie_migration::Database::new(self.url(name), Duration::from_secs(10));
        block_on(async move { Ok(brownie_migration::apply(&database).await?) })?;
        Ok(self.url_as("brownie-server", name))
    }

    /// Returns where a program of the server's version is, such as `pg_dump`: beside `initdb`, of
    /// which PATH may have only a link.
    pub fn program(&self, name: &str) -> PathBuf {
        let initdb = self.bin.join("initdb");
        fs::canonicalize(&initdb).unwrap_or(initdb).with_file_name(name)
    }

    /// Opens a connection to a database in this cluster, as superuser.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn connect(&self, database: &str) -> Result<tokio_postgres::Client> {
        enter(self.door("postgres", database)).await
    }

    /// Makes a migrated database of its own for a test.
    ///
    /// # Panics
    /// When the server refuses.
    pub fn database(&'static self) -> Database {
        self.new_database(&format!("TEMPLATE {TEMPLATE}"))
    }

    /// Makes an empty database for a test.
    ///
    /// # Panics
    /// When the server refuses.
    pub fn empty_database(&'static self) -> Database {
        self.new_database("")
    }

    fn new_database(&'static self, options: &str) -> Database {
        let name = format!("t_{}", unique());
        if let Err(error) = self.execute(&format!("CREATE DATABASE {name} {options}")) {
            panic!("no database for this test: {error:#}");
        }
        Database::new(self, name)
    }

    /// Runs SQL as superuser in the database `postgres`.
    ///
    /// # Errors
    /// What the server said.
    pub fn execute(&self, sql: &str) -> Result<()> {
        let (door, sql) = (self.door("postgres", "postgres"), sql.to_owned());
        block_on(async move { Ok(enter(door).await?.batch_execute(&sql).await?) })
    }

    /// Has the server read its files again, and waits until it has: sessions that begin later know when.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn reload(&self) -> Result<()> {
        let client = self.connect("postgres").await?;
        let now = "SELECT clock_timestamp()::text";
        let told: String = client.query_one(now, &[]).await?.get(0);
        client.batch_execute("SELECT pg_reload_conf()").await?;
        let sql = format!("SELECT pg_conf_load_time() >= '{told}'");
        wait::poll("the server has read its files", wait::PATIENCE, async || {
            let client = self.connect("postgres").await?;
            let read: bool = client.query_one(&sql, &[]).await?.get(0);
            ensure!(read, "not yet");
            Ok(())
        })
        .await;
        Ok(())
    }

    /// Returns the URL of a database in this cluster, for a superuser.
    pub fn url(&self, database: &str) -> String {
        self.url_as("postgres", database)
    }

    /// Returns the directory of a role's certificates, as `CERT_DIR` wants it; `server` is the
    /// server's, `ca` the authority's.
    pub fn certificates(&self, role: &str) -> PathBuf {
        self.dir.join("certs").join(role)
    }

    /// Returns the directory of its socket.
    pub fn socket(&self) -> &Path {
        &self.dir
    }

    /// Returns the URL of a database in this cluster, for a role: by mutual TLS for those that have a
    /// certificate, by the socket for others.
    pub fn url_as(&self, role: &str, database: &str) -> String {
        let (dir, port) = (self.dir.display(), self.port);
        if !CLIENTS.contains(&role) {
            return format!(
                "postgres://{role}@localhost:{port}/{database}?host={dir}&sslmode=disable"
            );
        }
        let certs = self.certificates(role);
        let certs = certs.display();
        format!(
            "postgres://{role}@127.0.0.1:{port}/{database}?sslmode=verify-full\
             &sslrootcert={certs}/ca.crt&sslcert={certs}/client.crt&sslkey={certs}/client.key"
        )
    }

    /// Returns what the server has logged so far.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn log(&self) -> Result<String> {
        Ok(String::from_utf8_lossy(&fs::read(self.dir.join("log"))?).into_owned())
    }

    /// Returns the tests' own way in.
    pub(crate) fn door(&self, role: &str, database: &str) -> tokio_postgres::Config {
        let mut config = tokio_postgres::Config::new();
        config.host_path(&self.dir).port(self.port).user(role).dbname(database);
        config
    }

    /// Returns the port that it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        drop(self.end_keeper());
        // It crashed and was not started again: its keeper has left the files for that.
        if self.dir.join(KEEP_FILES).exists() {
            drop(fs::remove_dir_all(&self.dir));
        }
    }
}

pub(crate) async fn enter(door: tokio_postgres::Config) -> Result<tokio_postgres::Client> {
    let (client, connection) = door.connect(NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// Runs `work` to its end on a thread of its own: callers may be inside a runtime.
fn block_on<T: Send>(work: impl Future<Output = Result<T>> + Send) -> Result<T> {
    thread::scope(|scope| {
        let worker = scope.spawn(|| {
            tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
        });
        match worker.join() {
            Ok(outcome) => outcome,
            Err(_) => bail!("the worker thread panicked"),
        }
    })
}

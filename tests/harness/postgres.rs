//! A private PostgreSQL: one cluster for the test process, one database for each test. Our programs
//! reach it by mutual TLS, each role with its own certificate and none with a password; the tests'
//! own door is the socket.
//!
//! The server's programs are looked for in `BROWNIE_TEST_PG_BIN`, on PATH, and where Debian keeps
//! them. PostgreSQL refuses to run as root, so a root's cluster runs as `postgres` or `nobody`.

use std::{
    env, fs,
    io::Write,
    os::unix::{fs::chown, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use brownie_certs::dev::CLIENTS;
use brownie_domain::{Clock, SystemClock};
use tokio_postgres::NoTls;

use crate::Database;

/// What the server may leave out because nothing it holds need survive the machine.
const FAST: &[&str] = &["fsync=off", "synchronous_commit=off", "full_page_writes=off"];

/// Runs a server until standard input closes, then removes the directory it is in, unless there is
/// a file that says not to.
const KEEPER: &str = r#"
    "$@" </dev/null >>log 2>&1 &
    server=$!
    read -r _
    kill -QUIT $server 2>/dev/null
    wait $server
    [ -e keep-files ] || rm -rf "$PWD"
"#;
const KEEP_FILES: &str = "keep-files";

/// A database cluster of our own.
#[derive(Debug)]
pub struct Postgres {
    bin: PathBuf,
    dir: PathBuf,
    port: u16,
    settings: &'static [&'static str],
    /// Runs the server as long as our end of its standard input is open, and removes its files
    /// then: both end with the test process, however that ends.
    keeper: Child,
}

impl Postgres {
    /// Returns the cluster that the tests of this process share, fast and forgetful.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        SHARED.get_or_init(|| match Self::start(FAST) {
            Ok(postgres) => match postgres.migrated("brownie_template") {
                Ok(_) => postgres,
                Err(error) => panic!("the template database cannot be made: {error:#}"),
            },
            Err(error) => panic!("PostgreSQL cannot be started: {error:#}"),
        })
    }

    /// Starts a cluster that keeps its promises, for tests that kill it.
    ///
    /// # Errors
    /// When PostgreSQL is not installed or does not start.
    pub fn durable() -> Result<Self> {
        Self::start(&[])
    }

    /// Starts a cluster as fast and forgetful as the shared one, for tests that change what is of the
    /// whole server, or mind that others do.
    ///
    /// # Errors
    /// As [`Postgres::durable`].
    pub fn private() -> Result<Self> {
        Self::start(FAST)
    }

    /// Starts a cluster that acknowledges what is not on the disk yet, for tests that must notice.
    ///
    /// # Errors
    /// As [`Postgres::durable`].
    pub fn forgetful() -> Result<Self> {
        // The longest that PostgreSQL allows: what it holds back is lost with it.
        Self::start(&[
            "synchronous_commit=off",
            "wal_writer_delay=10s",
            "wal_writer_flush_after=1GB",
        ])
    }

    fn start(settings: &'static [&'static str]) -> Result<Self> {
        let bin = find_programs()?;
        let dir = env::temp_dir().join(format!("brownie-pg-{}-{}", std::process::id(), serial()));
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
        ensure!(output.status.success(), "initdb: {}", String::from_utf8_lossy(&output.stderr));

        certify(&dir, owner)?;
        let port = crate::free_port()?;
        let keeper = keep(&bin, &dir, port, settings, owner)?;
        let postgres = Self { bin, dir, port, settings, keeper };
        postgres.wait_until_ready()?;
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
        fs::write(self.dir.join(KEEP_FILES), "")?;
        drop(self.keeper.stdin.take());
        self.keeper.wait()?;
        Ok(())
    }

    /// Starts it again after a crash.
    ///
    /// # Errors
    /// When it does not come back.
    pub fn restart(&mut self) -> Result<()> {
        fs::remove_file(self.dir.join("data/postmaster.pid")).ok();
        fs::remove_file(self.dir.join(KEEP_FILES))?;
        self.keeper = keep(&self.bin, &self.dir, self.port, self.settings, unprivileged_user()?)?;
        self.wait_until_ready()
    }

    fn wait_until_ready(&self) -> Result<()> {
        let deadline = Instant::now() + Duration::from_mins(1);
        while let Err(error) = block_on(enter(self.door("postgres", "postgres"))) {
            if Instant::now() > deadline {
                let log = fs::read_to_string(self.dir.join("log")).unwrap_or_default();
                bail!("PostgreSQL does not answer: {error:#}\n{log}");
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
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
        self.new_database("TEMPLATE brownie_template")
    }

    /// Makes an empty database for a test.
    ///
    /// # Panics
    /// When the server refuses.
    pub fn empty_database(&'static self) -> Database {
        self.new_database("")
    }

    fn new_database(&'static self, options: &str) -> Database {
        let name = format!("t_{}", serial());
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
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

/// Makes certificates, and the rules by which they open the cluster: those of `compose/postgres`, and
/// a door for the tests.
fn certify(dir: &Path, owner: Option<u32>) -> Result<()> {
    let certs = dir.join("certs");
    brownie_certs::dev::create(&certs, SystemClock.now())?;
    let shipped =
        |name: &str| fs::read_to_string(crate::root().join("compose/postgres").join(name));
    fs::write(
        dir.join("pg_hba.conf"),
        format!("local all all trust\n{}", shipped("pg_hba.conf")?),
    )?;
    fs::write(dir.join("pg_ident.conf"), shipped("pg_ident.conf")?)?;
    // In its file, so that a test can set it otherwise.
    let file = |name: &str| dir.join(name).display().to_string();
    let settings = format!(
        "ssl = on\nssl_ca_file = '{}'\nssl_cert_file = '{}'\nssl_key_file = '{}'\n\
         hba_file = '{}'\nident_file = '{}'\n",
        file("certs/server/ca.crt"),
        file("certs/server/server.crt"),
        file("certs/server/server.key"),
        file("pg_hba.conf"),
        file("pg_ident.conf"),
    );
    let mut conf = fs::OpenOptions::new().append(true).open(dir.join("data/postgresql.conf"))?;
    conf.write_all(settings.as_bytes())?;
    // The keeper removes all of it, and is not root.
    for path in std::iter::once(certs.clone()).chain(below(&certs)?) {
        chown(&path, owner, owner)?;
    }
    Ok(())
}

fn below(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(below(&path)?);
        }
        found.push(path);
    }
    Ok(found)
}

/// Starts the server below a shell that ends it when our end of the pipe closes.
fn keep(bin: &Path, dir: &Path, port: u16, settings: &[&str], owner: Option<u32>) -> Result<Child> {
    let mut script = Command::new("sh");
    script
        .args(["-c", KEEPER, "keeper"])
        .arg(bin.join("postgres"))
        .arg("-D")
        .arg(dir.join("data"))
        .args(["-c", "listen_addresses=127.0.0.1", "-c", "max_connections=200"])
        .args([
            "-c",
            &format!("port={port}"),
            "-c",
            &format!("unix_socket_directories={}", dir.display()),
        ])
        .args(settings.iter().flat_map(|setting| ["-c", setting]))
        .current_dir(dir)
        .stdin(Stdio::piped());
    as_user(&mut script, owner).spawn().context("starting postgres")
}

pub(crate) fn as_user(command: &mut Command, owner: Option<u32>) -> &mut Command {
    match owner {
        Some(uid) => command.uid(uid).gid(uid),
        None => command,
    }
}

/// Returns whom a root's cluster runs as; none when we are not root.
pub(crate) fn unprivileged_user() -> Result<Option<u32>> {
    if id(&[])? != Some(0) {
        return Ok(None);
    }
    match id(&["postgres"])? {
        Some(uid) => Ok(Some(uid)),
        None => id(&["nobody"]),
    }
}

fn id(user: &[&str]) -> Result<Option<u32>> {
    let output = Command::new("id").arg("-u").args(user).output().context("id")?;
    Ok(String::from_utf8(output.stdout)?.trim().parse().ok())
}

#[expect(clippy::disallowed_methods, reason = "the tests' own setting, read once")]
fn find_programs() -> Result<PathBuf> {
    let mut places: Vec<PathBuf> = Vec::new();
    places.extend(env::var("BROWNIE_TEST_PG_BIN").ok().map(PathBuf::from));
    places.extend(env::var("PATH").iter().flat_map(env::split_paths));
    let mut debian: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .map(|entries| entries.flatten().map(|entry| entry.path().join("bin")).collect())
        .unwrap_or_default();
    debian.sort();
    places.extend(debian.into_iter().rev());
    places
        .into_iter()
        .find(|place| place.join("initdb").exists() && place.join("postgres").exists())
        .context("no initdb: install postgresql, or name its programs in BROWNIE_TEST_PG_BIN")
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

fn serial() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

//! Our own programs as processes.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{Mutex, OnceLock},
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail};

use crate::{Client, Serves, free_port, poll};

/// Returns the path of one of our programs. nextest has built them before the first test (its set-up
/// script `tests/programs.sh`); `cargo test` builds only their unit tests, so that it is done here.
///
/// # Panics
/// When they cannot be built.
pub fn binary(name: &str) -> PathBuf {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    let directory = DIRECTORY.get_or_init(|| {
        let test = std::env::current_exe().unwrap_or_default();
        // target/debug/deps/programs-...
        let directory = test.ancestors().nth(2).map(Path::to_path_buf).unwrap_or_default();
        // The set-up script builds for debugging.
        if !(is_built() && directory.ends_with("debug")) {
            let profile = if directory.ends_with("release") { "release" } else { "dev" };
            let mut build = Command::new(crate::root().join("tests/programs.sh"));
            let status = build.arg(profile).status();
            assert!(status.is_ok_and(|status| status.success()), "the programs cannot be built");
        }
        directory
    });
    directory.join(name)
}

#[expect(clippy::disallowed_methods, reason = "the set-up script tells by a variable")]
fn is_built() -> bool {
    std::env::var_os("TEST_PROGRAMS_BUILT").is_some()
}

/// Runs one of our programs to its end, with these variables and no others of ours.
///
/// # Errors
/// When it cannot be run.
pub fn run(name: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Result<Output> {
    Ok(command(name, variables).args(arguments).output()?)
}

fn command(name: &str, variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(binary(name));
    for name in ["DATABASE_URL", "DB_HOST", "METADATA_JWT_SECRET", "LOG_LEVEL", "LOG_FORMAT"] {
        command.env_remove(name);
    }
    command.envs(variables.iter().copied());
    command
}

/// What `brownie-server` signs access tokens with in tests.
pub const JWT_SECRET: &str = "a secret for tests, long enough for HS256";

/// A running service.
#[derive(Debug)]
pub struct Service {
    name: &'static str,
    variables: Vec<(String, String)>,
    child: Child,
    port: u16,
    metrics_port: u16,
    log: tempfile::NamedTempFile,
}

impl Service {
    /// Starts `brownie-server` on a migrated database.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn server(database_url: &str) -> Result<Self> {
        Self::server_with(database_url, &[]).await
    }

    /// Starts `brownie-server` on a migrated database, with settings of the test's own.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn server_with(database_url: &str, more: &[(&str, &str)]) -> Result<Self> {
        Self::start("brownie-server", server_variables(database_url, more)).await
    }

    /// Starts `brownie-standalone` on a directory.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn standalone(data_dir: &Path) -> Result<Self> {
        Self::standalone_with(data_dir, &[]).await
    }

    /// Starts `brownie-standalone` on a directory, with settings of the test's own.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn standalone_with(data_dir: &Path, more: &[(&str, &str)]) -> Result<Self> {
        let data_dir = data_dir.display().to_string();
        let own = [("BROWNIE_DATA_DIR", data_dir.as_str())];
        Self::start("brownie-standalone", owned(own.iter().chain(more))).await
    }

    async fn start(name: &'static str, mut variables: Vec<(String, String)>) -> Result<Self> {
        let (port, metrics_port) = (free_port()?, free_port()?);
        variables.push(("METADATA_PORT".to_owned(), port.to_string()));
        variables.push(("METRICS_PORT".to_owned(), metrics_port.to_string()));
        let log = tempfile::NamedTempFile::new()?;
        let child = spawn(name, &variables, log.reopen()?)?;
        let mut service = Self { name, variables, child, port, metrics_port, log };
        service.wait_until_ready().await?;
        Ok(service)
    }

    async fn wait_until_ready(&mut self) -> Result<()> {
        // What listens by TLS may want a certificate; the metrics' port never does.
        let (client, path) = if self.is_encrypted() {
            (self.metrics_client(), "/metrics")
        } else {
            (self.client(), "/readyz")
        };
        let (name, log) = (self.name, self.log.path().to_owned());
        let child = Mutex::new(&mut self.child);
        let ended = poll(format!("{name} is ready"), Duration::from_mins(1), async || {
            if client.get(path).await.is_ok_and(|answer| answer.status == 200) {
                return Ok(None);
            }
            let ended = child.lock().map(|mut child| child.try_wait());
            match ended.map_err(|_| anyhow!("it panicked"))?? {
                None => bail!("{}", std::fs::read_to_string(&log)?),
                ended => Ok(ended),
            }
        });
        match ended.await {
            None => Ok(()),
            Some(status) => bail!("{} ended with {status}: {}", self.name, self.log()),
        }
    }

    /// Returns the URL it answers at.
    pub fn base(&self) -> String {
        let scheme = if self.is_encrypted() { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}", self.port)
    }

    fn is_encrypted(&self) -> bool {
        self.variables.iter().any(|(name, value)| name == "METADATA_TLS" && value != "off")
    }

    /// Returns which process it is.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns its ports: the API's, and that of the metrics alone.
    pub fn ports(&self) -> (u16, u16) {
        (self.port, self.metrics_port)
    }

    /// Returns a client nobody knows.
    pub fn client(&self) -> Client {
        Client::anonymous(&self.base())
    }

    /// Returns a client of the port for metrics alone.
    pub fn metrics_client(&self) -> Client {
        Client::anonymous(&format!("http://127.0.0.1:{}", self.metrics_port))
    }

    /// Returns what it has printed so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log.path()).unwrap_or_default()
    }

    /// Kills it with SIGKILL and starts it again on the same port.
    ///
    /// # Errors
    /// When it does not come back.
    pub async fn crash_and_restart(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        let log = File::options().append(true).open(self.log.path())?;
        self.child = spawn(self.name, &self.variables, log)?;
        self.wait_until_ready().await
    }

    /// Tells it to stop (SIGTERM) and waits until it has.
    ///
    /// # Errors
    /// When it does not.
    pub fn stop(&mut self) -> Result<ExitStatus> {
        self.tell_to_stop()?;
        self.wait()
    }

    /// Tells it to stop (SIGTERM).
    ///
    /// # Errors
    /// When it cannot be told.
    pub fn tell_to_stop(&self) -> Result<()> {
        let pid = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &pid]).status().context("kill").map(drop)
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    /// When that cannot be known.
    pub fn wait(&mut self) -> Result<ExitStatus> {
        Ok(self.child.wait()?)
    }
}

impl Serves for Service {
    fn base(&self) -> String {
        self.base()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- {} ---\n{}", self.name, self.log());
        }
    }
}

/// Returns the settings of a server on a migrated database, with others of the test's own.
pub(crate) fn server_variables(database_url: &str, more: &[(&str, &str)]) -> Vec<(String, String)> {
    let own = [
        ("DATABASE_URL", database_url),
        ("METADATA_JWT_SECRET", JWT_SECRET),
        ("METADATA_SIGNUP", "open"),
        ("METRICS_PUBLIC", "true"),
        // Tests ask as fast as they can, from one address.
        ("METADATA_RATE_LIMIT", "0"),
        ("METADATA_RATE_LIMIT_ADDRESS", "0"),
        ("METADATA_ORGANIZATION_REQUESTS", "0"),
    ];
    owned(own.iter().chain(more))
}

fn owned<'a>(variables: impl Iterator<Item = &'a (&'a str, &'a str)>) -> Vec<(String, String)> {
    variables.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn spawn(name: &str, variables: &[(String, String)], log: File) -> Result<Child> {
    let variables: Vec<(&str, &str)> =
        variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let log_too = log.try_clone()?;
    command(name, &variables)
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(log_too)
        .spawn()
        .with_context(|| name.to_owned())
}

//! A private Redis that can be stopped, killed and started again.

use std::{
    fs,
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result, ensure};

use crate::{PATIENCE, free_port, poll_blocking, until_blocking};

/// What it takes to log in.
const PASSWORD: &str = "hunter2";

/// Runs a server until standard input closes, so that both end with the test, however that ends. A
/// stopped process takes no other signal.
const KEEPER: &str = r#"
    "$@" </dev/null >>log 2>&1 &
    echo $! >pid
    read -r _
    kill -9 $! 2>/dev/null
    wait
"#;

/// A Redis of our own.
#[derive(Debug)]
pub struct Redis {
    dir: tempfile::TempDir,
    port: u16,
    options: Vec<String>,
    tls: bool,
    keeper: Child,
}

impl Redis {
    /// Starts one that asks for a password and keeps nothing on the disk.
    ///
    /// # Errors
    /// When Redis is not installed or does not start.
    pub fn start() -> Result<Self> {
        Self::start_with(&[])
    }

    /// Starts one with options, each with its value, such as `maxmemory 1mb`.
    ///
    /// # Errors
    /// As [`Redis::start`].
    pub fn start_with(options: &[&str]) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        Self::start_in(dir, options, false)
    }

    /// Starts one that talks TLS, and to clients only that have a certificate: `client.crt` and
    /// `client.key` in [`Redis::dir`], both from `ca.crt`.
    ///
    /// # Errors
    /// As [`Redis::start`], and when openssl is not installed.
    pub fn start_with_tls() -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let script = "
            openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=ca -keyout ca.key -out ca.crt
            for name in server client; do
                openssl req -newkey rsa:2048 -nodes -subj /CN=$name -keyout $name.key -out $name.csr
                echo subjectAltName=IP:127.0.0.1,DNS:localhost >ext
                openssl x509 -req -in $name.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 \
                    -extfile ext -out $name.crt
            done";
        let output = Command::new("sh").args(["-ec", script]).current_dir(dir.path()).output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let options = [
            "tls-cert-file server.crt",
            "tls-key-file server.key",
            "tls-ca-cert-file ca.crt",
            "tls-auth-clients yes",
        ];
        Self::start_in(dir, &options, true)
    }

    fn start_in(dir: tempfile::TempDir, options: &[&str], tls: bool) -> Result<Self> {
        let port = free_port()?;
        let listen = if tls { format!("port 0 tls-port {port}") } else { format!("port {port}") };
        let common = format!("{listen} bind 127.0.0.1 daemonize no requirepass {PASSWORD}");
        let mut all: Vec<String> = Vec::new();
        let no_snapshots = ["save", ""].map(str::to_owned);
        let words = common.split(' ').chain(options.iter().flat_map(|option| option.split(' ')));
        all.extend(no_snapshots);
        all.extend(words.map(str::to_owned));
        let keeper = keep(&dir, &all)?;
        let redis = Self { dir, port, options: all, tls, keeper };
        redis.wait_until("PING", "PONG");
        Ok(redis)
    }

    /// Returns its URL, password included.
    pub fn url(&self) -> String {
        let scheme = if self.tls { "rediss" } else { "redis" };
        format!("{scheme}://:{PASSWORD}@127.0.0.1:{}", self.port)
    }

    /// Returns the port that it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the directory that it runs in.
    pub fn dir(&self) -> PathBuf {
        self.dir.path().to_owned()
    }

    /// Stops it: connections stay open, and nothing answers.
    ///
    /// # Errors
    /// When it is gone.
    pub fn freeze(&self) -> Result<()> {
        self.signal("-STOP")
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// When it is gone.
    pub fn thaw(&self) -> Result<()> {
        self.signal("-CONT")
    }

    /// Kills it with SIGKILL.
    ///
    /// # Errors
    /// When it is gone already.
    pub fn kill(&mut self) -> Result<()> {
        self.signal("-KILL")?;
        drop(self.keeper.stdin.take());
        self.keeper.wait()?;
        Ok(())
    }

    /// Starts it again on its port. It may not be ready yet.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start_again(&mut self) -> Result<()> {
        self.keeper = keep(&self.dir, &self.options)?;
        Ok(())
    }

    /// Starts it again on its port, and waits until it answers.
    ///
    /// # Errors
    /// When it does not.
    pub fn restart(&mut self) -> Result<()> {
        self.start_again()?;
        self.wait_until("PING", "PONG");
        Ok(())
    }

    /// Runs a command besides the client under test, and returns what redis-cli prints.
    ///
    /// # Errors
    /// When redis-cli fails.
    pub fn cli(&self, command: &str) -> Result<String> {
        let mut cli = Command::new("redis-cli");
        cli.args(["-h", "127.0.0.1", "-p", &self.port.to_string()]).env("REDISCLI_AUTH", PASSWORD);
        if self.tls {
            cli.args([
                "--tls",
                "--cacert",
                "ca.crt",
                "--cert",
                "client.crt",
                "--key",
                "client.key",
            ]);
        }
        let output = cli.args(command.split(' ')).current_dir(self.dir.path()).output()?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Waits until a command prints something.
    pub fn wait_until(&self, command: &str, expected: &str) {
        poll_blocking(format!("Redis says {expected} to {command}"), PATIENCE, || {
            let found = self.cli(command)?;
            ensure!(found.contains(expected), "{found:?}\n{}", self.log());
            Ok(())
        });
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    fn signal(&self, signal: &str) -> Result<()> {
        let pid = fs::read_to_string(self.dir.path().join("pid"))?;
        let status = Command::new("kill").args([signal, pid.trim()]).status()?;
        ensure!(status.success(), "kill {signal} {pid}");
        Ok(())
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

fn keep(dir: &tempfile::TempDir, options: &[String]) -> Result<Child> {
    let mut words = Vec::new();
    let mut rest = options.iter();
    while let (Some(name), Some(value)) = (rest.next(), rest.next()) {
        words.extend([format!("--{name}"), value.clone()]);
    }
    let mut script = Command::new("sh");
    script.args(["-c", KEEPER, "keeper", "redis-server"]).args(words).current_dir(dir.path());
    let _ = fs::remove_file(dir.path().join("pid"));
    // Not ended by a signal to the test's process group: it has a server to end.
    let keeper = script.process_group(0).stdin(Stdio::piped()).spawn().context("sh")?;
    until_blocking("redis-server is started", PATIENCE, || {
        fs::read_to_string(dir.path().join("pid")).is_ok_and(|pid| !pid.is_empty())
    });
    Ok(keeper)
}

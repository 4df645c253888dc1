//! The embedded PostgreSQL: PGlite, PostgreSQL 17 compiled to WebAssembly, in this process.
//!
//! It has one connection and no more: a second one waits until the first is closed. It does not
//! fsync, because its crash recovery fails if it does (docs/decisions/0002-the-embedded-engine.md):
//! what was acknowledged survives the end of the process, but not that of the machine.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use pglite_oxide::PgliteServer;
use tempfile::TempDir;

/// A directory that belongs to this process as long as this value lives.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Opens the directory, making it if need be, and keeps other processes out.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        fs::create_dir_all(path).with_context(|| unusable(path))?;
        let path = path.canonicalize().with_context(|| unusable(path))?;
        let lock = File::create(path.join("lock")).with_context(|| unusable(&path))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path, _lock: lock }),
            Err(TryLockError::WouldBlock) => {
                bail!("another brownie-standalone is running on {}", path.display())
            }
            Err(TryLockError::Error(error)) => Err(error).with_context(|| unusable(&path)),
        }
    }

    /// Returns the key that signs tokens, making it at the first start: tokens outlive a restart.
    pub(crate) fn key(&self) -> Result<String> {
        let path = self.path.join("jwt.key");
        if let Ok(key) = fs::read_to_string(&path) {
            return Ok(key.trim().to_owned());
        }
        let key = random_key()?;
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .with_context(|| unusable(&path))?;
        writeln!(file, "{key}").with_context(|| unusable(&path))?;
        Ok(key)
    }

    /// Returns an empty place beside the database, for another that is to take its place.
    pub(crate) fn fresh(&self) -> Result<PathBuf> {
        let path = self.path.join("postgres.restored");
        // Of a restore that died.
        if path.exists() {
            fs::remove_dir_all(&path).with_context(|| unusable(&path))?;
        }
        Ok(path)
    }

    /// Puts the database of another place into the place of ours, which stays beside it. Returns where.
    pub(crate) fn take(&self, fresh: &Path, stamp: &str) -> Result<Option<PathBuf>> {
        let path = self.path.join(DATABASE);
        let before = self.path.join(format!("{DATABASE}.before-{stamp}"));
        let was_there = path.exists();
        if was_there {
            fs::rename(&path, &before).with_context(|| unusable(&path))?;
        }
        if let Err(error) = fs::rename(fresh, &path) {
            // As it was.
            if was_there {
                fs::rename(&before, &path).with_context(|| unusable(&path))?;
            }
            return Err(error).with_context(|| unusable(&path));
        }
        Ok(was_there.then_some(before))
    }
}

fn unusable(path: &Path) -> String {
    format!("{} cannot be written; make it writable, or set BROWNIE_DATA_DIR", path.display())
}

/// Returns 256 random bits in hexadecimal.
fn random_key() -> Result<String> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).context("the system has no random numbers")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// What the database's directory is called.
const DATABASE: &str = "postgres";

/// A running database.
#[derive(Debug)]
pub(crate) struct Embedded {
    server: PgliteServer,
    /// Holds the socket. Mode 0700: whoever connects is superuser.
    socket_dir: TempDir,
}

impl Embedded {
    /// Starts the database below `data_dir`. Blocks for about half a second.
    pub(crate) fn start(data_dir: &DataDir) -> Result<Self> {
        Self::start_in(&data_dir.path.join(DATABASE))
    }

    /// Starts the database of a directory.
    pub(crate) fn start_in(path: &Path) -> Result<Self> {
        let socket_dir = tempfile::Builder::new().prefix("brownie-").tempdir()?;
        let server = PgliteServer::builder()
            .path(path)
            .unix(socket_dir.path().join(".s.PGSQL.5432"))
            .postgres_config("fsync", "off")
            .start()
            .context("the embedded PostgreSQL does not start")?;
        Ok(Self { server, socket_dir })
    }

    /// Returns the URL of the one connection there is.
    pub(crate) fn url(&self) -> String {
        let host = self.socket_dir.path().display();
        format!("postgres://postgres@localhost:5432/template1?host={host}&sslmode=disable")
    }

    /// Stops the database.
    pub(crate) fn stop(self) -> Result<()> {
        self.server.shutdown().context("the embedded PostgreSQL does not stop")
    }
}

//! The embedded PostgreSQL: PGlite, PostgreSQL 17 compiled to WebAssembly, in this process.
//!
//! It has one connection and no more: a second one waits until the first is closed. It does not
//! fsync, because its crash recovery fails if it does (docs/decisions/0002-the-embedded-engine.md):
//! what was acknowledged survives the end of the process, but not that of the machine.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError},
    io::{ErrorKind, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use pglite_oxide::PgliteServer;
use tempfile::TempDir;

/// As few characters as `METADATA_JWT_SECRET` may have.
const KEY_LENGTH: usize = 32;

/// A directory that belongs to this process as long as this value lives.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Opens the directory, making it if need be, and keeps other processes out.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        // Hashes of passwords are in it, so it is nobody else's to read, also if it was made before that rule.
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .with_context(|| unusable(path))?;
        let is_open = fs::metadata(path).is_ok_and(|known| known.permissions().mode() & 0o077 != 0);
        if is_open && let Err(error) = fs::set_permissions(path, Permissions::from_mode(0o700)) {
            // A mounted volume may be somebody else's; what is made in it is ours alone all the same.
            eprintln!(
                "{} can be read by others, and cannot be kept from them: {error}",
                path.display()
            );
        }
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

    /// Returns the key that signs tokens, making it at the first start: tokens outlive a restart. It is
    /// whole or not there: one that a full disk had cut short would be known to anybody.
    pub(crate) fn key(&self) -> Result<String> {
        let path = self.path.join("jwt.key");
        match fs::read_to_string(&path) {
            Ok(key) if key.trim().len() >= KEY_LENGTH => return Ok(key.trim().to_owned()),
            Ok(_) => bail!(
                "{} has fewer than {KEY_LENGTH} characters, and would be easy to guess; remove it for a new \
                 one, by which all sessions end",
                path.display()
            ),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => {
                return Err(error).with_context(|| format!("{} cannot be read", path.display()));
            }
        }
        let (key, draft) = (random_key()?, self.path.join("jwt.key.draft"));
        let written = || -> std::io::Result<()> {
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&draft)?;
            writeln!(file, "{key}")?;
            file.sync_all()?;
            fs::rename(&draft, &path)?;
            File::open(&self.path)?.sync_all()
        };
        written().with_context(|| unusable(&path))?;
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
    /// None while it is started again.
    server: Option<PgliteServer>,
    /// Its files.
    path: PathBuf,
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
        let mut database = Self { server: None, path: path.to_owned(), socket_dir };
        database.start_again()?;
        Ok(database)
    }

    /// Starts it where it was, behind the same socket: what was written stays. Blocks for about half a second.
    pub(crate) fn start_again(&mut self) -> Result<()> {
        // Its files are locked until it is gone.
        drop(self.server.take());
        let server = PgliteServer::builder()
            .path(&self.path)
            .unix(self.socket())
            .postgres_config("fsync", "off")
            .start()
            .context("the embedded PostgreSQL does not start")?;
        self.server = Some(server);
        Ok(())
    }

    /// Tells whether it takes connections, by the kernel's list of sockets (proc(5), `/proc/net/unix`). The server
    /// ends its listener with itself, and tells nobody; to connect and see would take the one place that there is.
    pub(crate) fn listens(&self) -> bool {
        const LISTENS: &str = "00010000";
        let Ok(sockets) = fs::read_to_string("/proc/net/unix") else { return true };
        let socket = self.socket().display().to_string();
        sockets.lines().any(|line| line.ends_with(&socket) && line.contains(LISTENS))
    }

    fn socket(&self) -> PathBuf {
        self.socket_dir.path().join(".s.PGSQL.5432")
    }

    /// Returns the URL of the one connection there is.
    pub(crate) fn url(&self) -> String {
        let host = self.socket_dir.path().display();
        format!("postgres://postgres@localhost:5432/template1?host={host}&sslmode=disable")
    }

    /// Stops the database.
    pub(crate) fn stop(self) -> Result<()> {
        let Some(server) = self.server else { return Ok(()) };
        server.shutdown().context("the embedded PostgreSQL does not stop")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FAULTS S2i: what a full disk leaves of a key is no key.
    #[test]
    fn s2i_a_short_key_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let data = DataDir::open(place.path()).unwrap();
        let path = place.path().join("jwt.key");
        for short in ["", "\n", "0123456789abcdef0123456789abcde\n"] {
            fs::write(&path, short).unwrap();
            let refused = data.key().unwrap_err().to_string();
            assert!(refused.contains("fewer than 32 characters"), "{refused}");
        }
        fs::remove_file(&path).unwrap();
        let key = data.key().unwrap();
        assert!(key.len() >= KEY_LENGTH);
        assert_eq!(data.key().unwrap(), key, "it is the same from then on");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(place.path())), (0o600, 0o700));
    }
}

//! Certificates in files: a directory such as a mounted secret, or paths one by one.
//!
//! All files of one reading belong together. Each path is resolved to the end of its links, read
//! there, and resolved again; if anything moved meanwhile, all of it is read anew. So a swapped
//! `..data`, which is how Kubernetes replaces a mounted secret, never yields a certificate of one
//! generation with the key of another.

use std::{
    fs::{self, File},
    io::{ErrorKind, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use brownie_config::{CertSettings, Secret, SecretSource};

use crate::{
    Fault, Need, Policy,
    raw::{Piece, Raw, RawPair},
};

/// More bytes than any bundle that is not refused for its number of certificates.
const MAX_BYTES: usize = 1024 * 1024;

/// How often files are read anew that moved while they were read.
const ATTEMPTS: u32 = 5;

/// How long whoever moves them gets to finish: one of these before the second attempt, two before the
/// third.
const PAUSE: Duration = Duration::from_millis(10);

/// Where a certificate and its key are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairPaths {
    /// The certificate, and behind it those that lead from it to an authority.
    pub chain: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Where certificates are. A file that is not there is a fault only if the
/// [`Policy`] needs it.
#[derive(Debug, Clone, Default)]
pub struct Paths {
    /// The authorities: a bundle.
    pub ca: Option<PathBuf>,
    /// Their revocation lists.
    pub crls: Vec<PathBuf>,
    /// What we show to servers.
    pub client: Option<PairPaths>,
    /// What we show to clients.
    pub server: Option<PairPaths>,
    /// The passphrase of keys that have no file of their own beside them (`client.key.pass`).
    pub passphrase: Option<SecretSource>,
}

impl Paths {
    /// Returns the paths in a directory: `ca.crt`, `client.crt` and `client.key`, `server.crt` and
    /// `server.key`, and the revocation lists `ca.crl` and `crl.pem`.
    pub fn in_dir(dir: &Path) -> Self {
        let pair = |name: &str| PairPaths {
            chain: dir.join(format!("{name}.crt")),
            key: dir.join(format!("{name}.key")),
        };
        Self {
            ca: Some(dir.join("ca.crt")),
            crls: vec![dir.join("ca.crl"), dir.join("crl.pem")],
            client: Some(pair("client")),
            server: Some(pair("server")),
            passphrase: None,
        }
    }

    /// Returns the paths that settings name.
    pub fn of(settings: &CertSettings) -> Self {
        let files = settings.files.clone();
        Self {
            ca: Some(files.ca),
            crls: files.crls,
            client: Some(PairPaths { chain: files.client_cert, key: files.client_key }),
            server: Some(PairPaths { chain: files.server_cert, key: files.server_key }),
            passphrase: settings.passphrase.clone(),
        }
    }

    /// Leaves out what a policy does not look at: it may not even be ours to read.
    pub(crate) fn wanted_by(&self, policy: &Policy) -> Self {
        let mut paths = self.clone();
        if policy.ca == Need::Never {
            (paths.ca, paths.crls) = (None, Vec::new());
        }
        if policy.client == Need::Never {
            paths.client = None;
        }
        if policy.server == Need::Never {
            paths.server = None;
        }
        paths
    }

    /// Reads all that is there, of one moment.
    pub(crate) fn read(&self) -> Result<Raw, Fault> {
        for attempt in 0..ATTEMPTS {
            #[expect(
                clippy::disallowed_methods,
                reason = "files are being replaced: they say nothing when it is done"
            )]
            thread::sleep(PAUSE * attempt);
            let before = self.places();
            let raw = self.read_once();
            if self.places() == before {
                return raw;
            }
        }
        let of = self.all().next().map(|path| name(&path)).unwrap_or_default();
        Err(Fault::Restless { of })
    }

    fn read_once(&self) -> Result<Raw, Fault> {
        let mut raw = Raw::named(" (no path is given)");
        if let Some(path) = &self.ca {
            raw.ca_name = name(path);
            raw.ca = piece(path)?;
        }
        for path in &self.crls {
            raw.crls.extend(piece(path)?);
        }
        if let Some(paths) = &self.client {
            raw.client = self.read_pair(paths, &mut raw.faults)?;
        }
        if let Some(paths) = &self.server {
            raw.server = self.read_pair(paths, &mut raw.faults)?;
        }
        Ok(raw)
    }

    fn read_pair(&self, paths: &PairPaths, faults: &mut Vec<Fault>) -> Result<RawPair, Fault> {
        let key = match open(&paths.key)? {
            Some(file) => {
                faults.extend(check_readers(&file, &paths.key)?);
                Some(contents(file, &paths.key)?)
            }
            None => None,
        };
        let passphrase = match (&key, passphrase_beside(&paths.key)?, &self.passphrase) {
            (Some(_), Some(beside), _) => Some(beside),
            (Some(_), None, Some(source)) => Some(secret(source)?),
            (None, _, _) | (_, None, None) => None,
        };
        let names = (name(&paths.chain), name(&paths.key));
        Ok(RawPair { chain: piece(&paths.chain)?, key, passphrase, names })
    }

    fn all(&self) -> impl Iterator<Item = PathBuf> {
        let pairs = [&self.client, &self.server].into_iter().flatten();
        let pairs = pairs.flat_map(|pair| {
            [&pair.chain, &pair.key]
                .map(Clone::clone)
                .into_iter()
                .chain([passphrase_path(&pair.key)])
        });
        self.ca.iter().chain(&self.crls).cloned().chain(pairs)
    }

    /// Returns where every file really is, and which version of it.
    fn places(&self) -> Vec<Option<Place>> {
        self.all().map(|path| Place::of(&path)).collect()
    }
}

/// Where a path leads to, and what tells that the file there is still the same.
#[derive(PartialEq, Eq)]
struct Place {
    path: PathBuf,
    inode: (u64, u64),
    changed: (i64, i64),
    length: u64,
}

impl Place {
    fn of(path: &Path) -> Option<Self> {
        let path = fs::canonicalize(path).ok()?;
        let data = fs::metadata(&path).ok()?;
        Some(Self {
            inode: (data.dev(), data.ino()),
            changed: (data.ctime(), data.ctime_nsec()),
            length: data.len(),
            path,
        })
    }
}

/// Reads a secret from where it is now, without the line's end.
pub(crate) fn secret(source: &SecretSource) -> Result<Secret, Fault> {
    match source {
        SecretSource::Text(secret) => Ok(secret.clone()),
        SecretSource::File(path) => match piece(path)? {
            Some(piece) => Ok(Secret::new(trimmed(&piece.text))),
            None => Err(Fault::Missing { of: name(path) }),
        },
    }
}

/// Reads the passphrase that is beside a key, if one is.
pub(crate) fn passphrase_beside(key: &Path) -> Result<Option<Secret>, Fault> {
    let beside = piece(&passphrase_path(key))?;
    Ok(beside.map(|piece| Secret::new(trimmed(&piece.text))))
}

/// Reads a file, if it is there.
pub(crate) fn piece(path: &Path) -> Result<Option<Piece>, Fault> {
    open(path)?.map(|file| contents(file, path)).transpose()
}

/// Opens a file, if it is there.
fn open(path: &Path) -> Result<Option<File>, Fault> {
    let unreadable = |why: String| Fault::Unreadable { of: name(path), why };
    match fs::metadata(path) {
        Ok(data) if data.is_file() => {}
        // To open a pipe is to wait for whoever writes to it.
        Ok(_) => return Err(unreadable("it is not a file".to_owned())),
        Err(error) if is_absent(&error) => return Ok(None),
        Err(error) => return Err(unreadable(error.to_string())),
    }
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(unreadable(error.to_string())),
    }
}

fn is_absent(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

fn contents(file: File, path: &Path) -> Result<Piece, Fault> {
    let mut bytes = Vec::new();
    let read = file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes);
    read.map_err(|error| Fault::Unreadable { of: name(path), why: error.to_string() })?;
    if bytes.len() > MAX_BYTES {
        return Err(Fault::TooLarge { of: name(path), limit: MAX_BYTES });
    }
    Ok(Piece { of: name(path), text: String::from_utf8_lossy(&bytes).into_owned() })
}

/// libpq's rule for a client's key: nobody but the owner; but where that is root, who cannot be kept
/// out, a group may read. That is how Kubernetes mounts a secret with `defaultMode: 0400` for a pod
/// with an `fsGroup`: owned by root, mode 0440.
fn check_readers(file: &File, path: &Path) -> Result<Option<Fault>, Fault> {
    let data = file.metadata();
    let data =
        data.map_err(|error| Fault::Unreadable { of: name(path), why: error.to_string() })?;
    let (forbidden, advice) = if data.uid() == 0 { (0o037, "0640") } else { (0o077, "0600") };
    let mode = data.mode() & 0o7777;
    let is_open = mode & forbidden != 0;
    Ok(is_open.then(|| Fault::Open { of: name(path), mode, advice }))
}

fn passphrase_path(key: &Path) -> PathBuf {
    let mut path = key.as_os_str().to_owned();
    path.push(".pass");
    path.into()
}

fn trimmed(text: &str) -> &str {
    text.trim_end_matches(['\r', '\n'])
}

fn name(path: &Path) -> String {
    path.display().to_string()
}

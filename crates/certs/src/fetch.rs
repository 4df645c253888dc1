//! From a source into a directory, for programs that can only read files.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{self, ErrorKind, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
};

use brownie_domain::{Clock, Timestamp};

use crate::{Current, Faults, Pems, Policy, Source};

/// The link that names the generation in use, as the kubelet calls it.
const DATA: &str = "..data";

/// Why nothing was fetched. What was in the directory is there as before.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// What the source has is not good.
    #[error(transparent)]
    Faults(#[from] Faults),
    /// There is a file in the place of a link: somebody else writes to this directory.
    #[error(
        "{0} is a file of somebody else's, not one that was fetched; remove it, or name another directory"
    )]
    Foreign(PathBuf),
    /// The system refuses.
    #[error("{path} cannot be written")]
    Write {
        /// What.
        path: PathBuf,
        /// What it says.
        #[source]
        source: io::Error,
    },
}

/// Fetches certificates once, judges them, and writes them to a directory, which is made if need be:
/// `ca.crt`, `client.crt`, `client.key`, `server.crt`, `server.key`, as far as there are any.
///
/// It is written as the kubelet writes a mounted secret: a new directory for each generation, and one
/// link, `..data`, that is moved to it. Whoever reads the directory meanwhile sees the old generation
/// or the new one. Keys have mode 0600 from the beginning.
///
/// # Errors
/// What is wrong with the certificates, or with the directory.
pub async fn fetch(
    source: &mut Source,
    policy: &Policy,
    clock: &dyn Clock,
    dir: &Path,
) -> Result<Current, FetchError> {
    let now = clock.now();
    let raw = source.read(policy, now).await.map_err(Faults::from)?;
    let current = Current::of(&raw, policy, now, 1)?;
    write(dir, &current.pems().map_err(Faults::from)?, now)?;
    Ok(current)
}

fn write(dir: &Path, pems: &Pems, now: Timestamp) -> Result<(), FetchError> {
    let files = files(pems);
    fs::create_dir_all(dir).map_err(|error| writing(dir, error))?;
    for (name, _, _) in &files {
        let path = dir.join(name);
        if fs::symlink_metadata(&path).is_ok_and(|data| !data.is_symlink()) {
            return Err(FetchError::Foreign(path));
        }
    }
    let prefix = now.format("..%Y_%m_%d_%H_%M_%S.").to_string();
    let generation = tempfile::Builder::new().prefix(&prefix).tempdir_in(dir);
    let generation = generation.map_err(|error| writing(dir, error))?;
    for (name, contents, mode) in &files {
        let path = generation.path().join(name);
        write_file(&path, contents, *mode).map_err(|error| writing(&path, error))?;
    }
    // Whom the directory lets in may read what is not a key.
    let opened = fs::set_permissions(generation.path(), Permissions::from_mode(0o755))
        .and_then(|()| sync(generation.path()));
    opened.map_err(|error| writing(generation.path(), error))?;
    // It may be in use from here on, even should the next step fail; the next run tidies up.
    let generation = generation.keep();
    swap(dir, &generation).map_err(|error| writing(&dir.join(DATA), error))?;
    for (name, _, _) in &files {
        let path = dir.join(name);
        link(&Path::new(DATA).join(name), &path).map_err(|error| writing(&path, error))?;
    }
    remove_others(dir, &generation);
    Ok(())
}

fn files(pems: &Pems) -> Vec<(&'static str, &str, u32)> {
    let mut files = Vec::new();
    files.extend(pems.ca.as_deref().map(|ca| ("ca.crt", ca, 0o644)));
    if let Some(pair) = &pems.client {
        files.push(("client.crt", pair.chain.as_str(), 0o644));
        files.push(("client.key", pair.key.expose(), 0o600));
    }
    if let Some(pair) = &pems.server {
        files.push(("server.crt", pair.chain.as_str(), 0o644));
        files.push(("server.key", pair.key.expose(), 0o600));
    }
    files
}

fn write_file(path: &Path, contents: &str, mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(contents.as_bytes())?;
    file.sync_all()
}

/// Moves the link to a generation, in one step.
fn swap(dir: &Path, generation: &Path) -> io::Result<()> {
    let target = generation.file_name().ok_or(ErrorKind::InvalidInput)?;
    let beside = dir.join("..data_tmp");
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    symlink(target, &beside)?;
    fs::rename(&beside, dir.join(DATA))?;
    sync(dir)
}

fn link(target: &Path, path: &Path) -> io::Result<()> {
    match symlink(target, path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

fn sync(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Removes the generations before, and what a killed run left. What cannot be removed does no harm.
fn remove_others(dir: &Path, generation: &Path) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        let is_generation = entry.file_name().to_string_lossy().starts_with("..2")
            && entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_generation && entry.path() != generation {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn writing(path: &Path, source: io::Error) -> FetchError {
    FetchError::Write { path: path.to_owned(), source }
}

//! A file that is there when it is whole, and never in another's place.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use uuid::Uuid;

/// A file in the making, beside the one that it becomes. Only its owner may read it. Dropped, it is
/// removed.
#[derive(Debug)]
pub(super) struct NewFile {
    file: File,
    draft: PathBuf,
    path: PathBuf,
}

impl NewFile {
    /// Begins one.
    ///
    /// # Errors
    /// When there is one of that name, or there can be none.
    pub(super) fn create(path: &Path, id: Uuid) -> io::Result<Self> {
        if fs::symlink_metadata(path).is_ok() {
            return Err(there_is_one());
        }
        let name = path.file_name().ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidInput, "it is the name of a directory")
        })?;
        let draft = path.with_file_name(format!(".{}.{}", name.display(), id.simple()));
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        Ok(Self { file, draft, path: path.to_owned() })
    }

    /// Gives it its name, when all of it is on the disk.
    ///
    /// # Errors
    /// When there is one of that name by now, or the disk fails.
    pub(super) fn publish(self) -> io::Result<()> {
        self.file.sync_all()?;
        // Unlike a rename, a link is refused where there is a file.
        fs::hard_link(&self.draft, &self.path).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => there_is_one(),
            _ => error,
        })?;
        let directory = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
    }
}

fn there_is_one() -> io::Error {
    io::Error::new(
        io::ErrorKind::AlreadyExists,
        "there is a file of that name; it is left as it is",
    )
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        // It may be gone, and it is not needed.
        let _ = fs::remove_file(&self.draft);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_file_is_there_when_it_is_whole_and_never_in_anothers_place() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("acme");
        let names = || fs::read_dir(dir.path()).unwrap().count();
        let mut given_up = NewFile::create(&path, Uuid::from_u128(1)).unwrap();
        given_up.write_all(b"half").unwrap();
        drop(given_up);
        assert_eq!(names(), 0);
        let mut one = NewFile::create(&path, Uuid::from_u128(1)).unwrap();
        let other = NewFile::create(&path, Uuid::from_u128(2)).unwrap();
        one.write_all(b"whole").unwrap();
        one.publish().unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(other.publish().unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        let error = NewFile::create(&path, Uuid::from_u128(3)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!((fs::read(&path).unwrap().as_slice(), names()), (&b"whole"[..], 1));
    }
}

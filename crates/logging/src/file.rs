//! A file for lines, which begins anew when it has grown.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use crate::sink::Output;

/// Where lines go instead of standard error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFile {
    /// The file.
    pub path: PathBuf,
    /// How many bytes it may have: then it becomes `<path>.1`, and what that was `<path>.2`.
    pub max_bytes: u64,
    /// How many of those are kept.
    pub keep: u32,
}

/// The file as it is written to.
pub(crate) struct Rotating {
    settings: LogFile,
    file: File,
    size: u64,
    /// A device or a pipe stays what it is.
    is_regular: bool,
    /// Whether the last line may be half there.
    is_torn: bool,
}

impl Rotating {
    pub(crate) fn open(settings: LogFile) -> io::Result<Self> {
        let file = open(&settings.path)?;
        let is = file.metadata()?;
        let (size, is_regular) = (is.len(), is.is_file());
        Ok(Self { settings, file, size, is_regular, is_torn: false })
    }

    fn rotate(&mut self) -> io::Result<()> {
        let LogFile { path, keep, .. } = &self.settings;
        let numbered = |number: u32| {
            let mut name = path.clone().into_os_string();
            name.push(format!(".{number}"));
            PathBuf::from(name)
        };
        for number in (1..*keep).rev() {
            match fs::rename(numbered(number), numbered(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        if *keep == 0 {
            fs::remove_file(path)?;
        } else {
            fs::rename(path, numbered(1))?;
        }
        self.file = open(path)?;
        self.size = 0;
        self.is_torn = false;
        Ok(())
    }
}

/// Lines name organizations and addresses: not for everybody. Opened for reading, too: opening a
/// pipe for writing alone would wait for a reader.
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).append(true).create(true).mode(0o640).open(path)
}

impl Output for Rotating {
    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        let length = u64::try_from(lines.len()).unwrap_or(u64::MAX);
        let is_over = self.size > 0 && self.size.saturating_add(length) > self.settings.max_bytes;
        if self.is_regular && is_over {
            // A file that cannot be moved goes on growing: better than lines that are nowhere.
            let _ = self.rotate();
        }
        if self.is_torn {
            self.file.write_all(b"\n")?;
        }
        self.is_torn = true;
        self.file.write_all(lines)?;
        self.is_torn = false;
        self.size = self.size.saturating_add(length);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(path: PathBuf) -> LogFile {
        LogFile { path, max_bytes: 100, keep: 2 }
    }

    #[test]
    fn a_file_that_has_grown_begins_anew_and_the_oldest_goes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let line = |n: u32| format!("{n:059}\n");
        {
            let mut file = Rotating::open(settings(path.clone())).unwrap();
            for n in 0..3 {
                file.append(line(n).as_bytes()).unwrap();
            }
        }
        // What was there before counts.
        let mut file = Rotating::open(settings(path)).unwrap();
        file.append(line(3).as_bytes()).unwrap();
        let read = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap();
        assert_eq!((read("log"), read("log.1"), read("log.2")), (line(3), line(2), line(1)));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3);
    }

    #[test]
    fn a_device_is_not_moved_away() {
        let mut full = Rotating::open(settings("/dev/full".into())).unwrap();
        full.size = 1000;
        assert!(full.append(&[b'x'; 200]).is_err());
        assert!(Path::new("/dev/full").exists() && !Path::new("/dev/full.1").exists());
    }
}

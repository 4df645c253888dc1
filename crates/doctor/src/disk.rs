//! Room on disks, the right to write there, and how many files may be open.

use std::{
    io,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{Access, AtFlags, CWD, accessat, statvfs},
    process::{Resource, getrlimit},
};

use crate::{Check, Finding};

/// Somewhere we write.
#[derive(Debug, Clone)]
pub struct Place {
    /// The directory.
    pub path: PathBuf,
    /// The setting that names it.
    pub variable: &'static str,
    /// How many bytes it should have room for, as far as that is known.
    pub wanted: u64,
}

/// Room that is left, on a disk of a size.
#[derive(Debug, Clone, Copy)]
struct Room {
    bytes: u64,
    of_bytes: u64,
    inodes: u64,
    of_inodes: u64,
}

/// Less than that is nothing.
const NOTHING: u64 = 64 << 20;

/// Looks at places by a name of their own: that they are there, may be written to, and have room.
pub fn disk(name: &'static [&'static str], places: Vec<Place>) -> Check {
    Check::new(name, move |progress| async move {
        let name = name.first().copied().unwrap_or("disk");
        progress.at("asking the disk");
        if places.is_empty() {
            return vec![Finding::skipped(name, "nothing is written to a disk")];
        }
        let found: Vec<Finding> = places.iter().map(|place| look(name, place)).collect();
        vec![together(name, &found)]
    })
}

/// Makes one finding of those of several places, as grave as the gravest.
fn together(name: &'static str, all: &[Finding]) -> Finding {
    let found = all.iter().map(Finding::found).collect::<Vec<_>>().join("\n");
    let remedies = all.iter().filter_map(Finding::remedy).collect::<Vec<_>>().join("; ");
    let is = |state| all.iter().any(|finding| finding.state() == state);
    if is(crate::State::Failed) {
        Finding::failed(name, found, remedies)
    } else if is(crate::State::Warning) {
        Finding::warning(name, found, remedies)
    } else {
        Finding::ok(name, found)
    }
}

fn look(name: &'static str, place: &Place) -> Finding {
    let Place { path, variable, wanted } = place;
    let shown = path.display();
    match may_write(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let remedy = format!("make {shown}, or correct {variable}");
            return Finding::failed(name, format!("{shown} is not there"), remedy);
        }
        Err(error) => {
            let found = format!("{shown} cannot be written to: {error}");
            let remedy = format!("let this user write to {shown}, or correct {variable}");
            return Finding::failed(name, found, remedy);
        }
    }
    match room(path) {
        Ok(room) => judge(name, place, room, *wanted),
        Err(error) => Finding::warning(
            name,
            format!("{shown} does not say how much room it has: {error}"),
            "ask df, and see that there is room",
        ),
    }
}

fn may_write(path: &Path) -> io::Result<()> {
    if !path.metadata()?.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    Ok(accessat(CWD, path, Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS)?)
}

fn room(path: &Path) -> io::Result<Room> {
    let room = statvfs(path)?;
    let bytes = |blocks: u64| blocks.saturating_mul(room.f_frsize);
    Ok(Room {
        bytes: bytes(room.f_bavail),
        of_bytes: bytes(room.f_blocks),
        inodes: room.f_favail,
        // Some file systems have as many as they need, and say 0.
        of_inodes: room.f_files,
    })
}

fn judge(name: &'static str, place: &Place, room: Room, wanted: u64) -> Finding {
    let Room { bytes, of_bytes, inodes, of_inodes } = room;
    let shown = place.path.display();
    let percent =
        |part: u64, of: u64| (u128::from(part) * 100).checked_div(of.into()).unwrap_or(100);
    let (of_room, of_files) = (percent(bytes, of_bytes), percent(inodes, of_inodes));
    let found = format!(
        "{shown}: {} of {} free ({of_room} %), {of_files} % of inodes free",
        size(bytes),
        size(of_bytes)
    );
    if bytes < NOTHING || (of_inodes > 0 && of_files == 0) {
        Finding::failed(name, found, format!("make room on the disk of {shown}"))
    } else if bytes < wanted {
        let remedy = format!(
            "make room on the disk of {shown}: up to {} may be written there",
            size(wanted)
        );
        Finding::warning(name, found, remedy)
    } else if of_room < 10 || of_files < 10 {
        Finding::warning(name, found, format!("make room on the disk of {shown} before it is full"))
    } else {
        Finding::ok(name, found)
    }
}

fn size(bytes: u64) -> String {
    if bytes >= 10 << 30 { format!("{} GiB", bytes >> 30) } else { format!("{} MiB", bytes >> 20) }
}

/// Looks at how many files and connections this process may have open. `wanted` says how many it may
/// come to need, and `why` what for.
pub fn files(wanted: u64, why: &'static str) -> Check {
    const NAME: &str = "files";
    Check::new(&[NAME], move |_| async move {
        // The service would run with what its own supervisor gives it; this is what we were given.
        let Some(limit) = getrlimit(Resource::Nofile).current else {
            return vec![Finding::ok(NAME, "as many as wanted may be open")];
        };
        let found = format!("{limit} may be open; up to {wanted} are wanted, {why}");
        let remedy = "raise the limit (ulimit -n, LimitNOFILE= of systemd), or want less";
        vec![if limit < wanted.min(256) {
            Finding::failed(NAME, found, remedy)
        } else if limit < wanted {
            Finding::warning(NAME, found, remedy)
        } else {
            Finding::ok(NAME, found)
        }]
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::State;

    fn place(path: &Path) -> Place {
        Place { path: path.to_owned(), variable: "LOG_FILE", wanted: 0 }
    }

    #[test]
    fn a_directory_that_is_not_there_or_is_none_has_failed() {
        let dir = tempfile::tempdir().unwrap();
        assert_ne!(look("disk", &place(dir.path())).state(), State::Failed);
        let missing = look("disk", &place(&dir.path().join("missing")));
        assert_eq!(missing.state(), State::Failed);
        assert!(missing.remedy().unwrap().contains("correct LOG_FILE"), "{missing:?}");
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert_eq!(look("disk", &place(&file)).state(), State::Failed);
        // Not even root writes to what the kernel shows of itself.
        assert_eq!(look("disk", &place(Path::new("/proc/self/ns"))).state(), State::Failed);
    }

    #[test]
    fn little_room_is_a_warning_and_none_fails() {
        let gib = 1 << 30;
        let judge = |bytes, inodes, wanted| {
            let room = Room { bytes, of_bytes: 100 * gib, inodes, of_inodes: 1000 };
            judge("disk", &place(Path::new("/x")), room, wanted).state()
        };
        assert_eq!(judge(50 * gib, 500, 0), State::Ok);
        assert_eq!(judge(9 * gib, 500, 0), State::Warning);
        assert_eq!(judge(50 * gib, 50, 0), State::Warning);
        assert_eq!(judge(50 * gib, 500, 60 * gib), State::Warning);
        assert_eq!(judge(50 * gib, 5, 0), State::Failed);
        assert_eq!(judge(gib / 100, 500, 0), State::Failed);
    }

    #[test]
    fn a_file_system_without_a_number_of_inodes_has_enough() {
        let room = Room { bytes: 50 << 30, of_bytes: 100 << 30, inodes: 0, of_inodes: 0 };
        assert_eq!(judge("disk", &place(Path::new("/x")), room, 0).state(), State::Ok);
    }
}

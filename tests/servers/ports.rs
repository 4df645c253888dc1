//! Ports for servers that must know theirs before they start.

use std::{
    fs::{self, File},
    io,
    net::TcpListener,
    ops::Range,
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

/// Returns a port of 127.0.0.1 on which nobody listens, and that no other test is given while this
/// process lives: many of them start servers at the same time.
///
/// # Errors
/// When there is none.
pub fn free_port() -> io::Result<u16> {
    // Below the ports that the kernel gives to connections: from 32768 on.
    reserve(10_000..15_000, 1, is_free)
}

pub(crate) fn is_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok()
}

/// Returns the first of `step` ports in `range` that are free by `is_free`.
pub(crate) fn reserve(
    range: Range<u16>,
    step: u16,
    is_free: impl Fn(u16) -> bool,
) -> io::Result<u16> {
    /// Locked files, one for what was returned, as long as the process lives.
    static OURS: Mutex<Vec<File>> = Mutex::new(Vec::new());
    let directory = locks();
    fs::create_dir_all(&directory)?;
    let mut ours = OURS.lock().unwrap_or_else(PoisonError::into_inner);
    // Processes that start together begin at different places.
    let places = u32::from((range.end - range.start) / step);
    let first = std::process::id().wrapping_mul(37) % places;
    for place in (first..places).chain(0..first) {
        let port = range.start + u16::try_from(place).unwrap_or_default() * step;
        let path = directory.join(port.to_string());
        let lock = File::options().create(true).write(true).truncate(false).open(path)?;
        if lock.try_lock().is_ok() && is_free(port) {
            ours.push(lock);
            return Ok(port);
        }
    }
    Err(io::Error::new(io::ErrorKind::AddrInUse, format!("no port of {range:?} is free")))
}

/// A user's own: what another has made in a common directory cannot be locked.
fn locks() -> PathBuf {
    let user = rustix::process::getuid().as_raw();
    std::env::temp_dir().join(format!("brownie-ports-{user}"))
}

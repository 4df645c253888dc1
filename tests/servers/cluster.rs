//! The files and the processes of a PostgreSQL cluster.

use std::{
    fs,
    io::Write,
    os::unix::{fs::chown, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result};
use brownie_domain::{Clock, SystemClock};

use crate::programs::as_user;

/// A file system in memory, where Linux has one.
pub(crate) const MEMORY: &str = "/dev/shm";

/// Returns where clusters are kept: in memory, if there is room. Making and dropping databases is mostly
/// making and removing files, and a third of all that the tests do.
pub(crate) fn place() -> PathBuf {
    const ENOUGH: u64 = 8 << 30;
    let in_memory = || -> Option<bool> {
        let disk = rustix::fs::statvfs(MEMORY).ok()?;
        let text = fs::read_to_string("/proc/meminfo").ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
        let kilobytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
        Some(disk.f_bavail * disk.f_frsize > ENOUGH && kilobytes << 10 > ENOUGH)
    };
    if in_memory().unwrap_or_default() { MEMORY.into() } else { std::env::temp_dir() }
}

/// Runs a server until it ends, until standard input closes, or until the process that is its first
/// argument is gone; then removes the directory it is in, unless there is a file that says not to, and what is above if
/// nothing is left there.
const KEEPER: &str = r#"
    runner=$1
    shift
    "$@" </dev/null >>log 2>&1 &
    server=$!
    runs() { if [ -d /proc/self ]; then [ -d "/proc/$runner" ]; else ps -p "$runner" >/dev/null; fi; }
    if [ -z "$runner" ]; then read -r _; else
        while runs && kill -0 $server 2>/dev/null; do sleep 1; done
    fi
    kill -QUIT $server 2>/dev/null
    wait $server
    [ -e keep-files ] && exit
    rm -rf "$PWD"
    [ -z "$runner" ] || { runs || rm -f "$PWD.lock" "$PWD.made"; rmdir "${PWD%/*}"; } 2>/dev/null
"#;
/// Keeps a cluster's files when its server ends.
pub(crate) const KEEP_FILES: &str = "keep-files";

/// Makes certificates, and the rules by which they open the cluster: those of `compose/postgres`, and
/// a door for the tests.
pub(crate) fn certify(dir: &Path, owner: Option<u32>) -> Result<()> {
    let certs = dir.join("certs");
    brownie_certs::dev::create(&certs, SystemClock.now())?;
    let shipped =
        |name: &str| fs::read_to_string(crate::root().join("compose/postgres").join(name));
    fs::write(
        dir.join("pg_hba.conf"),
        format!("local all all trust\n{}", shipped("pg_hba.conf")?),
    )?;
    fs::write(dir.join("pg_ident.conf"), shipped("pg_ident.conf")?)?;
    // In its file, so that a test can set it otherwise.
    let file = |name: &str| dir.join(name).display().to_string();
    let settings = format!(
        "ssl = on\nssl_ca_file = '{}'\nssl_cert_file = '{}'\nssl_key_file = '{}'\n\
         hba_file = '{}'\nident_file = '{}'\n",
        file("certs/server/ca.crt"),
        file("certs/server/server.crt"),
        file("certs/server/server.key"),
        file("pg_hba.conf"),
        file("pg_ident.conf"),
    );
    let mut conf = fs::OpenOptions::new().append(true).open(dir.join("data/postgresql.conf"))?;
    conf.write_all(settings.as_bytes())?;
    // The keeper removes all of it, and is not root.
    for path in std::iter::once(certs.clone()).chain(below(&certs)?) {
        chown(&path, owner, owner)?;
    }
    Ok(())
}

fn below(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(below(&path)?);
        }
        found.push(path);
    }
    Ok(found)
}

/// Starts the server below a shell that ends it when `runner` is gone, or when our end of the pipe closes.
pub(crate) fn keep(
    bin: &Path,
    dir: &Path,
    port: u16,
    settings: &[&str],
    owner: Option<u32>,
    runner: Option<u32>,
) -> Result<Child> {
    let mut script = Command::new("sh");
    let runner = runner.map(|runner| runner.to_string()).unwrap_or_default();
    script
        .args(["-c", KEEPER, "keeper", &runner])
        .arg(bin.join("postgres"))
        .arg("-D")
        .arg(dir.join("data"))
        .args(["-c", "listen_addresses=127.0.0.1", "-c", "max_connections=200"])
        .args([
            "-c",
            &format!("port={port}"),
            "-c",
            &format!("unix_socket_directories={}", dir.display()),
        ])
        .args(settings.iter().flat_map(|setting| ["-c", setting]))
        .current_dir(dir)
        .stdin(if runner.is_empty() { Stdio::piped() } else { Stdio::null() })
        // A test that is ended by a signal to its process group is outlived by what removes its files.
        .process_group(0)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    as_user(&mut script, owner).spawn().context("starting postgres")
}

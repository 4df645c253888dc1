//! A cluster of ours and its standby, which let everybody in.

use std::{fs, io::Write, os::unix::fs::chown, process::Command};

use anyhow::{Context, Result, bail};

use crate::{
    Access, Postgres,
    cluster::{keep, place},
    postgres::FAST,
    programs::{as_user, find_programs, unprivileged_user},
    unique,
};

impl Postgres {
    /// A fast and forgetful cluster of the caller's own, which lets everybody in.
    ///
    /// # Errors
    /// As [`Postgres::durable`].
    pub fn trusting() -> Result<Self> {
        Self::start(find_programs()?, FAST, Access::Trust)
    }

    /// Starts a standby that follows this server by streaming.
    ///
    /// # Errors
    /// When it cannot be copied, or does not start.
    pub fn standby(&self) -> Result<Self> {
        let dir = place().join(format!("brownie-pg-{}", unique()));
        fs::create_dir_all(&dir)?;
        let owner = unprivileged_user()?;
        chown(&dir, owner, owner)?;
        let mut copy = Command::new(self.program("pg_basebackup"));
        copy.args("-U postgres -R -X stream -c fast -N -D".split(' ')).arg(dir.join("data"));
        copy.arg("-h").arg(&self.dir).args(["-p", &self.port.to_string()]).current_dir(&dir);
        let output = as_user(&mut copy, owner).output().context("pg_basebackup")?;
        if !output.status.success() {
            drop(fs::remove_dir_all(&dir));
            bail!("pg_basebackup: {}", String::from_utf8_lossy(&output.stderr));
        }
        // What -R writes names options of this release's libpq, and the server may load the machine's, which is older.
        let primary = format!(
            "primary_conninfo = 'user=postgres host={} port={}'\n",
            self.dir.display(),
            self.port
        );
        let settings = dir.join("data/postgresql.auto.conf");
        fs::OpenOptions::new().append(true).open(settings)?.write_all(primary.as_bytes())?;
        let port = crate::free_port()?;
        let keeper = Some(keep(&self.bin, &dir, port, self.settings, owner, None)?);
        let postgres = Self { bin: self.bin.clone(), dir, port, settings: self.settings, keeper };
        postgres.wait_until_ready();
        Ok(postgres)
    }
}

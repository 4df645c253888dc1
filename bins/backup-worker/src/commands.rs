//! What it can be told to do.

use std::{fs, io, process::ExitCode, sync::Arc};

use anyhow::{Context, bail};
use brownie_backup::{
    BackupName, Create, Entry, Fate, Identities, Manifest, Read, Recipients, Replace, Restore,
    SigningKey, Store, Target, cleanup, create, delete, drill, list, rekey, restore, verify,
};
use brownie_config::BackupSettings;
use brownie_domain::{RandomIds, SystemClock};
use clap::Subcommand;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::{progress::Progress, way::Way};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a backup, and read it again unless `BACKUP_VERIFY` says no.
    Backup {
        /// Its name; one of the time unless said.
        #[arg(long)]
        name: Option<BackupName>,
        /// Read it again, whatever `BACKUP_VERIFY` says.
        #[arg(long)]
        verify: bool,
    },
    /// List backups, the newest first.
    List {
        /// How many.
        #[arg(long, default_value_t = 10)]
        limit: usize,
    },
    /// Say where backups go, how many there are, and which was verified last. Exits with 3 when none
    /// was.
    Status,
    /// Read every byte of a backup.
    Verify {
        /// Which.
        name: BackupName,
    },
    /// Restore a backup into a database that nobody uses, compare it, and drop it. Says how long that
    /// took.
    Drill {
        /// Which; the newest unless said.
        name: Option<BackupName>,
    },
    /// Make a database of a backup. One that is not empty is renamed, not dropped.
    Restore {
        /// Which.
        name: BackupName,
        /// What the database is to be called; as the settings say unless this does.
        #[arg(long, value_name = "NAME")]
        target_db: Option<String>,
        /// Replace one of that name. Its name has to be typed, or given by --confirm.
        #[arg(long)]
        force: bool,
        /// The name of the database that is replaced.
        #[arg(long, value_name = "NAME", requires = "force")]
        confirm: Option<String>,
        /// Migrate it to this program's schema afterwards.
        #[arg(long)]
        to_head: bool,
    },
    /// Remove a backup.
    Delete {
        /// Which.
        name: BackupName,
    },
    /// Remove the backups that nobody wants to keep, and what runs that died left. The newest that was
    /// verified always stays.
    Cleanup {
        /// Only say what would be removed.
        #[arg(long)]
        dry_run: bool,
    },
    /// Follow `BACKUP_SCHEDULE`, and do what operators ask for over HTTP, until told to stop.
    Schedule,
    /// Keys that backups are encrypted to.
    #[command(subcommand)]
    Keys(Keys),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Keys {
    /// Let `BACKUP_AGE_RECIPIENTS` open a backup, and nobody else from now on. The data stays as it is.
    Rotate {
        /// Which; all unless said.
        name: Option<BackupName>,
    },
}

/// What all commands need.
pub(crate) struct Worker {
    pub(crate) way: Arc<Way>,
    /// As who may make databases, for what operators ask for.
    pub(crate) restore_way: Option<Arc<Way>>,
    pub(crate) store: Store,
    pub(crate) settings: BackupSettings,
    pub(crate) json: bool,
}

impl Worker {
    pub(crate) async fn run(&self, command: Command) -> anyhow::Result<ExitCode> {
        match command {
            Command::Backup { name, verify } => {
                let outcome = self.backup(name, verify).await;
                self.report(&outcome).await;
                outcome
            }
            Command::Schedule => self.schedule().await,
            Command::List { limit } => self.list(limit).await,
            Command::Status => self.status().await,
            Command::Verify { name } => {
                self.verify(&name).await?;
                self.say(
                    &serde_json::json!({"verified": name}),
                    &format!("{name} is as it was made"),
                );
                Ok(ExitCode::SUCCESS)
            }
            Command::Drill { name } => self.drill(name).await,
            Command::Restore { name, target_db, force, confirm, to_head } => {
                let target = target_db.unwrap_or_else(|| self.way.database().to_owned());
                self.restore(&name, &target, force, confirm, to_head).await
            }
            Command::Delete { name } => {
                delete(&*self.way, &self.store, &name).await?;
                self.say(&serde_json::json!({"deleted": name}), &format!("deleted {name}"));
                Ok(ExitCode::SUCCESS)
            }
            Command::Cleanup { dry_run } => self.cleanup(dry_run).await,
            Command::Keys(Keys::Rotate { name }) => self.rotate(name).await,
        }
    }

    fn say(&self, json: &serde_json::Value, sentence: &str) {
        if self.json {
            println!("{json}");
        } else {
            println!("{sentence}");
        }
    }

    fn signing_key(&self) -> anyhow::Result<Option<SigningKey>> {
        let key = self.settings.signing_key.as_ref();
        Ok(key.map(|key| SigningKey::new(key.expose())).transpose()?)
    }

    fn read(&self, progress: &Progress) -> anyhow::Result<Read> {
        let identities = match &self.settings.identity_file {
            Some(path) => {
                let text = fs::read_to_string(path)
                    .with_context(|| format!("{} cannot be read", path.display()))?;
                Identities::parse(&text)?
            }
            None => Identities::default(),
        };
        Ok(Read {
            identities,
            signing_key: self.signing_key()?,
            jobs: self.settings.jobs,
            cancel: told_to_stop(),
            tell: progress.tell(),
        })
    }

    async fn verify(&self, name: &BackupName) -> anyhow::Result<()> {
        let progress = Progress::new();
        verify(&self.store, name, &SystemClock, &self.read(&progress)?).await?;
        Ok(())
    }

    async fn backup(&self, name: Option<BackupName>, verified: bool) -> anyhow::Result<ExitCode> {
        let recipients = Recipients::parse(&self.settings.recipients)?;
        let manifest = {
            let progress = Progress::new();
            let how = Create {
                name,
                jobs: self.settings.jobs,
                recipients,
                allow_unencrypted: self.settings.allow_unencrypted,
                signing_key: self.signing_key()?,
                timeout: self.settings.timeout,
                cancel: told_to_stop(),
                tell: progress.tell(),
                ..Create::default()
            };
            let (clock, ids) = (Arc::new(SystemClock), Arc::new(RandomIds));
            create(Arc::clone(&self.way) as _, &self.store, clock, ids, how).await?
        };
        if verified || self.settings.verify {
            self.verify(&manifest.name).await.with_context(|| {
                format!("{} was made, and could not be read again", manifest.name)
            })?;
        }
        let (rows, plain, stored) =
            (manifest.rows(), manifest.plain_bytes(), manifest.stored_bytes());
        let name = &manifest.name;
        self.say(
            &serde_json::json!({"name": name, "rows": rows, "bytes": plain, "stored_bytes": stored,
                "verified": verified || self.settings.verify}),
            &format!("made {name}: {rows} rows, {plain} bytes, {stored} stored"),
        );
        Ok(ExitCode::SUCCESS)
    }

    async fn list(&self, limit: usize) -> anyhow::Result<ExitCode> {
        let entries = list(&self.store, self.signing_key()?.as_ref()).await?;
        let told: Vec<_> = entries.iter().take(limit).map(told).collect();
        if self.json {
            println!("{}", serde_json::json!({"backups": told}));
        } else {
            for backup in &told {
                let text = |name: &str| backup[name].as_str().unwrap_or("-").to_owned();
                println!(
                    "{}  {}  {} bytes  {}",
                    text("name"),
                    text("created_at"),
                    backup["stored_bytes"],
                    text("status")
                );
            }
            println!("{} of {}", told.len(), entries.len());
        }
        Ok(ExitCode::SUCCESS)
    }

    async fn status(&self) -> anyhow::Result<ExitCode> {
        let entries = list(&self.store, self.signing_key()?.as_ref()).await?;
        let verified = entries.iter().find(|entry| entry.verified.is_some());
        let bytes: u64 = entries
            .iter()
            .filter_map(|it| it.manifest.as_ref().ok())
            .map(Manifest::stored_bytes)
            .sum();
        let newest = entries.first().map(told);
        let last = verified.map(told);
        if self.json {
            let status = serde_json::json!({
                "backups": entries.len(), "stored_bytes": bytes, "newest": newest,
                "newest_verified": last, "schedule": self.settings.schedule,
                "retention_days": self.settings.retention.days,
                "encrypted": !self.settings.recipients.is_empty(),
            });
            println!("{status}");
        } else {
            println!("{} backups, {bytes} bytes", entries.len());
            for (what, backup) in [("newest", &newest), ("newest verified", &last)] {
                let name = backup.as_ref().and_then(|it| it["name"].as_str()).unwrap_or("none");
                println!("{what}: {name}");
            }
        }
        Ok(if verified.is_some() { ExitCode::SUCCESS } else { ExitCode::from(3) })
    }

    async fn drill(&self, name: Option<BackupName>) -> anyhow::Result<ExitCode> {
        let name = match name {
            Some(name) => name,
            None => match list(&self.store, self.signing_key()?.as_ref()).await?.into_iter().next()
            {
                Some(entry) => entry.name,
                None => bail!("there is no backup to try"),
            },
        };
        let progress = Progress::new();
        let (clock, ids) = (Arc::new(SystemClock), Arc::new(RandomIds));
        let how = self.read(&progress)?;
        let drilled = drill(&self.way.cluster(), &self.store, &name, clock, ids, how).await?;
        drop(progress);
        let seconds = drilled.recovery_time.as_secs_f64();
        self.say(
            &serde_json::json!({"name": name, "recovery_seconds": seconds,
                "rows": drilled.manifest.rows()}),
            &format!("{name} was restored and compared: {seconds:.1} s"),
        );
        Ok(ExitCode::SUCCESS)
    }

    async fn restore(
        &self,
        name: &BackupName,
        target: &str,
        force: bool,
        confirm: Option<String>,
        to_head: bool,
    ) -> anyhow::Result<ExitCode> {
        let target = Target::new(target)?;
        let replace = match (force, confirm) {
            (false, _) => None,
            (true, Some(typed)) => Some(Replace::confirmed(&typed, &target)?),
            (true, None) => {
                eprint!("type the name of the database that is replaced: ");
                let mut typed = String::new();
                io::stdin().read_line(&mut typed)?;
                Some(Replace::confirmed(typed.trim(), &target)?)
            }
        };
        let progress = Progress::new();
        let how = Restore { read: self.read(&progress)?, target, replace, to_head };
        let target = how.target.clone();
        let (clock, ids) = (Arc::new(SystemClock), Arc::new(RandomIds));
        let restored = restore(&self.way.cluster(), &self.store, name, clock, ids, how).await?;
        drop(progress);
        let seconds = restored.took.as_secs_f64();
        let target = target.as_str();
        let before = restored.replaced.as_ref();
        let kept = before.map(|old| format!("; what was there is called {old} now"));
        self.say(
            &serde_json::json!({"name": name, "database": target, "seconds": seconds,
                "replaced": before}),
            &format!("{target} is {name}, in {seconds:.1} s{}", kept.unwrap_or_default()),
        );
        Ok(ExitCode::SUCCESS)
    }

    async fn cleanup(&self, dry_run: bool) -> anyhow::Result<ExitCode> {
        let (policy, key) = (self.settings.retention.into(), self.signing_key()?);
        let cleaned =
            cleanup(&*self.way, &self.store, &SystemClock, &policy, key.as_ref(), dry_run).await?;
        let removed: Vec<String> = cleaned
            .decisions
            .iter()
            .filter(|decision| decision.fate == Fate::Removed)
            .map(|decision| decision.name.to_string())
            .collect();
        let unreadable: Vec<String> = cleaned.unreadable.iter().map(ToString::to_string).collect();
        if self.json {
            let report = serde_json::json!({"dry_run": dry_run, "removed": removed,
                "unreadable": unreadable, "orphans": cleaned.orphans});
            println!("{report}");
        } else {
            let verb = if dry_run { "would remove" } else { "removed" };
            for name in &removed {
                println!("{verb} {name}");
            }
            println!("{verb} {} objects that belong to no backup", cleaned.orphans.len());
            for name in &unreadable {
                println!("cannot be read, and was left: {name}");
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    async fn rotate(&self, name: Option<BackupName>) -> anyhow::Result<ExitCode> {
        let key = self.signing_key()?;
        let names = match name {
            Some(name) => vec![name],
            None => {
                let entries = list(&self.store, key.as_ref()).await?;
                entries.into_iter().map(|entry| entry.name).collect()
            }
        };
        let recipients = Recipients::parse(&self.settings.recipients)?;
        let progress = Progress::new();
        let read = self.read(&progress)?;
        drop(progress);
        for name in &names {
            rekey(&self.store, name, &read.identities, &recipients, key.as_ref()).await?;
        }
        self.say(&serde_json::json!({"rotated": names}), &format!("rotated {}", names.len()));
        Ok(ExitCode::SUCCESS)
    }
}

/// What is told of a backup.
fn told(entry: &Entry) -> serde_json::Value {
    let verified_at = entry.verified.as_ref().map(|mark| mark.at);
    match &entry.manifest {
        Ok(manifest) => serde_json::json!({
            "name": entry.name, "created_at": manifest.created_at, "rows": manifest.rows(),
            "bytes": manifest.plain_bytes(), "stored_bytes": manifest.stored_bytes(),
            "verified_at": verified_at,
            "status": if verified_at.is_some() { "verified" } else { "made" },
        }),
        Err(error) => serde_json::json!({
            "name": entry.name, "status": brownie_logging::chain(error),
        }),
    }
}

/// Returns what is cancelled when somebody ends the process (SIGTERM, SIGINT).
pub(crate) fn told_to_stop() -> CancellationToken {
    let token = CancellationToken::new();
    let stopper = token.clone();
    drop(tokio::spawn(async move {
        match signal(SignalKind::terminate()) {
            Ok(mut terminate) => {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = tokio::signal::ctrl_c() => {}
                }
            }
            Err(_) => drop(tokio::signal::ctrl_c().await),
        }
        stopper.cancel();
    }));
    token
}

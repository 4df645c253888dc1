//! What it can be told to do.

use std::{fs, io, process::ExitCode, sync::Arc};

use anyhow::{Context, bail};
use brownie_backup::{
    BackupName, Create, Fate, Identities, Read, Recipients, Replace, Restore, SigningKey, Store,
    Target, cleanup_older_than, create, delete, drill, list, rekey, restore, verify,
};
use brownie_config::BackupSettings;
use brownie_domain::{RandomIds, SystemClock};
use chrono::TimeDelta;
use clap::Subcommand;

use crate::{
    doctor::Doctor,
    organization::{Export, Import, OrganizationArgs},
    progress::Progress,
    stop::told_to_stop,
    way::Way,
};

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
    /// With --org, one organization alone is brought back instead, in the database itself.
    Restore {
        /// Which.
        #[arg(required_unless_present = "org")]
        name: Option<BackupName>,
        /// What the database is to be called; as the settings say unless this does.
        #[arg(long, value_name = "NAME")]
        target_db: Option<String>,
        /// Replace one of that name. Its name has to be typed, or given by --confirm.
        #[arg(long)]
        force: bool,
        /// The name of the database that is replaced, or what --org says.
        #[arg(long, value_name = "NAME")]
        confirm: Option<String>,
        /// Migrate it to this program's schema afterwards.
        #[arg(long)]
        to_head: bool,
        #[command(flatten)]
        organization: Box<OrganizationArgs>,
    },
    Export(Export),
    Import(Import),
    /// Remove a backup.
    Delete {
        /// Which.
        name: BackupName,
    },
    /// Remove the backups that nobody wants to keep, and what runs that died left, uploads that were not
    /// ended included. The newest that was verified always stays.
    Cleanup {
        /// How old must be what runs that died left: 24h, 30m. Less than a day is for when no backup of
        /// any database goes to the same place right now.
        #[arg(long, value_name = "AGE", value_parser = crate::args::age, default_value = "24h")]
        orphans_older_than: TimeDelta,
        /// Only say what would be removed.
        #[arg(long)]
        dry_run: bool,
    },
    /// Look at what backing up needs, and say what is wrong and what to do. Changes nothing but with
    /// --write. Exits with 3 when something failed.
    Doctor(Doctor),
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
    /// To the database, for those that connect to one.
    pub(crate) way: Option<Arc<Way>>,
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
            Command::Restore { name, target_db, force, confirm, to_head, mut organization } => {
                if let Some(one) = organization.org.take() {
                    return self.restore_organization(one, name, *organization, confirm).await;
                }
                let name = name.context("name the backup")?;
                if confirm.is_some() && !force {
                    bail!("--confirm goes with --force, or with --org");
                }
                let target = match target_db {
                    Some(target) => target,
                    None => self.way()?.database().to_owned(),
                };
                self.restore(&name, &target, force, confirm, to_head).await
            }
            Command::Export(args) => self.export(args).await,
            Command::Import(args) => self.import(args).await,
            Command::Delete { name } => {
                delete(&**self.way()?, &self.store, &name, self.signing_key()?.as_ref()).await?;
                self.say(&serde_json::json!({"deleted": name}), &format!("deleted {name}"));
                Ok(ExitCode::SUCCESS)
            }
            Command::Cleanup { orphans_older_than, dry_run } => {
                self.cleanup(orphans_older_than, dry_run).await
            }
            // It runs before anything is opened.
            Command::Doctor(_) => Ok(ExitCode::SUCCESS),
            Command::Keys(Keys::Rotate { name }) => self.rotate(name).await,
        }
    }

    pub(crate) fn way(&self) -> anyhow::Result<&Arc<Way>> {
        self.way.as_ref().context("this command was not thought to need a database")
    }

    pub(crate) fn say(&self, json: &serde_json::Value, sentence: &str) {
        if self.json {
            println!("{json}");
        } else {
            println!("{sentence}");
        }
    }

    pub(crate) fn signing_key(&self) -> anyhow::Result<Option<SigningKey>> {
        let key = self.settings.signing_key.as_ref();
        Ok(key.map(|key| SigningKey::new(key.expose())).transpose()?)
    }

    pub(crate) fn read(&self, progress: &Progress) -> anyhow::Result<Read> {
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
            create(Arc::clone(self.way()?) as _, &self.store, clock, ids, how).await?
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
        let drilled = drill(&self.way()?.cluster(), &self.store, &name, clock, ids, how).await?;
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
        let restored = restore(&self.way()?.cluster(), &self.store, name, clock, ids, how).await?;
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

    async fn cleanup(&self, age: TimeDelta, dry_run: bool) -> anyhow::Result<ExitCode> {
        let (policy, key) = (self.settings.retention.into(), self.signing_key()?);
        let (way, clock, key) = (&**self.way()?, &SystemClock, key.as_ref());
        let cleaned =
            cleanup_older_than(way, &self.store, clock, &policy, key, dry_run, age).await?;
        let removed: Vec<String> = cleaned
            .decisions
            .iter()
            .filter(|decision| decision.fate == Fate::Removed)
            .map(|decision| decision.name.to_string())
            .collect();
        let unreadable: Vec<String> = cleaned.unreadable.iter().map(ToString::to_string).collect();
        if self.json {
            let report = serde_json::json!({"dry_run": dry_run, "removed": removed,
                "unreadable": unreadable, "orphans": cleaned.orphans, "uploads": cleaned.uploads});
            println!("{report}");
        } else {
            let verb = if dry_run { "would remove" } else { "removed" };
            for name in &removed {
                println!("{verb} {name}");
            }
            println!("{verb} {} objects that belong to no backup", cleaned.orphans.len());
            println!("{verb} {} uploads that were not ended", cleaned.uploads.len());
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

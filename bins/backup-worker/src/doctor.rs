//! `brownie-backup doctor`: what backing up needs, and whether it is there.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::Path,
    sync::{Arc, OnceLock},
};

use brownie_backup::{
    Entry, Error, Identities, Recipients, SigningKey, Store, list, may_back_up, provider, try_store,
};
use brownie_config::{
    BackupProvider, BackupSettings, CertSettings, DatabaseSettings, LogSettings, Reader,
};
use brownie_doctor::{Check, DATABASE, Finding, How, Keepers, Place, Report, Wanted};
use brownie_domain::{Clock, IdSource, RandomIds, SystemClock, Timestamp};
use brownie_logging::chain;
use chrono::TimeDelta;

use crate::way::Way;

const PROGRAM: &str = "brownie-backup";
const ROLE: &str = "role";
const KEYS: &str = "keys";
const STORE: &str = "store";
const BACKUPS: &[&str] = &["backups", "backups.verified"];
const TRIED: &[&str] = &["store.write", "store.clock"];

/// What `brownie-backup doctor` can be told.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Doctor {
    #[command(flatten)]
    how: How,
    /// Write an object to the store, too, and remove it: the one thing that changes anything.
    #[arg(long)]
    write: bool,
    /// How many hours old the newest backup may be.
    #[arg(long, value_name = "HOURS", default_value_t = 26)]
    newest_within: u32,
    /// How many hours ago a backup must have been verified.
    #[arg(long, value_name = "HOURS", default_value_t = 192)]
    verified_within: u32,
}

/// The store, from when a check has found that it answers.
type Opened = Arc<OnceLock<Store>>;

impl Doctor {
    /// Looks at everything, says what was found, and ends the process.
    pub(crate) async fn run(self, json: bool) -> ! {
        let mut reader = Reader::from_process();
        let database = BackupSettings::database(&mut reader, PROGRAM);
        let certs = CertSettings::read(&mut reader, PROGRAM);
        let settings = BackupSettings::read(&mut reader);
        let _ = LogSettings::read(&mut reader, false);
        let examined = brownie_doctor::settings(reader);
        let mut findings = Vec::new();
        if examined.are_good() {
            let checks = self.checks(database, &certs, settings);
            findings = brownie_doctor::run(checks, self.how.timeout).await;
        }
        Report::new(PROGRAM, &examined, findings).tell_and_leave(json)
    }

    fn checks(
        self,
        database: DatabaseSettings,
        certs: &CertSettings,
        settings: BackupSettings,
    ) -> Vec<Check> {
        let (certificates, keepers) = brownie_doctor::certificates(&database, certs);
        let wanted = Wanted {
            url: database.url.clone(),
            keepers: keepers.clone(),
            connections: settings.jobs,
        };
        let opened = Opened::default();
        let places = match &settings.provider {
            BackupProvider::Directory(path) => {
                vec![Place { path: path.clone(), variable: "BACKUP_DESTINATION", wanted: 0 }]
            }
            _ => Vec::new(),
        };
        vec![
            certificates,
            brownie_doctor::database(wanted),
            brownie_doctor::schema(database.url.clone(), keepers.clone()),
            role(database, keepers),
            keys(settings.clone()),
            store(settings.provider.clone(), Arc::clone(&opened)),
            tried(self.write, Arc::clone(&opened)),
            self.backups(settings, opened),
            brownie_doctor::disk(&["disk"], places),
        ]
    }

    /// How old the newest backup is, and when one was last read or restored.
    fn backups(self, settings: BackupSettings, opened: Opened) -> Check {
        Check::new(BACKUPS, move |progress| async move {
            progress.at("listing backups");
            let Some(store) = opened.get() else { return Vec::new() };
            let key = settings.signing_key.as_ref();
            let key = key.and_then(|key| SigningKey::new(key.expose()).ok());
            match list(store, key.as_ref()).await {
                Ok(entries) => {
                    let newest = TimeDelta::hours(self.newest_within.into());
                    let verified = TimeDelta::hours(self.verified_within.into());
                    let now = SystemClock.now();
                    vec![
                        judge_newest(&entries, now, newest),
                        judge_verified(&entries, now, verified),
                    ]
                }
                Err(error) => {
                    let remedy = "see `brownie-backup list`";
                    vec![Finding::failed("backups", chain(&error), remedy)]
                }
            }
        })
        .after(STORE)
    }
}

/// Whether the role sees all rows, by a connection of its own.
fn role(database: DatabaseSettings, keepers: Keepers) -> Check {
    Check::new(&[ROLE], move |progress| async move {
        progress.at("asking what the role may read");
        let way = match Way::new(&database, keepers.keeper()) {
            Ok(way) => way,
            Err(error) => {
                return vec![Finding::failed(ROLE, chain(error.as_ref()), "correct DATABASE_URL")];
            }
        };
        vec![match may_back_up(&way).await {
            Ok(tables) => Finding::ok(ROLE, format!("it sees every row of {tables} tables")),
            Err(error) => {
                let remedy = match &error {
                    Error::Pooler => "name the server itself in DATABASE_URL or DB_HOST",
                    Error::Empty { .. } => "run `brownie-migrator up`, or correct the database's name",
                    _ => "log in as brownie-backup (DATABASE_URL or DB_USER), and run `brownie-migrator up`",
                };
                Finding::failed(ROLE, chain(&error), remedy)
            }
        }]
    })
    .after(DATABASE)
}

/// Whom backups are encrypted to, what opens them, and what signs them.
fn keys(settings: BackupSettings) -> Check {
    Check::new(&[KEYS], move |progress| async move {
        progress.at("reading keys");
        vec![
            judge_keys(&settings)
                .unwrap_or_else(|(found, remedy)| Finding::failed(KEYS, found, remedy)),
        ]
    })
}

fn judge_keys(settings: &BackupSettings) -> Result<Finding, (String, &'static str)> {
    let recipients = Recipients::parse(&settings.recipients)
        .map_err(|error| (chain(&error), "correct BACKUP_AGE_RECIPIENTS"))?;
    if let Some(key) = &settings.signing_key {
        let key = SigningKey::new(key.expose()).map(drop);
        key.map_err(|error| (chain(&error), "make one by `openssl rand -base64 48`"))?;
    }
    let opens = match &settings.identity_file {
        Some(path) => Some((path, judge_identity(path)?)),
        None => None,
    };
    let is_directory = matches!(settings.provider, BackupProvider::Directory(_));
    if recipients.is_empty() && !is_directory && !settings.allow_unencrypted {
        return Err((
            "backups would leave this machine unencrypted, so none is made".to_owned(),
            "set BACKUP_AGE_RECIPIENTS (`age-keygen` makes a pair)",
        ));
    }
    let count = recipients.names().len();
    let signed = if settings.signing_key.is_some() { "signed" } else { "not signed" };
    let found = format!("encrypted to {count} recipient(s), {signed}");
    if let Some((path, mode)) = opens
        && mode & 0o077 != 0
    {
        let found = format!("{found}; {} is open to others (mode {mode:04o})", path.display());
        let remedy = "chmod 600 it: whoever reads it opens every backup";
        return Ok(Finding::warning(KEYS, found, remedy));
    }
    if recipients.is_empty() {
        let remedy = "set BACKUP_AGE_RECIPIENTS (`age-keygen` makes a pair)";
        return Ok(Finding::warning(KEYS, "backups are not encrypted", remedy));
    }
    if settings.verify && opens.is_none() {
        let remedy =
            "set BACKUP_AGE_IDENTITY_FILE, or BACKUP_VERIFY=false and verify where the key is";
        let found =
            format!("{found}; nothing here opens them, so none can be verified when it is made");
        return Ok(Finding::warning(KEYS, found, remedy));
    }
    Ok(Finding::ok(KEYS, found))
}

/// Reads the private keys and forgets them. Returns the mode of their file.
fn judge_identity(path: &Path) -> Result<u32, (String, &'static str)> {
    let remedy = "correct BACKUP_AGE_IDENTITY_FILE, or what is in it";
    let failed = |error: io::Error| (format!("{} cannot be read: {error}", path.display()), remedy);
    let text = fs::read_to_string(path).map_err(failed)?;
    Identities::parse(&text).map_err(|error| (chain(&error), remedy))?;
    Ok(fs::metadata(path).map_err(failed)?.mode() & 0o777)
}

/// Whether the store answers and can be listed.
fn store(settings: BackupProvider, opened: Opened) -> Check {
    Check::new(&[STORE], move |progress| async move {
        progress.at("listing the store");
        // Opening would make it, and nothing is made by looking.
        if let BackupProvider::Directory(path) = &settings
            && !path.is_dir()
        {
            let found = format!("{} is not a directory", path.display());
            let remedy = "make it, mount it, or correct BACKUP_DESTINATION";
            return vec![Finding::failed(STORE, found, remedy)];
        }
        let listed = match provider::open(&settings).await {
            Ok(store) => list(&store, None).await.map(|entries| (store, entries.len())),
            Err(error) => Err(error),
        };
        vec![match listed {
            Ok((store, count)) => {
                let found = format!("{} answers, with {count} backup(s)", store.provider());
                let _ = opened.set(store);
                Finding::ok(STORE, found)
            }
            Err(error) => Finding::failed(
                STORE,
                chain(&error),
                "correct BACKUP_DESTINATION, BACKUP_ENDPOINT and the keys, or see that the store is up",
            ),
        }]
    })
}

/// Whether the store takes an object, gives it back and removes it; and its clock.
fn tried(write: bool, opened: Opened) -> Check {
    Check::new(TRIED, move |progress| async move {
        let [name, clock] = ["store.write", "store.clock"];
        if !write {
            let skip = |name| Finding::skipped(name, "only with --write, as it changes something");
            return vec![skip(name), skip(clock)];
        }
        progress.at("writing an object, and removing it");
        let Some(store) = opened.get() else { return Vec::new() };
        let id = RandomIds.next(SystemClock.now()).simple().to_string();
        match try_store(store, &SystemClock, &id).await {
            Ok((ahead, unsure)) => vec![
                Finding::ok(name, "an object was written, read and removed"),
                brownie_doctor::judge_clock(clock, "the store's clock", ahead, unsure),
            ],
            Err(error) => vec![Finding::failed(
                name,
                chain(&error),
                "let these keys put, get and delete objects there, and see that it is not full",
            )],
        }
    })
    .after(STORE)
}

fn judge_newest(entries: &[Entry], now: Timestamp, within: TimeDelta) -> Finding {
    const NAME: &str = "backups";
    let unreadable = entries.iter().filter(|entry| entry.manifest.is_err()).count();
    let newest = entries.iter().find_map(|entry| Some((entry, entry.manifest.as_ref().ok()?)));
    let Some((entry, manifest)) = newest else {
        let found = format!("there is none that can be read, of {}", entries.len());
        return Finding::failed(NAME, found, "run `brownie-backup backup`, and see the schedule");
    };
    let age = now - manifest.created_at;
    let found = format!("the newest, {}, is {} hours old", entry.name, age.num_hours());
    // As `brownie-backup backup` has it.
    if age < -TimeDelta::minutes(5) {
        let found = format!("the newest, {}, was made at {}", entry.name, manifest.created_at);
        let remedy = "set the clock of this machine, or delete that backup: none is made meanwhile";
        Finding::failed(NAME, format!("{found}, which is to come"), remedy)
    } else if age > within {
        let found = format!("{found}; {} are allowed", within.num_hours());
        let remedy = "see why the last run did not come to its end (its log), and run `brownie-backup backup`";
        Finding::failed(NAME, found, remedy)
    } else if unreadable > 0 {
        let found = format!("{found}; {unreadable} cannot be read");
        Finding::warning(NAME, found, "see `brownie-backup list`")
    } else {
        Finding::ok(NAME, found)
    }
}

fn judge_verified(entries: &[Entry], now: Timestamp, within: TimeDelta) -> Finding {
    const NAME: &str = "backups.verified";
    let marked = entries.iter().filter_map(|entry| Some((entry, entry.verified.as_ref()?.at)));
    let Some((entry, at)) = marked.max_by_key(|(_, at)| *at) else {
        let remedy = "run `brownie-backup verify NAME`, and `brownie-backup drill`";
        return Finding::failed(NAME, "none was ever verified", remedy);
    };
    let found = format!("{} was, {} hours ago", entry.name, (now - at).num_hours());
    if now - at > within {
        let found = format!("{found}; {} are allowed", within.num_hours());
        let remedy = "run `brownie-backup drill`, and have it run every week";
        Finding::warning(NAME, found, remedy)
    } else {
        Finding::ok(NAME, found)
    }
}

#[cfg(test)]
mod tests {
    use brownie_config::Secret;
    use brownie_doctor::State;

    use super::*;

    fn settings(values: &[(&str, &str)]) -> BackupSettings {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let mut reader = Reader::from_values(values.iter().map(own).collect());
        BackupSettings::read(&mut reader)
    }

    #[test]
    fn what_leaves_the_machine_must_be_encrypted() {
        let s3 = [("BACKUP_PROVIDER", "s3"), ("BACKUP_DESTINATION", "bucket")];
        let (found, remedy) = judge_keys(&settings(&s3)).unwrap_err();
        assert!(found.contains("unencrypted") && remedy.contains("BACKUP_AGE_RECIPIENTS"));
        let allowed = [s3[0], s3[1], ("BACKUP_ALLOW_UNENCRYPTED", "true")];
        assert_eq!(judge_keys(&settings(&allowed)).unwrap().state(), State::Warning);
    }

    #[test]
    fn keys_that_are_none_are_told_without_being_shown() {
        let (found, _) =
            judge_keys(&settings(&[("BACKUP_AGE_RECIPIENTS", "hunter2")])).unwrap_err();
        assert!(found.contains("recipient 1") && !found.contains("hunter2"), "{found}");
        let short = BackupSettings { signing_key: Some(Secret::new("hunter2")), ..settings(&[]) };
        let (found, _) = judge_keys(&short).unwrap_err();
        assert!(found.contains("32 characters") && !found.contains("hunter2"), "{found}");
    }

    #[test]
    fn none_at_all_is_a_failure() {
        let (now, day) = (SystemClock.now(), TimeDelta::days(1));
        assert_eq!(judge_newest(&[], now, day).state(), State::Failed);
        assert_eq!(judge_verified(&[], now, day).state(), State::Failed);
    }
}

//! Where backups go, how they are sealed, when they are made, and how long they are kept.

mod predecessor;
mod variables;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{DatabaseSettings, Reader, Secret, Variable, operators};
pub(crate) use variables::VARIABLES;
use variables::{
    BACKUP_ACCESS_KEY, BACKUP_AGE_IDENTITY_FILE, BACKUP_AGE_RECIPIENTS, BACKUP_ALLOW_UNENCRYPTED,
    BACKUP_CA_FILE, BACKUP_DESTINATION, BACKUP_ENDPOINT, BACKUP_KEEP_DAILY, BACKUP_KEEP_LAST,
    BACKUP_KEEP_MONTHLY, BACKUP_KEEP_WEEKLY, BACKUP_PARALLEL_JOBS, BACKUP_PROVIDER, BACKUP_REGION,
    BACKUP_RESTORE_URL, BACKUP_RETENTION_DAYS, BACKUP_SCHEDULE, BACKUP_SECRET_KEY,
    BACKUP_SIGNING_KEY, BACKUP_TIMEOUT, BACKUP_TIMEZONE, BACKUP_TOKEN, BACKUP_VERIFY,
};

/// A day: what belongs to no backup and is older is removed, so no run may take as long.
const LONGEST: Duration = Duration::from_hours(23);

/// Where backups are kept, and by whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BackupProvider {
    /// A directory.
    Directory(PathBuf),
    /// Amazon S3, or what speaks its protocol.
    S3(Bucket),
    /// Google Cloud Storage.
    Gcs(Bucket),
    /// Azure Blob Storage.
    Azure(Bucket),
}

/// A bucket, as some call it, or container, as others do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    /// Its name.
    pub name: String,
    /// What the keys of our objects begin with.
    pub prefix: String,
    /// The id of a key, or the account.
    pub access_key: Option<Secret>,
    /// What belongs to it.
    pub secret_key: Option<Secret>,
    /// A service account's key, or a session's token.
    pub token: Option<Secret>,
    /// The region.
    pub region: String,
    /// A server other than the provider's own, as a URL.
    pub endpoint: Option<String>,
    /// What vouches for it.
    pub ca_file: Option<PathBuf>,
}

/// How many backups are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackupRetention {
    /// All of so many days.
    pub days: u32,
    /// The newest.
    pub last: u32,
    /// The last of so many days.
    pub daily: u32,
    /// The last of so many weeks.
    pub weekly: u32,
    /// The last of so many months.
    pub monthly: u32,
}

/// Everything about backups.
#[derive(Debug, Clone)]
pub struct BackupSettings {
    /// Where they are kept.
    pub provider: BackupProvider,
    /// Public keys, as they were given.
    pub recipients: String,
    /// Where the private keys are.
    pub identity_file: Option<PathBuf>,
    /// Whether they may leave this machine unencrypted.
    pub allow_unencrypted: bool,
    /// What signs manifests.
    pub signing_key: Option<Secret>,
    /// What proves that an operator asked.
    pub operations_key: Option<Secret>,
    /// How many tables are copied at once.
    pub jobs: usize,
    /// When one is given up.
    pub timeout: Duration,
    /// Whether one is read again when it was made.
    pub verify: bool,
    /// When they are made, as cron has it.
    pub schedule: String,
    /// In which time zone.
    pub timezone: String,
    /// Where operators' restores are made, and as whom.
    pub restore: Option<DatabaseSettings>,
    /// How many are kept.
    pub retention: BackupRetention,
}

/// Variables of the predecessor that have no successor of their own.
pub(crate) static OLD_VARIABLES: &[Variable] = predecessor::VARIABLES;

impl BackupSettings {
    /// Reads which database is backed up, for a program that logs in as `role` unless told otherwise:
    /// as [`DatabaseSettings::read`], and by the predecessor's names.
    pub fn database(reader: &mut Reader, role: &str) -> DatabaseSettings {
        predecessor::database(reader, role)
    }

    /// Reads the settings of a program that has a place for them unless another is named.
    pub fn read_beside(reader: &mut Reader, directory: &Path) -> Self {
        let is_named = reader.set(&BACKUP_DESTINATION).is_some();
        let mut settings = Self::read(reader);
        if let BackupProvider::Directory(path) = &mut settings.provider
            && !is_named
        {
            directory.clone_into(path);
        }
        settings
    }

    /// Reads the settings.
    pub fn read(reader: &mut Reader) -> Self {
        let provider = provider(reader);
        let mut settings = Self {
            provider,
            recipients: reader.text(&BACKUP_AGE_RECIPIENTS).unwrap_or_default(),
            identity_file: reader.text(&BACKUP_AGE_IDENTITY_FILE).map(PathBuf::from),
            allow_unencrypted: flag(reader, &BACKUP_ALLOW_UNENCRYPTED),
            signing_key: reader.secret(&BACKUP_SIGNING_KEY),
            operations_key: operators::operations_key(reader),
            jobs: number(reader, &BACKUP_PARALLEL_JOBS) as usize,
            timeout: reader.seconds(&BACKUP_TIMEOUT).unwrap_or(LONGEST),
            verify: flag(reader, &BACKUP_VERIFY),
            schedule: reader.text(&BACKUP_SCHEDULE).unwrap_or_default(),
            timezone: reader.text(&BACKUP_TIMEZONE).unwrap_or_default(),
            restore: DatabaseSettings::read_other(reader, &BACKUP_RESTORE_URL),
            retention: BackupRetention {
                days: number(reader, &BACKUP_RETENTION_DAYS),
                last: number(reader, &BACKUP_KEEP_LAST),
                daily: number(reader, &BACKUP_KEEP_DAILY),
                weekly: number(reader, &BACKUP_KEEP_WEEKLY),
                monthly: number(reader, &BACKUP_KEEP_MONTHLY),
            },
        };
        predecessor::judge(reader, !settings.recipients.is_empty());
        if !(1..=64).contains(&settings.jobs) {
            reader.problem(&BACKUP_PARALLEL_JOBS, "must be 1 to 64");
            settings.jobs = 1;
        }
        if settings.timeout > LONGEST {
            reader.problem(&BACKUP_TIMEOUT, "must be 82800 (23 hours) or less");
        }
        settings
    }
}

fn flag(reader: &mut Reader, variable: &'static Variable) -> bool {
    reader.parse(variable, "true or false").unwrap_or_default()
}

fn number(reader: &mut Reader, variable: &'static Variable) -> u32 {
    reader.parse(variable, "a whole number").unwrap_or_default()
}

fn provider(reader: &mut Reader) -> BackupProvider {
    let kind = reader.text(&BACKUP_PROVIDER).unwrap_or_default();
    let destination = reader.text(&BACKUP_DESTINATION).unwrap_or_default();
    let make = match kind.as_str() {
        "s3" => BackupProvider::S3,
        "gcs" => BackupProvider::Gcs,
        "azure" => BackupProvider::Azure,
        other => {
            if other != "local" {
                reader.problem(
                    &BACKUP_PROVIDER,
                    format!("must be local, s3, gcs or azure, not {other:?}"),
                );
            }
            return BackupProvider::Directory(destination.into());
        }
    };
    let (name, prefix) = destination.split_once('/').unwrap_or((&destination, ""));
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || !name.chars().all(good) {
        let message = format!("must be a bucket, and /prefix if you like, not {destination:?}");
        reader.problem(&BACKUP_DESTINATION, message);
    }
    let bucket = Bucket {
        name: name.to_owned(),
        prefix: prefix.trim_matches('/').to_owned(),
        access_key: reader.secret(&BACKUP_ACCESS_KEY),
        secret_key: reader.secret(&BACKUP_SECRET_KEY),
        token: reader.secret(&BACKUP_TOKEN),
        region: reader.text(&BACKUP_REGION).unwrap_or_default(),
        endpoint: reader.text(&BACKUP_ENDPOINT),
        ca_file: reader.text(&BACKUP_CA_FILE).map(PathBuf::from),
    };
    match (&bucket.access_key, &bucket.secret_key) {
        (Some(_), None) => {
            reader.problem(&BACKUP_SECRET_KEY, "must be set, too, when BACKUP_ACCESS_KEY is");
        }
        (None, Some(_)) => {
            reader.problem(&BACKUP_ACCESS_KEY, "must be set, too, when BACKUP_SECRET_KEY is");
        }
        _ => {}
    }
    if let Some(endpoint) = &bucket.endpoint
        && !url::Url::parse(endpoint).is_ok_and(|url| matches!(url.scheme(), "http" | "https"))
    {
        // It could have a password in it.
        reader.problem(&BACKUP_ENDPOINT, "must be a URL that begins with https:// or http://");
    }
    make(bucket)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[(&str, &str)]) -> Result<BackupSettings, String> {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let mut reader = Reader::from_values(values.iter().map(own).collect());
        let settings = BackupSettings::read(&mut reader);
        reader.finish().map(|()| settings).map_err(|problems| problems.to_string())
    }

    #[test]
    fn the_defaults_are_a_directory_every_night_for_a_month() {
        let settings = read(&[]).unwrap();
        assert_eq!(settings.provider, BackupProvider::Directory("/backups".into()));
        assert_eq!((settings.schedule.as_str(), settings.retention.days), ("0 2 * * *", 30));
        assert!(settings.verify && !settings.allow_unencrypted && settings.jobs == 2);
        assert_eq!(settings.timeout, Duration::from_hours(1));
    }

    #[test]
    fn a_bucket_may_have_a_prefix() {
        for (destination, name, prefix) in
            [("b-1", "b-1", ""), ("b/x", "b", "x"), ("b/x/y/", "b", "x/y")]
        {
            let values = [("BACKUP_PROVIDER", "s3"), ("BACKUP_DESTINATION", destination)];
            let BackupProvider::S3(bucket) = read(&values).unwrap().provider else { panic!() };
            assert_eq!((bucket.name.as_str(), bucket.prefix.as_str()), (name, prefix));
        }
    }

    #[test]
    fn what_the_original_called_otherwise_counts() {
        let values = [("BACKUP_BACKUP_TIMEOUT", "60"), ("BACKUP_VERIFY_BACKUP", "false")];
        let settings = read(&values).unwrap();
        assert!(!settings.verify && settings.timeout == Duration::from_mins(1));
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let s3 = ("BACKUP_PROVIDER", "s3");
        let bucket = ("BACKUP_DESTINATION", "bucket");
        for (values, expected) in [
            (vec![("BACKUP_PROVIDER", "ftp")], "BACKUP_PROVIDER must be local, s3, gcs or azure"),
            (vec![s3, ("BACKUP_DESTINATION", "s3://b")], "BACKUP_DESTINATION must be a bucket"),
            (vec![s3], "BACKUP_DESTINATION must be a bucket"),
            (vec![s3, bucket, ("BACKUP_ACCESS_KEY", "a")], "BACKUP_SECRET_KEY must be set"),
            (vec![s3, bucket, ("BACKUP_ENDPOINT", "minio")], "BACKUP_ENDPOINT must be a URL"),
            (vec![("BACKUP_PARALLEL_JOBS", "0")], "BACKUP_PARALLEL_JOBS must be 1 to 64"),
            (vec![("BACKUP_TIMEOUT", "90000")], "BACKUP_TIMEOUT must be 82800"),
            (vec![("BACKUP_KEEP_DAILY", "-1")], "BACKUP_KEEP_DAILY must be a whole number"),
        ] {
            let problems = read(&values).unwrap_err();
            assert!(problems.contains(expected), "{values:?}: {problems}");
        }
    }

    #[test]
    fn no_key_is_shown() {
        let settings = read(&[
            ("BACKUP_PROVIDER", "s3"),
            ("BACKUP_DESTINATION", "b"),
            ("BACKUP_ACCESS_KEY", "hunter2"),
            ("BACKUP_SECRET_KEY", "hunter2"),
            ("BACKUP_TOKEN", "hunter2"),
            ("BACKUP_SIGNING_KEY", "hunter2"),
        ]);
        assert!(!format!("{:?}", settings.unwrap()).contains("hunter2"));
    }
}

//! The variables, and what is said of them in `env.example`.

use crate::Variable;

pub(super) const BACKUP_PROVIDER: Variable = Variable {
    name: "BACKUP_PROVIDER",
    aliases: &[],
    default: Some("local"),
    secret: false,
    help: "Who keeps backups: local (a directory), s3 (or what speaks its protocol), gcs or azure.",
};
pub(super) const BACKUP_DESTINATION: Variable = Variable {
    name: "BACKUP_DESTINATION",
    aliases: &[],
    default: Some("/backups"),
    secret: false,
    help: "Where they are kept: a directory, or the name of a bucket or container, with /prefix if there is more in it. In brownie-standalone `backups` in its data directory unless set.",
};
pub(super) const BACKUP_ACCESS_KEY: Variable = Variable {
    name: "BACKUP_ACCESS_KEY",
    aliases: &[],
    default: None,
    secret: true,
    help: "The access key id for s3, the account for azure. Unless set, what the machine is: a role of the instance or pod, as the providers' own tools find it.",
};
pub(super) const BACKUP_SECRET_KEY: Variable = Variable {
    name: "BACKUP_SECRET_KEY",
    aliases: &[],
    default: None,
    secret: true,
    help: "The secret access key for s3, the account's key for azure.",
};
pub(super) const BACKUP_TOKEN: Variable = Variable {
    name: "BACKUP_TOKEN",
    aliases: &[],
    default: None,
    secret: true,
    help: "For gcs the key of a service account, the whole JSON; for s3 a session token, where the keys are temporary.",
};
pub(super) const BACKUP_REGION: Variable = Variable {
    name: "BACKUP_REGION",
    aliases: &[],
    default: Some("us-east-1"),
    secret: false,
    help: "The region of an s3 bucket.",
};
pub(super) const BACKUP_ENDPOINT: Variable = Variable {
    name: "BACKUP_ENDPOINT",
    aliases: &[],
    default: None,
    secret: false,
    help: "A server that speaks the provider's protocol, instead of the provider's own: https://minio.example.com. With http:// nothing is encrypted on the way.",
};
pub(super) const BACKUP_CA_FILE: Variable = Variable {
    name: "BACKUP_CA_FILE",
    aliases: &[],
    default: None,
    secret: false,
    help: "The certificates, in PEM, that alone vouch for that server; the system's unless set.",
};
pub(super) const BACKUP_AGE_RECIPIENTS: Variable = Variable {
    name: "BACKUP_AGE_RECIPIENTS",
    aliases: &[],
    default: None,
    secret: false,
    help: "Public keys of age (age1...), separated by commas or blanks: backups are encrypted so that each of them opens them. `age-keygen` makes a pair; keep the private half elsewhere.",
};
pub(super) const BACKUP_AGE_IDENTITY_FILE: Variable = Variable {
    name: "BACKUP_AGE_IDENTITY_FILE",
    aliases: &[],
    default: None,
    secret: false,
    help: "The file of private keys of age (AGE-SECRET-KEY-1...) that open backups, to verify and to restore them.",
};
pub(super) const BACKUP_ALLOW_UNENCRYPTED: Variable = Variable {
    name: "BACKUP_ALLOW_UNENCRYPTED",
    aliases: &[],
    default: Some("false"),
    secret: false,
    help: "Let unencrypted backups leave this machine. In a directory they may be unencrypted, with a warning.",
};
pub(super) const BACKUP_SIGNING_KEY: Variable = Variable {
    name: "BACKUP_SIGNING_KEY",
    aliases: &[],
    default: None,
    secret: true,
    help: "Signs manifests (HMAC-SHA-256): 32 characters or more. Where it is set, only backups that were signed with it are trusted, whoever can write to the store.",
};
pub(super) const BACKUP_PARALLEL_JOBS: Variable = Variable {
    name: "BACKUP_PARALLEL_JOBS",
    aliases: &[],
    default: Some("2"),
    secret: false,
    help: "How many tables are copied at once, each over a connection of its own and with about 40 MiB of memory.",
};
pub(super) const BACKUP_TIMEOUT: Variable = Variable {
    name: "BACKUP_TIMEOUT",
    aliases: &["BACKUP_BACKUP_TIMEOUT"],
    default: Some("3600"),
    secret: false,
    help: "Seconds after which a backup is given up. Less than a day: what is older and belongs to no backup is removed.",
};
pub(super) const BACKUP_VERIFY: Variable = Variable {
    name: "BACKUP_VERIFY",
    aliases: &["BACKUP_VERIFY_BACKUP"],
    default: Some("true"),
    secret: false,
    help: "Whether a backup is read again from end to end when it was made. Needs BACKUP_AGE_IDENTITY_FILE where it is encrypted.",
};
pub(super) const BACKUP_SCHEDULE: Variable = Variable {
    name: "BACKUP_SCHEDULE",
    aliases: &[],
    default: Some("0 2 * * *"),
    secret: false,
    help: "When `brownie-backup schedule` and brownie-standalone make backups: minute, hour, day of the month, month, day of the week; or a name such as @daily; off for never. One that was missed is made up for.",
};
pub(super) const BACKUP_TIMEZONE: Variable = Variable {
    name: "BACKUP_TIMEZONE",
    aliases: &[],
    default: Some("UTC"),
    secret: false,
    help: "The time zone of BACKUP_SCHEDULE: Europe/Berlin.",
};
pub(super) const BACKUP_RESTORE_URL: Variable = Variable {
    name: "BACKUP_RESTORE_URL",
    aliases: &[],
    default: None,
    secret: true,
    help: "For `brownie-backup schedule`: the database as one URL, as a role that may make databases and for which `brownie-migrator up` works. Operators can restore then; as DATABASE_URL unless set, whose role brownie-backup may not.",
};
pub(super) const BACKUP_RETENTION_DAYS: Variable = Variable {
    name: "BACKUP_RETENTION_DAYS",
    aliases: &[],
    default: Some("30"),
    secret: false,
    help: "Days that every backup is kept. The newest that was verified is always kept.",
};
pub(super) const BACKUP_KEEP_LAST: Variable = Variable {
    name: "BACKUP_KEEP_LAST",
    aliases: &[],
    default: Some("3"),
    secret: false,
    help: "How many of the newest are kept, however old.",
};
pub(super) const BACKUP_KEEP_DAILY: Variable = Variable {
    name: "BACKUP_KEEP_DAILY",
    aliases: &[],
    default: Some("0"),
    secret: false,
    help: "For how many days (UTC) that have a backup the last one of the day is kept.",
};
pub(super) const BACKUP_KEEP_WEEKLY: Variable = Variable {
    name: "BACKUP_KEEP_WEEKLY",
    aliases: &[],
    default: Some("0"),
    secret: false,
    help: "For how many weeks (ISO 8601) that have a backup the last one of the week is kept.",
};
pub(super) const BACKUP_KEEP_MONTHLY: Variable = Variable {
    name: "BACKUP_KEEP_MONTHLY",
    aliases: &[],
    default: Some("0"),
    secret: false,
    help: "For how many months that have a backup the last one of the month is kept.",
};

pub(crate) static VARIABLES: &[Variable] = &[
    BACKUP_PROVIDER,
    BACKUP_DESTINATION,
    BACKUP_ACCESS_KEY,
    BACKUP_SECRET_KEY,
    BACKUP_TOKEN,
    BACKUP_REGION,
    BACKUP_ENDPOINT,
    BACKUP_CA_FILE,
    BACKUP_AGE_RECIPIENTS,
    BACKUP_AGE_IDENTITY_FILE,
    BACKUP_ALLOW_UNENCRYPTED,
    BACKUP_SIGNING_KEY,
    BACKUP_PARALLEL_JOBS,
    BACKUP_TIMEOUT,
    BACKUP_VERIFY,
    BACKUP_SCHEDULE,
    BACKUP_TIMEZONE,
    BACKUP_RESTORE_URL,
    BACKUP_RETENTION_DAYS,
    BACKUP_KEEP_LAST,
    BACKUP_KEEP_DAILY,
    BACKUP_KEEP_WEEKLY,
    BACKUP_KEEP_MONTHLY,
];

//! Long work on the whole database: what operators ask for, what becomes of it, and what is known of
//! backups. The server writes and reads these words, the backup worker does what they say.

mod proof;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Invalid, Timestamp, kinds::kinds};
pub use proof::{AskedOperation, OperationsKey};

kinds! {
    /// What an operation does.
    OperationKind("kind") {
        /// Make a backup.
        Create = "backup.create",
        /// Make a database of a backup.
        Restore = "backup.restore",
        /// Remove a backup.
        Delete = "backup.delete",
        /// Remove the backups that nobody wants to keep.
        Cleanup = "backup.cleanup",
        /// Read every byte of a backup.
        Verify = "backup.verify",
        /// Restore a backup on trial.
        Drill = "backup.drill",
    }

    /// How far an operation is.
    OperationState("state") {
        /// Nobody has begun.
        Queued = "queued",
        /// A worker is at it.
        Running = "running",
        /// It is done.
        Succeeded = "succeeded",
        /// It could not be done; `error` says why.
        Failed = "failed",
        /// It was called off, before it began or half-way; nothing came of it.
        Cancelled = "cancelled",
    }
}

impl OperationKind {
    /// Tells whether the worker does it only with a proof that an operator asked. The others it does by itself, too,
    /// or they leave everything as it was: backups that a clean-up removes are those that the retention does not keep.
    pub const fn needs_proof(self) -> bool {
        matches!(self, Self::Restore | Self::Delete)
    }

    /// Returns what metrics and sentences call it.
    pub const fn verb(self) -> &'static str {
        match self {
            Self::Create => "backup",
            Self::Restore => "restore",
            Self::Delete => "delete",
            Self::Cleanup => "cleanup",
            Self::Verify => "verify",
            Self::Drill => "drill",
        }
    }
}

impl OperationState {
    /// Tells whether it stays so.
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }
}

/// What is asked for, besides its kind. What a kind has no use for is not set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OperationRequest {
    /// Which backup; of one to be made its name, and of a drill the newest unless said.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 100), example = &"backup-20261121-020000")]
    pub backup_name: Option<String>,
    /// Whether one that is made is read again; as the worker's settings say unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verify: Option<bool>,
    /// The database to restore into; a new one unless said.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub target_database: Option<String>,
    /// Whether one of that name, which is not empty, is replaced. It is renamed, not dropped.
    #[serde(skip_serializing_if = "is_false")]
    pub force: bool,
    /// The name of the database that is replaced, once more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confirm: Option<String>,
    /// Whether what was restored is migrated to the worker's schema.
    #[serde(skip_serializing_if = "is_false")]
    pub to_head: bool,
    /// Whether only to say what would be removed.
    #[serde(skip_serializing_if = "is_false")]
    pub dry_run: bool,
}

impl OperationRequest {
    /// Judges whether it can be asked of a kind: what that needs is there, and nothing besides.
    ///
    /// # Errors
    /// Names the field, and says what is wrong with it.
    pub fn judge(&self, kind: OperationKind) -> Result<(), Invalid> {
        use OperationKind as K;
        let refuse = |what, reason: &str| Err(Invalid::new(what, reason));
        let no_use = |what| Err(Invalid::new(what, format!("is of no use to {kind}")));
        match &self.backup_name {
            Some(_) if kind == K::Cleanup => return no_use("backup_name"),
            Some(name) if !is_backup_name(name) => {
                return refuse(
                    "backup_name",
                    "must be 1 to 100 letters, digits, '-', '_' and '.', beginning with a letter or digit, without '..'",
                );
            }
            None if matches!(kind, K::Restore | K::Delete | K::Verify) => {
                return refuse("backup_name", "must say which backup");
            }
            _ => {}
        }
        if self.verify.is_some() && kind != K::Create {
            return no_use("verify");
        }
        if self.dry_run && kind != K::Cleanup {
            return no_use("dry_run");
        }
        if kind != K::Restore {
            return match (&self.target_database, self.force, &self.confirm, self.to_head) {
                (Some(_), ..) => no_use("target_database"),
                (_, true, ..) => no_use("force"),
                (_, _, Some(_), _) => no_use("confirm"),
                (.., true) => no_use("to_head"),
                _ => Ok(()),
            };
        }
        match (&self.target_database, self.force, &self.confirm) {
            (None, true, _) => refuse("target_database", "must say which database is replaced"),
            (Some(target), true, Some(typed)) if typed == target => Ok(()),
            (_, true, _) => refuse("confirm", "must be the name of the database that is replaced"),
            (_, false, Some(_)) => refuse("confirm", "is of no use without force"),
            (Some(target), ..) if target.is_empty() || target.len() > 63 => {
                refuse("target_database", "must have 1 to 63 bytes")
            }
            _ => Ok(()),
        }
    }
}

/// As the directory of a backup is called: nothing that leads out of it.
fn is_backup_name(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (1..=100).contains(&name.len())
        && name.chars().all(is_plain)
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && !name.contains("..")
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde calls")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

/// A backup, as whoever keeps them tells of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BackupEntry {
    /// Its name.
    #[schemars(example = &"backup-20261121-020000")]
    pub backup_name: String,
    /// Of which moment it is; unknown when its manifest cannot be read.
    pub created: Option<Timestamp>,
    /// When it was whole.
    pub finished: Option<Timestamp>,
    /// Bytes before compression.
    pub size: u64,
    /// Bytes as they are kept.
    pub stored_size: u64,
    /// `completed`, or `unreadable`.
    #[schemars(example = &"completed")]
    pub status: String,
    /// Why it cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// When it was last read from end to end, and found good.
    pub verified_at: Option<Timestamp>,
    /// Where it is, below the destination.
    pub path: String,
}

/// What is kept where.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BackupStore {
    /// Who keeps backups: `local`, `s3`, `gcs` or `azure`.
    #[schemars(example = &"s3")]
    pub provider: String,
    /// The directory, or the bucket and what its keys begin with.
    #[schemars(example = &"bucket/prefix")]
    pub destination: String,
    /// Whether new ones are encrypted.
    pub encryption: bool,
    /// Whether they are compressed, which they are.
    pub compression: bool,
    /// Days that every backup is kept.
    pub retention_days: u32,
    /// How many there are.
    pub total_backups: u64,
    /// Bytes as they are kept, of all.
    pub total_size: u64,
    /// Them, the newest first; the newest thousand if there are more.
    pub backups: Vec<BackupEntry>,
}

impl BackupStore {
    /// Returns the newest that is whole.
    pub fn newest(&self) -> Option<&BackupEntry> {
        self.backups.iter().find(|backup| backup.created.is_some())
    }

    /// Returns when a backup was last found good.
    pub fn last_verified(&self) -> Option<Timestamp> {
        self.backups.iter().filter_map(|backup| backup.verified_at).max()
    }
}

/// When backups are made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BackupTimes {
    /// As cron has it.
    #[schemars(example = &"0 2 * * *")]
    pub schedule: String,
    /// In which time zone.
    #[schemars(example = &"Europe/Berlin")]
    pub timezone: String,
    /// When the next one is made; never, when no date fits the schedule any more.
    pub next_backup: Option<Timestamp>,
}

/// How many runs of which kind came to which end: `{"backup": {"succeeded": 3}}`.
pub type BackupRuns = BTreeMap<String, BTreeMap<String, u64>>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_takes_what_it_needs_and_no_more() {
        use OperationKind as K;
        let judge = |kind: OperationKind, json: serde_json::Value| {
            let request: OperationRequest = serde_json::from_value(json).unwrap();
            request.judge(kind).map_err(|invalid| invalid.what)
        };
        let json = |text: &str| serde_json::from_str(text).unwrap();
        for (kind, request) in [
            (K::Create, "{}"),
            (K::Create, r#"{"backup_name": "before-1.2", "verify": false}"#),
            (K::Restore, r#"{"backup_name": "b"}"#),
            (K::Restore, r#"{"backup_name": "b", "target_database": "x", "to_head": true}"#),
            (
                K::Restore,
                r#"{"backup_name": "b", "target_database": "x", "force": true, "confirm": "x"}"#,
            ),
            (K::Cleanup, r#"{"dry_run": true}"#),
            (K::Drill, "{}"),
            (K::Delete, r#"{"backup_name": "b"}"#),
        ] {
            assert_eq!(judge(kind, json(request)), Ok(()), "{kind} {request}");
        }
        for (kind, request, field) in [
            (K::Restore, "{}", "backup_name"),
            (K::Delete, r#"{"backup_name": "../x"}"#, "backup_name"),
            (K::Cleanup, r#"{"backup_name": "b"}"#, "backup_name"),
            (K::Restore, r#"{"backup_name": "b", "force": true}"#, "target_database"),
            (
                K::Restore,
                r#"{"backup_name": "b", "target_database": "x", "force": true}"#,
                "confirm",
            ),
            (
                K::Restore,
                r#"{"backup_name": "b", "target_database": "x", "force": true, "confirm": "X"}"#,
                "confirm",
            ),
            (
                K::Restore,
                r#"{"backup_name": "b", "target_database": "x", "confirm": "x"}"#,
                "confirm",
            ),
            (K::Create, r#"{"force": true}"#, "force"),
            (K::Verify, r#"{"backup_name": "b", "dry_run": true}"#, "dry_run"),
        ] {
            assert_eq!(judge(kind, json(request)), Err(field), "{kind} {request}");
        }
    }

    #[test]
    fn a_request_says_only_what_was_asked_for() {
        let request = OperationRequest { dry_run: true, ..OperationRequest::default() };
        assert_eq!(serde_json::to_string(&request).unwrap(), r#"{"dry_run":true}"#);
        let read: OperationRequest = serde_json::from_str("{}").unwrap();
        assert_eq!(read, OperationRequest::default());
        assert!(serde_json::from_str::<OperationRequest>(r#"{"dry": true}"#).is_err());
    }
}

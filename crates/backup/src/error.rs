//! Why a backup could not be made, kept or restored.

use std::{error::Error as StdError, time::Duration};

/// The outcome of what this crate does.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why something failed. Whatever it was: nothing was published, and no database but a scratch one
/// was changed, unless it says that nobody knows.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A name that a backup cannot have.
    #[error(
        "{name:?} cannot be the name of a backup: use 1 to 100 letters, digits, '-', '_' and '.', beginning with a letter or digit, without '..'"
    )]
    Name {
        /// What was given, cut to what can be shown.
        name: String,
    },
    /// Settings that do not go together.
    #[error("{0}")]
    Settings(String),
    /// No connection.
    #[error("the database server does not answer; is it there, and are host and port right?")]
    Unreachable(#[source] tokio_postgres::Error),
    /// The server answers, and does not let us in.
    #[error(
        "the database server refuses; are role, password, certificate and the database's name right?"
    )]
    Refused(#[source] tokio_postgres::Error),
    /// The one connection that there is was not given up.
    #[error("the service did not give up its connection; is it busy?")]
    Occupant(#[source] Box<dyn StdError + Send + Sync>),
    /// A statement failed, or the connection broke.
    #[error("the database failed while {doing}")]
    Database {
        /// At what.
        doing: String,
        /// What it said.
        #[source]
        source: tokio_postgres::Error,
    },
    /// Two connections share a server process.
    #[error(
        "there is a pooler between us and the database, which would share a snapshot and a lock with others; connect to the server itself"
    )]
    Pooler,
    /// The server is a replica.
    #[error(
        "the database server is a standby: it cannot say whether another backup is at work; connect to the primary"
    )]
    Standby,
    /// Somebody else holds the lock.
    #[error("another {what} is at work on this database; wait for it")]
    Busy {
        /// What kind of work.
        what: &'static str,
    },
    /// The session that holds the lock is gone, so another may have begun.
    #[error("the lock was lost, as its connection broke; nothing was published; run it again")]
    LockLost(#[source] tokio_postgres::Error),
    /// Nothing proves that an operator asked for what takes something away.
    #[error(
        "nothing proves that an operator asked for {kind} within the last day: METADATA_OPERATIONS_KEY must be the same for the server and for this worker; ask again when it is. If nobody asked, somebody else has the server's password of the database"
    )]
    Unproven {
        /// What was asked for.
        kind: brownie_domain::OperationKind,
    },
    /// A backup that must stay.
    #[error(
        "{name} is the only backup that was read again and found good; make another and verify it, then remove this one"
    )]
    LastVerified {
        /// Which backup.
        name: String,
    },
    /// A table could not be locked against changes of the schema.
    #[error(
        "the schema is being changed, so the tables could not be locked in time; wait for the migrator, and run it again"
    )]
    Changing,
    /// Row-level security would leave out rows.
    #[error(
        "row-level security would hide rows of {table} from the role {role}; log in as brownie-backup, or as a role with BYPASSRLS"
    )]
    Filtered {
        /// Which table.
        table: String,
        /// Who we are.
        role: String,
    },
    /// What came out of a table is not what is in it.
    #[error("{table} has {counted} rows, and {copied} of them came out; run it again")]
    Incomplete {
        /// Which table.
        table: String,
        /// Rows by `count(*)` in the same snapshot.
        counted: u64,
        /// Rows that were copied.
        copied: u64,
    },
    /// The schema has no table of ours.
    #[error("the database {database} has not been migrated, so there is nothing to back up")]
    Empty {
        /// Which database.
        database: String,
    },
    /// The store failed for good, after all tries.
    #[error("the store failed while {doing} {object}")]
    Store {
        /// At what.
        doing: &'static str,
        /// Which object, or the prefix of several.
        object: String,
        /// What it said.
        #[source]
        source: object_store::Error,
    },
    /// The store does not know us, or does not let us do it.
    #[error(
        "the store refuses {doing} {object}; are BACKUP_ACCESS_KEY, BACKUP_SECRET_KEY or BACKUP_TOKEN right, not expired, and allowed that?"
    )]
    Denied {
        /// At what.
        doing: &'static str,
        /// Which object, or the prefix of several.
        object: String,
        /// What it said.
        #[source]
        source: object_store::Error,
    },
    /// The bucket, container or directory is not there.
    #[error("{destination} is not there; make it, or correct BACKUP_DESTINATION")]
    NoDestination {
        /// Where backups were to go.
        destination: String,
        /// What the store said.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    /// No room.
    #[error("there is no room left for {object}; make some, or keep fewer backups")]
    Full {
        /// Which object.
        object: String,
        /// What the store said.
        #[source]
        source: object_store::Error,
    },
    /// A backup goes out of the house unencrypted.
    #[error(
        "backups to {provider} must be encrypted: set BACKUP_AGE_RECIPIENTS, or BACKUP_ALLOW_UNENCRYPTED=true if you know better"
    )]
    Unencrypted {
        /// Where to.
        provider: &'static str,
    },
    /// There is one of that name.
    #[error("there is a backup {name} already; choose another name, or delete it")]
    Exists {
        /// Its name.
        name: String,
    },
    /// There is none of that name.
    #[error("there is no backup {name}; `brownie-backup list` tells which there are")]
    NotFound {
        /// What was asked for.
        name: String,
    },
    /// An object of a backup is gone.
    #[error("{object} is missing, so this backup cannot be restored; use another")]
    Missing {
        /// Which object.
        object: String,
    },
    /// An object of a backup is not what was written.
    #[error("{object} is damaged: {what}; this backup cannot be trusted, use another")]
    Damaged {
        /// Which object.
        object: String,
        /// What is wrong with it.
        what: String,
    },
    /// A manifest that does not bear our signature.
    #[error(
        "{object} {what}; with BACKUP_SIGNING_KEY set, only what was signed with it is trusted"
    )]
    Forged {
        /// Which object.
        object: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A backup of a newer release.
    #[error("{name} was made by a newer release ({what}); restore it with that")]
    TooNew {
        /// Which backup.
        name: String,
        /// What this one does not know.
        what: String,
    },
    /// One was made, and then not found good.
    #[error("{name} was made, and could not be read again")]
    Unverified {
        /// Its name.
        name: String,
        /// Why not.
        #[source]
        source: Box<Error>,
    },
    /// None of our identities opens it.
    #[error(
        "none of the given identities opens {object}; it was encrypted to {}; give the identity of one of these in BACKUP_AGE_IDENTITY_FILE",
        recipients.join(", ")
    )]
    WrongKey {
        /// What is to be opened.
        object: String,
        /// Whom the backup was encrypted to when it was made.
        recipients: Vec<String>,
    },
    /// A database that is not to be overwritten.
    #[error(
        "the database {target} is there and not empty; restore into another, or confirm that it is to be replaced by typing its name"
    )]
    Occupied {
        /// Its name.
        target: String,
    },
    /// The target cannot be taken.
    #[error("{target:?} cannot be restored into: {why}")]
    Target {
        /// Its name.
        target: String,
        /// Why not.
        why: String,
    },
    /// The schema of the scratch database is not the backup's.
    #[error("the schema that the migrations made is not the backup's: {what}")]
    Schema {
        /// How it differs.
        what: String,
    },
    /// What was restored is not what was backed up.
    #[error(
        "{table} was restored, and is not what was backed up: {what}; the scratch database was dropped"
    )]
    Differs {
        /// Which table, sequence or constraint.
        table: String,
        /// How it differs.
        what: String,
    },
    /// The migrations failed.
    #[error("the schema could not be made")]
    Migration(#[source] Box<dyn StdError + Send + Sync>),
    /// One organization could not be brought back, exported or imported.
    #[error(transparent)]
    Organization(#[from] crate::organization::Problem),
    /// Our clock and another's disagree, so that nobody can say what is old.
    #[error(
        "the clock of this machine is wrong, or was: it shows {now}, and {what} {other}; nothing was made or removed; set the clock, or delete that backup"
    )]
    Clock {
        /// What it shows.
        now: String,
        /// Whose time is the other, in words.
        what: &'static str,
        /// The other.
        other: String,
    },
    /// It took too long.
    #[error("it was not done after {} s and was given up; set BACKUP_TIMEOUT higher, or look for what is slow", after.as_secs())]
    TimedOut {
        /// The time that was given.
        after: Duration,
    },
    /// Somebody called it off.
    #[error("it was called off; nothing was published")]
    Cancelled,
}

impl Error {
    /// Returns what it is in one word, for programs to match on.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Name { .. } => "name",
            Self::Settings(_) => "settings",
            Self::Unreachable(_) => "unreachable",
            Self::Refused(_) => "refused",
            Self::Occupant(_) => "occupant",
            Self::Database { .. } => "database",
            Self::Pooler => "pooler",
            Self::Standby => "standby",
            Self::Busy { .. } => "busy",
            Self::LockLost(_) => "lock_lost",
            Self::Unproven { .. } => "unproven",
            Self::LastVerified { .. } => "last_verified",
            Self::Changing => "changing",
            Self::Filtered { .. } => "filtered",
            Self::Incomplete { .. } => "incomplete",
            Self::Empty { .. } => "empty",
            Self::Store { .. } => "store",
            Self::Denied { .. } => "denied",
            Self::NoDestination { .. } => "no_destination",
            Self::Full { .. } => "full",
            Self::Unencrypted { .. } => "unencrypted",
            Self::Exists { .. } => "exists",
            Self::NotFound { .. } => "not_found",
            Self::Missing { .. } => "missing",
            Self::Damaged { .. } => "damaged",
            Self::Forged { .. } => "forged",
            Self::TooNew { .. } => "too_new",
            Self::Unverified { .. } => "unverified",
            Self::WrongKey { .. } => "wrong_key",
            Self::Occupied { .. } => "occupied",
            Self::Target { .. } => "target",
            Self::Schema { .. } => "schema",
            Self::Differs { .. } => "differs",
            Self::Migration(_) => "migration",
            Self::Clock { .. } => "clock",
            Self::TimedOut { .. } => "timed_out",
            Self::Cancelled => "cancelled",
            Self::Organization(_) => "organization",
        }
    }

    /// Returns an error of the database for what was being done.
    pub(crate) fn database(doing: impl Into<String>) -> impl FnOnce(tokio_postgres::Error) -> Self {
        move |source| Self::Database { doing: doing.into(), source }
    }

    /// Sorts an error of the store by what somebody must do about it.
    pub(crate) fn store(doing: &'static str, object: &str, source: object_store::Error) -> Self {
        use object_store::Error as S;
        let object = object.to_owned();
        if has_no_room(&source) {
            return Self::Full { object, source };
        }
        match source {
            S::PermissionDenied { .. } | S::Unauthenticated { .. } => {
                Self::Denied { doing, object, source }
            }
            S::Generic { .. } if mentions(&source, DENIED) => {
                Self::Denied { doing, object, source }
            }
            source => Self::Store { doing, object, source },
        }
    }
}

/// How an error that has no kind of its own says that we are not let in: those of listing, and of
/// credentials that expired, of which some stores say 400.
const DENIED: &[&str] =
    &["status code: 401", "status code: 403", "ExpiredToken", "InvalidToken", "InvalidAccessKeyId"];

/// Tells whether there is no such bucket, container or object, as far as an error says.
pub(crate) fn is_missing(error: &object_store::Error) -> bool {
    matches!(error, object_store::Error::NotFound { .. })
        || mentions(error, &["status code: 404", "NoSuchBucket", "no bucket named"])
}

/// Tells whether a store is there, and says that it cannot answer for now.
pub(crate) fn is_unwell(error: &object_store::Error) -> bool {
    mentions(error, &["status code: 429", "status code: 5"])
}

/// Tells whether a disk is full, or a quota used up.
fn has_no_room(error: &object_store::Error) -> bool {
    let mut source: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<std::io::Error>()
            && matches!(
                error.kind(),
                std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded
            )
        {
            return true;
        }
        source = error.source();
    }
    false
}

fn mentions(error: &object_store::Error, words: &[&str]) -> bool {
    let mut text = String::new();
    let mut source: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = source {
        text.push_str(&error.to_string());
        source = error.source();
    }
    words.iter().any(|word| text.contains(word))
}

//! Why one organization could not be brought back, exported or imported.

use std::io;

use uuid::Uuid;

/// Why not. Whatever it was, nothing of the database was changed, unless it says so.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// What was given is neither an id nor a slug.
    #[error(
        "{0:?} is neither the id of an organization, a UUID, nor a slug: small letters, digits and '-'"
    )]
    Name(String),
    /// There is none.
    #[error("there is no organization {organization} in {place}")]
    Unknown {
        /// What was asked for.
        organization: String,
        /// Where it was looked for.
        place: String,
    },
    /// Several had that slug, and all of them are deleted.
    #[error(
        "{organization} is the slug of several deleted organizations in {place}; name the one by its id: {}",
        ids.iter().map(Uuid::to_string).collect::<Vec<_>>().join(", ")
    )]
    Ambiguous {
        /// What was asked for.
        organization: String,
        /// Where.
        place: String,
        /// Which there are.
        ids: Vec<Uuid>,
    },
    /// Another organization is called that.
    #[error(
        "the slug {slug} is that of the organization {by} now; choose another by --into, or rename that one first"
    )]
    SlugTaken {
        /// Which slug.
        slug: String,
        /// Whose it is.
        by: Uuid,
    },
    /// An archive's organization is there.
    #[error(
        "the organization {0} is in this database already; import it beside that one, by --into NEW_SLUG"
    )]
    Exists(Uuid),
    /// It was not confirmed.
    #[error(
        "the organization {0} is overwritten only when that was confirmed by typing exactly what it was named by"
    )]
    Unconfirmed(String),
    /// The database has another schema than this program.
    #[error(
        "the database {database} {what}; bring it to this program's schema first, by `brownie-migrator up` of the same release"
    )]
    NotAtHead {
        /// Which database.
        database: String,
        /// How it differs.
        what: String,
    },
    /// The role could write, and nobody would notice.
    #[error(
        "readers of events would not wait for those of {role}, which may not write any; grant it brownie-migrator WITH INHERIT TRUE"
    )]
    Role {
        /// Who we are.
        role: String,
    },
    /// Others kept on writing.
    #[error(
        "the organization {0} could not be had alone: its writers came in between each time; make it inactive, or try again when it is quiet"
    )]
    Contended(Uuid),
    /// The connection broke while it was committed.
    #[error(
        "the connection broke at the very end: nobody knows whether it was done or not; look by --dry-run, which says that nothing would change if it was"
    )]
    InDoubt(#[source] tokio_postgres::Error),
    /// An archive that is not what was written.
    #[error("{file} cannot be imported: {what}")]
    Archive {
        /// Which file.
        file: String,
        /// What is wrong with it.
        what: String,
    },
    /// An archive that none of our keys opens.
    #[error(
        "none of the given identities opens {file}; name one that does in BACKUP_AGE_IDENTITY_FILE"
    )]
    WrongKey {
        /// Which file.
        file: String,
    },
    /// A file could not be read or written.
    #[error("{file} cannot be {doing}")]
    File {
        /// Which.
        file: String,
        /// `read` or `written`.
        doing: &'static str,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

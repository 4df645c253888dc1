//! Why a database could not be adopted.

use sea_orm::DbErr;

/// Why a database could not be adopted or looked at.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Not reached, not let in, or our migrations failed.
    #[error(transparent)]
    Migration(#[from] brownie_migration::Error),
    /// It is no database of Brownie 0.1 as we know it. Nothing was changed.
    #[error("this is no database of Brownie 0.1 that can be adopted: {}", differences.join("; "))]
    NotTheOriginal {
        /// What is not as it should be, in words.
        differences: Vec<String>,
    },
    /// There is nothing to finish yet.
    #[error("the adoption has not come to its end; run `adopt --apply` again first")]
    Unfinished,
    /// Another adoption is at work.
    #[error("another `adopt` is at work on this database; wait for it")]
    Busy,
    /// The original's service holds its tables.
    #[error(
        "somebody reads or writes the original's tables; stop its service and run this again; nothing was changed"
    )]
    InUse(#[source] DbErr),
    /// What was copied is not what was there.
    #[error(
        "the table {table} differs from the original's: {there} rows there, {here} here, hashes {}; nobody may write to ours before the adoption is done. The original's rows are untouched in brownie_original",
        if *hashes_agree { "equal" } else { "different" }
    )]
    Differs {
        /// Which table.
        table: &'static str,
        /// Rows of the original.
        there: i64,
        /// Rows of ours.
        here: i64,
        /// Whether what is in the rows agrees.
        hashes_agree: bool,
    },
    /// A step failed and was rolled back. Run it again: it goes on from there.
    #[error(
        "the step {step:?} of the adoption failed and was rolled back; run it again to go on from there"
    )]
    Step {
        /// Which step.
        step: &'static str,
        /// What the database said.
        #[source]
        source: DbErr,
    },
    /// Something else went wrong on the way.
    #[error("the database refused a question about the original's tables")]
    Database(#[from] DbErr),
}

//! What is told while it goes on, for bars and log lines.

use std::sync::Arc;

/// What a run is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stage {
    /// Taking the lock and the snapshot, reading what there is.
    Prepare,
    /// Copying the tables out.
    Copy,
    /// Publishing the manifest.
    Publish,
    /// Reading what was stored.
    Verify,
    /// Making the schema.
    Schema,
    /// Copying the tables in.
    Load,
    /// Making indexes and references, comparing what came in.
    Compare,
    /// Giving the database its name.
    Swap,
}

impl Stage {
    /// Returns its name, as in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Prepare => "prepare",
            Self::Copy => "copy",
            Self::Publish => "publish",
            Self::Verify => "verify",
            Self::Schema => "schema",
            Self::Load => "load",
            Self::Compare => "compare",
            Self::Swap => "swap",
        }
    }
}

/// One thing to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress<'a> {
    /// A stage begins. `expected` is the number of bytes of plain text to come: an estimate of the
    /// planner for [`Stage::Copy`], exact for the others that have one, otherwise 0.
    Begins {
        /// Which.
        stage: Stage,
        /// Bytes to come.
        expected: u64,
    },
    /// So much more was done; several tables are at work at once.
    Moved {
        /// Which table.
        table: &'a str,
        /// Rows.
        rows: u64,
        /// Bytes, uncompressed.
        plain: u64,
    },
    /// A table is done.
    Done {
        /// Which.
        table: &'a str,
        /// All its rows.
        rows: u64,
    },
}

/// Who is told. It is called from several tasks and threads, and should be quick.
pub type Tell = Arc<dyn Fn(Progress<'_>) + Send + Sync>;

/// Returns one who does not listen.
pub fn silent() -> Tell {
    Arc::new(|_| {})
}

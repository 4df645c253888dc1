//! Backups that have proven they restore.
//!
//! A backup is one state of the database ([`create`]): tables copied out under one snapshot by
//! several connections, compressed, encrypted, and uploaded as they come, with a manifest that is
//! written last. [`verify`] reads it from end to end, [`restore`](restore()) makes a database of it,
//! [`drill`](drill()) does that on trial and tells how long it took.
//!
//! | file | what it knows |
//! |---|---|
//! | `plan` | which tables and sequences there are |
//! | `snapshot`, `lock` | one state of the database; one backup at a time |
//! | `dump`, `part`, `digest`, `seal` | how rows become objects, and back |
//! | `store`, `upload`, `provider` | where objects are kept |
//! | `manifest`, `envelope`, `list` | what a backup is made of, and which there are |
//! | `create`, `verify`, `restore`, `drill` | what is done with them |
//! | `retain`, `cleanup` | which may go, and how they go |

mod cleanup;
mod create;
mod digest;
mod drill;
mod dump;
mod envelope;
mod error;
mod fasten;
mod list;
mod load;
mod lock;
mod manifest;
mod name;
mod part;
mod plan;
mod progress;
pub mod provider;
mod restore;
mod retain;
mod scratch;
mod seal;
mod server;
mod snapshot;
mod store;
mod task;
mod upload;
mod verify;

pub use cleanup::{Cleaned, cleanup, delete};
pub use create::{Create, create};
pub use digest::Hash;
pub use drill::{Drilled, drill};
pub use envelope::SigningKey;
pub use error::{Error, Result};
pub use list::{Entry, Verified, find, list};
pub use manifest::{
    AppliedMigration, DatabaseInfo, Encryption, FORMAT, Manifest, Part, Seal, Sequence, TableData,
};
pub use name::BackupName;
pub use plan::{EXCEPTIONS, Plan, Table};
pub use progress::{Progress, Stage, Tell, silent};
pub use restore::{Cluster, Migrate, MigrateByUrl, Restore, Restored, restore};
pub use retain::{Decision, Fate, Known, Policy, plan};
pub use scratch::{Replace, Target};
pub use seal::{Identities, Recipients};
pub use server::{Dial, Server};
pub use store::{Provider, Store};
pub use verify::{Read, verify};

//! Backups that have proven they restore.
//!
//! A backup is one state of the database ([`create()`]): tables copied out under one snapshot by
//! several connections, compressed, encrypted, and uploaded as they come, with a manifest that is
//! written last. [`verify()`] reads it from end to end, [`restore()`] makes a database of it,
//! [`drill()`] does that on trial and tells how long it took.
//!
//! # Where it is kept
//!
//! ```text
//! <prefix>/<name>/manifest.json                              the backup is there when this is
//! <prefix>/<name>/verified.json                              when it was last read, or restored
//! <prefix>/<name>/<run>/key.age                              opens the data; encrypted to the recipients
//! <prefix>/<name>/<run>/<table>-<number>.copy.zst.age        rows, as COPY writes them
//! ```
//!
//! A run that fails removes what it stored; of one that died, [`cleanup()`] does, a day later, and ends
//! the uploads that it had begun, where the store tells of them (S3 and Google's; Azure forgets them
//! after a week by itself).
//!
//! # What it stands against
//!
//! - **Accidents** in the store: every byte is under a SHA-256, and [`verify()`] reads them all.
//! - **Whoever can read the store**: the data is encrypted by age; names, counts and sizes of tables
//!   are not.
//! - **Whoever can write to the store**: with a [`SigningKey`], which they must not have, they can
//!   remove backups and put an older one in a newer one's place, but not make one that is believed.
//!   Without, they can. Encryption does not help there: recipients are public.
//! - **Not** against whoever has the database, the machine that backs up, or a private key.
//!
//! # Who may
//!
//! Backing up takes the role brownie-backup, which only reads, and is let through row-level security by
//! policies: these are looked at each time, and no row is read if any could be hidden. Restoring takes a
//! role that may make databases and with which `brownie-migrator up` works; it need not be a superuser.
//! Roles and passwords belong to the server, and are in no backup. Sessions, refresh tokens and API keys
//! are: what was revoked after the backup was made is valid again in what is restored.
//!
//! | file | what it knows |
//! |---|---|
//! | `plan` | which tables and sequences there are |
//! | `snapshot`, `lock` | one state of the database; one backup at a time |
//! | `dump`, `part`, `digest`, `seal` | how rows become objects, and back |
//! | `store`, `upload`, `provider` | where objects are kept |
//! | `manifest`, `envelope`, `list` | what a backup is made of, and which there are |
//! | `create`, `verify`, `restore`, `drill` | what is done with them |
//! | `examine` | whether a backup could be made |
//! | `organization` | one organization alone: back from a backup, out, and in |
//! | `rekey` | who can open one |
//! | `retain`, `cleanup` | which may go, and how they go |
//! | `worker` | when they are made, and what operators ask for |

mod cleanup;
mod create;
mod digest;
mod drill;
mod dump;
mod envelope;
mod error;
mod examine;
mod fasten;
mod list;
mod load;
mod lock;
mod manifest;
mod name;
mod organization;
mod part;
mod plan;
mod progress;
pub mod provider;
mod rekey;
mod restore;
mod retain;
mod scratch;
mod seal;
mod server;
mod single;
mod snapshot;
mod store;
mod task;
mod upload;
mod verify;
mod worker;

pub use cleanup::{Cleaned, cleanup, cleanup_older_than, delete};
pub use create::{Create, create};
pub use digest::Hash;
pub use drill::{Drilled, drill};
pub use envelope::SigningKey;
pub use error::{Error, Result};
pub use examine::{may_back_up, try_store};
pub use list::{Entry, Verified, find, list};
pub use manifest::{
    AppliedMigration, DatabaseInfo, Encryption, FORMAT, Manifest, Part, Seal, Sequence, TableData,
};
pub use name::BackupName;
pub use organization::{
    ARCHIVE_FORMAT, Destination, ExportOrganization, Exported, GROWING, ImportOrganization, Named,
    OrganizationRestored, Output, Overwrite, Problem, RULES, RestoreOrganization, Rule, SECRETS,
    TableChanges, export_organization, import_organization, restore_organization, rule,
};
pub use plan::{EXCEPTIONS, Plan, Table};
pub use progress::{Progress, Stage, Tell, silent};
pub use rekey::rekey;
pub use restore::{Cluster, Migrate, MigrateByUrl, Restore, Restored, restore, restore_here};
pub use retain::{Decision, Fate, Known, Policy, plan};
pub use scratch::{Replace, Target};
pub use seal::{Identities, Recipients};
pub use server::{Dial, Server};
pub use single::{Single, Tenant};
pub use store::{Provider, Store};
pub use verify::{Read, verify};
pub use worker::{Schedule, Setup, Worker, report};

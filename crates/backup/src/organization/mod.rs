//! One organization alone: brought back from a backup, or carried from one database to another.
//!
//! A backup is restored into a scratch database, compared with its manifest, and migrated to this
//! program's schema. From there the organization's rows are copied into temporary tables of the live
//! database, and one transaction makes the live rows equal to them. It acts as the owner of the tables
//! and names the organization, so that row-level security keeps it from all others, whatever a
//! statement says; triggers and references stay on. Nobody waits but who writes to that organization.
//!
//! # What comes back
//!
//! All rows as they were, in every table with the organization's rows but for [`RULES`], and every
//! column but for [`GROWING`]: a row that differed gets a version that nobody has seen, and one that did
//! not is not touched. `organization.restored` is in the audit log, with what was changed and by which
//! role, and one event of that name tells readers to read anew.
//!
//! # What does not
//!
//! - **Audit log**: nothing of it is removed or changed; what is missing is added.
//! - **Sessions and refresh tokens**: none comes back, and all that are open end.
//! - **API keys**: one that was revoked, rotated or narrowed stays as it is now; one that was removed
//!   stays away; one that is newer than the backup is removed.
//! - **Kept answers** to requests that were made after the backup are removed: what they tell of is not
//!   there any more.
//! - **Passwords do**: they are the backup's, as the people are.
//!
//! # Who may
//!
//! The role that [`restore()`](crate::restore()) takes: it may make databases, and it is a member of the
//! owner of the tables (brownie-migrator), with INHERIT. No superuser is needed.

mod apply;
mod archive;
mod changes;
mod find;
mod live;
mod problem;
mod tables;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use brownie_domain::{Clock, IdSource, Slug};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::{
    apply::{Applying, Arrival},
    find::{Found, find, pick},
    live::{Live, Renaming, Source, staged},
};
pub use self::{
    archive::{
        ARCHIVE_FORMAT, ExportOrganization, Exported, ImportOrganization, Output,
        export_organization, import_organization,
    },
    find::Named,
    problem::Problem,
    tables::{GROWING, RULES, Rule, SECRETS, rule},
};
use crate::{
    BackupName, Cluster, Error, Progress, Read, Result, Stage, Store, Tell,
    load::set_owner,
    lock::{Lock, Work},
    restore::{Opened, forget},
    scratch::Scratch,
    server::{Settle, settle},
    task::{uncut, unless_cancelled},
};

/// That an organization may be overwritten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overwrite(());

impl Overwrite {
    /// Takes what somebody typed to confirm it: exactly what the organization was named by.
    ///
    /// # Errors
    /// [`Problem::Unconfirmed`] when they typed something else.
    pub fn confirmed(typed: &str, organization: &Named) -> Result<Self> {
        if typed == organization.to_string() {
            Ok(Self(()))
        } else {
            Err(Problem::Unconfirmed(organization.to_string()).into())
        }
    }
}

/// Where an organization goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// In the place of what is there; on a dry run it need not be confirmed.
    Live(Option<Overwrite>),
    /// Beside it, as another organization of this slug, with ids of its own.
    Beside(Slug),
}

/// With what an organization is brought back.
#[derive(Debug, Clone)]
pub struct RestoreOrganization {
    /// What the backup is read with, and who is told.
    pub read: Read,
    /// Which organization, by its id or by its slug in the backup.
    pub organization: Named,
    /// The database that everybody uses.
    pub database: String,
    /// Where it goes.
    pub into: Destination,
    /// Only say what would change.
    pub dry_run: bool,
}

/// What became of one table's rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TableChanges {
    /// Which table.
    pub table: String,
    /// Rows that were not there.
    pub added: u64,
    /// Rows that were others.
    pub changed: u64,
    /// Rows that the backup does not have.
    pub removed: u64,
}

impl TableChanges {
    /// Tells whether nothing changed.
    pub const fn is_empty(&self) -> bool {
        self.added == 0 && self.changed == 0 && self.removed == 0
    }
}

/// What was done, or what would be.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct OrganizationRestored {
    /// Which organization it is in the live database.
    pub organization: Uuid,
    /// Its slug there.
    pub slug: String,
    /// What became of its rows, table by table.
    pub tables: Vec<TableChanges>,
    /// How many sessions ended.
    pub sessions_ended: u64,
    /// How long it took.
    pub took: Duration,
}

/// Brings one organization back from a backup, in one transaction of the live database, or says what
/// that would do.
///
/// # Errors
/// As [`Error`] and [`Problem`] tell. Nothing of the live database was changed then.
pub async fn restore_organization(
    cluster: &Cluster,
    store: &Store,
    name: &BackupName,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
    how: RestoreOrganization,
) -> Result<OrganizationRestored> {
    let (cluster, store, name) = (cluster.clone(), store.clone(), name.clone());
    let cancel = how.read.cancel.child_token();
    let cancelled = cancel.clone();
    if how.into == Destination::Live(None) && !how.dry_run {
        return Err(Problem::Unconfirmed(how.organization.to_string()).into());
    }
    uncut(&cancel, async move {
        let started = Instant::now();
        let backup = Opened::new(&store, &name, &how.read).await?;
        let told = vec![
            ("backup", name.to_string()),
            ("backup_created_at", backup.manifest.created_at.to_rfc3339()),
        ];
        let dial = cluster.dial.as_ref();
        let lock = Lock::take(dial, Some(&cluster.maintenance), Work::Restore).await?;
        let live = Live::open(dial, &how.database).await?;
        let scratch = Scratch::make(lock.client(), ids.next(clock.now())).await?;
        let bringing = Bringing {
            cluster: &cluster,
            live: &live,
            scratch: &scratch,
            clock: clock.as_ref(),
            ids: ids.as_ref(),
            cancel: &cancelled,
            tell: &how.read.tell,
            dry_run: how.dry_run,
        };
        let outcome = async {
            let filling =
                backup.fill(dial, cluster.migrate.as_ref(), &store, &scratch.name, &how.read);
            unless_cancelled(&cancelled, filling).await?;
            bringing.migrate(None).await?;
            let place = format!("the backup {name}");
            let found = bringing.look(&how.organization, &place).await?;
            let way = match how.into {
                Destination::Live(_) => Way::Back,
                Destination::Beside(slug) => Way::Beside(slug),
            };
            bringing.bring(found, &way, told).await
        };
        let outcome = outcome.await;
        live.end(lock.client()).await;
        forget(&scratch, lock.client()).await;
        outcome.map(|done| OrganizationRestored { took: started.elapsed(), ..done })
    })
    .await
}

/// How an organization comes into the live database.
enum Way {
    /// As the one that it is, or was.
    Back,
    /// As the one that it was elsewhere: it has not been here.
    New,
    /// As another one, of this slug.
    Beside(Slug),
}

/// An organization on its way from a scratch database to the live one.
struct Bringing<'a> {
    cluster: &'a Cluster,
    live: &'a Live,
    scratch: &'a Scratch,
    clock: &'a dyn Clock,
    ids: &'a dyn IdSource,
    cancel: &'a CancellationToken,
    tell: &'a Tell,
    dry_run: bool,
}

impl Bringing<'_> {
    /// Migrates the scratch database, to this program's schema unless another is said.
    async fn migrate(&self, to: Option<&str>) -> Result<()> {
        let migrating = async {
            let migrating = self.cluster.migrate.migrate(&self.scratch.name, to);
            migrating.await.map_err(Error::Migration)
        };
        unless_cancelled(self.cancel, migrating).await
    }

    /// Connects to the scratch database, as the owner of its tables.
    async fn inside(&self) -> Result<tokio_postgres::Client> {
        let client = self.cluster.dial.dial(Some(&self.scratch.name)).await?;
        settle(&client, Settle::Session).await?;
        set_owner(&client).await?;
        Ok(client)
    }

    /// Looks for an organization in the scratch database: by the slug it has now, if it had none such
    /// then.
    async fn look(&self, named: &Named, place: &str) -> Result<Found> {
        let client = self.inside().await?;
        if let Some(found) = pick(find(&client, named).await?, named, place)? {
            return Ok(found);
        }
        let unknown =
            || Problem::Unknown { organization: named.to_string(), place: place.to_owned() };
        let now = pick(find(&self.live.client, named).await?, named, &self.live.database)?;
        let Some(now) = now else { return Err(unknown().into()) };
        let named = Named::Id(now.id);
        pick(find(&client, &named).await?, &named, place)?.ok_or_else(|| unknown().into())
    }

    /// Refuses a slug that another organization has.
    async fn is_free(&self, slug: &str, except: Option<Uuid>) -> Result<()> {
        let Ok(named) = slug.parse::<Named>() else { return Ok(()) };
        let found = find(&self.live.client, &named).await?;
        match found.iter().find(|it| !it.is_deleted && it.slug == slug && Some(it.id) != except) {
            Some(other) => Err(Problem::SlugTaken { slug: slug.to_owned(), by: other.id }.into()),
            None => Ok(()),
        }
    }

    async fn bring(
        &self,
        found: Found,
        way: &Way,
        mut told: Vec<(&'static str, String)>,
    ) -> Result<OrganizationRestored> {
        let (renaming, arrival) = match way {
            Way::Beside(slug) => {
                let now = self.clock.now();
                // Later than the one that it is made of: where somebody could mean either, that comes
                // first.
                let (id, salt) = (self.ids.next(now), self.ids.next(now));
                told.push(("copy_of", found.id.to_string()));
                let slug = slug.as_str().to_owned();
                (Some(Renaming { id, slug, salt }), Arrival::New)
            }
            Way::Back => (None, Arrival::Back),
            Way::New => (None, Arrival::New),
        };
        let (organization, slug) = match &renaming {
            Some(renaming) => (renaming.id, renaming.slug.clone()),
            None => (found.id, found.slug.clone()),
        };
        let work = async {
            let named = Named::Id(organization);
            if arrival == Arrival::New && !find(&self.live.client, &named).await?.is_empty() {
                return Err(Problem::Exists(organization).into());
            }
            if arrival == Arrival::New || !found.is_deleted {
                self.is_free(&slug, Some(organization)).await?;
            }
            let inside = self.inside().await?;
            let source = Source::new(&inside, found.id, renaming.as_ref()).await?;
            let tables = self.live.tables().await?;
            let staged = staged(&tables, arrival == Arrival::Back);
            (self.tell)(Progress::Begins { stage: Stage::Load, expected: 0 });
            self.live.stage(&source, &staged, self.tell).await?;
            Ok(tables)
        };
        let tables = unless_cancelled(self.cancel, work).await?;
        let applying = Applying {
            live: self.live,
            tables: &tables,
            staged: staged(&tables, arrival == Arrival::Back),
            organization,
            slug: &slug,
            arrival,
            told,
            clock: self.clock,
            ids: self.ids,
        };
        (self.tell)(Progress::Begins { stage: Stage::Swap, expected: 0 });
        let done = if self.dry_run {
            unless_cancelled(self.cancel, applying.count()).await?
        } else {
            applying.apply(self.cancel).await?
        };
        let (tables, sessions_ended) = (done.tables, done.sessions_ended);
        let took = Duration::ZERO;
        Ok(OrganizationRestored { organization, slug, tables, sessions_ended, took })
    }
}

//! Makes a database of a backup.
//!
//! It is made beside the others, under a name of its own, and gets the name that it is to have when
//! everything in it was compared with the backup. So a restore that fails, or dies, has changed
//! nothing; its scratch database is removed, by itself or by the next.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use brownie_domain::{Clock, IdSource};
use tokio_postgres::Client;
use url::Url;

use crate::{
    BackupName, Dial, Error, Manifest, Plan, Progress, Read, Replace, Result, Stage, Store, Target,
    fasten::Fastenings,
    list,
    load::Loader,
    lock::{Lock, Work},
    manifest::AppliedMigration,
    scratch::{self, Scratch},
    seal::BackupKey,
    server::{ident, literal},
    task::{uncut, unless_cancelled},
    verify::open_key,
};

/// Makes the schema in a new database.
#[async_trait]
pub trait Migrate: std::fmt::Debug + Send + Sync {
    /// Applies the migrations to a database of the server, as far as `to` if that is said.
    ///
    /// # Errors
    /// What the migrator says.
    async fn migrate(
        &self,
        database: &str,
        to: Option<&str>,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>>;
}

/// Makes the schema over a URL of the server, in which the database's name is exchanged.
#[derive(Clone)]
pub struct MigrateByUrl {
    url: Url,
    wait: Duration,
}

impl MigrateByUrl {
    /// Takes a PostgreSQL URL as `DATABASE_URL` has it, and how long to wait for other migrators.
    ///
    /// # Errors
    /// [`Error::Settings`] when it is no URL.
    pub fn new(url: &str, wait: Duration) -> Result<Self> {
        let url = Url::parse(url).map_err(|error| {
            Error::Settings(format!("the database URL cannot be read: {error}"))
        })?;
        Ok(Self { url, wait })
    }
}

/// The URL has the password.
impl std::fmt::Debug for MigrateByUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MigrateByUrl").field("host", &self.url.host_str()).finish_non_exhaustive()
    }
}

#[async_trait]
impl Migrate for MigrateByUrl {
    async fn migrate(
        &self,
        database: &str,
        to: Option<&str>,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let mut url = self.url.clone();
        url.set_path(database);
        let database = brownie_migration::Database::new(url, self.wait);
        brownie_migration::apply_to(&database, to, |_| {}).await?;
        Ok(())
    }
}

/// A PostgreSQL server on which databases are made.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// Connects to it. The role must be allowed to make databases.
    pub dial: Arc<dyn Dial>,
    /// Makes our schema there.
    pub migrate: Arc<dyn Migrate>,
    /// A database to be connected to meanwhile, which is none that is to be made: `postgres`.
    pub maintenance: String,
}

/// With what a database is made of a backup.
#[derive(Debug, Clone)]
pub struct Restore {
    /// What the backup is read with, how many tables are filled at once, and who is told.
    pub read: Read,
    /// What the database is to be called.
    pub target: Target,
    /// That one of that name may be replaced, if it is not empty.
    pub replace: Option<Replace>,
    /// Whether to migrate it to this program's schema, when it was compared with the backup.
    pub to_head: bool,
}

/// What a restore has done.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Restored {
    /// Of what.
    pub manifest: Manifest,
    /// What the database that had the name is called now, if there was one with anything in it.
    pub replaced: Option<String>,
    /// How long it took.
    pub took: Duration,
}

/// Makes a database of a backup. The role that the cluster is reached as acts as the owner of the
/// tables.
///
/// # Errors
/// As [`Error`] tells. There is no database of the target's name that was not there before.
pub async fn restore(
    cluster: &Cluster,
    store: &Store,
    name: &BackupName,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
    how: Restore,
) -> Result<Restored> {
    let (cluster, store, name) = (cluster.clone(), store.clone(), name.clone());
    let cancel = how.read.cancel.child_token();
    let started = Instant::now();
    let cancelled = cancel.clone();
    uncut(&cancel, async move {
        let backup = Opened::new(&store, &name, &how.read).await?;
        let Cluster { dial, migrate, maintenance } = cluster;
        let lock = Lock::take(dial.as_ref(), Some(&maintenance), Work::Restore).await?;
        let maintenance = lock.client();
        let standing =
            scratch::standing(dial.as_ref(), maintenance, &how.target, how.replace.as_ref())
                .await?;
        let now = clock.now();
        let scratch = Scratch::make(maintenance, ids.next(now)).await?;
        let manifest = Arc::clone(&backup.manifest);
        let filled = async {
            backup.fill(dial.as_ref(), migrate.as_ref(), &store, &scratch.name, &how.read).await?;
            if how.to_head {
                migrate.migrate(&scratch.name, None).await.map_err(Error::Migration)?;
            }
            Ok(())
        };
        let outcome = match unless_cancelled(&cancelled, filled).await {
            Ok(()) => {
                (how.read.tell)(Progress::Begins { stage: Stage::Swap, expected: 0 });
                let stamp = now.format("%Y%m%dT%H%M%SZ").to_string();
                scratch.rename(maintenance, &how.target, standing, &stamp).await
            }
            Err(error) => Err(error),
        };
        match outcome {
            Ok(replaced) => {
                let manifest = Manifest::clone(&manifest);
                Ok(Restored { manifest, replaced, took: started.elapsed() })
            }
            Err(error) => {
                forget(&scratch, maintenance).await;
                Err(error)
            }
        }
    })
    .await
}

/// Fills a database that is there and empty, and compares it with the backup, where no other can be
/// made: on an embedded server. What is half-filled after an error is to be thrown away.
///
/// # Errors
/// As [`restore`].
pub async fn restore_here(
    dial: Arc<dyn Dial>,
    migrate: Arc<dyn Migrate>,
    database: &str,
    store: &Store,
    name: &BackupName,
    how: Read,
) -> Result<Manifest> {
    let backup = Opened::new(store, name, &how).await?;
    let manifest = Arc::clone(&backup.manifest);
    let filling = backup.fill(&*dial, &*migrate, store, database, &how);
    unless_cancelled(&how.cancel, filling).await?;
    migrate.migrate(database, None).await.map_err(Error::Migration)?;
    Ok(Manifest::clone(&manifest))
}

/// Removes a scratch database after a failure, which is what is told.
pub(crate) async fn forget(scratch: &Scratch, maintenance: &Client) {
    if let Err(error) = scratch.remove(maintenance).await {
        tracing::warn!(name = %scratch.name, %error, "the scratch database could not be removed; the next restore or drill will");
    }
}

/// A backup that can be restored by this program, as far as that can be known before it is read.
pub(crate) struct Opened {
    pub(crate) manifest: Arc<Manifest>,
    pub(crate) manifest_sha256: crate::Hash,
    key: Option<BackupKey>,
}

impl Opened {
    /// Reads the manifest, opens the key, and looks whether all objects are there.
    pub(crate) async fn new(store: &Store, name: &BackupName, how: &Read) -> Result<Self> {
        let (manifest, manifest_sha256) = list::read(store, name, how.signing_key.as_ref()).await?;
        let known = brownie_migration::names();
        if let Some(unknown) = manifest.migrations.iter().find(|row| !known.contains(&row.name)) {
            return Err(Error::TooNew {
                name: name.to_string(),
                what: format!("its schema has {}", unknown.name),
            });
        }
        let key = open_key(store, &manifest, &how.identities).await?;
        let listed = store.list(Some(&format!("{name}/{}", manifest.id))).await?;
        let sizes: HashMap<String, u64> =
            listed.into_iter().map(|(key, meta)| (key, meta.size)).collect();
        for (_, part) in manifest.parts() {
            let object = format!("{name}/{}", part.object);
            match sizes.get(&object) {
                None => return Err(Error::Missing { object }),
                Some(size) if *size != part.stored_bytes => {
                    let what = format!("it has {size} bytes, and had {}", part.stored_bytes);
                    return Err(Error::Damaged { object, what });
                }
                Some(_) => {}
            }
        }
        Ok(Self { manifest: Arc::new(manifest), manifest_sha256, key })
    }

    /// Fills an empty database, and compares it with the manifest.
    pub(crate) async fn fill(
        self,
        dial: &dyn Dial,
        migrate: &dyn Migrate,
        store: &Store,
        database: &str,
        how: &Read,
    ) -> Result<()> {
        let manifest = self.manifest;
        (how.tell)(Progress::Begins { stage: Stage::Schema, expected: 0 });
        let newest = manifest.migrations.last().map(|migration| migration.name.as_str());
        migrate.migrate(database, newest).await.map_err(Error::Migration)?;
        let tell = Arc::clone(&how.tell);
        let loader =
            Loader::new(dial, database, how.jobs, store, Arc::clone(&manifest), self.key, tell)
                .await?;
        let client = loader.client()?;
        same_migrations(client, &manifest).await?;
        make_months(client, &manifest).await?;
        same_tables(client, &manifest).await?;
        let fastenings = Fastenings::take_off(client).await?;
        (how.tell)(Progress::Begins { stage: Stage::Load, expected: manifest.plain_bytes() });
        loader.load().await?;
        (how.tell)(Progress::Begins { stage: Stage::Compare, expected: 0 });
        loader.run(fastenings.keys()).await?;
        loader.compare_and_run(fastenings.indexes()).await?;
        loader.run(fastenings.references()).await?;
        fastenings.finish(client).await?;
        set_sequences(client, &manifest).await?;
        // Without statistics the first queries would be planned as if the tables were empty.
        let analyze =
            manifest.tables.iter().map(|data| format!("ANALYZE {}", data.table.sql_name()));
        loader.run(&analyze.collect::<Vec<_>>()).await
    }
}

const SCHEMA: &str = "comparing the schema with the backup's";

/// Makes sure that the migrations which were applied are those that had been.
async fn same_migrations(client: &Client, manifest: &Manifest) -> Result<()> {
    let sql = "SELECT version::text, to_jsonb(ledger) ->> 'checksum'
        FROM public.seaql_migrations AS ledger ORDER BY version";
    // The ledger is not everybody's to read.
    let rows = client.query(sql, &[]).await.map_err(Error::database(SCHEMA))?;
    let get = |row: &tokio_postgres::Row| {
        Ok(AppliedMigration { name: row.try_get(0)?, checksum: row.try_get(1)? })
    };
    let applied: Result<Vec<_>, _> = rows.iter().map(get).collect();
    let applied = applied.map_err(Error::database(SCHEMA))?;
    let is_same = |(one, other): (&AppliedMigration, &AppliedMigration)| {
        one.name == other.name
            && (one.checksum == other.checksum
                || one.checksum.is_none()
                || other.checksum.is_none())
    };
    if applied.len() != manifest.migrations.len() {
        let what =
            format!("it has {} migrations, and had {}", applied.len(), manifest.migrations.len());
        return Err(Error::Schema { what });
    }
    match applied.iter().zip(&manifest.migrations).find(|pair| !is_same(*pair)) {
        None => Ok(()),
        Some((one, other)) => Err(Error::Schema {
            what: format!(
                "{} is there, of {} it was made, or of another text of it",
                one.name, other.name
            ),
        }),
    }
}

/// Makes the partitions that there were. Rows would go into the default one otherwise, and have to be
/// moved.
async fn make_months(client: &Client, manifest: &Manifest) -> Result<()> {
    for data in &manifest.tables {
        for month in &data.table.months {
            let sql = format!(
                "SELECT public.make_partition({}::regclass, {}::date)",
                literal(&data.table.sql_name()),
                literal(month)
            );
            let doing = format!("making the partition of {month} of {}", data.table.name);
            client.batch_execute(&sql).await.map_err(Error::database(doing))?;
        }
    }
    Ok(())
}

/// Makes sure that there are the tables that there were, with their columns. Of months there may be
/// more by now.
async fn same_tables(client: &Client, manifest: &Manifest) -> Result<()> {
    let plan = Plan::read(client).await?;
    let names = |table: &crate::Table| (table.name.clone(), table.columns.clone());
    let here: Vec<_> = plan.tables.iter().map(|(table, _)| names(table)).collect();
    let there: Vec<_> = manifest.tables.iter().map(|data| names(&data.table)).collect();
    let other = here.iter().find(|table| !there.contains(table));
    let other = other.or_else(|| there.iter().find(|table| !here.contains(table)));
    match other {
        None => Ok(()),
        Some((name, _)) => Err(Error::Schema {
            what: format!("the table {name} is on one side only, or has other columns"),
        }),
    }
}

async fn set_sequences(client: &Client, manifest: &Manifest) -> Result<()> {
    for sequence in &manifest.sequences {
        let sql = "SELECT setval($1::text::regclass, $2, $3)";
        let name = format!("public.{}", ident(&sequence.name));
        let set = client.query(sql, &[&name, &sequence.last_value, &sequence.is_called]).await;
        set.map_err(Error::database(format!("setting the sequence {}", sequence.name)))?;
    }
    Ok(())
}

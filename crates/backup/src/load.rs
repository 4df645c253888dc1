//! Fills the tables of a scratch database, and compares them with the backup.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use tokio::{
    sync::{Mutex, mpsc},
    task::JoinSet,
};
use tokio_postgres::Client;

use crate::{
    Dial, Error, Manifest, Progress, Result, Store, Tell,
    digest::RowReader,
    manifest::{Part, TableData},
    seal::BackupKey,
    server::{Settle, ident, settle},
    verify::read_one,
};

/// One thing to do on a connection.
#[derive(Debug)]
enum Job {
    /// Copies part `.1` of table `.0` in.
    Load(usize, usize),
    /// Compares a table with the backup.
    Compare(usize),
    /// Runs a statement.
    Run(String),
}

/// Several connections to a scratch database, as the owner of its tables.
pub(crate) struct Loader {
    clients: Vec<Arc<Client>>,
    store: Store,
    manifest: Arc<Manifest>,
    key: Option<Arc<BackupKey>>,
    tell: Tell,
}

impl Loader {
    /// Connects.
    pub(crate) async fn new(
        dial: &dyn Dial,
        database: &str,
        jobs: usize,
        store: &Store,
        manifest: Arc<Manifest>,
        key: Option<BackupKey>,
        tell: Tell,
    ) -> Result<Self> {
        let mut clients = Vec::new();
        for _ in 0..jobs.max(1) {
            let client = dial.dial(Some(database)).await?;
            become_owner(&client).await?;
            clients.push(Arc::new(client));
        }
        let (store, key) = (store.clone(), key.map(Arc::new));
        Ok(Self { clients, store, manifest, key, tell })
    }

    /// Returns one of the connections, for what is done once.
    ///
    /// # Errors
    /// Never: there is one.
    pub(crate) fn client(&self) -> Result<&Client> {
        self.clients.first().map(Arc::as_ref).ok_or(Error::Cancelled)
    }

    /// Copies all parts in, several at a time.
    pub(crate) async fn load(&self) -> Result<()> {
        let tables = self.manifest.tables.iter().enumerate();
        let mut jobs: Vec<(u64, Job)> = tables
            .flat_map(|(table, data)| {
                data.parts
                    .iter()
                    .enumerate()
                    .map(move |(part, what)| (what.plain_bytes, Job::Load(table, part)))
            })
            .collect();
        // The longest first, so that none is left alone at the end.
        jobs.sort_by_key(|(size, _)| std::cmp::Reverse(*size));
        self.all(jobs.into_iter().map(|(_, job)| job)).await
    }

    /// Compares all tables with the backup, and runs statements, several at a time.
    pub(crate) async fn compare_and_run(&self, statements: &[String]) -> Result<()> {
        let mut tables: Vec<(u64, usize)> =
            self.manifest.tables.iter().map(TableData::plain_bytes).zip(0..).collect();
        tables.sort_by_key(|(size, _)| std::cmp::Reverse(*size));
        let compare = tables.into_iter().map(|(_, table)| Job::Compare(table));
        self.all(compare.chain(statements.iter().cloned().map(Job::Run))).await
    }

    /// Runs statements, several at a time.
    pub(crate) async fn run(&self, statements: &[String]) -> Result<()> {
        self.all(statements.iter().cloned().map(Job::Run)).await
    }

    async fn all(&self, jobs: impl Iterator<Item = Job>) -> Result<()> {
        let queue: Arc<Mutex<VecDeque<Job>>> = Arc::new(Mutex::new(jobs.collect()));
        let mut workers = JoinSet::new();
        for client in &self.clients {
            let worker = Worker {
                client: Arc::clone(client),
                store: self.store.clone(),
                manifest: Arc::clone(&self.manifest),
                key: self.key.clone(),
                tell: Arc::clone(&self.tell),
            };
            let queue = Arc::clone(&queue);
            workers.spawn(async move {
                loop {
                    let Some(job) = queue.lock().await.pop_front() else { return Ok(()) };
                    worker.work(job).await?;
                }
            });
        }
        // Dropping the set ends the others: the database that they work on is dropped, too.
        while let Some(outcome) = workers.join_next().await {
            outcome.unwrap_or(Err(Error::Cancelled))?;
        }
        Ok(())
    }
}

struct Worker {
    client: Arc<Client>,
    store: Store,
    manifest: Arc<Manifest>,
    key: Option<Arc<BackupKey>>,
    tell: Tell,
}

impl Worker {
    async fn work(&self, job: Job) -> Result<()> {
        let table = |index: usize| self.manifest.tables.get(index).ok_or(Error::Cancelled);
        match job {
            Job::Load(index, part) => {
                let data = table(index)?;
                let part = data.parts.get(part).ok_or(Error::Cancelled)?;
                self.load(data, part).await
            }
            Job::Compare(index) => self.compare(table(index)?).await,
            Job::Run(sql) => self
                .client
                .batch_execute(&sql)
                .await
                .map_err(Error::database(format!("running {sql:?}"))),
        }
    }

    /// Copies a part in. It is committed only when it has turned out to be what was written.
    async fn load(&self, data: &TableData, part: &Part) -> Result<()> {
        let name = &data.table.name;
        let failed = || Error::database(format!("filling {name}"));
        let sink = self.client.copy_in::<_, Bytes>(&data.table.copy_in()).await.map_err(failed())?;
        let mut sink = std::pin::pin!(sink);
        let (pieces, mut received) = mpsc::channel::<Bytes>(4);
        let take = move |piece| pieces.blocking_send(piece).is_ok();
        let reading = read_one(&self.store, &self.manifest, part, self.key.clone(), take);
        let filling = async {
            while let Some(piece) = received.recv().await {
                let plain = piece.len() as u64;
                sink.send(piece).await?;
                (self.tell)(Progress::Moved { table: name, rows: 0, plain });
            }
            drop(received);
            Ok(())
        };
        let (read, filled): (_, Result<(), tokio_postgres::Error>) = tokio::join!(reading, filling);
        filled.map_err(failed())?;
        read?;
        let rows = sink.finish().await.map_err(failed())?;
        if rows == part.rows {
            return Ok(());
        }
        let what = format!("{rows} rows of {} came in of {}", part.rows, part.object);
        Err(Error::Differs { table: name.clone(), what })
    }

    /// Reads a table as a backup would, and compares number and content of its rows.
    async fn compare(&self, data: &TableData) -> Result<()> {
        let name = &data.table.name;
        let failed = || Error::database(format!("comparing {name}"));
        let rows = self.client.copy_out(&data.table.copy_out()).await.map_err(failed())?;
        let mut rows = std::pin::pin!(rows);
        let mut reader = RowReader::default();
        while let Some(row) = rows.next().await {
            reader.update(&row.map_err(failed())?);
        }
        let found = reader.take();
        let differs = |what: String| Err(Error::Differs { table: name.clone(), what });
        if found.count != data.rows {
            return differs(format!("it has {} rows, and had {}", found.count, data.rows));
        }
        if found.content() != data.content {
            return differs("its rows are others".to_owned());
        }
        (self.tell)(Progress::Done { table: name, rows: data.rows });
        Ok(())
    }
}

/// Becomes the owner of the tables, and does not wait for the disk at every turn: a scratch database
/// that is cut off is made anew.
async fn become_owner(client: &Client) -> Result<()> {
    settle(client, Settle::Session).await?;
    set_owner(client).await?;
    // Nobody else is here: whoever waits for a lock waits for one of us, who works on a large table.
    let sql =
        "SET synchronous_commit = off; SET maintenance_work_mem = '128MB'; SET lock_timeout = 0";
    client.batch_execute(sql).await.map_err(Error::database("becoming the owner of the tables"))
}

/// Acts as the owner of the tables from now on, if there are any.
pub(crate) async fn set_owner(client: &Client) -> Result<()> {
    let doing = "becoming the owner of the tables";
    let owner = "SELECT pg_get_userbyid(relowner)::text FROM pg_class
        WHERE oid = to_regclass('public.organizations')";
    let owner = client.query_opt(owner, &[]).await.map_err(Error::database(doing))?;
    if let Some(row) = owner {
        let owner: String = row.try_get(0).map_err(Error::database(doing))?;
        let sql = format!("SET ROLE {}", ident(&owner));
        client.batch_execute(&sql).await.map_err(Error::database(doing))?;
    }
    Ok(())
}

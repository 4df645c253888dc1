//! Copies a table from the database into the store.
//!
//! Three stages, with small channels between them: a task receives rows from the database, a thread
//! fingerprints, compresses and encrypts them, a task uploads. So a table takes, at most, about
//! 40 MiB: four chunks of 8 MiB on their way to the store, a megabyte of text, and the compressor's
//! window; and twice its largest row, which is in memory as a whole.

use std::io;

use age::x25519::Recipient;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use tokio::sync::mpsc;
use tokio_postgres::Client;
use tokio_util::sync::CancellationToken;

use crate::{
    Error, Progress, Result, Store, Tell,
    digest::Rows,
    manifest::{Part, TableData},
    part::{Chunk, PIECE, PartWriter},
    plan::Table,
    upload::upload,
};

/// Where the data of a run goes, and how.
#[derive(Clone)]
pub(crate) struct Dump {
    pub(crate) store: Store,
    /// The directory of the backup.
    pub(crate) name: String,
    /// The directory of the run, below that.
    pub(crate) run: String,
    pub(crate) recipient: Option<Recipient>,
    /// After how much text another part begins. Parts can be read at the same time.
    pub(crate) part_bytes: u64,
    pub(crate) cancel: CancellationToken,
    pub(crate) tell: Tell,
}

/// An object, and what is to be stored as it.
type NewObject = (String, mpsc::Receiver<Chunk>);

impl Dump {
    /// Copies all rows that the connection's transaction sees.
    ///
    /// # Errors
    /// [`Error::Incomplete`] when they are not as many as it counts, which neither a filter nor a cut
    /// stream gets past; what the database or the store said.
    pub(crate) async fn table(&self, client: &Client, table: &Table) -> Result<TableData> {
        let (pieces, received) = mpsc::channel(4);
        let (objects, announced) = mpsc::channel(1);
        let thread = self.clone();
        let table_name = table.name.clone();
        let sealing = async {
            let sealing =
                tokio::task::spawn_blocking(move || thread.seal(&table_name, received, &objects));
            match sealing.await {
                Ok(Ok(parts)) => Ok(parts),
                // Its other end is gone, which knows why.
                Ok(Err(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
                    Err(Error::Cancelled)
                }
                Ok(Err(error)) => {
                    Err(Error::Damaged { object: table.name.clone(), what: error.to_string() })
                }
                Err(_) => Err(Error::Cancelled),
            }
        };
        let (read, stored, made) =
            tokio::join!(self.read(client, table, pieces), self.upload_all(announced), sealing);
        // One that failed made the others give up; its error is the one to tell.
        let mut given_up = None;
        for outcome in [read.err(), stored.err()] {
            match outcome {
                Some(Error::Cancelled) => given_up = Some(Error::Cancelled),
                Some(error) => return Err(error),
                None => {}
            }
        }
        let (parts, rows) = made?;
        if let Some(error) = given_up {
            return Err(error);
        }
        let count = format!("SELECT count(*) FROM {}", table.sql_name());
        let counted = client.query_one(&count, &[]).await.and_then(|row| row.try_get::<_, i64>(0));
        let counted = counted.map_err(Error::database(format!("counting {}", table.name)))?;
        let counted = u64::try_from(counted).unwrap_or(0);
        if counted != rows.count {
            let table = table.name.clone();
            return Err(Error::Incomplete { table, counted, copied: rows.count });
        }
        (self.tell)(Progress::Done { table: &table.name, rows: rows.count });
        let content = rows.content();
        Ok(TableData { table: table.clone(), rows: rows.count, content, parts })
    }

    /// Receives rows, and sends them on in pieces; none at the end.
    async fn read(
        &self,
        client: &Client,
        table: &Table,
        pieces: mpsc::Sender<Option<Bytes>>,
    ) -> Result<()> {
        let failed = || Error::database(format!("copying {}", table.name));
        let rows = client.copy_out(&table.copy_out()).await.map_err(failed())?;
        let mut rows = std::pin::pin!(rows);
        let mut piece = BytesMut::with_capacity(PIECE);
        loop {
            // Each message is a row.
            let row = tokio::select! {
                biased;
                () = self.cancel.cancelled() => return Err(Error::Cancelled),
                row = rows.next() => row.transpose().map_err(failed())?,
            };
            let is_end = row.is_none();
            if let Some(row) = row {
                piece.extend_from_slice(&row);
            }
            if piece.len() >= PIECE || (is_end && !piece.is_empty()) {
                let piece = std::mem::replace(&mut piece, BytesMut::with_capacity(PIECE));
                pieces.send(Some(piece.freeze())).await.map_err(|_| Error::Cancelled)?;
            }
            if is_end {
                return pieces.send(None).await.map_err(|_| Error::Cancelled);
            }
        }
    }

    /// Makes parts of what is received. On a thread of its own.
    fn seal(
        &self,
        table: &str,
        mut pieces: mpsc::Receiver<Option<Bytes>>,
        objects: &mpsc::Sender<NewObject>,
    ) -> io::Result<(Vec<Part>, Rows)> {
        let (mut parts, mut rows) = (Vec::new(), Rows::default());
        let mut writer: Option<PartWriter> = None;
        loop {
            // None: who reads the database gave up.
            let piece = pieces.blocking_recv().ok_or(io::ErrorKind::BrokenPipe)?;
            if let Some(piece) = &piece {
                let mut open = match writer.take() {
                    Some(open) => open,
                    None => self.begin(table, parts.len() + 1, objects)?,
                };
                let before = open.rows();
                open.write(piece)?;
                (self.tell)(Progress::Moved {
                    table,
                    rows: open.rows() - before,
                    plain: piece.len() as u64,
                });
                writer = Some(open);
            }
            let is_full = |open: &PartWriter| {
                open.whole_bytes().is_some_and(|bytes| piece.is_none() || bytes >= self.part_bytes)
            };
            if let Some(full) = writer.take_if(|open| is_full(open) || piece.is_none()) {
                let (part, more) = full.finish()?;
                parts.push(part);
                rows.extend(&more);
            }
            if piece.is_none() {
                return Ok((parts, rows));
            }
        }
    }

    fn begin(
        &self,
        table: &str,
        number: usize,
        objects: &mpsc::Sender<NewObject>,
    ) -> io::Result<PartWriter> {
        let suffix = if self.recipient.is_some() { "copy.zst.age" } else { "copy.zst" };
        let object = format!("{}/{table}-{number:05}.{suffix}", self.run);
        let (chunks, received) = mpsc::channel(1);
        objects
            .blocking_send((object.clone(), received))
            .map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        PartWriter::new(object, self.recipient.as_ref(), chunks)
    }

    /// Stores the objects that are announced, one after the other.
    async fn upload_all(&self, mut objects: mpsc::Receiver<NewObject>) -> Result<()> {
        while let Some((object, chunks)) = objects.recv().await {
            let key = format!("{}/{object}", self.name);
            upload(&self.store, &key, chunks, &self.cancel).await?;
        }
        Ok(())
    }
}

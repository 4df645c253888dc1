//! Brings the organization of an archive into the live database.
//!
//! The archive goes into a scratch database of the schema that it was made with, which refuses what
//! does not fit together, and is migrated from there as a backup is.

use std::{path::PathBuf, sync::Arc, time::Instant};

use brownie_domain::{Clock, IdSource, Slug};
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::SinkExt;
use tokio::sync::mpsc;
use tokio_postgres::Client;

use super::{Header, HeaderTable, exported, read, wrong};
use crate::{
    Cluster, Error, Progress, Read, Result, Stage,
    lock::{Lock, Work},
    organization::{
        Bringing, OrganizationRestored, Way,
        find::Found,
        live::Live,
        tables::{self, Column, TenantTable},
    },
    restore::forget,
    scratch::Scratch,
    server::ident,
    task::{uncut, unless_cancelled},
};

/// How many bytes of rows go to the database at once.
const PIECE: usize = 256 << 10;

/// With what an archive is imported.
#[derive(Debug, Clone)]
pub struct ImportOrganization {
    /// The archive.
    pub file: PathBuf,
    /// What it is read with, and who is told.
    pub read: Read,
    /// The database that it goes into.
    pub database: String,
    /// Another slug for it, and with it other ids. Otherwise it keeps its own, and must not be there.
    pub into: Option<Slug>,
    /// Only say what it would add.
    pub dry_run: bool,
}

/// Brings the organization of an archive into the live database, in one transaction. The archive is
/// read from end to end before that database is looked at.
///
/// # Errors
/// As [`Error`] and [`Problem`](super::Problem) tell. Nothing of the live database was changed then.
pub async fn import_organization(
    cluster: &Cluster,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
    how: ImportOrganization,
) -> Result<OrganizationRestored> {
    let cluster = cluster.clone();
    let cancel = how.read.cancel.child_token();
    let cancelled = cancel.clone();
    uncut(&cancel, async move {
        let started = Instant::now();
        let header = unless_cancelled(&cancelled, look_through(&how)).await?;
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
            unless_cancelled(&cancelled, fill(&bringing, &header, &how)).await?;
            bringing.migrate(None).await?;
            let (id, slug) = (header.organization, header.slug.clone());
            let found = Found { id, slug, is_deleted: false };
            let way = how.into.clone().map_or(Way::New, Way::Beside);
            let told = vec![
                ("archive", how.file.display().to_string()),
                ("archive_created_at", header.created_at.to_rfc3339()),
            ];
            bringing.bring(found, &way, told).await
        };
        let outcome = outcome.await;
        live.end(lock.client()).await;
        forget(&scratch, lock.client()).await;
        outcome.map(|done| OrganizationRestored { took: started.elapsed(), ..done })
    })
    .await
}

/// Reads an archive from end to end.
async fn look_through(how: &ImportOrganization) -> Result<Header> {
    (how.read.tell)(Progress::Begins { stage: Stage::Verify, expected: 0 });
    let (how, cancel) = (how.clone(), how.read.cancel.clone());
    let reading = tokio::task::spawn_blocking(move || {
        let key = how.read.signing_key.as_ref();
        read::read(&how.file, &how.read.identities, key, |_, _| !cancel.is_cancelled())
    });
    reading.await.unwrap_or(Err(Error::Cancelled))
}

/// Fills the scratch database.
async fn fill(bringing: &Bringing<'_>, header: &Header, how: &ImportOrganization) -> Result<()> {
    (how.read.tell)(Progress::Begins { stage: Stage::Schema, expected: 0 });
    bringing.migrate(header.migrations.last().map(String::as_str)).await?;
    let client = bringing.inside().await?;
    let file = how.file.display().to_string();
    let known = tables::read(&client).await?;
    let tables: Vec<Incoming<'_>> = header
        .tables
        .iter()
        .map(|table| Incoming::new(table, &known).map_err(|what| wrong(&file, what).into()))
        .collect::<Result<_>>()?;
    let scope = format!("SET app.org_id = '{}'", header.organization);
    client.batch_execute(&scope).await.map_err(Error::database("naming the organization"))?;
    (how.read.tell)(Progress::Begins { stage: Stage::Load, expected: 0 });
    let (pieces, received) = mpsc::channel(4);
    let reading = tokio::task::spawn_blocking({
        let (how, header) = (how.clone(), header.clone());
        move || read_again(&how, &header, &pieces)
    });
    let loaded = load(&client, &tables, received, &file).await;
    match (loaded, reading.await.unwrap_or(Err(Error::Cancelled))) {
        // It gave up because the reader did, which knows why.
        (Ok(()) | Err(Error::Cancelled), read) => read,
        (Err(error), _) => Err(error),
    }
}

/// Rows of a table, as COPY reads them; or the end of all.
enum Piece {
    Rows(usize, Bytes),
    End,
}

/// Reads the archive once more, and sends its rows on.
fn read_again(
    how: &ImportOrganization,
    before: &Header,
    pieces: &mpsc::Sender<Piece>,
) -> Result<()> {
    let (mut at, mut rows) = (0, BytesMut::new());
    let key = how.read.signing_key.as_ref();
    let header = read::read(&how.file, &how.read.identities, key, |table, row| {
        let is_full = table != at || rows.len() >= PIECE;
        let sent = !is_full
            || rows.is_empty()
            || pieces.blocking_send(Piece::Rows(at, rows.split().freeze())).is_ok();
        at = table;
        copy_text(row, &mut rows);
        sent
    })?;
    if header != *before {
        return Err(wrong(&how.file.display().to_string(), "it changed while it was read").into());
    }
    let last = Piece::Rows(at, rows.freeze());
    let send = |piece| pieces.blocking_send(piece).map_err(|_| Error::Cancelled);
    send(last).and_then(|()| send(Piece::End))
}

/// Writes a value of one column as COPY reads it (PostgreSQL manual, COPY, text format).
fn copy_text(value: &str, into: &mut BytesMut) {
    for byte in value.bytes() {
        match byte {
            b'\\' => into.put_slice(b"\\\\"),
            b'\n' => into.put_slice(b"\\n"),
            b'\r' => into.put_slice(b"\\r"),
            b'\t' => into.put_slice(b"\\t"),
            byte => into.put_u8(byte),
        }
    }
    into.put_u8(b'\n');
}

/// Takes rows until the end comes, each table's in turn. The foreign keys judge them.
async fn load(
    client: &Client,
    tables: &[Incoming<'_>],
    mut received: mpsc::Receiver<Piece>,
    file: &str,
) -> Result<()> {
    let refused = |error: tokio_postgres::Error| match error.as_db_error() {
        Some(said) => {
            wrong(file, format!("its rows do not fit the schema: {}", said.message())).into()
        }
        None => Error::database("filling the scratch database")(error),
    };
    let begin = "CREATE TEMPORARY TABLE incoming (line jsonb NOT NULL)";
    client.batch_execute(begin).await.map_err(Error::database("making room for rows"))?;
    let mut next = received.recv().await.ok_or(Error::Cancelled)?;
    while let Piece::Rows(place, _) = &next {
        let place = *place;
        let Some(table) = tables.get(place) else { return Err(Error::Cancelled) };
        let sink = client.copy_in("COPY pg_temp.incoming FROM STDIN").await.map_err(refused)?;
        let mut sink = std::pin::pin!(sink);
        while let Piece::Rows(at, rows) = next {
            if at != place {
                next = Piece::Rows(at, rows);
                break;
            }
            sink.send(rows).await.map_err(refused)?;
            next = received.recv().await.ok_or(Error::Cancelled)?;
        }
        sink.finish().await.map_err(refused)?;
        client.batch_execute(&table.insert()).await.map_err(refused)?;
    }
    Ok(())
}

/// A table of an archive, and the columns of it that the schema has.
struct Incoming<'a> {
    table: &'a TenantTable,
    columns: Vec<&'a Column>,
}

impl<'a> Incoming<'a> {
    fn new(header: &HeaderTable, known: &'a [TenantTable]) -> Result<Self, String> {
        let table = known.iter().find(|table| table.name == header.name);
        let unknown =
            || format!("it has the table {}, which its schema does not have", header.name);
        let table = table.ok_or_else(unknown)?;
        let (of_table, mut columns) = (exported(table), Vec::new());
        for name in &header.columns {
            let column = of_table.iter().find(|column| column.name == *name).copied();
            columns.push(column.ok_or_else(|| {
                format!(
                    "it has the column {name} of {}, which no archive of its schema has",
                    header.name
                )
            })?);
        }
        Ok(Self { table, columns })
    }

    /// Returns the statement that makes rows of the lines that came in.
    fn insert(&self) -> String {
        let value = |column: &&Column| {
            let (name, kind) = (crate::server::literal(&column.name), &column.kind);
            match kind.as_str() {
                "jsonb" => format!("line -> {name}"),
                "json" => format!("(line -> {name})::text::json"),
                _ => format!("(line ->> {name})::{kind}"),
            }
        };
        let names: Vec<String> = self.columns.iter().map(|column| ident(&column.name)).collect();
        let values: Vec<String> = self.columns.iter().map(value).collect();
        format!(
            "INSERT INTO {} ({}) SELECT {} FROM pg_temp.incoming; TRUNCATE pg_temp.incoming",
            self.table.live(),
            names.join(", "),
            values.join(", ")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_goes_through_copy_as_it_is() {
        let mut copied = BytesMut::new();
        copy_text("{\"a\":\"b\\nc\\\\\"}\t\r", &mut copied);
        assert_eq!(copied, &b"{\"a\":\"b\\\\nc\\\\\\\\\"}\\t\\r\n"[..]);
    }
}

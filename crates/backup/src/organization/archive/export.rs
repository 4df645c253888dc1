//! Writes one organization of the live database into an archive.

use std::{io, path::PathBuf};

use brownie_domain::{Clock, IdSource};
use futures_util::StreamExt;
use tokio::sync::mpsc;
use tokio_postgres::Client;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    ARCHIVE_FORMAT, Header, HeaderTable, KIND, Manifest, Problem, exported,
    file::NewFile,
    write::{Piece, write},
};
use crate::{
    Dial, Error, Progress, Recipients, Result, SigningKey, Stage, Tell,
    organization::{
        Named,
        find::{find, pick},
        live::is_at_head,
        tables::{self, Column, TenantTable},
    },
    server::{Settle, find_pooler, ident, literal, settle},
    task::unless_cancelled,
};

/// Where an archive goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Into a new file, which its owner alone may read. It is there when it is whole.
    File(PathBuf),
    /// To standard output.
    Stdout,
}

/// With what an organization is exported.
#[derive(Clone)]
pub struct ExportOrganization {
    /// Which.
    pub organization: Named,
    /// The database that it is in.
    pub database: String,
    /// Where to.
    pub output: Output,
    /// Whom it is encrypted to; nobody for not at all.
    pub recipients: Recipients,
    /// What its manifest is signed with.
    pub signing_key: Option<SigningKey>,
    /// Calls it off.
    pub cancel: CancellationToken,
    /// Who is told how it goes.
    pub tell: Tell,
}

/// What was exported.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Exported {
    /// Which organization.
    pub organization: Uuid,
    /// Its slug.
    pub slug: String,
    /// How many rows, table by table.
    pub tables: Vec<(String, u64)>,
}

/// Writes one organization into an archive, as one snapshot has it. brownie-backup may do that; nothing
/// is written to the database.
///
/// # Errors
/// As [`Error`] and [`Problem`] tell. There is no file then.
pub async fn export_organization(
    dial: &dyn Dial,
    clock: &dyn Clock,
    ids: &dyn IdSource,
    how: ExportOrganization,
) -> Result<Exported> {
    let work = async {
        // First of all: who forgot that there is a file should not wait for it.
        let (name, target) = Target::new(&how.output, ids.next(clock.now()))?;
        let clients =
            [dial.dial(Some(&how.database)).await?, dial.dial(Some(&how.database)).await?];
        find_pooler(&clients).await?;
        let [client, _] = clients;
        settle(&client, Settle::Session).await?;
        is_at_head(&client, &how.database).await?;
        let unknown = || Problem::Unknown {
            organization: how.organization.to_string(),
            place: format!("the database {}", how.database),
        };
        let found = find(&client, &how.organization).await?;
        let found = pick(found, &how.organization, &how.database)?.ok_or_else(unknown)?;
        let begin = format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL app.org_id = '{}'",
            found.id
        );
        client.batch_execute(&begin).await.map_err(Error::database("beginning the export"))?;
        let mut tables = tables::read(&client).await?;
        tables.retain(|table| !exported(table).is_empty());
        let columns = |table| exported(table).iter().map(|column| column.name.clone()).collect();
        let header = Header {
            archive: KIND.to_owned(),
            format: ARCHIVE_FORMAT,
            organization: found.id,
            slug: found.slug.clone(),
            created_at: clock.now(),
            program: env!("CARGO_PKG_VERSION").to_owned(),
            migrations: brownie_migration::names(),
            tables: tables
                .iter()
                .map(|table| HeaderTable { name: table.name.clone(), columns: columns(table) })
                .collect(),
        };
        let manifest = write_all(&client, &tables, header, target, name, &how).await?;
        let tables = manifest.tables.into_iter().map(|count| (count.name, count.rows)).collect();
        Ok(Exported { organization: found.id, slug: found.slug, tables })
    };
    unless_cancelled(&how.cancel, work).await
}

/// What an archive is written to.
enum Target {
    File(NewFile),
    Stdout,
}

impl Target {
    fn new(output: &Output, id: Uuid) -> Result<(String, Self), Problem> {
        match output {
            Output::Stdout => Ok(("standard output".to_owned(), Self::Stdout)),
            Output::File(path) => {
                let name = path.display().to_string();
                match NewFile::create(path, id) {
                    Ok(file) => Ok((name, Self::File(file))),
                    Err(source) => Err(Problem::File { file: name, doing: "written", source }),
                }
            }
        }
    }
}

async fn write_all(
    client: &Client,
    tables: &[TenantTable],
    header: Header,
    target: Target,
    name: String,
    how: &ExportOrganization,
) -> Result<Manifest> {
    (how.tell)(Progress::Begins { stage: Stage::Copy, expected: 0 });
    let (pieces, received) = mpsc::channel(64);
    let (recipients, key) = (how.recipients.clone(), how.signing_key.clone());
    let organization = header.organization;
    let cancel = how.cancel.clone();
    let writing = tokio::task::spawn_blocking(move || match target {
        Target::Stdout => {
            let output = io::stdout().lock();
            write(output, &header, &recipients, key.as_ref(), received)
                .map(|(_, manifest)| manifest)
        }
        Target::File(file) => {
            let (file, manifest) = write(file, &header, &recipients, key.as_ref(), received)?;
            if cancel.is_cancelled() {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            file.publish()?;
            Ok(manifest)
        }
    });
    let read = read_all(client, tables, organization, pieces, &how.tell).await;
    let written = writing.await.unwrap_or_else(|_| Err(io::ErrorKind::BrokenPipe.into()));
    match (read, written) {
        (Ok(()), Ok(manifest)) => Ok(manifest),
        // The writer's end was gone, which knows why.
        (Ok(()) | Err(Error::Cancelled), Err(source)) => {
            Err(Problem::File { file: name, doing: "written", source }.into())
        }
        (Err(error), _) => Err(error),
    }
}

/// Sends all rows, as lines; few of them are in memory at once.
async fn read_all(
    client: &Client,
    tables: &[TenantTable],
    organization: Uuid,
    pieces: mpsc::Sender<Piece>,
    tell: &Tell,
) -> Result<()> {
    for table in tables {
        let failed = || Error::database(format!("reading {}", table.name));
        pieces.send(Piece::Table(table.name.clone())).await.map_err(|_| Error::Cancelled)?;
        let none: [&str; 0] = [];
        let rows = client.query_raw(&line(table, organization), none).await.map_err(failed())?;
        let mut rows = std::pin::pin!(rows);
        let mut count = 0;
        while let Some(row) = rows.next().await {
            let row: String = row.and_then(|row| row.try_get(0)).map_err(failed())?;
            let plain = row.len() as u64;
            pieces.send(Piece::Row(row)).await.map_err(|_| Error::Cancelled)?;
            count += 1;
            tell(Progress::Moved { table: &table.name, rows: 1, plain });
        }
        tell(Progress::Done { table: &table.name, rows: count });
    }
    pieces.send(Piece::End).await.map_err(|_| Error::Cancelled)
}

/// Returns the statement that writes rows as lines. `concat_ws` leaves out what is NULL, which is so
/// told from JSON's null.
fn line(table: &TenantTable, organization: Uuid) -> String {
    let member = |column: &&Column| {
        let name = ident(&column.name);
        let value = match column.kind.as_str() {
            "json" | "jsonb" => format!("l.{name}::text"),
            kind if kind.ends_with("[]") => format!("to_json(l.{name}::text)::text"),
            _ => format!("to_json(l.{name})::text"),
        };
        format!("{} || {value}", literal(&format!("{}:", serde_json::json!(column.name))))
    };
    let members: Vec<String> = exported(table).iter().map(member).collect();
    let begin = format!("{{\"table\":{},\"row\":{{", serde_json::json!(table.name));
    format!(
        "SELECT {} || concat_ws(',', {}) || '}}}}' FROM {} AS l WHERE {} ORDER BY {}",
        literal(&begin),
        members.join(", "),
        table.live(),
        table.is_of("l", organization),
        table.key.iter().map(|name| format!("l.{}", ident(name))).collect::<Vec<_>>().join(", ")
    )
}

/// Does not show who listens.
impl std::fmt::Debug for ExportOrganization {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExportOrganization")
            .field("organization", &self.organization)
            .field("output", &self.output)
            .field("recipients", &self.recipients)
            .finish_non_exhaustive()
    }
}

//! How an archive is read: a line at a time, and judged as a whole.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
};

use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::{
    ARCHIVE_FORMAT, Count, Header, HeaderOnly, KIND, LINE, Manifest, PURPOSE, Problem, Row,
    SECRETS, wrong,
};
use crate::{Error, Hash, Identities, Result, SigningKey, envelope};

/// How an age file begins.
const AGE: &[u8] = b"age-encryption.org/";

/// Reads an archive from end to end and hands on its rows, each with its table's place in the header;
/// `take` says whether it wants more. What is wrong with it may be known only at the end: who takes them
/// must be able to take them back.
///
/// # Errors
/// [`Problem::Archive`], [`Problem::WrongKey`] and [`Problem::File`]; [`Error::Forged`] where it must be
/// signed; [`Error::Cancelled`] when `take` wants no more.
pub(super) fn read(
    path: &Path,
    identities: &Identities,
    key: Option<&SigningKey>,
    mut take: impl FnMut(usize, &str) -> bool,
) -> Result<Header> {
    let file = path.display().to_string();
    let unreadable = |source| Problem::File { file: file.clone(), doing: "read", source };
    let mut input = BufReader::new(File::open(path).map_err(unreadable)?);
    let is_encrypted = input.fill_buf().map_err(unreadable)?.starts_with(AGE);
    if is_encrypted {
        let opened = match identities.open(input) {
            Ok(Some(opened)) => opened,
            Ok(None) => return Err(Problem::WrongKey { file }.into()),
            Err(error) => {
                return Err(wrong(&file, format!("it cannot be decrypted: {error}")).into());
            }
        };
        read_lines(&file, opened, key, &mut take)
    } else {
        read_lines(&file, input, key, &mut take)
    }
}

fn read_lines(
    file: &str,
    input: impl Read,
    key: Option<&SigningKey>,
    take: &mut impl FnMut(usize, &str) -> bool,
) -> Result<Header> {
    let damaged = |error: io::Error| wrong(file, format!("it is damaged, or was cut: {error}"));
    let mut lines = Lines {
        input: BufReader::new(zstd::stream::read::Decoder::new(input).map_err(damaged)?),
        line: String::new(),
        hash: Sha256::new(),
    };
    if !lines.next().map_err(|error| {
        wrong(file, format!("it is no archive of an organization, or was cut: {error}"))
    })? {
        return Err(wrong(file, "it is empty").into());
    }
    let header = header(file, &lines.line)?;
    let mut counts: Vec<Count> =
        header.tables.iter().map(|table| Count { name: table.name.clone(), rows: 0 }).collect();
    let (mut number, mut at) = (1_u64, 0);
    loop {
        let hash = lines.hash.clone();
        if !lines.next().map_err(damaged)? {
            return Err(wrong(file, "it was cut: its manifest, the last line, is missing").into());
        }
        number += 1;
        if lines.line.starts_with("{\"sha256\":") {
            let manifest: Manifest = envelope::open(PURPOSE, file, lines.line.as_bytes(), key)
                .map_err(|error| match error {
                    Error::Damaged { what, .. } => {
                        wrong(file, format!("its manifest: {what}")).into()
                    }
                    other => other,
                })?;
            let rows = counts.iter().map(|count| count.rows).sum();
            let sha256 = Some(Hash::end(hash));
            if manifest != (Manifest { rows, sha256, tables: counts }) {
                return Err(wrong(
                    file,
                    "its rows are not those that its manifest tells of; it was changed",
                )
                .into());
            }
            if lines.next().map_err(damaged)? {
                return Err(wrong(file, "there is something behind its end").into());
            }
            return Ok(header);
        }
        let (table, row) = row(&header, &lines.line)
            .map_err(|what| wrong(file, format!("line {number} {what}")))?;
        if table < at {
            return Err(wrong(file, format!("line {number} is out of order")).into());
        }
        at = table;
        if let Some(count) = counts.get_mut(table) {
            count.rows += 1;
        }
        if !take(table, row.get()) {
            return Err(Error::Cancelled);
        }
    }
}

fn header(file: &str, line: &str) -> Result<Header, Problem> {
    let no_archive = || wrong(file, "it is no archive of an organization");
    let only: HeaderOnly = serde_json::from_str::<serde_json::Value>(line)
        .and_then(serde_json::from_value)
        .map_err(|_| no_archive())?;
    if only.archive != KIND {
        return Err(no_archive());
    }
    if only.format > ARCHIVE_FORMAT {
        let what =
            format!("its format is {}, of a newer release; import it with that", only.format);
        return Err(wrong(file, what));
    }
    let header: Header = serde_json::from_str(line)
        .map_err(|error| wrong(file, format!("its first line cannot be read: {error}")))?;
    let known = brownie_migration::names();
    if let Some(unknown) = header.migrations.iter().find(|name| !known.contains(name)) {
        let what = format!("its schema has {unknown}, of a newer release; import it with that");
        return Err(wrong(file, what));
    }
    let secret = header.tables.iter().find_map(|table| {
        let is_secret =
            |column: &&String| SECRETS.contains(&(table.name.as_str(), column.as_str()));
        table.columns.iter().find(is_secret)
    });
    match secret {
        Some(column) => {
            Err(wrong(file, format!("it has the column {column}, which no archive has")))
        }
        None => Ok(header),
    }
}

/// Reads a row, and returns its table's place and the row itself.
fn row<'a>(header: &Header, line: &'a str) -> Result<(usize, &'a RawValue), String> {
    let Row { table, row } =
        serde_json::from_str(line).map_err(|error| format!("is no row: {error}"))?;
    let place = header.tables.iter().position(|it| it.name == table);
    let (place, table) = place
        .and_then(|place| Some((place, header.tables.get(place)?)))
        .ok_or_else(|| format!("is of the table {table}, which its first line does not name"))?;
    let values: BTreeMap<String, &RawValue> =
        serde_json::from_str(row.get()).map_err(|error| format!("has no row: {error}"))?;
    match values.keys().find(|name| !table.columns.contains(name)) {
        Some(column) => Err(format!("has the column {column}, which its first line does not name")),
        None => Ok((place, row)),
    }
}

struct Lines<R> {
    input: R,
    line: String,
    /// Of all lines so far.
    hash: Sha256,
}

impl<R: BufRead> Lines<R> {
    /// Reads the next line, if there is one.
    fn next(&mut self) -> io::Result<bool> {
        self.line.clear();
        let most = u64::try_from(LINE).unwrap_or(u64::MAX).saturating_add(1);
        let read = (&mut self.input).take(most).read_line(&mut self.line)?;
        if read == 0 {
            return Ok(false);
        }
        self.hash.update(self.line.as_bytes());
        if self.line.pop() == Some('\n') {
            return Ok(true);
        }
        let what = if read > LINE { "a line is too long" } else { "the last line has no end" };
        Err(io::Error::new(io::ErrorKind::InvalidData, what))
    }
}

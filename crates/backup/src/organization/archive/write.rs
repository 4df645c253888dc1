//! How an archive is written: on a thread of its own, a line at a time.

use std::io::{self, Write};

use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use zstd::stream::write::Encoder;

use super::{Count, Header, LINE, Manifest, PURPOSE};
use crate::{Hash, Recipients, SigningKey, envelope, seal::Sealed};

/// zstd's own default.
const LEVEL: i32 = 3;

/// What goes into an archive.
#[derive(Debug)]
pub(super) enum Piece {
    /// The next table begins.
    Table(String),
    /// One of its rows: a line, without its end.
    Row(String),
    /// There are no more. A channel that closes before it came was given up.
    End,
}

/// Writes an archive of what is received, and returns where it went, and its manifest.
///
/// # Errors
/// What the output said; `BrokenPipe` when the sender gave up.
pub(super) fn write<W: Write>(
    output: W,
    header: &Header,
    recipients: &Recipients,
    key: Option<&SigningKey>,
    mut pieces: mpsc::Receiver<Piece>,
) -> io::Result<(W, Manifest)> {
    let mut lines = Lines::new(recipients.seal(output)?)?;
    lines.put(serde_json::to_string(header)?.as_bytes())?;
    let mut manifest = Manifest::default();
    loop {
        match pieces.blocking_recv().ok_or(io::ErrorKind::BrokenPipe)? {
            Piece::Table(name) => manifest.tables.push(Count { name, rows: 0 }),
            Piece::Row(row) => {
                if row.len() > LINE {
                    return Err(io::Error::other(format!(
                        "a row is longer than {} MiB, which no archive has",
                        LINE >> 20
                    )));
                }
                lines.put(row.as_bytes())?;
                manifest.rows += 1;
                if let Some(table) = manifest.tables.last_mut() {
                    table.rows += 1;
                }
            }
            Piece::End => break,
        }
    }
    manifest.sha256 = Some(Hash::end(lines.hash.clone()));
    let last = envelope::close(PURPOSE, &manifest, key).map_err(io::Error::other)?;
    lines.put(&last)?;
    let mut output = lines.output.finish()?.finish()?;
    output.flush()?;
    Ok((output, manifest))
}

struct Lines<W: Write> {
    output: Encoder<'static, Sealed<W>>,
    hash: Sha256,
}

impl<W: Write> Lines<W> {
    fn new(output: Sealed<W>) -> io::Result<Self> {
        let mut output = Encoder::new(output, LEVEL)?;
        output.include_checksum(true)?;
        Ok(Self { output, hash: Sha256::new() })
    }

    fn put(&mut self, line: &[u8]) -> io::Result<()> {
        for bytes in [line, b"\n"] {
            self.hash.update(bytes);
            self.output.write_all(bytes)?;
        }
        Ok(())
    }
}

//! A part of a table as it is stored, made and read with bounded memory: text, compressed,
//! encrypted, and fingerprinted before and after.
//!
//! This is work for a processor, so it runs on threads of its own, with channels to the tasks that
//! talk to the database and to the store.

use std::io::{self, Read, Write};

use age::x25519::Recipient;
use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use zstd::bulk::Compressor;

use crate::{
    Error, Hash, Result,
    digest::{RowReader, Rows},
    manifest::Part,
    seal::{BackupKey, Sealed},
};

/// How many bytes an upload sends at once. All stores take 5 MiB or more, and some want all but the
/// last of one size.
pub(crate) const CHUNK: usize = 8 << 20;
/// How many bytes of text go through a thread at once.
pub(crate) const PIECE: usize = 256 << 10;
/// How many bytes of text are compressed at once, into a frame that needs none of the others. That is a
/// third faster than one stream, whose window has to be moved, and hardly larger.
const FRAME: usize = 2 << 20;
/// zstd's own default: beyond it, time grows faster than space shrinks.
const LEVEL: i32 = 3;

/// A piece of an object on its way to the store.
#[derive(Debug)]
pub(crate) enum Chunk {
    /// Of [`CHUNK`] bytes.
    Full(Bytes),
    /// Of as many or fewer. A channel that closes before it came was given up.
    Last(Bytes),
}

/// Takes what is to be stored, and sends it on in chunks of one size.
struct Outbox {
    chunks: mpsc::Sender<Chunk>,
    chunk: Vec<u8>,
    hash: Sha256,
    bytes: u64,
}

impl Outbox {
    fn send(&mut self, chunk: impl FnOnce(Bytes) -> Chunk) -> io::Result<()> {
        let bytes = std::mem::take(&mut self.chunk);
        self.chunks.blocking_send(chunk(bytes.into())).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl Write for Outbox {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = CHUNK - self.chunk.len();
        let (taken, _) = bytes.split_at(bytes.len().min(room));
        self.chunk.extend_from_slice(taken);
        self.hash.update(taken);
        self.bytes += taken.len() as u64;
        if self.chunk.len() == CHUNK {
            self.send(Chunk::Full)?;
        }
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A part in the making.
pub(crate) struct PartWriter {
    object: String,
    output: Sealed<Outbox>,
    compressor: Compressor<'static>,
    /// What is to be compressed next.
    frame: Vec<u8>,
    reader: RowReader,
    hash: Sha256,
    bytes: u64,
}

impl PartWriter {
    /// Begins the part that is to be stored as `object`, by whoever receives the chunks.
    pub(crate) fn new(
        object: String,
        recipient: Option<&Recipient>,
        chunks: mpsc::Sender<Chunk>,
    ) -> io::Result<Self> {
        let outbox = Outbox { chunks, chunk: Vec::new(), hash: Sha256::new(), bytes: 0 };
        Ok(Self {
            object,
            output: Sealed::new(outbox, recipient)?,
            compressor: Compressor::new(LEVEL)?,
            frame: Vec::new(),
            reader: RowReader::default(),
            hash: Sha256::new(),
            bytes: 0,
        })
    }

    /// Takes more text.
    pub(crate) fn write(&mut self, text: &[u8]) -> io::Result<()> {
        self.hash.update(text);
        self.reader.update(text);
        self.bytes += text.len() as u64;
        self.frame.extend_from_slice(text);
        if self.frame.len() >= FRAME { self.compress() } else { Ok(()) }
    }

    fn compress(&mut self) -> io::Result<()> {
        let compressed = self.compressor.compress(&self.frame)?;
        self.frame.clear();
        self.output.write_all(&compressed)
    }

    /// Returns how many rows it has so far.
    pub(crate) fn rows(&self) -> u64 {
        self.reader.rows()
    }

    /// Returns how much text it has, if it ends with a whole row.
    pub(crate) fn whole_bytes(&self) -> Option<u64> {
        self.reader.is_whole().then_some(self.bytes)
    }

    /// Sends the rest, and returns what is to be known of it.
    pub(crate) fn finish(mut self) -> io::Result<(Part, Rows)> {
        if !self.frame.is_empty() {
            self.compress()?;
        }
        let mut outbox = self.output.finish()?;
        if !self.reader.is_whole() {
            return Err(io::Error::other("the database ended in the middle of a row"));
        }
        outbox.send(Chunk::Last)?;
        let rows = self.reader.take();
        let part = Part {
            object: self.object,
            rows: rows.count,
            plain_bytes: self.bytes,
            plain_sha256: Hash::end(self.hash),
            stored_bytes: outbox.bytes,
            stored_sha256: Hash::end(outbox.hash),
        };
        Ok((part, rows))
    }
}

/// Gives out what is received from the store.
pub(crate) struct Inbox {
    chunks: mpsc::Receiver<Result<Bytes>>,
    chunk: Bytes,
    hash: Sha256,
    bytes: u64,
    /// Why no more came, if that was the store's fault.
    failed: Option<Error>,
}

impl Inbox {
    pub(crate) fn new(chunks: mpsc::Receiver<Result<Bytes>>) -> Self {
        Self { chunks, chunk: Bytes::new(), hash: Sha256::new(), bytes: 0, failed: None }
    }
}

impl Read for Inbox {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.chunk.is_empty() {
            match self.chunks.blocking_recv() {
                Some(Ok(chunk)) => {
                    self.hash.update(&chunk);
                    self.bytes += chunk.len() as u64;
                    self.chunk = chunk;
                }
                Some(Err(error)) => {
                    self.failed = Some(error);
                    return Err(io::ErrorKind::BrokenPipe.into());
                }
                None => return Ok(0),
            }
        }
        let taken = self.chunk.split_to(into.len().min(self.chunk.len()));
        // No longer than what it goes into.
        into.split_at_mut(taken.len()).0.copy_from_slice(&taken);
        Ok(taken.len())
    }
}

/// Reads a stored part to its end and hands its text on, piece by piece; then compares it with what
/// the manifest says. What is wrong with it is known only then: who takes the text must be able to
/// take it back.
///
/// # Errors
/// [`Error::Damaged`], naming `object`; what the store said; or [`Error::Cancelled`] when `take` says
/// that nobody wants more.
pub(crate) fn read_part(
    part: &Part,
    object: &str,
    key: Option<&BackupKey>,
    mut inbox: Inbox,
    mut take: impl FnMut(Bytes) -> bool,
) -> Result<Rows> {
    let damaged = |what: String| Error::Damaged { object: object.to_owned(), what };
    let mut seen = Seen::default();
    let outcome = match key {
        Some(key) => match key.decrypt(&mut inbox) {
            Ok(plain) => seen.read(part, plain, &mut take),
            Err(error) => Err(error),
        },
        None => seen.read(part, &mut inbox, &mut take),
    };
    if let Some(error) = inbox.failed.take() {
        return Err(error);
    }
    match outcome {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(Error::Cancelled),
        Err(error) => return Err(damaged(format!("it cannot be read: {error}"))),
    }
    // What stands behind the end counts, too.
    io::copy(&mut inbox, &mut io::sink()).map_err(|error| damaged(error.to_string()))?;
    let differs = |what: &str| Err(damaged(format!("its {what} is not what the manifest says")));
    if inbox.bytes != part.stored_bytes {
        return differs("length");
    }
    if Hash::end(inbox.hash) != part.stored_sha256 {
        return differs("SHA-256");
    }
    if seen.bytes != part.plain_bytes || Hash::end(seen.hash) != part.plain_sha256 {
        return differs("text");
    }
    let rows = seen.reader.take();
    if rows.count != part.rows || !seen.reader.is_whole() {
        return differs("number of rows");
    }
    Ok(rows)
}

/// What was seen of a part's text.
#[derive(Default)]
struct Seen {
    hash: Sha256,
    reader: RowReader,
    bytes: u64,
}

impl Seen {
    fn read(
        &mut self,
        part: &Part,
        input: impl Read,
        take: &mut impl FnMut(Bytes) -> bool,
    ) -> io::Result<()> {
        let mut text = zstd::stream::read::Decoder::new(input)?;
        loop {
            let mut piece = Vec::with_capacity(PIECE);
            (&mut text).take(PIECE as u64).read_to_end(&mut piece)?;
            if piece.is_empty() {
                return Ok(());
            }
            self.hash.update(&piece);
            self.reader.update(&piece);
            self.bytes += piece.len() as u64;
            // A little that unpacks into very much is not ours.
            if self.bytes > part.plain_bytes {
                return Err(io::Error::other("it has more in it than the manifest says"));
            }
            if !take(piece.into()) {
                return Err(io::ErrorKind::Interrupted.into());
            }
        }
    }
}

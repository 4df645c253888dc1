//! Whether a connection's session is ours: asked of each connection when it is opened, since one address may
//! lead to several poolers, and to the server itself.
//!
//! A server names its process twice: in `BackendKeyData`, for cancelling, and as `pg_backend_pid()`. Whatever
//! stands in between cannot hand on the first, because it keeps one key for each of its clients; so where the
//! two differ, something does.

use std::{
    collections::BTreeSet,
    io,
    pin::Pin,
    task::{Context, Poll},
};

use deadpool_postgres::ClientWrapper;
use tokio::io::{
    AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex,
};
use tokio_postgres::{
    SimpleQueryMessage,
    error::SqlState,
    tls::{ChannelBinding, TlsConnect, TlsStream},
};

use super::connection::Connector;
use crate::{Error, Result};

/// What an operator knows of what stands in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pooler {
    /// Nothing is known: each connection finds out.
    #[default]
    Unknown,
    /// Nothing hands our statements to other sessions: no pooler, or one in session mode.
    Session,
    /// A pooler in transaction mode, that keeps prepared statements apart.
    Transaction,
}

/// How often to look. A pooler may give us the same server connection twice by chance.
const LOOKS: usize = 8;

/// A statement that nobody else prepares.
const MARK: &str = "SELECT 'brownie asks who is in between'";

const BAD_POOLER: &str = "there is a pooler in transaction mode between us and the database that \
    hands on the names of prepared statements as they are (PgBouncer before 1.21, or a newer one \
    without max_prepared_statements): it gives one client the rows of another's query. Use PgBouncer \
    1.21 or newer with max_prepared_statements = 200, session mode, or no pooler";

/// Tells whether the sessions of an open connection are those of a pooler in transaction mode. `backend` is
/// what the server says of itself.
///
/// # Errors
/// When such a pooler cannot tell our prepared statements from others'.
pub(super) async fn is_between(
    connector: &Connector,
    client: &ClientWrapper,
    backend: i32,
) -> Result<bool> {
    if process_of(client).await? == backend {
        return Ok(false);
    }
    if hands_names_on(client).await? {
        // Harmless where sessions are kept apart.
        return if shares_sessions(connector).await? { Err(bad_pooler()) } else { Ok(false) };
    }
    Ok(true)
}

pub(super) fn bad_pooler() -> Error {
    Error::Settings(BAD_POOLER.to_owned())
}

/// Returns which process `BackendKeyData` named. tokio-postgres tells it only to whoever cancels, so a
/// cancellation is written to ourselves (PostgreSQL manual, section 55.7, `CancelRequest`).
async fn process_of(client: &ClientWrapper) -> Result<i32> {
    const CANCEL_REQUEST: usize = 16;
    let (ours, mut theirs) = duplex(256);
    // The answer to a request for encryption, where one comes first: go on.
    theirs.write_all(b"S").await.map_err(closed)?;
    client.cancel_token().cancel_query_raw(Plain(ours), Unencrypted).await?;
    let mut written = Vec::new();
    theirs.read_to_end(&mut written).await.map_err(closed)?;
    let process = written.last_chunk::<CANCEL_REQUEST>().map(|request| {
        let [_, _, _, _, _, _, _, _, process @ .., _, _, _, _] = request;
        i32::from_be_bytes(*process)
    });
    process.ok_or_else(|| closed(io::ErrorKind::UnexpectedEof.into()))
}

fn closed(error: io::Error) -> Error {
    Error::Unavailable(Some(Box::new(error)))
}

/// Tells whether the server sees our prepared statements by the names that we gave them, as any client of a
/// pooler may. Asked in a transaction, which one server process answers as a whole.
pub(super) async fn hands_names_on(client: &ClientWrapper) -> Result<bool> {
    client.batch_execute("BEGIN").await?;
    let marked = client.prepare(MARK).await.map_err(mixed_up)?;
    let look = format!(
        "SELECT string_agg(name, ' ') FROM pg_prepared_statements WHERE statement = '{}'",
        MARK.replace('\'', "''")
    );
    let mut names = Vec::new();
    for message in client.simple_query(&look).await? {
        let SimpleQueryMessage::Row(row) = message else { continue };
        names.extend(row.get(0).map(str::to_owned));
    }
    client.query(&marked, &[]).await.map_err(mixed_up)?;
    client.batch_execute("COMMIT").await?;
    // tokio-postgres names its statements s0, s1 and so on, in every process alike.
    Ok(names.iter().any(|found| found.split(' ').any(|name| name.starts_with('s'))))
}

/// Tells whether two connections of ours get to share server processes, as they do behind a pooler in
/// transaction mode.
async fn shares_sessions(connector: &Connector) -> Result<bool> {
    let first = connector.connect().await?;
    let second = connector.connect().await?;
    let (mut firsts, mut seconds) = (BTreeSet::new(), BTreeSet::new());
    for _ in 0..LOOKS {
        for (client, backends) in [(&first, &mut firsts), (&second, &mut seconds)] {
            for message in client.simple_query("SELECT pg_backend_pid()").await? {
                let SimpleQueryMessage::Row(row) = message else { continue };
                backends.extend(row.get(0).map(str::to_owned));
            }
        }
    }
    Ok(firsts.len() > 1 || seconds.len() > 1 || !firsts.is_disjoint(&seconds))
}

/// A statement that we prepared is not there, or another is: the pooler mixed them up.
fn mixed_up(error: tokio_postgres::Error) -> Error {
    match error.code() {
        Some(&SqlState::INVALID_SQL_STATEMENT_NAME | &SqlState::DUPLICATE_PSTATEMENT) => {
            bad_pooler()
        }
        _ => error.into(),
    }
}

/// What a cancellation is written to instead of a server.
struct Plain(DuplexStream);

/// "Encrypts" it by leaving it as it is.
struct Unencrypted;

impl TlsConnect<Plain> for Unencrypted {
    type Stream = Plain;
    type Error = io::Error;
    type Future = std::future::Ready<io::Result<Plain>>;

    fn connect(self, stream: Plain) -> Self::Future {
        std::future::ready(Ok(stream))
    }
}

impl TlsStream for Plain {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl AsyncRead for Plain {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Plain {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

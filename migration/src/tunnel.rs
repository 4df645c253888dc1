//! The way to a server by TLS of ours.
//!
//! sqlx knows one CA of a bundle, believes the machine's besides, and takes keys in one form only. So
//! it is given a socket in a directory that only we may enter, and what it says there is carried to
//! the server through a connector that knows better. One connection passes and no second: with a
//! connection goes the lock that keeps migrators apart, so a pool must not quietly make another.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use native_tls::TlsConnector;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpStream, UnixListener},
    time::timeout,
};
use tokio_native_tls::TlsStream;

/// How long each step on the way may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// PostgreSQL's question whether a server speaks TLS (manual, section 53.7, `SSLRequest`).
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// Why there is no way to the server.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TunnelError {
    /// Nobody is there, or not yet.
    #[error("{address} does not answer")]
    Away {
        /// Where.
        address: String,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// It speaks no TLS. We speak nothing else.
    #[error(
        "{address} offers no TLS, and without it nothing is sent; see ssl in its postgresql.conf"
    )]
    NoTls {
        /// Where.
        address: String,
    },
    /// It ends the connection as soon as it has seen our certificate, or that there is none.
    #[error(
        "{address} does not accept our certificate ({why}); is it of the CA that the server believes, not expired, not revoked?"
    )]
    Certificate {
        /// Where.
        address: String,
        /// What it says.
        why: String,
    },
    /// It is not whom we take it for, or does not believe us.
    #[error("{address} and we do not trust each other")]
    Untrusted {
        /// Where.
        address: String,
        /// What OpenSSL says.
        #[source]
        source: native_tls::Error,
    },
}

/// An open way, for one connection.
#[derive(Debug)]
pub(crate) struct Tunnel {
    dir: TempDir,
}

impl Tunnel {
    /// Opens it as far as the server's TLS. `connector` decides how far that is verified.
    pub(crate) async fn open(
        host: &str,
        port: u16,
        connector: TlsConnector,
    ) -> Result<Self, TunnelError> {
        let address = format!("{host}:{port}");
        let away = |source| TunnelError::Away { address: address.clone(), source };
        let far = reach(host, port, connector).await?;
        // Mode 0700: whoever could enter would be let in as us.
        let dir = tempfile::Builder::new().prefix("brownie-").tempdir().map_err(away)?;
        let near = UnixListener::bind(dir.path().join(socket_name(port))).map_err(away)?;
        drop(tokio::spawn(carry(near, far)));
        Ok(Self { dir })
    }

    /// Returns the directory in which a driver finds the socket.
    pub(crate) fn directory(&self) -> &Path {
        self.dir.path()
    }
}

/// Opens an encrypted connection to a PostgreSQL server, as far as the server says nothing against us:
/// what is said on it next is the start-up message. `connector` decides how far the server is verified.
///
/// # Errors
/// Which step of the way failed.
pub async fn reach(
    host: &str,
    port: u16,
    connector: TlsConnector,
) -> Result<TlsStream<TcpStream>, TunnelError> {
    let address = format!("{host}:{port}");
    let away = |source| TunnelError::Away { address: address.clone(), source };
    let stream = limited(TcpStream::connect((host, port))).await.map_err(away)?;
    stream.set_nodelay(true).map_err(away)?;
    let mut stream = stream;
    let mut answer = [0];
    limited(async {
        stream.write_all(&SSL_REQUEST).await?;
        stream.read_exact(&mut answer).await
    })
    .await
    .map_err(away)?;
    if &answer != b"S" {
        return Err(TunnelError::NoTls { address });
    }
    let connector = tokio_native_tls::TlsConnector::from(connector);
    let mut far = match timeout(PATIENCE, connector.connect(host, stream)).await {
        Ok(Ok(far)) => far,
        Ok(Err(source)) => return Err(TunnelError::Untrusted { address, source }),
        Err(_) => return Err(away(io::ErrorKind::TimedOut.into())),
    };
    if let Some(why) = refusal(&mut far).await {
        return Err(TunnelError::Certificate { address, why });
    }
    Ok(far)
}

/// How long a server has to say that it does not want us.
const SECOND_THOUGHTS: Duration = Duration::from_millis(150);

/// Waits for what a server says of our certificate: in TLS 1.3 that comes after our handshake is done
/// (RFC 8446, section 4.4.2.4). Had we sent anything by then, its last word would be lost to a reset.
/// PostgreSQL says nothing before it is asked, so a good one lets the time pass.
async fn refusal(far: &mut TlsStream<TcpStream>) -> Option<String> {
    let mut byte = [0];
    match timeout(SECOND_THOUGHTS, far.read(&mut byte)).await {
        Err(_) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Ok(Ok(_)) => Some("it ended the connection".to_owned()),
    }
}

/// How PostgreSQL calls the socket of a port.
fn socket_name(port: u16) -> PathBuf {
    format!(".s.PGSQL.{port}").into()
}

async fn carry(near: UnixListener, mut far: TlsStream<TcpStream>) {
    let Ok((mut one, _)) = near.accept().await else { return };
    drop(near);
    // Whoever reads and writes at the near end sees that it is over.
    let _ = copy_bidirectional(&mut one, &mut far).await;
}

async fn limited<T>(step: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(PATIENCE, step).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

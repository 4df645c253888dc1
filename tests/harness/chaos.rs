//! A TCP proxy that misbehaves when told to.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, tcp::OwnedReadHalf, tcp::OwnedWriteHalf},
    task::JoinHandle,
};

/// What the proxy does with the bytes of connections that are already open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Mode {
    /// Hands them on.
    Pass = 0,
    /// Takes them and says nothing, like a host that is gone. New connections pass.
    Silence = 1,
    /// Closes.
    Cut = 2,
}

/// A proxy on a port of its own.
#[derive(Debug)]
pub struct ChaosProxy {
    port: u16,
    /// The mode of the connections opened so far; replaced when the mode changes back, so that
    /// silenced connections stay silent.
    mode: Arc<AtomicU8>,
    task: JoinHandle<()>,
}

impl ChaosProxy {
    /// Starts a proxy to a port of this machine.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn to(port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let own_port = listener.local_addr()?.port();
        let target = SocketAddr::from(([127, 0, 0, 1], port));
        let mode = Arc::new(AtomicU8::new(Mode::Pass as u8));
        let shared = Arc::clone(&mode);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serve(
                    client,
                    target,
                    Arc::clone(&shared),
                    shared.load(Ordering::SeqCst),
                ));
            }
        });
        Ok(Self { port: own_port, mode, task })
    }

    /// Returns the port to connect to.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Changes what happens to the connections that are open now. Connections opened later pass
    /// until the next change.
    pub fn set(&self, mode: Mode) {
        self.mode.store(mode as u8, Ordering::SeqCst);
    }
}

impl Drop for ChaosProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(client: TcpStream, target: SocketAddr, mode: Arc<AtomicU8>, born_in: u8) {
    let Ok(server) = TcpStream::connect(target).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        () = pump(from_client, to_server, &mode, born_in) => {}
        () = pump(from_server, to_client, &mode, born_in) => {}
    }
}

/// A connection follows the mode only when that changes after its birth: what is opened while
/// others are silent passes.
async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mode: &AtomicU8, born_in: u8) {
    let mut buffer = vec![0; 16 * 1024];
    let mut silent = false;
    loop {
        let Ok(read @ 1..) = from.read(&mut buffer).await else {
            if silent {
                // A host that is gone does not say goodbye either.
                std::future::pending::<()>().await;
            }
            return;
        };
        let now = mode.load(Ordering::SeqCst);
        if now != born_in && now == Mode::Cut as u8 {
            return;
        }
        silent |= now != born_in && now == Mode::Silence as u8;
        if !silent && to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}

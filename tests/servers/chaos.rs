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

    /// Starts a proxy that resets each connection after some bytes, up to `most` in either direction,
    /// until it is told to [`Mode::Pass`].
    ///
    /// # Errors
    /// When no port is free.
    pub async fn cutting(port: u16, seed: u64, most: u64) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let own_port = listener.local_addr()?.port();
        let target = SocketAddr::from(([127, 0, 0, 1], port));
        let mode = Arc::new(AtomicU8::new(Mode::Cut as u8));
        let shared = Arc::clone(&mode);
        let task = tokio::spawn(async move {
            let mut dice = Dice::new(seed);
            while let Ok((client, _)) = listener.accept().await {
                let cuts = shared.load(Ordering::SeqCst) == Mode::Cut as u8;
                let budgets =
                    if cuts { (dice.below(most), dice.below(most)) } else { (u64::MAX, u64::MAX) };
                tokio::spawn(serve_until(client, target, budgets));
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

/// Numbers that look like chance and are the same in every run (Knuth's MMIX generator).
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// Starts with a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Returns a number below `most`, which is not 0.
    pub fn below(&mut self, most: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }
}

async fn serve_until(client: TcpStream, target: SocketAddr, budgets: (u64, u64)) {
    let Ok(server) = TcpStream::connect(target).await else { return };
    for stream in [&client, &server] {
        let _ = stream.set_nodelay(true);
        // Closing resets: what is under way is lost.
        let _ = stream.set_zero_linger();
    }
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        () = pump_until(from_client, to_server, budgets.0) => {}
        () = pump_until(from_server, to_client, budgets.1) => {}
    }
}

async fn pump_until(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut budget: u64) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let Ok(read @ 1..) = from.read(&mut buffer).await else { return };
        let passed = usize::try_from(budget).map_or(read, |budget| budget.min(read));
        if to.write_all(&buffer[..passed]).await.is_err() || passed < read {
            return;
        }
        budget = budget.saturating_sub(passed as u64);
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

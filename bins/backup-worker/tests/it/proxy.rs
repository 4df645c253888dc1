//! Stands before a store, and fails as stores do. Each request has a connection of its own.

use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use brownie_test_servers::until;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// It is passed on.
    Pass,
    /// It is read, and never answered.
    Stall,
    /// Its connection is reset.
    Reset,
    /// It is answered so: status and reason, then the body.
    Answer(&'static str, &'static str),
}

#[derive(Debug)]
struct State {
    mode: Mode,
    /// After so many requests that were passed on, another mode.
    next: Option<(u64, Mode)>,
    passed: u64,
}

/// A proxy to a port of this machine.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

impl Proxy {
    pub(crate) async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = listener.local_addr().unwrap().port();
        let state = Arc::new(Mutex::new(State { mode: Mode::Pass, next: None, passed: 0 }));
        let shared = Arc::clone(&state);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let state = Arc::clone(&shared);
                drop(tokio::spawn(async move {
                    let _ = serve(client, port, &state).await;
                }));
            }
        });
        Self { port: own, state, task }
    }

    pub(crate) fn set(&self, mode: Mode) {
        let mut state = self.state.lock().unwrap();
        (state.mode, state.next) = (mode, None);
    }

    /// Passes so many more requests, and then does otherwise.
    pub(crate) fn set_after(&self, requests: u64, mode: Mode) {
        let mut state = self.state.lock().unwrap();
        let at = state.passed + requests;
        (state.mode, state.next) = (Mode::Pass, Some((at, mode)));
    }

    /// Waits until it has begun to do otherwise.
    pub(crate) async fn has_begun(&self) {
        until("the trouble begins", Duration::from_mins(2), async || {
            self.state.lock().unwrap().mode != Mode::Pass
        })
        .await;
    }

    /// Returns how many requests were passed on.
    pub(crate) fn passed(&self) -> u64 {
        self.state.lock().unwrap().passed
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl State {
    fn take(&mut self) -> Mode {
        if let Some((at, mode)) = self.next
            && self.passed >= at
        {
            (self.mode, self.next) = (mode, None);
        }
        if self.mode == Mode::Pass {
            self.passed += 1;
        }
        self.mode
    }
}

async fn serve(mut client: TcpStream, port: u16, state: &Mutex<State>) -> io::Result<()> {
    let (head, begun) = head(&mut client).await?;
    let length = |line: &str| {
        let (name, value) = line.split_once(':')?;
        if name.eq_ignore_ascii_case("content-length") { value.trim().parse().ok() } else { None }
    };
    let length: u64 = head.lines().find_map(length).unwrap_or(0);
    let mode = state.lock().unwrap().take();
    match mode {
        Mode::Pass => {
            let mut server = TcpStream::connect(("127.0.0.1", port)).await?;
            // So that the next request comes by itself.
            let head = head.replacen("\r\n", "\r\nConnection: close\r\n", 1);
            server.write_all(head.as_bytes()).await?;
            server.write_all(&begun).await?;
            copy_bidirectional(&mut client, &mut server).await.map(drop)
        }
        Mode::Stall => std::future::pending().await,
        Mode::Reset => client.set_zero_linger(),
        Mode::Answer(status, body) => {
            let mut rest = (&mut client).take(length.saturating_sub(begun.len() as u64));
            tokio::io::copy(&mut rest, &mut tokio::io::sink()).await?;
            let size = body.len();
            let answer = format!(
                "HTTP/1.1 {status}\r\nContent-Length: {size}\r\nConnection: close\r\n\r\n{body}"
            );
            client.write_all(answer.as_bytes()).await
        }
    }
}

/// Reads a request's head, and what came with it of its body.
async fn head(client: &mut TcpStream) -> io::Result<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let body = bytes.split_off(end + 4);
            return Ok((String::from_utf8_lossy(&bytes).into_owned(), body));
        }
        let mut piece = [0; 4096];
        let read = client.read(&mut piece).await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        bytes.extend_from_slice(&piece[..read]);
    }
}

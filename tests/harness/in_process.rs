//! The server inside the test process: the service that `brownie-server` runs, with its own threads,
//! sockets and settings, and without a program to link and start. Signals, crashes, exit codes and log
//! lines are tested on the program ([`Service`](crate::Service)).

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    sync::{OnceLock, mpsc},
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail};
use brownie_config::Reader;
use brownie_logging::{Logging, Options};
use brownie_server::{ServerSettings, prepare};
use tokio::sync::oneshot;

use crate::{Client, Serves, service::server_variables};

/// A running server on a thread of its own.
#[derive(Debug)]
pub struct InProcess {
    address: SocketAddr,
    metrics: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl InProcess {
    /// Starts the server on a migrated database.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn server(database_url: &str) -> Result<Self> {
        Self::server_with(database_url, &[]).await
    }

    /// Starts the server on a migrated database, with settings of the test's own.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn server_with(database_url: &str, more: &[(&str, &str)]) -> Result<Self> {
        let mut variables: BTreeMap<String, String> =
            server_variables(database_url, more).into_iter().collect();
        for port in ["METADATA_PORT", "METRICS_PORT"] {
            variables.insert(port.to_owned(), "0".to_owned());
        }
        let mut reader = Reader::from_values(variables);
        let settings = ServerSettings::read(&mut reader);
        reader.finish().map_err(|problems| anyhow!("{problems}"))?;
        log_to_standard_error();

        let (stop, stopped) = oneshot::channel();
        let (tell, told) = mpsc::channel();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()?;
            runtime.block_on(async {
                let service = prepare(settings, None, Duration::from_secs(30)).await?;
                let _ = tell.send((service.address()?, service.metrics_address()?));
                let stop = async {
                    // Gone without a word: the test has ended, and so does this.
                    let _ = stopped.await;
                    io::Result::Ok(())
                };
                Ok(service.run(stop).await?)
            })
        });
        match tokio::task::spawn_blocking(move || told.recv()).await? {
            Ok((address, metrics)) => {
                Ok(Self { address, metrics, stop: Some(stop), thread: Some(thread) })
            }
            Err(_) => match thread.join() {
                Ok(outcome) => bail!("the server ended before it served: {outcome:?}"),
                Err(_) => bail!("the server panicked before it served"),
            },
        }
    }

    /// Returns the URL it answers at.
    pub fn base(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns a client nobody knows.
    pub fn client(&self) -> Client {
        Client::anonymous(&self.base())
    }

    /// Returns a client of the port for metrics alone.
    pub fn metrics_client(&self) -> Client {
        Client::anonymous(&format!("http://{}", self.metrics))
    }

    /// Has it finish what is under way, and waits until it has ended.
    ///
    /// # Errors
    /// How it failed.
    pub async fn stop(mut self) -> Result<()> {
        drop(self.stop.take());
        let thread = self.thread.take().context("it runs until it is stopped")?;
        let outcome = tokio::task::spawn_blocking(move || thread.join()).await?;
        outcome.map_err(|_| anyhow!("the server panicked"))?
    }
}

impl Serves for InProcess {
    fn base(&self) -> String {
        self.base()
    }
}

/// nextest shows what a test that fails has printed.
fn log_to_standard_error() {
    static LOGGING: OnceLock<Option<Logging>> = OnceLock::new();
    LOGGING.get_or_init(|| brownie_logging::start(Options::new("warn".to_owned(), false)).ok());
}

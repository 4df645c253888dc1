//! The service as a whole: two listeners, one for the API, and one for metrics and probes, which answers while
//! the API's is full.

use std::{
    fmt, io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use actix_tls::accept::openssl::TlsStream;
use actix_web::{
    App, HttpServer,
    middleware::{Compress, NormalizePath, from_fn},
    rt::net::TcpStream,
    web,
};
use brownie_config::ServiceSettings;
use brownie_metrics::Exporter;
use openssl::ssl::{SslAcceptorBuilder, SslRef};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

use crate::{
    Code, Deps, Origins, Problem, access, body, bulkhead, edges, figures, health, limits, observe,
    routes, sending,
};

/// How to listen.
#[derive(Debug)]
pub struct Listen {
    /// The API's socket.
    pub api: TcpListener,
    /// The socket of `/metrics` and of the probes, apart from the API's.
    pub metrics: TcpListener,
    /// Threads that handle requests; none for as many as there are cores.
    pub workers: Option<usize>,
    /// The most connections at a time; more wait in the listener's queue.
    pub max_connections: usize,
    /// Which pages' scripts may ask.
    pub origins: Origins,
    /// How often the whole database is looked at for metrics; zero for never.
    pub figures_every: Duration,
    /// How long a connection without a request is kept.
    pub keep_alive: Duration,
    /// How long a client may take nothing of its answer.
    pub send_timeout: Duration,
    /// How long requests are still taken after a signal to stop, while readiness says no.
    pub drain: Duration,
    /// How the API is encrypted, if it is.
    pub tls: Option<Tls>,
}

/// How the API is encrypted, and how a client is known by a certificate.
pub struct Tls {
    /// What decides with which certificates, and which are taken.
    pub acceptor: SslAcceptorBuilder,
    /// Returns the CN of what a client has shown and proved, if it has, and what tells whether it holds still.
    pub peer: Box<PeerOf>,
}

/// Tells who has shown a certificate on a new connection.
pub type PeerOf = dyn Fn(&SslRef) -> Option<(Option<String>, Holds)> + Send + Sync;

/// Tells whether the certificate that a client has shown holds still.
pub type Holds = Box<dyn Fn() -> bool + Send + Sync>;

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

impl Listen {
    /// Binds both sockets, as the settings say.
    ///
    /// # Errors
    /// When an address is in use or is not ours. The message says which, and what to do.
    pub fn on(settings: &ServiceSettings) -> io::Result<Self> {
        let address = |port| SocketAddr::new(settings.host, port);
        Ok(Self {
            api: bind(address(settings.port), "METADATA_PORT")?,
            metrics: bind(address(settings.metrics_port), "METRICS_PORT")?,
            workers: settings.workers,
            max_connections: settings.max_connections,
            figures_every: if settings.metrics_enabled {
                settings.metrics_interval
            } else {
                Duration::ZERO
            },
            origins: match settings.cors_origins.as_slice() {
                [] => Origins::Own,
                [any] if any == "*" => Origins::Any,
                listed => Origins::Listed(listed.to_vec()),
            },
            keep_alive: settings.keep_alive,
            send_timeout: settings.send_timeout,
            drain: settings.drain,
            tls: None,
        })
    }
}

fn bind(address: SocketAddr, variable: &str) -> io::Result<TcpListener> {
    TcpListener::bind(address).map_err(|error| {
        let advice = match error.kind() {
            io::ErrorKind::AddrInUse => {
                format!("is in use; stop what listens there, or set {variable}")
            }
            _ => format!("cannot be listened on ({error}); set METADATA_HOST or {variable}"),
        };
        io::Error::new(error.kind(), format!("{address} {advice}"))
    })
}

/// How long requests under way may take after a signal to stop.
const GRACE: Duration = Duration::from_secs(20);

/// Whoever is at the other end of a connection, by the certificate that was shown when it was opened.
pub(crate) struct Peer {
    /// What the certificate calls them, if it has a CN.
    pub(crate) name: Option<String>,
    /// Whether it is neither over nor revoked by now.
    pub(crate) holds: Holds,
}

/// Where the service is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Serves,
    /// It was told to stop, and still takes requests.
    Drains,
    Stops,
}

/// Whether the service stops. What would answer for a long time ends then.
#[derive(Debug)]
pub(crate) struct Closing(watch::Receiver<Stage>);

impl Closing {
    /// Tells whether it was told to stop.
    pub(crate) fn is_near(&self) -> bool {
        *self.0.borrow() >= Stage::Drains
    }

    pub(crate) fn has_begun(&self) -> bool {
        *self.0.borrow() == Stage::Stops
    }

    pub(crate) async fn begins(&self) {
        // An error means that the service itself is gone.
        drop(self.0.clone().wait_for(|stage| *stage == Stage::Stops).await);
    }
}

/// Waits until the process is told to stop: SIGTERM or SIGINT.
///
/// # Errors
/// When signals cannot be waited for.
pub async fn stop_signal() -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        interrupted = tokio::signal::ctrl_c() => interrupted,
    }
}

/// A service that is set up and not yet running.
#[derive(Debug)]
pub struct Service {
    listen: Listen,
    deps: Deps,
}

impl Service {
    /// Puts a service together.
    pub fn new(listen: Listen, deps: Deps) -> Self {
        Self { listen, deps }
    }

    /// Returns the address of the API, with the port that was really taken.
    ///
    /// # Errors
    /// When the socket is gone.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listen.api.local_addr()
    }

    /// Returns the address of the metrics alone, with the port that was really taken.
    ///
    /// # Errors
    /// When the socket is gone.
    pub fn metrics_address(&self) -> io::Result<SocketAddr> {
        self.listen.metrics.local_addr()
    }

    /// Serves until `stop` is over, which for a program is [`stop_signal`]: then it takes no more
    /// requests, finishes those under way, waits for their units of work, and returns.
    ///
    /// # Errors
    /// When the sockets cannot be used.
    pub async fn run(
        self,
        stop: impl Future<Output = io::Result<()>> + Send + 'static,
    ) -> io::Result<()> {
        let Self { listen, deps } = self;
        let upkeep = upkeep(deps.exporter.clone());
        let figures = tokio::spawn(figures::watch(deps.clone(), listen.figures_every));
        let store = deps.store.clone();
        let shared = web::Data::new(deps);

        let (close, closing) = watch::channel(Stage::Serves);
        let closing = web::Data::new(Closing(closing));

        let (for_metrics, closing_of_metrics) = (shared.clone(), closing.clone());
        let metrics = HttpServer::new(move || {
            App::new()
                .app_data(for_metrics.clone())
                .app_data(closing_of_metrics.clone())
                .wrap(from_fn(observe::observe))
                .route("/livez", web::get().to(health::live))
                .route("/metrics", web::get().to(health::metrics))
                .route("/readyz", web::get().to(health::ready))
                .default_service(web::to(nothing_here))
        })
        .workers(1)
        .disable_signals()
        .listen(listen.metrics)?
        .run();
        let metrics_handle = metrics.handle();
        let metrics = tokio::spawn(metrics);

        sending::end_what_is_not_taken(&listen.api, listen.send_timeout)?;
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let workers = listen.workers.unwrap_or_else(cores).max(1);
        let origins = listen.origins;
        let (acceptor, peer) =
            listen.tls.map(|Tls { acceptor, peer }| (acceptor, Arc::new(peer))).unzip();
        let api = HttpServer::new(move || {
            App::new()
                .app_data(shared.clone())
                .app_data(closing.clone())
                .app_data(web::PayloadConfig::new(body::MAX_BODY))
                .wrap(from_fn(bulkhead::share))
                .wrap(from_fn(sending::in_pieces))
                .wrap(from_fn(limits::limit))
                .wrap(from_fn(access::identify))
                .wrap(NormalizePath::trim())
                .wrap(Compress::default())
                .wrap(edges::cors(&origins))
                .wrap(from_fn(observe::observe))
                .configure(routes::configure)
                .default_service(web::to(nothing_here))
        })
        .client_request_timeout(Duration::from_secs(10))
        .keep_alive(listen.keep_alive)
        .max_connections(listen.max_connections.div_ceil(workers))
        // As many handshakes at a time as connections: who says nothing keeps nobody else from theirs.
        .max_connection_rate(listen.max_connections.div_ceil(workers))
        .shutdown_timeout(GRACE.as_secs())
        .on_connect(move |connection, data| {
            let stream = connection.downcast_ref::<TlsStream<TcpStream>>();
            if let (Some(stream), Some(peer)) = (stream, &peer)
                && let Some((name, holds)) = peer(stream.ssl())
            {
                data.insert(Peer { name, holds });
            }
        })
        .disable_signals()
        .workers(workers);
        let api = match acceptor {
            Some(acceptor) => api.listen_openssl(listen.api, acceptor)?,
            None => api.listen(listen.api)?,
        };
        let api = api.run();
        let handle = api.handle();
        let stopping = tokio::spawn(async move {
            stop.await?;
            let _ = close.send(Stage::Drains);
            // A balancer learns from readiness, some seconds later, to send nobody here any more.
            #[expect(
                clippy::disallowed_methods,
                reason = "nobody says when a balancer has looked"
            )]
            tokio::time::sleep(listen.drain).await;
            let _ = close.send(Stage::Stops);
            handle.stop(true).await;
            io::Result::Ok(())
        });
        let outcome = api.await;
        stopping.abort();

        figures.abort();
        store.close().await;
        metrics_handle.stop(true).await;
        let _ = metrics.await;
        upkeep.abort();
        outcome
    }
}

/// Keeps the histograms from growing for ever, and counts the lines that the log has lost.
fn upkeep(exporter: Exporter) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        let mut tick = tokio::time::interval(Exporter::UPKEEP_INTERVAL);
        loop {
            tick.tick().await;
            exporter.upkeep();
            metrics::counter!(brownie_metrics::LOG_LINES_DROPPED)
                .absolute(brownie_logging::lines_dropped());
        }
    })
}

async fn nothing_here() -> Result<&'static str, Problem> {
    Err(Problem::with(Code::NotFound, "There is nothing at this path."))
}

//! What is known of the issuer, and when it is asked again.
//!
//! Its document and its keys are read together, kept, and read again when they are old or when a
//! token names a key that is not among them: at most once in half a minute, however many such tokens
//! come, and by one task, for which the others wait. When the issuer is away, what is known stays.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use brownie_domain::{Clock, Timestamp};
use tokio::{
    sync::{Mutex, OwnedMutexGuard},
    time::timeout,
};
use url::Url;

use super::{
    error::IssuerFault,
    http::{Answer, Http, TIMEOUT},
    keys::{self, IssuerKey, IssuerKeys},
    metadata::{self, Metadata},
};

/// The least time between two readings; less while nothing is known at all, for somebody who wants
/// to log in is waiting.
const REST: Duration = Duration::from_secs(30);
const REST_WITHOUT: Duration = Duration::from_secs(5);

/// How long what is known counts as new: as long as a key that the issuer has taken back may still
/// be believed.
const FRESH: Duration = Duration::from_mins(15);

/// How long somebody waits for another's reading. A reading itself is over after [`TIMEOUT`].
const PATIENCE: Duration = Duration::from_secs(6);

/// The issuer.
pub(super) struct Provider {
    pub(super) http: Http,
    issuer: String,
    clock: Arc<dyn Clock>,
    known: RwLock<Option<Arc<Known>>>,
    /// Whoever holds it may read.
    reading: Arc<Mutex<LastReading>>,
}

/// What is known.
pub(super) struct Known {
    pub(super) metadata: Metadata,
    keys: IssuerKeys,
    at: Timestamp,
}

/// The last reading, and what went wrong.
#[derive(Default)]
struct LastReading {
    at: Option<Timestamp>,
    fault: Option<IssuerFault>,
}

impl Provider {
    /// Knows nothing yet: the issuer is asked when somebody comes.
    pub(super) fn new(http: Http, issuer: String, clock: Arc<dyn Clock>) -> Arc<Self> {
        let (known, reading) = (RwLock::default(), Arc::default());
        Arc::new(Self { http, issuer, clock, known, reading })
    }

    /// Returns what is known, having read it if need be. What is old will do when the issuer is away
    /// or somebody else is reading.
    pub(super) async fn known(self: &Arc<Self>) -> Result<Arc<Known>, IssuerFault> {
        let Some(known) = self.get() else { return self.read().await };
        if self.has_passed(FRESH, known.at)
            && let Ok(turn) = Arc::clone(&self.reading).try_lock_owned()
            && let Ok(new) = self.read_in_turn(turn).await
        {
            return Ok(new);
        }
        Ok(known)
    }

    /// Returns the key of a name, none if the issuer has no such key.
    ///
    /// # Errors
    /// When the issuer is away or talks nonsense, so that nobody knows.
    pub(super) async fn key(
        self: &Arc<Self>,
        kid: Option<&str>,
    ) -> Result<Option<Arc<IssuerKey>>, IssuerFault> {
        if let Some(key) = self.known().await?.keys.find(kid) {
            return Ok(Some(key));
        }
        Ok(self.read().await?.keys.find(kid))
    }

    fn get(&self) -> Option<Arc<Known>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads, unless somebody has done so a moment ago.
    async fn read(self: &Arc<Self>) -> Result<Arc<Known>, IssuerFault> {
        match timeout(PATIENCE, Arc::clone(&self.reading).lock_owned()).await {
            Ok(turn) => self.read_in_turn(turn).await,
            Err(_) => Err(away()),
        }
    }

    async fn read_in_turn(
        self: &Arc<Self>,
        mut turn: OwnedMutexGuard<LastReading>,
    ) -> Result<Arc<Known>, IssuerFault> {
        let known = self.get();
        let rest = if known.is_some() { REST } else { REST_WITHOUT };
        if let Some(at) = turn.at
            && !self.has_passed(rest, at)
        {
            return match (&turn.fault, known) {
                (None, Some(known)) => Ok(known),
                (fault, _) => Err(fault.clone().unwrap_or_else(away)),
            };
        }
        turn.at = Some(self.clock.now());
        // In a task of its own: a caller that goes away does not end what others wait for.
        let this = Arc::clone(self);
        let reading = tokio::spawn(async move {
            let outcome = timeout(TIMEOUT, this.fetch()).await.unwrap_or_else(|_| Err(away()));
            if let Ok(known) = &outcome {
                *this.known.write().unwrap_or_else(PoisonError::into_inner) =
                    Some(Arc::clone(known));
            }
            turn.fault = outcome.as_ref().err().cloned();
            outcome
        });
        reading.await.unwrap_or_else(|_| Err(away()))
    }

    async fn fetch(&self) -> Result<Arc<Known>, IssuerFault> {
        let at = self.clock.now();
        let place = Url::parse(&Metadata::place(&self.issuer))
            .map_err(|_| IssuerFault::Nonsense("it is not a URL".to_owned()))?;
        let document: metadata::Document =
            self.ask(&place).await?.json("its discovery document")?;
        let metadata = Metadata::of(&self.issuer, &document)?;
        let keys: keys::Document = self.ask(&metadata.jwks_uri).await?.json("its key set")?;
        Ok(Arc::new(Known { metadata, keys: IssuerKeys::of(keys), at }))
    }

    async fn ask(&self, url: &Url) -> Result<Answer, IssuerFault> {
        self.http.get(url, None).await
    }

    /// Tells whether as much time has passed. When the clock was put back, it has.
    fn has_passed(&self, time: Duration, since: Timestamp) -> bool {
        (self.clock.now() - since).to_std().map_or(true, |passed| passed >= time)
    }
}

fn away() -> IssuerFault {
    IssuerFault::Away("it does not answer in time".to_owned())
}

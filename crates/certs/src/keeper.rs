//! Keeps certificates in use that are good, and replaces them while the program runs.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use brownie_domain::{Clock, Timestamp};
use tokio::{sync::watch, task::JoinHandle};

use crate::{
    Current, Faults, Need, Policy, Role, Source,
    current::tls,
    raw::{Digest, Raw},
    report::Reporter,
};

/// Keeps certificates in use that are good.
///
/// It looks at its source again and again. What is new there is judged first and used then: for new
/// connections only, as those that are open have proved themselves. What is bad is refused, and the
/// old stays in use; a log line and a metric say so. When it is dropped it looks no more.
pub struct Keeper {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    rotation: tokio::sync::Mutex<Rotation>,
    current: watch::Sender<Arc<Current>>,
    /// What is wrong with what the source has now.
    refused: Mutex<Option<Faults>>,
}

/// What the rounds remember.
struct Rotation {
    source: Source,
    policy: Policy,
    clock: Arc<dyn Clock>,
    in_use: Digest,
    reporter: Reporter,
}

impl Keeper {
    /// Reads and judges certificates, and begins to look for new ones. To be called in a runtime of
    /// tokio.
    ///
    /// # Errors
    /// Everything that is wrong with what the source has. Nothing is used then.
    pub async fn start(
        mut source: Source,
        policy: Policy,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Faults> {
        let now = clock.now();
        let raw = source.read(&policy, now).await?;
        let in_use = raw.digest();
        let first = Arc::new(made(raw, policy.clone(), now, 1).await?);
        let mut reporter = Reporter::default();
        reporter.taken(&first, &policy, now);
        let rotation = Rotation { source, policy, clock, in_use, reporter };
        let shared = Arc::new(Shared {
            rotation: tokio::sync::Mutex::new(rotation),
            current: watch::Sender::new(first),
            refused: Mutex::new(None),
        });
        let task = tokio::spawn(keep(Arc::clone(&shared)));
        Ok(Self { shared, task })
    }

    /// Returns what is in use now. Whoever connects asks for it each time.
    pub fn current(&self) -> Arc<Current> {
        Arc::clone(&self.shared.current.borrow())
    }

    /// Returns what tells of every replacement.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Current>> {
        self.shared.current.subscribe()
    }

    /// Returns why what the source has now is not in use, if it is not.
    pub fn refused(&self) -> Option<Faults> {
        self.shared.refused.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Looks at the source at once, instead of when it is time.
    ///
    /// # Errors
    /// Everything that is wrong with what it has. The old stays in use.
    pub async fn reload(&self) -> Result<Arc<Current>, Faults> {
        self.shared.round().await?;
        Ok(self.current())
    }
}

async fn keep(shared: Arc<Shared>) {
    loop {
        let wait = {
            let rotation = shared.rotation.lock().await;
            rotation.source.wait(rotation.clock.now())
        };
        #[expect(
            clippy::disallowed_methods,
            reason = "sources are looked at when something is due"
        )]
        tokio::time::sleep(wait).await;
        // It has been reported, and the next round will show whether it is better.
        let _ = shared.round().await;
    }
}

impl Shared {
    /// Looks at the source once.
    async fn round(&self) -> Result<(), Faults> {
        let mut rotation = self.rotation.lock().await;
        let now = rotation.clock.now();
        let current = Arc::clone(&self.current.borrow());
        let outcome = rotation.look(&current).await;
        let Rotation { policy, reporter, .. } = &mut *rotation;
        let result = match outcome {
            Ok(Some(next)) => {
                reporter.taken(&next, policy, now);
                self.current.send_replace(Arc::new(next));
                Ok(())
            }
            Ok(None) => {
                reporter.unchanged(&current, policy, now);
                Ok(())
            }
            Err(faults) => {
                reporter.refused(&current, &faults, policy, now);
                Err(faults)
            }
        };
        let refused = result.as_ref().err().cloned();
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = refused;
        result
    }
}

impl Rotation {
    /// Returns the next generation, if the source has another than the one in use.
    async fn look(&mut self, current: &Current) -> Result<Option<Current>, Faults> {
        let raw = self.source.read(&self.policy, self.clock.now()).await?;
        let digest = raw.digest();
        if digest == self.in_use {
            return Ok(None);
        }
        let policy = no_less(&self.policy, current);
        let generation = current.generation() + 1;
        let next = made(raw, policy, self.clock.now(), generation).await?;
        if let (Some(before), Some(after)) = (current.authorities(), next.authorities())
            && let Some(fault) = after.forgets(before)
        {
            return Err(fault.into());
        }
        self.in_use = digest;
        Ok(Some(next))
    }
}

/// Makes a generation where it keeps nobody waiting: native-tls reads all authorities of the system
/// for each connector, even for one that shall not believe them, and that takes a tenth of a second.
async fn made(
    raw: Raw,
    policy: Policy,
    now: Timestamp,
    generation: u64,
) -> Result<Current, Faults> {
    let made = move || Current::of(&raw, &policy, now, generation);
    let made = tokio::task::spawn_blocking(made).await;
    made.unwrap_or_else(|error| Err(tls("the certificates", &error).into()))
}

/// Returns a policy that needs whatever is in use. Without this a directory that disappears would
/// leave us believing the system's authorities.
fn no_less(policy: &Policy, current: &Current) -> Policy {
    let need = |role, need| if current.has(role) { Need::Always } else { need };
    Policy {
        ca: need(Role::Ca, policy.ca),
        client: need(Role::Client, policy.client),
        server: need(Role::Server, policy.server),
        ..policy.clone()
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper").field("current", &self.current()).finish_non_exhaustive()
    }
}

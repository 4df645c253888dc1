//! Looking at many things at the same time, at none for too long.

use std::{
    collections::BTreeMap,
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    runtime::Handle,
    sync::{oneshot, watch},
    task::{JoinHandle, spawn_blocking},
    time::timeout,
};

use crate::Finding;

type Looking = Pin<Box<dyn Future<Output = Vec<Finding>>>>;

/// Looks at one thing, or at some that are seen at once.
pub struct Check {
    names: &'static [&'static str],
    after: Option<&'static str>,
    look: Box<dyn FnOnce(Progress) -> Looking + Send>,
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Check").field("names", &self.names).finish_non_exhaustive()
    }
}

impl Check {
    /// Looks with `look`, which reports a finding for each of the names. Those it has nothing to say
    /// of are reported as skipped. The first one stands for all: a look that takes too long has
    /// failed by that name, and what is looked at [after](Self::after) this waits for it.
    pub fn new<F, L>(names: &'static [&'static str], look: F) -> Self
    where
        F: FnOnce(Progress) -> L + Send + 'static,
        L: Future<Output = Vec<Finding>> + 'static,
    {
        Self { names, after: None, look: Box::new(move |progress| Box::pin(look(progress))) }
    }

    /// Says that this is worth looking at only if another check's first finding is good.
    #[must_use]
    pub fn after(self, name: &'static str) -> Self {
        Self { after: Some(name), ..self }
    }

    fn first(&self) -> &'static str {
        self.names.first().copied().unwrap_or("check")
    }
}

/// Where a look has got to: what it was at is said when it takes too long.
#[derive(Debug, Clone, Default)]
pub struct Progress(Arc<Mutex<&'static str>>);

impl Progress {
    /// Says what comes next, such as `connecting`.
    pub fn at(&self, doing: &'static str) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = doing;
    }

    fn doing(&self) -> &'static str {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Has all checks look at the same time, but for those that wait for another, and none for longer
/// than `limit`. Returns what they found, in their order. To be called in a runtime of tokio.
///
/// What takes longer is left behind, even where it hangs in the system: whoever calls this ends the
/// process ([`crate::Report::tell_and_leave`]).
pub async fn run(checks: Vec<Check>, limit: Duration) -> Vec<Finding> {
    let gates: BTreeMap<&str, watch::Sender<Option<bool>>> =
        checks.iter().map(|check| (check.first(), watch::Sender::new(None))).collect();
    let mut looking: Vec<(&str, JoinHandle<Vec<Finding>>)> = Vec::new();
    for check in checks {
        let name = check.first();
        let before = check.after.and_then(|name| Some((name, gates.get(name)?.subscribe())));
        let gate = gates.get(name).cloned();
        looking.push((
            name,
            tokio::spawn(async move {
                let findings = one(check, before, limit).await;
                if let Some(gate) = gate {
                    gate.send_replace(findings.first().map(Finding::opens));
                }
                findings
            }),
        ));
    }
    drop(gates);
    let mut all = Vec::new();
    for (name, one) in looking {
        match one.await {
            Ok(findings) => all.extend(findings),
            Err(error) => all.push(Finding::broken(name, format!("nobody could look: {error}"))),
        }
    }
    all
}

async fn one(
    check: Check,
    before: Option<(&'static str, watch::Receiver<Option<bool>>)>,
    limit: Duration,
) -> Vec<Finding> {
    let skip = |why: &str| -> Vec<Finding> {
        check.names.iter().map(|name| Finding::skipped(name, why)).collect()
    };
    if let Some((other, mut gate)) = before {
        let opens = gate.wait_for(Option::is_some).await.is_ok_and(|opens| *opens == Some(true));
        if !opens {
            return skip(&format!("{other} comes first"));
        }
    }
    let (progress, names, name) = (Progress::default(), check.names, check.first());
    let (look, seen, handle) = (check.look, progress.clone(), Handle::current());
    // On a thread of its own: what hangs in the system, such as a file of a server that is away,
    // would stop all that share its thread, and the clock that ends it.
    let (waiting, nobody_waits) = oneshot::channel::<()>();
    let work = spawn_blocking(move || {
        handle.block_on(async {
            tokio::select! {
                found = look(seen) => found,
                _ = nobody_waits => Vec::new(),
            }
        })
    });
    let mut found = match timeout(limit, work).await {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => vec![Finding::broken(name, format!("the check broke off: {error}"))],
        Err(_) => vec![late(name, limit, progress.doing())],
    };
    drop(waiting);
    for missing in names {
        if !found.iter().any(|finding| finding.name() == *missing) {
            found.push(Finding::skipped(missing, format!("{name} comes first")));
        }
    }
    found.sort_by_key(|finding| names.iter().position(|name| *name == finding.name()));
    found
}

fn late(name: &'static str, limit: Duration, doing: &str) -> Finding {
    let at = if doing.is_empty() { String::new() } else { format!(", while {doing}") };
    Finding::failed(
        name,
        format!("no answer within {} s{at}", limit.as_secs_f64()),
        "see what hangs there, a firewall, a server or a disk; or give a longer --timeout",
    )
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::State;

    const SHORT: Duration = Duration::from_millis(500);

    fn states(found: &[Finding]) -> Vec<(&'static str, State)> {
        found.iter().map(|finding| (finding.name(), finding.state())).collect()
    }

    fn good(names: &'static [&'static str]) -> Check {
        Check::new(names, |_| async { names.iter().map(|name| Finding::ok(name, "")).collect() })
    }

    #[tokio::test]
    async fn what_hangs_ends_by_the_limit_and_says_what_it_was_at() {
        let hanging = Check::new(&["a", "b"], |progress| async move {
            progress.at("knocking");
            std::future::pending().await
        });
        let began = Instant::now();
        let found = run(vec![hanging, good(&["c"])], SHORT).await;
        assert!(began.elapsed() < SHORT * 8, "{:?}", began.elapsed());
        assert_eq!(states(&found), [("a", State::Failed), ("b", State::Skipped), ("c", State::Ok)]);
        assert_eq!(found[0].found(), "no answer within 0.5 s, while knocking");
    }

    /// A file on a server that is away blocks its thread, whatever the runtime.
    #[test]
    fn what_blocks_its_thread_hangs_nobody_else() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let blocking = || {
            Check::new(&["a"], |_| async {
                #[expect(
                    clippy::disallowed_methods,
                    reason = "stands for a file that blocks its thread"
                )]
                std::thread::sleep(Duration::from_secs(10));
                Vec::new()
            })
        };
        let began = Instant::now();
        let found = runtime.block_on(run(vec![blocking(), blocking(), good(&["c"])], SHORT));
        assert!(began.elapsed() < SHORT * 8, "{:?}", began.elapsed());
        assert_eq!(states(&found)[2], ("c", State::Ok));
        runtime.shutdown_background();
    }

    #[tokio::test]
    async fn they_look_at_the_same_time() {
        let slow = || {
            Check::new(&["slow"], |_| async {
                #[expect(
                    clippy::disallowed_methods,
                    reason = "stands for a check that takes a while"
                )]
                tokio::time::sleep(SHORT).await;
                vec![Finding::ok("slow", "")]
            })
        };
        let began = Instant::now();
        let found = run((0..10).map(|_| slow()).collect(), SHORT * 5).await;
        assert_eq!(found.len(), 10);
        assert!(began.elapsed() < SHORT * 8, "{:?}", began.elapsed());
    }

    #[tokio::test]
    async fn what_depends_on_what_failed_is_not_looked_at() {
        let bad = Check::new(&["a", "a.more"], |_| async { vec![Finding::failed("a", "x", "y")] });
        let never = Check::new(&["b"], |_| async { panic!("looked at") }).after("a");
        let then = good(&["c"]).after("b");
        let found = run(vec![then, never, bad], SHORT).await;
        assert_eq!(
            states(&found),
            [
                ("c", State::Skipped),
                ("b", State::Skipped),
                ("a", State::Failed),
                ("a.more", State::Skipped)
            ]
        );
        let found = run(vec![good(&["c"]).after("a"), good(&["a"])], SHORT).await;
        assert_eq!(states(&found), [("c", State::Ok), ("a", State::Ok)]);
    }

    #[tokio::test]
    async fn a_check_that_breaks_off_is_ours_to_mend() {
        let found = run(vec![Check::new(&["a"], |_| async { panic!("oh") })], SHORT * 20).await;
        assert!(found[0].is_broken() && found[0].state() == State::Failed, "{found:?}");
    }
}

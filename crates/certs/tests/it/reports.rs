//! What others get to know: each thing once, what lasts once a day.

use std::{cell::RefCell, io, sync::Arc};

use brownie_certs::{Keeper, Source};
use brownie_domain::{Clock, ManualClock};
use chrono::TimeDelta;
use metrics_exporter_prometheus::PrometheusBuilder;

use crate::world::{self, Ca, Dir, ec, key_pem, mutual};

thread_local! {
    static LINES: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The log lines of this thread. The subscriber is that of the whole process: one of a thread's own is
/// not asked about what another thread, which has none, came by first.
struct Lines;

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LINES.with_borrow_mut(|lines| lines.extend_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Returns how many lines have this in them.
fn lines_with(text: &str) -> usize {
    let lines = LINES.with_borrow(|lines| String::from_utf8(lines.clone()).unwrap());
    lines.lines().filter(|line| line.contains(text)).count()
}

/// On one thread, to which lines and numbers belong.
#[test]
fn what_happens_is_told_once_and_what_lasts_once_a_day() {
    tracing_subscriber::fmt().with_writer(|| Lines).init();
    let recorder = PrometheusBuilder::new().build_recorder();
    let numbers = recorder.handle();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    metrics::with_local_recorder(&recorder, || runtime.block_on(happen(&|| numbers.render())));
}

async fn happen(numbers: &dyn Fn() -> String) {
    let shows = |line: String| assert!(numbers().contains(&line), "{line}\n{}", numbers());
    let ca = Ca::new("ca");
    let client = ca.client("brownie-server");
    let dir = Dir::of(&ca.pem(), &client);
    dir.put("ca.crl", ca.revoke(&[], TimeDelta::days(364)));
    let clock = Arc::new(ManualClock::at(world::now()));
    let source = Source::dir(dir.path());
    let keeper = Keeper::start(source, mutual(), Arc::clone(&clock) as _).await.unwrap();

    let reloads = |outcome, count| {
        shows(format!("brownie_certificate_reloads_total{{outcome=\"{outcome}\"}} {count}"));
    };
    let facts = keeper.current().facts(brownie_certs::Role::Client).remove(0);
    let ends = facts.not_after.timestamp();
    reloads("taken", 1);
    shows(format!("brownie_certificate_expiry_timestamp_seconds{{role=\"client\"}} {ends}"));
    for role in ["ca", "crl"] {
        shows(format!("brownie_certificate_expiry_timestamp_seconds{{role=\"{role}\"}} 1"));
    }
    assert_eq!(lines_with("certificate in use"), 1);

    // The same fault, found again and again, is one line and one count; another is another.
    for (round, key) in [key_pem(&ec()), key_pem(&ec()), "nothing".to_owned()].iter().enumerate() {
        dir.put("client.key", key);
        for _ in 0..5 {
            assert!(keeper.reload().await.is_err());
        }
        shows("brownie_certificate_refused 1".to_owned());
        let different = if round < 2 { 1 } else { 2 };
        reloads("refused", different);
        assert_eq!(lines_with("new certificates are not used"), different, "{round}");
    }
    assert_eq!(lines_with("is not the key of the first certificate"), 1);

    // As it was before: said once, too.
    dir.put("client.key", key_pem(&client.key));
    for _ in 0..5 {
        keeper.reload().await.unwrap();
    }
    shows("brownie_certificate_refused 0".to_owned());
    assert_eq!(lines_with("again those that there are"), 1);
    reloads("taken", 1);

    // Four weeks before the end, every four hours: a line a day.
    clock.advance(TimeDelta::days(337));
    for _ in 0..18 {
        keeper.reload().await.unwrap();
        clock.advance(TimeDelta::hours(4));
    }
    assert_eq!(lines_with("client.crt expires at"), 3);
    // Over while in use: still a line a day, and open connections stay.
    clock.advance(TimeDelta::days(30));
    keeper.reload().await.unwrap();
    assert_eq!(lines_with("client.crt expired at"), 1);
    assert!(clock.now() > facts.not_after);
}

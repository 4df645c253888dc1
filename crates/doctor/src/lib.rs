//! Looks at what a program needs, and says what is wrong and what to do about it: the `doctor` of our
//! programs.
//!
//! A [`Check`] looks at one thing and reports [`Finding`]s; [`run`] has all of them look at the same
//! time, none for longer than the limit; a [`Report`] says what was found, as text or as JSON, and how
//! the program is to end. What several programs need is here; what only one needs is in its
//! `doctor.rs`. Nothing is changed by looking.
//!
//! ```no_run
//! # use std::{sync::Arc, time::Duration};
//! # use brownie_config::Reader;
//! # use brownie_doctor::{Check, Finding, Report};
//! # async fn f() {
//! let examined = brownie_doctor::settings(Reader::from_process());
//! let luck = Check::new(&["luck"], |_| async { vec![Finding::ok("luck", "as good as any")] });
//! let findings = brownie_doctor::run(vec![luck], Duration::from_secs(5)).await;
//! Report::new("brownie-example", &examined, findings).tell_and_leave(false);
//! # }
//! ```

mod certificates;
mod check;
mod clock;
mod database;
mod disk;
mod finding;
mod report;
mod schema;
mod settings;

pub use certificates::{Keepers, certificates, described, refused};
pub use check::{Check, Progress, run};
pub use clock::judge_clock;
pub use database::{CLOCK, DATABASE, Wanted, database};
pub use disk::{Place, disk, files};
pub use finding::{Finding, State};
pub use report::Report;
pub use schema::{SCHEMA, opened, schema};
pub use settings::{Examined, settings};

use std::time::Duration;

/// How to look, as every program's `doctor` takes it.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct How {
    /// How many seconds each check may take.
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    pub timeout: Duration,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let good = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let in_reason = |time: &Duration| (1..=3_600_000).contains(&time.as_millis());
    good.filter(in_reason).ok_or_else(|| "must be more than 0 and at most 3600".to_owned())
}

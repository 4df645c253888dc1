//! What is told of a migration while it runs: a bar on a terminal, a line every few seconds elsewhere.

use std::{io::IsTerminal, time::Duration};

use brownie_migration::Step;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::{task::JoinHandle, time::interval};

/// How often a line is written.
const EVERY: Duration = Duration::from_secs(5);

/// Tells on standard error; standard output is for what was done.
pub(crate) struct Progress {
    bar: ProgressBar,
    lines: Option<JoinHandle<()>>,
}

impl Progress {
    pub(crate) fn new() -> Self {
        let bar = ProgressBar::no_length();
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg} {elapsed}") {
            bar.set_style(style);
        }
        let lines = (!std::io::stderr().is_terminal()).then(|| {
            let bar = bar.clone();
            tokio::spawn(async move {
                let mut every = interval(EVERY);
                every.tick().await;
                loop {
                    every.tick().await;
                    eprintln!("still at {}, {} s so far", bar.message(), bar.elapsed().as_secs());
                }
            })
        });
        if lines.is_none() {
            bar.enable_steady_tick(Duration::from_millis(200));
        }
        Self { bar, lines }
    }

    pub(crate) fn tell(&self, step: Step<'_>) {
        match step {
            Step::Begins { name, number, of } => {
                self.bar.set_length(of as u64);
                self.bar.set_position(number as u64 - 1);
                self.bar.set_message(name.to_owned());
                self.bar.reset_elapsed();
            }
            Step::Waits(name) => {
                let said = format!("{name}: the table is in use; trying again");
                // A bar that is not shown prints nothing either.
                if self.lines.is_some() {
                    eprintln!("{said}");
                } else {
                    self.bar.println(said);
                }
            }
            Step::Done(..) => self.bar.inc(1),
        }
    }

    pub(crate) fn end(&self) {
        if let Some(lines) = &self.lines {
            lines.abort();
        }
        self.bar.finish_and_clear();
    }
}

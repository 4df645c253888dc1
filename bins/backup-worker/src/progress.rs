//! What is told while it runs: a bar on a terminal, a line every few seconds elsewhere.

use std::{io::IsTerminal, sync::Arc, time::Duration};

use brownie_backup::{Progress as Told, Tell};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::{task::JoinHandle, time::interval};

/// How often a line is written.
const EVERY: Duration = Duration::from_secs(5);

/// Tells on standard error; standard output is for what came of it.
pub(crate) struct Progress {
    bar: ProgressBar,
    lines: Option<JoinHandle<()>>,
}

impl Progress {
    pub(crate) fn new() -> Self {
        let bar = ProgressBar::no_length();
        let style = "{msg:8} {bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta} left";
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        let lines = (!std::io::stderr().is_terminal()).then(|| {
            let bar = bar.clone();
            tokio::spawn(async move {
                let mut every = interval(EVERY);
                every.tick().await;
                loop {
                    every.tick().await;
                    let (done, of) = (bar.position() >> 20, bar.length().unwrap_or(0) >> 20);
                    let seconds = bar.elapsed().as_secs();
                    eprintln!("{}: {done} of {of} MB, {seconds} s so far", bar.message());
                }
            })
        });
        Self { bar, lines }
    }

    /// Returns who is to be told.
    pub(crate) fn tell(&self) -> Tell {
        let bar = self.bar.clone();
        Arc::new(move |told| match told {
            Told::Begins { stage, expected } => {
                bar.reset();
                bar.set_length(expected);
                bar.set_message(stage.as_str());
            }
            Told::Moved { plain, .. } => bar.inc(plain),
            _ => {}
        })
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(lines) = &self.lines {
            lines.abort();
        }
        self.bar.finish_and_clear();
    }
}

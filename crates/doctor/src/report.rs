//! What was found, for people and for programs.

use std::io::{self, Write};

use brownie_config::Secret;
use serde_json::{Value, json};

use crate::{Examined, Finding, State};

/// Everything that was found, the settings first. Nothing secret is in it, whatever the checks said.
#[derive(Debug)]
pub struct Report {
    program: &'static str,
    findings: Vec<Finding>,
    settings_are_bad: bool,
}

impl Report {
    /// Puts together what a program's checks found. Secrets are taken out.
    pub fn new(program: &'static str, examined: &Examined, findings: Vec<Finding>) -> Self {
        let all = std::iter::once(examined.finding.clone()).chain(findings);
        let hidden = all.map(|finding| finding.rewritten(|text| hide(text, &examined.secrets)));
        let settings_are_bad = examined.finding.state() == State::Failed;
        Self { program, findings: hidden.collect(), settings_are_bad }
    }

    /// Returns what the program is to end with: 0 all is well, though there may be warnings; 1 nobody
    /// could look at something, by a fault of ours; 2 the settings cannot be used; 3 something failed.
    pub fn exit_code(&self) -> u8 {
        if self.settings_are_bad {
            2
        } else if self.findings.iter().any(Finding::is_broken) {
            1
        } else if self.count(State::Failed) > 0 {
            3
        } else {
            0
        }
    }

    fn count(&self, state: State) -> usize {
        self.findings.iter().filter(|finding| finding.state() == state).count()
    }

    /// Returns it as a JSON object.
    pub fn to_json(&self) -> Value {
        let checks: Vec<Value> = self
            .findings
            .iter()
            .map(|finding| {
                json!({
                    "name": finding.name(), "state": finding.state(),
                    "found": finding.found(), "remedy": finding.remedy(),
                })
            })
            .collect();
        let worst = [State::Failed, State::Warning].into_iter().find(|it| self.count(*it) > 0);
        json!({
            "program": self.program, "version": env!("CARGO_PKG_VERSION"),
            "state": worst.unwrap_or(State::Ok), "checks": checks,
        })
    }

    /// Returns it as lines: state, name and what was found, in columns, and the remedies below.
    pub fn to_text(&self) -> String {
        let names = self.findings.iter().map(|finding| finding.name().len());
        let width = names.max().unwrap_or_default();
        let mut text = String::new();
        for finding in &self.findings {
            let state = finding.state().as_str();
            let found = indented(finding.found(), width);
            text.push_str(format!("{state:7}  {:width$}  {found}", finding.name()).trim_end());
            text.push('\n');
            if let Some(remedy) = finding.remedy() {
                text.push_str(&format!("{:11}{:width$}-> {}\n", "", "", indented(remedy, width)));
            }
        }
        let counts = [State::Failed, State::Warning, State::Ok, State::Skipped]
            .map(|state| format!("{} {}", self.count(state), state.as_str()));
        text.push_str(&format!("{}: {}\n", self.program, counts.join(", ")));
        text
    }

    /// Prints it, and ends the process at once: what still hangs in the system would keep a runtime
    /// from ending.
    pub fn tell_and_leave(&self, json: bool) -> ! {
        let text = if json { format!("{}\n", self.to_json()) } else { self.to_text() };
        let mut out = io::stdout().lock();
        let told = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        std::process::exit(if told.is_ok() { self.exit_code().into() } else { 1 })
    }
}

/// Puts the lines after the first under it.
fn indented(text: &str, width: usize) -> String {
    text.replace('\n', &format!("\n{:11}{:width$}", "", ""))
}

/// A secret that short is no secret, and replacing it would spoil every second word.
const SHORTEST: usize = 4;

/// Takes secrets out of a text, the longest first: one may be part of another.
fn hide(text: String, secrets: &[Secret]) -> String {
    let mut secrets: Vec<&str> = secrets.iter().map(Secret::expose).collect();
    secrets.retain(|secret| secret.len() >= SHORTEST);
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    secrets.into_iter().fold(text, |text, secret| text.replace(secret, "[secret]"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn examined(finding: Finding) -> Examined {
        Examined { finding, secrets: vec![Secret::new("hunter2"), Secret::new("hunter2-and-more")] }
    }

    fn report(findings: Vec<Finding>) -> Report {
        Report::new("brownie-x", &examined(Finding::ok("settings", "fine")), findings)
    }

    #[test]
    fn columns_are_aligned_and_remedies_stand_below() {
        let report = report(vec![
            Finding::failed("database", "two\nlines", "mend it"),
            Finding::skipped("a", "not in use"),
            Finding::warning("certificates", "old", "renew it"),
        ]);
        assert_eq!(
            report.to_text(),
            "ok       settings      fine\n\
             failed   database      two\n\
             \x20                      lines\n\
             \x20                      -> mend it\n\
             skipped  a             not in use\n\
             warning  certificates  old\n\
             \x20                      -> renew it\n\
             brownie-x: 1 failed, 1 warning, 1 ok, 1 skipped\n"
        );
    }

    #[test]
    fn json_has_every_finding_with_all_its_parts() {
        let json = report(vec![Finding::warning("a", "b", "c")]).to_json();
        assert_eq!(json["state"], "warning");
        assert_eq!(
            json["checks"],
            json!([
                {"name": "settings", "state": "ok", "found": "fine", "remedy": null},
                {"name": "a", "state": "warning", "found": "b", "remedy": "c"},
            ])
        );
    }

    #[test]
    fn the_exit_code_says_the_gravest() {
        let code = |findings| report(findings).exit_code();
        let failed = || Finding::failed("a", "", "");
        assert_eq!(code(vec![Finding::warning("a", "", ""), Finding::skipped("b", "")]), 0);
        assert_eq!(code(vec![failed()]), 3);
        assert_eq!(code(vec![failed(), Finding::broken("b", "")]), 1);
        let bad = examined(Finding::failed("settings", "", ""));
        assert_eq!(Report::new("x", &bad, vec![failed()]).exit_code(), 2);
    }

    #[test]
    fn a_secret_that_a_check_let_slip_is_taken_out() {
        let report = report(vec![Finding::failed("a", "hunter2-and-more", "not hunter2")]);
        for text in [report.to_text(), report.to_json().to_string()] {
            assert!(!text.contains("hunter2") && !text.contains("and-more"), "{text}");
            assert!(text.contains("not [secret]"), "{text}");
        }
    }
}

//! Hierarchical configuration: what somebody wrote, and what applies to whom.
//!
//! A configuration has a body ([`ConfigBody`], YAML or JSON as written), perhaps a
//! [`ConfigSchema`] which its body must satisfy, and [`Pattern`]s that say what it is for.
//! [`resolve()`] is asked a [`Question`] and merges all that apply, the weakest first; its answer
//! says where each key came from and why each candidate did or did not apply. All of it is pure.
//! The rules in prose, with an example: `docs/configuration.md`.

mod body;
#[cfg(test)]
mod example;
mod json;
#[cfg(test)]
mod laws;
mod matching;
mod merge;
mod pattern;
mod reason;
mod resolve;
mod scalar;
mod schema;
mod survey;
mod yaml;

pub use body::{BodyFormat, ConfigBody};
pub use matching::{AskedTeam, Candidate, Question};
pub use pattern::Pattern;
pub use reason::{Aspect, Reason, Rule};
pub use resolve::{Origin, Outcome, Overridden, Resolution, Unresolvable, Verdict, resolve};
pub use schema::{ConfigSchema, Violation};

/// Shortens what a message quotes to `most` characters.
fn clip(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

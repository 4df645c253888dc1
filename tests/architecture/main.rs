//! Rules about the sources themselves: which crate may know which, what is generated, what documents name.

#![expect(
    clippy::unwrap_used,
    clippy::case_sensitive_file_extension_comparisons,
    reason = "in a test both are how a promise is found broken"
)]

mod crates;
mod generated;
mod links;

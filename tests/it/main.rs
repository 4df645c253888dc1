//! The house under test. Each module is a promise; each test is a sentence of it.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::case_sensitive_file_extension_comparisons,
    reason = "in a test both are how a promise is found broken"
)]

mod adopt;
mod backup;
mod binaries;
mod clients;
mod cuts;
mod doctor;
mod documents;
mod drift;
mod durability;
mod embedded;
mod failover;
mod faults;
mod house;
mod http;
mod lint;
mod logs;
mod migrator;
mod monitoring;
mod mtls;
mod operations;
mod plans;
mod pooler;
mod schema;
mod store;
mod walls;

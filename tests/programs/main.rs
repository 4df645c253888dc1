//! Our programs as processes: arguments, exit codes, signals, crashes, log lines, and what needs them to be
//! tried at all.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "in a test both are how a promise is found broken"
)]

mod adopt;
mod backup;
mod binaries;
mod clients;
mod doctor;
mod documents;
mod drain;
mod drift;
mod durability;
mod failover;
mod footing;
mod lint;
mod logs;
mod migrator;
mod monitoring;
mod mtls;
mod operations;
mod paused;
mod pooler;

//! `brownie-backup` as a process, on real object stores, killed and starved.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "in a test they are how a promise is found broken"
)]

mod damage;
mod kills;
mod large;
mod outages;
mod papers;
mod providers;
mod proxy;
mod settings;
mod world;

#[path = "../../../../crates/backup/tests/it/postgres.rs"]
#[expect(dead_code, reason = "crates/backup tests with more of it")]
mod postgres;

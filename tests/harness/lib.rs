//! What the tests of the whole have in common: the servers of `tests/servers`, ours on top of them, and
//! clients and organizations to test with.

#![expect(clippy::panic, reason = "a harness that cannot set a test up ends it, and says why")]

mod client;
pub mod good;
mod here;
mod in_process;
mod service;
mod world;

use brownie_persistence::{PoolOptions, Store};

pub use brownie_test_servers::*;
pub use client::{Answer, Client, Stream};
pub use here::{Here, PATIENT, Serves, fill, until_in_flight};
pub use in_process::InProcess;
pub use service::{JWT_SECRET, Service, binary, run};
pub use world::{Founded, new_agent_config, new_incident, new_stat, new_team, new_user};

/// Opens a store as a service does, but for who waits for a connection: a machine that does something else,
/// too, takes longer.
///
/// # Panics
/// When `url` is none.
pub fn open(url: &str) -> Store {
    let options = PoolOptions {
        max_connections: 8,
        acquire_timeout: PATIENCE,
        read_timeout: PATIENCE,
        ..PoolOptions::new(url)
    };
    match Store::new(&options) {
        Ok(store) => store,
        Err(error) => panic!("the store cannot be opened: {error}"),
    }
}

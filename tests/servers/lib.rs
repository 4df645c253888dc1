//! Real servers for tests: started here, and gone when the tests are. Crates below the service test with them,
//! too, so nothing of ours is below this one but what makes certificates and schemas.

#![expect(clippy::panic, reason = "what cannot set a test up ends it, and says why")]

mod chaos;
mod cluster;
mod database;
mod issuer;
mod pgbouncer;
mod ports;
mod postgres;
mod programs;
mod redis;
mod run;
mod standby;
mod stores;
mod wait;

use std::path::{Path, PathBuf};

pub use chaos::{ChaosProxy, Dice, Mode};
pub use database::{Database, TENANT_TABLES};
pub use issuer::{Callback, Issuer, Manner, OpenBao, OpenBaoOptions, OpenBaoTokens};
pub use pgbouncer::{PgBouncer, PoolMode};
pub use ports::free_port;
pub use postgres::{Access, Postgres};
pub use programs::{debian_programs, unprivileged};
pub use redis::Redis;
pub use run::{is_long, unique};
pub use stores::{ObjectStore, Protocol};
pub use wait::{PATIENCE, pass, pass_blocking, poll, poll_blocking, until, until_blocking};

/// Returns the workspace's root.
pub fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here)
}

/// Returns where `tests/install.sh` puts what no package manager brings.
#[expect(clippy::disallowed_methods, reason = "the tests' own setting")]
pub fn parts() -> PathBuf {
    std::env::var_os("BROWNIE_PARTS").map_or_else(|| "/var/tmp/brownie-parts".into(), Into::into)
}

//! Real servers for tests: started here, private, and gone when the test process is.

#![expect(
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a harness that cannot set a test up ends it, and says why"
)]

mod chaos;
mod client;
mod database;
mod issuer;
mod pgbouncer;
mod postgres;
mod redis;
mod service;
mod stores;
mod world;

pub use chaos::{ChaosProxy, Dice, Mode};
pub use client::{Answer, Client, Stream};
pub use database::{Database, TENANT_TABLES};
pub use issuer::{Callback, Issuer, Manner, OpenBao, OpenBaoOptions, OpenBaoTokens};
pub use pgbouncer::{PgBouncer, PoolMode};
pub use postgres::Postgres;
pub use redis::Redis;
pub use service::{JWT_SECRET, Service, binary, run};
pub use stores::{ObjectStore, Protocol};
pub use world::{Founded, new_agent_config, new_incident, new_stat, new_team, new_user};

/// Returns a port of 127.0.0.1 on which nobody listens.
///
/// # Errors
/// When there is none.
pub fn free_port() -> std::io::Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Returns the workspace's root.
pub fn root() -> &'static std::path::Path {
    let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}

/// Returns where `tests/install.sh` puts what no package manager brings.
#[expect(clippy::disallowed_methods, reason = "the tests' own setting")]
pub fn parts() -> std::path::PathBuf {
    std::env::var_os("BROWNIE_PARTS").map_or_else(|| "/var/tmp/brownie-parts".into(), Into::into)
}

/// Returns `env.example` as the code would have it.
pub fn env_example() -> String {
    let mut text = String::from(
        "# Every variable of every program. Generated from crates/config; a test compares the two.\n\
         # A secret may also come from a file: set <NAME>_FILE to its path instead.\n",
    );
    for variable in brownie_config::all_variables() {
        let aliases = match variable.aliases {
            [] => String::new(),
            aliases => format!(" Also read as {}.", aliases.join(", ")),
        };
        let secret = if variable.secret { " Secret." } else { "" };
        let value = variable.default.unwrap_or_default();
        text.push_str(&format!(
            "\n# {}{aliases}{secret}\n#{}={value}\n",
            variable.help, variable.name
        ));
    }
    text
}

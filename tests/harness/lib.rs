//! Real servers for tests: started here, private, and gone when the test process is.

mod chaos;
mod postgres;

pub use chaos::{ChaosProxy, Mode};
pub use postgres::{Database, Postgres};

/// Returns a port of 127.0.0.1 on which nobody listens.
///
/// # Errors
/// When there is none.
pub fn free_port() -> std::io::Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

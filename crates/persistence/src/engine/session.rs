//! What a session is told of limits.

use std::time::Duration;

use crate::PoolOptions;

/// How long a transaction may rest between two statements of ours. They follow each other without a person in
/// between, so one that rests is of a process that is paused or gone, and holds locks that others wait for.
const RESTING_LIMIT: Duration = Duration::from_secs(2);

/// How the server finds out that we are gone without a word (PostgreSQL manual, section 20.3.2): an idle
/// connection after eight seconds, one with unanswered data after five. Of no effect on a socket.
pub(super) const KEEP_ALIVE: &str = "SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 1; \
     SET tcp_keepalives_count = 3; SET tcp_user_timeout = 5000";

/// What a session is told once: that a statement outside of a unit reads, and the limits. Through a
/// pooler in transaction mode this reaches only whatever server connection comes first, so there the
/// brackets say it, too.
pub(super) fn settings(options: &PoolOptions) -> String {
    let role = match &options.role {
        // A quoted identifier (PostgreSQL manual, section 4.1.1).
        Some(role) => format!("SET ROLE \"{}\"; ", role.replace('"', "\"\"")),
        None => String::new(),
    };
    let keep_alive = if options.single_connection { "" } else { KEEP_ALIVE };
    format!(
        "{role}SET default_transaction_isolation = 'read committed'; \
         SET default_transaction_read_only = on; SET {}; {keep_alive}",
        limits(options).join("; SET ")
    )
}

/// The limits that the server keeps, and how it prints times.
pub(super) fn limits(options: &PoolOptions) -> [String; 4] {
    let resting = options.statement_timeout.min(RESTING_LIMIT);
    [
        format!("statement_timeout = {}", options.statement_timeout.as_millis()),
        format!("lock_timeout = {}", options.lock_timeout.as_millis()),
        format!("idle_in_transaction_session_timeout = {}", resting.as_millis()),
        // Times inside of documents, as in the audit log, are printed by the server.
        "TimeZone = 'UTC'".to_owned(),
    ]
}

//! Connections, statements and units of work.

use super::metrics;

/// From half a millisecond to ten seconds, which is as long as a statement may run.
const STATEMENT: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

metrics! {
    DB_CONNECTION_WAIT = "brownie_db_connection_wait_seconds", Histogram of Seconds, [] in STATEMENT,
        "Seconds that work waited for a connection, those included that were to be opened first.";
    DB_CONNECTIONS_ACTIVE = "brownie_db_connections_active", Gauge of Count, [],
        "Connections of this instance's pool that are in use.";
    DB_CONNECTIONS_IDLE = "brownie_db_connections_idle", Gauge of Count, [],
        "Connections of this instance's pool that are open and free.";
    DB_CONNECTIONS_MAX = "brownie_db_connections_max", Gauge of Count, [],
        "The most connections that this instance may hold (DB_POOL_SIZE).";
    DB_CONNECTIONS_WAITING = "brownie_db_connections_waiting", Gauge of Count, [],
        "Pieces of work that wait for a connection at this moment.";
    DB_ERRORS = "brownie_db_errors_total", Counter of Count, ["kind"],
        "Statements, commits and waits for a connection that failed, by kind: conflict (somebody has what must be unique, or refers to nothing), rejected (the database refused a value that ours let through), contention, lock, timeout, unavailable or other (a defect).";
    DB_QUERY_DURATION = "brownie_db_query_duration_seconds", Histogram of Seconds, ["operation", "table"] in STATEMENT,
        "Seconds from sending a statement to its answer, by operation (select, insert, update or delete) and table, or other. Statements that go out together count with the first. METRICS_TRACK_DATABASE_QUERIES=false leaves it out.";
    DB_RETRIES = "brownie_db_retries_total", Counter of Count, ["cause"],
        "Reads and units of work that were done again, by cause: contention (a serialization failure or a deadlock) or connection (it was lost before anything could take effect).";
    DB_TRANSACTION_DURATION = "brownie_db_transaction_duration_seconds", Histogram of Seconds, ["outcome"] in STATEMENT,
        "Seconds that units of work took, by outcome: committed, rolled_back, or failed (the commit did; whether it took effect may be unknown).";
}

//! Log lines: one JSON object a line for machines, text for people, both on standard error.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Libraries that tell what interests only their authors, or as an error of ours what is a mistake of
/// a client's (actix-http). A filter that names them is stronger.
const QUIET: &str = "sqlx=warn,actix_http=off,sea_orm_migration=warn,actix_server=warn,pglite_oxide=warn,tokio_postgres=info";

/// Begins logging. `filter` is a level, or a list such as `brownie=debug,info`; one that cannot be
/// read counts as `info`. Called twice, the second call does nothing.
pub fn start(filter: &str, json: bool) {
    let filter = EnvFilter::try_new(format!("{QUIET},{filter}"))
        .unwrap_or_else(|_| EnvFilter::new(format!("{QUIET},info")));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let _ = if json {
        lines.json().flatten_event(true).with_current_span(true).with_span_list(false).try_init()
    } else {
        lines.with_target(false).try_init()
    };
}

/// Returns an error and its causes on one line, outermost first.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line.push_str(": ");
        line.push_str(&error.to_string());
        cause = error.source();
    }
    line
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_causes_follow_the_error() {
        let error = std::io::Error::other(std::io::Error::other("the disk is full"));
        assert!(super::chain(&error).contains("the disk is full"));
    }
}

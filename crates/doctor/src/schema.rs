//! How the database's schema stands to this program.

use std::time::Duration;

use brownie_config::Secret;
use brownie_logging::chain;
use brownie_migration::{Database, Report, Standing, status};

use crate::{Check, DATABASE, Finding, Keepers};

/// The name of the check.
pub const SCHEMA: &str = "schema";

/// Returns a database as the crate of the migrations wants it; it is tried once.
pub fn opened(url: &Secret, keepers: &Keepers) -> Database {
    let database = Database::new(url.expose(), Duration::ZERO);
    match keepers.connector() {
        Some(tls) => database.with_tls(tls),
        None => database,
    }
}

/// Looks at the ledger of migrations: whether the schema is current, behind, or ahead, and whether
/// what was applied is what this program has.
pub fn schema(url: Secret, keepers: Keepers) -> Check {
    Check::new(&[SCHEMA], move |progress| async move {
        progress.at("reading the ledger of migrations");
        vec![match status(&opened(&url, &keepers)).await {
            Ok(report) => judge(&report),
            Err(error) => Finding::failed(
                SCHEMA,
                chain(&error),
                "let the role read the ledger: `brownie-migrator up` grants it",
            ),
        }]
    })
    .after(DATABASE)
}

fn judge(report: &Report) -> Finding {
    let Report { applied, changed, standing } = report;
    // What it says after the semicolon is the remedy, which comes by itself.
    let standing_so = standing.to_string();
    let so = standing_so.split(';').next().unwrap_or_default();
    let last = applied.last().map_or("none", |row| row.name.as_str());
    let found = format!("{so}; {} applied, the last {last}", applied.len());
    match standing {
        Standing::Behind { .. } => Finding::failed(SCHEMA, found, "run `brownie-migrator up`"),
        Standing::Ahead { .. } if !standing.can_serve() => {
            Finding::failed(SCHEMA, found, "use the release that made it, or a newer one")
        }
        _ if !changed.is_empty() => Finding::failed(
            SCHEMA,
            format!("{found}; {} came from another text than ours", changed.join(", ")),
            "use the release that applied it; `brownie-migrator drift` says what differs",
        ),
        Standing::Ahead { .. } => Finding::warning(
            SCHEMA,
            found,
            "nothing, if a release was just rolled back; otherwise use the newer one here, too",
        ),
        Standing::Current => Finding::ok(
            SCHEMA,
            format!("{found}; whether it was changed by hand, `brownie-migrator drift` says"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::State;

    fn judged(standing: Standing, changed: &[&str]) -> State {
        let changed = changed.iter().map(|name| (*name).to_owned()).collect();
        judge(&Report { applied: Vec::new(), changed, standing }).state()
    }

    #[test]
    fn behind_fails_and_ahead_warns_as_far_as_it_is_served() {
        let names = |count| (0..count).map(|number| format!("m{number}")).collect::<Vec<_>>();
        let behind = Standing::Behind { pending: names(1) };
        assert_eq!(judged(behind, &[]), State::Failed);
        assert_eq!(judged(Standing::Ahead { unknown: names(1) }, &[]), State::Warning);
        let far = names(brownie_migration::WINDOW + 1);
        assert_eq!(judged(Standing::Ahead { unknown: far }, &[]), State::Failed);
        assert_eq!(judged(Standing::Current, &["m1"]), State::Failed);
        assert_eq!(judged(Standing::Current, &[]), State::Ok);
    }
}

//! `brownie-migrator doctor`: what migrating needs, and whether it is there.

use brownie_config::{CertSettings, DatabaseSettings, LogSettings, Reader, Secret};
use brownie_doctor::{Check, DATABASE, Finding, How, Keepers, Report, SCHEMA, Wanted, opened};
use brownie_logging::chain;
use brownie_migration::{check, drift};
use brownie_persistence::Tls;

use crate::pooler;

const PROGRAM: &str = "brownie-migrator";
const POOLER: &str = "database.pooler";
const DRIFT: &str = "drift";
/// As `brownie-migrator test` calls them; the rest of what that looks at, others look at here.
const RIGHTS: &[&str] = &["privileges", "roles", "encoding"];
/// How many differences are told of.
const SHOWN: usize = 3;

/// Looks at everything, says what was found, and ends the process.
pub(crate) async fn run(how: How, json: bool) -> ! {
    let mut reader = Reader::from_process();
    let database = DatabaseSettings::read(&mut reader, PROGRAM);
    let certs = CertSettings::read(&mut reader, PROGRAM);
    let _ = LogSettings::read(&mut reader, false);
    let examined = brownie_doctor::settings(reader);
    let mut findings = Vec::new();
    if examined.are_good() {
        findings = brownie_doctor::run(checks(&database, &certs), how.timeout).await;
    }
    Report::new(PROGRAM, &examined, findings).tell_and_leave(json)
}

fn checks(database: &DatabaseSettings, certs: &CertSettings) -> Vec<Check> {
    let (certificates, keepers) = brownie_doctor::certificates(database, certs);
    let url = &database.url;
    let wanted = Wanted { url: url.clone(), keepers: keepers.clone(), connections: 1 };
    vec![
        certificates,
        brownie_doctor::database(wanted),
        in_between(url.clone(), keepers.clone()),
        rights(url.clone(), keepers.clone()),
        brownie_doctor::schema(url.clone(), keepers.clone()),
        drifted(url.clone(), keepers),
    ]
}

/// Whether a pooler is in between, which would share the lock that keeps migrators apart.
fn in_between(url: Secret, keepers: Keepers) -> Check {
    Check::new(&[POOLER], move |progress| async move {
        progress.at("asking who is in between");
        let tls = keepers.keeper().map(|keeper| {
            Tls::new(move || {
                let current = keeper.current();
                (current.generation(), current.connector().clone())
            })
        });
        let remedy = "name the server itself in DATABASE_URL or DB_HOST";
        vec![match pooler::is_between(url.expose(), tls).await {
            Ok(false) => Finding::ok(POOLER, "none in transaction mode"),
            Ok(true) => Finding::failed(
                POOLER,
                "one in transaction mode is in between: the lock that keeps migrators apart would be shared",
                remedy,
            ),
            Err(error) => Finding::failed(POOLER, chain(&error), "see the server's log"),
        }]
    })
    .after(DATABASE)
}

/// What `brownie-migrator test` says of the role and the database.
fn rights(url: Secret, keepers: Keepers) -> Check {
    Check::new(RIGHTS, move |progress| async move {
        progress.at("asking what the role may do");
        match check(&opened(&url, &keepers)).await {
            Ok(all) => all
                .into_iter()
                .filter(|one| RIGHTS.contains(&one.name))
                .map(|one| match one.remedy {
                    Some(remedy) => Finding::failed(one.name, one.found, remedy),
                    None => Finding::ok(one.name, one.found),
                })
                .collect(),
            Err(error) => {
                vec![Finding::failed("privileges", chain(&error), "see the server's log")]
            }
        }
    })
    .after(DATABASE)
}

/// Whether the schema is as the migrations make it.
fn drifted(url: Secret, keepers: Keepers) -> Check {
    Check::new(&[DRIFT], move |progress| async move {
        progress.at("reading the catalog");
        let differences = match drift(&opened(&url, &keepers)).await {
            Ok(drift) => drift.differences,
            Err(error) => {
                let found = format!("it cannot be told: {}", chain(&error));
                return vec![Finding::warning(DRIFT, found, "run `brownie-migrator drift`")];
            }
        };
        if differences.is_empty() {
            return vec![Finding::ok(DRIFT, "the database is as the migrations make it")];
        }
        let mut found: Vec<String> =
            differences.iter().take(SHOWN).map(ToString::to_string).collect();
        if differences.len() > SHOWN {
            found.push(format!("and {} more", differences.len() - SHOWN));
        }
        let remedy = "see `brownie-migrator drift`, and undo what was changed by hand";
        vec![Finding::failed(DRIFT, found.join("\n"), remedy)]
    })
    .after(SCHEMA)
}

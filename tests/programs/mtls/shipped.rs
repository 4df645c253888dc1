//! The files that compose and the chart mount, as they are.

use std::{fs, process::Command};

use harness::{Postgres, run};

fn shipped(name: &str) -> String {
    fs::read_to_string(harness::root().join("compose/postgres").join(name)).unwrap()
}

/// A cluster without the tests' own door, and what `psql` as an operating system's user gets.
async fn cluster() -> Postgres {
    let postgres = Postgres::private().unwrap();
    let file = postgres.socket().join("pg_hba.conf");
    fs::write(file, shipped("pg_hba.conf")).unwrap();
    postgres.reload().await.unwrap();
    postgres
}

fn psql(postgres: &Postgres, arguments: &[&str]) -> (bool, String) {
    let output = Command::new(postgres.program("psql"))
        .args(["-X", "-v", "ON_ERROR_STOP=1", "-At", "-h"])
        .arg(postgres.socket())
        .args(["-p", &postgres.port().to_string()])
        .args(arguments)
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_cluster_is_opened_by_certificates_alone() {
    let postgres = cluster().await;
    let roles = harness::root().join("compose/postgres/roles.sql");
    let roles = roles.to_str().unwrap();
    let (done, text) = psql(
        &postgres,
        &["-U", "postgres", "-d", "postgres", "-v", "database=brownie_metadata", "-f", roles],
    );
    assert!(done, "{text}");
    let errors = "SELECT error FROM pg_hba_file_rules WHERE error IS NOT NULL
        UNION ALL SELECT rolname FROM pg_authid WHERE rolpassword IS NOT NULL
        UNION ALL SELECT user_name::text FROM pg_hba_file_rules
            WHERE auth_method NOT IN ('cert', 'peer', 'reject')";
    assert_eq!(
        psql(&postgres, &["-U", "postgres", "-d", "postgres", "-c", errors]),
        (true, String::new())
    );

    // The migrator needs no superuser: its certificate opens what roles.sql prepared.
    let up = |role: &str, arguments: &[&str]| {
        let url = postgres.url_as(role, "brownie_metadata");
        let output = run("brownie-migrator", arguments, &[("DATABASE_URL", &url)]).unwrap();
        (
            output.status.code(),
            String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned(),
        )
    };
    let (code, text) = up("brownie-migrator", &["up"]);
    assert_eq!(code, Some(0), "{text}");
    let (code, text) = up("brownie-migrator", &["drift"]);
    assert_eq!(code, Some(0), "{text}");
    let (code, text) = up("brownie-server", &["down", "--to", "base", "--yes"]);
    assert_eq!(code, Some(1), "{text}");

    // By no other way.
    for (arguments, why) in [
        (&["-U", "brownie-server"][..], "pg_hba.conf rejects connection"),
        (
            &["-U", "brownie-server", "-h", "127.0.0.1"],
            "connection requires a valid client certificate",
        ),
        (
            &["-d", "host=127.0.0.1 user=brownie-server sslmode=disable dbname=brownie_metadata"],
            "pg_hba.conf rejects connection",
        ),
        (
            &["-d", "host=127.0.0.1 user=postgres password=postgres dbname=brownie_metadata"],
            "pg_hba.conf rejects connection",
        ),
    ] {
        let all = [&["-d", "brownie_metadata", "-c", "SELECT 1"], arguments].concat();
        let (done, text) = psql(&postgres, &all);
        assert!(!done && text.contains(why), "{arguments:?}: {text}");
    }
}

/// What the fragment names is there under that name in the image; everything else the server takes.
#[test]
fn the_settings_are_understood() {
    let postgres = Postgres::private().unwrap();
    let text = shipped("postgresql.conf");
    let settings = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    for line in settings {
        let (name, value) = line.split_once('=').unwrap();
        let (name, value) = (name.trim(), value.trim().trim_matches('\''));
        let sql = format!("ALTER SYSTEM SET {name} = '{value}'");
        postgres.execute(&sql).unwrap_or_else(|error| panic!("{line}: {error:#}"));
    }
}

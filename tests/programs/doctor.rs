//! `doctor` of the programs: all is well, and then one thing after the other is not.

use std::{
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    time::{Duration, Instant},
};

use harness::{JWT_SECRET, Postgres, Redis, Service, free_port, run};
use serde_json::Value;

/// What no report may show.
const SECRETS: &[&str] = &[JWT_SECRET, "hunter2"];

/// What a doctor said, and what it ended with.
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    report: Value,
}

impl Said {
    /// Runs a program's doctor. Whatever it says, no secret is in it.
    pub(crate) fn by(program: &str, more: &[&str], variables: &[(&str, &str)]) -> Self {
        let output = run(program, &[&["doctor", "--json"], more].concat(), variables).unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        for secret in SECRETS {
            assert!(!text.contains(secret) && !error.contains(secret), "{text}{error}");
        }
        let report = serde_json::from_str(&text);
        let report = report.unwrap_or_else(|_| panic!("no JSON: {text}{error}"));
        Self { code: output.status.code(), report }
    }

    pub(crate) fn names(&self) -> Vec<&str> {
        let checks = self.report["checks"].as_array().unwrap();
        checks.iter().map(|check| check["name"].as_str().unwrap()).collect()
    }

    /// Asserts how a check is, and what was found; what is not well has a remedy.
    pub(crate) fn expect(&self, name: &str, state: &str, found: &str) {
        let checks = self.report["checks"].as_array().unwrap();
        let check = checks.iter().find(|check| check["name"] == name);
        let check = check.unwrap_or_else(|| panic!("{name} is not in {}", self.report));
        assert_eq!(check["state"], state, "{name}: {:#}", self.report);
        let text = check["found"].as_str().unwrap();
        assert!(text.contains(found), "{name}: {text}");
        let is_bad = ["warning", "failed"].contains(&state);
        assert_eq!(
            check["remedy"].as_str().is_some_and(|text| !text.is_empty()),
            is_bad,
            "{check}"
        );
    }

    fn count(&self, state: &str) -> usize {
        let checks = self.report["checks"].as_array().unwrap();
        checks.iter().filter(|check| check["state"] == state).count()
    }
}

pub(crate) fn server(url: &str, more: &[(&str, &str)]) -> Said {
    server_told(&[], url, more)
}

fn server_told(arguments: &[&str], url: &str, more: &[(&str, &str)]) -> Said {
    let (port, metrics) = (free_port().unwrap().to_string(), free_port().unwrap().to_string());
    let own = [
        ("DATABASE_URL", url),
        ("METADATA_JWT_SECRET", JWT_SECRET),
        ("METADATA_PORT", &port),
        ("METRICS_PORT", &metrics),
    ];
    Said::by("brownie-server", arguments, &[&own[..], more].concat())
}

const SERVER: &[&str] = &[
    "settings",
    "database.certificates",
    "database",
    "database.version",
    "database.writable",
    "database.connections",
    "database.latency",
    "clock",
    "role",
    "database.pooler",
    "schema",
    "listener.certificates",
    "redis",
    "keys",
    "oidc",
    "ports",
    "files",
    "disk",
];

#[tokio::test]
async fn a_server_that_has_all_it_needs_is_told_so_and_nothing_is_changed() {
    let database = Postgres::shared().database();
    let redis = Redis::start_with(&["maxmemory 10mb", "maxmemory-policy allkeys-lru"]).unwrap();
    let logs = tempfile::tempdir().unwrap();
    let log = logs.path().join("log").display().to_string();
    let more = [("REDIS_URL", &*redis.url()), ("LOG_FILE", &log), ("LOG_FILE_MAX_MB", "1")];
    let said = server(database.url(), &more);
    assert_eq!(said.code, Some(0), "{:#}", said.report);
    assert_eq!(said.names(), SERVER);
    assert_eq!(said.count("failed"), 0);
    for (name, found) in [
        ("database.certificates", "CN=brownie-server, valid until"),
        ("database", "brownie-server is let in"),
        ("database.writable", "takes writes"),
        ("clock", "the database server's clock"),
        ("role", "row-level security holds it"),
        ("database.pooler", "none"),
        ("schema", "the schema is current"),
        ("redis", "allkeys-lru"),
        ("keys", "METADATA_JWT_SECRET signs"),
        ("ports", "are free"),
    ] {
        said.expect(name, "ok", found);
    }
    said.expect("oidc", "skipped", "is not set");
    said.expect("listener.certificates", "skipped", "METADATA_TLS is off");
    assert_eq!(std::fs::read_dir(logs.path()).unwrap().count(), 0, "no log was begun");
    assert_eq!(redis.cli("DBSIZE").unwrap(), "0");

    // As lines for people, and beside a server that runs.
    let service = Service::server(database.url()).await.unwrap();
    let (port, metrics) = service.ports();
    let variables = [
        ("DATABASE_URL", database.url()),
        ("METADATA_JWT_SECRET", JWT_SECRET),
        ("METADATA_PORT", &port.to_string()),
        ("METRICS_PORT", &metrics.to_string()),
    ];
    let output = run("brownie-server", &["doctor"], &variables).unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("a server of ours is on"), "{text}");
    let last = text.lines().last().unwrap();
    assert!(last.starts_with("brownie-server: 0 failed"), "{text}");
}

#[tokio::test]
async fn settings_that_cannot_be_used_are_all_there_is_to_say() {
    let said = server("postgres://u:hunter2@127.0.0.1:1/x", &[("DB_POOL_SIZE", "many")]);
    assert_eq!((said.code, said.names()), (Some(2), vec!["settings"]));
    said.expect("settings", "failed", "DB_POOL_SIZE must be a whole number");

    let database = Postgres::shared().database();
    let said = server(database.url(), &[("DB_HSOT", "x"), ("BACKUP_VERIFY_BACKUP", "true")]);
    assert_eq!(said.code, Some(0), "{:#}", said.report);
    said.expect("settings", "warning", "nothing reads DB_HSOT");
    said.expect("settings", "warning", "BACKUP_VERIFY_BACKUP is an older name of BACKUP_VERIFY");
}

#[tokio::test]
async fn a_database_that_is_away_is_told_by_the_step_it_fails_at() {
    let port = free_port().unwrap();
    let url =
        |host: &str| format!("postgres://brownie-server:hunter2@{host}:{port}/x?sslmode=disable");
    for program in ["brownie-server", "brownie-migrator", "brownie-backup"] {
        let variables =
            [("DATABASE_URL", url("127.0.0.1")), ("METADATA_JWT_SECRET", JWT_SECRET.to_owned())];
        let variables = variables.each_ref().map(|(name, value)| (*name, value.as_str()));
        let said = Said::by(program, &[], &variables);
        assert_eq!(said.code, Some(3), "{program}");
        said.expect("database", "failed", "(TCP)");
        for name in ["database.version", "clock", "schema"] {
            said.expect(name, "skipped", "database comes first");
        }
    }
    let said = server(&url("no-such-host.invalid"), &[]);
    said.expect("database", "failed", "(DNS)");
}

#[tokio::test]
async fn a_wrong_password_and_a_database_that_is_not_there_are_told_apart() {
    let postgres = Postgres::private().unwrap();
    postgres.migrated("x").unwrap();
    postgres.execute("CREATE ROLE secretive LOGIN PASSWORD 'right'").unwrap();
    let client = postgres.connect("postgres").await.unwrap();
    let file: String = client.query_one("SHOW hba_file", &[]).await.unwrap().get(0);
    let rules = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("local all secretive scram-sha-256\n{rules}")).unwrap();
    postgres.reload().await.unwrap();
    let said = server(&postgres.url_as("secretive:hunter2", "x"), &[]);
    assert_eq!(said.code, Some(3));
    said.expect("database", "failed", "does not let secretive log in (authentication)");
    let said = server(&postgres.url("nowhere"), &[]);
    said.expect("database", "failed", "there is no database nowhere");

    // Whom row-level security would not hold, and a server that takes no writes.
    let said = server(&postgres.url("x"), &[]);
    assert_eq!(said.code, Some(3));
    said.expect("role", "failed", "is a superuser");
    let said = server(&postgres.url("x"), &[("DB_ALLOW_UNWALLED_ROLE", "true")]);
    said.expect("role", "warning", "not for production");
    postgres.execute("ALTER DATABASE x SET default_transaction_read_only = on").unwrap();
    let said = server(&postgres.url_as("brownie-server", "x"), &[]);
    said.expect("database.writable", "failed", "not from us");
}

/// Who takes the connection and never says a word.
#[tokio::test]
async fn what_hangs_ends_within_the_limit() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let redis = format!("redis://:hunter2@127.0.0.1:{port}");
    let certs = Postgres::shared().certificates("brownie-server").display().to_string();
    for (query, doing) in [("?sslmode=disable", "logging in"), ("", "talking TLS")] {
        let url = format!("postgres://brownie-server:hunter2@127.0.0.1:{port}/x{query}");
        let more = [("REDIS_URL", redis.as_str()), ("CERT_DIR", &certs)];
        let began = Instant::now();
        let said = server_told(&["--timeout", "1"], &url, &more);
        // Starting the program counts, too, on a machine that is busy.
        assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
        assert_eq!(said.code, Some(3));
        said.expect("database", "failed", &format!("no answer within 1 s, while {doing}"));
        said.expect("redis", "failed", "no answer within 1 s, while asking Redis");
        said.expect("keys", "ok", "");
    }
}

#[tokio::test]
async fn redis_is_judged_by_what_it_says_of_itself() {
    let database = Postgres::shared().database();
    let with = |url: &str| server(database.url(), &[("REDIS_URL", url)]);
    let away = with(&format!("redis://:hunter2@127.0.0.1:{}", free_port().unwrap()));
    assert_eq!(away.code, Some(3));
    away.expect("redis", "failed", "cannot be used");

    let redis = Redis::start_with(&["maxmemory 10mb", "maxmemory-policy noeviction"]).unwrap();
    let said = with(&redis.url());
    assert_eq!(said.code, Some(0));
    said.expect("redis", "warning", "noeviction");
    let said = with(&redis.url().replace("hunter2", "not-hunter2"));
    said.expect("redis", "failed", "refuses the user or the password");
    redis.cli(&format!("REPLICAOF 127.0.0.1 {}", free_port().unwrap())).unwrap();
    with(&redis.url()).expect("redis", "failed", "slave");
}

#[tokio::test]
async fn places_ports_and_keys_are_looked_at() {
    let database = Postgres::shared().database();
    let stranger = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = stranger.local_addr().unwrap().port().to_string();
    let more = [
        ("METADATA_PORT", port.as_str()),
        ("LOG_FILE", "/no/such/directory/log"),
        ("METADATA_JWT_SECRET", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
    ];
    let said = server(database.url(), &more);
    assert_eq!(said.code, Some(3));
    said.expect("ports", "failed", "somebody else listens on");
    said.expect("disk", "failed", "/no/such/directory is not there");
    said.expect("keys", "warning", "few different characters");

    let keys = tempfile::tempdir().unwrap();
    std::fs::write(keys.path().join("k.pem"), "no key").unwrap();
    let said = server(database.url(), &[("METADATA_JWT_KEYS_DIR", keys.path().to_str().unwrap())]);
    said.expect("keys", "failed", "k.pem");
}

#[tokio::test]
async fn the_migrator_says_what_migrating_needs_and_what_is_behind() {
    let database = Postgres::shared().empty_database();
    let look = || Said::by("brownie-migrator", &[], &[("DATABASE_URL", database.admin_url())]);
    let said = look();
    assert_eq!(said.code, Some(3));
    said.expect("schema", "failed", "the schema is behind by");
    said.expect("drift", "skipped", "schema comes first");
    said.expect("privileges", "ok", "may create");
    let tables = "SELECT 1 FROM pg_tables WHERE schemaname = 'public'";
    let client = database.connect().await;
    assert!(client.query(tables, &[]).await.unwrap().is_empty(), "nothing is changed");

    let up = run("brownie-migrator", &["up"], &[("DATABASE_URL", database.admin_url())]).unwrap();
    assert!(up.status.success());
    let said = look();
    assert_eq!(said.code, Some(0), "{:#}", said.report);
    assert_eq!(
        said.names(),
        [
            "settings",
            "database.certificates",
            "database",
            "database.version",
            "database.writable",
            "database.connections",
            "database.latency",
            "clock",
            "database.pooler",
            "privileges",
            "roles",
            "encoding",
            "schema",
            "drift",
        ]
    );
    said.expect("drift", "ok", "as the migrations make it");
    client.batch_execute("ALTER TABLE teams ADD COLUMN by_hand int").await.unwrap();
    client
        .batch_execute("UPDATE seaql_migrations SET checksum = 'x' WHERE version LIKE '%_teams'")
        .await
        .unwrap();
    look().expect("schema", "failed", "came from another text");
    client.batch_execute("UPDATE seaql_migrations SET checksum = NULL").await.unwrap();
    let said = look();
    assert_eq!(said.code, Some(3));
    said.expect("drift", "failed", "by_hand");
}

#[tokio::test]
async fn backups_are_judged_by_their_age_and_the_store_by_a_probe() {
    let postgres = Postgres::private().unwrap();
    postgres.migrated("ours").unwrap();
    let url = postgres.url_as("brownie-backup", "ours");
    let parent = tempfile::tempdir().unwrap();
    let place = parent.path().join("backups");
    let identity = parent.path().join("identity");
    let told = |arguments: &[&str], more: &[(&str, &str)]| {
        let destination = place.display().to_string();
        let own = [("DATABASE_URL", url.as_str()), ("BACKUP_DESTINATION", &destination)];
        Said::by("brownie-backup", arguments, &[&own[..], more].concat())
    };
    let said = told(&["--write"], &[]);
    assert_eq!(said.code, Some(3));
    said.expect("store", "failed", "is not a directory");
    said.expect("store.write", "skipped", "store comes first");
    said.expect("disk", "failed", "is not there");
    assert!(!place.exists(), "nothing is made by looking");

    std::fs::create_dir(&place).unwrap();
    told(&[], &[]).expect("backups", "failed", "there is none");
    let destination = place.display().to_string();
    let variables = [("DATABASE_URL", url.as_str()), ("BACKUP_DESTINATION", &destination)];
    let made = run("brownie-backup", &["backup", "--name", "b"], &variables).unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));

    let said = told(&[], &[]);
    assert_eq!(said.code, Some(0), "{:#}", said.report);
    assert_eq!(
        said.names(),
        [
            "settings",
            "database.certificates",
            "database",
            "database.version",
            "database.writable",
            "database.connections",
            "database.latency",
            "clock",
            "schema",
            "role",
            "keys",
            "store",
            "store.write",
            "store.clock",
            "backups",
            "backups.verified",
            "disk",
        ]
    );
    said.expect("role", "ok", "it sees every row of");
    said.expect("keys", "warning", "not encrypted");
    said.expect("store.write", "skipped", "only with --write");
    said.expect("backups.verified", "ok", "b was, 0 hours ago");
    let said = told(&["--write"], &[]);
    assert_eq!(said.code, Some(0), "{:#}", said.report);
    said.expect("store.write", "ok", "written, read and removed");
    said.expect("store.clock", "ok", "the store's clock");
    let files =
        |path: &std::path::Path| std::fs::read_dir(path).unwrap().flatten().collect::<Vec<_>>();
    let left: Vec<_> = files(&place).into_iter().filter(|it| it.file_name() != "b").collect();
    assert!(left.is_empty(), "{left:?}");

    let said = told(&["--newest-within", "0", "--verified-within", "0"], &[]);
    assert_eq!(said.code, Some(3));
    said.expect("backups", "failed", "0 are allowed");
    said.expect("backups.verified", "warning", "0 are allowed");

    let path = identity.display().to_string();
    std::fs::write(&identity, "hunter2\n").unwrap();
    let said = told(&[], &[("BACKUP_AGE_IDENTITY_FILE", &path)]);
    said.expect("keys", "failed", "line 1 of BACKUP_AGE_IDENTITY_FILE");
    std::fs::write(&identity, "# of nobody\n").unwrap();
    std::fs::set_permissions(&identity, std::fs::Permissions::from_mode(0o644)).unwrap();
    let said = told(&[], &[("BACKUP_AGE_IDENTITY_FILE", &path)]);
    said.expect("keys", "warning", "open to others (mode 0644)");
    said.expect("backups", "ok", "the newest, b");

    // A server's role sees one organization's rows at a time: no backup could be made.
    let url = postgres.url_as("brownie-server", "ours");
    let variables = [("DATABASE_URL", url.as_str()), ("BACKUP_DESTINATION", &destination)];
    let said = Said::by("brownie-backup", &[], &variables);
    said.expect("role", "failed", "brownie-server");
}

//! A private PostgreSQL for each test process and version.

use std::{
    fs,
    os::unix::{fs::chown, process::CommandExt},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use brownie_backup::{Cluster, EXCEPTIONS, MigrateByUrl, Server};
use tokio_postgres::{Client, NoTls};

/// Runs a server until standard input closes, then removes the directory it is in.
const KEEPER: &str = r#"
    "$@" </dev/null >>log 2>&1 &
    server=$!
    read -r _
    kill -QUIT $server 2>/dev/null
    wait $server
    rm -rf "$PWD"
"#;

/// A database cluster of our own.
#[derive(Debug)]
pub(crate) struct Postgres {
    pub(crate) bin: PathBuf,
    pub(crate) port: u16,
    /// The server lives as long as our end of its standard input is open.
    _keeper: Child,
}

impl Postgres {
    /// PostgreSQL as Debian 12 has it.
    pub(crate) fn debian() -> &'static Self {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        SHARED.get_or_init(|| {
            let mut places: Vec<_> = fs::read_dir("/usr/lib/postgresql")
                .expect("PostgreSQL is installed: tests/install.sh")
                .flatten()
                .map(|entry| entry.path().join("bin"))
                .collect();
            places.sort();
            Self::start(places.pop().expect("PostgreSQL is installed"))
        })
    }

    /// The newest that we support, where tests/install.sh puts it.
    pub(crate) fn newest() -> &'static Self {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        SHARED.get_or_init(Self::alone)
    }

    /// One that no other test has, for those that look at the list of its databases.
    pub(crate) fn alone() -> Self {
        Self::start("/var/tmp/brownie-parts/postgresql-18/bin".into())
    }

    fn start(bin: PathBuf) -> Self {
        let dir = std::env::temp_dir().join(format!(
            "brownie-backup-{}-{}",
            std::process::id(),
            serial()
        ));
        fs::create_dir_all(&dir).unwrap();
        if let Some(uid) = owner() {
            chown(&dir, Some(uid), Some(uid)).unwrap();
        }
        let mut initdb = Command::new(bin.join("initdb"));
        initdb.args("-U postgres -A trust -E UTF8 --locale=C --no-sync -D data".split(' '));
        initdb.current_dir(&dir);
        as_owner(&mut initdb);
        let output = initdb.output().unwrap();
        assert!(output.status.success(), "initdb: {}", String::from_utf8_lossy(&output.stderr));
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut keeper = Command::new("sh");
        keeper
            .args(["-c", KEEPER, "keeper"])
            .arg(bin.join("postgres"))
            .args(["-D", "data", "-k", "."]);
        for setting in [
            "listen_addresses=127.0.0.1",
            "fsync=off",
            "full_page_writes=off",
            "synchronous_commit=off",
            "max_wal_size=4GB",
            &format!("port={port}"),
        ] {
            keeper.args(["-c", setting]);
        }
        keeper.current_dir(&dir).stdin(Stdio::piped());
        as_owner(&mut keeper);
        let postgres = Self { bin, port, _keeper: keeper.spawn().unwrap() };
        let deadline = Instant::now() + Duration::from_secs(30);
        while !postgres.answers() {
            assert!(Instant::now() < deadline, "{}", fs::read_to_string(dir.join("log")).unwrap());
            std::thread::sleep(Duration::from_millis(30));
        }
        postgres
    }

    fn answers(&self) -> bool {
        let mut ready = Command::new(self.bin.join("pg_isready"));
        ready.args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()]);
        ready.status().is_ok_and(|status| status.success())
    }

    /// Returns the URL of a database, for a role.
    pub(crate) fn url(&self, role: &str, database: &str) -> String {
        format!("postgres://{role}@127.0.0.1:{}/{database}?sslmode=disable", self.port)
    }

    /// Returns the server, with a role and a database.
    pub(crate) fn server(&self, role: &str, database: &str) -> Arc<Server> {
        Arc::new(Server::new(self.url(role, database).parse().unwrap(), None))
    }

    /// Returns the server as one on which a role makes databases.
    pub(crate) fn cluster(&self, role: &str) -> Cluster {
        let migrate = MigrateByUrl::new(&self.url(role, "postgres"), Duration::from_secs(10));
        Cluster {
            dial: self.server(role, "postgres"),
            migrate: Arc::new(migrate.unwrap()),
            maintenance: "postgres".to_owned(),
        }
    }

    pub(crate) async fn connect(&self, database: &str) -> Client {
        let (client, connection) =
            tokio_postgres::connect(&self.url("postgres", database), NoTls).await.unwrap();
        drop(tokio::spawn(connection));
        client
    }

    /// Makes an empty database.
    pub(crate) async fn empty(&self) -> String {
        let name = format!("t_{}", serial());
        self.connect("postgres")
            .await
            .batch_execute(&format!("CREATE DATABASE {name}"))
            .await
            .unwrap();
        name
    }

    /// Makes a migrated database with rows in every table.
    pub(crate) async fn filled(&self, scale: u32, width: u32) -> String {
        self.filled_for(5, scale, width).await
    }

    /// Makes a migrated database with rows of so many organizations in every table. The fifth is
    /// deleted.
    pub(crate) async fn filled_for(&self, organizations: u32, scale: u32, width: u32) -> String {
        let name = self.empty().await;
        let database =
            brownie_migration::Database::new(self.url("postgres", &name), Duration::from_secs(10));
        brownie_migration::apply(&database).await.unwrap();
        let client = self.connect(&name).await;
        let settings = format!(
            "SET test.organizations = {organizations}; SET test.scale = {scale}; SET test.width = {width}"
        );
        client.batch_execute(&settings).await.unwrap();
        client.batch_execute(include_str!("rows.sql")).await.unwrap();
        name
    }

    /// Returns the names of all databases.
    pub(crate) async fn databases(&self) -> Vec<String> {
        let client = self.connect("postgres").await;
        let rows =
            client.query("SELECT datname::text FROM pg_database ORDER BY 1", &[]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }
}

/// Returns all rows of all tables that are backed up as text, table by table, and where the sequences stand: seen
/// otherwise than the crate under test sees them.
pub(crate) async fn contents(client: &Client) -> Vec<(String, i64, String)> {
    client.batch_execute("SET TimeZone = 'UTC'").await.unwrap();
    let tables = "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace
        AND relkind IN ('r', 'p') AND NOT relispartition ORDER BY 1";
    let mut all = Vec::new();
    for row in client.query(tables, &[]).await.unwrap() {
        let table: String = row.get(0);
        if EXCEPTIONS.iter().any(|(name, _)| *name == table) {
            continue;
        }
        let sql = format!(
            "SELECT count(*), coalesce(md5(string_agg(t::text, E'\\n' ORDER BY t::text)), '') FROM {table} AS t"
        );
        let row = client.query_one(&sql, &[]).await.unwrap();
        all.push((table, row.get(0), row.get(1)));
    }
    let row = client.query_one("SELECT last_value FROM outbox_position", &[]).await.unwrap();
    all.push(("outbox_position".to_owned(), row.get(0), String::new()));
    all
}

/// Returns whom a root's servers run as; none when we are not root.
fn owner() -> Option<u32> {
    if id(&[])? == 0 { id(&["postgres"]) } else { None }
}

pub(crate) fn as_owner(command: &mut Command) -> &mut Command {
    match owner() {
        Some(uid) => command.uid(uid).gid(uid),
        None => command,
    }
}

fn id(user: &[&str]) -> Option<u32> {
    let output = Command::new("id").arg("-u").args(user).output().ok()?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}

pub(crate) fn serial() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

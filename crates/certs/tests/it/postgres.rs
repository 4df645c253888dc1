//! A real PostgreSQL that lets in by certificate alone.

use std::{
    env, fs,
    os::unix::fs::chown,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::Context;
use brownie_certs::{Current, Keeper, Policy, Source};
use brownie_test_servers::{PATIENCE, free_port, poll, until};
use chrono::TimeDelta;
use openssl::symm::Cipher;
use postgres_native_tls::MakeTlsConnector;
use tokio_postgres::{Config, config::SslMode};

use crate::world::{self, Ca, Dir, Wish, ec, ed25519, mutual, rsa, wish};

/// Certificates alone, for everybody; a CN is a role, or mapped to one.
const HBA: &str = "\
local   all postgres            trust
hostssl all all 127.0.0.1/32    cert clientcert=verify-full map=brownie
host    all all 0.0.0.0/0       reject
";
const IDENT: &str = "\
brownie brownie-server         brownie-server
brownie brownie-fastapi-server brownie-server
brownie brownie-backup         brownie-backup
";

/// A cluster of our own.
struct Postgres {
    dir: PathBuf,
    port: u16,
    server: Child,
    _home: tempfile::TempDir,
}

#[expect(clippy::disallowed_methods, reason = "the tests' own setting")]
fn programs() -> PathBuf {
    let debian = "/usr/lib/postgresql/15/bin".to_owned();
    let programs = PathBuf::from(env::var("BROWNIE_TEST_PG_BIN").unwrap_or(debian));
    assert!(programs.join("initdb").exists(), "PostgreSQL 15 is not there: run tests/install.sh");
    programs
}

/// Runs a program as PostgreSQL's user, if we are root, whom it refuses.
fn as_postgres(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]).arg(program);
    command
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").unwrap().uid() == 0
}

fn postgres_uid() -> u32 {
    let passwd = fs::read_to_string("/etc/passwd").unwrap();
    let line = passwd.lines().find(|line| line.starts_with("postgres:")).unwrap();
    line.split(':').nth(2).unwrap().parse().unwrap()
}

impl Postgres {
    /// Starts one that believes `ca`, and shows a certificate of `shown`.
    async fn start(ca: &Ca, shown: &Ca, crl: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("data");
        if is_root() {
            chown(home.path(), Some(postgres_uid()), Some(postgres_uid())).unwrap();
        }
        let output = as_postgres(&programs().join("initdb"))
            .args("-U postgres -A trust -E UTF8 --locale=C --no-sync -D".split(' '))
            .arg(&dir)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let server = shown.server();
        for (name, text) in [
            ("pg_hba.conf", HBA.to_owned()),
            ("pg_ident.conf", IDENT.to_owned()),
            ("ca.crt", ca.pem()),
            ("crl.pem", crl.to_owned()),
            ("server.crt", world::pem(&server.certificate)),
            ("server.key", world::key_pem(&server.key)),
        ] {
            world::put(&dir, name, text.as_bytes());
            if is_root() {
                chown(dir.join(name), Some(postgres_uid()), Some(postgres_uid())).unwrap();
            }
        }
        let port = free_port().unwrap();
        let mut command = as_postgres(&programs().join("postgres"));
        command.arg("-D").arg(&dir).arg("-k").arg(home.path());
        for setting in [
            format!("port={port}"),
            "listen_addresses=127.0.0.1".to_owned(),
            "fsync=off".to_owned(),
            "ssl=on".to_owned(),
            "ssl_ca_file=ca.crt".to_owned(),
            "ssl_crl_file=crl.pem".to_owned(),
        ] {
            command.arg("-c").arg(setting);
        }
        let log = fs::File::create(home.path().join("log")).unwrap();
        let server =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let postgres = Self { dir: home.path().to_owned(), port, server, _home: home };
        let client = poll("PostgreSQL answers", PATIENCE, async || {
            postgres.superuser().await.with_context(|| postgres.log())
        })
        .await;
        let roles = r#"CREATE ROLE "brownie-server" LOGIN; CREATE ROLE "brownie-backup" LOGIN"#;
        client.batch_execute(roles).await.unwrap();
        postgres
    }

    /// Replaces files of the server's, and has it read them.
    async fn replace(&self, files: &[(&str, String)]) {
        for (name, text) in files {
            world::put(&self.dir.join("data"), name, text.as_bytes());
            if is_root() {
                chown(self.dir.join("data").join(name), Some(postgres_uid()), Some(postgres_uid()))
                    .unwrap();
            }
        }
        let client = self.superuser().await.unwrap();
        let now = "SELECT clock_timestamp()::text";
        let told: String = client.query_one(now, &[]).await.unwrap().get(0);
        let reload = Command::new("kill").args(["-HUP", &self.server.id().to_string()]).status();
        assert!(reload.unwrap().success());
        // The postmaster reads its files when it gets to it; sessions that begin later know when.
        let read = format!("SELECT pg_conf_load_time() >= '{told}'");
        until("the postmaster has read its files", PATIENCE, async || {
            self.superuser().await.unwrap().query_one(&read, &[]).await.unwrap().get(0)
        })
        .await;
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }

    async fn superuser(&self) -> Result<tokio_postgres::Client, tokio_postgres::Error> {
        let mut config = Config::new();
        config.host_path(&self.dir).port(self.port).user("postgres").dbname("postgres");
        let (client, connection) = config.connect(tokio_postgres::NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// Logs in with what is in use, and returns whom the server takes us for: role and subject.
    async fn log_in(&self, current: &Current, role: &str) -> Result<(String, String), String> {
        let tls = MakeTlsConnector::new(current.connector().clone());
        let mut config = Config::new();
        config.host("localhost").hostaddr([127, 0, 0, 1].into()).port(self.port);
        config.user(role).dbname("postgres").ssl_mode(SslMode::Require);
        let said = |error: tokio_postgres::Error| {
            let code = error.code().map(|code| code.code().to_owned()).unwrap_or_default();
            format!("{code} {}", brownie_logging::chain(&error))
        };
        let (client, connection) = config.connect(tls).await.map_err(said)?;
        let connection = tokio::spawn(connection);
        let query = "SELECT session_user::text, client_dn FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND ssl";
        let row = client.query_one(query, &[]).await.map_err(said)?;
        connection.abort();
        Ok((row.get(0), row.get(1)))
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // SIGQUIT: at once, its children, too. setpriv became the server, so this is its id.
        let _ = Command::new("kill").args(["-QUIT", &self.server.id().to_string()]).status();
        let _ = self.server.wait();
    }
}

async fn used(dir: &Dir) -> Arc<Current> {
    // Bad ones, too: it is the server that is to refuse them.
    let lenient = Policy { strict: false, ..mutual() };
    Keeper::start(Source::dir(dir.path()), lenient, world::clock()).await.unwrap().current()
}

#[tokio::test]
async fn postgresql_is_entered_with_a_key_of_any_form() {
    let ca = Ca::new("ca");
    let postgres = Postgres::start(&ca, &ca, &ca.revoke(&[], TimeDelta::days(7))).await;
    let (rsa, ec, ed25519) = (rsa(), ec(), ed25519());
    let cipher = Cipher::aes_256_cbc;
    for (form, key, text) in [
        ("PKCS#8, RSA", &rsa, rsa.private_key_to_pem_pkcs8()),
        ("PKCS#8, EC", &ec, ec.private_key_to_pem_pkcs8()),
        ("PKCS#8, Ed25519", &ed25519, ed25519.private_key_to_pem_pkcs8()),
        ("PKCS#1", &rsa, rsa.rsa().unwrap().private_key_to_pem()),
        ("SEC1", &ec, ec.ec_key().unwrap().private_key_to_pem()),
        ("encrypted PKCS#8", &ec, ec.private_key_to_pem_pkcs8_passphrase(cipher(), b"sesame")),
        (
            "encrypted PKCS#1",
            &rsa,
            rsa.rsa().unwrap().private_key_to_pem_passphrase(cipher(), b"sesame"),
        ),
    ] {
        let pair = ca.issue(&Wish { key: key.clone(), ..wish("brownie-fastapi-server", "client") });
        let dir = Dir::of(&ca.pem(), &pair);
        dir.put("client.key", text.unwrap());
        dir.put("client.key.pass", "sesame");
        let entered = postgres.log_in(&*used(&dir).await, "brownie-server").await;
        let expected =
            ("brownie-server".to_owned(), "/O=Acme/CN=brownie-fastapi-server".to_owned());
        assert_eq!(entered, Ok(expected), "{form}");
    }
}

#[tokio::test]
async fn postgresql_is_believed_by_a_bundle_in_either_order_and_by_no_other() {
    let (old, new) = (Ca::new("ca"), Ca::new("ca"));
    let both = old.revoke(&[], TimeDelta::days(7)) + &new.revoke(&[], TimeDelta::days(7));
    let postgres = Postgres::start(&old, &new, &both).await;
    let client = old.client("brownie-server");
    for bundle in [old.pem() + &new.pem(), new.pem() + &old.pem()] {
        let current = used(&Dir::of(&bundle, &client)).await;
        assert!(postgres.log_in(&current, "brownie-server").await.is_ok());
    }
    let current = used(&Dir::of(&old.pem(), &client)).await;
    let said = postgres.log_in(&current, "brownie-server").await.unwrap_err();
    assert!(said.contains("certificate verify failed"), "{said}");
}

/// Both sides go from one authority to another, the bundle first, while somebody logs in without end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgresql_is_entered_without_a_pause_while_all_certificates_are_replaced() {
    let (old, new) = (Ca::new("ca"), Ca::new("ca"));
    let crls = old.revoke(&[], TimeDelta::days(7)) + &new.revoke(&[], TimeDelta::days(7));
    let postgres = Arc::new(Postgres::start(&old, &old, &crls).await);
    let dir = Dir::of(&old.pem(), &old.client("brownie-server"));
    let keeper =
        Arc::new(Keeper::start(Source::dir(dir.path()), mutual(), world::clock()).await.unwrap());
    let is_over = Arc::new(AtomicBool::new(false));
    let entering = tokio::spawn({
        let (postgres, keeper) = (Arc::clone(&postgres), Arc::clone(&keeper));
        let is_over = Arc::clone(&is_over);
        async move {
            let mut entered = 0;
            while !is_over.load(Ordering::SeqCst) {
                postgres.log_in(&keeper.current(), "brownie-server").await.unwrap();
                entered += 1;
            }
            entered
        }
    });
    let both = old.pem() + &new.pem();
    let server = new.server();
    let server = [
        ("server.crt", world::pem(&server.certificate)),
        ("server.key", world::key_pem(&server.key)),
    ];
    let settle = async || keeper.reload().await.unwrap();
    dir.put("ca.crt", &both);
    postgres.replace(&[("ca.crt", both)]).await;
    settle().await;
    postgres.replace(&server).await;
    settle().await;
    for _ in 0..10 {
        // Half of a pair is refused, and the old one serves on.
        dir.put_pair("client", &new.client("brownie-server"));
        settle().await;
    }
    dir.put("ca.crt", new.pem());
    postgres
        .replace(&[("ca.crt", new.pem()), ("crl.pem", new.revoke(&[], TimeDelta::days(7)))])
        .await;
    settle().await;
    is_over.store(true, Ordering::SeqCst);
    let entered = entering.await.unwrap();
    assert!(entered > 50, "{entered}");
    assert_eq!(keeper.current().generation(), 13);
    // Whoever stayed with the old authority is out.
    let behind = used(&Dir::of(&old.pem(), &old.client("brownie-server"))).await;
    assert!(postgres.log_in(&behind, "brownie-server").await.is_err());
}

/// What we would refuse ourselves the server refuses, too, should somebody be lenient.
#[tokio::test]
async fn postgresql_refuses_what_we_would() {
    let (ca, other) = (Ca::new("ca"), Ca::new("ca"));
    let revoked = ca.client("brownie-server");
    let crl = ca.revoke(&[&revoked.certificate], TimeDelta::days(7));
    let postgres = Postgres::start(&ca, &ca, &crl).await;
    let over = Wish {
        begins: TimeDelta::days(-2),
        ends: TimeDelta::days(-1),
        ..wish("brownie-server", "client")
    };
    for (case, pair, role, expected) in [
        ("good", ca.client("brownie-server"), "brownie-server", ""),
        ("of another role", ca.client("brownie-backup"), "brownie-server", "28000"),
        ("a superuser's", ca.client("brownie-server"), "postgres", "28000"),
        ("of another authority", other.client("brownie-server"), "brownie-server", "unknown ca"),
        ("over", ca.issue(&over), "brownie-server", "certificate expired"),
        ("revoked", revoked, "brownie-server", "certificate revoked"),
        ("for another use", ca.issue(&wish("brownie-server", "server")), "brownie-server", ""),
    ] {
        let current = used(&Dir::of(&ca.pem(), &pair)).await;
        let entered = postgres.log_in(&current, role).await;
        assert_eq!(entered.is_ok(), case == "good", "{case}: {entered:?}");
        // With TLS 1.3 the connection may be gone before the reason is read.
        let said = format!("{entered:?}");
        let is_reset = said.contains("Connection reset by peer");
        assert!(said.contains(expected) || is_reset, "{case}: {said}");
    }
}

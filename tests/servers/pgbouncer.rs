//! A private `PgBouncer` in front of the private PostgreSQL. `tests/parts/install-pgbouncer.sh` brings
//! the programs.

use std::{
    fs,
    net::TcpStream,
    os::unix::fs::PermissionsExt,
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result, ensure};

use crate::{PATIENCE, Postgres, unprivileged, until_blocking};

/// How connections are shared out.
#[derive(Debug, Clone, Copy)]
pub enum PoolMode {
    /// A server connection for as long as a client has its own.
    Session,
    /// A server connection for each transaction.
    Transaction,
}

/// A running pooler.
#[derive(Debug)]
pub struct PgBouncer {
    child: Child,
    port: u16,
    _dir: tempfile::TempDir,
}

impl PgBouncer {
    /// Starts the `PgBouncer` of a version (`1.18` or `1.24`) before a PostgreSQL, which it reaches by
    /// the socket. Its own clients show it their certificates.
    /// `prepared` is `max_prepared_statements`, which 1.18 does not have.
    ///
    /// # Errors
    /// When it is not installed or does not start.
    pub fn start(
        version: &str,
        postgres: &Postgres,
        mode: PoolMode,
        prepared: Option<u32>,
    ) -> Result<Self> {
        let certs = postgres.certificates("server");
        let certs = certs.display();
        let mode = match mode {
            PoolMode::Session => "session",
            PoolMode::Transaction => "transaction",
        };
        let prepared =
            prepared.map(|most| format!("max_prepared_statements = {most}\n")).unwrap_or_default();
        let servers = format!("host={} port={}", postgres.socket().display(), postgres.port());
        let settings = format!(
            "client_tls_sslmode = verify-full\nclient_tls_ca_file = {certs}/ca.crt\n\
             client_tls_cert_file = {certs}/server.crt\nclient_tls_key_file = {certs}/server.key\n\
             auth_type = cert\npool_mode = {mode}\n{prepared}"
        );
        Self::run(version, &servers, &settings)
    }

    /// Starts one that shares out server connections by transactions, before whatever listens on a port and lets
    /// everybody in, as it does itself.
    ///
    /// # Errors
    /// As [`PgBouncer::start`].
    pub fn before(version: &str, port: u16) -> Result<Self> {
        let settings = "auth_type = trust\nadmin_users = postgres\npool_mode = transaction\n\
            max_prepared_statements = 200\n";
        Self::run(version, &format!("host=127.0.0.1 port={port}"), settings)
    }

    fn run(version: &str, servers: &str, settings: &str) -> Result<Self> {
        let program = crate::parts().join(format!("pgbouncer-{version}/run"));
        ensure!(
            program.exists(),
            "{} is not there: run tests/parts/install-pgbouncer.sh",
            program.display()
        );
        let dir = tempfile::tempdir()?;
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755))?;
        let users = dir.path().join("users.txt");
        fs::write(&users, "\"postgres\" \"\"\n\"brownie-server\" \"\"\n")?;
        let port = crate::free_port()?;
        let file = dir.path().join("pgbouncer.ini");
        fs::write(
            &file,
            format!(
                "[databases]\n* = {servers}\n[pgbouncer]\n\
                 listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
                 auth_file = {}\ndefault_pool_size = 4\nserver_login_retry = 1\n{settings}",
                users.display()
            ),
        )?;
        let mut command = Command::new(program);
        command.arg(&file).stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(fs::File::create(dir.path().join("log"))?);
        let child = unprivileged(&mut command)?.spawn().context("pgbouncer")?;
        let pooler = Self { child, port, _dir: dir };
        until_blocking("PgBouncer listens", PATIENCE, || {
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        Ok(pooler)
    }

    /// Has it open all its server connections anew; those of its clients stay open.
    ///
    /// # Errors
    /// When it refuses.
    pub async fn reconnect(&self) -> Result<()> {
        let url = format!("host=127.0.0.1 port={} user=postgres dbname=pgbouncer", self.port);
        let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await?;
        let connection = tokio::spawn(connection);
        client.simple_query("RECONNECT").await?;
        connection.abort();
        Ok(())
    }

    /// Returns the port that it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

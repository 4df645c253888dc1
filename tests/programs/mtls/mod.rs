//! Certificates instead of passwords: our programs and a real PostgreSQL that takes nothing else.

#[path = "../../../crates/certs/tests/it/bao.rs"]
#[expect(dead_code, reason = "the tests of brownie-certs use all of it")]
mod bao;
mod doctor;
mod faults;
mod kept;
mod listener;
mod rotation;
mod secrets;
mod shipped;
#[path = "../../../crates/certs/tests/it/world.rs"]
#[expect(dead_code, reason = "the tests of brownie-certs use all of it")]
mod world;

use std::{fs, os::unix::fs::MetadataExt};

use harness::Postgres;

use world::{Ca, Dir, Pair, key_pem, pem};

/// A cluster with a migrated database `x`, whose authority is the test's own.
struct Cluster {
    postgres: Postgres,
}

impl Cluster {
    async fn of(ca: &Ca) -> Self {
        let postgres = Postgres::private().unwrap();
        postgres.migrated("x").unwrap();
        let cluster = Self { postgres };
        cluster.show(&ca.server()).await;
        cluster.believe(&ca.pem()).await;
        cluster
    }

    /// Believes clients of these authorities from now on.
    async fn believe(&self, bundle: &str) {
        self.replace(&[("ca.crt", bundle)]).await;
    }

    /// Shows this certificate from now on.
    async fn show(&self, server: &Pair) {
        let (certificate, key) = (pem(&server.certificate), key_pem(&server.key));
        self.replace(&[("server.crt", &certificate), ("server.key", &key)]).await;
    }

    async fn replace(&self, files: &[(&str, &str)]) {
        let dir = self.postgres.certificates("server");
        let owner = fs::metadata(&dir).unwrap().uid();
        for (name, text) in files {
            world::put(&dir, name, text.as_bytes());
            std::os::unix::fs::chown(dir.join(name), Some(owner), Some(owner)).unwrap();
        }
        self.reload().await;
    }

    async fn reload(&self) {
        self.postgres.reload().await.unwrap();
    }

    /// The URL of a role, without any certificates.
    fn url(&self, role: &str) -> String {
        format!("postgres://{role}@127.0.0.1:{}/x", self.postgres.port())
    }
}

/// A directory of an authority and a client's certificate.
fn client(ca: &Ca, cn: &'static str) -> Dir {
    Dir::of(&ca.pem(), &ca.client(cn))
}

//! What is made: certificates for development, and what is fetched into a directory.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

use brownie_certs::{
    FetchError, Need, Policy, Source, check,
    dev::{self, DevError},
    fetch, inspect,
};
use brownie_domain::SystemClock;

use openssl::{
    stack::Stack,
    x509::{
        X509, X509StoreContext, X509StoreContextRef,
        store::X509StoreBuilder,
        verify::{X509CheckFlags, X509VerifyParam},
    },
};

use crate::world::{self, Ca, Dir, key_pem, mutual};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o777
}

#[tokio::test]
async fn certificates_for_development_are_good_and_can_be_mounted_as_they_are() {
    let dir = Dir::new();
    let out = dir.file("dev-certs");
    dev::create(&out, world::now()).unwrap();
    for cn in dev::CLIENTS {
        let policy = Policy { expected_cn: Some(cn.to_owned()), server: Need::IfThere, ..mutual() };
        let report = check(&mut Source::dir(&out.join(cn)), &policy, &SystemClock).await.unwrap();
        assert!(report.faults.is_empty() && report.warnings.is_empty(), "{report:?}");
        assert_eq!(report.server.len(), usize::from(cn == "brownie-server"));
        assert_eq!(mode(&out.join(cn).join("client.key")), 0o600);
    }
    let policy = Policy { client: Need::Never, server: Need::Always, ..mutual() };
    let server = check(&mut Source::dir(&out.join("server")), &policy, &SystemClock).await.unwrap();
    assert!(server.faults.is_empty(), "{server:?}");
    let names = &server.server[0].names;
    for name in ["DNS:localhost", "DNS:postgres-primary", "IP:127.0.0.1", "IP:::1"] {
        assert!(names.iter().any(|found| found == name), "{names:?}");
    }
    for key in ["ca/ca.key", "server/server.key", "brownie-server/server.key"] {
        assert_eq!(mode(&out.join(key)), 0o600, "{key}");
    }
    assert_eq!(fs::read_to_string(out.join(".gitignore")).unwrap(), "*\n");
    for host in [
        "postgres-replica",
        "patroni.brownie-metadata.svc",
        "pgbouncer.brownie-metadata.svc.cluster.local",
    ] {
        assert!(is_for(&out, host), "{host}");
    }
    assert!(!is_for(&out, "example.com") && !is_for(&out, "a.b.brownie-metadata.svc"));
}

/// Returns whether a client would believe the server by this name, as OpenSSL judges it.
fn is_for(out: &Path, host: &str) -> bool {
    let read = |path: &str| X509::from_pem(&fs::read(out.join(path)).unwrap()).unwrap();
    let mut parameters = X509VerifyParam::new().unwrap();
    parameters.set_hostflags(X509CheckFlags::NO_PARTIAL_WILDCARDS);
    parameters.set_host(host).unwrap();
    let mut store = X509StoreBuilder::new().unwrap();
    store.add_cert(read("ca/ca.crt")).unwrap();
    store.set_param(&parameters).unwrap();
    let mut context = X509StoreContext::new().unwrap();
    let (certificate, none) = (read("server/server.crt"), Stack::new().unwrap());
    let verified =
        context.init(&store.build(), &certificate, &none, X509StoreContextRef::verify_cert);
    verified.unwrap()
}

#[test]
fn certificates_for_development_overwrite_nothing_and_leave_nothing_half_made() {
    let dir = Dir::new();
    let out = dir.file("dev-certs");
    fs::create_dir(&out).unwrap();
    let error = dev::create(&out, world::now()).unwrap_err();
    assert!(matches!(&error, DevError::Exists(path) if *path == out), "{error}");
    // A file where the directory should be made in.
    dir.put("file", "");
    let error = dev::create(&dir.file("file").join("x"), world::now()).unwrap_err();
    assert!(matches!(error, DevError::Write { .. }), "{error}");
    dev::create(&dir.file("a/b/c"), world::now()).unwrap();
    let left: Vec<_> =
        fs::read_dir(dir.file("a/b")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["c"]);
}

#[tokio::test]
async fn what_is_fetched_is_swapped_as_a_whole() {
    let ca = Ca::new("ca");
    let from = Dir::of(&ca.pem(), &ca.client("brownie-server"));
    let to = Dir::new();
    let out = to.file("certs");
    let once = async || fetch(&mut Source::dir(from.path()), &mutual(), &SystemClock, &out).await;
    once().await.unwrap();
    let first = fs::read_link(out.join("..data")).unwrap();
    assert_eq!(mode(&out.join("client.key")), 0o600);
    assert_eq!(fs::read_to_string(out.join("ca.crt")).unwrap(), ca.pem());
    let report = check(&mut Source::dir(&out), &mutual(), &SystemClock).await.unwrap();
    assert!(report.faults.is_empty(), "{report:?}");

    // What a killed run left is tidied up, what is bad changes nothing, what is new replaces it.
    fs::create_dir(out.join("..2026_01_01_00_00_00.x")).unwrap();
    from.put("client.key", key_pem(&world::ec()));
    assert!(matches!(once().await.unwrap_err(), FetchError::Faults(_)));
    assert_eq!(fs::read_link(out.join("..data")).unwrap(), first);
    from.put_pair("client", &ca.client("brownie-server"));
    once().await.unwrap();
    let second = fs::read_link(out.join("..data")).unwrap();
    assert_ne!(second, first);
    let mut names: Vec<_> = fs::read_dir(&out)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let second = second.to_str().unwrap();
    assert_eq!(names, [second, "..data", "ca.crt", "client.crt", "client.key"]);

    // Somebody else's files are left alone.
    let other = Dir::new();
    other.put("client.key", "theirs");
    let error = fetch(&mut Source::dir(from.path()), &mutual(), &SystemClock, other.path()).await;
    assert!(matches!(error.unwrap_err(), FetchError::Foreign(_)));
    assert_eq!(fs::read_to_string(other.file("client.key")).unwrap(), "theirs");
}

#[test]
fn a_file_is_looked_into_whatever_it_holds() {
    let ca = Ca::new("ca");
    let dir = Dir::of(&ca.pem(), &ca.client("brownie-server"));
    dir.put("ca.crl", ca.revoke(&[&ca.client("c").certificate], chrono::TimeDelta::days(7)));
    dir.put("notes", "nothing of interest");
    let names = ["ca.crt", "client.crt", "client.key", "ca.crl", "notes", "none"];
    let found = inspect(&names.map(|name| dir.file(name)));
    assert!(found[0].certificates[0].is_authority && found[0].faults.is_empty());
    let client = &found[1].certificates[0];
    assert_eq!(client.subject, "O=Acme, CN=brownie-server");
    assert_eq!(client.issuer, "O=Acme, CN=ca");
    assert_eq!(client.fingerprint.len(), 64);
    assert_eq!(found[2].key.as_deref(), Some("EC P-256"));
    assert_eq!(found[3].revocations[0].count, 1);
    assert!(
        found[4].faults[0]
            .to_string()
            .ends_with("holds no certificate, private key or revocation list in PEM")
    );
    assert!(found[5].faults[0].to_string().ends_with("none is not there"));
}

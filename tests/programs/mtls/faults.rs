//! What is wrong with certificates, by us or by the other side: each in words of its own, and none
//! connects.

use chrono::TimeDelta;
use harness::run;

use super::{
    Cluster, client,
    world::{self, Ca, Dir, Wish, wish},
};

/// Runs `brownie-migrator up` with these certificates; returns how it ended, and what it said.
fn up(cluster: &Cluster, dir: &Dir, more: &[(&str, &str)]) -> (Option<i32>, String) {
    let path = dir.path().to_str().unwrap();
    up_at(&cluster.url("brownie-server"), path, more)
}

fn up_at(url: &str, dir: &str, more: &[(&str, &str)]) -> (Option<i32>, String) {
    let own = [("DATABASE_URL", url), ("CERT_DIR", dir), ("LOG_LEVEL", "error")];
    let output = run("brownie-migrator", &["status", "--wait", "5"], &[&own[..], more].concat());
    let output = output.unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&text).into_owned())
}

fn log_ins(cluster: &Cluster) -> usize {
    let log = cluster.postgres.log().unwrap();
    log.lines().filter(|line| line.contains("connection authorized: user=brownie-server")).count()
}

#[tokio::test]
async fn each_fault_of_ours_has_a_message_of_its_own_and_none_connects() {
    let ca = Ca::new("ca");
    let cluster = Cluster::of(&ca).await;
    cluster.postgres.execute("ALTER SYSTEM SET log_connections = on").unwrap();
    cluster.reload().await;
    let good = client(&ca, "brownie-server");
    let (code, text) = up(&cluster, &good, &[]);
    assert_eq!(code, Some(0), "{text}");
    let before = log_ins(&cluster);
    assert!(before > 0);

    let issue = |wish: Wish| Dir::of(&ca.pem(), &ca.issue(&wish));
    let make = |change: &dyn Fn(&Dir)| {
        let dir = client(&ca, "brownie-server");
        change(&dir);
        dir
    };
    let remove =
        |name: &'static str| move |dir: &Dir| std::fs::remove_file(dir.file(name)).unwrap();
    let server = || wish("brownie-server", "client");
    let days = TimeDelta::days;
    let cases: Vec<(Dir, &str)> = vec![
        (make(&remove("ca.crt")), "ca.crt is not there"),
        (make(&remove("client.key")), "client.key is not there"),
        (make(&|dir| dir.mode("client.key", 0o644)), "client.key is a private key open to others"),
        (make(&|dir| dir.put("client.key", "no key")), "client.key holds no private key in PEM"),
        (make(&|dir| dir.put("client.crt", "")), "client.crt holds no certificate"),
        (
            make(&|dir| dir.put("client.key", world::key_pem(&world::ec()))),
            "is not the key of the first certificate",
        ),
        (issue(Wish { begins: days(-9), ends: days(-2), ..server() }), "expired"),
        (issue(Wish { begins: days(2), ends: days(9), ..server() }), "is the clock right"),
        (issue(wish("brownie-server", "server")), "clientAuth"),
        (
            Dir::of(&ca.pem(), &Ca::new("other").client("brownie-server")),
            "is not signed by a CA of",
        ),
        (make(&|dir| dir.put("ca.crt", "-----BEGIN CERTIFICATE-----\nAAAA")), "ca.crt"),
        (make(&|dir| dir.put("ca.crt", world::pem(&ca.client("c").certificate))), "CA"),
    ];
    let mut told = std::collections::BTreeSet::new();
    for (dir, expected) in &cases {
        let (code, text) = up(&cluster, dir, &[]);
        assert_eq!(code, Some(1), "{expected}: {text}");
        assert!(text.contains(expected), "{expected}: {text}");
        let path = dir.path().to_str().unwrap();
        assert!(told.insert(text.replace(path, "")), "said before: {text}");
    }
    let (code, text) = up(&cluster, &good, &[("CERT_EXPECTED_CN", "brownie-backup")]);
    assert!(code == Some(1) && text.contains("brownie-backup"), "{text}");
    let (code, text) = up_at(&cluster.url("brownie-server"), "/nowhere", &[]);
    assert!(code == Some(1) && text.contains("/nowhere/ca.crt is not there"), "{text}");
    assert_eq!(log_ins(&cluster), before, "none connected");
}

#[tokio::test]
async fn what_the_other_side_minds_is_said_and_none_is_let_in() {
    let (ca, other) = (Ca::new("ca"), Ca::new("other"));
    let cluster = Cluster::of(&ca).await;
    cluster.postgres.execute("ALTER SYSTEM SET log_connections = on").unwrap();
    let crl = cluster.postgres.certificates("server").join("crl.pem");
    let revoked = ca.client("brownie-server");
    cluster.replace(&[("crl.pem", &ca.revoke(&[&revoked.certificate], TimeDelta::days(9)))]).await;
    let setting = format!("ALTER SYSTEM SET ssl_crl_file = '{}'", crl.display());
    cluster.postgres.execute(&setting).unwrap();
    cluster.reload().await;
    let before = log_ins(&cluster);

    // Ours to judge, too, unless told not to: then the server does.
    let lenient = [("CERT_STRICT_VALIDATION", "false")];
    let days = TimeDelta::days;
    let over = Wish { begins: days(-9), ends: days(-2), ..wish("brownie-server", "client") };
    for (pair, expected) in [
        (other.client("brownie-server"), "does not accept our certificate"),
        (ca.issue(&over), "certificate expired"),
        (revoked, "certificate revoked"),
        (ca.client("brownie-backup"), "certificate authentication failed for user"),
        (ca.client("stranger"), "certificate authentication failed for user"),
    ] {
        let dir = Dir::of(&ca.pem(), &pair);
        let (code, text) = up(&cluster, &dir, &lenient);
        assert!(code == Some(1) && text.contains(expected), "{expected}: {text}");
    }
    // None at all.
    let none = Dir::new();
    none.put("ca.crt", ca.pem());
    let (code, text) = up(&cluster, &none, &[]);
    assert!(code == Some(1) && text.contains("requires a valid client certificate"), "{text}");

    // Ours to judge alone: who the server is.
    let dir = client(&ca, "brownie-server");
    let stranger = Dir::of(&other.pem(), &ca.client("brownie-server"));
    let (code, text) = up(&cluster, &stranger, &lenient);
    assert!(code == Some(1) && text.contains("do not trust each other"), "{text}");
    cluster.show(&ca.issue(&wish("elsewhere", ""))).await;
    let (code, text) = up(&cluster, &dir, &[]);
    assert!(code == Some(1) && text.contains("do not trust each other"), "{text}");
    assert_eq!(log_ins(&cluster), before, "none was let in");
}

/// PostgreSQL manual, section 34.19.1.
#[tokio::test]
async fn ssl_modes_mean_what_libpq_means_by_them() {
    let (ca, other) = (Ca::new("ca"), Ca::new("other"));
    let cluster = Cluster::of(&ca).await;
    cluster.show(&ca.issue(&wish("elsewhere", ""))).await;
    let dir = client(&ca, "brownie-server");
    let path = dir.path().to_str().unwrap();
    let with = |mode: &str, dir: &str, more: &[(&str, &str)]| {
        up_at(&format!("{}?sslmode={mode}", cluster.url("brownie-server")), dir, more)
    };
    // By another name than its own.
    assert_eq!(with("verify-full", path, &[]).0, Some(1));
    assert_eq!(with("verify-ca", path, &[]).0, Some(0));
    assert_eq!(with("require", path, &[]).0, Some(0), "with a CA as verify-ca");
    let strange = Dir::of(&other.pem(), &other.client("brownie-server"));
    let strange = strange.path().to_str().unwrap();
    for mode in ["verify-ca", "require"] {
        let (code, text) = with(mode, strange, &[]);
        assert!(code == Some(1) && text.contains("do not trust each other"), "{mode}: {text}");
    }
    // Without a CA.
    std::fs::remove_file(dir.file("ca.crt")).unwrap();
    let files = format!("sslcert={path}/client.crt&sslkey={path}/client.key");
    let bare = |mode: &str, more: &[(&str, &str)]| {
        let url = format!("{}?sslmode={mode}&{files}", cluster.url("brownie-server"));
        let own = [("DATABASE_URL", url.as_str()), ("LOG_LEVEL", "error")];
        let output =
            run("brownie-migrator", &["status", "--wait", "5"], &[&own[..], more].concat());
        let output = output.unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, text) = bare("verify-ca", &[]);
    assert!(code == Some(1) && text.contains("ca.crt is not there"), "{text}");
    let (code, text) = bare("require", &[]);
    assert!(code == Some(1) && text.contains("verifies nothing"), "{text}");
    assert_eq!(bare("require", &[("DB_ALLOW_UNVERIFIED_SERVER", "true")]).0, Some(0));
    for mode in ["allow", "prefer"] {
        let (code, text) = bare(mode, &[]);
        assert!(code == Some(2) && text.contains("goes on without encryption"), "{text}");
    }
    let (code, text) = bare("disable", &[]);
    assert!(code == Some(1) && text.contains("no encryption"), "{text}");

    // A server that speaks no TLS gets nothing.
    cluster.postgres.execute("ALTER SYSTEM SET ssl = off").unwrap();
    cluster.reload().await;
    dir.put("ca.crt", ca.pem());
    let (code, text) = with("verify-ca", path, &[]);
    assert!(code == Some(1) && text.contains("offers no TLS"), "{text}");
}

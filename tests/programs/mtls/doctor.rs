//! What `doctor` says of certificates, ours and the other side's.

use chrono::TimeDelta;

use super::{
    Cluster, client,
    world::{Ca, Dir, Wish, wish},
};
use crate::doctor::Said;

#[tokio::test]
async fn doctor_says_which_certificate_is_wrong_and_how() {
    let (ca, other) = (Ca::new("ca"), Ca::new("other"));
    let cluster = Cluster::of(&ca).await;
    let look = |dir: &Dir, more: &[(&str, &str)]| {
        let url = cluster.url("brownie-server");
        let secret = ("METADATA_JWT_SECRET", harness::JWT_SECRET);
        let (port, metrics) = (harness::free_port().unwrap(), harness::free_port().unwrap());
        let (port, metrics) = (port.to_string(), metrics.to_string());
        let own = [
            ("DATABASE_URL", url.as_str()),
            ("CERT_DIR", dir.path().to_str().unwrap()),
            secret,
            ("METADATA_PORT", &port),
            ("METRICS_PORT", &metrics),
        ];
        Said::by("brownie-server", &[], &[&own[..], more].concat())
    };
    let said = look(&client(&ca, "brownie-server"), &[]);
    assert_eq!(said.code, Some(0));
    said.expect("database.certificates", "ok", "CN=brownie-server, valid until");
    said.expect("database", "ok", "by TLSv1.3");

    // Ours to judge: nobody connects.
    let days = TimeDelta::days;
    let issue = |wish: Wish| Dir::of(&ca.pem(), &ca.issue(&wish));
    let ours = || wish("brownie-server", "client");
    let open = client(&ca, "brownie-server");
    open.mode("client.key", 0o644);
    for (dir, found) in [
        (issue(Wish { begins: days(-9), ends: days(-2), ..ours() }), "expired"),
        (open, "is a private key open to others"),
        (Dir::of(&ca.pem(), &other.client("brownie-server")), "is not signed by a CA of"),
    ] {
        let said = look(&dir, &[]);
        assert_eq!(said.code, Some(3), "{found}");
        said.expect("database.certificates", "failed", found);
        said.expect("database", "skipped", "database.certificates comes first");
    }
    let soon = issue(Wish { begins: days(-300), ends: days(5), ..ours() });
    let said = look(&soon, &[]);
    assert_eq!(said.code, Some(0), "a warning is no failure");
    said.expect("database.certificates", "warning", "expires at");

    // The other side's to judge, or of the other side.
    let lenient = [("CERT_STRICT_VALIDATION", "false")];
    let stranger = Dir::of(&ca.pem(), &other.client("brownie-server"));
    look(&stranger, &lenient).expect("database", "failed", "TLS: ");
    let untrusting = Dir::of(&other.pem(), &ca.client("brownie-server"));
    look(&untrusting, &lenient).expect("database", "failed", "do not trust each other");
    let wrong_name = Dir::of(&ca.pem(), &ca.client("stranger"));
    look(&wrong_name, &[]).expect("database", "failed", "(authentication)");

    // The listener's.
    let said = look(&client(&ca, "brownie-server"), &[("METADATA_TLS", "on")]);
    assert_eq!(said.code, Some(3));
    said.expect("listener.certificates", "failed", "server.crt is not there");
    let both = client(&ca, "brownie-server");
    both.put_pair("server", &ca.server());
    let said = look(&both, &[("METADATA_TLS", "on")]);
    assert_eq!(said.code, Some(0));
    said.expect("listener.certificates", "ok", "valid until");
}

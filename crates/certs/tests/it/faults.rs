//! Each fault has words of its own.

use std::fs;

use brownie_certs::{Fault, Keeper, Need, Paths, Policy, Source, check};
use brownie_domain::{Clock, ManualClock, SystemClock};
use chrono::TimeDelta;
use openssl::{pkey::PKey, rsa::Rsa};

use crate::world::{self, Ca, Dir, Wish, ec, key_pem, listening, mutual, pem, wish};

/// Returns what is said of a directory: faults, then warnings. The directory's own path is left out.
async fn said(dir: &Dir, policy: &Policy) -> (Vec<String>, Vec<String>) {
    said_at(dir, policy, &SystemClock).await
}

async fn said_at(dir: &Dir, policy: &Policy, clock: &dyn Clock) -> (Vec<String>, Vec<String>) {
    let report = check(&mut Source::dir(dir.path()), policy, clock).await;
    let path = format!("{}/", dir.path().display());
    let texts = |faults: Vec<Fault>| -> Vec<String> {
        faults.iter().map(|fault| fault.to_string().replace(&path, "")).collect()
    };
    match report {
        Ok(report) => (texts(report.faults), texts(report.warnings)),
        Err(fault) => (texts(vec![fault]), Vec::new()),
    }
}

/// Expects one fault that begins so, and that nothing is used.
async fn refused(dir: &Dir, policy: &Policy, beginning: &str) {
    let (faults, _) = said(dir, policy).await;
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(faults[0].starts_with(beginning), "{:?} begins not with {beginning:?}", faults[0]);
    let source = Source::dir(dir.path());
    let started = Keeper::start(source, policy.clone(), world::clock()).await;
    assert!(started.is_err(), "{beginning}");
}

#[tokio::test]
async fn what_is_good_is_not_complained_of() {
    let ca = Ca::new("ca");
    let dir = Dir::of(&ca.pem(), &ca.client("brownie-server"));
    dir.put_pair("server", &ca.server());
    assert_eq!(said(&dir, &listening()).await, (vec![], vec![]));
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let ca = Ca::new("ca");
    for name in ["ca.crt", "client.crt", "client.key"] {
        let dir = Dir::of(&ca.pem(), &ca.client("c"));
        fs::remove_file(dir.file(name)).unwrap();
        refused(&dir, &mutual(), &format!("{name} is not there")).await;
    }
    let none = Policy { ca: Need::IfThere, client: Need::IfThere, ..mutual() };
    assert_eq!(said(&Dir::new(), &none).await, (vec![], vec![]));
    let nowhere = check(&mut Source::files(Paths::default()), &mutual(), &SystemClock).await;
    let nowhere = nowhere.unwrap().faults[0].to_string();
    assert_eq!(nowhere, "the CA (no path is given) is not there");
    let half = Dir::new();
    half.put("client.key", key_pem(&ec()));
    refused(&half, &none, "client.crt is not there").await;
}

/// PostgreSQL's own key may be beside ours, and is not ours to read.
#[tokio::test]
async fn what_nobody_needs_is_not_looked_at() {
    let ca = Ca::new("ca");
    let dir = Dir::of(&ca.pem(), &ca.client("c"));
    dir.put("server.key", "nothing");
    dir.mode("server.key", 0o666);
    fs::create_dir(dir.file("server.crt")).unwrap();
    assert_eq!(said(&dir, &mutual()).await, (vec![], vec![]));
    refused(&dir, &listening(), "server.crt cannot be read: it is not a file").await;
}

#[tokio::test]
async fn what_cannot_be_read_is_named() {
    let ca = Ca::new("ca");
    let dir = Dir::of(&ca.pem(), &ca.client("c"));
    fs::remove_file(dir.file("ca.crt")).unwrap();
    fs::create_dir(dir.file("ca.crt")).unwrap();
    refused(&dir, &mutual(), "ca.crt cannot be read: it is not a file").await;
}

#[tokio::test]
async fn a_key_is_nobody_elses() {
    let ca = Ca::new("ca");
    let dir = Dir::of(&ca.pem(), &ca.client("c"));
    dir.mode("client.key", 0o644);
    let message = "client.key is a private key open to others (mode 0644); chmod 06";
    refused(&dir, &mutual(), message).await;
    let lenient = Policy { strict: false, ..mutual() };
    let (faults, warnings) = said(&dir, &lenient).await;
    assert!(faults.is_empty() && warnings[0].starts_with(message), "{faults:?} {warnings:?}");
    dir.mode("client.key", 0o400);
    assert_eq!(said(&dir, &mutual()).await.0, Vec::<String>::new());
}

#[tokio::test]
async fn what_is_not_pem_is_told_from_what_is_damaged() {
    let ca = Ca::new("ca");
    let client = ca.client("c");
    for (name, what, text) in [
        ("ca.crt", "certificate", ca.pem()),
        ("client.crt", "certificate", pem(&client.certificate)),
        ("client.key", "private key", key_pem(&client.key)),
    ] {
        let dir = Dir::of(&ca.pem(), &client);
        dir.put(name, "");
        refused(&dir, &mutual(), &format!("{name} holds no {what} in PEM")).await;
        dir.put(name, client.certificate.to_der().unwrap());
        refused(&dir, &mutual(), &format!("{name} holds no {what} in PEM")).await;
        // Cut anywhere behind the first line, it is damaged.
        for length in [30, 60, text.len() / 2, text.len() - 2] {
            dir.put(name, &text[..length]);
            let expected = format!("{name} holds a {what} that is cut short or damaged");
            refused(&dir, &mutual(), &expected).await;
        }
        dir.put(name, text.replacen(&text[100..104], "!!!!", 1));
        refused(&dir, &mutual(), &format!("{name} holds a {what} that is cut short or damaged"))
            .await;
    }
}

#[tokio::test]
async fn swapped_halves_of_two_pairs_are_refused() {
    let ca = Ca::new("ca");
    let dir = Dir::of(&ca.pem(), &ca.client("c"));
    dir.put("client.key", key_pem(&ca.client("c").key));
    let message = format!(
        "{0}/client.key is not the key of the first certificate of {0}/client.crt",
        dir.path().display()
    );
    let report = check(&mut Source::dir(dir.path()), &mutual(), &SystemClock).await.unwrap();
    assert!(report.faults[0].to_string().starts_with(&message), "{:?}", report.faults);
    refused(&dir, &mutual(), "client.key is not the key of the first").await;
    // Never a warning: it cannot be used.
    refused(&dir, &Policy { strict: false, ..mutual() }, "client.key is not the key").await;
}

#[tokio::test]
async fn time_is_judged_by_the_clock_that_was_handed_in() {
    let ca = Ca::new("ca");
    let dir = Dir::of(&ca.pem(), &ca.client("c"));
    let clock = ManualClock::at(world::now());
    let at = async |step: TimeDelta| {
        clock.advance(step);
        said_at(&dir, &mutual(), &clock).await
    };
    let (_, warnings) = at(TimeDelta::days(336)).await;
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(
        warnings[0].starts_with("ca.crt: the CA \"O=Acme, CN=ca\" expires at 20"),
        "{warnings:?}"
    );
    assert!(warnings[1].starts_with("client.crt expires at 20"), "{warnings:?}");
    assert!(warnings[1].ends_with("in 28 days"), "{warnings:?}");

    // An hour and a bit too early: the clock is wrong, or was when they were made.
    clock.advance(TimeDelta::days(-336));
    let (faults, _) = at(TimeDelta::minutes(-150)).await;
    assert!(
        faults[0].starts_with("no CA of ca.crt is valid now; the last is valid from"),
        "{faults:?}"
    );
    assert!(faults[1].starts_with("client.crt is not valid before"), "{faults:?}");
    assert!(
        faults[1].contains(", 89 minutes from now; is the clock right? It shows"),
        "{faults:?}"
    );
}

#[tokio::test]
async fn what_is_over_is_refused_and_what_begins_later_too() {
    let ca = Ca::new("ca");
    let over =
        Wish { begins: TimeDelta::days(-9), ends: TimeDelta::days(-3), ..wish("c", "client") };
    let dir = Dir::of(&ca.pem(), &ca.issue(&over));
    refused(&dir, &mutual(), "client.crt expired at 20").await;
    assert!(said(&dir, &mutual()).await.0[0].ends_with("UTC, 3 days ago"));
    let later = Wish { begins: TimeDelta::hours(3), ..wish("c", "client") };
    let dir = Dir::of(&ca.pem(), &ca.issue(&later));
    refused(&dir, &mutual(), "client.crt is not valid before 20").await;
}

#[tokio::test]
async fn an_authority_that_is_over_is_refused_alone_and_warned_of_among_others() {
    let over = Wish {
        begins: TimeDelta::days(-9),
        ends: TimeDelta::days(-3),
        is_ca: true,
        ..wish("old", "")
    };
    let (old, new) = (Ca::wished(&over), Ca::new("new"));
    let dir = Dir::of(&old.pem(), &old.client("c"));
    let (faults, _) = said(&dir, &Policy { strict: false, ..mutual() }).await;
    assert!(faults[0].starts_with("no CA of ca.crt is valid now"), "{faults:?}");

    let dir = Dir::of(&(old.pem() + &new.pem()), &new.client("c"));
    let (faults, warnings) = said(&dir, &mutual()).await;
    assert!(faults.is_empty(), "{faults:?}");
    assert!(warnings[0].contains("the CA \"O=Acme, CN=old\" expired at"), "{warnings:?}");

    // It vouches for nobody any more.
    dir.put_pair("client", &old.client("c"));
    refused(
        &dir,
        &mutual(),
        "client.crt hangs on a CA of ca.crt that is not valid now (certificate has expired)",
    )
    .await;
}

#[tokio::test]
async fn a_certificate_for_another_use_is_refused() {
    let ca = Ca::new("ca");
    let dir = Dir::of(&ca.pem(), &ca.issue(&wish("c", "server")));
    refused(
        &dir,
        &mutual(),
        "client.crt is not made for this use; it needs the extended key usage clientAuth",
    )
    .await;
    let dir = Dir::of(&ca.pem(), &ca.client("c"));
    dir.put_pair("server", &ca.client("c"));
    refused(
        &dir,
        &listening(),
        "server.crt is not made for this use; it needs the extended key usage serverAuth",
    )
    .await;
    // One that does not say is for any.
    let dir = Dir::of(&ca.pem(), &ca.issue(&wish("c", "")));
    assert_eq!(said(&dir, &mutual()).await, (vec![], vec![]));
}

#[tokio::test]
async fn a_certificate_of_somebody_else_is_refused() {
    let ca = Ca::new("ca");
    let dir = Dir::of(&ca.pem(), &ca.client("brownie-backup"));
    let policy = Policy { expected_cn: Some("brownie-server".to_owned()), ..mutual() };
    refused(&dir, &policy, "client.crt is of CN \"brownie-backup\", not of \"brownie-server\"")
        .await;
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_refused() {
    // The same name, another key.
    let (ca, other) = (Ca::new("ca"), Ca::new("ca"));
    let dir = Dir::of(&ca.pem(), &other.client("c"));
    refused(
        &dir,
        &mutual(),
        "client.crt, issued by \"O=Acme, CN=ca\", is not signed by a CA of ca.crt (",
    )
    .await;
    let dir = Dir::of(&(ca.pem() + &other.pem()), &other.client("c"));
    assert_eq!(said(&dir, &mutual()).await, (vec![], vec![]));
}

#[tokio::test]
async fn a_chain_is_followed_and_must_be_whole() {
    let root = Ca::new("root");
    let between = Wish { is_ca: true, ..wish("between", "") };
    let between = Ca(root.issue(&between));
    let client = between.client("c");
    let dir = Dir::of(&root.pem(), &client);
    refused(&dir, &mutual(), "client.crt, issued by \"O=Acme, CN=between\", is not signed").await;
    dir.put("client.crt", pem(&client.certificate) + &between.pem());
    assert_eq!(said(&dir, &mutual()).await, (vec![], vec![]));
    dir.put("client.crt", between.pem() + &pem(&client.certificate));
    refused(&dir, &mutual(), "client.key is not the key of the first certificate").await;
}

#[tokio::test]
async fn an_authority_without_the_ca_bit_is_refused_however_lenient_one_is() {
    let ca = Ca::new("ca");
    let fake = ca.issue(&wish("fake", ""));
    let dir = Dir::of(&(ca.pem() + &pem(&fake.certificate)), &ca.client("c"));
    let lenient = Policy { strict: false, ..mutual() };
    refused(&dir, &lenient, "ca.crt: \"O=Acme, CN=fake\" is no CA: it lacks basicConstraints")
        .await;
}

#[tokio::test]
async fn what_was_taken_back_is_refused() {
    let ca = Ca::new("ca");
    let (client, sibling) = (ca.client("c"), ca.client("c"));
    for name in ["ca.crl", "crl.pem"] {
        let dir = Dir::of(&ca.pem(), &client);
        dir.put(name, ca.revoke(&[&sibling.certificate], TimeDelta::days(7)));
        assert_eq!(said(&dir, &mutual()).await, (vec![], vec![]));
        dir.put(name, ca.revoke(&[&sibling.certificate, &client.certificate], TimeDelta::days(7)));
        refused(&dir, &mutual(), "client.crt (serial ").await;
        assert!(
            said(&dir, &mutual()).await.0[0].ends_with(&format!("is revoked by the CRL {name}"))
        );
    }
}

#[tokio::test]
async fn a_revocation_list_has_faults_of_its_own() {
    let (ca, other) = (Ca::new("ca"), Ca::new("other"));
    let dir = Dir::of(&ca.pem(), &ca.client("c"));
    dir.put("ca.crl", ca.revoke(&[], TimeDelta::days(-2)));
    refused(&dir, &mutual(), "ca.crl is a CRL that should have been replaced at 20").await;
    dir.put("ca.crl", other.revoke(&[], TimeDelta::days(7)));
    refused(&dir, &mutual(), "ca.crl is a CRL of \"O=Acme, CN=other\", signed by no CA of ca.crt")
        .await;
    dir.put("ca.crl", "nothing");
    refused(&dir, &mutual(), "ca.crl holds no revocation list in PEM").await;
}

#[tokio::test]
async fn a_weak_key_is_refused() {
    let ca = Ca::new("ca");
    let weak = PKey::from_rsa(Rsa::generate(1024).unwrap()).unwrap();
    let dir = Dir::of(&ca.pem(), &ca.issue(&Wish { key: weak, ..wish("c", "client") }));
    refused(&dir, &mutual(), "client.crt has an RSA key of 1024 bits; 2048 are the fewest").await;
}

#[tokio::test]
async fn a_bundle_of_a_thousand_is_refused_by_name_and_at_once() {
    let ca = Ca::new("ca");
    let dir = Dir::of(&ca.pem().repeat(1000), &ca.client("c"));
    let begun = std::time::Instant::now();
    refused(&dir, &mutual(), "ca.crt holds 1000 certificates; 256 are the most").await;
    assert!(begun.elapsed().as_secs() < 10, "{:?}", begun.elapsed());
    dir.put("ca.crt", "x".repeat(1024 * 1024 + 1));
    refused(&dir, &mutual(), "ca.crt is larger than 1048576 bytes").await;
    dir.put("ca.crt", ca.pem());
    dir.put("client.crt", pem(&ca.client("c").certificate).repeat(11));
    refused(&dir, &mutual(), "client.crt holds 11 certificates; 10 are the most").await;
}

#[tokio::test]
async fn all_that_is_wrong_is_said_at_once() {
    let ca = Ca::new("ca");
    let dir = Dir::of("", &ca.issue(&wish("x", "server")));
    dir.mode("client.key", 0o666);
    let policy = Policy { expected_cn: Some("y".to_owned()), ..mutual() };
    let (faults, _) = said(&dir, &policy).await;
    assert_eq!(faults.len(), 4, "{faults:?}");
    let error = Keeper::start(Source::dir(dir.path()), policy, world::clock()).await.unwrap_err();
    assert_eq!(error.to_string().matches("; ").count(), 5, "{error}");
}

/// What would leave a connection unverified is refused by the most lenient, too.
#[tokio::test]
async fn leniency_ends_where_a_connection_would_not_be_verified() {
    let ca = Ca::new("ca");
    let over =
        Wish { ends: TimeDelta::minutes(-1), begins: TimeDelta::days(-1), ..wish("c", "server") };
    let dir = Dir::of(&ca.pem(), &Ca::new("other").issue(&over));
    dir.mode("client.key", 0o644);
    let lenient = Policy { strict: false, expected_cn: Some("y".to_owned()), ..mutual() };
    let (faults, warnings) = said(&dir, &lenient).await;
    assert!(faults.is_empty(), "{faults:?}");
    assert_eq!(warnings.len(), 5, "{warnings:?}");
    for (name, text) in [("ca.crt", ""), ("client.key", "")] {
        let before = fs::read(dir.file(name)).unwrap();
        dir.put(name, text);
        assert!(!said(&dir, &lenient).await.0.is_empty(), "{name}");
        dir.put(name, before);
    }
}

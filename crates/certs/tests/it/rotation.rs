//! What is new is used, what is bad is not, and nobody sees half of anything.

use std::{
    collections::HashSet,
    fs,
    os::unix::fs::symlink,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use brownie_certs::{
    Facts, Fault, Keeper, Need, PairPaths, Paths, Policy, PrivatePem, Role, Source, check,
};
use brownie_domain::{ManualClock, SystemClock};
use brownie_test_servers::pass_blocking;
use chrono::TimeDelta;
use openssl::{pkey::PKey, x509::X509};
use proptest::prelude::*;

use crate::world::{self, Ca, Dir, ec, ed25519, key_pem, mutual, pem, put, rsa};

async fn keeper(dir: &Dir) -> Keeper {
    let source = Source::dir(dir.path()).every(Duration::from_millis(50));
    Keeper::start(source, mutual(), world::clock()).await.unwrap()
}

fn serial(keeper: &Keeper) -> String {
    keeper.current().facts(Role::Client)[0].serial.clone()
}

#[tokio::test]
async fn what_is_new_is_in_use_soon_and_everybody_is_told() {
    let ca = Ca::new("ca");
    let dir = Dir::of(&ca.pem(), &ca.client("c"));
    // As it is by default.
    let keeper = Keeper::start(Source::dir(dir.path()), mutual(), world::clock()).await.unwrap();
    let mut told = keeper.subscribe();
    let before = serial(&keeper);
    dir.put_pair("client", &ca.client("c"));
    let begun = Instant::now();
    told.changed().await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_ne!(serial(&keeper), before);
    assert_eq!(told.borrow().generation(), 2);
}

#[tokio::test]
async fn what_is_bad_is_refused_and_the_old_serves_on() {
    let ca = Ca::new("ca");
    let dir = Dir::of(&ca.pem(), &ca.client("c"));
    let keeper = keeper(&dir).await;
    let before = serial(&keeper);
    let bad: [(&str, &dyn Fn()); 5] = [
        ("is not the key of", &|| dir.put("client.key", key_pem(&ec()))),
        ("cut short", &|| dir.put("client.crt", &pem(&ca.client("c").certificate)[..99])),
        ("holds no certificate", &|| dir.put("ca.crt", "")),
        ("client.key is not there", &|| fs::remove_file(dir.file("client.key")).unwrap()),
        ("ca.crt is not there", &|| {
            fs::rename(dir.path(), dir.path().with_extension("away")).unwrap();
        }),
    ];
    for (expected, spoil) in bad {
        spoil();
        let faults = keeper.reload().await.unwrap_err();
        assert!(faults.to_string().contains(expected), "{faults}");
        assert_eq!(keeper.refused(), Some(faults));
        assert_eq!((serial(&keeper), keeper.current().generation()), (before.clone(), 1));
    }
    fs::rename(dir.path().with_extension("away"), dir.path()).unwrap();
    dir.put("ca.crt", ca.pem());
    dir.put_pair("client", &ca.client("c"));
    assert_eq!(keeper.reload().await.unwrap().generation(), 2);
    assert_eq!(keeper.refused(), None);
}

/// Otherwise a directory that disappears would leave us believing whomever the system believes.
#[tokio::test]
async fn what_was_in_use_is_needed_from_then_on() {
    let ca = Ca::new("ca");
    let dir = Dir::of(&ca.pem(), &ca.client("c"));
    let lax = Policy { ca: Need::IfThere, client: Need::IfThere, ..mutual() };
    let keeper = Keeper::start(Source::dir(dir.path()), lax, world::clock()).await.unwrap();
    fs::remove_file(dir.file("ca.crt")).unwrap();
    assert!(keeper.reload().await.unwrap_err().to_string().ends_with("ca.crt is not there"));
}

#[tokio::test]
async fn what_begins_later_is_taken_when_its_time_has_come() {
    let ca = Ca::new("ca");
    let dir = Dir::of(&ca.pem(), &ca.client("c"));
    let clock = Arc::new(ManualClock::at(world::now()));
    let source = Source::dir(dir.path());
    let keeper = Keeper::start(source, mutual(), Arc::clone(&clock) as _).await.unwrap();
    let later = world::Wish { begins: TimeDelta::hours(2), ..world::wish("c", "client") };
    dir.put_pair("client", &ca.issue(&later));
    assert!(keeper.reload().await.unwrap_err().to_string().contains("is the clock right?"));
    clock.advance(TimeDelta::hours(3));
    assert_eq!(keeper.reload().await.unwrap().generation(), 2);
}

/// The generations that a secret goes through, each a CA with its pair.
fn generations() -> Vec<(String, String, String)> {
    let generation = |_| {
        let ca = Ca::new("ca");
        let client = ca.client("c");
        (ca.pem(), pem(&client.certificate), key_pem(&client.key))
    };
    (0..3).map(generation).collect()
}

/// As the kubelet does: a new directory, a link moved to it, the old directory removed.
fn mount(dir: &std::path::Path, number: usize, files: &(String, String, String)) {
    let generation = dir.join(format!("..gen-{number}"));
    fs::create_dir(&generation).unwrap();
    put(&generation, "ca.crt", files.0.as_bytes());
    put(&generation, "client.crt", files.1.as_bytes());
    put(&generation, "client.key", files.2.as_bytes());
    let beside = dir.join("..data_tmp");
    symlink(format!("..gen-{number}"), &beside).unwrap();
    let before = fs::read_link(dir.join("..data"));
    fs::rename(beside, dir.join("..data")).unwrap();
    if let Ok(before) = before {
        fs::remove_dir_all(dir.join(before)).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mounted_secret_that_is_swapped_is_never_seen_by_halves() {
    let dir = Dir::new();
    let generations = generations();
    mount(dir.path(), 0, &generations[0]);
    for name in ["ca.crt", "client.crt", "client.key"] {
        symlink(format!("..data/{name}"), dir.file(name)).unwrap();
    }
    let keeper = Keeper::start(Source::dir(dir.path()), mutual(), world::clock()).await.unwrap();
    let is_over = Arc::new(AtomicBool::new(false));
    let kubelet = thread::spawn({
        let (path, is_over) = (dir.path().to_owned(), Arc::clone(&is_over));
        move || {
            for number in 1.. {
                if is_over.load(Ordering::SeqCst) {
                    return number;
                }
                mount(&path, number, &generations[number % generations.len()]);
                let pause = Duration::from_micros(500 * (number as u64 * 7 % 11));
                pass_blocking(pause, "now in the middle of a reading, now between two");
            }
            0
        }
    });
    let (mut seen, mut restless) = (HashSet::new(), 0);
    for round in 0..1000 {
        // Every mixture would be refused by name, and there is none: all that may be said is that it
        // does not hold still.
        match check(&mut Source::dir(dir.path()), &mutual(), &SystemClock).await {
            Ok(report) => {
                assert!(report.faults.is_empty(), "{:?}", report.faults);
                seen.insert(report.client[0].serial.clone());
            }
            Err(fault) => {
                assert!(matches!(fault, Fault::Restless { .. }), "{fault}");
                restless += 1;
            }
        }
        if round % 20 == 0 && keeper.reload().await.is_ok() {
            let pair = keeper.current().pems().unwrap().client.unwrap();
            let certificate = X509::from_pem(pair.chain.as_bytes()).unwrap();
            let key = PKey::private_key_from_pem(pair.key.expose().as_bytes()).unwrap();
            assert!(certificate.public_key().unwrap().public_eq(&key));
        }
    }
    is_over.store(true, Ordering::SeqCst);
    let swaps = kubelet.join().unwrap();
    let used = keeper.current().generation();
    let what = format!("{swaps} swaps, {restless} restless, {used} used, {} seen", seen.len());
    assert!(swaps > 100 && used > 10 && restless < 500 && seen.len() == 3, "{what}");
}

#[tokio::test]
async fn a_key_in_any_form_is_taken_and_handed_on_in_pkcs8() {
    use openssl::symm::Cipher;
    let ca = Ca::new("ca");
    for key in [rsa(), ec(), ed25519()] {
        let pair = ca.issue(&world::Wish { key: key.clone(), ..world::wish("c", "client") });
        let mut forms = vec![
            ("PKCS#8", key.private_key_to_pem_pkcs8()),
            (
                "encrypted PKCS#8",
                key.private_key_to_pem_pkcs8_passphrase(Cipher::aes_256_cbc(), b"open sesame"),
            ),
        ];
        if let Ok(rsa) = key.rsa() {
            forms.push(("PKCS#1", rsa.private_key_to_pem()));
            forms.push((
                "encrypted PKCS#1",
                rsa.private_key_to_pem_passphrase(Cipher::aes_128_cbc(), b"open sesame"),
            ));
        }
        if let Ok(ec) = key.ec_key() {
            let sec1 = ec.private_key_to_pem().unwrap();
            let parameters =
                b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
            forms.push(("SEC1 behind its parameters", Ok([parameters.as_slice(), &sec1].concat())));
            forms.push(("SEC1", Ok(sec1)));
            forms.push((
                "encrypted SEC1",
                ec.private_key_to_pem_passphrase(Cipher::aes_256_cbc(), b"open sesame"),
            ));
        }
        for (form, text) in forms {
            let dir = Dir::of(&ca.pem(), &pair);
            let text = String::from_utf8(text.unwrap()).unwrap();
            dir.put("client.key", text.replace('\n', "\r\n"));
            if form.starts_with("encrypted") {
                encrypted(&dir).await;
            }
            let current = keeper(&dir).await.current();
            let handed_on: PrivatePem = current.pems().unwrap().client.unwrap().key;
            assert_eq!(handed_on.expose(), key_pem(&key), "{form}");
        }
    }
}

/// Without its passphrase a key is a fault, with a wrong one another; leaves the right one behind.
async fn encrypted(dir: &Dir) {
    let start = || Keeper::start(Source::dir(dir.path()), mutual(), world::clock());
    let said = start().await.unwrap_err().to_string();
    assert!(said.contains("client.key is encrypted; put its passphrase into"), "{said}");
    dir.put("client.key.pass", "Open Sesame");
    let said = start().await.unwrap_err().to_string();
    assert!(said.ends_with("client.key does not open with the passphrase given"), "{said}");
    dir.put("client.key.pass", "open sesame\n");
}

#[tokio::test]
async fn files_may_be_anywhere_and_a_passphrase_too() {
    let ca = Ca::new("ca");
    let dir = Dir::new();
    let key = ec();
    let pair = ca.issue(&world::Wish { key: key.clone(), ..world::wish("c", "client") });
    dir.put("tls.crt", pem(&pair.certificate));
    let cipher = openssl::symm::Cipher::aes_256_cbc();
    dir.put("tls.key", key.private_key_to_pem_pkcs8_passphrase(cipher, b"open sesame").unwrap());
    dir.put("bundle", ca.pem());
    dir.put("secret", "open sesame\r\n");
    let paths = Paths {
        ca: Some(dir.file("bundle")),
        client: Some(PairPaths { chain: dir.file("tls.crt"), key: dir.file("tls.key") }),
        passphrase: Some(brownie_config::SecretSource::File(dir.file("secret"))),
        ..Paths::default()
    };
    let keeper = Keeper::start(Source::files(paths), mutual(), world::clock()).await.unwrap();
    let Facts { common_name, key, is_authority, usages, .. } =
        keeper.current().facts(Role::Client).remove(0);
    assert_eq!(common_name.as_deref(), Some("c"));
    assert_eq!((key.as_str(), is_authority, usages), ("EC P-256", false, vec!["clientAuth"]));
    let ca = keeper.current().facts(Role::Ca).remove(0);
    assert_eq!((ca.is_authority, ca.usages), (true, vec!["keyCertSign", "cRLSign"]));
}

#[tokio::test]
async fn nothing_shows_a_key() {
    let ca = Ca::new("ca");
    let dir = Dir::of(&ca.pem(), &ca.client("c"));
    let text = fs::read_to_string(dir.file("client.key")).unwrap();
    let keeper = keeper(&dir).await;
    let current = keeper.current();
    let pems = current.pems().unwrap();
    let mut shown = format!("{keeper:?} {current:?} {pems:?} {:?}", Source::dir(dir.path()));
    for spoilt in
        [text.replace("PRIVATE", "PUBLIC"), text[..120].to_owned(), text.replace('A', "B")]
    {
        dir.put("client.key", spoilt);
        let faults = keeper.reload().await.unwrap_err();
        shown.push_str(&format!("{faults} {faults:?}"));
    }
    for line in text.lines().filter(|line| !line.starts_with('-')) {
        assert!(!shown.contains(&line[..16]), "{shown}");
    }
    assert!(shown.contains("[private key]"), "{shown}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever a key's file is spoilt to, nothing of what is said of it is in the key.
    #[test]
    fn no_message_quotes_a_spoilt_key(at in 0_usize..240, with in "[ -~\\n]{0,8}") {
        let key = key_pem(&ec());
        let mut spoilt = key.clone();
        spoilt.replace_range(at.min(key.len())..at.min(key.len()), &with);
        let ca = Ca::new("ca");
        let dir = Dir::of(&ca.pem(), &ca.client("c"));
        dir.put("client.key", &spoilt);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let started = runtime.block_on(Keeper::start(Source::dir(dir.path()), mutual(), world::clock()));
        let faults = started.unwrap_err();
        let shown = format!("{faults} {faults:?}");
        for line in key.lines().filter(|line| !line.starts_with('-')) {
            prop_assert!(!shown.contains(&line[..12]), "{}", shown);
        }
    }

    #[test]
    fn anything_at_all_is_read_or_refused(text in "(-----BEGIN [A-Z ]{0,12}-----\\n)?\\PC{0,200}(-----END [A-Z ]{0,12}-----)?") {
        let dir = Dir::new();
        for name in ["ca.crt", "client.crt", "client.key", "ca.crl"] {
            dir.put(name, &text);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let started = runtime.block_on(Keeper::start(Source::dir(dir.path()), mutual(), world::clock()));
        prop_assert!(started.is_err());
    }
}

/// FAULTS M-03: what was taken back does not become good again because a list went away or an older one came.
#[tokio::test]
async fn m03_a_revocation_list_in_use_is_not_forgotten() {
    let (ca, other) = (Ca::new("ca"), Ca::new("other"));
    let dir = Dir::of(&(ca.pem() + &other.pem()), &ca.client("c"));
    let revoked = ca.client("gone").certificate;
    let list = |hours: i64, certificates: &[&X509]| {
        ca.revoke_since(certificates, TimeDelta::hours(-hours), TimeDelta::days(7))
    };
    let of_other = other.revoke(&[], TimeDelta::days(7));
    dir.put("crl.pem", list(2, &[&revoked]) + &of_other);
    let keeper = keeper(&dir).await;
    let bad: [(&str, &dyn Fn()); 4] = [
        ("which is older than the one in use", &|| dir.put("crl.pem", list(3, &[]) + &of_other)),
        ("is gone", &|| dir.put("crl.pem", &of_other)),
        ("is gone", &|| dir.put("crl.pem", list(1, &[&revoked]))),
        ("is gone", &|| fs::remove_file(dir.file("crl.pem")).unwrap()),
    ];
    for (expected, spoil) in bad {
        spoil();
        let faults = keeper.reload().await.unwrap_err();
        assert!(faults.to_string().contains(expected), "{faults}");
        assert_eq!(keeper.current().generation(), 1);
    }
    dir.put("crl.pem", list(1, &[&revoked]) + &of_other);
    assert_eq!(keeper.reload().await.unwrap().generation(), 2);
    // The same again, and two of one issuer, of which the newer counts.
    dir.put("crl.pem", list(5, &[]) + &list(1, &[&revoked]) + &of_other);
    assert_eq!(keeper.reload().await.unwrap().generation(), 3);
    // Who is believed no longer takes their list along.
    dir.put("ca.crt", ca.pem());
    dir.put("crl.pem", list(1, &[&revoked]));
    assert_eq!(keeper.reload().await.unwrap().generation(), 4);
}

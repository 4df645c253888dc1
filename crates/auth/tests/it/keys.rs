//! Directories of keys: what is taken, what is refused and how, and how one key follows another.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, sync::Arc, time::Duration};

use brownie_auth::{Claims, InvalidToken, KeyRing, Tokens};
use brownie_config::{Secret, TokenSettings};
use brownie_domain::{OrganizationId, RandomIds, SessionId, SystemClock, UserId};
use openssl::{
    bn::BigNumRef,
    ec::{EcGroup, EcKey},
    nid::Nid,
    pkey::{PKey, Private},
    rsa::{Rsa, RsaPrivateKeyBuilder},
    symm::Cipher,
};
use uuid::Uuid;

pub(crate) fn ed25519() -> PKey<Private> {
    PKey::generate_ed25519().unwrap()
}

pub(crate) fn rsa(bits: u32) -> PKey<Private> {
    PKey::from_rsa(Rsa::generate(bits).unwrap()).unwrap()
}

pub(crate) fn put(dir: &Path, name: &str, content: &[u8]) {
    fs::write(dir.join(name), content).unwrap();
    fs::set_permissions(dir.join(name), fs::Permissions::from_mode(0o600)).unwrap();
}

pub(crate) fn private(key: &PKey<Private>) -> Vec<u8> {
    key.private_key_to_pem_pkcs8().unwrap()
}

pub(crate) fn public(key: &PKey<Private>) -> Vec<u8> {
    key.public_key_to_pem().unwrap()
}

pub(crate) const SECRET: &str = "a secret of thirty-two characters";

pub(crate) fn settings(dir: &Path) -> TokenSettings {
    TokenSettings {
        secret: None,
        keys_dir: Some(dir.to_owned()),
        signing_kid: None,
        lifetime: Duration::from_mins(1),
        session_lifetime: Duration::from_hours(24),
    }
}

pub(crate) fn tokens(keys: KeyRing) -> Tokens {
    Tokens::new(keys, Duration::from_mins(1), Arc::new(SystemClock), Arc::new(RandomIds))
}

pub(crate) fn claims() -> Claims {
    Claims {
        org_id: OrganizationId::from_uuid(Uuid::from_u128(1)),
        user_id: UserId::from_uuid(Uuid::from_u128(2)),
        session_id: SessionId::from_uuid(Uuid::from_u128(3)),
        generation: 4,
    }
}

fn load(dir: &Path) -> KeyRing {
    KeyRing::load(&settings(dir)).unwrap()
}

#[test]
fn keys_of_both_kinds_sign_and_verify() {
    for (key, alg) in [(ed25519(), "EdDSA"), (rsa(2048), "RS256")] {
        let dir = tempfile::tempdir().unwrap();
        put(dir.path(), "2026-11.pem", &private(&key));
        let keys = load(dir.path());
        let jwks = keys.jwks();
        assert_eq!(jwks["keys"][0]["alg"], alg);
        assert_eq!(jwks["keys"][0]["kid"], "2026-11");
        let tokens = tokens(keys);
        let token = tokens.issue(claims()).unwrap();
        assert_eq!(tokens.read(token.expose()), Ok(claims()));
        let header = jsonwebtoken::decode_header(token.expose()).unwrap();
        assert_eq!((header.kid.as_deref(), header.typ.as_deref()), (Some("2026-11"), Some("JWT")));
    }
}

#[test]
fn what_is_published_verifies_and_tells_no_secret() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), "a.pem", &private(&rsa(2048)));
    put(dir.path(), "b.pem", &private(&ed25519()));
    put(dir.path(), "c.pub.pem", &public(&ed25519()));
    let keys = load(dir.path());
    let jwks = keys.jwks();
    let published: Vec<_> = jwks["keys"].as_array().unwrap().iter().collect();
    assert_eq!(published.len(), 3);
    for jwk in &published {
        for member in jwk.as_object().unwrap().keys() {
            let is_public =
                ["kid", "use", "alg", "kty", "crv", "x", "n", "e"].contains(&member.as_str());
            assert!(is_public, "{member}");
        }
    }
    // A stranger verifies by it, with a library's own reading of it.
    let token = tokens(keys).issue(claims()).unwrap();
    let header = jsonwebtoken::decode_header(token.expose()).unwrap();
    let set: jsonwebtoken::jwk::JwkSet = serde_json::from_value(jwks.clone()).unwrap();
    let key = set.find(header.kid.as_deref().unwrap()).unwrap();
    let mut validation = jsonwebtoken::Validation::new(header.alg);
    validation.set_audience(&["brownie-api"]);
    validation.set_issuer(&["brownie-metadata"]);
    let key = jsonwebtoken::DecodingKey::from_jwk(key).unwrap();
    let read: serde_json::Value =
        jsonwebtoken::decode(token.expose(), &key, &validation).unwrap().claims;
    assert_eq!(read["gen"], 4);
    assert_eq!(KeyRing::from_secret(SECRET).jwks(), serde_json::json!({"keys": []}));
}

#[test]
fn the_last_by_name_signs_or_the_one_that_is_named() {
    let dir = tempfile::tempdir().unwrap();
    for kid in ["2026-02", "2026-11", "2025-12"] {
        put(dir.path(), &format!("{kid}.pem"), &private(&ed25519()));
    }
    put(dir.path(), "2027-01.pub.pem", &public(&ed25519()));
    assert_eq!(load(dir.path()).signing_kid(), Some("2026-11"));
    let named =
        |kid: &str| TokenSettings { signing_kid: Some(kid.to_owned()), ..settings(dir.path()) };
    assert_eq!(KeyRing::load(&named("2025-12")).unwrap().signing_kid(), Some("2025-12"));
    for kid in ["2027-01", "2028-01"] {
        let said = KeyRing::load(&named(kid)).unwrap_err().to_string();
        assert!(said.contains(&format!("has no {kid}.pem")), "{said}");
    }
}

/// Nobody's good token is refused on the way from one key to the next, on two instances of which one
/// is always a step behind; and afterwards the old key opens nothing.
#[test]
fn one_key_follows_another_without_a_refusal() {
    let dir = tempfile::tempdir().unwrap();
    let (old, new) = (ed25519(), rsa(2048));
    put(dir.path(), "1.pem", &private(&old));
    let ahead = tokens(load(dir.path()));
    let behind = tokens(load(dir.path()));
    let clone = ahead.clone();
    let first = ahead.issue(claims()).unwrap();

    let step = |change: &dyn Fn()| {
        change();
        ahead.replace_keys(load(dir.path()));
        for (from, to) in [(&ahead, &behind), (&behind, &ahead), (&ahead, &clone)] {
            let token = from.issue(claims()).unwrap();
            assert_eq!(to.read(token.expose()), Ok(claims()));
        }
        behind.replace_keys(load(dir.path()));
    };
    step(&|| put(dir.path(), "2.pub.pem", &public(&new)));
    step(&|| {
        fs::remove_file(dir.path().join("2.pub.pem")).unwrap();
        put(dir.path(), "2.pem", &private(&new));
    });
    assert_eq!(ahead.read(first.expose()), Ok(claims()));
    step(&|| fs::remove_file(dir.path().join("1.pem")).unwrap());
    assert_eq!(ahead.read(first.expose()), Err(InvalidToken));
    assert_eq!(clone.read(first.expose()), Err(InvalidToken));
}

/// From a secret to keys: the directory may be there before it has a private key.
#[test]
fn a_secret_signs_until_there_is_a_key() {
    let dir = tempfile::tempdir().unwrap();
    let key = ed25519();
    put(dir.path(), "1.pub.pem", &public(&key));
    let both = TokenSettings { secret: Some(Secret::new(SECRET)), ..settings(dir.path()) };
    let tokens = tokens(KeyRing::load(&both).unwrap());
    assert_eq!(tokens.keys().signing_kid(), None);
    let by_secret = tokens.issue(claims()).unwrap();
    fs::remove_file(dir.path().join("1.pub.pem")).unwrap();
    put(dir.path(), "1.pem", &private(&key));
    tokens.replace_keys(KeyRing::load(&both).unwrap());
    assert_eq!(tokens.keys().signing_kid(), Some("1"));
    assert_eq!(tokens.read(by_secret.expose()), Ok(claims()));
    tokens.replace_keys(load(dir.path()));
    assert_eq!(tokens.read(by_secret.expose()), Err(InvalidToken));
}

/// One key's modulus with another's secret.
fn mixed_up() -> PKey<Private> {
    let (one, other) = (rsa(2048).rsa().unwrap(), rsa(2048).rsa().unwrap());
    let own = |number: Option<&BigNumRef>| number.unwrap().to_owned().unwrap();
    let key =
        RsaPrivateKeyBuilder::new(own(Some(one.n())), own(Some(one.e())), own(Some(other.d())))
            .and_then(|key| key.set_factors(own(other.p()), own(other.q())))
            .and_then(|key| {
                key.set_crt_params(own(other.dmp1()), own(other.dmq1()), own(other.iqmp()))
            });
    PKey::from_rsa(key.unwrap().build()).unwrap()
}

#[test]
fn every_bad_file_is_named_with_its_fault_and_all_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let ec = EcKey::generate(&EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap()).unwrap();
    let ec = PKey::from_ec_key(ec).unwrap();
    let large = rsa(2048);
    let mut damaged = String::from_utf8(private(&ed25519())).unwrap();
    damaged.replace_range(40..44, "AAAA");
    let encrypted =
        large.private_key_to_pem_pkcs8_passphrase(Cipher::aes_256_cbc(), b"secret").unwrap();
    let pkcs1 = large.rsa().unwrap().private_key_to_pem().unwrap();
    let faults: &[(&str, &[u8], &str)] = &[
        ("empty.pem", b"", "is not PEM"),
        ("der.pem", &large.private_key_to_pkcs8().unwrap(), "is not PEM"),
        ("text.pem", b"hunter2", "is not PEM"),
        ("ec.pem", &private(&ec), "must be an Ed25519 or an RSA key"),
        ("ec2.pub.pem", &public(&ec), "must be an Ed25519 or an RSA key"),
        ("x25519.pem", &private(&PKey::generate_x25519().unwrap()), "must be an Ed25519 or an RSA"),
        ("small.pem", &private(&rsa(1024)), "is an RSA key of 1024 bits; it must have 2048"),
        ("small2.pub.pem", &public(&rsa(1024)), "is an RSA key of 1024 bits"),
        ("pkcs1.pem", &pkcs1, "is not in PKCS#8; convert it: openssl pkcs8 -topk8"),
        ("locked.pem", &encrypted, "is encrypted"),
        ("damaged.pem", damaged.as_bytes(), "is PEM, but not of a key"),
        ("mixed.pem", &private(&mixed_up()), "does not sign what it verifies"),
        ("swapped.pem", &public(&large), "is a public key; name it <kid>.pub.pem"),
        ("leaked.pub.pem", &private(&large), "holds a private key"),
        ("cert.pem", b"-----BEGIN CERTIFICATE-----\n", "is not a key, but a CERTIFICATE"),
        ("two words.pem", &private(&large), "must be named by 1 to 64 letters"),
        ("a.b.pem", &private(&large), "must be named by 1 to 64 letters"),
        ("huge.pem", &vec![b'x'; 70_000], "has 70000 bytes"),
        ("twice.pem", &private(&large), ""),
        ("twice.pub.pem", &public(&large), "belongs to a key that has a .pem, too"),
    ];
    for (name, content, _) in faults {
        put(dir.path(), name, content);
    }
    fs::create_dir(dir.path().join("folder.pem")).unwrap();
    put(dir.path(), "notes.txt", b"not looked at");
    put(dir.path(), ".hidden.pem", b"not looked at");
    let said = KeyRing::load(&settings(dir.path())).unwrap_err().to_string();
    for (name, _, fault) in faults.iter().filter(|(.., fault)| !fault.is_empty()) {
        let path = dir.path().join(name).display().to_string();
        assert!(said.contains(&format!("{path} {fault}")), "{name}: {said}");
    }
    assert!(said.contains("folder.pem is not a file"), "{said}");
    assert!(said.starts_with("20 key(s) cannot be used"), "{said}");
    assert!(!said.contains("hunter2") && !said.contains("not looked at"), "{said}");
}

#[test]
fn a_key_that_others_may_read_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), "1.pem", &private(&ed25519()));
    put(dir.path(), "2.pub.pem", &public(&ed25519()));
    let chmod = |name: &str, mode| {
        fs::set_permissions(dir.path().join(name), fs::Permissions::from_mode(mode)).unwrap();
    };
    chmod("2.pub.pem", 0o644);
    for mode in [0o604, 0o602, 0o620, 0o644, 0o777] {
        chmod("1.pem", mode);
        let said = KeyRing::load(&settings(dir.path())).unwrap_err().to_string();
        assert!(
            said.contains(&format!("1.pem is open to others (mode {mode:04o}); chmod")),
            "{said}"
        );
    }
    chmod("1.pem", 0o400);
    load(dir.path());
    // A group may read what belongs to root: so does Kubernetes mount a secret. Not otherwise.
    chmod("1.pem", 0o440);
    let is_root = std::os::unix::fs::MetadataExt::uid(&dir.path().metadata().unwrap()) == 0;
    assert_eq!(KeyRing::load(&settings(dir.path())).is_ok(), is_root);
    if is_root {
        std::os::unix::fs::chown(dir.path().join("1.pem"), Some(65534), None).unwrap();
        let said = KeyRing::load(&settings(dir.path())).unwrap_err().to_string();
        assert!(said.contains("chmod 0600 or less"), "{said}");
    }
}

#[test]
fn without_a_key_to_sign_with_the_service_does_not_start() {
    let dir = tempfile::tempdir().unwrap();
    let said = |settings: &TokenSettings| KeyRing::load(settings).unwrap_err().to_string();
    assert!(said(&settings(dir.path())).contains("has no private key (<kid>.pem)"));
    assert!(
        said(&settings(&dir.path().join("none"))).contains("none cannot be read: No such file")
    );
    let nothing = TokenSettings { keys_dir: None, ..settings(dir.path()) };
    assert!(
        said(&nothing).contains("METADATA_JWT_SECRET is not set, nor is METADATA_JWT_KEYS_DIR")
    );
}

#[test]
fn nothing_shows_a_key() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), "1.pem", &private(&ed25519()));
    let both = TokenSettings { secret: Some(Secret::new(SECRET)), ..settings(dir.path()) };
    let tokens = tokens(KeyRing::load(&both).unwrap());
    let shown = format!("{:?} {tokens:?} {both:?}", tokens.keys());
    assert!(!shown.contains("thirty-two") && !shown.contains("97, 32, 115"), "{shown}");
    assert!(
        shown.contains("KeyRing { signs: Some(\"1\"), secret: true, public: [\"1\"] }"),
        "{shown}"
    );
}

//! Access tokens under attack: everything but what we signed, for us, now, is refused alike.

use std::{sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use brownie_auth::{Claims, InvalidToken, KeyRing, Tokens};
use brownie_domain::{Clock, IdSource, ManualClock, SeededIds, SystemClock, Timestamp};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, crypto};
use openssl::pkey::{PKey, Private};
use serde_json::{Map, Value, json};

use crate::keys::{SECRET, claims, ed25519, private, public, put, rsa, settings, tokens};

/// A service that knows its keys, and whoever wants to be let in.
struct Siege {
    tokens: Tokens,
    now: Timestamp,
    ed: PKey<Private>,
    rsa: PKey<Private>,
    _dir: tempfile::TempDir,
}

impl Siege {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (ed, rsa) = (ed25519(), rsa(2048));
        put(dir.path(), "ed.pem", &private(&ed));
        put(dir.path(), "rsa.pub.pem", &public(&rsa));
        let tokens = tokens(KeyRing::load(&settings(dir.path())).unwrap());
        Self { tokens, now: SystemClock.now(), ed, rsa, _dir: dir }
    }

    /// The claims of a good token.
    fn payload(&self) -> Map<String, Value> {
        let now = self.now.timestamp();
        let payload = json!({
            "iss": "brownie-metadata", "aud": "brownie-api",
            "sub": claims().user_id, "org_id": claims().org_id, "sid": claims().session_id,
            "gen": 4, "jti": claims().user_id, "iat": now, "nbf": now, "exp": now + 60,
        });
        payload.as_object().unwrap().clone()
    }

    fn signer(&self) -> EncodingKey {
        EncodingKey::from_ed_der(&self.ed.private_key_to_pkcs8().unwrap())
    }

    fn sign(&self, header: &Value, payload: &str) -> String {
        sign(header, payload, &self.signer(), Algorithm::EdDSA)
    }

    /// A good token but for one claim.
    fn with(&self, claim: &str, value: Value) -> String {
        let mut payload = self.payload();
        payload.insert(claim.to_owned(), value);
        self.sign(&good_header(), &json!(payload).to_string())
    }

    fn refuses(&self, token: &str, why: &str) {
        assert_eq!(self.tokens.read(token), Err(InvalidToken), "{why}: {token:.500}");
    }
}

fn good_header() -> Value {
    json!({"typ": "JWT", "alg": "EdDSA", "kid": "ed"})
}

pub(crate) fn sign(
    header: &Value,
    payload: &str,
    key: &EncodingKey,
    algorithm: Algorithm,
) -> String {
    let encode = |part: &str| URL_SAFE_NO_PAD.encode(part);
    let message = format!("{}.{}", encode(&header.to_string()), encode(payload));
    let signature = crypto::sign(message.as_bytes(), key, algorithm).unwrap();
    format!("{message}.{signature}")
}

#[test]
fn the_forger_of_these_tests_could_make_a_good_one() {
    let siege = Siege::new();
    let payload = json!(siege.payload()).to_string();
    assert_eq!(siege.tokens.read(&siege.sign(&good_header(), &payload)), Ok(claims()));
    let rsa = EncodingKey::from_rsa_der(&siege.rsa.rsa().unwrap().private_key_to_der().unwrap());
    let header = json!({"typ": "JWT", "alg": "RS256", "kid": "rsa"});
    let token = sign(&header, &payload, &rsa, Algorithm::RS256);
    assert_eq!(siege.tokens.read(&token), Ok(claims()));
    // What a later release adds does not shut out its tokens.
    assert_eq!(siege.tokens.read(&siege.with("amr", json!(["pwd"]))), Ok(claims()));
}

#[test]
fn a_header_cannot_choose_the_key_or_the_algorithm() {
    let siege = Siege::new();
    let payload = json!(siege.payload()).to_string();
    let good = siege.sign(&good_header(), &payload);
    let body = good.split('.').nth(1).unwrap();
    for alg in ["none", "None", "nOnE", "NONE", "", "HS256", "RS256", "ES256", "EdDSA "] {
        for kid in [json!("ed"), json!("rsa"), Value::Null] {
            let header = json!({"typ": "JWT", "alg": alg, "kid": kid}).to_string();
            let header = URL_SAFE_NO_PAD.encode(header);
            for signature in ["", good.rsplit('.').next().unwrap()] {
                siege.refuses(&format!("{header}.{body}.{signature}"), alg);
            }
        }
    }
    // The public keys are public: here they are the secret of an HMAC, in every form.
    let (n, e) = (siege.rsa.rsa().unwrap().n().to_vec(), siege.rsa.rsa().unwrap().e().to_vec());
    for secret in [
        public(&siege.rsa),
        public(&siege.ed),
        siege.rsa.public_key_to_der().unwrap(),
        siege.ed.raw_public_key().unwrap(),
        [n.clone(), e].concat(),
        n,
        Vec::new(),
    ] {
        for (alg, algorithm) in [
            ("HS256", Algorithm::HS256),
            ("HS512", Algorithm::HS512),
            ("RS256", Algorithm::HS256),
            ("EdDSA", Algorithm::HS256),
        ] {
            for kid in [json!("ed"), json!("rsa"), Value::Null] {
                let header = json!({"typ": "JWT", "alg": alg, "kid": kid});
                let key = EncodingKey::from_secret(&secret);
                siege.refuses(&sign(&header, &payload, &key, algorithm), alg);
            }
        }
    }
    // Even who has the key does not choose.
    for alg in ["HS256", "RS256", "ES256", "PS512"] {
        let header = json!({"typ": "JWT", "alg": alg, "kid": "ed"});
        siege.refuses(&siege.sign(&header, &payload), alg);
    }
    // A key of the right kind, under the other's name, and another algorithm of the same kind.
    siege.refuses(
        &siege.sign(&json!({"typ": "JWT", "alg": "EdDSA", "kid": "rsa"}), &payload),
        "the other's name",
    );
    let rsa = EncodingKey::from_rsa_der(&siege.rsa.rsa().unwrap().private_key_to_der().unwrap());
    for (alg, algorithm) in [("RS512", Algorithm::RS512), ("PS256", Algorithm::PS256)] {
        let header = json!({"typ": "JWT", "alg": alg, "kid": "rsa"});
        siege.refuses(&sign(&header, &payload, &rsa, algorithm), alg);
    }
}

#[test]
fn an_unknown_key_is_nobodys() {
    let siege = Siege::new();
    let payload = json!(siege.payload()).to_string();
    for kid in [
        json!("ED"),
        json!(""),
        json!("../../dev/null"),
        json!("ed.pem"),
        json!("' OR 1=1 --"),
        json!("ed\u{0}"),
        json!(["ed"]),
        json!(0),
        Value::Null,
    ] {
        let header = json!({"typ": "JWT", "alg": "EdDSA", "kid": kid});
        siege.refuses(&siege.sign(&header, &payload), "kid");
    }
    let stranger = EncodingKey::from_ed_der(&ed25519().private_key_to_pkcs8().unwrap());
    siege.refuses(&sign(&good_header(), &payload, &stranger, Algorithm::EdDSA), "another's key");
}

#[test]
fn a_header_that_says_more_than_ours_is_refused() {
    let siege = Siege::new();
    let payload = json!(siege.payload()).to_string();
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode(siege.ed.raw_public_key().unwrap())});
    for (name, value) in [
        ("jku", json!("https://evil.example.com/jwks.json")),
        ("x5u", json!("https://evil.example.com/cert.pem")),
        ("jwk", jwk),
        ("x5c", json!(["MIIB"])),
        ("x5t", json!("abc")),
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("b64", json!(false)),
        ("zip", json!("DEF")),
        ("cty", json!("JWT")),
        ("typ", json!("at+jwt")),
        ("typ", json!("brownie-login+jwt")),
        ("typ", Value::Null),
    ] {
        let mut header = good_header();
        header[name] = value;
        siege.refuses(&siege.sign(&header, &payload), name);
    }
    siege.refuses(&siege.sign(&json!({"alg": "EdDSA", "kid": "ed"}), &payload), "no typ");
}

#[test]
fn every_claim_must_be_there_and_be_what_it_is() {
    let siege = Siege::new();
    let now = siege.now.timestamp();
    for claim in siege.payload().keys() {
        let mut payload = siege.payload();
        payload.remove(claim);
        siege.refuses(&siege.sign(&good_header(), &json!(payload).to_string()), claim);
        siege.refuses(&siege.with(claim, Value::Null), claim);
        siege.refuses(&siege.with(claim, json!({"a": 1})), claim);
    }
    for (claim, value) in [
        ("iss", json!("brownie")),
        ("iss", json!(["brownie-metadata"])),
        ("aud", json!("another-api")),
        ("aud", json!("brownie-login")),
        ("aud", json!(["brownie-api"])),
        ("aud", json!(["brownie-api", "another-api"])),
        ("exp", json!((now + 60).to_string())),
        ("exp", json!(1e300)),
        ("exp", json!(u64::MAX)),
        ("exp", json!(i64::MIN)),
        ("exp", json!(now - 59)),
        ("nbf", json!(now + 60)),
        ("nbf", json!((now - 60).to_string())),
        ("nbf", json!(i64::MAX)),
        ("gen", json!("4")),
        ("gen", json!(4.5)),
        ("sub", json!("not a uuid")),
        ("sub", json!(2)),
        ("org_id", json!("' OR 1=1 --")),
        ("sid", json!("")),
        ("jti", json!("")),
    ] {
        siege.refuses(&siege.with(claim, value.clone()), &format!("{claim} {value}"));
    }
}

/// Two readers could take two different ones for true.
#[test]
fn a_claim_that_is_there_twice_is_refused() {
    let siege = Siege::new();
    let payload = json!(siege.payload()).to_string();
    let victim = "00000000-0000-0000-0000-0000000000ff";
    for (claim, value) in [("sub", victim), ("org_id", victim), ("aud", "brownie-api")] {
        for twice in [
            payload.replacen('{', &format!("{{\"{claim}\":\"{value}\","), 1),
            payload.replacen('}', &format!(",\"{claim}\":\"{value}\"}}"), 1),
        ] {
            siege.refuses(&siege.sign(&good_header(), &twice), claim);
        }
    }
}

#[test]
fn what_is_no_token_is_refused_without_ado() {
    let siege = Siege::new();
    let good = siege.sign(&good_header(), &json!(siege.payload()).to_string());
    let [header, body, signature] = good.split('.').collect::<Vec<_>>().try_into().unwrap();
    for token in [
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        "...".to_owned(),
        "a.b.c".to_owned(),
        "\0.\0.\0".to_owned(),
        "é.é.é".to_owned(),
        format!("{header}.{body}"),
        format!("{header}.{body}."),
        format!("{header}..{signature}"),
        format!(".{body}.{signature}"),
        format!("{header}.{body}.{signature}."),
        format!("{header}.{body}.{signature}.{signature}"),
        format!("{header}.{body}.{signature}="),
        format!("{header}.{body}.{signature}\n"),
        format!(" {good}"),
        good[..good.len() - 1].to_owned(),
        siege.sign(&good_header(), ""),
        siege.sign(&good_header(), "null"),
        siege.sign(&good_header(), "[]"),
        siege.sign(&good_header(), &"[".repeat(5000)),
    ] {
        siege.refuses(&token, "shape");
    }
    // Every character of the signature counts, the unused bits of the last one too.
    for at in 0..signature.len() {
        for other in ['A', 'B', 'Q', 'g', 'w', '_'] {
            let mut forged: Vec<char> = signature.chars().collect();
            if std::mem::replace(&mut forged[at], other) != other {
                let forged: String = forged.into_iter().collect();
                siege.refuses(&format!("{header}.{body}.{forged}"), "signature");
            }
        }
    }
}

/// Refused before anything is decoded: a megabyte costs no more than a word.
#[test]
fn a_token_too_long_for_ours_is_not_looked_at() {
    let siege = Siege::new();
    let padded = |bytes: usize| siege.with("padding", json!("x".repeat(bytes)));
    assert_eq!(siege.tokens.read(&padded(5000)), Ok(claims()));
    siege.refuses(&padded(8 * 1024), "8 KiB");
    siege.refuses(&padded(1024 * 1024), "1 MB");
}

/// Another instance's clock may be half a minute behind that of the one who made it (FAULTS M-11).
#[test]
fn m11_a_token_is_good_a_little_before_its_beginning_and_after_its_end() {
    let clock = Arc::new(ManualClock::at(SystemClock.now()));
    let ids: Arc<dyn IdSource> = Arc::new(SeededIds::default());
    let lifetime = Duration::from_mins(1);
    let clock_of_tokens: Arc<dyn Clock> = Arc::clone(&clock) as Arc<dyn Clock>;
    let tokens = Tokens::new(KeyRing::from_secret(SECRET), lifetime, clock_of_tokens, ids);
    let token = tokens.issue(claims()).unwrap();
    assert_eq!(token.expires_in, lifetime);
    let read_at = |seconds: i64| -> Result<Claims, InvalidToken> {
        clock.advance(chrono::TimeDelta::seconds(seconds));
        let outcome = tokens.read(token.expose());
        clock.advance(chrono::TimeDelta::seconds(-seconds));
        outcome
    };
    for (seconds, is_good) in [
        (-3600, false),
        (-31, false),
        (-29, true),
        (0, true),
        (64, true),
        (65, false),
        (3600, false),
    ] {
        assert_eq!(read_at(seconds).is_ok(), is_good, "{seconds}");
    }
}

#[test]
fn no_two_tokens_are_the_same_and_none_shows_itself() {
    let tokens = tokens(KeyRing::from_secret(SECRET));
    let (one, other) = (tokens.issue(claims()).unwrap(), tokens.issue(claims()).unwrap());
    assert_ne!(one.expose(), other.expose());
    assert_eq!(format!("{one:?}"), "[access token]");
}

#[test]
fn with_a_secret_there_are_no_names() {
    let tokens = tokens(KeyRing::from_secret(SECRET));
    let token = tokens.issue(claims()).unwrap();
    assert_eq!(tokens.read(token.expose()), Ok(claims()));
    assert_eq!(jsonwebtoken::decode_header(token.expose()).unwrap().kid, None);
    let body = token.expose().split('.').nth(1).unwrap();
    let payload = String::from_utf8(URL_SAFE_NO_PAD.decode(body).unwrap()).unwrap();
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    for kid in ["", "secret", "ed"] {
        let header = json!({"typ": "JWT", "alg": "HS256", "kid": kid});
        let forged = sign(&header, &payload, &key, Algorithm::HS256);
        assert_eq!(tokens.read(&forged), Err(InvalidToken), "{kid}");
    }
    let other = EncodingKey::from_secret(b"another secret of the same length");
    let header = json!({"typ": "JWT", "alg": "HS256"});
    assert_eq!(tokens.read(&sign(&header, &payload, &other, Algorithm::HS256)), Err(InvalidToken));
    assert!(tokens.read(&sign(&header, &payload, &key, Algorithm::HS256)).is_ok());
    let signature = crypto::verify(
        token.expose().rsplit('.').next().unwrap(),
        token.expose().rsplit_once('.').unwrap().0.as_bytes(),
        &DecodingKey::from_secret(SECRET.as_bytes()),
        Algorithm::HS256,
    );
    assert!(signature.unwrap());
}

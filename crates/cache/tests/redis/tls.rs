//! TLS, which always verifies.

use brownie_cache::{Cache, Key, Rule};
use brownie_config::{CacheSettings, Reader, Secret};
use brownie_test_servers::Redis;

use crate::cache_with;

async fn works(cache: &Cache) -> bool {
    let rule = Rule::per(100, std::time::Duration::from_mins(1));
    assert!(cache.limit(&Key::new("requests"), rule, 1).await.allowed);
    cache.check().await.healthy
}

#[tokio::test]
async fn a_server_is_believed_that_our_authority_vouches_for() {
    let redis = Redis::start_with_tls().unwrap();
    let file = |name: &str| redis.dir().join(name).to_string_lossy().into_owned();
    let (ca, cert, key) = (file("ca.crt"), file("client.crt"), file("client.key"));
    let (url, by_name) = (redis.url(), redis.url().replace("127.0.0.1", "localhost"));
    let identity = [("REDIS_CERT_FILE", cert.as_str()), ("REDIS_KEY_FILE", key.as_str())];
    let with = |url, more: &[(&'static str, &str)]| {
        let mut settings = vec![("REDIS_URL", url), ("REDIS_TIMEOUT_MS", "2000")];
        settings.extend(more.iter().chain(&identity));
        cache_with(&settings)
    };

    for url in [&url, &by_name] {
        assert!(works(&with(url.as_str(), &[("REDIS_CA_FILE", &ca)])).await);
    }
    let port = redis.port().to_string();
    let mut parts = vec![("REDIS_HOST", "127.0.0.1"), ("REDIS_PORT", &port), ("REDIS_TLS", "true")];
    parts.extend([("REDIS_PASSWORD", "hunter2"), ("REDIS_CA_FILE", &ca)]);
    parts.extend(identity);
    assert!(works(&cache_with(&parts)).await);

    // Nobody vouches for it; somebody else does; it has another name; it does not know us.
    assert!(!works(&with(&url, &[])).await);
    let stranger = Redis::start_with_tls().unwrap();
    let other_ca = stranger.dir().join("ca.crt").to_string_lossy().into_owned();
    assert!(!works(&with(&url, &[("REDIS_CA_FILE", &other_ca)])).await);
    let misnamed = url.replace("127.0.0.1", "127.0.0.2");
    assert!(!works(&with(&misnamed, &[("REDIS_CA_FILE", &ca)])).await);
    let anonymous = cache_with(&[("REDIS_URL", &url), ("REDIS_CA_FILE", &ca)]);
    assert!(!works(&anonymous).await);

    // Both authorities in one file will do.
    let both = stranger.dir().join("both.crt");
    let text = [&other_ca, &ca].map(|path| std::fs::read_to_string(path).unwrap()).concat();
    std::fs::write(&both, text).unwrap();
    assert!(works(&with(&url, &[("REDIS_CA_FILE", &both.to_string_lossy())])).await);
}

#[test]
fn a_file_that_cannot_be_used_is_named() {
    let open = |values: &[(&str, &str)]| {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let mut reader = Reader::from_values(values.iter().map(own).collect());
        Cache::open(&CacheSettings::read(&mut reader), &Secret::new("pepper"))
            .unwrap_err()
            .to_string()
    };
    let url = ("REDIS_URL", "rediss://:hunter2@127.0.0.1");
    let missing = open(&[url, ("REDIS_CA_FILE", "/no/such/file")]);
    assert!(
        missing.starts_with("REDIS_CA_FILE names /no/such/file, which cannot be read"),
        "{missing}"
    );
    let empty = open(&[url, ("REDIS_CA_FILE", "/dev/null")]);
    assert!(empty.contains("contains no certificates"), "{empty}");
    assert!(!format!("{missing}{empty}").contains("hunter2"));
}

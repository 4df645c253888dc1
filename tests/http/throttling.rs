//! Who asks too much is told to wait.

use std::time::{Duration, Instant};

use anyhow::Result;
use futures_util::future::join_all;
use harness::{Database, Here, InProcess, Postgres, Redis, pass};
use serde_json::json;

/// An answer that comes late is no Redis that is away.
const PATIENT: (&str, &str) = ("REDIS_TIMEOUT_MS", "10000");

async fn limited(more: &[(&str, &str)]) -> Result<Here> {
    let database: Database = Postgres::shared().database();
    let mut settings = vec![("METADATA_RATE_LIMIT", "60"), ("METADATA_RATE_LIMIT_ADDRESS", "30")];
    settings.extend(more);
    let service = InProcess::server_with(database.url(), &settings).await?;
    Here::with(database, service).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_principal_has_its_limit_and_is_told_what_is_left() -> Result<()> {
    let here = limited(&[]).await?;
    let other = here.service.client().sign_up("other").await?;
    let mut refused = None;
    // One comes back each second.
    let started = Instant::now();
    for asked in 0.. {
        let answer = here.admin.get("/api/v1/auth/me").await?;
        assert_eq!(answer.header("RateLimit-Policy"), "\"default\";q=60;w=60");
        if answer.status == 429 {
            refused = Some(answer);
            break;
        }
        assert_eq!(answer.status, 200);
        assert!(asked <= 60 + started.elapsed().as_secs(), "{asked} of 60 a minute");
    }
    let refused = refused.expect("it ends with one that is refused");
    assert_eq!((refused.text("code"), refused.header("Retry-After")), ("too_many_requests", "1"));
    assert!(refused.header("RateLimit").starts_with("\"default\";r=0;t="), "{refused:?}");
    // Others, and probes, are not held up.
    assert_eq!(other.get("/api/v1/auth/me").await?.status, 200);
    assert_eq!(here.admin.get("/livez").await?.status, 200);
    pass(Duration::from_millis(1100), "one request comes back each second").await;
    assert_eq!(here.admin.get("/api/v1/auth/me").await?.status, 200);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_without_a_credential_has_its_own_limit() -> Result<()> {
    let here = limited(&[]).await?;
    let nobody = here.service.client().with_token("garbage");
    let mut seen = [0, 0];
    let started = Instant::now();
    for _ in 0..40 {
        match nobody.get("/api/v1/auth/me").await?.status {
            401 => seen[0] += 1,
            429 => seen[1] += 1,
            other => panic!("{other}"),
        }
    }
    // One comes back every other second.
    let most = 31 + started.elapsed().as_secs() / 2;
    assert!((28..=most).contains(&seen[0]), "{seen:?}");
    let spelt_otherwise = (0..10).map(|_| nobody.get("/%61pi/v1/auth/me"));
    let spelt_otherwise = join_all(spelt_otherwise).await;
    assert!(
        spelt_otherwise.iter().flatten().any(|answer| answer.status == 429),
        "it is limited, too"
    );
    assert_eq!(here.admin.get("/api/v1/auth/me").await?.status, 200, "who is known is not held up");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_instances_with_one_redis_share_a_limit_and_go_on_without_it() -> Result<()> {
    let redis = Redis::start()?;
    let url = redis.url();
    let here = limited(&[("REDIS_URL", &url), PATIENT]).await?;
    let settings = [("REDIS_URL", url.as_str()), ("METADATA_RATE_LIMIT", "60"), PATIENT];
    let second = InProcess::server_with(here.database.url(), &settings).await?;
    let there = second.client().with_token(here.admin.token());
    let (mut good, started) = (0, Instant::now());
    for number in 0..80 {
        let client = if number % 2 == 0 { &here.admin } else { &there };
        good += u64::from(client.get("/api/v1/auth/me").await?.status == 200);
    }
    // One was spent on the first look, and some seconds bring one each.
    let most = 60 + started.elapsed().as_secs();
    assert!((55..=most).contains(&good), "{good}");
    let ready = here.admin.get("/readyz").await?;
    assert_eq!(
        (&ready.body["cache"]["backend"], &ready.body["cache"]["status"]),
        (&json!("redis"), &json!("healthy"))
    );

    drop(redis);
    let other = here.service.client().sign_up("other").await?;
    assert_eq!(other.get("/api/v1/auth/me").await?.status, 200);
    let ready = here.admin.get("/readyz").await?;
    assert_eq!(
        (ready.status, &ready.body["cache"]["status"]),
        (200, &json!("unhealthy")),
        "{ready:?}"
    );
    let metrics = here.admin.get("/metrics").await?.body;
    assert!(metrics.as_str().unwrap_or_default().contains("brownie_cache_up 0"), "{metrics}");
    Ok(())
}

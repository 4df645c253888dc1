//! Configurations, as written and as they apply.

use anyhow::Result;
use harness::{Here, InProcess, Redis};
use serde_json::{Value, json};

async fn resolve(here: &Here, query: &str) -> Result<Value> {
    let answer = here.admin.get(&format!("/api/v1/configs/resolve?{query}")).await?;
    anyhow::ensure!(answer.status == 200, "{query}: {answer:?}");
    Ok(answer.body)
}

async fn create(here: &Here, body: Value) -> Result<String> {
    let mut whole = json!({"name": "c", "status": "active", "source_format": "yaml"});
    if let (Value::Object(whole), Value::Object(body)) = (&mut whole, body) {
        whole.extend(body);
    }
    let answer = here.admin.post("/api/v1/configs", &whole).await?;
    anyhow::ensure!(answer.status == 201, "{answer:?}");
    Ok(answer.text("id").to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_is_kept_as_written_and_checked() -> Result<()> {
    let here = Here::new().await?;
    let yaml = "# who is called, and when\nescalation:\n  after_minutes: 15   # a quarter\n";
    let id = create(&here, json!({"config_type": "organization", "source": yaml})).await?;
    let config = here.admin.get(&format!("/api/v1/configs/{id}")).await?;
    assert_eq!(config.text("source"), yaml);
    assert_eq!(config.body["body"], json!({"escalation": {"after_minutes": 15}}));

    let refused = async |body: Value, pointer: &str, part: &str| -> Result<()> {
        let mut whole =
            json!({"name": "c", "config_type": "team", "source_format": "yaml", "source": "a: 1"});
        if let (Value::Object(whole), Value::Object(body)) = (&mut whole, body) {
            whole.extend(body);
        }
        let answer = here.admin.post("/api/v1/configs", &whole).await?;
        assert_eq!(answer.status, 422, "{answer:?}");
        let error = &answer.body["errors"][0];
        assert_eq!(error["pointer"], pointer, "{answer:?}");
        assert!(error["detail"].as_str().unwrap_or_default().contains(part), "{answer:?}");
        Ok(())
    };
    refused(json!({"source": "a: [1"}), "/source", "line").await?;
    refused(json!({"source": "a: 1\na: 2"}), "/source", "line 2").await?;
    refused(json!({"source": "- 1"}), "/source", "object").await?;
    let bomb = "a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: [*e,*e,*e,*e,*e,*e,*e,*e,*e,*e]\n";
    refused(json!({"source": bomb}), "/source", "").await?;
    refused(json!({"name_pattern": "("}), "/name_pattern", "").await?;
    let schema =
        json!({"type": "object", "required": ["b"], "properties": {"a": {"type": "string"}}});
    refused(json!({"schema": schema}), "/source", "").await?;
    refused(json!({"schema": {"$ref": "https://evil.example/schema"}}), "/schema", "").await?;

    // A schema holds for every later change, and may itself be put on only if it holds.
    let path = format!("/api/v1/configs/{id}");
    let strict = json!({"schema": {"required": ["escalation"]}});
    assert_eq!(here.admin.patch(&path, "\"v1\"", &strict).await?.status, 200);
    let other = json!({"source": "{\"b\": 1}", "source_format": "json"});
    let answer = here.admin.patch(&path, "\"v2\"", &other).await?;
    assert_eq!(
        (answer.status, &answer.body["errors"][0]["pointer"]),
        (422, &json!("/source")),
        "{answer:?}"
    );
    let alone = here.admin.patch(&path, "\"v2\"", &json!({"source": "a: 1"})).await?;
    assert_eq!(alone.status, 422);
    let stricter = json!({"schema": {"required": ["nothing"]}});
    assert_eq!(here.admin.patch(&path, "\"v2\"", &stricter).await?.status, 422);
    let cleared = json!({"schema": null, "source": "{\"b\":  1}", "source_format": "json"});
    let answer = here.admin.patch(&path, "\"v2\"", &cleared).await?;
    assert_eq!((answer.status, answer.text("source")), (200, "{\"b\":  1}"), "{answer:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn layers_are_laid_over_each_other_and_it_is_said_why() -> Result<()> {
    let here = Here::new().await?;
    let global =
        create(&here, json!({"config_type": "global", "source": "a: 1\nb: 1\nc: {x: 1}"})).await?;
    let organization =
        create(&here, json!({"config_type": "organization", "source": "b: 2\nc: {y: 2}"})).await?;
    let team = json!({"config_type": "team", "source": "b: 3", "team_pattern": "first-.*"});
    let team = create(&here, team).await?;
    let alert = json!({"config_type": "alert", "source": "c: {x: 4}", "name_pattern": "disk-.*"});
    let alert = create(&here, alert).await?;
    create(&here, json!({"config_type": "organization", "source": "a: never", "status": "draft"}))
        .await?;

    assert_eq!(
        resolve(&here, "").await?["document"],
        json!({"a": 1, "b": 2, "c": {"x": 1, "y": 2}})
    );
    assert_eq!(resolve(&here, "team=first-team").await?["document"]["b"], 3);
    let by_id = format!("team={}", here.team_id);
    assert_eq!(resolve(&here, &by_id).await?["document"]["b"], 3);
    assert_eq!(resolve(&here, "name=disk-full").await?["document"]["c"], json!({"x": 4, "y": 2}));

    let story = resolve(&here, "team=first-team&name=disk-full&explain=true").await?;
    assert_eq!(story["origins"]["/a"]["id"], global);
    assert_eq!(story["origins"]["/b"]["id"], team);
    assert_eq!(story["origins"]["/c/x"], json!({"id": alert, "layer": "alert"}));
    assert_eq!(story["origins"]["/c/y"]["id"], organization);
    let verdicts = story["verdicts"].as_array().cloned().unwrap_or_default();
    assert_eq!(verdicts.len(), 5);
    let draft = verdicts.iter().find(|verdict| verdict["outcome"] == "rejected");
    let reason = draft.map(|verdict| verdict["reason"].clone()).unwrap_or_default();
    assert_eq!(reason["code"], "status", "{reason}");

    let unknown = here.admin.get("/api/v1/configs/resolve?team=nobody").await?;
    assert_eq!((unknown.status, unknown.text("code")), (404, "not_found"));
    let stranger = here.service.client().sign_up("other").await?;
    let theirs = stranger.get(&format!("/api/v1/configs/resolve?{by_id}")).await?;
    assert_eq!(theirs.status, 404);
    assert_eq!(stranger.get("/api/v1/configs/resolve").await?.body["document"], json!({}));
    Ok(())
}

/// Answers are kept for a while; a change counts at once, here and, by Redis, on the other instance.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_is_seen_by_the_next_who_asks() -> Result<()> {
    let redis = Redis::start()?;
    let database = harness::Postgres::shared().database();
    let url = redis.url();
    // An answer that comes late is no Redis that is away.
    let settings = [("REDIS_URL", url.as_str()), ("REDIS_TIMEOUT_MS", "10000")];
    let service = InProcess::server_with(database.url(), &settings).await?;
    let here = Here::with(database, service).await?;
    let second = InProcess::server_with(here.database.url(), &settings).await?;
    let there = second.client().with_token(here.admin.token());
    let id = here.config("c", "a: 0").await?;
    for number in 1..30 {
        let etag = format!("\"v{number}\"");
        let body = json!({"source": format!("a: {number}"), "source_format": "yaml"});
        let changed = here.admin.patch(&format!("/api/v1/configs/{id}"), &etag, &body).await?;
        assert_eq!(changed.status, 200, "{changed:?}");
        assert_eq!(resolve(&here, "").await?["document"], json!({"a": number}));
        let answer = there.get("/api/v1/configs/resolve").await?;
        assert_eq!(answer.body["document"], json!({"a": number}));
    }
    Ok(())
}

//! Many incidents at once, the search for them, and what happened to them.

use anyhow::Result;
use harness::{Answer, Client, Here, pass};
use reqwest::Method;
use serde_json::{Value, json};

async fn bulk(client: &Client, team_id: &str, lines: &[Value], key: &str) -> Result<Answer> {
    let body: Vec<String> = lines.iter().map(Value::to_string).collect();
    let headers = [("Content-Type", "application/x-ndjson"), ("Idempotency-Key", key)];
    let path = format!("/api/v1/teams/{team_id}/incidents/bulk");
    client.send(Method::POST, &path, &headers, Some(body.join("\n"))).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_lines_are_created_with_their_records() -> Result<()> {
    let here = Here::new().await?;
    let lines: Vec<Value> = (0..10_000)
        .map(|number| json!({"title": format!("Number {number}"), "tags": ["bulk"]}))
        .collect();
    let answer = bulk(&here.admin, &here.team_id, &lines, "all").await?;
    assert_eq!(answer.status, 201, "{:?}", answer.body);
    assert_eq!((&answer.body["created"], &answer.body["existing"]), (&json!(10_000), &json!(0)));
    let again = bulk(&here.admin, &here.team_id, &lines, "all").await?;
    assert_eq!((again.status, again.header("Idempotency-Replayed")), (201, "true"));
    assert_eq!(again.body, answer.body);

    let client = here.database.connect().await;
    let count = async |sql: &str| -> Result<i64> { Ok(client.query_one(sql, &[]).await?.get(0)) };
    assert_eq!(count("SELECT count(*) FROM incidents").await?, 10_000);
    let audited = "SELECT count(*) FROM audit_log WHERE action = 'incident.created' \
                   AND changes->'title'->>'after' LIKE 'Number %'";
    assert_eq!(count(audited).await?, 10_000);
    let events = "SELECT count(*) FROM outbox WHERE event = 'incident.created'";
    assert_eq!(count(events).await?, 10_000);
    let third = answer.body["items"][2]["id"].as_str().unwrap_or_default();
    let third = here.admin.get(&format!("/api/v1/incidents/{third}")).await?;
    assert_eq!(third.text("title"), "Number 2", "in their order");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_bad_line_and_nothing_is_written() -> Result<()> {
    let here = Here::new().await?;
    let other = here.service.client().sign_up("other").await?;
    let stranger = other.get("/api/v1/auth/me").await?.text("id").to_owned();
    let cases = [
        (json!({"title": ""}), "/2/title"),
        (json!({"title": "x", "nonsense": 1}), "/2/nonsense"),
        (json!({"title": "x", "assigned_to": stranger}), "/2/assigned_to"),
        (json!({"title": "x", "team_id": stranger}), "/2/team_id"),
    ];
    for (bad, pointer) in cases {
        let lines = [json!({"title": "good"}), bad, json!({"title": "good, too"})];
        let answer = bulk(&here.admin, &here.team_id, &lines, pointer).await?;
        assert_eq!((answer.status, answer.text("code")), (422, "invalid"), "{pointer}: {answer:?}");
        assert_eq!(answer.body["errors"][0]["pointer"], pointer, "{answer:?}");
    }
    let list = here.admin.get(&format!("/api/v1/teams/{}/incidents", here.team_id)).await?;
    assert_eq!(list.body["items"], json!([]));

    let path = format!("/api/v1/teams/{}/incidents/bulk", here.team_id);
    let as_json = here.admin.post(&path, &json!({"title": "x"})).await?;
    assert_eq!(as_json.status, 415);
    let packed = [("Content-Type", "application/x-ndjson"), ("Content-Encoding", "gzip")];
    let packed = here.admin.send(Method::POST, &path, &packed, Some("x".to_owned())).await?;
    assert_eq!(packed.status, 415);
    let many = vec![json!({"title": "x"}); 10_001];
    assert_eq!(bulk(&here.admin, &here.team_id, &many, "many").await?.status, 413);
    let long = vec![json!({"title": "x", "description": "y".repeat(60_000)}); 150];
    assert_eq!(bulk(&here.admin, &here.team_id, &long, "long").await?.status, 413);
    let nobody = here.service.client();
    assert_eq!(bulk(&nobody, &here.team_id, &[json!("garbage")], "k").await?.status, 401);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_with_known_keys_are_what_was_there() -> Result<()> {
    let here = Here::new().await?;
    let lines = [
        json!({"title": "a", "idempotency_key": "alert-1"}),
        json!({"title": "b", "idempotency_key": "alert-2"}),
        json!({"title": "a again", "idempotency_key": "alert-1"}),
        json!({"title": "c"}),
    ];
    let first = bulk(&here.admin, &here.team_id, &lines, "first").await?;
    assert_eq!(
        (&first.body["created"], &first.body["existing"]),
        (&json!(3), &json!(1)),
        "{first:?}"
    );
    let items = &first.body["items"];
    assert_eq!(items[0]["id"], items[2]["id"]);
    assert_eq!((&items[0]["created"], &items[2]["created"]), (&json!(true), &json!(false)));
    let second = bulk(&here.admin, &here.team_id, &lines[..2], "second").await?;
    assert_eq!((&second.body["created"], &second.body["existing"]), (&json!(0), &json!(2)));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn words_are_found_in_title_and_description() -> Result<()> {
    let here = Here::new().await?;
    let incidents = format!("/api/v1/teams/{}/incidents", here.team_id);
    for (title, description) in [
        ("Primary database is slow", "Writes take seconds on db-1"),
        ("Replica lags", "The database behind it is fine"),
        ("Disk full", "100% of /var"),
    ] {
        let body = json!({"title": title, "description": description});
        assert_eq!(here.admin.post(&incidents, &body).await?.status, 201);
    }
    let found = async |query: &str| -> Result<Vec<String>> {
        let page = here.admin.get(&format!("{incidents}?{query}")).await?;
        assert_eq!(page.status, 200, "{page:?}");
        let items = page.body["items"].as_array().cloned().unwrap_or_default();
        Ok(items
            .iter()
            .rev()
            .map(|item| item["title"].as_str().unwrap_or_default().to_owned())
            .collect())
    };
    let (slow, lags, full) = ("Primary database is slow", "Replica lags", "Disk full");
    assert_eq!(found("search=DATABASE").await?, [slow, lags]);
    assert_eq!(found("search=database%20-replica").await?, [slow]);
    assert_eq!(found("search=disk%20or%20replica").await?, [lags, full]);
    assert_eq!(found("search=%22is%20slow%22").await?, [slow]);
    assert_eq!(found("search=data").await?, Vec::<String>::new(), "words, not parts of them");
    assert_eq!(found("q=data").await?, [slow, lags]);
    assert_eq!(found("q=100%25").await?, [full]);
    // Nothing that is typed is a syntax error.
    for odd in ["%27%29--", "%22", "-", "%26%21", "or%20or", "a%3A%2A"] {
        found(&format!("search={odd}")).await?;
    }
    let nul = here.admin.get(&format!("{incidents}?search=%00")).await?;
    assert_eq!((nul.status, &nul.body["errors"][0]["pointer"]), (422, &json!("search")));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_timeline_tells_what_happened_to_an_incident() -> Result<()> {
    let here = Here::new().await?;
    let incidents = format!("/api/v1/teams/{}/incidents", here.team_id);
    let incident = here.admin.post(&incidents, &json!({"title": "x"})).await?;
    let path = format!("/api/v1/incidents/{}", incident.text("id"));
    here.admin.patch(&path, "\"v1\"", &json!({"status": "investigating"})).await?;
    here.admin.patch(&path, "\"v2\"", &json!({"status": "resolved"})).await?;
    here.admin.post(&incidents, &json!({"title": "another"})).await?;
    let viewer = here.colleague("vera", "viewer").await?;
    let page = viewer.get(&format!("{path}/timeline?limit=2")).await?;
    assert_eq!(page.status, 200, "{page:?}");
    let items = &page.body["items"];
    assert_eq!(
        items[0]["changes"]["status"],
        json!({"before": "investigating", "after": "resolved"})
    );
    assert_eq!(items[0]["actor_id"], json!(here.user_id));
    let rest = format!("{path}/timeline?cursor={}", page.text("next_cursor"));
    let rest = viewer.get(&rest).await?;
    assert_eq!(rest.body["items"].as_array().map(Vec::len), Some(1), "{rest:?}");
    assert_eq!(rest.body["items"][0]["action"], "incident.created");
    assert_eq!(rest.body["has_more"], false);
    Ok(())
}

/// Whoever walks a list meets each row that was there from the start to the end exactly once,
/// whatever comes and goes meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_walk_over_ten_thousand_neither_repeats_nor_misses_a_row() -> Result<()> {
    let here = Here::new().await?;
    let line = |title: &str, number: usize| json!({"title": format!("{title} {number}")});
    let old: Vec<Value> = (0..10_000).map(|number| line("old", number)).collect();
    let made = bulk(&here.admin, &here.team_id, &old, "old").await?;
    let ids: Vec<String> = made.body["items"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|item| item["id"].as_str().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(ids.len(), 10_000);
    // One of twenty is deleted while the walk is under way: those near the end and near the start.
    let doomed: Vec<String> = ids.iter().step_by(20).cloned().collect();
    let (admin, team) = (here.admin.clone(), here.team_id.clone());
    let to_delete = doomed.clone();
    let meanwhile = tokio::spawn(async move {
        for (round, ids) in to_delete.chunks(50).enumerate() {
            let new: Vec<Value> = (0..100).map(|number| line("new", number)).collect();
            let made = bulk(&admin, &team, &new, &format!("new-{round}")).await?;
            anyhow::ensure!(made.status == 201, "{made:?}");
            for id in ids {
                let path = format!("/api/v1/incidents/{id}");
                let gone = admin.delete(&path, "\"v1\"").await?;
                anyhow::ensure!(gone.status == 200, "{gone:?}");
            }
        }
        anyhow::Ok(())
    });

    let list = format!("/api/v1/teams/{}/incidents?limit=100", here.team_id);
    let mut seen = std::collections::HashSet::new();
    let mut next = Some(list.clone());
    while let Some(path) = next.take() {
        let page = here.admin.get(&path).await?;
        assert_eq!(page.status, 200, "{page:?}");
        for item in page.body["items"].as_array().into_iter().flatten() {
            let id = item["id"].as_str().unwrap_or_default().to_owned();
            assert!(seen.insert(id), "{item} twice");
        }
        next = page.body["next_cursor"].as_str().map(|cursor| format!("{list}&cursor={cursor}"));
        // The walk takes at least as long as what happens meanwhile begins to matter.
        pass(std::time::Duration::from_millis(20), "a reader who takes a while for each page")
            .await;
    }
    meanwhile.await??;
    let doomed: std::collections::HashSet<String> = doomed.into_iter().collect();
    let missed = ids.iter().filter(|id| !doomed.contains(*id) && !seen.contains(*id)).count();
    assert_eq!(missed, 0);
    let gone_in_time = doomed.iter().filter(|id| !seen.contains(*id)).count();
    assert!(gone_in_time > 0, "nothing was deleted while the walk was under way");
    Ok(())
}

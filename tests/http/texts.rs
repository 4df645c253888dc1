//! Texts whose cost depends on their shape: each field takes them in time, a search over them ends in time,
//! and what people really write is found. FAULTS S1a, S1d, S1g.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use harness::Here;
use reqwest::{Method, Url};
use serde_json::{Value, json};

/// Units over which PostgreSQL's text-search parser or `ILIKE` takes seconds when they are repeated, and
/// others that a parser may stumble over.
const SHAPES: [&str; 20] = [
    "@a1", "a@1", "~/", "a_", "aa_", "a", "-", "a-", "\"", "'", "(", "%", "\\", "a.", "://a.b/",
    "1e", "é#", "字", "\u{301}", "a@b.c ",
];

fn of_shape(shape: &str, characters: usize) -> String {
    // What begins and ends a text must not be white space.
    let all = shape.repeat(characters / shape.chars().count());
    all.trim().to_owned()
}

/// The longest that something may take; on a machine that does something else, too, no longer than many times
/// what a harmless one takes at this moment.
#[derive(Clone, Copy)]
struct Limit(Duration);

impl Limit {
    async fn of<T>(bound: Duration, harmless: impl Future<Output = Result<T>>) -> Result<Self> {
        let began = Instant::now();
        harmless.await?;
        Ok(Self(bound.max(began.elapsed() * 10)))
    }

    async fn holds<T>(self, what: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
        let began = Instant::now();
        let outcome = work.await?;
        let took = began.elapsed();
        ensure!(took < self.0, "{what} took {took:?}, which is more than {:?}", self.0);
        Ok(outcome)
    }
}

const WRITE: Duration = Duration::from_secs(1);
const SEARCH: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s1a_no_text_is_a_weapon_when_it_is_written() -> Result<()> {
    let here = Here::new().await?;
    let incidents = format!("/api/v1/teams/{}/incidents", here.team_id);
    for shape in SHAPES {
        let (title, text) = (of_shape(shape, 500), of_shape(shape, 65_536));
        let (tag, meta) = (of_shape(shape, 100), of_shape(shape, 30_000));
        let body = json!({
            "title": title, "description": text, "source": of_shape(shape, 255), "tags": [tag],
            "incident_metadata": {"text": meta, tag.as_str(): [meta]},
        });
        let harmless = json!({"title": "t", "description": of_shape("a b ", 65_536)});
        let limit = Limit::of(WRITE, here.admin.post(&incidents, &harmless)).await?;
        let made = limit.holds(shape, here.admin.post(&incidents, &body)).await?;
        ensure!(made.status == 201, "{shape}: {made:?}");
        let path = format!("/api/v1/incidents/{}", made.text("id"));
        let change = async |body: Value, version: u32| {
            let etag = format!("\"v{version}\"");
            limit.holds(shape, here.admin.patch(&path, &etag, &body)).await
        };
        let changed = change(json!({"priority": "high"}), 1).await?;
        ensure!(changed.status == 200, "{shape}: {changed:?}");
        let changed = change(json!({"description": text, "title": title}), 2).await?;
        ensure!(changed.status == 200, "{shape}: {changed:?}");
        let read = limit.holds(shape, here.admin.get(&path)).await?;
        ensure!(read.body["description"] == json!(text), "{shape} was changed on its way");
    }
    let line =
        |shape: &str| json!({"title": "t", "description": of_shape(shape, 65_536)}).to_string();
    let bulk = async |shapes: &[&str]| {
        let lines: Vec<String> = shapes.iter().map(|shape| line(shape)).collect();
        let headers = [("Content-Type", "application/x-ndjson")];
        let path = format!("{incidents}/bulk");
        here.admin.send(Method::POST, &path, &headers, Some(lines.join("\n"))).await
    };
    let limit = Limit::of(WRITE, bulk(&["a b "; SHAPES.len()])).await?;
    let made = limit.holds("bulk", bulk(&SHAPES)).await?;
    ensure!(made.status == 201, "{made:?}");
    Ok(())
}

/// Of other fields, what each takes or refuses is another test's concern.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s1a_no_field_takes_long_over_a_text() -> Result<()> {
    let here = Here::new().await?;
    let fields: [(String, &[&str]); 5] = [
        (
            format!("/api/v1/organizations/{}/teams", here.org_id),
            &["name", "description", "permissions"],
        ),
        (
            format!("/api/v1/organizations/{}/users", here.org_id),
            &["full_name", "avatar_url", "preferences"],
        ),
        (format!("/api/v1/teams/{}/agent-configs", here.team_id), &["name", "config", "triggers"]),
        (format!("/api/v1/teams/{}/stats", here.team_id), &["metric_name", "labels", "unit"]),
        ("/api/v1/configs".to_owned(), &["name", "name_pattern", "source", "config_metadata"]),
    ];
    for (path, names) in fields {
        let harmless = json!({"text": of_shape("a b ", 65_536)});
        let limit = Limit::of(WRITE, here.admin.post(&path, &harmless)).await?;
        for name in names {
            for shape in SHAPES {
                let text = of_shape(shape, 65_536);
                for value in [json!(text), json!({"text": text})] {
                    let mut body = harness::good::body(&Method::POST, &path).unwrap_or_default();
                    body[*name] = value;
                    let what = format!("{path} {name} {shape}");
                    let answer = limit.holds(&what, here.admin.post(&path, &body)).await?;
                    ensure!(answer.status < 500, "{what}: {answer:?}");
                }
            }
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s1d_s1g_no_search_takes_long() -> Result<()> {
    let here = Here::new().await?;
    let incidents = format!("/api/v1/teams/{}/incidents", here.team_id);
    let client = here.database.connect().await;
    let sql = "INSERT INTO incidents (org_id, id, team_id, title, description, created_at)
        SELECT org_id, gen_random_uuid(), id, 'poison', repeat($1, 65536 / length($1)), now() - n * interval '1 s'
        FROM teams, generate_series(1, 4) AS n";
    for shape in SHAPES {
        client.execute(sql, &[&shape]).await?;
    }
    client.execute(sql, &[&"needle in hay "]).await?;
    let patterns = [
        format!("{}b", "a".repeat(199)),
        format!("{}b{}", "a".repeat(100), "a".repeat(99)),
        "-".repeat(33),
        "-".repeat(200),
        format!("a {} b", "-".repeat(32)),
        "\"a\" -".repeat(39),
        "((((((((".repeat(20),
        "@a1".repeat(66),
        "or ".repeat(60) + "b",
        "needle".to_owned(),
    ];
    let harmless = format!("{incidents}?q=zzz");
    let limit = Limit::of(SEARCH, here.admin.get(&harmless)).await?;
    for pattern in &patterns {
        for name in ["q", "search"] {
            let mut found = 0;
            let mut query = vec![(name, pattern.clone()), ("limit", "10".to_owned())];
            // Each page within its time, and all of them come to an end.
            for page in 0.. {
                let url = Url::parse_with_params("http://x/", &query)?;
                let path = format!("{incidents}?{}", url.query().unwrap_or_default());
                let what = format!("page {page} of {name}={pattern}");
                let answer = limit.holds(&what, here.admin.get(&path)).await?;
                ensure!(answer.status == 200, "{what}: {answer:?}");
                found += answer.body["items"].as_array().map_or(0, Vec::len);
                let Some(cursor) = answer.body["next_cursor"].as_str() else { break };
                query.truncate(2);
                query.push(("cursor", cursor.to_owned()));
            }
            let expected = if pattern == "needle" { 4 } else { found };
            ensure!(found == expected, "{name}={pattern}: {found}");
        }
    }
    Ok(())
}

/// What people and machines write, up to 64 KiB of it: kept as it is, and found by words at its beginning, in
/// its middle and at its end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_is_found() -> Result<()> {
    const PROSE: [(&str, &str); 14] = [
        ("english", "The primary database does not answer, and writes are waiting for it. "),
        ("german", "Die Hauptdatenbank antwortet nicht, größere Schreibvorgänge warten. "),
        ("french", "La base de données principale ne répond plus ; les écritures attendent. "),
        ("russian", "Основная база данных не отвечает, записи ожидают. "),
        ("greek", "Η κύρια βάση δεδομένων δεν απαντά και οι εγγραφές περιμένουν. "),
        ("arabic", "قاعدة البيانات الرئيسية لا تستجيب والكتابات تنتظر. "),
        ("hebrew", "מסד הנתונים הראשי אינו מגיב וכתיבות ממתינות. "),
        ("hindi", "मुख्य डेटाबेस जवाब नहीं दे रहा है और लेखन प्रतीक्षा कर रहे हैं। "),
        ("korean", "기본 데이터베이스가 응답하지 않고 쓰기가 대기 중입니다. "),
        ("thai", "ฐานข้อมูลหลักไม่ตอบสนองและการเขียนกำลังรอ "),
        ("chinese", "主数据库没有响应，写入正在等待。"),
        ("japanese", "プライマリデータベースが応答せず、書き込みが待機しています。"),
        (
            "log",
            "2026-11-30T12:00:00.123Z ERROR [db-1.example.com] conn=4711 \"GET /api/v1/x?a=b HTTP/1.1\" 503 10.0.0.1:5432\n",
        ),
        ("url", "https://db-1.example.com:8443/a/b/c?d=e&f=%20g#h "),
    ];
    let here = Here::new().await?;
    let incidents = format!("/api/v1/teams/{}/incidents", here.team_id);
    let mut texts: Vec<(String, String)> =
        PROSE.iter().map(|(name, unit)| ((*name).to_owned(), (*unit).to_owned())).collect();
    texts.push(("base64".to_owned(), "QmFzZTY0IGlzIG5vdCBwcm9zZQ+/".repeat(3) + "\n"));
    texts.push(("hex".to_owned(), "0123456789abcdef".to_owned()));
    for (name, unit) in texts {
        let characters: Vec<char> = unit.chars().cycle().take(65_000).collect();
        let part = |from: usize, to: usize| characters[from..to].iter().collect::<String>();
        let text = format!(
            "zebra {} walrus {} octopus {} unicorn",
            part(0, 8_192),
            part(8_192, 16_384),
            part(16_384, 65_000)
        );
        let body = json!({"title": name, "description": text});
        let made = here.admin.post(&incidents, &body).await?;
        ensure!(made.status == 201, "{name}: {made:?}");
        let path = format!("/api/v1/incidents/{}", made.text("id"));
        ensure!(here.admin.get(&path).await?.body["description"] == json!(text), "{name}");
        for word in ["zebra", "walrus", "octopus", "unicorn"] {
            let page = here.admin.get(&format!("{incidents}?search={word}%20{name}")).await?;
            ensure!(page.body["items"][0]["title"] == json!(name), "{name} by {word}: {page:?}");
        }
        // By its own first word, too.
        let first = unit.split([' ', '，', '\n', '+']).next().unwrap_or_default();
        let url = Url::parse_with_params("http://x/", [("search", first)])?;
        let page =
            here.admin.get(&format!("{incidents}?{}", url.query().unwrap_or_default())).await?;
        let titles = page.body["items"].as_array().cloned().unwrap_or_default();
        let is_found = titles.iter().any(|item| item["title"] == json!(name));
        ensure!(is_found || name == "hex", "{name} by {first}");
    }
    Ok(())
}

//! Every route against another organization's things: 404, and nothing of theirs has changed.

use anyhow::Result;
use brownie_api::routes;
use harness::{Here, fill, good};
use reqwest::Method;

/// What writes without naming anything writes what is the caller's own.
const OWN: &[&str] = &[
    "/api/v1/api-keys",
    "/api/v1/auth/logout",
    "/api/v1/auth/logout-all",
    "/api/v1/auth/oidc/link",
    "/api/v1/configs",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_organizations_things_are_not_there() -> Result<()> {
    Box::pin(walk(Here::new().await?)).await
}

/// The door is a wall of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nor_are_they_without_row_level_security() -> Result<()> {
    Box::pin(walk(Here::without_row_level_security().await?)).await
}

async fn walk(here: Here) -> Result<()> {
    let things = here.things().await?;
    let stranger = here.service.client().sign_up("mallory").await?;
    // Each thing is really there for those whose it is.
    for route in routes::table() {
        if route.method == "GET" && route.action.is_some() {
            let url = fill(route.path, &things) + good::query(route.path);
            let answer = here.admin.get(&url).await?;
            assert_eq!(answer.status, 200, "{}: {answer:?}", route.path);
        }
    }
    let before = here.database.rows_of(here.org_id.parse()?).await;

    for route in routes::table() {
        let method = Method::from_bytes(route.method.as_str().as_bytes())?;
        if route.action.is_none() {
            continue;
        }
        // What names nobody's thing answers with the caller's own, and shows none of theirs.
        if !route.path.contains('{') {
            if OWN.contains(&route.path) && method == Method::POST {
                continue;
            }
            assert_eq!(method, Method::GET, "{}: what does it write, and whose?", route.path);
            let url = format!("{}{}", route.path, good::query(route.path));
            let answer = stranger.get(&url).await?;
            assert_eq!(answer.status, 200, "{}: {answer:?}", route.path);
            let text = answer.body.to_string();
            let shown = things.iter().find(|(_, id)| text.contains(id));
            assert!(shown.is_none(), "{} shows {shown:?}", route.path);
            continue;
        }
        let ask = async |url: String| {
            let body = good::body(&method, route.path).map(|body| body.to_string());
            let headers = good::headers(route.path, "\"v1\"");
            let url = url + good::query(route.path);
            stranger.send(method.clone(), &url, &headers, body).await
        };
        let answer = ask(fill(route.path, &things)).await?;
        assert_eq!(answer.status, 404, "{method} {}: {answer:?}", route.path);
        assert_eq!(answer.text("code"), "not_found", "{method} {}", route.path);
        // The same as for what nobody has.
        let nowhere = fill(
            route.path,
            &things
                .iter()
                .map(|(name, _)| (*name, "01a1fca1-0000-7000-8000-000000000000".to_owned()))
                .collect::<Vec<_>>(),
        );
        let missing = ask(nowhere).await?;
        assert_eq!(missing.text("detail"), answer.text("detail"), "{method} {}", route.path);
    }

    assert_eq!(here.database.rows_of(here.org_id.parse()?).await, before);
    let own = stranger.get("/api/v1/organizations").await?;
    assert_eq!(own.body["items"].as_array().map(Vec::len), Some(1), "{own:?}");
    Ok(())
}

//! Who may ask: operators, and nobody else, however much they may elsewhere.

use anyhow::Result;
use brownie_api::routes;
use harness::{Client, Service};
use reqwest::Method;
use serde_json::json;

use super::{Place, TOKEN};

async fn ask(client: &Client, method: &Method, path: &str) -> Result<harness::Answer> {
    let path = path
        .replace("{operation_id}", "01a1fca1-0000-7000-8000-000000000000")
        .replace("{backup_name}", "x");
    let body = (*method == Method::POST && path.ends_with("/operations"))
        .then(|| json!({"kind": "backup.drill"}).to_string())
        .or_else(|| path.ends_with("/restore").then(|| json!({"backup_name": "x"}).to_string()));
    client.send(method.clone(), &path, &[], body).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_may_and_a_tenant_may_not() -> Result<()> {
    let place = Place::new().await?;
    let wish = json!({"name": "all", "role": "admin"});
    let key = place.admin.post("/api/v1/api-keys", &wish).await?;
    let nobody = place.service.client();
    let own = routes::table().into_iter().filter(|route| route.operators_only);
    let own: Vec<_> = own.collect();
    assert_eq!(own.len(), 12);
    let plain = Service::server(&place.postgres.url_as("brownie-server", "ours")).await?;
    let unset = plain.client().with_token(place.admin.token());
    for route in &own {
        let method = Method::from_bytes(route.method.as_str().as_bytes())?;
        for (client, status) in [
            (&nobody, 401),
            (&nobody.with_token(&TOKEN.replace('0', "1")), 401),
            (&place.admin, 403),
            (&nobody.with_token(key.text("key")), 403),
        ] {
            let answer = ask(client, &method, route.path).await?;
            assert_eq!(answer.status, status, "{method} {}: {answer:?}", route.path);
            assert_eq!(answer.header("content-type"), "application/problem+json");
        }
        let allowed = ask(&place.operator, &method, route.path).await?;
        assert!(matches!(allowed.status, 200 | 202 | 404), "{method} {}: {allowed:?}", route.path);
        // Where there are no operators, it is said how there would be.
        let answer = ask(&unset, &method, route.path).await?;
        assert_eq!(answer.status, 403, "{answer:?}");
        assert!(answer.text("detail").contains("METADATA_OPERATOR_TOKENS_FILE"), "{answer:?}");
    }
    // And an operator is of no organization.
    for path in ["/api/v1/auth/me", "/api/v1/organizations", "/api/v1/audit-log"] {
        assert_eq!(place.operator.get(path).await?.status, 403, "{path}");
    }
    assert_eq!(place.operator.get("/readyz").await?.status, 200);
    assert!(!place.service.log().contains(TOKEN));
    Ok(())
}

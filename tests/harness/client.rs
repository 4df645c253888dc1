//! A client of the API, as a person with curl would be one.

use anyhow::{Context, Result, ensure};
use reqwest::{Method, header::HeaderMap};
use serde_json::{Value, json};

/// An answer, read whole.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, as JSON if it is JSON, as a string otherwise.
    pub body: Value,
}

impl Answer {
    /// Returns a header's text, or an empty one.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Returns the body, if it is text and no JSON.
    pub fn text_body(&self) -> &str {
        self.body.as_str().unwrap_or_default()
    }

    /// Returns a member of the body as text, or an empty one.
    pub fn text(&self, member: &str) -> &str {
        self.body[member].as_str().unwrap_or_default()
    }
}

/// A stream of Server-Sent Events.
#[derive(Debug)]
pub struct Stream {
    response: reqwest::Response,
    rest: String,
}

impl Stream {
    /// Returns the id and the data of the next event, or none when the stream has ended. Comments
    /// are passed over.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn next(&mut self) -> Result<Option<(String, Value)>> {
        loop {
            while let Some(end) = self.rest.find("\n\n") {
                let message: String = self.rest.drain(..end + 2).collect();
                let field = |name: &str| {
                    message.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned)
                };
                let event = field("id: ").zip(field("data: "));
                if let Some((id, data)) = event {
                    return Ok(Some((id, serde_json::from_str(&data)?)));
                }
            }
            match self.response.chunk().await? {
                Some(chunk) => self.rest.push_str(std::str::from_utf8(&chunk)?),
                None => return Ok(None),
            }
        }
    }
}

/// Somebody who asks.
#[derive(Debug, Clone)]
pub struct Client {
    base: String,
    token: Option<String>,
    http: reqwest::Client,
}

impl Client {
    /// Somebody nobody knows.
    pub fn anonymous(base: &str) -> Self {
        Self { base: base.to_owned(), token: None, http: reqwest::Client::new() }
    }

    /// Somebody nobody knows, who connects in a way of their own.
    pub fn through(base: &str, http: reqwest::Client) -> Self {
        Self { base: base.to_owned(), token: None, http }
    }

    /// The same, with a token.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    /// Returns the token, or an empty text.
    pub fn token(&self) -> &str {
        self.token.as_deref().unwrap_or_default()
    }

    /// Signs up and comes back with a token.
    ///
    /// # Errors
    /// When the service refuses.
    pub async fn sign_up(&self, slug: &str) -> Result<Self> {
        let answer = self
            .post(
                "/api/v1/auth/signup",
                &json!({
                    "email": format!("founder@{slug}.example"),
                    "password": "correct horse",
                    "username": "founder",
                    "organization_name": slug,
                    "team_name": "First team",
                }),
            )
            .await?;
        ensure!(answer.status == 201, "sign-up: {answer:?}");
        Ok(self.with_token(answer.text("access_token")))
    }

    /// Logs in and comes back with a token.
    ///
    /// # Errors
    /// When the service refuses.
    pub async fn log_in(&self, email: &str) -> Result<Self> {
        let body = json!({"email": email, "password": "correct horse"});
        let answer = self.post("/api/v1/auth/login", &body).await?;
        ensure!(answer.status == 200, "login: {answer:?}");
        Ok(self.with_token(answer.text("access_token")))
    }

    /// Asks.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn get(&self, path: &str) -> Result<Answer> {
        self.send(Method::GET, path, &[], None).await
    }

    /// Sends a body.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Answer> {
        self.send(Method::POST, path, &[], Some(body.to_string())).await
    }

    /// Sends a change to what was at `etag`.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn patch(&self, path: &str, etag: &str, body: &Value) -> Result<Answer> {
        self.send(Method::PATCH, path, &[("If-Match", etag)], Some(body.to_string())).await
    }

    /// Deletes what was at `etag`.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn delete(&self, path: &str, etag: &str) -> Result<Answer> {
        self.send(Method::DELETE, path, &[("If-Match", etag)], None).await
    }

    /// Opens a stream of Server-Sent Events.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn stream(&self, path: &str, last_seen: Option<&str>) -> Result<Stream> {
        let mut request = self.http.get(format!("{}{path}", self.base));
        request = request.header("Accept", "text/event-stream");
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(id) = last_seen {
            request = request.header("Last-Event-ID", id);
        }
        let response = request.send().await?;
        ensure!(response.status() == 200, "the stream is refused: {}", response.status());
        Ok(Stream { response, rest: String::new() })
    }

    /// Sends anything.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<String>,
    ) -> Result<Answer> {
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            let sets_type = headers.iter().any(|(name, _)| *name == "Content-Type");
            if !sets_type {
                request = request.header("Content-Type", "application/json");
            }
            request = request.body(body);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.context("the body of an answer")?;
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Ok(Answer { status, headers, body })
    }
}

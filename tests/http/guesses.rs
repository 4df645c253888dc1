//! Guesses at passwords: so many an hour at one account, from wherever; and its owner comes in.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use futures_util::future::join_all;
use harness::{Answer, Client, Here, InProcess, is_long};
use reqwest::Method;
use serde_json::{Value, json};

const OWNER: &str = "founder@acme.example";

/// Three servers of one database, behind a proxy that names its clients.
struct Servers {
    here: Here,
    clients: [Client; 3],
    _others: [InProcess; 2],
}

impl Servers {
    async fn start(settings: &[(&str, &str)]) -> Result<Self> {
        let mut all = vec![("METADATA_TRUSTED_PROXIES", "127.0.0.0/8")];
        all.extend(settings);
        let here = Here::with_settings(&all).await?;
        let second = InProcess::server_with(here.database.url(), &all).await?;
        let third = InProcess::server_with(here.database.url(), &all).await?;
        let clients = [here.service.client(), second.client(), third.client()];
        Ok(Self { here, clients, _others: [second, third] })
    }

    /// Logs in from an address of its own, at one of the servers.
    async fn log_in(&self, number: usize, body: &Value) -> Result<Answer> {
        let from = format!("198.51.{}.{}", number / 200, number % 200);
        let headers = [("X-Forwarded-For", from.as_str())];
        let client = &self.clients[number % 3];
        client.send(Method::POST, "/api/v1/auth/login", &headers, Some(body.to_string())).await
    }

    /// Guesses from a hundred addresses until none is answered as a guess, and returns how many were.
    async fn guess(&self, body: impl Fn(usize) -> Value) -> Result<usize> {
        let mut answered = 0;
        for number in 0..100 {
            let answer = self.log_in(number, &body(number)).await?;
            match answer.status {
                401 => answered += 1,
                429 => assert!(!answer.header("Retry-After").is_empty(), "{answer:?}"),
                _ => bail!("{answer:?}"),
            }
        }
        Ok(answered)
    }

    /// Lets ten minutes pass for what is counted.
    async fn ten_minutes_later(&self) {
        let client = self.here.database.connect().await;
        let later = "UPDATE login_guesses SET until = until - interval '10 minutes'";
        client.batch_execute(later).await.unwrap();
    }
}

fn wrong(number: usize) -> Value {
    json!({"email": OWNER, "password": format!("wrong horse {number}")})
}

/// FAULTS S2b: twelve an hour from a hundred addresses over three servers, by whatever name the account is
/// called; the owner comes in from a device that was in before, and from no other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s2b_an_account_is_guessed_at_twelve_times_an_hour_and_its_owner_comes_in() -> Result<()> {
    let servers = Servers::start(&[]).await?;
    let right = json!({"email": OWNER, "password": "correct horse"});
    let first = servers.log_in(500, &right).await?;
    assert_eq!(first.status, 200, "{first:?}");
    let token = first.text("device_token").to_owned();
    assert!(!token.is_empty(), "{first:?}");

    // By turns without the organization, with it, and with one that there is not.
    let by_all_names = |number: usize| {
        let mut body = wrong(number);
        match number % 3 {
            0 => {}
            1 => body["organization"] = json!("acme"),
            _ => body["organization"] = json!("elsewhere"),
        }
        body
    };
    let mut answered = servers.guess(by_all_names).await?;
    for _ in 0..6 {
        servers.ten_minutes_later().await;
        answered += servers.guess(by_all_names).await?;
    }
    assert_eq!(answered, 12, "within the hour");

    // The owner is told what everybody is told; but not where they have been in before.
    assert_eq!(servers.log_in(501, &right).await?.status, 429);
    let mut by_device = right.clone();
    by_device["device_token"] = json!(token);
    let again = servers.log_in(502, &by_device).await?;
    assert_eq!(again.status, 200, "{again:?}");
    // The control: a device token that is not one changes nothing.
    for bad in ["nonsense", &token[..token.len() - 2], first.text("access_token")] {
        let mut body = right.clone();
        body["device_token"] = json!(bad);
        assert_eq!(servers.log_in(503, &body).await?.status, 429, "{bad}");
    }
    Ok(())
}

/// Whoever holds a device token has as many guesses as everybody else, also with those that it is renewed by.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_has_guesses_of_its_own_and_no_more() -> Result<()> {
    let servers = Servers::start(&[]).await?;
    let right = json!({"email": OWNER, "password": "correct horse"});
    let first = servers.log_in(500, &right).await?.text("device_token").to_owned();
    let mut body = right.clone();
    body["device_token"] = json!(first);
    let renewed = servers.log_in(500, &body).await?.text("device_token").to_owned();
    let answered = servers
        .guess(|number| {
            let mut body = wrong(number);
            body["device_token"] = json!(if number % 2 == 0 { &first } else { &renewed });
            body
        })
        .await?;
    assert_eq!(answered, 6, "at once");
    // Nobody else is kept out by it, nor the same person without it.
    assert_eq!(servers.log_in(501, &right).await?.status, 200);
    Ok(())
}

/// FAULTS S2b: a token of another account of the same mailbox is none; nor do log-ins to one's own account make
/// room for guesses at somebody else's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s2b_another_account_of_the_mailbox_helps_no_guesser() -> Result<()> {
    let servers = Servers::start(&[]).await?;
    let squat = json!({
        "email": OWNER, "password": "my own horse", "username": "squatter",
        "organization_name": "Squat", "organization_slug": "squat", "team_name": "One",
    });
    let own = servers.here.service.client().post("/api/v1/auth/signup", &squat).await?;
    assert_eq!(own.status, 201, "{own:?}");
    let mut token = own.text("device_token").to_owned();
    let mut answered = 0;
    for number in 0..40 {
        let mut guess = wrong(number);
        guess["organization"] = json!("acme");
        guess["device_token"] = json!(token);
        answered += usize::from(servers.log_in(number, &guess).await?.status == 401);
        let mine = json!({
            "email": OWNER, "password": "my own horse", "organization": "squat", "device_token": token,
        });
        let mine = servers.log_in(number, &mine).await?;
        assert_eq!(mine.status, 200, "{mine:?}");
        token = mine.text("device_token").to_owned();
    }
    assert_eq!(answered, 6, "at once");
    Ok(())
}

/// A thousand guesses at once are not free ones: sixty at once, over all servers, are six.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guesses_at_once_are_counted_one_by_one() -> Result<()> {
    let servers = Servers::start(&[]).await?;
    let guesses = (0..60).map(|number| {
        let body = wrong(number);
        let servers = &servers;
        async move { servers.log_in(number, &body).await.map(|answer| answer.status) }
    });
    let answers: Vec<u16> = join_all(guesses).await.into_iter().collect::<Result<_>>()?;
    assert_eq!(answers.iter().filter(|status| **status == 401).count(), 6, "{answers:?}");
    assert!(answers.iter().all(|status| matches!(status, 401 | 429)), "{answers:?}");
    Ok(())
}

/// A device is known by the password that it has shown. With another it has no guesses of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_ends_with_the_password() -> Result<()> {
    let servers = Servers::start(&[]).await?;
    let right = json!({"email": OWNER, "password": "correct horse"});
    let token = servers.log_in(500, &right).await?.text("device_token").to_owned();
    let me = servers.here.admin.get("/api/v1/auth/me").await?;
    let path = format!("/api/v1/users/{}/password", me.text("id"));
    let change = json!({"current_password": "correct horse", "new_password": "another horse"});
    assert_eq!(servers.here.admin.post(&path, &change).await?.status, 200);
    let anew = json!({"email": OWNER, "password": "another horse"});
    assert_eq!(servers.log_in(501, &anew).await?.status, 200);
    servers.guess(wrong).await?;
    let mut by_device = anew.clone();
    by_device["device_token"] = json!(token);
    assert_eq!(servers.log_in(502, &by_device).await?.status, 429, "by the device of before");
    Ok(())
}

/// The right password is no guess: whoever logs in again and again is never told to wait.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_ins_that_succeed_are_not_counted() -> Result<()> {
    let servers = Servers::start(&[]).await?;
    let right = json!({"email": OWNER, "password": "correct horse"});
    for _ in 0..30 {
        assert_eq!(servers.log_in(1, &right).await?.status, 200);
    }
    Ok(())
}

/// A mailbox that nobody has is answered as one that somebody has, also where answers end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_has_is_counted_the_same() -> Result<()> {
    let servers = Servers::start(&[]).await?;
    let nobody = |number| json!({"email": "nobody@acme.example", "password": format!("wrong horse {number}")});
    assert_eq!(servers.guess(nobody).await?, 6);
    assert_eq!(servers.guess(wrong).await?, 6);
    Ok(())
}

/// From one address, at however many accounts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_guesses_at_many_accounts_so_often() -> Result<()> {
    let servers = Servers::start(&[("METADATA_LOGIN_GUESSES", "4")]).await?;
    let mut answered = 0;
    for number in 0..30 {
        let body = json!({"email": format!("u{number}@acme.example"), "password": "wrong horse"});
        answered +=
            usize::from(servers.clients[0].post("/api/v1/auth/login", &body).await?.status == 401);
    }
    assert_eq!(answered, 8, "of twenty an hour, at once");
    Ok(())
}

/// The password so far, of whoever is logged in, is guessed at no more often.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_password_so_far_is_guessed_at_as_often() -> Result<()> {
    let servers = Servers::start(&[]).await?;
    let me = servers.here.admin.get("/api/v1/auth/me").await?;
    let path = format!("/api/v1/users/{}/password", me.text("id"));
    let mut answered = 0;
    for number in 0..20 {
        let body = json!({"current_password": format!("wrong horse {number}"), "new_password": "a horse of mine"});
        let status = servers.here.admin.post(&path, &body).await?.status;
        assert!(status == 422 || status == 429, "{status}");
        answered += usize::from(status == 422);
    }
    assert_eq!(answered, 6);
    Ok(())
}

/// How often an answer of the first kind took longer than one of the second: a half, if their times tell nothing (the
/// area under the ROC curve).
#[expect(clippy::cast_precision_loss, reason = "a few millions")]
fn area(first: &[Duration], second: &[Duration]) -> f64 {
    let above: usize =
        first.iter().map(|one| second.iter().filter(|other| one > *other).count()).sum();
    above as f64 / (first.len() * second.len()) as f64
}

/// Whether an account exists, and whether a password is right in another organization, is told by neither answers nor
/// times. A thousand of each kind in a long run, by turns. The control: an answer that hashes nothing is told apart.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_and_times_tell_nothing() -> Result<()> {
    let (rounds, bound) = if is_long() { (1_000, 0.05) } else { (40, 0.3) };
    let open = Servers::start(&[("METADATA_LOGIN_GUESSES", "0")]).await?;
    let client = open.here.service.client();
    let elsewhere = json!({
        "email": "founder@else.example", "password": "horse of another place", "username": "other",
        "organization_name": "Else", "organization_slug": "else", "team_name": "One",
    });
    ensure!(client.post("/api/v1/auth/signup", &elsewhere).await?.status == 201);
    let kinds = [
        json!({"email": OWNER, "password": "wrong horse of some length", "organization": "acme"}),
        json!({"email": "nobody@acme.example", "password": "wrong horse of some length", "organization": "acme"}),
        json!({"email": "founder@else.example", "password": "horse of another place", "organization": "acme"}),
    ];
    let (mut times, mut said) = (vec![Vec::new(); kinds.len() + 1], Vec::new());
    for round in 0..rounds {
        for place in 0..kinds.len() {
            // Each of them is as often after each of the others.
            let kind = (place + round) % kinds.len();
            let began = Instant::now();
            let answer = client.post("/api/v1/auth/login", &kinds[kind]).await?;
            times[kind].push(began.elapsed());
            said.push((
                answer.status,
                answer.text("code").to_owned(),
                answer.text("detail").to_owned(),
            ));
        }
        let began = Instant::now();
        client.post("/api/v1/auth/login", &json!({"email": "no mailbox", "password": "x"})).await?;
        times[kinds.len()].push(began.elapsed());
    }
    ensure!(said[0].0 == 401 && said.iter().all(|answer| *answer == said[0]), "{:?}", said[0]);
    for (one, other) in [(0, 1), (0, 2), (1, 2)] {
        let area = area(&times[one], &times[other]);
        println!("kinds {one} and {other}: {area:.3}");
        ensure!((area - 0.5).abs() <= bound, "kinds {one} and {other}: {area}");
    }
    let control = area(&times[0], &times[kinds.len()]);
    ensure!(control > 0.9, "the control: {control}");
    Ok(())
}

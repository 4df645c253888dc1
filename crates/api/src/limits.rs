//! How much anybody may ask for: a limit for each principal, and one for each address that has not
//! shown who it is. Answers say what is left (draft-ietf-httpapi-ratelimit-headers).

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use actix_web::{
    HttpMessage, HttpRequest,
    body::{EitherBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::header::{HeaderMap, HeaderName, HeaderValue},
    middleware::Next,
    web,
};
use brownie_cache::{Decision, Key, Rule};
use brownie_config::ServiceSettings;
use brownie_persistence::GuessLimit;
use ipnet::IpNet;

use crate::{Deps, Problem, access};

const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
/// Says who asks, as a proxy saw it.
const FORWARDED_FOR: &str = "x-forwarded-for";

/// How much may be asked for.
#[derive(Debug, Clone, Default)]
pub struct Limits {
    /// By one principal; none for any amount.
    pub principal: Option<Rule>,
    /// From one address by those who have not shown who they are; none for any amount.
    pub address: Option<Rule>,
    /// Of wrong passwords.
    pub guesses: Option<Guesses>,
    /// Whose word about addresses is believed.
    pub proxies: Vec<IpNet>,
}

/// How many wrong passwords are answered.
#[derive(Debug, Clone, Copy)]
pub struct Guesses {
    /// At one account.
    pub account: GuessLimit,
    /// From one address, behind which a whole office may be.
    pub address: Rule,
}

impl Guesses {
    /// Allows `limit` an hour at one account, and five times as many from one address.
    fn of(limit: u32) -> Option<Self> {
        let address = Rule::per(limit.saturating_mul(3), Duration::from_hours(1))
            .with_burst(limit.saturating_mul(2));
        GuessLimit::per_hour(limit).map(|account| Self { account, address })
    }
}

/// What the settings count in.
const WINDOW: Duration = Duration::from_mins(1);

impl Limits {
    /// As the settings say.
    pub fn of(settings: &ServiceSettings) -> Self {
        let rule = |limit| (limit > 0).then(|| Rule::per(limit, WINDOW));
        Self {
            principal: rule(settings.rate_limit),
            address: rule(settings.rate_limit_address),
            guesses: Guesses::of(settings.login_guesses),
            proxies: settings.trusted_proxies.clone(),
        }
    }
}

/// What probes and scrapers ask, as they spell it: another spelling (`/%6civez`) is counted.
pub(crate) const UNLIMITED: &[&str] = &["/health", "/livez", "/metrics", "/readyz"];

/// Refuses what is too much. Probes are never too much.
pub(crate) async fn limit<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, actix_web::Error> {
    let known = match request.app_data::<web::Data<Deps>>() {
        Some(deps) if !UNLIMITED.contains(&request.path()) => {
            key_of(request.request(), deps).map(|(key, rule)| (deps.cache.clone(), key, rule))
        }
        _ => None,
    };
    let Some((cache, key, rule)) = known else {
        return Ok(next.call(request).await?.map_into_left_body());
    };
    let decision = cache.limit(&key, rule, 1).await;
    let mut response = if decision.allowed {
        next.call(request).await?.map_into_left_body()
    } else {
        let wait = decision.retry_after.unwrap_or_default();
        request.error_response(Problem::too_many(wait)).map_into_right_body()
    };
    tell(response.headers_mut(), &decision);
    Ok(response)
}

/// Returns whom the request counts for, and how much they may ask for.
fn key_of(request: &HttpRequest, deps: &Deps) -> Option<(Key, Rule)> {
    match access::known(&request.extensions()) {
        Some(principal) => {
            let id = principal.actor().id()?;
            let key = Key::new("requests").of(principal.org_id()).id(id);
            Some((key, deps.limits.principal?))
        }
        None => by_address("requests", request, deps),
    }
}

/// Returns what an address is counted by in `what` it does without having shown who it is.
pub(crate) fn by_address(
    what: &'static str,
    request: &HttpRequest,
    deps: &Deps,
) -> Option<(Key, Rule)> {
    let address = address_of(request, &deps.limits.proxies)?;
    Some((Key::new(what).address(address), deps.limits.address?))
}

/// Somebody whom a proxy that we believe did not name, or not so that it can be read. All of them count as one,
/// and not as the proxy, nor as nobody.
pub(crate) const UNKNOWN: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// Returns who is at the other end: the peer, or, if that is a proxy we believe, whom it names. Of
/// several names the last that is no such proxy: those before it are whatever the client said, and need not be
/// text (RFC 9110 section 5.5).
pub(crate) fn address_of(request: &HttpRequest, proxies: &[IpNet]) -> Option<IpAddr> {
    // A socket for both families shows IPv4 as ::ffff:a.b.c.d.
    let peer = request.peer_addr()?.ip().to_canonical();
    let is_proxy = |address: IpAddr| proxies.iter().any(|net| net.contains(&address));
    if !is_proxy(peer) {
        return Some(peer);
    }
    let named = request.headers().get_all(FORWARDED_FOR);
    let named: Vec<&[u8]> = named
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|name| !name.is_empty())
        .collect();
    let mut client = peer;
    for name in named.into_iter().rev() {
        client = std::str::from_utf8(name).ok().and_then(named_address).unwrap_or(UNKNOWN);
        let address = client;
        if !is_proxy(address) {
            break;
        }
    }
    Some(client)
}

/// Reads an address, with or without a port or brackets.
fn named_address(name: &str) -> Option<IpAddr> {
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    let name = bare.unwrap_or(name);
    let with_port = || name.parse::<SocketAddr>().map(|address| address.ip());
    name.parse::<IpAddr>().or_else(|_| with_port()).ok().map(|address| address.to_canonical())
}

fn tell(headers: &mut HeaderMap, decision: &Decision) {
    let policy = format!("\"default\";q={};w={}", decision.limit, WINDOW.as_secs());
    let reset = decision.reset_after.as_secs_f64().ceil();
    let left = format!("\"default\";r={};t={reset}", decision.remaining);
    for (name, value) in [(RATELIMIT_POLICY, policy), (RATELIMIT, left)] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn address(peer: &str, forwarded: &[&str]) -> String {
        let mut request = TestRequest::default().peer_addr(format!("{peer}:1234").parse().unwrap());
        for value in forwarded {
            request = request.append_header((FORWARDED_FOR, *value));
        }
        let proxies = ["10.0.0.0/8".parse().unwrap()];
        address_of(&request.to_http_request(), &proxies).unwrap().to_string()
    }

    #[test]
    fn only_a_proxy_is_believed_and_only_about_its_own_client() {
        assert_eq!(address("203.0.113.9", &["198.51.100.1"]), "203.0.113.9");
        assert_eq!(address("10.0.0.1", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(address("10.0.0.1", &["1.1.1.1, 198.51.100.1, 10.0.0.2"]), "198.51.100.1");
        assert_eq!(address("10.0.0.1", &["1.1.1.1", "198.51.100.1"]), "198.51.100.1");
        assert_eq!(address("10.0.0.1", &["198.51.100.1, 10.0.0.2", ""]), "198.51.100.1");
        assert_eq!(address("10.0.0.1", &["[2001:db8::1]"]), "2001:db8::1");
        assert_eq!(address("10.0.0.1", &["198.51.100.1:5678"]), "198.51.100.1");
        assert_eq!(address("10.0.0.1", &["[2001:db8::1]:443"]), "2001:db8::1");
        assert_eq!(address("[::ffff:10.0.0.1]", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(address("10.0.0.1", &[]), "10.0.0.1");
    }

    /// FAULTS M-05: what a client writes before what the proxy appends hides nobody, whatever octets it has; and
    /// what the proxy itself could not name is nobody in particular.
    #[test]
    fn m05_no_octet_hides_an_address() {
        for before in
            [&b"\xff"[..], b"\x80\x81", b"unknown", b"a\tb", b"\xc3\xa4", b"\"", b",,", b""]
        {
            let value = [before, b", 198.51.100.1"].concat();
            let value = HeaderValue::from_bytes(&value).unwrap();
            let request = TestRequest::default()
                .peer_addr("10.0.0.1:1234".parse().unwrap())
                .append_header((FORWARDED_FOR, value))
                .to_http_request();
            let found = address_of(&request, &["10.0.0.0/8".parse().unwrap()]);
            assert_eq!(found.unwrap().to_string(), "198.51.100.1", "{before:?}");
        }
        for unknown in ["unknown", "_hidden", "198.51.100.1, nonsense", "nonsense, 10.0.0.2"] {
            assert_eq!(address("10.0.0.1", &[unknown]), "0.0.0.0", "{unknown}");
        }
    }
}

//! Guesses at passwords: each is counted before the password is looked at, and taken back if it was right.

use std::{net::IpAddr, time::Duration};

use actix_web::HttpRequest;
use brownie_auth::Device;
use brownie_cache::{Key, Rule};
use brownie_persistence::{Guessed, SystemContext};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{Deps, Problem, limits};

/// A guess that was counted.
#[must_use = "a guess that is dropped was wrong"]
pub(super) struct Guess {
    at: Option<Guessed>,
    from: Option<(Key, Rule)>,
}

impl Guess {
    /// Counts a guess from somebody of whom nothing is known: for their address, which costs the database
    /// nothing.
    pub(super) async fn from(deps: &Deps, address: IpAddr) -> Result<Self, Problem> {
        let Some(limits::Guesses { address: rule, .. }) = deps.limits.guesses else {
            return Ok(Self::of_nobody());
        };
        let key = Key::new("log-ins-from").address(address);
        let decision = deps.cache.limit(&key, rule, 1).await;
        if !decision.allowed {
            return Err(Problem::too_many(decision.retry_after.unwrap_or(Duration::from_mins(1))));
        }
        Ok(Self { at: None, from: Some((key, rule)) })
    }

    /// A guess that counts for no address.
    pub(super) fn of_nobody() -> Self {
        Self { at: None, from: None }
    }

    /// Counts it for what is guessed at.
    pub(super) async fn at(
        self,
        guessed: Guessed,
        deps: &Deps,
        ctx: &SystemContext,
    ) -> Result<Self, Problem> {
        let Some(limits::Guesses { account: limit, .. }) = deps.limits.guesses else {
            return Ok(self);
        };
        match deps.store.system(ctx).count_guess(&guessed, limit).await {
            Ok(None) => Ok(Self { at: Some(guessed), ..self }),
            outcome => {
                // It is not answered as a guess.
                self.take_back(deps, ctx).await;
                Err(match outcome {
                    Ok(wait) => Problem::too_many(wait.unwrap_or_default()),
                    Err(error) => error.into(),
                })
            }
        }
    }

    /// Takes it back: the password was right, or was not looked at. What cannot be taken back is a guess less for
    /// an hour.
    pub(super) async fn take_back(self, deps: &Deps, ctx: &SystemContext) {
        if let Some((key, rule)) = self.from {
            deps.cache.give_back(&key, rule, 1).await;
        }
        if let (Some(guessed), Some(limits::Guesses { account: limit, .. })) =
            (self.at, deps.limits.guesses)
            && let Err(error) = deps.store.system(ctx).return_guess(&guessed, limit).await
        {
            tracing::warn!(%error, "a right password was counted as a wrong one");
        }
    }
}

/// The device token of an earlier log-in, as it was sent.
#[derive(Deserialize, JsonSchema)]
#[serde(transparent)]
pub(crate) struct ShownDevice(String);

impl ShownDevice {
    /// Returns the device, if the token is one of ours and not over. One that is not is none at all: whoever
    /// sends it is somebody of whom nothing is known.
    pub(super) fn read(&self, deps: &Deps) -> Option<Device> {
        deps.tokens.read_device(&self.0).ok()
    }
}

impl std::fmt::Debug for ShownDevice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[device token]")
    }
}

/// Returns who is at the other end.
pub(super) fn address_of(deps: &Deps, request: &HttpRequest) -> IpAddr {
    limits::address_of(request, &deps.limits.proxies).unwrap_or(limits::UNKNOWN)
}

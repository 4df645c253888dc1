//! What a service is put together of, for every program that is one.

use std::sync::Arc;

use brownie_auth::{BadKeys, KeyRing, Oidc, OidcSetupError, Passwords, Tokens};
use brownie_cache::{Cache, CacheError};
use brownie_config::{CacheSettings, OidcSettings, Reader, Secret, ServiceSettings, TokenSettings};
use brownie_domain::{RandomIds, SystemClock};
use brownie_metrics::Exporter;
use brownie_persistence::Store;
use chrono::TimeDelta;

use crate::{
    Bulkheads, Certificates, Deps, Engine, Limits, SchemaRule,
    access::{Certified, Operators},
};

/// The settings of a service, besides those of its database.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How it listens.
    pub service: ServiceSettings,
    /// What signs access tokens.
    pub tokens: TokenSettings,
    /// Whose word is believed about who somebody is.
    pub oidc: Option<OidcSettings>,
    /// What instances share.
    pub cache: CacheSettings,
}

impl Settings {
    /// Reads the settings. What is wrong is a problem of `reader`'s. What is `public` needs a key, and lets
    /// nobody sign up or read its metrics unless that is set; what serves one machine does.
    pub fn read(reader: &mut Reader, public: bool) -> Self {
        let mut service = ServiceSettings::read(reader);
        service.signup.get_or_insert(!public);
        service.public_metrics.get_or_insert(!public);
        Self {
            service,
            tokens: TokenSettings::read(reader, public),
            oidc: OidcSettings::read(reader),
            cache: CacheSettings::read(reader),
        }
    }
}

/// What a service could not be put together of.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// The keys that sign access tokens.
    #[error(transparent)]
    Keys(#[from] BadKeys),
    /// The issuer.
    #[error(transparent)]
    Oidc(#[from] OidcSetupError),
    /// The cache.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// What keys the digests in Redis.
    #[error(
        "METADATA_JWT_SECRET must be set beside METADATA_JWT_KEYS_DIR where Redis is used: it keys the digests of addresses there"
    )]
    NoPepper,
    /// The session's length.
    #[error("METADATA_SESSION_DAYS is longer than time can be counted")]
    Lifetime(#[from] chrono::OutOfRangeError),
}

impl Deps {
    /// Puts together what handlers work with.
    ///
    /// # Errors
    /// When the keys, the issuer's settings or the cache's cannot be used.
    pub async fn of(
        store: Store,
        settings: &Settings,
        exporter: Exporter,
        schema: SchemaRule,
    ) -> Result<Self, SetupError> {
        let Settings { service, tokens, oidc, cache } = settings;
        let (clock, ids) = (Arc::new(SystemClock), Arc::new(RandomIds));
        if cache.redis.is_some() && tokens.secret.is_none() {
            return Err(SetupError::NoPepper);
        }
        // For digests in the cache's keys: the same on all instances that sign by the same secret.
        let pepper = tokens.secret.clone().unwrap_or_else(|| Secret::new(""));
        let cache = Cache::open(cache, &pepper)?;
        tracing::info!(cache = %cache.check().await.detail, "what instances share");
        let session_lifetime = TimeDelta::from_std(tokens.session_lifetime)?;
        let (keys, lifetime) = (KeyRing::load(tokens)?, tokens.lifetime);
        let tokens = Tokens::new(keys, lifetime, Arc::clone(&clock) as _, Arc::clone(&ids) as _);
        let oidc = oidc.clone().map(|settings| Oidc::new(settings, &tokens)).transpose()?;
        Ok(Self {
            store,
            tokens,
            oidc,
            session_lifetime,
            passwords: Passwords::new(std::thread::available_parallelism().map_or(1, usize::from)),
            cache,
            limits: Limits::of(service),
            signup: service.signup.unwrap_or_default(),
            public_metrics: service.public_metrics.unwrap_or_default(),
            bulkheads: Bulkheads::of(service),
            certified: Certified::of(service),
            operators: Operators::of(service),
            certificates: Certificates::default(),
            engine: Engine::default(),
            exporter,
            clock,
            ids,
            schema,
        })
    }
}

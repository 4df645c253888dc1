//! The way to the database: by the certificates of this moment, whenever a connection is opened.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use brownie_backup::{Cluster, Dial, Migrate, Server};
use brownie_certs::Keeper;
use brownie_config::{Address, DatabaseSettings, Secret};
use brownie_migration::{Database, apply_to};
use tokio_postgres::{Client, Config, config::SslMode};
use url::Url;

/// Opens connections with the certificates that are in use when they are opened.
#[derive(Debug)]
pub(crate) struct Way {
    config: Config,
    url: Secret,
    keeper: Option<Keeper>,
}

impl Way {
    pub(crate) fn new(settings: &DatabaseSettings, keeper: Option<Keeper>) -> anyhow::Result<Self> {
        let address = Address::of(&settings.url).map_err(anyhow::Error::msg)?;
        let mut config = Config::new();
        match address.socket {
            Some(directory) => config.host_path(directory),
            None => config.host(&address.host),
        };
        config.port(address.port).user(&address.user).dbname(&address.database);
        if let Some(password) = &address.password {
            config.password(password.expose());
        }
        config
            .ssl_mode(if keeper.is_some() { SslMode::Require } else { SslMode::Disable })
            .connect_timeout(Duration::from_secs(5))
            .keepalives_idle(Duration::from_secs(5));
        Ok(Self { config, url: settings.url.clone(), keeper })
    }

    /// The server as one on which databases are made. `postgres` is connected to meanwhile.
    pub(crate) fn cluster(self: &Arc<Self>) -> Cluster {
        Cluster {
            dial: Arc::clone(self) as _,
            migrate: Arc::clone(self) as _,
            maintenance: "postgres".to_owned(),
        }
    }

    /// The name of the database that the settings name.
    pub(crate) fn database(&self) -> &str {
        self.config.get_dbname().unwrap_or_default()
    }
}

#[async_trait]
impl Dial for Way {
    async fn dial(&self, database: Option<&str>) -> brownie_backup::Result<Client> {
        let tls = self.keeper.as_ref().map(|keeper| keeper.current().connector().clone());
        Server::new(self.config.clone(), tls).dial(database).await
    }
}

#[async_trait]
impl Migrate for Way {
    async fn migrate(
        &self,
        database: &str,
        to: Option<&str>,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let mut url = Url::parse(self.url.expose())?;
        url.set_path(database);
        let mut database = Database::new(url, Duration::from_secs(30));
        if let Some(keeper) = &self.keeper {
            database = database.with_tls(keeper.current().connector().clone());
        }
        apply_to(&database, to, |_| {}).await?;
        Ok(())
    }
}

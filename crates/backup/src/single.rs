//! A server that takes one connection and no second, as an embedded one does: whoever has it gives it
//! up for as long as we need it.

use std::{error::Error as StdError, fmt, sync::Arc};

use async_trait::async_trait;
use brownie_config::{Address, Secret};
use tokio::sync::Semaphore;
use tokio_postgres::{Client, Config, NoTls};

use crate::{Dial, Error, Result};

/// Whoever else uses the one connection.
#[async_trait]
pub trait Tenant: fmt::Debug + Send + Sync {
    /// Finishes what is under way, closes the connection, and opens none as long as what this returns
    /// lives.
    ///
    /// # Errors
    /// When it cannot, in its own words.
    async fn give_way(&self) -> Result<Box<dyn Send>, Box<dyn StdError + Send + Sync>>;
}

/// Nobody else does.
#[async_trait]
impl Tenant for () {
    async fn give_way(&self) -> Result<Box<dyn Send>, Box<dyn StdError + Send + Sync>> {
        Ok(Box::new(()))
    }
}

/// Opens the one connection there is, one at a time: the next is opened when the last was dropped.
#[derive(Debug)]
pub struct Single {
    config: Config,
    tenant: Arc<dyn Tenant>,
    turn: Arc<Semaphore>,
}

impl Single {
    /// Reaches the server of a URL, as `DATABASE_URL` has it. Without TLS: it is in this process.
    ///
    /// # Errors
    /// [`Error::Settings`] when the URL cannot be read.
    pub fn new(url: &str, tenant: Arc<dyn Tenant>) -> Result<Self> {
        let address = Address::of(&Secret::new(url)).map_err(Error::Settings)?;
        let mut config = Config::new();
        match address.socket {
            Some(directory) => config.host_path(directory),
            None => config.host(&address.host),
        };
        config.port(address.port).user(&address.user).dbname(&address.database);
        config.application_name("brownie-backup");
        Ok(Self { config, tenant, turn: Arc::new(Semaphore::new(1)) })
    }
}

#[async_trait]
impl Dial for Single {
    async fn dial(&self, database: Option<&str>) -> Result<Client> {
        // It is never closed.
        let turn = Arc::clone(&self.turn).acquire_owned().await.map_err(|_| Error::Cancelled)?;
        let mut config = self.config.clone();
        if let Some(database) = database {
            config.dbname(database);
        }
        let place = self.tenant.give_way().await.map_err(Error::Occupant)?;
        let (client, connection) = config.connect(NoTls).await.map_err(Error::Unreachable)?;
        drop(tokio::spawn(async move {
            // Until the client is dropped.
            drop(connection.await);
            drop((place, turn));
        }));
        Ok(client)
    }

    fn is_single(&self) -> bool {
        true
    }
}

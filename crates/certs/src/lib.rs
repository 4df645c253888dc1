//! Certificates: read from files or Vault, judged, and replaced while the program runs.
//!
//! ```no_run
//! # use std::{path::Path, sync::Arc};
//! # use brownie_certs::{Keeper, Policy, Source};
//! # use brownie_config::CertSettings;
//! # async fn f(settings: CertSettings) -> Result<(), Box<dyn std::error::Error>> {
//! let clock = Arc::new(brownie_domain::SystemClock);
//! let source = Source::of(&settings)?;
//! let keeper = Keeper::start(source, Policy::mutual(&settings), clock).await?;
//! // For each new connection, whatever is in use then:
//! let stream = std::net::TcpStream::connect("db:5432")?;
//! let stream = keeper.current().connector().connect("db", stream)?;
//! # Ok(()) }
//! ```
//!
//! What happens to certificates, in the order in which it does, is one file each: a [`Source`] reads
//! them (`source/`, `vault/`) as they are (`raw`), PEM becomes certificates and keys (`pem`), which
//! are judged by a [`Policy`] (`material`, `authority`), and become a generation that is used
//! ([`Current`], `connector`, `listener`). The [`Keeper`] does that again and again, and tells of it
//! (`report`).
//!
//! What is refused has a [`Fault`] with words of its own. `CERT_STRICT_VALIDATION=false` makes
//! warnings of some; a connection that is not verified or not encrypted is never the consequence.

mod authority;
mod connector;
mod current;
pub mod dev;
mod facts;
mod fault;
mod fetch;
mod inspect;
mod keeper;
mod keepers;
mod listener;
mod material;
mod pem;
mod policy;
mod raw;
mod report;
mod source;
mod vault;

pub use current::{Current, PemPair, Pems, PrivatePem};
pub use facts::{Facts, Revocations};
pub use fault::{Fault, Faults};
pub use fetch::{FetchError, fetch};
pub use inspect::{Inspected, Report, check, inspect};
pub use keeper::Keeper;
pub use listener::{Clients, Holds, acceptor, peers};
pub use policy::{Need, Policy, Proof, Role};
pub use source::{PairPaths, Paths, Source};
pub use vault::VaultFault;

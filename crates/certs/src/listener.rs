//! What listens for clients: TLS 1.2 or newer, with certificates that change while it listens.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use brownie_domain::Clock;
use openssl::{
    error::ErrorStack,
    ssl::{
        AlpnError, SniError, SslAcceptor, SslAcceptorBuilder, SslContext, SslContextBuilder,
        SslMethod, SslOptions, SslRef, SslSessionCacheMode, SslVerifyMode, select_next_proto,
    },
    x509::{X509StoreContextRef, X509VerifyResult},
};
use tokio::sync::watch;

use crate::{
    Current, Fault, Role,
    authority::Authorities,
    current::tls,
    facts::{common_name, moment},
    material::Identity,
    pem::Chain,
};

/// What clients have to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clients {
    /// Nothing.
    Anybody,
    /// A certificate of our authorities, or none. A bad one is refused all the same.
    MayShow,
    /// A certificate of our authorities.
    MustShow,
}

impl Clients {
    fn mode(self) -> SslVerifyMode {
        match self {
            Self::Anybody => SslVerifyMode::NONE,
            Self::MayShow => SslVerifyMode::PEER,
            Self::MustShow => SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT,
        }
    }
}

/// Makes what a listener needs. Each new connection is served by the certificates that are in use at
/// that moment; authorities and revocation lists are those of that moment, too. Connections that are
/// open stay as they are.
///
/// It speaks HTTP/1.1 (ALPN), and resumes no sessions: a resumed one would not be asked for its
/// certificate again.
///
/// # Errors
/// When there is no server's certificate, or no authority to judge clients by.
pub fn acceptor(
    current: watch::Receiver<Arc<Current>>,
    clients: Clients,
) -> Result<SslAcceptorBuilder, Fault> {
    let now = Arc::clone(&current.borrow());
    for (role, name) in [(Role::Server, "the server's certificate"), (Role::Ca, "the CA")] {
        let is_needed = role == Role::Server || clients != Clients::Anybody;
        if is_needed && !now.has(role) {
            return Err(Fault::Missing { of: name.to_owned() });
        }
    }
    let mut builder = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server())
        .map_err(|error| tls("a listener", &error))?;
    if let Some(server) = now.identity(Role::Server) {
        dress(&mut builder, server, now.authorities()).map_err(|error| tls(&server.of, &error))?;
    }
    builder.set_verify(clients.mode());
    // Called for every connection, whether the client names a server or not, before anything of the
    // certificates is used.
    builder.set_servername_callback(move |ssl, _| {
        let now = Arc::clone(&current.borrow());
        serve_by(ssl, &now, clients).map_err(|error| {
            tracing::error!(%error, "a connection is refused: it cannot be served by what is in use");
            SniError::ALERT_FATAL
        })
    });
    Ok(builder)
}

/// Serves a connection by these certificates.
fn serve_by(ssl: &mut SslRef, now: &Arc<Current>, clients: Clients) -> Result<(), ErrorStack> {
    if let Some(context) = &now.listener {
        ssl.set_ssl_context(context)?;
    }
    if clients != Clients::Anybody {
        let now = Arc::clone(now);
        ssl.set_verify_callback(clients.mode(), move |is_good, context| {
            is_good && !is_revoked(&now, context)
        });
    }
    Ok(())
}

fn is_revoked(now: &Current, context: &mut X509StoreContextRef) -> bool {
    let revoked = context.current_cert().is_some_and(|certificate| {
        let certificate = certificate.to_owned();
        now.authorities().is_some_and(|ca| ca.revoked_by(&certificate).is_some())
    });
    if revoked {
        context.set_error(X509VerifyResult::APPLICATION_VERIFICATION);
    }
    revoked
}

/// Tells whether the certificate that a client has shown still holds.
pub type Holds = Box<dyn Fn() -> bool + Send + Sync>;

/// Returns what tells who is at the other end of a new connection: the CN, if it has one, of the certificate that
/// was shown, and that passed; nothing when none was shown. With it comes what tells whether that certificate holds still: it is
/// not over, and by the authorities and the revocation lists that are in use by then it would pass again. A
/// connection that is kept outlives both.
pub fn peers(
    current: watch::Receiver<Arc<Current>>,
    clock: Arc<dyn Clock>,
) -> impl Fn(&SslRef) -> Option<(Option<String>, Holds)> + Send + Sync {
    move |ssl| {
        let is_verified = ssl.verify_result() == X509VerifyResult::OK
            && ssl.verify_mode().contains(SslVerifyMode::PEER);
        let leaf = ssl.peer_certificate().filter(|_| is_verified)?;
        let name = common_name(&leaf);
        // Those by which it passed, not whatever else was sent.
        let verified = ssl.verified_chain().into_iter().flatten().skip(1);
        let chain = Chain { leaf, rest: verified.map(ToOwned::to_owned).collect() };
        let ends = chain.iter().map(|certificate| moment(certificate.not_after())).min();
        let (current, clock) = (current.clone(), Arc::clone(&clock));
        // By the first generation that is looked at, too: it may be newer than the handshake's.
        let judged_by = AtomicU64::new(0);
        let holds = move || {
            let now = clock.now();
            let current = Arc::clone(&current.borrow());
            if ends.is_none_or(|ends| ends < now) {
                return false;
            }
            if judged_by.load(Ordering::Relaxed) == current.generation() {
                return true;
            }
            let is_good = current.authorities().is_some_and(|ca| {
                ca.prove(&chain, Some(now)).is_ok()
                    && chain.iter().all(|certificate| ca.revoked_by(certificate).is_none())
            });
            if is_good {
                judged_by.store(current.generation(), Ordering::Relaxed);
            }
            is_good
        };
        Some((name, Box::new(holds) as Holds))
    }
}

/// Makes the context that a connection is moved to.
pub(crate) fn context(server: &Identity, ca: Option<&Authorities>) -> Result<SslContext, Fault> {
    let made = || {
        let mut builder = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server())?;
        dress(&mut builder, server, ca)?;
        Ok::<_, ErrorStack>(builder.build().into_context())
    };
    made().map_err(|error| tls(&server.of, &error))
}

/// Gives a context certificates, and the authorities that clients are judged by.
pub(crate) fn dress(
    builder: &mut SslContextBuilder,
    server: &Identity,
    ca: Option<&Authorities>,
) -> Result<(), ErrorStack> {
    builder.set_certificate(&server.chain.leaf)?;
    for certificate in &server.chain.rest {
        builder.add_extra_chain_cert(certificate.clone())?;
    }
    builder.set_private_key(&server.key)?;
    builder.check_private_key()?;
    if let Some(ca) = ca {
        builder.set_cert_store(ca.store()?);
        for authority in &ca.certificates {
            builder.add_client_ca(authority)?;
        }
    }
    builder.set_session_cache_mode(SslSessionCacheMode::OFF);
    builder.set_options(SslOptions::NO_TICKET);
    builder.set_num_tickets(0)?;
    builder.set_alpn_select_callback(|_, offered| {
        select_next_proto(b"\x08http/1.1", offered).ok_or(AlpnError::NOACK)
    });
    Ok(())
}

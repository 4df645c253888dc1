//! Handshakes between our connector and our listener, and who is let in.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::Arc,
    thread,
};

use brownie_certs::{Clients, Current, Keeper, Need, Policy, Source, acceptor, peers};
use chrono::TimeDelta;
use native_tls::TlsConnector;

use crate::world::{self, Ca, Dir, Pair, Wish, listening, mutual, wish};

async fn keeper(dir: &Dir, policy: Policy) -> Keeper {
    Keeper::start(Source::dir(dir.path()), policy, world::clock()).await.unwrap()
}

/// A listener that answers with the name of whoever it let in.
struct Listener(u16);

impl Listener {
    fn of(keeper: &Keeper, clients: Clients) -> Self {
        let acceptor = acceptor(keeper.subscribe(), clients).unwrap().build();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let peers = Arc::new(peers(keeper.subscribe(), world::clock()));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (acceptor, peers) = (acceptor.clone(), Arc::clone(&peers));
                thread::spawn(move || {
                    let Ok(mut stream) = acceptor.accept(stream.unwrap()) else { return };
                    let peer = peers(stream.ssl())
                        .map_or("nobody".to_owned(), |(name, _)| name.unwrap_or_default());
                    let _ = stream.write_all(peer.as_bytes());
                    let _ = stream.shutdown();
                });
            }
        });
        Self(port)
    }

    /// Returns whom it takes us for, or why it lets us not in.
    fn met_by(&self, connector: &TlsConnector, host: &str) -> Result<String, String> {
        let stream = TcpStream::connect(("127.0.0.1", self.0)).unwrap();
        let mut stream = connector.connect(host, stream).map_err(|error| error.to_string())?;
        // With TLS 1.3 a client knows only from the first answer that it was let in.
        let mut answer = String::new();
        stream.read_to_string(&mut answer).map_err(|error| error.to_string())?;
        if answer.is_empty() { Err("the connection was closed".to_owned()) } else { Ok(answer) }
    }

    fn meets(&self, current: &Arc<Current>) -> Result<String, String> {
        self.met_by(current.connector(), "localhost")
    }
}

/// A connector that shows what it is told to, good or bad.
fn connector(ca: &str, shown: Option<&Pair>) -> TlsConnector {
    let mut builder = TlsConnector::builder();
    builder.disable_built_in_roots(true);
    builder.add_root_certificate(native_tls::Certificate::from_pem(ca.as_bytes()).unwrap());
    if let Some(pair) = shown {
        let (certificate, key) = (world::pem(&pair.certificate), world::key_pem(&pair.key));
        let identity = native_tls::Identity::from_pkcs8(certificate.as_bytes(), key.as_bytes());
        builder.identity(identity.unwrap());
    }
    builder.build().unwrap()
}

fn served(ca: &Ca) -> Dir {
    let dir = Dir::of(&ca.pem(), &ca.client("brownie-server"));
    dir.put_pair("server", &ca.server());
    dir
}

#[tokio::test]
async fn who_is_let_in_and_who_is_not() {
    let (ca, other) = (Ca::new("ca"), Ca::new("ca"));
    let revoked = ca.client("revoked");
    let dir = served(&ca);
    dir.put("ca.crl", ca.revoke(&[&revoked.certificate], TimeDelta::days(7)));
    let keeper = keeper(&dir, listening()).await;
    let over =
        Wish { begins: TimeDelta::days(-2), ends: TimeDelta::days(-1), ..wish("c", "client") };
    let cases = [
        ("good", Some(ca.client("brownie-server")), Ok("brownie-server")),
        ("none", None, Err("certificate required")),
        ("of another authority", Some(other.client("c")), Err("")),
        ("over", Some(ca.issue(&over)), Err("certificate expired")),
        ("for another use", Some(ca.issue(&wish("c", "server"))), Err("")),
        ("revoked", Some(revoked), Err("")),
    ];
    let must = Listener::of(&keeper, Clients::MustShow);
    let may = Listener::of(&keeper, Clients::MayShow);
    let anybody = Listener::of(&keeper, Clients::Anybody);
    for (case, shown, expected) in &cases {
        // With a name, and with an address, which no client sends as a name.
        for host in ["localhost", "127.0.0.1"] {
            let connector = connector(&ca.pem(), shown.as_ref());
            let met = must.met_by(&connector, host);
            match expected {
                Ok(name) => assert_eq!(met.as_deref(), Ok(*name), "{case}"),
                Err(why) => {
                    assert!(met.as_ref().is_err_and(|said| said.contains(why)), "{case}: {met:?}");
                }
            }
            let met = may.met_by(&connector, host);
            match (shown, expected) {
                (None, _) => assert_eq!(met.as_deref(), Ok("nobody"), "{case}"),
                (_, Ok(name)) => assert_eq!(met.as_deref(), Ok(*name), "{case}"),
                (_, Err(_)) => assert!(met.is_err(), "{case}: {met:?}"),
            }
            assert_eq!(anybody.met_by(&connector, host).as_deref(), Ok("nobody"), "{case}");
        }
    }
}

#[tokio::test]
async fn a_server_of_another_authority_or_name_is_not_believed() {
    let (ca, other) = (Ca::new("ca"), Ca::new("ca"));
    let keeper = keeper(&served(&ca), listening()).await;
    let listener = Listener::of(&keeper, Clients::Anybody);
    let current = keeper.current();
    assert_eq!(listener.meets(&current).as_deref(), Ok("nobody"));
    for host in ["example.com", "127.0.0.2"] {
        assert!(listener.met_by(current.connector(), host).is_err(), "{host}");
    }
    let stranger = Dir::of(&other.pem(), &other.client("c"));
    let stranger = self::keeper(&stranger, mutual()).await;
    let met = listener.meets(&stranger.current());
    assert!(met.as_ref().is_err_and(|said| said.contains("certificate verify failed")), "{met:?}");
}

/// Whoever is given a CA believes nobody else, not even those that the system does.
#[tokio::test]
async fn all_of_a_bundle_are_believed_in_either_order() {
    let (old, new) = (Ca::new("ca"), Ca::new("ca"));
    let keeper = keeper(&served(&new), listening()).await;
    let listener = Listener::of(&keeper, Clients::Anybody);
    for bundle in [old.pem() + &new.pem(), new.pem() + &old.pem()] {
        let dir = Dir::of(&bundle, &old.client("c"));
        let client = self::keeper(&dir, mutual()).await;
        assert_eq!(listener.meets(&client.current()).as_deref(), Ok("nobody"));
    }
}

/// The authority, then the server's certificate, then the clients' are replaced, with a bundle of
/// both in between. Nobody is refused on the way, and whoever stayed behind is at the end.
#[tokio::test]
async fn a_listener_follows_what_is_in_use() {
    let (old, new) = (Ca::new("ca"), Ca::new("ca"));
    let dir = served(&old);
    let keeper = keeper(&dir, listening()).await;
    let listener = Listener::of(&keeper, Clients::MustShow);
    let behind = keeper.current();
    let both = old.pem() + &new.pem();
    let steps: [(&str, &dyn Fn()); 4] = [
        ("both authorities", &|| dir.put("ca.crt", &both)),
        ("the server's", &|| dir.put_pair("server", &new.server())),
        ("the client's", &|| dir.put_pair("client", &new.client("brownie-server"))),
        ("the new authority", &|| dir.put("ca.crt", new.pem())),
    ];
    assert_eq!(listener.meets(&keeper.current()).as_deref(), Ok("brownie-server"));
    for (index, (step, put)) in steps.into_iter().enumerate() {
        put();
        let current = keeper.reload().await.unwrap();
        assert_eq!(current.generation(), index as u64 + 2, "{step}");
        for host in ["localhost", "127.0.0.1"] {
            let met = listener.met_by(current.connector(), host);
            assert_eq!(met.as_deref(), Ok("brownie-server"), "{step}, {host}");
        }
    }
    assert!(listener.meets(&behind).is_err());
    let shown = connector(&new.pem(), Some(&old.client("c")));
    assert!(listener.met_by(&shown, "localhost").is_err());
}

#[tokio::test]
async fn a_listener_without_what_it_needs_is_none() {
    let ca = Ca::new("ca");
    let dir = served(&ca);
    let none = keeper(&dir, mutual()).await;
    let fault = acceptor(none.subscribe(), Clients::Anybody).err().unwrap();
    assert_eq!(fault.to_string(), "the server's certificate is not there");
    let alone = Policy { ca: Need::Never, client: Need::Never, ..listening() };
    let alone = self::keeper(&dir, alone).await;
    assert!(acceptor(alone.subscribe(), Clients::Anybody).is_ok());
    let fault = acceptor(alone.subscribe(), Clients::MayShow).err().unwrap();
    assert_eq!(fault.to_string(), "the CA is not there");
}

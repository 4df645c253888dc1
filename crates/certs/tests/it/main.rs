//! Certificates under test: real files, real handshakes, a real PostgreSQL and a real OpenBao.

#![expect(clippy::unwrap_used, reason = "in a test it is how a promise is found broken")]

mod bao;
mod faults;
mod made;
mod postgres;
mod reports;
mod rotation;
mod tls;
mod vault;
mod world;

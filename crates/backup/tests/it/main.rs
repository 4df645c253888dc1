//! Backups of real databases, into a real directory, and back.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "in a test they are how a promise is found broken"
)]

mod archive;
mod by_hand;
mod cleanup;
mod damage;
mod faults;
mod faulty;
mod organization;
mod organization_credentials;
mod organization_older;
mod organization_refusals;
mod organizations;
mod postgres;
mod refusals;
mod round_trip;
mod snapshot;
mod world;

//! The API as clients meet it: the real service, in this process, on a real PostgreSQL.

#![expect(clippy::unwrap_used, reason = "in a test it is how a promise is found broken")]

mod auth;
mod bad_input;
mod configs;
mod cuts;
mod edges;
mod endings;
mod events;
mod faults;
mod guesses;
mod holes;
mod hostile;
mod incidents;
mod insight;
mod isolation;
mod keys;
mod limits;
mod permissions;
mod plans;
mod probes;
mod repeat;
mod resources;
mod shares;
mod texts;
mod throttling;

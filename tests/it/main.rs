//! The house under test. Each module is a promise; each test is a sentence of it.

mod binaries;
mod documents;
mod durability;
mod embedded;
mod faults;
mod house;
mod http;
mod migrator;
mod schema;
mod store;

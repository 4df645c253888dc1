//! Backups of real databases, into a real directory, and back.

mod postgres;
mod round_trip;
mod world;

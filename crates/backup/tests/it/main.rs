//! Backups of real databases, into a real directory, and back.

mod by_hand;
mod damage;
mod faults;
mod faulty;
mod postgres;
mod refusals;
mod round_trip;
mod snapshot;
mod world;

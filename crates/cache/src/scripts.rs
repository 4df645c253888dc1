//! The scripts that run in Redis, each behind what they share.

macro_rules! script {
    ($file:literal) => {
        concat!(include_str!("ours.lua"), include_str!($file))
    };
}

pub(crate) const LIMIT: &str = script!("limit.lua");
pub(crate) const READ: &str = script!("read.lua");

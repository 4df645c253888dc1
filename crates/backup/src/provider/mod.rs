//! Who keeps backups.

mod directory;

pub use directory::directory;

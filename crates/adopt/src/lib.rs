//! Makes a database of Brownie 0.1 ours, in place, without losing a row.
//!
//! [`check`] says what stands in the way, and what would be done; it changes nothing. [`apply`] does
//! it, in steps that are recorded in the schema `brownie_adoption`, so that it can be killed at any
//! moment and run again:
//!
//! 1. in one transaction, under a lock on the original's tables, the hazards are found once more and
//!    the whole is refused if one was not told how to resolve; then the tables move, untouched, to the
//!    schema `brownie_original` and their types to `brownie_0_1`;
//! 2. our migrations make ours in `public`;
//! 3. the rows are copied in batches, a transaction each;
//! 4. every table is compared with what was there: number of rows and a hash of what they hold;
//! 5. views in `brownie_0_1` show ours as the original's service knows them, to read and to write.
//!
//! Once the original's service is gone, [`finish()`] removes what was kept for it.
//!
//! What becomes what is said once, in `tables.rs`; what may be wrong with a row, in `hazard.rs`.
//! Home teams and roles stay columns of the user, so no memberships are made.

mod columns;
mod copy;
mod error;
mod find;
mod finish;
mod hazard;
mod judge;
mod report;
mod run;
mod source;
mod tables;
mod values;
mod views;

pub use error::Error;
pub use finish::finish;
pub use hazard::{Choices, Hazard, Resolve};
pub use report::{Finding, Report};
pub use run::{Compared, Outcome, apply, check};
pub use source::Variant;

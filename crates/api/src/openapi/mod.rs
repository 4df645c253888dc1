//! The API's document and the pages that show it.

mod document;
mod example;
mod operation;
pub(crate) mod pages;

pub use document::document;
pub(crate) use operation::{Describe, Operation, describe};

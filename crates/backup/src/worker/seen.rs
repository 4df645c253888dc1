//! How far an operation is, for whoever asks.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

use crate::{Progress, Tell};

/// How far an operation is, as it tells.
#[derive(Debug, Default)]
pub(super) struct Seen(Mutex<(&'static str, u64, u64)>);

impl Seen {
    pub(super) fn tell(self: &Arc<Self>) -> Tell {
        let seen = Arc::clone(self);
        Arc::new(move |told| {
            let mut seen = seen.0.lock().unwrap_or_else(PoisonError::into_inner);
            match told {
                Progress::Begins { stage, expected } => *seen = (stage.as_str(), 0, expected),
                Progress::Moved { plain, .. } => seen.1 += plain,
                Progress::Done { .. } => {}
            }
        })
    }

    pub(super) fn told(&self) -> Value {
        let (stage, bytes, expected) = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        json!({"stage": stage, "bytes": bytes, "expected_bytes": expected})
    }
}

//! Counts allocations, for `benches/cost.sh`: a build with the feature `count-allocations` says on SIGUSR1
//! how many there were. What C allocates (OpenSSL) does not come by here.

use std::alloc::System;

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use tokio::signal::unix::{SignalKind, signal};

#[global_allocator]
static COUNTED: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Prints a line for each SIGUSR1: allocations (with what was grown), and bytes of all of them.
pub(crate) fn tell_on_signal() {
    tokio::spawn(async {
        let Ok(mut asked) = signal(SignalKind::user_defined1()) else { return };
        while asked.recv().await.is_some() {
            let told = COUNTED.stats();
            eprintln!(
                "allocations {} bytes {}",
                told.allocations + told.reallocations,
                told.bytes_allocated
            );
        }
    });
}

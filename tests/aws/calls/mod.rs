//! How often each operation calls AWS: exactly as the table of docs/OPERATIONS.md says, and hardly ever for a request of a key
//! in use.

mod counting;
mod operations;
mod signing_in;
mod steady;
mod table;

use std::sync::Arc;

use permitd::{clock::ManualClock, failpoint::switch_off, store::dynamodb::MARK_UNWATCHED};

use crate::app::Options;

/// A node that does nothing by itself while a test lasts: it sweeps, refreshes and looks for messages when it is told to. Its
/// time stands still.
fn quiet(clock: &Arc<ManualClock>, sample_rows: u64, more: Vec<(&'static str, String)>) -> Options {
    // Goes by the machine's clock, and would come at any moment.
    switch_off(MARK_UNWATCHED).unwrap();
    let mut settings = vec![
        ("checkpoints.every_h", "0".to_owned()),
        ("relay.sweep_interval_ms", "600000".to_owned()),
        ("records.refresh_interval_ms", "600000".to_owned()),
        // A mailer that does not wait in SQS looks once when it starts, then when the node publishes a message, until it finds
        // none.
        ("queue.wait_s", "0".to_owned()),
        ("queue.poll_interval_ms", "60000".to_owned()),
        ("actors.mailers", "1".to_owned()),
    ];
    settings.extend(more);
    let clock = Arc::clone(clock);
    Options { clock, settings, sample_rows, ..Options::default() }
}

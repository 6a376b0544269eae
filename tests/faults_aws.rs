//! The tests of `tests/faults`, over DynamoDB and SQS, and those rows again in which AWS itself misbehaves: there the real clients
//! meet the errors that AWS sends.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "these are tests")]

#[path = "support/faults.rs"]
mod faults;
mod support;
#[path = "support/world.rs"]
mod world;

#[path = "faults/admission.rs"]
mod admission;
#[path = "faults/answers.rs"]
mod answers;
#[path = "faults/batches.rs"]
mod batches;
#[path = "faults/delivery.rs"]
mod delivery;
#[path = "faults/feedback.rs"]
mod feedback;
#[path = "faults/history.rs"]
mod history;
#[path = "faults/importing.rs"]
mod importing;
#[path = "faults/leaks.rs"]
mod leaks;
#[path = "faults/log_lines.rs"]
mod log_lines;
#[path = "faults/notices.rs"]
mod notices;
#[path = "faults/proxied.rs"]
mod proxied;
#[path = "faults/proxied_imports.rs"]
mod proxied_imports;
#[path = "faults/proxied_mail.rs"]
mod proxied_mail;
#[path = "faults/proxied_replicas.rs"]
mod proxied_replicas;
#[path = "faults/quotas.rs"]
mod quotas;
#[path = "faults/random.rs"]
mod random;
#[path = "faults/writing.rs"]
mod writing;

const MODE: support::backend::Mode = support::backend::Mode::Aws;

//! What must survive when a store, a queue or a mail system fails in ways that neither SQLite nor an emulator ever shows
//! (docs/GUARANTEES.md, "What must survive"): the same names as the rows there. The rows in which the process dies are in
//! `tests/crash`.
//!
//! The same tests run over DynamoDB and SQS in `tests/faults_aws.rs`. Rows that this mode cannot show by itself, and what
//! stands for them here:
//! - 2, 7, 9, 10: SQLite answers or does not, sends a batch as a whole, has no index apart from its table and never
//!   throttles. Wrappers over the traits do all that.
//! - 22: views and mark are written in one transaction with the commit. The relay projects and then clears the mark; that
//!   is where the row is tried.
//!
//! Left out: `proxied`, `proxied_imports`, `proxied_replicas` and `proxied_mail`, in which AWS misbehaves itself.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "these are tests")]

#[path = "../support/faults.rs"]
mod faults;
#[path = "../support/mod.rs"]
mod support;
#[path = "../support/world.rs"]
mod world;

mod admission;
mod answers;
mod batches;
mod delivery;
mod feedback;
mod history;
mod importing;
mod leaks;
mod log_lines;
mod notices;
mod quotas;
mod random;
mod writing;

const MODE: support::backend::Mode = support::backend::Mode::Sqlite;

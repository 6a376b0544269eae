//! The real process dies (SIGKILL: nothing is flushed, nothing is dropped) at the places that the rows of "What must
//! survive" in docs/GUARANTEES.md name, and is started again on the same data directory. Whatever the row, afterwards: one
//! active key for each invited person, at least one mail that carries it and no mail with another, nothing that was
//! acknowledged is gone, no key of a deleted person is admitted, no quota is exceeded, and `permitd events verify` finds no
//! difference.
//!
//! Rows 2, 3, 7 to 10, 15 to 23 and 25 to 29 need no death but a store, a queue or a clock that misbehaves: they are in
//! `tests/faults`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "these are tests")]

#[path = "../support/app.rs"]
mod app;
#[path = "../support/provider.rs"]
mod identity_server;
#[path = "../support/mod.rs"]
mod support;

mod at_random;
mod columns;
mod deployment;
mod held;
mod quota;
mod rehearse;
mod rows;
mod sign_in;
mod sqlite;
mod transfer;

const MODE: support::backend::Mode = support::backend::Mode::Sqlite;

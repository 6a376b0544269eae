//! What is AWS's own: its queue, its mail, what a deployment consists of, how often a node calls, and the proxy by which the tests
//! let AWS misbehave. One program, as each costs seconds to link.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "these are tests")]

#[path = "../support/app.rs"]
mod app;
#[path = "../support/provider.rs"]
mod identity_server;
#[path = "../support/mod.rs"]
mod support;

mod calls;
mod clock;
mod copying;
mod deploy;
mod feedback;
mod proxy;
mod ses;
mod sqs;

const MODE: support::backend::Mode = support::backend::Mode::Aws;

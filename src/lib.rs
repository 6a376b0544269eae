//! permitd publishes a table of records as an invite-only REST API.
//!
//! Imports run downwards: `cli`, `app` → `http` → `actors` → `domain`, `dataset`; `store`, `queue`, `mail` and `identity`
//! implement traits in terms of domain and dataset types. `domain` and `dataset` are pure: no I/O, no clock, no randomness.

pub mod actors;
pub mod app;
pub mod aws;
pub mod cli;
pub mod clock;
pub mod config;
pub mod failpoint;
pub mod http;
pub mod identity;
pub mod mail;
pub mod passwords;
pub mod private;
pub mod queue;
pub mod replay;
pub mod sealing;
pub mod secret_string;
pub mod secrets;
pub mod store;
pub mod telemetry;
pub mod transfer;

pub use permitd_model::{dataset, domain};

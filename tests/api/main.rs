//! A whole server, driven over HTTP.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

#[path = "../support/app.rs"]
mod app;
#[path = "../support/pages.rs"]
mod browser;
#[path = "../support/provider.rs"]
mod identity_server;
#[path = "../support/mod.rs"]
mod support;

mod accounts;
mod address;
mod admin;
mod administrators;
mod admission;
mod as_of;
mod ask;
mod caching;
mod checkpoints;
mod connections;
mod credentials;
mod data;
mod elsewhere;
mod erasure;
mod exports;
mod farewell;
mod follow;
mod formats;
mod groups;
mod guesses;
mod idempotency;
mod imports;
mod invitations;
mod keys;
mod leaks;
mod lifecycle;
mod looking_back;
mod lost;
mod mailboxes;
mod mails;
mod openapi;
mod operation;
mod page;
mod pages;
mod past;
mod permissions;
mod places;
mod protocol;
mod provider;
mod quota;
mod raw;
mod second_factor;
mod sessions;
mod several;
mod stalled;
mod stopping;
mod tokens;
mod words;

const MODE: support::backend::Mode = support::backend::Mode::Sqlite;

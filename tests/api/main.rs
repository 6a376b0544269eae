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

mod admin;
mod admission;
mod data;
mod lifecycle;
mod operation;
mod page;

//! The pages in a real browser, used as people use them: `stories/`. Needs Chromium (`make test-tools`
//! installs Debian's): without it the test is skipped, and fails where the variable `CI` is `true`.
//! `PERMITD_TEST_PICTURES=FOLDER` keeps pictures of what was shown.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "these are tests")]

mod acts;
mod axe;
mod chromium;
mod guard;
mod guarded;
mod heard;
#[path = "../support/provider.rs"]
mod identity_server;
mod itself;
mod keys;
mod look;
mod page;
mod pictures;
mod prefix;
mod screenshots;
mod served;
mod server;
mod stories;
#[path = "../support/mod.rs"]
mod support;
mod traffic;
mod weights;

//! The tests of `tests/api`, over DynamoDB and SQS, and a life by mail through SES. Left out is what no backend has a part in: how
//! connections and requests are read (`connections`, `protocol`), requests refused beyond what an actor works on (`mailboxes`), guesses
//! slowed (`guesses`, `credentials`), servers stopped (`farewell`, `stopping`), how an export is written (`formats`), and the interface described (`openapi`).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

#[path = "support/app.rs"]
mod app;
#[path = "support/pages.rs"]
mod browser;
#[path = "support/provider.rs"]
mod identity_server;
mod support;

#[path = "api/accounts.rs"]
mod accounts;
#[path = "api/address.rs"]
mod address;
#[path = "api/admin.rs"]
mod admin;
#[path = "api/administrators.rs"]
mod administrators;
#[path = "api/admission.rs"]
mod admission;
#[path = "api/as_of.rs"]
mod as_of;
#[path = "api/ask.rs"]
mod ask;
#[path = "api/caching.rs"]
mod caching;
#[path = "api/checkpoints.rs"]
mod checkpoints;
#[path = "api/data.rs"]
mod data;
#[path = "api/erasure.rs"]
mod erasure;
#[path = "api/exports.rs"]
mod exports;
#[path = "api/groups.rs"]
mod groups;
#[path = "api/idempotency.rs"]
mod idempotency;
#[path = "api/imports/mod.rs"]
mod imports;
#[path = "api/keys.rs"]
mod keys;
#[path = "api/leaks.rs"]
mod leaks;
#[path = "api/lifecycle.rs"]
mod lifecycle;
#[path = "api/looking_back.rs"]
mod looking_back;
#[path = "api/lost.rs"]
mod lost;
#[path = "api/operation.rs"]
mod operation;
#[path = "api/page.rs"]
mod page;
#[path = "api/pages/mod.rs"]
mod pages;
#[path = "api/past.rs"]
mod past;
#[path = "api/places.rs"]
mod places;
#[path = "api/provider.rs"]
mod provider;
#[path = "api/quota.rs"]
mod quota;
#[path = "api/raw.rs"]
mod raw;
#[path = "api/second_factor.rs"]
mod second_factor;
#[path = "aws/servers.rs"]
mod servers;
#[path = "api/ses.rs"]
mod ses;
#[path = "api/stalled.rs"]
mod stalled;
#[path = "api/tokens.rs"]
mod tokens;
#[path = "api/words.rs"]
mod words;

const MODE: support::backend::Mode = support::backend::Mode::Aws;

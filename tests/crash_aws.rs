//! The tests of `tests/crash`, over DynamoDB and SQS. Its `sqlite` is left out: there is no disk of ours before which the process
//! could die; what stands for it here, the steps between a commit and its rows, is in `aws`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "these are tests")]

#[path = "support/app.rs"]
mod app;
#[path = "support/provider.rs"]
mod identity_server;
mod support;

#[path = "crash/at_random.rs"]
mod at_random;
#[path = "crash/aws.rs"]
mod aws;
#[path = "crash/deployment.rs"]
mod deployment;
#[path = "crash/held.rs"]
mod held;
#[path = "crash/moved_records.rs"]
mod moved_records;
#[path = "crash/moving.rs"]
mod moving;
#[path = "crash/quota.rs"]
mod quota;
#[path = "crash/rehearse.rs"]
mod rehearse;
#[path = "crash/replicas.rs"]
mod replicas;
#[path = "crash/rows.rs"]
mod rows;
#[path = "crash/sign_in.rs"]
mod sign_in;
#[path = "crash/transfer.rs"]
mod transfer;

const MODE: support::backend::Mode = support::backend::Mode::Aws;

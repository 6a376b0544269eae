//! A storm: a real server is killed at random moments and at failpoints, over and over, while several clients send random
//! commands about few people with few idempotency keys, repeat them late, read with keys that live and keys that have ended, and
//! while files are imported and views are rebuilt beside it. After each death what was answered is compared with the log, and
//! the log with what a server that runs in peace does.
//!
//! `PERMITD_TEST_STORM_S` is how long (30 seconds), `PERMITD_TEST_STORM_SEED` what all choices follow from (1), and
//! `PERMITD_TEST_STORM_TRACE` the trace of an earlier storm, whose acts are repeated in their order. `scripts/storm` sets them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "these are tests")]

mod acting;
#[path = "../support/app.rs"]
mod app;
mod chances;
mod checks;
#[path = "../crash/deployment.rs"]
mod deployment;
mod history;
mod living;
mod looking_back;
mod memory;
mod script;
#[path = "../support/mod.rs"]
mod support;

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use chances::Chances;
use deployment::Deployment;
use living::Storm;
use permitd::queue::Policy;
use script::Script;
use support::backend::Mode;

/// What whoever shares its code with others takes; each storm here says itself which backend it is over.
const MODE: Mode = Mode::Sqlite;
/// How long a storm lasts when nothing else is said, seconds.
const LASTS_S: u64 = 30;
const SEED: u64 = 1;
/// Lives of servers over one deployment; then another begins, so that a storm of hours is not about one long log.
const LIVES: u64 = 60;

/// Whoever kills mailers as often as a storm must not have their messages given up.
const POLICY: Policy = Policy { receives_max: 1000, ..deployment::POLICY };
/// Few people are invited often, and one address tries keys that have ended more often than anybody should.
const ENVIRONMENT: [(&str, &str); 3] = [
    ("PERMITD_MAIL_INVITATIONS_PER_PERSON_PER_HOUR", "10000"),
    ("PERMITD_MAIL_INVITATIONS_PER_HOUR_MAX", "1000000"),
    ("PERMITD_HTTP_WRONG_KEYS_MAX", "1000000"),
];

fn named<T: std::str::FromStr>(variable: &str) -> Option<T> {
    let text = std::env::var(variable).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} must be a number, not {text:?}")))
}

/// Tells how to see the same again, if the storm fails.
struct Witness {
    mode: Mode,
    seed: u64,
    nth: u64,
    trace: PathBuf,
    log: PathBuf,
}

impl Drop for Witness {
    fn drop(&mut self) {
        let Self { mode, seed, nth, trace, log } = self;
        if !std::thread::panicking() {
            // What went well needs no trace; that it cannot be removed is no fault of the storm's.
            std::fs::remove_file(trace).ok();
            std::fs::remove_file(log).ok();
            return;
        }
        let log = std::fs::read_to_string(log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let last = lines[lines.len().saturating_sub(20)..].join("\n");
        eprintln!("the server's last words:\n{last}");
        eprintln!("the storm of the seed {seed} over {mode:?} failed in its deployment {nth}; to see it again:");
        eprintln!("  scripts/storm 60 {seed}");
        eprintln!("  PERMITD_TEST_STORM_TRACE={} scripts/storm   (this deployment's acts alone)", trace.display());
    }
}

async fn rage(mode: Mode) {
    let lasts = Duration::from_secs(named("PERMITD_TEST_STORM_S").unwrap_or(LASTS_S));
    let seed: u64 = named("PERMITD_TEST_STORM_SEED").unwrap_or(SEED);
    let earlier = std::env::var_os("PERMITD_TEST_STORM_TRACE").filter(|path| !path.is_empty()).map(PathBuf::from);
    let (began, is_aws) = (Instant::now(), mode == Mode::Aws);
    for nth in 0.. {
        if nth > 0 && (began.elapsed() >= lasts || earlier.is_some()) {
            return;
        }
        let name = format!("storm-{mode:?}-{seed}-{nth}-{}", std::process::id()).to_lowercase();
        let [trace, log] =
            ["jsonl", "log"].map(|kind| PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.{kind}")));
        let script = match &earlier {
            Some(earlier) => Script::of_trace(earlier, is_aws, &trace),
            None => Script::by_chance(Chances::new(seed, [nth, u64::from(is_aws)]).next(), is_aws, &trace),
        };
        let deployment = Deployment::with(mode, POLICY, &ENVIRONMENT).await;
        let _witness = Witness { mode, seed, nth, trace, log: log.clone() };
        let storm = Storm::begin(deployment, script, is_aws, log).await;
        let mut lives = 0;
        for life in 0..LIVES {
            if life > 0 && earlier.is_none() && began.elapsed() >= lasts {
                break;
            }
            if !storm.live(life).await {
                break;
            }
            lives += 1;
        }
        let summary = storm.end(Chances::new(seed, [nth, 2 + u64::from(is_aws)])).await;
        println!("{mode:?}, seed {seed}, deployment {nth}: {lives} lives, {summary}");
    }
}

#[tokio::test]
async fn what_was_answered_is_in_the_log_once_whatever_dies() {
    rage(Mode::Sqlite).await;
}

#[tokio::test]
async fn what_was_answered_is_in_the_log_once_whatever_dies_in_aws() {
    rage(Mode::Aws).await;
}

//! What a look for keys that expire costs, among many of which few are due.

use std::{path::Path, sync::Arc, time::Instant};

use jiff::{SignedDuration, Timestamp};
use permitd::{
    app::{self, Node, Purpose},
    clock::ManualClock,
    config::{LoadFrom, Settings},
    secrets::SystemEntropy,
};
use serde_json::json;

use super::GOAL;
use crate::{
    Outcome, Plan,
    admin::{Admin, field},
    fixture::Fixture,
    load::median,
    report::{Finding, show},
};

/// Hours in each of which some keys become due.
const BATCHES: u64 = 5;
/// So many.
const DUE: usize = 10;
/// Looks of which the median is taken.
const LOOKS: u32 = 200;
/// The last notice but one comes so long before a key's end.
const WEEK: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Makes keys of which some become due in each of the next hours. Returns when the first hour begins.
pub(super) fn prepare(admin: &Admin, users: &[String]) -> Outcome<Timestamp> {
    let begin = Timestamp::now();
    for (user, number) in users.iter().zip(0..BATCHES * DUE as u64) {
        let hours = i64::try_from(number % BATCHES)? + 1;
        let expires_at = begin + WEEK + SignedDuration::from_hours(hours) - SignedDuration::from_mins(1);
        let made = admin.ask(&format!("POST /users/{user}/keys"), &json!({ "expires_at": expires_at }))?;
        field(&made, "key")?;
    }
    Ok(begin)
}

pub(super) fn measure(plan: &Plan, fixture: &Fixture, people: usize, begin: &Timestamp) -> Outcome<Finding> {
    let (none, few) = app::block_on(look(&fixture.data, *begin, BATCHES))?;
    let (of_nobody, _) = app::block_on(look(&plan.scratch.join("nobody"), *begin, 0))?;
    let figures = format!(
        "{} ms, and {} ms where {DUE} are due; {} ms where there are no keys",
        show(none),
        show(few),
        show(of_nobody)
    );
    let what = format!("a look for keys that expire, of {people}, against among none");
    Ok(Finding::at_most(GOAL, what, figures, none / of_nobody, 2.0, ""))
}

/// What a look takes where no key is due, and where some are, milliseconds.
async fn look(data: &Path, begin: Timestamp, batches: u64) -> Outcome<(f64, f64)> {
    let overrides = [("data", data.display().to_string())];
    let settings = Settings::load(LoadFrom { config_file: None, env: std::iter::empty(), overrides: &overrides })?;
    let (address, clock) = (settings.listen, ManualClock::at(begin));
    let node = Node::open(settings, clock.clone(), Arc::new(SystemEntropy), Purpose::Command, address, None).await?;
    let (mut idle, mut busy) = (Vec::new(), Vec::new());
    for batch in 0..=batches {
        for nth in 0..LOOKS {
            let started = Instant::now();
            let noticed = node.service.notices.sweep().await?;
            let took_ms = started.elapsed().as_secs_f64() * 1000.0;
            // Those of the hour that has just passed, with the first look at them.
            let wanted = if batch > 0 && nth == 0 { DUE as u64 } else { 0 };
            if noticed != wanted {
                return Err(format!("{noticed} keys were noticed and not {wanted}").into());
            }
            if wanted > 0 { busy.push(took_ms) } else { idle.push(took_ms) }
        }
        clock.advance_us(SignedDuration::from_hours(1).as_micros().try_into()?);
    }
    Ok((median(idle), median(busy)))
}

//! P15: what the questions have to come to, and what readers have while others scan.

use std::{thread, time::Duration};

use super::{
    Answers, Asked, SYSTEMS, grouped,
    questions::{ASKS, Ask, BESIDES, Goal},
};
use crate::{
    Outcome, Plan,
    fixture::Fixture,
    http,
    load::{self, Load, Rate, Target, medians},
    process::{LOAD_CORE, Server},
    report::{Finding, rate, show},
};

/// A question that reads every record, and how many clients ask it at once.
const SCAN: &str = "/permits?description__contains=lighthouse";
const SCANS: u32 = 16;
/// How often it is looked whether scans have ended.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How much of its rate a reader keeps beside scans, and the most that one of a hundred reads takes.
const READERS: (f64, f64) = (0.9, 2.0);
/// How many times as fast as DuckDB this part of the questions that no index serves must be.
const TIMES_DUCKDB: f64 = 5.0;
const PART: f64 = 0.5;

/// What the answers at one size come to.
pub(super) fn findings(answers: &Answers, size: u64) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Goal::ALL.into_iter().map(|goal| slowest(goal, answers, size)).collect();
    let [ours, others @ ..] = &answers.systems;
    for (theirs, name) in others.iter().zip(SYSTEMS.iter().skip(1)) {
        findings.push(slower(ours, theirs, name, size));
    }
    if let Some(duckdb) = others.first() {
        findings.push(times_duckdb(ours, duckdb, size));
    }
    findings
}

/// The slowest question of a goal.
fn slowest(goal: Goal, answers: &Answers, size: u64) -> Finding {
    let [ours, ..] = &answers.systems;
    let asked = ASKS.iter().zip(ours).chain(BESIDES.iter().zip(&answers.besides));
    let asked: Vec<(&Ask, &Asked)> = asked.filter(|(ask, _)| ask.goal == Some(goal)).collect();
    let what = format!("{}, made anew, {} records, the slowest question, p50", goal.what(), grouped(size));
    let each = asked.iter().map(|(ask, asked)| format!("`{}` {}", ask.query, asked.shown));
    let figures = each.collect::<Vec<_>>().join("; ");
    if asked.iter().all(|(ask, asked)| ask.needs.is_some() && !asked.is_there()) {
        return Finding::absent("P15", what, format!("{}: not there", figures));
    }
    // A question that was not answered took too long.
    let worst_ms = asked.iter().map(|(_, asked)| asked.ms.unwrap_or(f64::INFINITY)).fold(0.0, f64::max);
    match goal.wanted_ms(size) {
        Some(wanted) => Finding::at_most("P15", what, figures, worst_ms, wanted, " ms"),
        None => Finding::told("P15", what, figures, worst_ms),
    }
}

/// How many questions take longer than in another system.
fn slower(ours: &[Asked], theirs: &[Asked], name: &str, size: u64) -> Finding {
    let both = both(ours, theirs);
    let slower = both.iter().filter(|(_, ours, theirs)| ours > theirs);
    let told = slower.map(|(ask, ours, theirs)| format!("{} ({} against {} ms)", ask.kind, show(*ours), show(*theirs)));
    let told: Vec<String> = told.collect();
    let what = format!("questions that take longer than in {name}, of {}, {} records", both.len(), grouped(size));
    let figures = if told.is_empty() { "none".to_owned() } else { told.join("; ") };
    let count = u32::try_from(told.len()).map_or(f64::INFINITY, f64::from);
    Finding::at_most("P15", what, figures, count, 0.0, "")
}

/// The part of the questions without an index that is much faster than DuckDB.
fn times_duckdb(ours: &[Asked], duckdb: &[Asked], size: u64) -> Finding {
    let mut times: Vec<(f64, &Ask)> = both(ours, duckdb)
        .into_iter()
        .filter(|(ask, ..)| !ask.is_indexed)
        .map(|(ask, ours, theirs)| (theirs / ours, ask))
        .collect();
    times.sort_by(|one, other| other.0.total_cmp(&one.0));
    let count = |number: usize| u32::try_from(number).map_or(f64::NAN, f64::from);
    let part = count(times.iter().filter(|(times, _)| *times >= TIMES_DUCKDB).count()) / count(times.len());
    let figures: Vec<String> = times.iter().map(|(times, ask)| format!("{} {}", ask.kind, show(*times))).collect();
    let what = format!(
        "the part of {} questions without an index that is at least {TIMES_DUCKDB} times as fast as DuckDB, {} records",
        times.len(),
        grouped(size)
    );
    Finding::at_least("P15", what, figures.join("; "), part, PART)
}

/// The questions that both have answered, with the milliseconds of each.
fn both<'a>(ours: &[Asked], theirs: &[Asked]) -> Vec<(&'a Ask, f64, f64)> {
    let each = ASKS.iter().zip(ours.iter().zip(theirs));
    each.filter_map(|(ask, (ours, theirs))| Some((ask, ours.ms?, theirs.ms?))).collect()
}

/// A key's reads, alone and beside another client's questions that read every record.
pub(super) fn scans_beside(plan: &Plan, fixture: &Fixture, server: &Server, size: u64) -> Outcome<Vec<Finding>> {
    let mut findings = Vec::new();
    for connections in [1, 16] {
        let (target, key) = (Target::Path(&fixture.hot_path), Some(fixture.key.as_str()));
        let reads = Load { target, key, connections, succeeds: true, cores: LOAD_CORE };
        let scans = Load { target: Target::Path(SCAN), connections: SCANS, ..reads };
        let (mut alone, mut together) = (Vec::new(), Vec::new());
        for _ in 0..plan.rounds {
            alone.push(load::run(plan, server, &reads)?);
            let scanning = load::start(plan, server, &scans)?;
            together.push(load::run(plan, server, &reads)?);
            scanning.stop()?;
            // What nobody waits for any more goes on for a moment.
            let is_quiet = || http::get(server.address, SCAN, key).is_some_and(|answer| answer.status == 200);
            while !is_quiet() {
                thread::park_timeout(LOOK_EVERY);
            }
        }
        let (alone, together) = (medians(&alone), medians(&together));
        let one = |is: &Rate| format!("{} (p50 {} ms, p99 {} ms)", rate(is.per_s), show(is.p50_ms), show(is.p99_ms));
        let figures = format!("{} against {}", one(&together), one(&alone));
        let what = format!("{connections} that read beside {SCANS} that scan {} records", grouped(size));
        let (kept, p99_ms) = READERS;
        let ratio = together.per_s / alone.per_s;
        findings.push(Finding::at_least("P15", format!("{what}, against alone"), &figures, ratio, kept));
        findings.push(Finding::at_most("P15", format!("p99 of {what}"), figures, together.p99_ms, p99_ms, " ms"));
    }
    Ok(findings)
}

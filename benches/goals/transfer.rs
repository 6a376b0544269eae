//! The log as a whole: exported, imported into an empty directory, replayed, each by the program itself; and the memory that each takes.

use std::path::Path;

use permitd::store::{dynamodb::schema, sqlite::Database};

use crate::{
    Outcome, Plan,
    aws::{Emulator, variables},
    load::median,
    process::{self, Ran, SERVER_CORE, permitd, watched},
    replay::{self, EVENTS_PER_USER},
    replica,
    report::{Finding, rate},
};

/// The goals: events and commits a second, MiB.
const EXPORTED_PER_S: f64 = 300_000.0;
const IMPORTED_PER_S: f64 = 50_000.0;
const MEMORY_MIB: f64 = 128.0;
/// Events of the large log, and of the one in an emulator.
const LARGE: u64 = 10_000_000;
const EMULATED: u64 = 50_000;

pub(crate) fn measure(plan: &Plan) -> Outcome<Vec<Finding>> {
    let mut found = Vec::new();
    let (exports, imports, memory) = rounds(plan, plan.many, plan.rounds.min(3))?;
    let (exported, imported) = (median(exports), median(imports));
    let what = |what: &str| format!("{what} of a log of {} events, each a commit", plan.many);
    found.push(Finding::at_least(
        "P7",
        what("export, compressed, against 300,000/s"),
        rate(exported),
        exported / EXPORTED_PER_S,
        1.0,
    ));
    found.push(Finding::at_least(
        "P7",
        what("import, verified, with its views, against 50,000/s"),
        rate(imported),
        imported / IMPORTED_PER_S,
        1.0,
    ));
    found.push(at_most(plan.many, memory));
    if plan.large {
        let (_, _, memory) = rounds(plan, LARGE, 1)?;
        found.push(at_most(LARGE, memory));
    }
    Ok(found)
}

/// A log in an emulator: what is read of it at once, against a bare parallel scan of the table, each in turns on one core.
pub(crate) fn measure_aws(plan: &Plan) -> Outcome<Vec<Finding>> {
    let (dynamodb, others) = (Emulator::start(plan, "dynoxide")?, Emulator::start(plan, "ministack")?);
    let settings = variables(&dynamodb, &others);
    let folder = tempfile::tempdir_in(&plan.scratch)?;
    let of_log = tempfile::tempdir_in(&plan.scratch)?;
    let (log, file, data) = (of_log.path().to_owned(), folder.path().join("log.zst"), folder.path().join("data"));
    replay::fill(&Database::open(&log)?, EMULATED)?;
    run(&log, &["events", "export", &file.to_string_lossy()])?;
    let program = |command: &[&str]| {
        let mut pinned = process::pinned(SERVER_CORE, permitd().get_program());
        pinned.envs(settings.iter().copied()).env("PERMITD_LOG_FILTER", "warn").arg("--data").arg(&data).args(command);
        watched(&mut pinned)
    };
    program(&["aws", "setup"])?;
    let filled = program(&["events", "import", &file.to_string_lossy()])?;
    let (again, mut scans, mut exports, mut replays) =
        (folder.path().join("again.zst"), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..plan.rounds {
        scans.push(replica::bare_scan_s(&dynamodb.url, schema::EVENTS)?);
        exports.push(program(&["events", "export", &again.to_string_lossy()])?.wall.as_secs_f64());
        std::fs::remove_file(&again)?;
        replays.push(program(&["events", "verify"])?.wall.as_secs_f64());
    }
    let per_s = |seconds: Vec<f64>| EMULATED as f64 / median(seconds);
    let (scan, export, replay) = (per_s(scans), per_s(exports), per_s(replays));
    let against = |what: &str, per_s: f64| {
        let what = format!("aws: {what} of a log of {EMULATED} events, each a commit, against a bare parallel scan");
        Finding::at_least("P8", what, format!("{} against {}", rate(per_s), rate(scan)), per_s / scan, 0.7)
    };
    let filled = EMULATED as f64 / filled.wall.as_secs_f64();
    let people = EMULATED / EVENTS_PER_USER;
    Ok(vec![
        against("export", export),
        against(&format!("verification of the views of {people} people"), replay),
        Finding::told(
            "P8",
            "aws: import of that log, verified, with its views, against the scan",
            rate(filled),
            filled / scan,
        ),
    ])
}

fn at_most(events: u64, memory: Memory) -> Finding {
    let Memory { exporting, importing, replaying, verifying } = memory;
    let most = exporting.max(importing).max(replaying).max(verifying);
    let figures = format!(
        "export {exporting:.0} MiB, import {importing:.0} MiB, replay {replaying:.0} MiB, verify {verifying:.0} MiB"
    );
    let what = format!("the most memory for a log of {events} events");
    Finding::at_most("P7", what, figures, most, MEMORY_MIB, " MiB")
}

/// The most memory that each command had, MiB.
#[derive(Default)]
struct Memory {
    exporting: f64,
    importing: f64,
    replaying: f64,
    verifying: f64,
}

/// Exports and imports a second, and the memory of all.
fn rounds(plan: &Plan, events: u64, rounds: u32) -> Outcome<(Vec<f64>, Vec<f64>, Memory)> {
    let folder = tempfile::tempdir_in(&plan.scratch)?;
    // Whoever makes a folder like this makes it for its owner alone, as a data directory has to be.
    let of_log = tempfile::tempdir_in(&plan.scratch)?;
    let (log, file, filled) = (of_log.path().to_owned(), folder.path().join("log.zst"), folder.path().join("filled"));
    replay::fill(&Database::open(&log)?, events)?;
    let (mut exports, mut imports, mut memory) = (Vec::new(), Vec::new(), Memory::default());
    let path = file.to_string_lossy();
    for _ in 0..rounds {
        let ran = run(&log, &["events", "export", &path])?;
        exports.push(events as f64 / ran.wall.as_secs_f64());
        memory.exporting = memory.exporting.max(ran.peak_mib);
        let ran = run(&filled, &["events", "import", &path])?;
        imports.push(events as f64 / ran.wall.as_secs_f64());
        memory.importing = memory.importing.max(ran.peak_mib);
        std::fs::remove_file(&file)?;
        std::fs::remove_dir_all(&filled)?;
    }
    memory.replaying = run(&log, &["events", "replay"])?.peak_mib;
    memory.verifying = run(&log, &["events", "verify"])?.peak_mib;
    Ok((exports, imports, memory))
}

fn run(data: &Path, command: &[&str]) -> Outcome<Ran> {
    watched(permitd().arg("--data").arg(data).args(command))
}

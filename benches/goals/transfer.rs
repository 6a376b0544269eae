//! The log as a whole: exported, imported into an empty directory, replayed, each by the program itself; and the memory that each takes.

use std::path::Path;

use permitd::store::sqlite::Database;

use crate::{
    Outcome, Plan,
    load::median,
    process::{Ran, permitd, watched},
    replay,
    report::{Finding, rate},
};

/// The goals: events and commits a second, MiB.
const EXPORTED_PER_S: f64 = 300_000.0;
const IMPORTED_PER_S: f64 = 50_000.0;
const MEMORY_MIB: f64 = 128.0;
/// Events of the large log.
const LARGE: u64 = 10_000_000;

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
    let (log, file, filled) = (folder.path().join("log"), folder.path().join("log.zst"), folder.path().join("filled"));
    run(&log, &["plans", "list"])?;
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

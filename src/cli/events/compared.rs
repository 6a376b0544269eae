//! `permitd events verify --with`: the views of another program or of another data directory beside those of this one.

use std::{
    io::{BufReader, BufWriter, Read},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
};

use serde_json::{Value, json};

use super::pace::{told, under_bar_of, with_rate};
use crate::{
    app,
    cli::{
        CommandAnswer, Exit, Failure,
        open::must_exist,
        output::{counted, facts, grouped},
    },
    config::{Backend, Settings},
    replay::{self, FieldDifference, OtherProgram},
    store::Stores,
};

/// Differences that are printed; the others are counted.
const DIFFERENCES_MAX: usize = 1_000;
/// Bytes of what another program says of its failure.
const SAID_BYTES_MAX: u64 = 4_096;

/// Compares, and tells what differs.
pub(super) fn answer(stores: &Stores, settings: Settings, with: &Path) -> Result<CommandAnswer, Failure> {
    let mut space = stores.replay.replay_space()?;
    let total = space.commits_total()?;
    let (mut kept, mut differences) = (Vec::new(), 0_u64);
    let mut tell = |difference: FieldDifference| {
        differences += 1;
        if kept.len() < DIFFERENCES_MAX {
            kept.push(difference);
        }
    };
    let compared = if with.is_dir() {
        let mut settings = settings;
        (settings.backend, settings.data) = (Backend::Sqlite, with.to_owned());
        must_exist(&settings)?;
        let other = app::open_to_compare(&settings)?;
        let mut there = other.replay.replay_space()?;
        under_bar_of(total, |report| replay::compare_views(&mut *space, &mut *there, &mut tell, report))
    } else {
        with_program(with, |other| {
            under_bar_of(total, |report| replay::compare_with_program(&mut *space, other, &mut tell, report))
        })
    };
    let (progress, took) = compared?;
    let mut text: String = kept.iter().map(shown).collect();
    let unprinted = differences.saturating_sub(u64::try_from(kept.len()).unwrap_or(u64::MAX));
    if unprinted > 0 {
        text.push_str(&format!("… and {} more\n", grouped(unprinted)));
    }
    let found = if differences == 0 { "no differences".to_owned() } else { counted(differences, "difference") };
    text.push_str(&format!("{found} with {}: {}\n", with.display(), told(progress, took)));
    let document = with_rate(progress, took, json!({ "with": with, "differences": differences, "found": kept }));
    let exit = if differences == 0 { Exit::Done } else { Exit::Differences };
    Ok(CommandAnswer { exit, ..CommandAnswer::new(document, text) })
}

fn shown(FieldDifference { row, field, here, there }: &FieldDifference) -> String {
    let name = field.as_ref().map_or_else(|| row.clone(), |field| format!("{row}, {field}"));
    let side = |value: &Option<Value>| {
        let absent = if field.is_some() { "no such field" } else { "no row" };
        value.as_ref().map_or_else(|| absent.to_owned(), ToString::to_string)
    };
    format!("{name}\n{}", facts(&[("here", side(here)), ("there", side(there))]))
}

type Piped = OtherProgram<BufWriter<std::process::ChildStdin>, BufReader<std::process::ChildStdout>>;

/// Runs another permitd that folds what it is given, without any setting of this deployment.
fn with_program<T>(program: &Path, work: impl FnOnce(Piped) -> Result<T, Failure>) -> Result<T, Failure> {
    // A bare name would be looked for among all programs.
    let path = program.canonicalize().map_err(|error| {
        Failure::not_found(format!(
            "{}: {error}; --with names another permitd program, or a data directory",
            program.display()
        ))
    })?;
    let mut command = Command::new(&path);
    command.args(["events", "views", "--stdin"]).env_clear();
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.map_err(|error| Failure::usage(format!("{} cannot be run: {error}", program.display())))?;
    let (Some(log), Some(rows), Some(errors)) = (child.stdin.take(), child.stdout.take(), child.stderr.take()) else {
        return Err(Failure::unavailable(format!("{} cannot be talked to", program.display())));
    };
    let said = thread::spawn(move || {
        let mut said = Vec::new();
        let mut errors = errors;
        // What is beyond is read and dropped, so that it does not wait.
        errors.by_ref().take(SAID_BYTES_MAX).read_to_end(&mut said).ok();
        std::io::copy(&mut errors, &mut std::io::sink()).ok();
        String::from_utf8_lossy(&said).into_owned()
    });
    let outcome = work(OtherProgram { log: BufWriter::new(log), rows: BufReader::new(rows) });
    let ended = end(&mut child);
    let said = said.join().unwrap_or_default();
    outcome.map_err(|failure| {
        let said: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
        let said = said.first().map(|line| format!("; it says: {}", line.trim())).unwrap_or_default();
        let ended = ended.map(|code| format!(" (exit code {code})")).unwrap_or_default();
        Failure::new(failure.exit, format!("{}{ended}: {}{said}", program.display(), failure.message))
    })
}

/// Lets the other program end: its pipes are closed by now.
fn end(child: &mut Child) -> Option<i32> {
    child.wait().ok().and_then(|status| status.code())
}

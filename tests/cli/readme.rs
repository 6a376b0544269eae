//! The README's commands, run word for word: every line that begins with `$ ` in its console blocks.

use std::{fmt::Write as _, fs, process::Command};

use permitd::domain::key::KEY_ID_CHARS;

use super::support;

/// What a shell session shows after a command, up to the next one.
struct Step {
    command: String,
    shown: Vec<String>,
}

fn console_blocks(document: &str) -> Vec<Vec<Step>> {
    let mut blocks = Vec::new();
    let mut current: Option<Vec<Step>> = None;
    for line in document.lines() {
        match (&mut current, line) {
            (None, "```console") => current = Some(Vec::new()),
            (Some(_), "```") => blocks.extend(current.take()),
            (Some(steps), _) => match line.strip_prefix("$ ") {
                Some(command) => steps.push(Step { command: command.to_owned(), shown: Vec::new() }),
                None if steps.last().is_some_and(|step| step.command.ends_with('\\')) => {
                    let step = steps.last_mut().unwrap();
                    write!(step.command, "\n{line}").unwrap();
                }
                None => {
                    if let Some(step) = steps.last_mut() {
                        step.shown.push(line.to_owned());
                    }
                }
            },
            (None, _) => {}
        }
    }
    blocks
}

/// Whether a word is a key's id. One of sixteen has no digit in it.
fn is_key_id(word: &str) -> bool {
    let id = word.trim_end_matches([':', ',', '.']);
    let has = |is: fn(&u8) -> bool| id.bytes().any(|byte| is(&byte));
    id.len() == KEY_ID_CHARS
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && has(u8::is_ascii_uppercase)
        && has(u8::is_ascii_lowercase)
}

/// A line as it would read in any run: numbers, identifiers, keys and times replaced.
fn shape(line: &str) -> String {
    let mut shape = String::new();
    for word in line.split_whitespace() {
        let varies = word.chars().any(|c| c.is_ascii_digit()) || word.contains("pmt_") || is_key_id(word);
        shape.push_str(if varies { "#" } else { word });
        shape.push(' ');
    }
    shape
}

#[test]
fn every_command_of_the_tour_works_and_shows_what_the_readme_shows() {
    let readme = fs::read_to_string(support::repository().join("README.md")).unwrap();
    let blocks = console_blocks(&readme);
    let tour: Vec<Step> = blocks
        .into_iter()
        .flatten()
        .filter(|step| !step.command.starts_with("make ") && !step.command.starts_with("cargo "))
        .collect();
    assert!(tour.len() > 10, "the README has a tour");
    let folder = support::data_dir();
    let (listen, ops) = (support::own_address(), support::own_address());
    let mut script = String::from("set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT\n");
    for (at, step) in tour.iter().enumerate() {
        let command = step.command.replace("127.0.0.1:8080", &listen.to_string());
        writeln!(script, "echo '@@{at}'\n{command}").unwrap();
        if command.trim_end().ends_with('&') {
            // A person reads what the server prints before going on.
            writeln!(
                script,
                "for _ in $(seq 1800); do curl -sf http://{ops}/health/ready >/dev/null && break; sleep 0.1; done"
            )
            .unwrap();
        }
    }
    let program = env!("CARGO_BIN_EXE_permitd");
    let programs = std::path::Path::new(program).parent().unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    let mut command = Command::new("bash");
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PERMITD_")) {
        command.env_remove(name);
    }
    let output = command
        .args(["-c", &script])
        .current_dir(folder.path())
        .env("PATH", path)
        .env("PERMITD_LISTEN", listen.to_string())
        .env("PERMITD_OPS_LISTEN", ops.to_string())
        .output()
        .unwrap();
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "the tour fails: {}\n{errors}\n{shown}", output.status);
    for (at, step) in tour.iter().enumerate() {
        let after = shown.split_once(&format!("@@{at}\n")).unwrap().1;
        let printed = after.split("@@").next().unwrap();
        let printed: Vec<&str> = printed.lines().collect();
        if let Err(line) = is_shown(&step.shown, &printed) {
            panic!("`{}` does not show {line:?} there; it printed:\n{printed:#?}", step.command);
        }
    }
}

/// Whether the document shows what was printed, with `…` in a line of its own for lines that it leaves out, or nothing at all of it;
/// otherwise the first line that is not shown as it was printed.
fn is_shown(shown: &[String], printed: &[&str]) -> Result<(), String> {
    let filled = |line: &&str| !line.trim().is_empty();
    let mut printed = printed.iter().copied().filter(filled).map(|line| (shape(line), line)).peekable();
    let mut leaves_out = shown.is_empty();
    for line in shown.iter().map(String::as_str).filter(filled) {
        if line.trim() == "…" {
            leaves_out = true;
            continue;
        }
        let expected = shape(line);
        while leaves_out && printed.peek().is_some_and(|(printed, _)| *printed != expected) {
            printed.next();
        }
        if printed.next().is_none_or(|(printed, _)| printed != expected) {
            return Err(line.to_owned());
        }
        leaves_out = false;
    }
    match printed.next() {
        Some((_, line)) if !leaves_out => Err(line.to_owned()),
        _ => Ok(()),
    }
}

#[test]
fn what_a_document_leaves_out_is_marked() {
    let shown = |text: &str| is_shown(&text.lines().map(ToOwned::to_owned).collect::<Vec<_>>(), &["a 1", "", "b", "c"]);
    for right in ["a 2\nb\n\nc", "a 2\n…", "…\nb\n…", "…\nc", "", "…"] {
        assert_eq!(shown(right), Ok(()), "{right}");
    }
    for (wrong, line) in [("a 2\nc", "c"), ("b\nc", "b"), ("a 2\nb", "c"), ("…\nd", "d"), ("a 2\nb\nc\nd", "d")] {
        assert_eq!(shown(wrong), Err(line.to_owned()), "{wrong}");
    }
}

#[test]
fn a_line_reads_alike_whatever_is_in_its_identifiers() {
    for id in ["ZrFksbVvzc6wBbDW", "MohWXGbMnDMwDLBR"] {
        assert_eq!(shape(&format!("{id}: revoked")), "# revoked ");
    }
    assert_eq!(shape("internationalism, unchanged"), "internationalism, unchanged ");
}

#[test]
fn the_two_commands_are_what_the_readme_says() {
    let planned = |target: &str| {
        let make = Command::new("make").args(["-n", target]).current_dir(support::repository()).output().unwrap();
        assert!(make.status.success());
        String::from_utf8(make.stdout).unwrap()
    };
    assert!(planned("run").contains("run --release -- demo"));
    assert!(planned("test").contains("scripts/run-tests"));
}

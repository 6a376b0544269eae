//! How the sources hang together, and that the promises of GUARANTEES.md are shown by tests that are there. It reads the tree as
//! text and runs nothing of it.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "these are tests")]

mod imports;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The files below a folder with this ending, as paths from the root, in order.
fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == ending) {
                found.push(path.strip_prefix(root()).unwrap().to_owned());
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "no file in {folder}");
    found
}

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(root().join(&path)).unwrap_or_else(|error| panic!("{}: {error}", path.as_ref().display()))
}

/// The program of a source: without comments, and without the tests at its end.
fn program(path: &Path) -> String {
    let text = read(path);
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn is_test(path: &Path) -> bool {
    let ends = |name: &str| path.iter().any(|part| part.to_str() == Some(name));
    ends("tests") || ends("tests.rs") || ends("samples.rs")
}

/// The modules of the crate that a program names: what follows `crate::`, alone or in braces.
fn named(program: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    for rest in program.split("crate::").skip(1) {
        let Some(inner) = rest.strip_prefix('{') else {
            names.insert(word(rest));
            continue;
        };
        let (mut depth, mut is_begin) = (0, true);
        for (at, c) in inner.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => is_begin = true,
                c if is_begin && c.is_alphanumeric() => {
                    names.insert(word(&inner[at..]));
                    is_begin = false;
                }
                _ => {}
            }
        }
    }
    names
}

/// The sources of a part: its folder, and the file of its name beside that.
fn sources(part: &str) -> Vec<PathBuf> {
    let all = files("src", "rs");
    let (folder, file) = (Path::new("src").join(part), Path::new("src").join(format!("{part}.rs")));
    let own: Vec<PathBuf> = all.into_iter().filter(|path| path.starts_with(&folder) || *path == file).collect();
    assert!(!own.is_empty(), "there is no part {part}");
    own
}

/// The name of the type that a line declares; an associated type is declared by its trait.
fn declared(line: &str) -> Option<&str> {
    let item = line.trim_start();
    let item = item.strip_prefix("pub").map_or(item, |rest| {
        let rest = rest.strip_prefix('(').and_then(|path| path.split_once(')')).map_or(rest, |(_, rest)| rest);
        rest.trim_start()
    });
    let kinds = ["struct ", "enum ", "trait ", "union "];
    let name = match item.strip_prefix("type ") {
        Some(name) if !line.starts_with(' ') => name,
        _ => kinds.iter().find_map(|kind| item.strip_prefix(kind))?,
    };
    let end = name.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(name.len());
    Some(&name[..end]).filter(|name| !name.is_empty())
}

/// Who reads the name of a type knows which one is meant.
#[test]
fn the_name_of_a_type_is_used_once() {
    let mut places: std::collections::BTreeMap<String, Vec<String>> = std::collections::BTreeMap::new();
    for path in files("src", "rs") {
        for name in read(&path).lines().filter_map(declared) {
            places.entry(name.to_owned()).or_default().push(path.display().to_string());
        }
    }
    assert!(places.len() > 1_000, "{}", places.len());
    places.retain(|_, places| places.len() > 1);
    assert!(places.is_empty(), "{places:#?}");
}

/// `docs/ARCHITECTURE.md` has the same as a table.
#[test]
fn imports_run_downwards() {
    let may_not_name: [(&str, &[&str]); 14] = [
        ("aws", &["actors", "app", "cli", "config", "domain", "http", "mail", "queue", "replay", "secrets", "store"]),
        ("private", &["actors", "app", "cli", "config", "http", "mail", "queue", "replay", "store"]),
        ("secrets", &["actors", "app", "cli", "config", "http", "identity", "mail", "queue", "replay", "store"]),
        ("store", &["actors", "app", "cli", "config", "http", "identity", "mail", "queue", "replay"]),
        ("queue", &["actors", "app", "cli", "config", "http", "identity", "mail", "replay"]),
        ("identity", &["actors", "app", "cli", "config", "http", "mail", "queue", "replay", "store"]),
        ("mail", &["actors", "app", "cli", "config", "http", "identity", "queue", "replay", "store"]),
        ("config", &["actors", "app", "cli", "http", "replay", "store"]),
        ("replay", &["actors", "app", "cli", "config", "http", "identity", "mail", "queue", "sealing", "transfer"]),
        ("transfer", &["actors", "app", "cli", "config", "http", "identity", "mail", "queue", "sealing"]),
        ("sealing", &["actors", "app", "cli", "config", "http", "identity", "mail", "queue", "secrets"]),
        ("actors", &["app", "cli", "config", "http"]),
        ("http", &["app", "cli"]),
        ("app", &["cli"]),
    ];
    let mut wrong = Vec::new();
    for (part, others) in may_not_name {
        for path in sources(part).iter().filter(|path| !is_test(path)) {
            let names = named(&program(path));
            wrong.extend(
                names
                    .iter()
                    .filter(|name| others.contains(&name.as_str()))
                    .map(|name| format!("{} names {name}", path.display())),
            );
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn what_decides_is_pure_and_names_nothing_above_it() {
    let impure = [
        "std::fs",
        "std::net",
        "std::process",
        "std::env",
        "SystemTime",
        "Instant::now",
        "Timestamp::now",
        "getrandom",
        "tokio",
        "actix",
        "rusqlite",
        "tracing",
    ];
    let mut wrong = Vec::new();
    for part in ["domain", "dataset"] {
        for path in sources(part).iter().filter(|path| !is_test(path)) {
            let program = program(path);
            let others = named(&program).into_iter().filter(|name| name != part);
            wrong.extend(others.map(|name| format!("{} names {name}", path.display())));
            let found = impure.iter().filter(|word| program.contains(**word));
            wrong.extend(found.map(|word| format!("{} uses {word}", path.display())));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn each_library_is_known_to_one_part_only() {
    let known_to: [(&str, &[&str]); 15] = [
        ("actix::", &["src/actors"]),
        // The settings read an address as the server does.
        ("actix_web::", &["src/http", "src/app", "src/config/check"]),
        ("actix_server::", &["src/app"]),
        ("rusqlite::", &["src/store", "src/queue"]),
        ("aws_sdk_dynamodb::", &["src/store/dynamodb"]),
        ("aws_sdk_sqs::", &["src/queue"]),
        ("aws_sdk_sesv2::", &["src/mail"]),
        ("aws_sdk_sns::", &["src/mail"]),
        ("lettre::", &["src/mail"]),
        ("openidconnect::", &["src/identity"]),
        ("clap::", &["src/cli"]),
        ("arrow_array::", &["src/dataset/export"]),
        ("arrow_ipc::", &["src/dataset/export"]),
        ("parquet::", &["src/dataset/export"]),
        ("age::", &["src/transfer"]),
    ];
    let mut wrong = Vec::new();
    for path in files("src", "rs").iter().filter(|path| !is_test(path)) {
        let program = program(path);
        for (library, places) in known_to {
            let is_at_home =
                places.iter().any(|place| path.starts_with(place) || *path == Path::new(&format!("{place}.rs")));
            let is_used = program.split(library).skip(1).count() > 0
                && program.lines().any(|line| {
                    line.match_indices(library)
                        .any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_'))
                });
            if is_used && !is_at_home {
                wrong.push(format!("{} uses {library}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Every test, with the path that it has in Rust, its binary first: a function with an attribute that makes it one, and in the
/// contract, whose tests are listed in `contract!`, one that others may call.
fn tests() -> Vec<String> {
    let mut found = Vec::new();
    for path in files("src", "rs").into_iter().chain(files("tests", "rs")) {
        let mut modules: Vec<String> =
            path.with_extension("").iter().skip(1).map(|part| part.to_str().unwrap().to_owned()).collect();
        modules.retain(|part| part != "mod" && part != "main");
        let text = read(&path);
        let is_inline = path.starts_with("src") && text.contains("#[cfg(test)]\nmod tests {");
        let is_contract = path.starts_with("tests/contract");
        let mut has_attribute = false;
        for line in text.lines() {
            let line_is_attribute = line.trim_start().starts_with("#[");
            has_attribute |= line_is_attribute && line.contains("test");
            let Some((before, after)) = line.split_once("fn ").filter(|_| !line_is_attribute) else { continue };
            if before.trim_start().starts_with("//") {
                continue;
            }
            let is_test = std::mem::take(&mut has_attribute);
            if !(is_test || is_contract && before.trim_start().starts_with("pub(crate)")) {
                continue;
            }
            let name: String = after.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            let tests = if is_inline { "tests::" } else { "" };
            found.push(format!("{}::{tests}{name}", modules.join("::")));
        }
    }
    found
}

/// Whether a name of GUARANTEES.md is one of these, or a module of them: `…` stands for anything, and modules may be left out.
fn is_among(name: &str, all: &[String]) -> bool {
    // The same sources, run over AWS.
    let name = ["api", "crash", "faults"]
        .iter()
        .fold(name.to_owned(), |name, binary| name.replace(&format!("{binary}_aws::"), &format!("{binary}::")));
    let wanted: Vec<&str> = name.split("::").collect();
    let (last, before) = wanted.split_last().unwrap();
    all.iter().any(|test| {
        let (modules, own) = test.rsplit_once("::").unwrap();
        let mut modules = modules.split("::");
        let is_below = before.iter().all(|wanted| modules.any(|module| fits(wanted, module)));
        is_below && (fits(last, own) || (!last.contains('…') && modules.any(|module| module == *last)))
    })
}

/// Whether a part of a name is this one, where `…` stands for anything.
fn fits(wanted: &str, part: &str) -> bool {
    let mut rest = part;
    for (nth, piece) in wanted.split('…').enumerate() {
        let at = if nth == 0 { rest.starts_with(piece).then_some(0) } else { rest.find(piece) };
        let Some(at) = at else { return false };
        rest = &rest[at + piece.len()..];
    }
    wanted.ends_with('…') || rest.is_empty()
}

/// A test that was renamed leaves a promise that nothing shows.
#[test]
fn every_test_that_a_promise_names_is_there() {
    let tests = tests();
    let makefile = read("Makefile");
    let (mut count, mut missing) = (0, Vec::new());
    for line in read("docs/GUARANTEES.md").lines() {
        let shown_by = line.trim_end_matches(" |").rsplit(" | ").next().unwrap_or_default();
        for (nth, quoted) in line.split('`').enumerate() {
            let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_:…".contains(c);
            let is_name = nth % 2 == 1 && !quoted.is_empty() && quoted.chars().all(is_word);
            let is_in_column =
                line.starts_with('|') && shown_by.contains(&format!("`{quoted}`")) && quoted.contains('_');
            let is_there = if nth % 2 == 1 && quoted.starts_with("scripts/") {
                root().join(quoted).exists()
            } else if let Some(target) = quoted.strip_prefix("make ").filter(|_| nth % 2 == 1) {
                makefile.contains(&format!("\n{target}:"))
            } else if is_name && (quoted.contains("::") || quoted.contains('…') || is_in_column) {
                // The binaries as a whole, where the page says what they are.
                quoted.split_once("::…").is_some_and(|(binary, _)| root().join(format!("tests/{binary}")).exists())
                    || is_among(quoted, &tests)
            } else {
                continue;
            };
            count += 1;
            if !is_there {
                missing.push(quoted.to_owned());
            }
        }
    }
    assert!(count > 200, "only {count} tests are named: is the page read as it is written?");
    assert!(missing.is_empty(), "GUARANTEES.md names what is not there: {missing:#?}");
}

/// A line of the log has its text under `message`: a field of that name would stand there twice, and readers keep the last.
#[test]
fn no_field_of_a_log_line_is_called_message() {
    let all = files("src", "rs").into_iter().map(|path| (read(&path), path));
    let is_field = |line: &str| {
        ["(message,", "(message =", " message = %", " message = ?", ", message,"].iter().any(|one| line.contains(one))
    };
    let wrong = |text: &str| text.lines().any(|line| line.contains("tracing::") && is_field(line));
    let wrong: Vec<_> = all.filter(|(text, _)| wrong(text)).map(|(_, path)| path).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

//! Compares the live views with what the log says they should be.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde::Serialize;

use super::{Ended, Folding, Progress, ReplayError};
use crate::{
    domain::{
        id::StreamId,
        key::KeyId,
        lineage::{Lineage, Loss, RecordsIdentity},
        view::{ImportRow, Rows, SessionRow},
    },
    store::{IssuedTwice, Live, ReplayLog, ReplaySpace, Settled, Stage, records::DataSet},
};

/// A place where the live views differ from the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The view and the row, such as `users 0192…`.
    pub row: String,
    /// The row by the log; `None` when there should be none.
    pub expected: Option<String>,
    /// The live row; `None` when it is missing.
    pub found: Option<String>,
}

/// The result of a verification.
#[derive(Debug, Default)]
pub struct Verified {
    /// How many differences there are.
    pub differences: u64,
    /// Rows that unpublished commits have not written yet. A start or a running server writes them; they are no differences.
    pub waiting: u64,
    /// How much of the log was read.
    pub progress: Progress,
    /// Every import in the log: for [`verify_records`].
    pub imports: Vec<ImportRow>,
}

/// Rebuilds the rows of every stream and compares them with the live rows of the same moment. `found` receives each difference, `report`
/// the progress.
///
/// # Errors
/// When an event cannot be read, of a stream that is not in quarantine, or the store fails.
pub fn verify(
    space: &mut dyn ReplaySpace,
    found: &mut dyn FnMut(Difference),
    report: &mut dyn FnMut(Progress),
) -> Result<Verified, ReplayError> {
    let mut imports = Vec::new();
    let quarantined = space.quarantined()?;
    let mut folding = Folding::beside(quarantined.clone());
    let (mut differences, mut waiting) = (0u64, 0u64);
    let mut tell = |difference: Difference| {
        differences += 1;
        found(difference);
    };
    let described_rows = |Ended { stream, state, .. }: Ended| {
        let rows = state.rows();
        (stream, described(&rows), rows.imports)
    };
    let (log, _) = space.sides();
    folding.run(log, report, described_rows, &mut |log, ended| {
        let streams: Vec<StreamId> = ended.iter().map(|(stream, ..)| stream.clone()).collect();
        for ((stream, expected, _), live) in ended.iter().zip(log.live_rows(&streams)?) {
            // Its views were made by whoever could read it, or up to where it can be read.
            if quarantined.contains(stream) {
                continue;
            }
            waiting += compare_stream(log, stream, expected, &live, &mut tell)?;
        }
        imports.extend(ended.into_iter().flat_map(|(.., imports)| imports));
        Ok(())
    })?;
    for orphan in log.orphans()? {
        tell(Difference { row: orphan, expected: None, found: Some("present".to_owned()) });
    }
    Ok(Verified { differences, waiting, progress: folding.progress, imports })
}

/// Compares the records with the log's imports: finds records that are gone, older, or made by no known import. Each difference comes with
/// advice.
pub fn verify_records(imports: &[ImportRow], records: &[Arc<DataSet>]) -> Vec<(Difference, Loss)> {
    let lineages = Lineage::all(imports);
    let stored: BTreeMap<&str, RecordsIdentity> =
        records.iter().map(|data_set| (data_set.definition.name.as_str(), data_set.identity())).collect();
    let names: BTreeSet<&str> = lineages.keys().map(String::as_str).chain(stored.keys().copied()).collect();
    let judged = names.into_iter().filter_map(|name| {
        let lineage = lineages.get(name).cloned().unwrap_or_else(|| Lineage::of(name, []));
        let loss = lineage.judge(stored.get(name)).err()?;
        let expected = match lineage.version() {
            0 => "no import that completed".to_owned(),
            version => format!("version {version}"),
        };
        let found = stored.get(name).map(|RecordsIdentity { version, last_import, .. }| {
            format!("version {version} by the import {last_import}")
        });
        Some((Difference { row: format!("records {name}"), expected: Some(expected), found }, loss))
    });
    judged.collect()
}

/// Compares a stream's expected rows with the live ones. Reads both again before reporting a difference: somebody may have written to the
/// stream in between. Returns how many rows an unpublished commit has still to write.
fn compare_stream(
    log: &mut dyn ReplayLog,
    stream: &StreamId,
    expected: &BTreeMap<String, String>,
    live: &Live,
    tell: &mut dyn FnMut(Difference),
) -> Result<u64, ReplayError> {
    let found = described(&live.rows);
    if found == *expected && live.wrong.is_empty() {
        return Ok(0);
    }
    let twice = log.issued_twice(stream)?;
    let (mut expected, mut found, mut wrong, awaited) = match log.again(stream)? {
        None => (expected.clone(), found, live.wrong.clone(), BTreeSet::new()),
        Some(settled) => {
            let (awaited, Settled { expected, live, .. }) = (awaited(&settled), settled);
            (described(&expected), described(&live.rows), live.wrong, awaited)
        }
    };
    for twice in twice {
        let IssuedTwice { key, first, other, is_over } = twice;
        if *stream == StreamId::User(other) {
            // The second user of a key issued twice has no row for it.
            expected.remove(&key_row(key));
            found.remove(&key_row(key));
            wrong.retain(|row| *row != Live::wrong_terms(key));
        }
        if !is_over {
            let one = format!("issued to user {first} alone");
            let both = format!(
                "issued to user {other}, too, who may know it: revoke it for both and issue new ones; until then it stays the first one's"
            );
            tell(Difference { row: key_row(key), expected: Some(one), found: Some(both) });
        }
    }
    let mut waiting = 0;
    let mut tell = |difference: Difference| {
        if awaited.contains(&difference.row) {
            waiting += 1;
        } else {
            tell(difference);
        }
    };
    compare(&expected, &found, &mut tell);
    for row in wrong {
        let (expected, found) = (Some("what the rows say".to_owned()), Some("something else".to_owned()));
        tell(Difference { row, expected, found });
    }
    Ok(waiting)
}

/// The names of rows that may differ while commits of the stream are unpublished: each such commit may or may not have written each of its
/// rows; every other commit has.
fn awaited(Settled { expected, live, stages, is_erased }: &Settled) -> BTreeSet<String> {
    let Some((before, commits)) = stages.split_first() else { return BTreeSet::new() };
    let comparable = |rows: &Rows| described(&if *is_erased { rows.clone().without_personal() } else { rows.clone() });
    let found = comparable(&live.rows);
    let beside: BTreeSet<String> = stages.iter().flat_map(|stage| stage.written_beside.iter().cloned()).collect();
    let rows = stages.iter().map(|stage| &stage.rows).chain([expected, &live.rows]).flat_map(&comparable);
    let names = rows.map(|(name, _)| name).chain(beside.iter().cloned());
    let is_as_in = |stage: &Stage, rows: &BTreeMap<String, String>, name: &str| {
        if beside.contains(name) {
            return !stage.wrong.iter().any(|wrong| wrong == name);
        }
        rows.get(name) == found.get(name)
    };
    let rows = comparable(&before.rows);
    let mut can_be: BTreeMap<String, bool> = names.map(|name| (name.clone(), is_as_in(before, &rows, &name))).collect();
    for commit in commits {
        let (rows, written) = (comparable(&commit.rows), comparable(&commit.written));
        let written = written.keys().chain(&commit.written_beside);
        for name in written {
            let is_so = is_as_in(commit, &rows, name);
            can_be.entry(name.clone()).and_modify(|can| *can = is_so || (*can && commit.is_unpublished));
        }
    }
    can_be.into_iter().filter(|(_, can)| *can).map(|(name, _)| name).collect()
}

fn key_row(key: KeyId) -> String {
    format!("keys {key}")
}

fn compare(expected: &BTreeMap<String, String>, live: &BTreeMap<String, String>, tell: &mut dyn FnMut(Difference)) {
    for (row, expected) in expected {
        let found = live.get(row);
        if found != Some(expected) {
            tell(Difference { row: row.clone(), expected: Some(expected.clone()), found: found.cloned() });
        }
    }
    for (row, found) in live.iter().filter(|(row, _)| !expected.contains_key(*row)) {
        tell(Difference { row: row.clone(), expected: None, found: Some(found.clone()) });
    }
}

/// Every row by its name, as a text that hides addresses and names but differs when these do.
pub(super) fn described(rows: &Rows) -> BTreeMap<String, String> {
    let users = rows.users.iter().map(|row| (format!("users {}", row.id), hidden(row, &[&row.email, &row.name])));
    let keys = rows.keys.iter().map(|row| (key_row(row.id), hidden(row, &[&Some(row.hash.to_hex())])));
    let session = |row: &SessionRow| hidden(row, &[&Some(row.hash.to_hex()), &row.network]);
    let sessions = rows.sessions.iter().map(|row| (format!("sessions {}", row.id), session(row)));
    let plans = rows.plans.iter().map(|row| (format!("plans {}", row.name), hidden(row, &[])));
    let imports = rows.imports.iter().map(|row| (format!("imports {}", row.id), hidden(row, &[])));
    let tokens = rows.tokens.iter().map(|row| (format!("tokens {}", row.id), hidden(row, &[&Some(row.hash.to_hex())])));
    users.chain(keys).chain(sessions).chain(plans).chain(imports).chain(tokens).collect()
}

fn hidden(row: &impl Serialize, personal: &[&Option<String>]) -> String {
    use sha2::{Digest, Sha256};
    let mut document = serde_json::to_value(row).unwrap_or_else(|error| error.to_string().into());
    if let Some(fields) = document.as_object_mut() {
        for name in ["email", "name"].into_iter().filter(|_| !personal.is_empty()) {
            if let Some(field) = fields.get_mut(name).filter(|field| !field.is_null()) {
                *field = "…".into();
            }
        }
        let digest = personal.iter().fold(Sha256::new(), |hash, text| hash.chain_update(format!("{text:?}\n")));
        if !personal.is_empty() {
            let digest = crate::domain::id::hex(digest.finalize().get(..4).unwrap_or_default());
            fields.insert("personal_digest".to_owned(), digest.into());
        }
    }
    document.to_string()
}

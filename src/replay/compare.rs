//! Compares the views of two programs or of two data directories, row by row and field by field.
//!
//! Another program gets the log as lines of JSON and answers with rows: it touches no data, whatever its tables look like. The form of the
//! lines is part of the interface between versions ([`FoldedLine`], [`RowsLine`]).

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead, Write},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{CHUNK_COMMITS, Ended, Folding, Progress, ReplayError, interrupted, start, verify::described};
use crate::{
    domain::{
        id::StreamId,
        persisted::Encoded,
        personal::PersonalKey,
        view::{Rows, State},
    },
    store::{CommitBatch, IssuedTwice, Live, ReplayLog, ReplaySpace, Settled, StoreError},
};

/// The form of the lines that this permitd reads and writes.
const LINES_FORMAT: u32 = 1;
/// Chunks of commits that may wait for the other program.
const CHUNKS_WAITING: usize = 3;

/// The first line of the answer.
#[derive(Debug, Serialize, Deserialize)]
struct LinesHead {
    /// The form of the following lines.
    format: u32,
    /// The version of permitd that writes them.
    permitd: String,
}

/// A commit on its way to another program. The commits of a stream follow each other, in order.
#[derive(Debug, Serialize, Deserialize)]
struct FoldedLine {
    /// The stream.
    stream: String,
    /// The version.
    version: u64,
    /// When it was recorded.
    recorded_at: Timestamp,
    /// The encoded events.
    events: String,
    /// The key of the stream's person, Base64; none once they were erased.
    key: Option<String>,
}

/// The rows that follow from a stream: their names, such as `users 0192…`, and their fields. Of personal data there is only a digest.
#[derive(Debug, Serialize, Deserialize)]
struct RowsLine {
    /// The stream.
    stream: String,
    /// The rows.
    rows: BTreeMap<String, Value>,
}

/// A field in which a row differs, or a row that only one side has.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FieldDifference {
    /// The view and the row, such as `users 0192…`.
    pub row: String,
    /// The field; none where a whole row is missing.
    pub field: Option<String>,
    /// What this program or directory has; none where it has no such row or field.
    pub here: Option<Value>,
    /// What the other has.
    pub there: Option<Value>,
}

/// Why there is no comparison.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// The log or the views cannot be read.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// The other program gave another answer than rows.
    #[error("{0}")]
    Other(String),
    /// A line cannot be read or written.
    #[error("{0}")]
    Lines(#[from] std::io::Error),
}

impl From<StoreError> for CompareError {
    fn from(error: StoreError) -> Self {
        Self::Replay(error.into())
    }
}

/// A stream and its rows, by their names.
type NamedRows = (StreamId, BTreeMap<String, Value>);

/// The rows of a stream, by their names.
fn named(rows: &Rows) -> BTreeMap<String, Value> {
    let parsed = |text: String| serde_json::from_str(&text).unwrap_or(Value::String(text));
    described(rows).into_iter().map(|(name, row)| (name, parsed(row))).collect()
}

/// Tells how the rows of one stream differ.
fn differ(here: &BTreeMap<String, Value>, there: &BTreeMap<String, Value>, tell: &mut dyn FnMut(FieldDifference)) {
    let names: BTreeSet<&String> = here.keys().chain(there.keys()).collect();
    for name in names {
        let whole = |here: Option<&Value>, there: Option<&Value>| FieldDifference {
            row: name.clone(),
            field: None,
            here: here.cloned(),
            there: there.cloned(),
        };
        match (here.get(name), there.get(name)) {
            (Some(Value::Object(ours)), Some(Value::Object(theirs))) => {
                let fields: BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
                for field in fields.into_iter().filter(|field| ours.get(*field) != theirs.get(*field)) {
                    tell(FieldDifference { field: Some(field.clone()), ..whole(ours.get(field), theirs.get(field)) });
                }
            }
            (ours, theirs) if ours != theirs => tell(whole(ours, theirs)),
            _ => {}
        }
    }
}

/// Writes the rows that follow from a log, a line for each stream, in the order of the log.
///
/// # Errors
/// When an event cannot be read, or a line not be written.
pub fn print_rows(
    space: &mut dyn ReplaySpace,
    out: &mut dyn Write,
    report: &mut dyn FnMut(Progress),
) -> Result<Progress, CompareError> {
    write_head(out)?;
    let mut folding = Folding::beside(space.quarantined()?);
    let (log, _) = space.sides();
    let mut failed = None;
    let read =
        folding.run(log, report, |Ended { stream, state, .. }| (stream, named(&state.rows())), &mut |_,
                                                                                                     ended: Vec<
            NamedRows,
        >| {
            for (stream, rows) in ended {
                if failed.is_none() {
                    failed = write_line(out, &RowsLine { stream: stream.to_string(), rows }).err();
                }
            }
            Ok(())
        });
    match failed {
        Some(error) => Err(error.into()),
        None => Ok(read.map(|()| folding.progress)?),
    }
}

/// Reads a log as lines, and writes the rows that follow from each of its streams as soon as it has ended. Touches no data.
///
/// # Errors
/// When a line or an event cannot be read, or a line not be written.
pub fn fold_lines(log: impl BufRead, out: &mut dyn Write) -> Result<(), CompareError> {
    write_head(out)?;
    out.flush()?;
    let mut current: Option<(StreamId, State)> = None;
    for line in log.lines() {
        let line: FoldedLine = serde_json::from_str(&line?).map_err(|error| {
            // A line may hold a key: only the place is told.
            CompareError::Other(format!("a line of the log cannot be read at character {}", error.column()))
        })?;
        let stream = StreamId::parse(&line.stream).map_err(|error| CompareError::Other(error.to_string()))?;
        if current.as_ref().is_some_and(|(of, _)| *of != stream) {
            end(&mut current, out)?;
        }
        let key = line.key.as_deref().map(read_key).transpose()?;
        let (_, state) = current.get_or_insert_with(|| (stream.clone(), State::empty(&stream)));
        let commit =
            Encoded { stream: &stream, version: line.version, recorded_at: line.recorded_at, events: &line.events };
        crate::domain::persisted::fold(commit, key.as_ref(), state).map_err(ReplayError::from)?;
    }
    end(&mut current, out)
}

fn end(current: &mut Option<(StreamId, State)>, out: &mut dyn Write) -> Result<(), CompareError> {
    if let Some((stream, state)) = current.take() {
        write_line(out, &RowsLine { stream: stream.to_string(), rows: named(&state.rows()) })?;
        // Whoever compares waits for it.
        out.flush()?;
    }
    Ok(())
}

fn read_key(text: &str) -> Result<PersonalKey, CompareError> {
    let bytes = BASE64_STANDARD.decode(text).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    bytes.map(PersonalKey::from_bytes).ok_or_else(|| CompareError::Other("a personal key has a wrong form".to_owned()))
}

fn write_head(out: &mut dyn Write) -> Result<(), CompareError> {
    Ok(write_line(out, &LinesHead { format: LINES_FORMAT, permitd: env!("CARGO_PKG_VERSION").to_owned() })?)
}

fn write_line(out: &mut dyn Write, line: &impl Serialize) -> std::io::Result<()> {
    serde_json::to_writer(&mut *out, line)?;
    out.write_all(b"\n")
}

/// Another program that folds the log.
pub struct OtherProgram<W, R> {
    /// Takes the log.
    pub log: W,
    /// Gives the rows.
    pub rows: R,
}

/// Folds the log here, has another program fold the same commits, and tells where the rows differ. Returns how much was read.
///
/// # Errors
/// When the log cannot be read, or the other program gives no rows.
pub fn compare_with_program<W, R>(
    space: &mut dyn ReplaySpace,
    other: OtherProgram<W, R>,
    tell: &mut dyn FnMut(FieldDifference),
    report: &mut dyn FnMut(Progress),
) -> Result<Progress, CompareError>
where
    W: Write + Send,
    R: BufRead + Send,
{
    let OtherProgram { log: mut to_other, rows: mut from_other } = other;
    let mut head = String::new();
    from_other.read_line(&mut head)?;
    let head: LinesHead = serde_json::from_str(&head).map_err(|_| {
        CompareError::Other("it does not know `permitd events views --stdin`: it is too old to be compared".to_owned())
    })?;
    if head.format != LINES_FORMAT {
        return Err(CompareError::Other(format!(
            "it is permitd {}, which writes rows in the form {}, and this one reads {LINES_FORMAT}",
            head.permitd, head.format
        )));
    }
    thread::scope(|scope| {
        let (chunks, to_send) = sync_channel::<CommitBatch>(CHUNKS_WAITING);
        // What is unread here is at most what was sent and has not been compared yet.
        let (lines, answers) = std::sync::mpsc::channel::<Result<RowsLine, CompareError>>();
        let send = move || -> std::io::Result<()> {
            for chunk in to_send {
                for (commit, key) in chunk.iter() {
                    write_line(&mut to_other, &FoldedLine::of(&commit, key))?;
                }
                to_other.flush()?;
            }
            Ok(())
        };
        start(scope, "compare-send", send)?;
        let read = move || {
            for line in from_other.lines() {
                let unread = |_| CompareError::Other("it gave a line that is no row".to_owned());
                let line =
                    line.map_err(CompareError::from).and_then(|line| serde_json::from_str(&line).map_err(unread));
                if lines.send(line).is_err() {
                    return;
                }
            }
        };
        start(scope, "compare-read", read)?;
        let left_out = space.quarantined()?;
        let (log, _) = space.sides();
        let mut tee = Tee { log, left_out, chunks: Some(chunks) };
        let mut folding = Folding::default();
        let mut failed = None;
        let read = folding.run(
            &mut tee,
            report,
            |Ended { stream, state, .. }| (stream, named(&state.rows())),
            &mut |_, ended: Vec<NamedRows>| {
                for (stream, here) in ended {
                    if failed.is_none() {
                        failed = compare_next(&answers, &stream, &here, tell).err();
                    }
                    if failed.is_some() {
                        return Err(interrupted());
                    }
                }
                Ok(())
            },
        );
        // The threads end when neither side waits any more.
        drop(tee);
        drop(answers);
        match failed {
            Some(error) => Err(error),
            None => Ok(read.map(|()| folding.progress)?),
        }
    })
}

fn compare_next(
    answers: &Receiver<Result<RowsLine, CompareError>>,
    stream: &StreamId,
    here: &BTreeMap<String, Value>,
    tell: &mut dyn FnMut(FieldDifference),
) -> Result<(), CompareError> {
    let ended = || CompareError::Other(format!("it ended before it had given the rows of {stream}"));
    let there = answers.recv().map_err(|_| ended())??;
    if there.stream != stream.to_string() {
        return Err(CompareError::Other(format!("it gave the rows of {} where {stream} was expected", there.stream)));
    }
    differ(here, &there.rows, tell);
    Ok(())
}

impl FoldedLine {
    fn of(commit: &Encoded<'_>, key: Option<&PersonalKey>) -> Self {
        Self {
            stream: commit.stream.to_string(),
            version: commit.version,
            recorded_at: commit.recorded_at,
            events: commit.events.to_owned(),
            key: key.map(|key| BASE64_STANDARD.encode(key.as_bytes())),
        }
    }
}

/// A log whose commits also go to somebody else.
struct Tee<'l> {
    log: &'l mut dyn ReplayLog,
    /// The streams in quarantine: neither side is asked about them.
    left_out: BTreeSet<StreamId>,
    /// Dropped at the end, so that the other side sees it.
    chunks: Option<SyncSender<CommitBatch>>,
}

impl ReplayLog for Tee<'_> {
    fn next(&mut self, max: usize) -> Result<CommitBatch, StoreError> {
        loop {
            let chunk = self.log.next(max)?;
            if chunk.is_empty() {
                self.chunks = None;
                return Ok(chunk);
            }
            let (mut ours, mut theirs) = (CommitBatch::default(), CommitBatch::default());
            for (commit, key) in chunk.iter().filter(|(commit, _)| !self.left_out.contains(commit.stream)) {
                ours.push(commit, key.cloned());
                theirs.push(commit, key.cloned());
            }
            if ours.is_empty() {
                continue;
            }
            if let Some(chunks) = &self.chunks {
                // Where the other side has ended, its missing rows tell.
                chunks.send(theirs).ok();
            }
            return Ok(ours);
        }
    }

    fn live_rows(&mut self, streams: &[StreamId]) -> Result<Vec<Live>, StoreError> {
        self.log.live_rows(streams)
    }

    fn again(&mut self, stream: &StreamId) -> Result<Option<Settled>, StoreError> {
        self.log.again(stream)
    }

    fn issued_twice(&mut self, stream: &StreamId) -> Result<Vec<IssuedTwice>, StoreError> {
        self.log.issued_twice(stream)
    }

    fn orphans(&mut self) -> Result<Vec<String>, StoreError> {
        self.log.orphans()
    }
}

/// Compares the stored views of two deployments, stream by stream, and tells where the rows differ. Returns how much was read of both.
///
/// # Errors
/// When a log or the views cannot be read.
pub fn compare_views(
    here: &mut dyn ReplaySpace,
    there: &mut dyn ReplaySpace,
    tell: &mut dyn FnMut(FieldDifference),
    report: &mut dyn FnMut(Progress),
) -> Result<Progress, CompareError> {
    let mut progress = Progress::default();
    let ((ours, _), (theirs, _)) = (here.sides(), there.sides());
    each_stream(ours, &mut progress, report, &mut |ours, streams| {
        for (here, there) in ours.live_rows(streams)?.iter().zip(theirs.live_rows(streams)?) {
            differ(&named(&here.rows), &named(&there.rows), tell);
        }
        Ok(())
    })?;
    each_stream(theirs, &mut progress, report, &mut |theirs, streams| {
        for (here, there) in ours.live_rows(streams)?.iter().zip(theirs.live_rows(streams)?) {
            // What both have was compared above.
            if here.rows == Rows::default() {
                differ(&BTreeMap::new(), &named(&there.rows), tell);
            }
        }
        Ok(())
    })?;
    Ok(progress)
}

/// Receives some streams of a log.
type TakeStreams<'a> = &'a mut dyn FnMut(&mut dyn ReplayLog, &[StreamId]) -> Result<(), ReplayError>;

/// Hands over the streams of a log, some at a time.
fn each_stream(
    log: &mut dyn ReplayLog,
    progress: &mut Progress,
    report: &mut dyn FnMut(Progress),
    take: TakeStreams<'_>,
) -> Result<(), ReplayError> {
    let mut last: Option<StreamId> = None;
    loop {
        let chunk = log.next(CHUNK_COMMITS)?;
        if chunk.is_empty() {
            return Ok(());
        }
        let mut streams: Vec<StreamId> = Vec::new();
        for (commit, _) in chunk.iter() {
            if last.as_ref() != Some(commit.stream) {
                last = Some(commit.stream.clone());
                streams.push(commit.stream.clone());
            }
        }
        progress.commits += u64::try_from(chunk.len()).unwrap_or(0);
        progress.streams += u64::try_from(streams.len()).unwrap_or(0);
        report(*progress);
        take(log, &streams)?;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rows(rows: &[(&str, Value)]) -> BTreeMap<String, Value> {
        rows.iter().map(|(name, row)| ((*name).to_owned(), row.clone())).collect()
    }

    #[test]
    fn differences_name_row_and_field() {
        let here = rows(&[("users 1", json!({ "plan": "a", "role": "member" })), ("keys 1", json!({ "id": 1 }))]);
        let there = rows(&[("users 1", json!({ "plan": "b", "role": "member", "new": true })), ("keys 2", json!({}))]);
        let mut told = Vec::new();
        differ(&here, &there, &mut |difference| told.push(difference));
        let short: Vec<(&str, Option<&str>)> =
            told.iter().map(|one| (one.row.as_str(), one.field.as_deref())).collect();
        let expected = [("keys 1", None), ("keys 2", None), ("users 1", Some("new")), ("users 1", Some("plan"))];
        assert_eq!(short, expected);
        assert_eq!((&told[3].here, &told[3].there), (&Some(json!("a")), &Some(json!("b"))));
        told.clear();
        differ(&here, &here.clone(), &mut |difference| told.push(difference));
        assert!(told.is_empty());
    }

    #[test]
    fn a_line_that_cannot_be_read_shows_nothing_of_itself() {
        let mut out = Vec::new();
        let error = fold_lines("{\"key\":\"c2VjcmV0\", nonsense".as_bytes(), &mut out).unwrap_err().to_string();
        assert!(error.contains("character") && !error.contains("c2Vj"), "{error}");
        assert!(String::from_utf8(out).unwrap().starts_with("{\"format\":1,"));
    }
}

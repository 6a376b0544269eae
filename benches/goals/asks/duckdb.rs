//! DuckDB in process with one thread: a small program in Python has it, and answers as the server does, on the servers' core.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Stdio},
};

use permitd::dataset::{ColumnType, Definition};
use serde_json::{Map, Value, json};

use super::{
    ASKED_FOR, ASKED_MAX, Asked, filled,
    questions::{ASKS, Ask, Part},
    statement,
    world::World,
};
use crate::{
    Outcome,
    process::{SERVER_CORE, pinned},
    report::show,
};

/// The program.
const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/goals/asks/ask_duckdb.py");
/// How far two numbers may be apart, as a part of them: means are rounded.
const ROUNDED: f64 = 1e-9;

/// What DuckDB makes of the questions that permitd has answered.
///
/// # Errors
/// When DuckDB finds other rows than permitd.
pub(super) fn ask_all(tools: &Path, world: &World, ours: &[Asked]) -> Outcome<Vec<Asked>> {
    let mut duckdb = DuckDb::start(tools)?;
    duckdb.order(
        &json!({ "load": [table("permits", world, &world.csv)?, table("permits_before", world, &world.csv_before)?] }),
    )?;
    ASKS.iter().zip(ours).map(|(ask, ours)| duckdb.ask(ask, ours, world)).collect()
}

/// The statement that makes a table of a file of rows, with the types of the definition, in the file's order: that of the keys. A place is two
/// numbers.
fn table(name: &str, world: &World, file: &Path) -> Outcome<String> {
    let definition = Definition::builtin()?.into_iter().find(|definition| definition.name == "permits");
    let definition = definition.ok_or("there is no definition of permits")?;
    let kind = |kind: ColumnType| match kind {
        ColumnType::Integer => "BIGINT",
        ColumnType::Money => "DECIMAL(18, 2)",
        ColumnType::Number => "DOUBLE",
        ColumnType::Date => "DATE",
        ColumnType::Timestamp => "TIMESTAMP",
        _ => "VARCHAR",
    };
    let columns = definition.columns.iter();
    let types: Vec<String> = columns.map(|column| format!("'{}': '{}'", column.name, kind(column.kind))).collect();
    let columns = match world.has_places {
        true => {
            r"* EXCLUDE (location), CAST(regexp_extract(location, '\((\S+) (\S+)\)', 1) AS DOUBLE) AS lon,
              CAST(regexp_extract(location, '\((\S+) (\S+)\)', 2) AS DOUBLE) AS lat"
        }
        false => "*",
    };
    Ok(format!(
        "CREATE TABLE {name} AS SELECT {columns} FROM read_csv('{}', header = true, types = {{{}}})",
        file.display(),
        types.join(", ")
    ))
}

/// The program, while it runs.
struct DuckDb {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
    log: std::path::PathBuf,
}

impl DuckDb {
    fn start(tools: &Path) -> Outcome<Self> {
        let log = tools.join("duckdb.log");
        let mut command = pinned(SERVER_CORE, tools.join("bin/python"));
        command.arg(PROGRAM).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(fs::File::create(&log)?);
        let mut child = command.spawn()?;
        let orders = child.stdin.take().ok_or("DuckDB takes no orders")?;
        let answers = BufReader::new(child.stdout.take().ok_or("DuckDB gives no answers")?);
        Ok(Self { child, orders, answers, log })
    }

    /// Hands over an order and waits for what comes of it.
    fn order(&mut self, order: &Value) -> Outcome<Value> {
        writeln!(self.orders, "{order}")?;
        let mut line = String::new();
        if self.answers.read_line(&mut line)? == 0 {
            return Err(format!("DuckDB has ended: {}", fs::read_to_string(&self.log)?).into());
        }
        let answer: Value = serde_json::from_str(&line)?;
        match answer.get("error").and_then(Value::as_str) {
            Some(error) => Err(format!("DuckDB refuses {order}: {error}").into()),
            None => Ok(answer),
        }
    }

    /// Asks one question, unless permitd has not answered it.
    fn ask(&mut self, ask: &Ask, ours: &Asked, world: &World) -> Outcome<Asked> {
        if !ours.is_there() {
            return Ok(Asked::left_out("–"));
        }
        let statements: Vec<String> =
            ask.duckdb.iter().map(|sql| filled(&statement(sql), world, ours.skipped)).collect();
        let order = json!({ "ask": statements, "times": ASKED_MAX, "seconds": ASKED_FOR.as_secs_f64() });
        let answer = self.order(&order)?;
        agree(ask, ours, &answer).map_err(|why| format!("\"{}\": permitd and DuckDB disagree: {why}", ask.kind))?;
        let ms = answer.get("median_ms").and_then(Value::as_f64).ok_or("DuckDB told no time")?;
        Ok(Asked { shown: show(ms), ms: Some(ms), records: ours.records, ..Asked::default() })
    }
}

impl Drop for DuckDb {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to end.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Compares the number of rows, what both call by the same name in the first row, and the count where one was asked for.
fn agree(ask: &Ask, ours: &Asked, theirs: &Value) -> Result<(), String> {
    let document = ours.document.as_ref().ok_or("permitd's answer is no document")?;
    let rows = theirs.pointer("/answers/0/rows").and_then(Value::as_u64).ok_or("DuckDB told no number of rows")?;
    if ours.records.and_then(|records| u64::try_from(records).ok()) != Some(rows) {
        return Err(format!("{:?} rows and {rows}", ours.records.unwrap_or_default()));
    }
    if let Some(count) = document.pointer("/page/count") {
        let counted = theirs.pointer("/answers/1/first/count").unwrap_or(&Value::Null);
        if !is_same(count, counted) {
            return Err(format!("they count {count} and {counted}"));
        }
    }
    if rows == 0 {
        return Ok(());
    }
    let first = document.pointer(ask.part.pointer()).and_then(|rows| rows.get(0)?.as_object());
    let (first, their_first) =
        (first.ok_or("no first row")?, theirs.pointer("/answers/0/first").and_then(Value::as_object));
    let their_first = their_first.ok_or("DuckDB told no first row")?;
    let compared = their_first.iter().filter_map(|(name, cell)| Some((name, first.get(name)?, cell)));
    let mut names = Vec::new();
    for (name, our_cell, cell) in compared {
        if !is_same(our_cell, cell) {
            return Err(format!("{name} of the first row is {our_cell} and {cell}; {}", key(first)));
        }
        names.push(name.as_str());
    }
    let needed: &[&str] = if ask.part == Part::Page { &["application_number", "record_id"] } else { &[] };
    if names.is_empty() || needed.iter().any(|name| !names.contains(name)) {
        return Err(format!("the first rows have only {names:?} in common"));
    }
    Ok(())
}

/// The key of a record, if it is one.
fn key(record: &Map<String, Value>) -> String {
    record.get("application_number").map_or_else(String::new, |key| format!("permitd's has the key {key}"))
}

/// Whether a value of an answer is the one that DuckDB has given as a text.
fn is_same(ours: &Value, theirs: &Value) -> bool {
    let text = |value: &Value| match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    };
    match (text(ours), text(theirs)) {
        (Some(ours), Some(theirs)) if ours != theirs => match (ours.parse::<f64>(), theirs.parse::<f64>()) {
            (Ok(ours), Ok(theirs)) => (ours - theirs).abs() <= ROUNDED * ours.abs().max(theirs.abs()),
            _ => false,
        },
        (ours, theirs) => ours == theirs,
    }
}

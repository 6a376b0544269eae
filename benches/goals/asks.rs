//! Thirty questions of different kinds, put to permitd, DuckDB, Datasette and ROAPI over the same rows, at several sizes: `--only asks`, with
//! `--large` also at 1,000,000 and 5,000,000 records. DuckDB is asked in process and with one thread, and its answers are compared with
//! permitd's.

mod duckdb;
mod goals;
mod questions;
mod world;

use std::{
    fmt::Write as _,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use serde_json::Value;

use self::{
    questions::{ASKS, Ask, BESIDES},
    world::World,
};
use crate::{
    Outcome, Plan,
    filters::NOT_READY,
    http::{self, Answer},
    load::median,
    others,
    process::{self, LOAD_CORE, OnCore},
    report::{Finding, show},
};

/// How long one system is asked one question.
const ASKED_FOR: Duration = Duration::from_secs(2);
/// And how often at most.
const ASKED_MAX: usize = 25;
/// The page that is asked for late in a walk.
const LATE_PAGE: u32 = 900;
/// Records of a page.
const PAGE_RECORDS: u32 = 100;
/// A question may take as long as it takes.
const PATIENT: (&str, &str) = ("PERMITD_RECORDS_FIND_TIMEOUT_MS", "60000");
/// Indexes that Datasette is given: those that permitd's definition declares.
const INDEXES: &str = "CREATE INDEX a ON permits (status, status_date, application_number, record_id);
    CREATE INDEX b ON permits (status, file_date, application_number, record_id);
    CREATE INDEX c ON permits (status, estimated_cost, application_number, record_id);
    CREATE INDEX d ON permits (block, lot, application_number, record_id)";

/// The systems that are asked, in the order of the table.
const SYSTEMS: [&str; 4] = ["permitd", "DuckDB", "Datasette", "ROAPI"];

pub(crate) fn measure(plan: &Plan) -> Outcome<Vec<Finding>> {
    let tools = others::install()?;
    let sizes: &[u64] = if plan.large { &[200_000, 1_000_000, 5_000_000] } else { &[plan.rows] };
    let (mut findings, mut answered) = (Vec::new(), Vec::new());
    for size in sizes {
        eprintln!("asking {size} records …");
        let answers = ask_all(plan, &tools, *size, &mut findings)?;
        findings.extend(goals::findings(&answers, *size));
        answered.push(answers);
    }
    let mut table = format!("| question | {} |\n|---|---|---|---|---|\n", SYSTEMS.join(" | "));
    for (nth, ask) in ASKS.iter().enumerate() {
        let of = |system: usize| {
            let cell = |answers: &Answers| Some(answers.systems.get(system)?.get(nth)?.shown.clone());
            answered.iter().filter_map(cell).collect::<Vec<_>>().join(" / ")
        };
        let cells: Vec<String> = (0..SYSTEMS.len()).map(of).collect();
        let path = ask.part.path().trim_start_matches("/permits").trim_start_matches('/');
        let path = if path.is_empty() { String::new() } else { format!("{path}?") };
        writeln!(table, "| {}: `{path}{}` | {} |", ask.kind, ask.query, cells.join(" | "))?;
    }
    let sizes: Vec<String> = sizes.iter().map(|size| grouped(*size)).collect();
    let table = format!("Medians in ms at {} records:\n\n{table}", sizes.join(" / "));
    println!("{table}");
    plan.tables.borrow_mut().push(("Thirty questions", table));
    Ok(findings)
}

/// A number with commas.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let places = digits.len();
    let mut text = String::new();
    for (nth, digit) in digits.chars().enumerate() {
        if nth > 0 && (places - nth).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// What was answered at one size.
struct Answers {
    /// By each system, to [`ASKS`].
    systems: [Vec<Asked>; 4],
    /// By permitd, to [`BESIDES`].
    besides: Vec<Asked>,
}

/// Asks all systems, and puts what readers have of scans beside them into `findings`.
fn ask_all(plan: &Plan, tools: &Path, size: u64, findings: &mut Vec<Finding>) -> Outcome<Answers> {
    let world = World::new(plan, size)?;
    let fixture = &world.fixture;
    let server = fixture.serve(&[NOT_READY, PATIENT])?;
    // The requests come from the other core than the answers.
    let _core = OnCore::new(LOAD_CORE)?;
    let nowhere = Path::new("/dev/null");
    for (query, file) in
        [("format=ndjson", nowhere), ("format=ndjson&sort=-estimated_cost", nowhere), ("format=csv", &world.csv)]
    {
        world::export(&server, &fixture.key, query, file)?;
    }
    // What has been written would otherwise go to the disk while questions wait for the quota's ledger.
    process::output(&mut Command::new("sync"))?;
    findings.extend(goals::scans_beside(plan, fixture, &server, size)?);
    let get = |path: &str| http::get(server.address, path, Some(fixture.key.as_str()));
    let asked = |asked: &Ask| {
        let question = format!("{}?{}", asked.part.path(), filled(asked.query, &world, 0));
        let answer = ask(asked.part.pointer(), &question, ("/page/next", "cursor"), get);
        match (asked.needs, answer.status) {
            (Some(needs), Some(400)) => {
                eprintln!("not there: {needs}, so \"{}\" is left out", asked.kind);
                Asked::left_out("not there")
            }
            _ => answer,
        }
    };
    let ours: Vec<Asked> = ASKS.iter().map(asked).collect();
    let besides: Vec<Asked> = BESIDES.iter().map(asked).collect();
    drop(server);
    let ducks = duckdb::ask_all(tools, &world, &ours)?;
    let databases = [others::database(plan, fixture, &format!("asks-{size}"), INDEXES)?];
    let datasette = others::datasette(plan, tools, &databases)?;
    let base = format!("/asks-{size}");
    let get = |path: &str| http::get(datasette.address, path, None);
    let asked = |(asked, ours): (&Ask, &Asked)| match asked.datasette {
        Some(question) if ours.is_there() => ask("/rows", &datasette_path(&base, question), ("/next", "_next"), get),
        _ => Asked::left_out("–"),
    };
    let mut datasettes: Vec<Asked> = ASKS.iter().zip(&ours).map(asked).collect();
    drop(datasette);
    let roapi = others::roapi(plan, tools, &world.csv)?;
    let mut roapis = Vec::new();
    for (ask, ours) in ASKS.iter().zip(&ours) {
        roapis.push(match ask.roapi {
            Some(sql) if ours.is_there() => {
                let sql = filled(&statement(sql), &world, ours.skipped);
                timed("", || http::send(roapi.address, "POST /api/sql", "content-type: text/plain\r\n", &sql))
            }
            _ => Asked::left_out("–"),
        });
    }
    tell_apart(&mut datasettes, &ours);
    tell_apart(&mut roapis, &ours);
    Ok(Answers { systems: [ours, ducks, datasettes, roapis], besides })
}

/// A question with what is known of the world filled in. `skipped` records come before a late page.
fn filled(question: &str, world: &World, skipped: u32) -> String {
    question.replace("{before}", &world.before.to_string()).replace("{offset}", &skipped.to_string())
}

/// A whole statement, of one or of what stands behind the table's name.
fn statement(sql: &str) -> String {
    if sql.starts_with("SELECT") { sql.to_owned() } else { format!("SELECT * FROM permits {sql}") }
}

/// Where Datasette answers a question.
fn datasette_path(base: &str, question: &str) -> String {
    if let Some(sql) = question.strip_prefix("SQL ") {
        let sql: String = form_urlencoded::byte_serialize(sql.as_bytes()).collect();
        return format!("{base}.json?sql={sql}");
    }
    let size = if question.contains("_size=") { "" } else { "&_size=100" };
    let count = if question.contains("_count=") { "" } else { "&_nocount=1" };
    // What it would work out for those who look at its pages.
    format!("{base}/permits.json?{question}{size}{count}&_nosuggest=1&_nofacet=1")
}

/// Asks for a question's page: a late one where the question says so, the first one otherwise.
fn ask(pointer: &str, question: &str, cursor: (&str, &str), get: impl Fn(&str) -> Option<Answer>) -> Asked {
    match question.replacen(" LATE", "", 1) {
        first if first == question => timed(pointer, || get(question)),
        first => match late(&first, cursor, &get) {
            Ok((late, pages)) => Asked { skipped: pages * PAGE_RECORDS, ..timed(pointer, || get(&late)) },
            Err(shown) => Asked::left_out(&shown),
        },
    }
}

/// Follows the cursors to a late page, or to the last one, and says how many pages come before it. `cursor` is where an answer has it, and
/// how it is sent.
fn late(
    first: &str,
    (pointer, parameter): (&str, &str),
    get: impl Fn(&str) -> Option<Answer>,
) -> Result<(String, u32), String> {
    let mut late = first.to_owned();
    for page in 1..LATE_PAGE {
        let answer = get(&late).ok_or_else(|| format!("no answer at page {page}"))?;
        if answer.status != 200 {
            return Err(format!("{} at page {page}", refused(&answer).shown));
        }
        let document: Value = serde_json::from_slice(&answer.body).map_err(|error| error.to_string())?;
        let Some(next) = document.pointer(pointer).and_then(Value::as_str) else { return Ok((late, page - 1)) };
        let next: String = form_urlencoded::byte_serialize(next.as_bytes()).collect();
        late = format!("{first}&{parameter}={next}");
    }
    Ok((late, LATE_PAGE - 1))
}

/// What a system made of a question.
#[derive(Default)]
struct Asked {
    /// The median of several answers in milliseconds, with the way there; or what was answered instead.
    shown: String,
    /// The same as a number, where it was answered.
    ms: Option<f64>,
    /// The status of an answer that was not 200.
    status: Option<u16>,
    /// Records in the answer.
    records: Option<usize>,
    /// The first answer, where it is a document.
    document: Option<Value>,
    /// How many records come before the page.
    skipped: u32,
}

impl Asked {
    /// A question that was not asked, or not answered.
    fn left_out(shown: &str) -> Self {
        Self { shown: shown.to_owned(), ..Self::default() }
    }

    /// Whether there is an answer to compare others with.
    fn is_there(&self) -> bool {
        self.ms.is_some()
    }
}

/// A question that is not answered. Why not is told beside the table.
fn refused(answer: &Answer) -> Asked {
    eprintln!("refused: {}", String::from_utf8_lossy(&answer.body));
    Asked { status: Some(answer.status), ..Asked::left_out(&format!("refused ({})", answer.status)) }
}

/// Asks again and again. `pointer` says where the records are in the answer.
fn timed(pointer: &str, ask: impl Fn() -> Option<Answer>) -> Asked {
    let (mut times_ms, begun, mut first) = (Vec::new(), Instant::now(), None);
    while times_ms.len() < ASKED_MAX && (begun.elapsed() < ASKED_FOR || times_ms.is_empty()) {
        let started = Instant::now();
        match ask() {
            Some(answer) if answer.status == 200 => {
                times_ms.push(started.elapsed().as_secs_f64() * 1000.0);
                first = first.or(Some(answer.body));
            }
            Some(answer) => return refused(&answer),
            None => return Asked::left_out("no answer"),
        }
    }
    let document: Option<Value> = first.and_then(|body| serde_json::from_slice(&body).ok());
    let records = document.as_ref().and_then(|document| document.pointer(pointer)?.as_array().map(Vec::len));
    let ms = median(times_ms);
    Asked { shown: show(ms), ms: Some(ms), records: records.or(Some(0)), document, ..Asked::default() }
}

/// Whoever found another number of records than permitd was asked another question: that is shown.
fn tell_apart(theirs: &mut [Asked], ours: &[Asked]) {
    for (theirs, ours) in theirs.iter_mut().zip(ours) {
        if let Some(records) = theirs.records.filter(|records| Some(*records) != ours.records) {
            theirs.shown = format!("{} ({records} records)", theirs.shown);
        }
    }
}

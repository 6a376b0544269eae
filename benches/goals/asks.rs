//! Twenty questions of different kinds, put to permitd, Datasette and ROAPI over the same rows, at several sizes:
//! `--only asks`, with `--large` also at 1,000,000 and 5,000,000 records.

use std::{
    fmt::Write as _,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    Outcome, Plan,
    filters::NOT_READY,
    fixture::Fixture,
    http::{self, Answer},
    load::{self, Load, Rate, Target, median, medians},
    others,
    process::{self, LOAD_CORE, Server},
    report::{Finding, rate, show},
};

/// How long one system is asked one question.
const ASKED_FOR: Duration = Duration::from_secs(2);
/// And how often at most.
const ASKED_MAX: usize = 25;
/// The page that is asked for late in a walk.
const LATE_PAGE: u32 = 900;
/// A question that reads every record, and how many clients ask it at once.
const SCAN: &str = "/permits?description__contains=lighthouse";
const SCANS: u32 = 16;
/// How often it is looked whether scans have ended.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// A question may take as long as it takes.
const PATIENT: (&str, &str) = ("PERMITD_RECORDS_FIND_TIMEOUT_MS", "60000");
/// Indexes that Datasette is given: those that permitd's definition declares.
const INDEXES: &str = "CREATE INDEX a ON permits (status, status_date, application_number, record_id);
    CREATE INDEX b ON permits (status, file_date, application_number, record_id);
    CREATE INDEX c ON permits (status, estimated_cost, application_number, record_id);
    CREATE INDEX d ON permits (block, lot, application_number, record_id)";

/// A question.
struct Ask {
    kind: &'static str,
    /// As permitd is asked.
    query: &'static str,
    /// As Datasette is asked.
    datasette: &'static str,
    /// As ROAPI is asked, behind `SELECT * FROM permits`.
    sql: &'static str,
}

const ASKS: [Ask; 20] = [
    Ask {
        kind: "an index has filter and order",
        query: "status=issued&sort=status_date",
        datasette: "status=issued&_sort=status_date",
        sql: "WHERE status = 'issued' ORDER BY status_date LIMIT 100",
    },
    Ask {
        kind: "an index, backwards, with a range",
        query: "status=issued&estimated_cost__gte=100000&sort=-estimated_cost",
        datasette: "status=issued&estimated_cost__gte=10000000&_sort_desc=estimated_cost",
        sql: "WHERE status = 'issued' AND estimated_cost >= 100000 ORDER BY estimated_cost DESC LIMIT 100",
    },
    Ask {
        kind: "an index, few records",
        query: "block=2998&lot=32",
        datasette: "block=2998&lot=32",
        sql: "WHERE block = '2998' AND lot = '32' LIMIT 100",
    },
    Ask {
        kind: "an index, the records of a block",
        query: "block=2998",
        datasette: "block=2998",
        sql: "WHERE block = '2998' LIMIT 100",
    },
    Ask {
        kind: "the beginning of the key",
        query: "application_number__startswith=201611",
        datasette: "application_number__startswith=%23201611",
        sql: "WHERE starts_with(application_number, '#201611') ORDER BY application_number LIMIT 100",
    },
    Ask {
        kind: "a list of values, in an index's order",
        query: "block__in=2998,3871,4917,2478&sort=lot",
        datasette: "block__in=2998,3871,4917,2478&_sort=lot",
        sql: "WHERE block IN ('2998','3871','4917','2478') ORDER BY lot LIMIT 100",
    },
    Ask {
        kind: "alternatives over two indexes",
        query: "filter=block+%3D+2998+OR+(status+%3D+issued+AND+estimated_cost+%3E+5000000)&sort=-file_date",
        datasette: "_where=(block+%3D+%272998%27+OR+(status+%3D+%27issued%27+AND+estimated_cost+%3E+500000000))\
                    &_sort_desc=file_date",
        sql: "WHERE block = '2998' OR (status = 'issued' AND estimated_cost > 5000000) ORDER BY file_date DESC LIMIT 100",
    },
    Ask {
        kind: "an index has the filter, not the order",
        query: "status=issued&file_date__gte=2016-12-20&sort=-revised_cost",
        datasette: "status=issued&file_date__gte=20161220&_sort_desc=revised_cost",
        sql: "WHERE status = 'issued' AND file_date >= '2016-12-20' ORDER BY revised_cost DESC LIMIT 100",
    },
    Ask {
        kind: "half indexed: a text besides",
        query: "status=issued&description__contains=kitchen&sort=-file_date",
        datasette: "status=issued&description__contains=kitchen&_sort_desc=file_date",
        sql: "WHERE status = 'issued' AND description ILIKE '%kitchen%' ORDER BY file_date DESC LIMIT 100",
    },
    Ask {
        kind: "half indexed: a rare number besides",
        query: "status=issued&existing_units__gt=100&sort=-file_date",
        datasette: "status=issued&existing_units__gt=100&_sort_desc=file_date",
        sql: "WHERE status = 'issued' AND existing_units > 100 ORDER BY file_date DESC LIMIT 100",
    },
    Ask {
        kind: "not indexed, matches often",
        query: "existing_use=apartments",
        datasette: "existing_use=apartments",
        sql: "WHERE existing_use = 'apartments' LIMIT 100",
    },
    Ask {
        kind: "not indexed, matches rarely",
        query: "revised_cost__gt=5000000",
        datasette: "revised_cost__gt=500000000",
        sql: "WHERE revised_cost > 5000000 LIMIT 100",
    },
    Ask {
        kind: "not indexed, matches nothing",
        query: "existing_use=lighthouse",
        datasette: "existing_use=lighthouse",
        sql: "WHERE existing_use = 'lighthouse' LIMIT 100",
    },
    Ask {
        kind: "a text, matches often",
        query: "description__contains=window",
        datasette: "description__contains=window",
        sql: "WHERE description ILIKE '%window%' LIMIT 100",
    },
    Ask {
        kind: "a text, matches nothing",
        query: "description__contains=lighthouse",
        datasette: "description__contains=lighthouse",
        sql: "WHERE description ILIKE '%lighthouse%' LIMIT 100",
    },
    Ask {
        kind: "no filter, an order without an index",
        query: "sort=-estimated_cost",
        datasette: "_sort_desc=estimated_cost",
        sql: "ORDER BY estimated_cost DESC LIMIT 100",
    },
    Ask {
        kind: "the opposite of a list",
        query: "filter=NOT+(existing_use+%3D+apartments+OR+existing_use+%3D+office)",
        datasette: "existing_use__notin=apartments,office",
        sql: "WHERE existing_use NOT IN ('apartments','office') LIMIT 100",
    },
    Ask { kind: "wide: 1,000 records", query: "limit=1000", datasette: "_size=1000", sql: "LIMIT 1000" },
    Ask {
        kind: "how many records match, with an index",
        query: "status=issued&limit=1&count=exact",
        datasette: "status=issued&_size=1&_count=1",
        sql: "WHERE status = 'issued' COUNT",
    },
    Ask {
        kind: "page 900 of the first question",
        query: "status=issued&sort=status_date LATE",
        datasette: "status=issued&_sort=status_date LATE",
        sql: "WHERE status = 'issued' ORDER BY status_date LIMIT 100 OFFSET 89900",
    },
];

pub(crate) fn measure(plan: &Plan) -> Outcome<Vec<Finding>> {
    let tools = others::install()?;
    let sizes: &[u64] = if plan.large { &[200_000, 1_000_000, 5_000_000] } else { &[plan.rows] };
    let mut columns: Vec<[Vec<String>; 3]> = Vec::new();
    for size in sizes {
        eprintln!("asking {size} records …");
        columns.push(ask_all(plan, &tools, *size)?);
    }
    let mut table = String::from("| question | permitd | Datasette | ROAPI |\n|---|---|---|---|\n");
    for (nth, ask) in ASKS.iter().enumerate() {
        let of = |system: usize| {
            let cell = |column: &[Vec<String>; 3]| column.get(system).and_then(|asks| asks.get(nth)).cloned();
            columns.iter().filter_map(cell).collect::<Vec<_>>().join(" / ")
        };
        writeln!(table, "| {}: `{}` | {} | {} | {} |", ask.kind, ask.query, of(0), of(1), of(2))?;
    }
    println!("Medians in ms at {sizes:?} records:\n\n{table}");
    Ok(Vec::new())
}

/// The medians of each system.
fn ask_all(plan: &Plan, tools: &Path, size: u64) -> Outcome<[Vec<String>; 3]> {
    let fixture = Fixture::new(plan, size)?;
    let server = fixture.serve(&[NOT_READY, PATIENT])?;
    let csv = plan.scratch.join(format!("asks-{size}.csv"));
    let nowhere = Path::new("/dev/null");
    for (query, file) in
        [("format=ndjson", nowhere), ("format=ndjson&sort=-estimated_cost", nowhere), ("format=csv", &csv)]
    {
        export(&server, &fixture.key, query, file)?;
    }
    // What has been written would otherwise go to the disk while questions wait for the quota's ledger.
    process::output(&mut Command::new("sync"))?;
    scans_beside(plan, &fixture, &server)?;
    let key = Some(fixture.key.as_str());
    let get = |path: &str| http::get(server.address, path, key);
    let asked = |asked: &Ask| ask("/data", &format!("/permits?{}", asked.query), ("/page/next", "cursor"), get);
    let ours: Vec<Asked> = ASKS.iter().map(asked).collect();
    drop(server);
    let database = others::database(plan, &fixture, &format!("asks-{size}"), INDEXES)?;
    let datasette = others::datasette(plan, tools, std::slice::from_ref(&database))?;
    let base = format!("/asks-{size}/permits.json");
    let get = |path: &str| http::get(datasette.address, path, None);
    let asked = |asked: &Ask| {
        let size = if asked.datasette.contains("_size=") { "" } else { "&_size=100" };
        let count = if asked.datasette.contains("_count=") { "" } else { "&_nocount=1" };
        // What it would work out for those who look at its pages.
        let path = format!("{base}?{}{size}{count}&_nosuggest=1&_nofacet=1", asked.datasette);
        ask("/rows", &path, ("/next", "_next"), get)
    };
    let theirs: Vec<Asked> = ASKS.iter().map(asked).collect();
    drop(datasette);
    let roapi = others::roapi(plan, tools, &csv)?;
    let mut columns = Vec::new();
    for ask in &ASKS {
        let sql = match ask.sql.strip_suffix(" COUNT") {
            Some(condition) => format!("SELECT count(*) FROM permits {condition}"),
            None => format!("SELECT * FROM permits {}", ask.sql),
        };
        columns.push(timed("", || http::send(roapi.address, "POST /api/sql", "content-type: text/plain\r\n", &sql)));
    }
    let records: Vec<Option<usize>> = ours.iter().map(|asked| asked.records).collect();
    Ok([ours, theirs, columns].map(|system| cells(system, &records)))
}

/// A key's reads, alone and beside another client's questions that read every record.
fn scans_beside(plan: &Plan, fixture: &Fixture, server: &Server) -> Outcome<()> {
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
        let one = |rounds: &[Rate]| {
            let is = medians(rounds);
            format!("{} (p50 {} ms, p99 {} ms)", rate(is.per_s), show(is.p50_ms), show(is.p99_ms))
        };
        println!("reads by {connections}: alone {}, beside {SCANS} that scan {}", one(&alone), one(&together));
    }
    Ok(())
}

/// Exports all records to a file, and tells how long it took, how many bytes that was and what memory.
fn export(server: &Server, key: &str, query: &str, file: &Path) -> Outcome<()> {
    let (resident_mib, started) = (server.resident_mib(), Instant::now());
    let mut export = Command::new("curl");
    export.args(["--silent", "--show-error", "--fail", "--header", &format!("x-api-key: {key}"), "--output"]);
    export.arg(file).args(["--write-out", "%{size_download}"]);
    let bytes = process::output(export.arg(format!("http://{}/permits?{query}", server.address)))?;
    let wall_s = started.elapsed().as_secs_f64();
    let growth_mib = server.peak_mib() - resident_mib;
    let sent_mib = String::from_utf8_lossy(&bytes).trim().parse::<u64>()? / (1024 * 1024);
    println!("export {query}: {} s, {sent_mib} MiB, memory grew by {} MiB at most", show(wall_s), show(growth_mib));
    Ok(())
}

/// Asks for a question's page: a late one where the question says so, the first one otherwise.
fn ask(pointer: &str, question: &str, cursor: (&str, &str), get: impl Fn(&str) -> Option<Answer>) -> Asked {
    match question.replacen(" LATE", "", 1) {
        first if first == question => timed(pointer, || get(question)),
        first => match late(&first, cursor, &get) {
            Ok(late) => timed(pointer, || get(&late)),
            Err(shown) => Asked { shown, records: None },
        },
    }
}

/// Follows the cursors to a late page, or to the last one. `cursor` is where an answer has it, and how it is sent.
fn late(
    first: &str,
    (pointer, parameter): (&str, &str),
    get: impl Fn(&str) -> Option<Answer>,
) -> Result<String, String> {
    let mut late = first.to_owned();
    for page in 1..LATE_PAGE {
        let answer = get(&late).ok_or_else(|| format!("no answer at page {page}"))?;
        if answer.status != 200 {
            return Err(refused(&answer, &format!(" at page {page}")).shown);
        }
        let document: Value = serde_json::from_slice(&answer.body).map_err(|error| error.to_string())?;
        let Some(next) = document.pointer(pointer).and_then(Value::as_str) else { break };
        let next: String = form_urlencoded::byte_serialize(next.as_bytes()).collect();
        late = format!("{first}&{parameter}={next}");
    }
    Ok(late)
}

/// What a system made of a question.
struct Asked {
    /// The median of several answers in milliseconds, with the way there; or what was answered instead.
    shown: String,
    /// Records in the answer.
    records: Option<usize>,
}

/// A question that is not answered. Why not is told beside the table.
fn refused(answer: &Answer, place: &str) -> Asked {
    eprintln!("refused: {}", String::from_utf8_lossy(&answer.body));
    Asked { shown: format!("refused ({}){place}", answer.status), records: None }
}

/// Asks again and again. `pointer` says where the records are in the answer.
fn timed(pointer: &str, ask: impl Fn() -> Option<Answer>) -> Asked {
    let (mut times_ms, begun, mut records) = (Vec::new(), Instant::now(), None);
    while times_ms.len() < ASKED_MAX && (begun.elapsed() < ASKED_FOR || times_ms.is_empty()) {
        let started = Instant::now();
        match ask() {
            Some(answer) if answer.status == 200 => {
                times_ms.push(started.elapsed().as_secs_f64() * 1000.0);
                let count =
                    || Some(serde_json::from_slice::<Value>(&answer.body).ok()?.pointer(pointer)?.as_array()?.len());
                records = records.or_else(|| count().or(Some(0)));
            }
            Some(answer) => return refused(&answer, ""),
            None => return Asked { shown: "no answer".to_owned(), records: None },
        }
    }
    Asked { shown: show(median(times_ms)), records }
}

/// The cells of a system. Whoever found another number of records than permitd was asked another question: that is shown.
fn cells(system: Vec<Asked>, ours: &[Option<usize>]) -> Vec<String> {
    let cell = |(asked, ours): (Asked, &Option<usize>)| match asked.records {
        Some(records) if Some(records) != *ours => format!("{} ({records} records)", asked.shown),
        _ => asked.shown,
    };
    system.into_iter().zip(ours).map(cell).collect()
}

//! P8, questions: a node over DynamoDB answers from its copy of the records. Measured are the questions that its indexes could not
//! answer, against an embedded server with the same records, each in turns; how long a copy takes, against a bare parallel scan of
//! the same table in the same emulator, and its memory; and how long a node takes to follow a thousand changes.

use std::{
    fs,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use permitd::{
    aws::{Access, Endpoints},
    dataset::Definition,
    store::dynamodb::{Dynamo, schema},
};
use serde_json::Value;

use crate::{
    Outcome, Plan,
    aws::{Emulator, PREFIX, variables},
    fixture::{self, Fixture, Invited},
    http, load,
    process::{self, SERVER_CORE, Server},
    reads::NO_CACHE,
    report::{Finding, rate},
};

/// Records of the comparison. A full run copies a million.
const ROWS: u64 = 50_000;
const ROWS_LARGE: u64 = 1_000_000;
/// Records that a node follows.
const CHANGED: u64 = 1_000;
/// Segments of the scan, as a copy has them.
const SEGMENTS: i32 = 4;
/// How often a segment of the bare scan is asked for a page again.
const FAILURES_MAX: u32 = 100;
/// How long a copy may take.
const COPIED_WITHIN: Duration = Duration::from_secs(1_800);
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// Times that each question is asked of each server, in turns.
const TURNS: usize = 15;
const QUESTIONS: [&str; 6] = [
    "/permits?sort=-estimated_cost&limit=100",
    "/permits?status=issued&count=exact&limit=1",
    "/permits/facets?columns=status,existing_use",
    "/permits/stats?columns=estimated_cost,existing_units",
    "/permits?description__contains=nothing-of-the-kind",
    "/permits?status=issued&existing_units__gt=100&sort=-file_date&limit=100",
];

pub(crate) fn measure(plan: &Plan) -> Outcome<Vec<Finding>> {
    let rows = if plan.large { ROWS_LARGE } else { ROWS };
    let (dynamodb, others) = (Emulator::start(plan, "dynoxide")?, Emulator::start(plan, "ministack")?);
    // What is asked again is answered anew.
    let mut settings = variables(&dynamodb, &others);
    settings.extend([NO_CACHE, ("PERMITD_HTTP_READY_BYTES_MAX", "0")]);
    let data = plan.scratch.join("data-replica");
    let command = |arguments: &[&str]| -> Command {
        let mut command = process::permitd();
        command.args(arguments).arg("--data").arg(&data).envs(settings.iter().copied());
        command
    };
    process::output(&mut command(&["aws", "setup"]))?;
    let sample = fixture::sample(plan, rows, "csv")?;
    process::output(&mut command(&["import", &sample.display().to_string(), "--dataset", "permits"]))?;
    let Invited { key, .. } = fixture::invite(&data, &settings)?;
    let mut findings = copying(plan, &settings, &dynamodb.url, rows)?;
    let node = Server::permitd(&data, &settings)?;
    let embedded = Fixture::named(plan, &format!("embedded-{rows}"), rows)?;
    let beside = embedded.serve(&[NO_CACHE, ("PERMITD_HTTP_READY_BYTES_MAX", "0")])?;
    findings.extend(questions((&node, &key), (&beside, &embedded.key))?);
    let changed = fixture::sample(plan, rows + CHANGED, "csv")?;
    findings.push(following(&node, || {
        let path = changed.display().to_string();
        // On a machine of its own, which copies first.
        let mut elsewhere = process::permitd();
        elsewhere.args(["import", &path, "--dataset", "permits", "--data"]).arg(plan.scratch.join("data-elsewhere"));
        process::output(elsewhere.envs(settings.iter().copied())).map(drop)
    })?);
    Ok(findings)
}

/// How long a new node takes until it answers questions.
fn copying(plan: &Plan, settings: &[(&str, &str)], endpoint: &str, rows: u64) -> Outcome<Vec<Finding>> {
    let (mut copied, mut bare, mut peak_mib) = (Vec::new(), Vec::new(), 0.0_f64);
    for round in 0..plan.rounds {
        let data = plan.scratch.join(format!("data-copying-{round}"));
        let mut settings = settings.to_vec();
        settings.extend([("PERMITD_RECORDS_READY_WHILE_COPYING", "true"), ("PERMITD_LOG_FILTER", "info")]);
        // The node answers `/health/ready` and `/metrics` with what it asks of the emulators, which would slow the copy down.
        let node = Server::permitd_until(&data, &settings, "/health/live")?;
        copied.push(copied_s(&data.join("serve.log"))?);
        peak_mib = peak_mib.max(node.peak_mib());
        drop(node);
        bare.push(bare_scan_s(endpoint, &table_of_records()?)?);
    }
    let (copied, bare) = (load::median(copied), load::median(bare));
    let (per_s, bare_per_s) = (rows as f64 / copied, rows as f64 / bare);
    let what = format!("aws: a copy of {rows} records, while the node starts, against a bare parallel scan");
    let figures = format!("{} against {}", rate(per_s), rate(bare_per_s));
    let memory = format!("{copied:.1} s; {peak_mib:.0} MiB at most");
    Ok(vec![
        Finding::at_least("P8", what, figures, per_s / bare_per_s, 0.7),
        Finding::at_most(
            "P8",
            format!("aws: memory of a node that copies {rows} records"),
            memory,
            peak_mib,
            128.0,
            " MiB",
        ),
    ])
}

/// How long a copy took, as the node logs it when the copy is made.
fn copied_s(log: &Path) -> Outcome<f64> {
    let started = Instant::now();
    while started.elapsed() < COPIED_WITHIN {
        let text = fs::read_to_string(log)?;
        if let Some(line) = text.lines().find(|line| line.contains("were copied to this node") && line.ends_with('}')) {
            let took_ms = serde_json::from_str::<Value>(line)?.get("took_ms").and_then(Value::as_f64);
            return took_ms.map(|took_ms| took_ms / 1_000.0).ok_or_else(|| format!("no time in {line}").into());
        }
        thread::park_timeout(LOOK_EVERY);
    }
    Err("the node logs no copy".into())
}

fn wait_for(node: &Server, name: &str, value: u64) -> Outcome<()> {
    let started = Instant::now();
    while node.counted(name).unwrap_or_default() != value {
        if started.elapsed() > COPIED_WITHIN {
            return Err(format!("{name} does not become {value}").into());
        }
        thread::park_timeout(LOOK_EVERY);
    }
    Ok(())
}

/// Each question, asked of both in turns.
fn questions((node, key): (&Server, &str), (beside, other_key): (&Server, &str)) -> Outcome<Vec<Finding>> {
    let calls = |node: &Server| -> Outcome<u64> {
        let mut sum = 0;
        for operation in ["Query", "GetItem", "BatchGetItem", "Scan"] {
            let name = format!("permitd_aws_requests_total{{service=\"DynamoDB\",operation=\"{operation}\"}}");
            sum += node.counted(&name).unwrap_or_default();
        }
        Ok(sum)
    };
    let (mut findings, mut told) = (Vec::new(), Vec::new());
    let (before, started) = (calls(node)?, Instant::now());
    thread::park_timeout(Duration::from_secs(5));
    let house = (calls(node)? - before) as f64 / started.elapsed().as_secs_f64();
    let (before, started, mut worst) = (calls(node)?, Instant::now(), 0.0_f64);
    for path in QUESTIONS {
        let (mut here, mut there) = (Vec::new(), Vec::new());
        for _ in 0..TURNS {
            for (server, key, times) in [(node, key, &mut here), (beside, other_key, &mut there)] {
                let asked = Instant::now();
                let answer = http::get(server.address, path, Some(key)).ok_or("no answer")?;
                if answer.status != 200 {
                    return Err(format!("{path}: {}", answer.status).into());
                }
                times.push(asked.elapsed().as_secs_f64() * 1_000.0);
            }
        }
        let (here, there) = (load::median(here), load::median(there));
        worst = worst.max(here / there);
        told.push(format!("`{}` {here:.1} against {there:.1} ms", path.trim_start_matches("/permits")));
    }
    let extra = ((calls(node)? - before) as f64 - house * started.elapsed().as_secs_f64()).max(0.0);
    let asked = QUESTIONS.len() * TURNS;
    let what = "aws: questions against an embedded server, the worst of six";
    findings.push(Finding::at_most("P8", what, told.join("; "), worst, 1.1, ""));
    let figures = format!("{asked} questions, {extra:.0} requests more than when idle ({house:.1} a second)");
    findings.push(Finding::at_most(
        "P8",
        "aws: DynamoDB requests for a question",
        figures,
        (extra / asked as f64).round(),
        0.0,
        "",
    ));
    Ok(findings)
}

/// How long a node takes to show what was imported elsewhere.
fn following(node: &Server, import: impl FnOnce() -> Outcome<()>) -> Outcome<Finding> {
    let version = "permitd_dataset_version{dataset=\"permits\"}";
    let before = node.counted(version)?;
    import()?;
    let committed = Instant::now();
    wait_for(node, version, before + 1)?;
    let behind_s = committed.elapsed().as_secs_f64();
    let what = format!(
        "aws: until a node shows {CHANGED} changes that were committed elsewhere, the interval of 0.5 s included"
    );
    Ok(Finding::at_most("P8", what, format!("{behind_s:.2} s"), behind_s, 1.5, " s"))
}

/// The table of the records.
pub(crate) fn table_of_records() -> Outcome<String> {
    let definition = Definition::builtin()?.into_iter().find(|definition| definition.name == "permits");
    Ok(schema::records(&definition.ok_or("there is no definition of permits")?).name)
}

/// How many seconds it takes another process to scan a table.
pub(crate) fn bare_scan_s(endpoint: &str, table: &str) -> Outcome<f64> {
    let mut command = process::pinned(SERVER_CORE, std::env::current_exe()?);
    command.args(["bare-scan", endpoint, table]);
    Ok(String::from_utf8(process::output(&mut command)?)?.trim().parse()?)
}

/// Scans a table as fast as the SDK does, in as many segments, and prints how many seconds that took.
pub(crate) fn scan_bare(endpoint: &str, table: &str) -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let started = Instant::now();
    runtime.block_on(async {
        let endpoints = Endpoints { dynamodb: Some(endpoint.to_owned()), ..Endpoints::default() };
        let dynamo = Dynamo::new(&Access::to_endpoints(endpoints).await, PREFIX);
        let segments = (0..SEGMENTS).map(|segment| {
            let request = dynamo.client().scan().table_name(dynamo.table(table)).consistent_read(true);
            let request = request.segment(segment).total_segments(SEGMENTS);
            async move {
                let (mut rows, mut after, mut failures) = (0, None, 0);
                loop {
                    // Of a large table an emulator may give a page too late.
                    let page = match request.clone().set_exclusive_start_key(after.clone()).send().await {
                        Ok(page) => page,
                        Err(error) if failures >= FAILURES_MAX => return Outcome::Err(error.into()),
                        Err(_) => {
                            failures += 1;
                            continue;
                        }
                    };
                    rows += page.items().len();
                    after = page.last_evaluated_key.filter(|key| !key.is_empty());
                    if after.is_none() {
                        return Ok(rows);
                    }
                }
            }
        });
        futures_util::future::try_join_all(segments).await
    })?;
    println!("{}", started.elapsed().as_secs_f64());
    Ok(())
}

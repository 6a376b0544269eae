//! P3: a page of a filter against the same SQL without a server, and a late page against the first.

use std::{path::Path, time::Instant};

use rusqlite::{Connection, OptionalExtension};
use serde_json::Value;

use crate::{
    Outcome, Plan,
    fixture::{Fixture, records_file},
    http,
    load::{Load, Target, alternate, median},
    process::{self, LOAD_CORE, SERVER_CORE, Server},
    report::{Finding, show},
};

/// The filter that is measured: an index serves it in order.
pub(crate) const FILTER: &str = "/permits?status=issued&sort=status_date";
/// The page that must cost what the first does.
const LATE_PAGE: u32 = 900;
/// Runs of the SQL in process for each round.
const SQL_RUNS: u32 = 500;

/// Answers are made anew each time.
pub(crate) const NOT_READY: (&str, &str) = ("PERMITD_HTTP_READY_BYTES_MAX", "0");

pub(crate) fn measure(plan: &Plan) -> Outcome<Vec<Finding>> {
    let fixture = plan.fixture()?;
    let load = |path| Load {
        target: Target::Path(path),
        key: Some(&fixture.key),
        connections: 1,
        succeeds: true,
        cores: LOAD_CORE,
    };
    // One server at a time has a data directory.
    let again = alternate(plan, &[(&fixture.serve(&[])?, &load(FILTER))])?;
    let again = again.first().copied().ok_or("a rate was wanted")?;
    let server = fixture.serve(&[NOT_READY])?;
    let (late_page, late_path) = late_path(fixture, &server)?;
    let (first, late, point) = (load(FILTER), load(&late_path), load(&fixture.hot_path));
    let mut in_process = Vec::new();
    for _ in 0..plan.rounds {
        in_process.push(sql_in_child(&fixture.data)?);
    }
    let constants = [constant(plan, fixture, &server, FILTER)?, constant(plan, fixture, &server, &fixture.hot_path)?];
    let [constant_page, constant_point] = &constants;
    let rates = alternate(
        plan,
        &[(&server, &first), (&server, &late), (&server, &point), (constant_page, &point), (constant_point, &point)],
    )?;
    let &[first, late, point, constant_page, constant_point] = rates.as_slice() else {
        return Err("five rates were wanted".into());
    };
    let sql_ms = median(in_process);
    // P1's overhead: what an admitted read costs beyond a constant answer of its size, and a constant answer of the page's.
    let overhead_ms = constant_page.p50_ms + (point.p50_ms - constant_point.p50_ms);
    let mut findings = Vec::new();
    for (page, how) in [(again, "asked before (ready answers, the default)"), (first, "made anew each time")] {
        let figures = format!(
            "{} ms − {} ms, against {} ms; a point read takes {} ms, constant answers of both sizes {} ms and {} ms",
            show(page.p50_ms),
            show(overhead_ms),
            show(sql_ms),
            show(point.p50_ms),
            show(constant_page.p50_ms),
            show(constant_point.p50_ms),
        );
        let what = format!(
            "first page of 100 of an indexed filter less P1's overhead, {how}, against the same SQL in process, p50"
        );
        findings.push(Finding::at_most("P3", what, figures, (page.p50_ms - overhead_ms) / sql_ms, 2.0, ""));
    }
    let late_what = format!("page {late_page} against page 1, both made anew, p50");
    let late_figures = format!("{} ms against {} ms", show(late.p50_ms), show(first.p50_ms));
    findings.push(Finding::at_most("P3", late_what, late_figures, late.p50_ms / first.p50_ms, 1.25, ""));
    Ok(findings)
}

/// A server whose constant answer is as long as the one at a path.
fn constant(plan: &Plan, fixture: &Fixture, server: &Server, path: &str) -> Outcome<Server> {
    let answer = http::get(server.address, path, Some(&fixture.key)).filter(|answer| answer.status == 200);
    Server::constant(answer.ok_or("there is no such page")?.body.len(), &plan.scratch)
}

/// Follows the cursors to a late page, or to the last one.
fn late_path(fixture: &Fixture, server: &Server) -> Outcome<(u32, String)> {
    let mut path = FILTER.to_owned();
    for page in 1..LATE_PAGE {
        let answer = http::get(server.address, &path, Some(&fixture.key)).filter(|answer| answer.status == 200);
        let document: Value = serde_json::from_slice(&answer.ok_or("a page cannot be read")?.body)?;
        let Some(next) = document.pointer("/page/next").and_then(Value::as_str) else { return Ok((page, path)) };
        path = format!("{FILTER}&cursor={next}");
    }
    Ok((LATE_PAGE, path))
}

fn sql_in_child(data: &Path) -> Outcome<f64> {
    let mut command = process::pinned(SERVER_CORE, std::env::current_exe()?);
    let printed = process::output(command.arg("sql").arg(records_file(data)?))?;
    Ok(String::from_utf8(printed)?.trim().parse()?)
}

/// Runs the SQL of the filter and prints the time that half of the runs took at most, milliseconds.
pub(crate) fn run_sql(records: &Path) -> Outcome<()> {
    let connection = Connection::open(records)?;
    let find = "SELECT name FROM sqlite_schema WHERE type = 'index' AND name GLOB 'by:status:status_date*'";
    let index: Option<String> = connection.query_row(find, [], |row| row.get(0)).optional()?;
    let index = index.ok_or("there is no index by status and status_date")?;
    let mut statement = connection.prepare(&format!(
        "SELECT \"$values\" FROM records INDEXED BY \"{index}\" WHERE status = ?1
         ORDER BY status_date, \"$key\", \"$id\" LIMIT 100"
    ))?;
    let mut times_ms = Vec::new();
    for _ in 0..SQL_RUNS {
        let started = Instant::now();
        let mut page = Vec::new();
        let mut rows = statement.query(["issued"])?;
        while let Some(row) = rows.next()? {
            page.extend_from_slice(row.get_ref(0)?.as_bytes()?);
        }
        std::hint::black_box(page);
        times_ms.push(started.elapsed().as_secs_f64() * 1000.0);
    }
    println!("{}", median(times_ms));
    Ok(())
}

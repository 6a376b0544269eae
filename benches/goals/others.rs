//! P4: what else could publish the same rows, as its authors ship it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use rusqlite::Connection;

use crate::{
    Outcome, Plan,
    filters::{FILTER, NOT_READY},
    fixture::{Fixture, records_file},
    load::{Load, Rate, Target, alternate},
    process::{self, LOAD_CORE, SERVER_CORE, Server, free_address, pinned},
    report::{Finding, rate},
};

/// What is installed, exactly.
const PACKAGES: [&str; 3] = ["datasette==0.65.1", "roapi==0.12.7", "duckdb==2.0.1"];
/// Connections that ask at the same time.
const CONNECTIONS: u32 = 16;
/// How many times their rate a point read and a filter must reach.
const WANTED: (f64, f64) = (80.0, 100.0);
/// The same for a filter that is answered anew each time: of Datasette with an index on each column, the goal names no other.
const WANTED_ANEW: f64 = 100.0;
/// What a question may take in Datasette: longer than any does.
const TIME_MS: &str = "60000";

pub(crate) fn measure(plan: &Plan) -> Outcome<Vec<Finding>> {
    let fixture = plan.fixture()?;
    let tools = match install() {
        Ok(tools) => tools,
        Err(error) => return Ok(vec![Finding::absent("P4", "Datasette and ROAPI", format!("not installed: {error}"))]),
    };
    let (databases, csv) = rows(plan, fixture)?;
    // One server at a time has a data directory.
    let filter = Load {
        target: Target::Path(FILTER),
        key: Some(&fixture.key),
        connections: CONNECTIONS,
        succeeds: true,
        cores: LOAD_CORE,
    };
    let anew = alternate(plan, &[(&fixture.serve(&[NOT_READY])?, &filter)])?;
    let anew = anew.first().copied().ok_or("a rate was wanted")?;
    let ours = (fixture.serve(&[])?, anew);
    let number = fixture.hot_path.trim_start_matches("/permits/");
    let mut findings = Vec::new();
    let datasette = datasette(plan, &tools, &databases)?;
    let point = |database: &str| format!("/{database}/permits.json?application_number=%23{number}&_shape=array");
    let filter =
        |database: &str| format!("/{database}/permits.json?status=issued&_sort=status_date&_size=100&_shape=array");
    let theirs = ("Datasette, each column of the questions indexed", &datasette);
    findings.extend(compare(plan, fixture, &ours, theirs, [&point("plain"), &filter("plain")], Wanted::Always)?);
    let theirs = ("Datasette, with the index that fits the filter", &datasette);
    findings.extend(compare(plan, fixture, &ours, theirs, [&point("fitted"), &filter("fitted")], Wanted::Told)?);
    drop(datasette);
    let roapi = roapi(plan, &tools, &csv)?;
    let point = format!("/api/tables/permits?filter[application_number]=%27%23{number}%27");
    let filter = "/api/tables/permits?filter[status]=%27issued%27&sort=status_date&limit=100";
    findings.extend(compare(plan, fixture, &ours, ("ROAPI", &roapi), [&point, filter], Wanted::AskedBefore)?);
    Ok(findings)
}

pub(crate) fn install() -> Outcome<PathBuf> {
    let tools = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench-tools");
    let ready = tools.join("ready");
    if fs::read_to_string(&ready).is_ok_and(|packages| packages == PACKAGES.join("\n")) {
        return Ok(tools);
    }
    process::output(Command::new("python3").args(["-m", "venv"]).arg(&tools))?;
    let mut pip = Command::new(tools.join("bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(PACKAGES);
    process::output(&mut pip)?;
    fs::write(ready, PACKAGES.join("\n"))?;
    Ok(tools)
}

/// The same rows as CSV, and as two databases: one with an index on each column that is asked for, as its user would make
/// them one by one, and one with the very index that the filter's order needs.
fn rows(plan: &Plan, fixture: &Fixture) -> Outcome<([PathBuf; 2], PathBuf)> {
    let csv = plan.scratch.join("permits.csv");
    let fitted = database(plan, fixture, "fitted", "CREATE INDEX by_status_and_date ON permits (status, status_date)")?;
    let indexes = "CREATE INDEX by_status ON permits (status); CREATE INDEX by_status_date ON permits (status_date)";
    let plain = database(plan, fixture, "plain", indexes)?;
    let connection = Connection::open(&plain)?;
    let mut statement = connection.prepare("SELECT * FROM permits")?;
    let mut writer = csv::Writer::from_path(&csv)?;
    writer.write_record(statement.column_names())?;
    let columns = statement.column_count();
    let mut found = statement.query([])?;
    while let Some(row) = found.next()? {
        for column in 0..columns {
            use rusqlite::types::ValueRef;
            match row.get_ref(column)? {
                ValueRef::Text(text) | ValueRef::Blob(text) => writer.write_field(text)?,
                ValueRef::Integer(number) => writer.write_field(number.to_string())?,
                ValueRef::Real(number) => writer.write_field(number.to_string())?,
                ValueRef::Null => writer.write_field("")?,
            }
        }
        writer.write_record(None::<&[u8]>)?;
    }
    writer.flush()?;
    Ok(([plain, fitted], csv))
}

/// A database of a plain table with these indexes.
pub(crate) fn database(plan: &Plan, fixture: &Fixture, name: &str, indexes: &str) -> Outcome<PathBuf> {
    let path = plan.scratch.join(format!("{name}.db"));
    let connection = Connection::open(&path)?;
    connection.execute("ATTACH ?1 AS served", [records_file(&fixture.data)?.to_string_lossy()])?;
    connection.execute_batch(&format!(
        "CREATE TABLE permits AS SELECT * FROM served.records;
         ALTER TABLE permits DROP COLUMN \"$values\";
         ALTER TABLE permits DROP COLUMN \"$from\";
         ALTER TABLE permits DROP COLUMN \"$row\";
         ALTER TABLE permits RENAME COLUMN \"$key\" TO application_number;
         ALTER TABLE permits RENAME COLUMN \"$id\" TO record_id;
         CREATE INDEX by_number ON permits (application_number);
         {indexes};
         ANALYZE"
    ))?;
    Ok(path)
}

pub(crate) fn datasette(plan: &Plan, tools: &Path, databases: &[PathBuf]) -> Outcome<Server> {
    let address = free_address()?;
    let mut command = pinned(SERVER_CORE, tools.join("bin/datasette"));
    command.arg("serve");
    for database in databases {
        command.arg("--immutable").arg(database);
    }
    command.args(["--port", &address.port().to_string(), "--setting", "sql_time_limit_ms", TIME_MS]);
    Server::start(command, address, (address, "/-/versions.json"), plan.scratch.join("datasette.log"))
}

pub(crate) fn roapi(plan: &Plan, tools: &Path, csv: &Path) -> Outcome<Server> {
    let (address, postgres) = (free_address()?, free_address()?);
    let mut command = pinned(SERVER_CORE, tools.join("bin/roapi"));
    command.args(["--addr-http", &address.to_string(), "--addr-postgres", &postgres.to_string()]);
    command.args(["--table", &format!("permits={}", csv.display())]);
    Server::start(command, address, (address, "/health"), plan.scratch.join("roapi.log"))
}

/// Which ratios are goals.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// All of them.
    Always,
    /// Those of what was asked before.
    AskedBefore,
    /// None: they are told for comparison.
    Told,
}

fn compare(
    plan: &Plan,
    fixture: &Fixture,
    (ours, anew): &(Server, Rate),
    (name, theirs): (&str, &Server),
    [point, filter]: [&str; 2],
    goals: Wanted,
) -> Outcome<Vec<Finding>> {
    let load = |path| Load {
        target: Target::Path(path),
        key: Some(&fixture.key),
        connections: CONNECTIONS,
        succeeds: true,
        cores: LOAD_CORE,
    };
    let finding = |what: String, ours: &Rate, theirs: &Rate, wanted: Option<f64>| {
        let figures = format!("{} against {}", rate(ours.per_s), rate(theirs.per_s));
        match wanted {
            Some(wanted) => Finding::at_least("P4", what, figures, ours.per_s / theirs.per_s, wanted),
            None => Finding::told("P4", what, figures, ours.per_s / theirs.per_s),
        }
    };
    let loads = [load(&fixture.hot_path), load(point), load(FILTER), load(filter)];
    let [our_point, their_point, our_filter, their_filter] = &loads;
    let rates =
        alternate(plan, &[(ours, our_point), (theirs, their_point), (ours, our_filter), (theirs, their_filter)])?;
    let [our_point, their_point, our_filter, their_filter] = rates.as_slice() else {
        return Err("four rates were wanted".into());
    };
    let page = "first page of 100 of a filter";
    let point_wanted = (goals != Wanted::Told).then_some(WANTED.0);
    let filter_wanted = (goals != Wanted::Told).then_some(WANTED.1);
    let anew_wanted = (goals == Wanted::Always).then_some(WANTED_ANEW);
    Ok(vec![
        finding(format!("point read against {name}"), our_point, their_point, point_wanted),
        finding(format!("{page}, asked before, against {name}"), our_filter, their_filter, filter_wanted),
        finding(format!("{page}, made anew each time, against {name}"), anew, their_filter, anew_wanted),
    ])
}

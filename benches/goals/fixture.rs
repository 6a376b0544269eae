//! A data directory to measure on: an imported sample, a plan without noticeable limits, a user with a key.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};

use crate::{
    Outcome, Plan, http,
    process::{self, Server},
};

/// Paths that are asked for at random.
const PATHS_MAX: u64 = 200_000;

/// A data directory, ready to be served.
pub(crate) struct Fixture {
    /// The directory.
    pub(crate) data: PathBuf,
    /// A key that works.
    pub(crate) key: String,
    /// A file of paths, one a line: the records' own.
    pub(crate) paths: PathBuf,
    /// The path of the record that is asked for over and over.
    pub(crate) hot_path: String,
}

impl Fixture {
    /// Imports `rows` generated records and makes a user.
    pub(crate) fn new(plan: &Plan, rows: u64) -> Outcome<Self> {
        let data = plan.scratch.join(format!("data-{rows}"));
        let sample = sample(plan, rows, "csv")?;
        process::output(
            process::permitd().arg("import").arg(&sample).args(["--dataset", "permits", "--data"]).arg(&data),
        )?;
        let key = invite(&data, &[])?;
        let paths = data.join("paths.txt");
        let hot_path = write_paths(&data, &paths, rows)?;
        // What an import has written would otherwise go to the disk while reads are measured.
        process::output(&mut Command::new("sync"))?;
        Ok(Self { data, key, paths, hot_path })
    }

    /// Serves it.
    pub(crate) fn serve(&self, settings: &[(&str, &str)]) -> Outcome<Server> {
        Server::permitd(&self.data, settings)
    }
}

/// A generated report of so many rows; kept from one measurement to the next.
pub(crate) fn sample(plan: &Plan, rows: u64, extension: &str) -> Outcome<PathBuf> {
    let file = plan.scratch.join(format!("sample-{rows}.{extension}"));
    if !file.exists() {
        process::output(process::permitd().args(["sample", "--rows", &rows.to_string(), "-o"]).arg(&file))?;
    }
    Ok(file)
}

/// The database of the records of a data directory.
pub(crate) fn records_file(data: &Path) -> Outcome<PathBuf> {
    let is_database = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "db");
    let mut files = fs::read_dir(data.join("records"))?.filter_map(Result::ok).map(|entry| entry.path());
    files.find(is_database).ok_or_else(|| "there is no database of records".into())
}

/// A user with a key on a plan without noticeable limits.
pub(crate) fn invite(data: &Path, settings: &[(&str, &str)]) -> Outcome<String> {
    let server = Server::permitd(data, settings)?;
    let ready: Value = serde_json::from_slice(&fs::read(data.join("serve.out"))?)?;
    let token = ready.get("admin_token").and_then(Value::as_str).ok_or("no token was printed")?.to_owned();
    let ask = |request_line: &str, body: Value, field: &str| -> Outcome<String> {
        let head = format!("authorization: Bearer {token}\r\ncontent-type: application/json\r\n");
        let answer = http::send(server.address, request_line, &head, &body.to_string()).ok_or("no answer")?;
        let document: Value = serde_json::from_slice(&answer.body)?;
        let found = document.get(field).and_then(Value::as_str).map(ToOwned::to_owned);
        found.ok_or_else(|| format!("{request_line}: {} {document}", answer.status).into())
    };
    let limits = json!({ "rate_per_s": 1_000_000.0, "burst": 1_000_000, "quota_per_day": 1_000_000_000_000_u64 });
    ask("PUT /plans/bench", limits, "name")?;
    let user = ask("POST /users", json!({ "email": "bench@example.org", "plan": "bench" }), "id")?;
    ask(&format!("POST /users/{user}/keys"), json!({}), "key")
}

fn write_paths(data: &Path, paths: &Path, rows: u64) -> Outcome<String> {
    let connection = rusqlite::Connection::open(records_file(data)?)?;
    let step = rows.div_ceil(PATHS_MAX);
    let mut statement =
        connection.prepare("SELECT \"$key\" FROM records WHERE \"$row\" % ?1 = 0 AND \"$id\" = 1 ORDER BY \"$row\"")?;
    let mut lines = String::new();
    let mut found = statement.query([step])?;
    while let Some(row) = found.next()? {
        lines.push_str("/permits/");
        lines.push_str(row.get_ref(0)?.as_str()?.trim_start_matches('#'));
        lines.push('\n');
    }
    fs::write(paths, &lines)?;
    let middle = lines.lines().nth(lines.lines().count() / 2);
    middle.map(ToOwned::to_owned).ok_or_else(|| "there are no records".into())
}

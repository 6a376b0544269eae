//! A data directory to measure on: an imported sample, a plan without noticeable limits, a user with a key.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{
    Outcome, Plan,
    admin::{self, Admin, field},
    process::{self, Server},
};

/// Paths that are asked for at random.
const PATHS_MAX: u64 = 200_000;

/// How long the mail of an invitation may take: its message may be hidden by the server before, which was killed.
const MAILED_WITHIN: Duration = Duration::from_secs(120);
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// A data directory, ready to be served.
pub(crate) struct Fixture {
    /// The directory.
    pub(crate) data: PathBuf,
    /// A key that works.
    pub(crate) key: String,
    /// The token of a session of the same person, where reads are by one.
    pub(crate) session: Option<String>,
    /// The administrator's token.
    pub(crate) admin_token: String,
    /// A file of paths, one a line: the records' own.
    pub(crate) paths: PathBuf,
    /// The path of the record that is asked for over and over.
    pub(crate) hot_path: String,
}

impl Fixture {
    /// Imports `rows` generated records and makes a user.
    pub(crate) fn new(plan: &Plan, rows: u64) -> Outcome<Self> {
        Self::named(plan, &rows.to_string(), rows)
    }

    /// The same in a directory of its own.
    pub(crate) fn named(plan: &Plan, name: &str, rows: u64) -> Outcome<Self> {
        Self::of_file(plan, name, rows, &sample(plan, rows, "csv")?, None)
    }

    /// The same of a file of so many rows, by a definition of permits of its own if one is given.
    pub(crate) fn of_file(plan: &Plan, name: &str, rows: u64, file: &Path, definition: Option<&Path>) -> Outcome<Self> {
        let data = plan.scratch.join(format!("data-{name}"));
        let mut import = process::permitd();
        import.arg("import").arg(file).args(["--dataset", "permits", "--data"]).arg(&data);
        if let Some(definition) = definition {
            import.arg("--definition").arg(definition);
        }
        process::output(&mut import)?;
        let Invited { key, admin_token } = invite(&data, &[])?;
        let session = plan.by_session.then(|| sign_in(&data)).transpose()?;
        let paths = data.join("paths.txt");
        let hot_path = write_paths(&data, &paths, rows)?;
        // What an import has written would otherwise go to the disk while reads are measured.
        process::output(&mut Command::new("sync"))?;
        Ok(Self { data, key, session, admin_token, paths, hot_path })
    }

    /// What reads are made with.
    pub(crate) fn credential(&self) -> &str {
        self.session.as_ref().unwrap_or(&self.key)
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

/// Somebody who was invited, and who did it.
pub(crate) struct Invited {
    /// A key of theirs.
    pub(crate) key: String,
    /// The administrator's token.
    pub(crate) admin_token: String,
}

/// A user with a key on a plan without noticeable limits.
pub(crate) fn invite(data: &Path, settings: &[(&str, &str)]) -> Outcome<Invited> {
    let server = Server::permitd(data, settings)?;
    let admin = Admin::of_first_start(&server, data)?;
    let limits = json!({ "rate_per_s": 1_000_000.0, "burst": 1_000_000, "quota_per_day": 1_000_000_000_000_u64 });
    admin.ask("PUT /plans/bench", &limits)?;
    let user = admin.ask("POST /users", &json!({ "email": "bench@example.org", "plan": "bench" }))?;
    let made = admin.ask(&format!("POST /users/{}/keys", field(&user, "id")?), &json!({}))?;
    let key = field(&made, "key")?.to_owned();
    Ok(Invited { key, admin_token: admin.token })
}

/// Signs in whoever was invited, as soon as their mail is there; returns the session's token.
fn sign_in(data: &Path) -> Outcome<String> {
    let server = Server::permitd(data, &[])?;
    let started = Instant::now();
    loop {
        let files = fs::read_dir(data.join("outbox")).into_iter().flatten().filter_map(Result::ok);
        let mails = files.map(|file| file.path()).filter(|file| file.extension().is_some_and(|is| is == "eml"));
        for mail in mails {
            if let Some(credentials) = admin::set_password(&server, &mail)? {
                return admin::sign_in(server.address, &credentials);
            }
        }
        if started.elapsed() > MAILED_WITHIN {
            return Err("no mail with a link is there".into());
        }
        thread::park_timeout(LOOK_EVERY);
    }
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

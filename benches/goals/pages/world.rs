//! A server that has been in use: people in every state, plans, tokens, keys, imports that went well and one that waits, a file to look at.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use permitd::domain::totp;
use serde_json::{Value, json};

use super::browser::{Browser, hidden};
use crate::{
    Outcome, Plan,
    admin::{self, Admin, PASSWORD, field},
    fixture::{Fixture, sample},
    http, process,
    process::Server,
};

/// Everybody but the few who are made one by one.
const PEOPLE: u64 = 5_000;
/// Of these, who have keys, are disabled, are deleted, and have followed their link.
const WITH_KEYS: usize = 1_000;
const DISABLED: usize = 200;
const DELETED: usize = 200;
const ENTERED: usize = 60;
/// Plans and tokens of administrators.
const PLANS: u64 = 12;
const TOKENS: u64 = 12;
/// Rows of the files that are imported besides, and how many of them there are.
const FILE_ROWS: u64 = 2_000;
const IMPORTS: usize = 12;
/// How long mails and imports may take.
const DONE_WITHIN: Duration = Duration::from_secs(600);
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// So many questions are not refused for what they cost, nor so many invitations; and nothing that was read is known the next time.
const SETTINGS: [(&str, &str); 3] = [
    ("PERMITD_MAIL_INVITATIONS_PER_HOUR_MAX", "1000000"),
    ("PERMITD_ACCOUNTS_SESSIONS_PER_HOUR_MAX", "10000"),
    ("PERMITD_HTTP_READY_BYTES_MAX", "0"),
];
/// The cookie of a session, and of an administrator's token, without TLS.
const SESSION: &str = "permitd";

/// The server, and what its pages are called.
pub(crate) struct World {
    /// The server.
    pub(crate) server: Server,
    /// The session of an administrator.
    pub(crate) admin: String,
    /// The session of somebody who reads.
    pub(crate) reader: String,
    /// Somebody with keys, as the administration has them.
    pub(crate) person: String,
    /// A key of whoever reads.
    pub(crate) key: String,
    /// The key of a record, as it stands in a path.
    pub(crate) record: String,
    /// An import that went well, one with rejects, and one that is held.
    pub(crate) imports: [String; 3],
    /// A file that waits.
    pub(crate) file: String,
    /// The path of a link that nobody has followed.
    pub(crate) link: String,
    /// A browser that was let in by its password and owes a code.
    pub(crate) halfway: Browser,
    /// One that is shown its new recovery codes.
    pub(crate) codes: Browser,
}

impl World {
    /// Makes it.
    pub(crate) fn new(plan: &Plan) -> Outcome<Self> {
        let fixture = Fixture::named(plan, "pages", plan.rows)?;
        let server = fixture.serve(&SETTINGS)?;
        let by_token = Admin::new(&server, &fixture.admin_token);
        let plans: Vec<String> = (1..=PLANS).map(|number| format!("plan-{number}")).collect();
        for plan in &plans {
            let limits = json!({ "rate_per_s": 10.0, "burst": 10, "quota_per_day": 1000, "key_max_age_days": 365 });
            by_token.ask(&format!("PUT /plans/{plan}"), &limits)?;
        }
        for number in 1..=TOKENS {
            let token = json!({ "name": format!("token {number}"), "scopes": ["people"], "read_only": true });
            by_token.ask("POST /admin-tokens", &token)?;
        }
        let people = if plan.large || plan.rounds > 3 { PEOPLE } else { PEOPLE / 10 };
        let users = invite(&server, &by_token, people, &plans)?;
        process_people(&server, &by_token, &fixture, &users)?;
        let mut imports = Vec::new();
        for number in 0..IMPORTS {
            let file = written(plan, number)?;
            imports.push(import(&server, &by_token, "dataset=permits", &file)?);
        }
        let rejects = import(&server, &by_token, "dataset=permits", &wrong(plan)?)?;
        let held = import(&server, &by_token, "dataset=permits&mode=replace", &written(plan, 0)?)?;

        let outbox = fixture.data.join("outbox");
        let admin = invited(
            &server,
            &by_token,
            &outbox,
            &json!({ "email": "boss@example.org", "role": "admin", "plan": "bench" }),
        )?;
        let reader = invited(&server, &by_token, &outbox, &json!({ "email": "reader@example.org", "plan": "bench" }))?;
        let reader_id = reader.id.clone();
        let made = by_token.ask(&format!("POST /users/{reader_id}/keys"), &json!({}))?;
        let key = field(&made, "id")?.to_owned();
        // Some use of the data for the charts of it.
        let path = &fixture.hot_path;
        for _ in 0..100 {
            http::get(server.address, path, Some(field(&made, "key")?)).ok_or("no record")?;
        }
        let (codes, halfway) = second_factor(&server, &by_token, &outbox)?;
        let sample = sample(plan, plan.rows, "csv")?;
        let file = send_file(&server, &admin.token, &sample)?;
        let link = link(&unread(&server, &outbox, &users, &by_token)?)?;
        let person = users.first().ok_or("nobody was invited")?.clone();
        process::output(&mut std::process::Command::new("sync"))?;
        Ok(Self {
            admin: admin.token,
            reader: reader.token,
            person,
            key,
            record: path.rsplit('/').next().unwrap_or_default().to_owned(),
            imports: [imports.pop().ok_or("nothing was imported")?, rejects, held],
            file,
            link,
            halfway,
            codes,
            server,
        })
    }

    /// A browser with a session.
    pub(crate) fn browser(&self, session: &str) -> Outcome<Browser> {
        Browser::with(self.server.address, SESSION, session)
    }
}

/// Somebody who has set a password.
struct Member {
    id: String,
    /// Address and password.
    credentials: String,
    /// The token of their session.
    token: String,
}

fn invite(server: &Server, by_token: &Admin, people: u64, plans: &[String]) -> Outcome<Vec<String>> {
    let mut csv = "email,name,plan\n".to_owned();
    for (number, plan) in (0..people).zip(plans.iter().cycle()) {
        writeln!(csv, "person.{number}@example.org,Person Number {number},{plan}")?;
    }
    let wanted = server.counted("permitd_mailer_mails_sent_total")? + people;
    let answer = by_token.send("POST /invitations", "text/csv", &csv)?;
    wait(|| Ok(server.counted("permitd_mailer_mails_sent_total")? >= wanted))?;
    let listed = answer.get("data").and_then(Value::as_array).ok_or("the answer lists nobody")?;
    listed.iter().map(|row| field(row, "user").map(ToOwned::to_owned)).collect()
}

/// Gives some of them keys, lets some enter, and disables and deletes others.
fn process_people(server: &Server, by_token: &Admin, fixture: &Fixture, users: &[String]) -> Outcome<()> {
    for user in users.iter().take(WITH_KEYS.min(users.len() / 2)) {
        by_token.ask(&format!("POST /users/{user}/keys"), &json!({}))?;
    }
    let few = users.len() / 10;
    let (disabled, deleted) = (DISABLED.min(few), DELETED.min(few));
    for user in users.iter().rev().take(disabled) {
        by_token.ask(&format!("PATCH /users/{user}"), &json!({ "status": "disabled" }))?;
    }
    for user in users.iter().rev().skip(disabled).take(deleted) {
        by_token.ask(&format!("DELETE /users/{user}"), &json!({}))?;
    }
    let mut mails: Vec<PathBuf> =
        fs::read_dir(fixture.data.join("outbox"))?.map(|entry| Ok(entry?.path())).collect::<Outcome<_>>()?;
    mails.sort();
    for mail in mails.iter().take(ENTERED) {
        admin::set_password(server, mail)?;
    }
    Ok(())
}

/// Invites somebody who sets a password and signs in.
fn invited(server: &Server, by_token: &Admin, outbox: &Path, body: &Value) -> Outcome<Member> {
    let made = by_token.ask("POST /users", body)?;
    let (id, email) = (field(&made, "id")?.to_owned(), field(body, "email")?);
    let mut credentials = None;
    wait(|| {
        for mail in mails_to(outbox, email)? {
            credentials = admin::set_password(server, &mail)?;
        }
        Ok(credentials.is_some())
    })?;
    let credentials = credentials.ok_or("no mail with a link is there")?;
    let token = admin::sign_in(server.address, &credentials)?;
    Ok(Member { id, credentials, token })
}

fn mails_to(outbox: &Path, email: &str) -> Outcome<Vec<PathBuf>> {
    let mut mails = Vec::new();
    for entry in fs::read_dir(outbox)? {
        let path = entry?.path();
        let is_mail = path.extension().is_some_and(|extension| extension == "eml");
        if is_mail && fs::read_to_string(&path)?.lines().any(|line| line == format!("To: {email}")) {
            mails.push(path);
        }
    }
    Ok(mails)
}

/// The mail of somebody who has not followed its link.
fn unread(server: &Server, outbox: &Path, users: &[String], by_token: &Admin) -> Outcome<PathBuf> {
    let user = users.get(users.len() / 2).ok_or("nobody was invited")?;
    let answer =
        http::get(server.address, &format!("/users/{user}"), Some(&by_token.token)).ok_or("nobody is there")?;
    let person: Value = serde_json::from_slice(&answer.body)?;
    let mails = mails_to(outbox, field(&person, "email")?)?;
    mails.into_iter().next().ok_or_else(|| "there is no mail to somebody who was invited".into())
}

/// The path of a mail's link.
fn link(mail: &Path) -> Outcome<String> {
    let text = fs::read_to_string(mail)?;
    let rest = text.find("/links/pml_").and_then(|at| text.get(at..)).ok_or("the mail has no link")?;
    Ok(rest.chars().take_while(|char| char.is_ascii_alphanumeric() || "/_".contains(*char)).collect())
}

/// Somebody sets up a second factor, and is shown their codes; in another browser they are let in by their password alone.
fn second_factor(server: &Server, by_token: &Admin, outbox: &Path) -> Outcome<(Browser, Browser)> {
    const SECURITY: &str = "/home/security";
    let member = invited(server, by_token, outbox, &json!({ "email": "careful@example.org", "plan": "bench" }))?;
    let mut codes = Browser::with(server.address, SESSION, &member.token)?;
    codes.fill_in(SECURITY, "/home/security/second-factor/begin", &[])?;
    let page = codes.read(SECURITY)?.text();
    let secret = page.split("secret=").nth(1).and_then(|rest| rest.split(['&', '"']).next());
    let secret = secret.and_then(totp::unbase32).ok_or("no second factor can be set up")?;
    let code = totp::code(&secret, totp::step_at(jiff::Timestamp::now())).ok_or("there is no code")?;
    let confirmed = codes.fill_in(SECURITY, "/home/security/second-factor/confirm", &[("code", &code)])?;
    if !confirmed.field("location").is_some_and(|place| place.ends_with("/home/security/codes")) {
        return Err(format!("the second factor was not confirmed: {}", confirmed.status).into());
    }
    let document: Value = serde_json::from_str(&member.credentials)?;
    let mut browser = Browser::open(server.address)?;
    let given = [("email", field(&document, "email")?), ("password", PASSWORD)];
    let led = browser.fill_in("/sign-in", "/sign-in", &given)?;
    match led.field("location") {
        Some(place) if place.contains("/sign-in/code") => Ok((codes, browser)),
        place => Err(format!("the code is not asked for: {} {place:?}", led.status).into()),
    }
}

/// The first rows of the sample, with another description in each file.
fn written(plan: &Plan, number: usize) -> Outcome<PathBuf> {
    let small = sample(plan, FILE_ROWS, "csv")?;
    let text = fs::read_to_string(small)?.replace("kitchen", &format!("kitchen {number}"));
    let file = plan.scratch.join(format!("pages-{number}.csv"));
    fs::write(&file, text)?;
    Ok(file)
}

/// The same with some rows that are no records.
fn wrong(plan: &Plan) -> Outcome<PathBuf> {
    let text = fs::read_to_string(sample(plan, FILE_ROWS, "csv")?)?;
    let mut lines: Vec<String> = text.lines().map(ToOwned::to_owned).collect();
    for line in lines.iter_mut().skip(1).step_by(10) {
        *line = line.replace("20", "x");
    }
    let file = plan.scratch.join("pages-wrong.csv");
    fs::write(&file, lines.join("\n") + "\n")?;
    Ok(file)
}

/// Imports a file, and waits until it is decided upon.
fn import(server: &Server, by_token: &Admin, query: &str, file: &Path) -> Outcome<String> {
    let accepted = by_token.send_file(&format!("POST /imports?{query}"), "text/csv", file)?;
    let id = field(&accepted, "id")?.to_owned();
    wait(|| {
        let answer = http::get(server.address, &format!("/imports/{id}"), Some(&by_token.token)).ok_or("no import")?;
        let status: Value = serde_json::from_slice(&answer.body)?;
        Ok(!["uploading", "reading", "committing"].contains(&field(&status, "status")?))
    })?;
    Ok(id)
}

/// Sends a file on the page of imports, and leaves it there. Its id.
fn send_file(server: &Server, session: &str, file: &Path) -> Outcome<String> {
    const BOUNDARY: &str = "a-boundary-of-no-file";
    let mut browser = Browser::with(server.address, SESSION, session)?;
    let page = browser.read("/admin/imports")?.text();
    let csrf = hidden(&page, "csrf").ok_or("the page of imports has no form")?;
    let part = |name: &str, value: &str| {
        format!("--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let mut body = part("csrf", csrf) + &part("name", "others");
    write!(body, "--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"file\"; filename=\"others.csv\"\r\n\r\n")?;
    let mut body = body.into_bytes();
    body.extend(fs::read(file)?);
    body.extend(format!("\r\n--{BOUNDARY}--\r\n").into_bytes());
    let led = browser.send("/admin/imports", &format!("multipart/form-data; boundary={BOUNDARY}"), &body)?;
    let place = led.field("location").ok_or_else(|| format!("the file was not taken: {}", led.status))?;
    Ok(place.rsplit('/').next().unwrap_or_default().to_owned())
}

/// Waits until something is so.
fn wait(mut is_so: impl FnMut() -> Outcome<bool>) -> Outcome<()> {
    let started = Instant::now();
    while !is_so()? {
        if started.elapsed() > DONE_WITHIN {
            return Err(format!("it is not done after {DONE_WITHIN:?}").into());
        }
        thread::park_timeout(LOOK_EVERY);
    }
    Ok(())
}

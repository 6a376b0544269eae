//! People: invited from lists and mailed, found among many, signing in; a large file that is sent; keys that expire.

mod notices;
mod sign_ins;
mod upload;

use std::{
    fmt::Write as _,
    fs, thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    Outcome, Plan,
    admin::{Admin, field},
    fixture::Fixture,
    load::{Load, Target, alternate},
    process::{self, LOAD_CORE, Server},
    report::{Finding, rate, show},
};

/// What the findings are under.
const GOAL: &str = "people";
/// Lists that everybody is invited from.
const LISTS: u64 = 10;
/// Records that are read meanwhile.
const ROWS: u64 = 20_000;
/// Paths that are asked for at random.
const PATHS: usize = 1000;
/// How long the mails of a list may take at all.
const MAILED_WITHIN: Duration = Duration::from_secs(600);
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// As many invitations and sign-ins as are measured.
const SETTINGS: [(&str, &str); 2] =
    [("PERMITD_MAIL_INVITATIONS_PER_HOUR_MAX", "1000000"), ("PERMITD_ACCOUNTS_SESSIONS_PER_HOUR_MAX", "10000")];
const FIRST_NAMES: [&str; 10] =
    ["Ada", "Barbara", "Clarence", "Donald", "Edsger", "Frances", "Grace", "Hedy", "Ivan", "Jean"];
const LAST_NAMES: [&str; 10] =
    ["Lovelace", "Liskov", "Ellis", "Knuth", "Dijkstra", "Allen", "Hopper", "Lamarr", "Sutherland", "Bartik"];

pub(crate) fn measure(plan: &Plan) -> Outcome<Vec<Finding>> {
    let people = plan.many / 10;
    let fixture = Fixture::named(plan, "people", plan.rows.min(ROWS))?;
    let server = fixture.serve(&SETTINGS)?;
    let admin = Admin::new(&server, &fixture.admin_token);
    // Every key of theirs expires some day.
    let limits = json!({ "rate_per_s": 10.0, "burst": 10, "quota_per_day": 1000, "key_max_age_days": 365 });
    admin.ask("PUT /plans/expiring", &limits)?;
    let (lists, users) = invite(&server, &admin, people / LISTS)?;
    let mut findings = vec![lists];
    process::output(&mut std::process::Command::new("sync"))?;
    findings.extend(questions(plan, &server, &admin, &users)?);
    findings.push(sign_ins::measure(plan, &fixture, &server)?);
    let due = notices::prepare(&admin, &users)?;
    drop(server);
    findings.push(notices::measure(plan, &fixture, users.len(), &due)?);
    findings.push(upload::measure(plan)?);
    Ok(findings)
}

/// Somebody's name and the first part of their address.
fn name(number: u64) -> (String, String) {
    let of = |names: [&'static str; 10], number: u64| {
        names.into_iter().nth(usize::try_from(number % 10).unwrap_or(0)).unwrap_or_default()
    };
    let (first, last) = (of(FIRST_NAMES, number), of(LAST_NAMES, number / 10));
    (format!("{first} {last}"), format!("{first}.{last}.{number}").to_ascii_lowercase())
}

/// Invites everybody, list after list, each when the mails of the one before are written. Returns the ids of all.
fn invite(server: &Server, admin: &Admin, rows: u64) -> Outcome<(Finding, Vec<String>)> {
    let (mut users, mut times) = (Vec::new(), Vec::new());
    for list in 0..LISTS {
        let mut csv = "email,name,plan\n".to_owned();
        for number in list * rows..(list + 1) * rows {
            let (name, address) = name(number);
            writeln!(csv, "{address}@example.org,{name},expiring")?;
        }
        let wanted = server.counted("permitd_mailer_mails_sent_total")? + rows;
        let started = Instant::now();
        let answer = admin.send("POST /invitations", "text/csv", &csv)?;
        let answered = started.elapsed();
        while server.counted("permitd_mailer_mails_sent_total")? < wanted {
            if started.elapsed() > MAILED_WITHIN {
                return Err(format!("the mails of list {list} are not written after {MAILED_WITHIN:?}").into());
            }
            thread::park_timeout(LOOK_EVERY);
        }
        times.push((answered.as_secs_f64(), started.elapsed().as_secs_f64()));
        let listed = answer.get("data").and_then(Value::as_array).ok_or("the answer lists nobody")?;
        for row in listed {
            users.push(field(row, "user")?.to_owned());
        }
        eprintln!("{} people, the last {rows} after {} s", users.len(), show(started.elapsed().as_secs_f64()));
    }
    let (Some(first), Some(last)) = (times.first(), times.last()) else { return Err("no list was sent".into()) };
    let figures = format!(
        "{} s, answered after {} s; the first {rows}: {} s, answered after {} s",
        show(last.1),
        show(last.0),
        show(first.1),
        show(first.0)
    );
    let what = format!("{rows} people invited from CSV, until the last mail is a file, beside {}", rows * (LISTS - 1));
    Ok((Finding::at_most(GOAL, what, figures, last.1, 20.0, " s"), users))
}

/// What an administrator looks for, each of many, asked for one after the other.
fn questions(plan: &Plan, server: &Server, admin: &Admin, users: &[String]) -> Outcome<Vec<Finding>> {
    let step = (users.len() / PATHS).max(1);
    let some: Vec<(usize, &String)> = users.iter().enumerate().step_by(step).collect();
    let address = |number: usize| name(u64::try_from(number).unwrap_or(0)).1;
    let last_names = LAST_NAMES.map(str::to_ascii_lowercase);
    let kinds: [(&str, Vec<String>); 6] = [
        ("one person", some.iter().map(|(_, id)| format!("/users/{id}")).collect()),
        ("the first page of 100", vec!["/users?limit=100".to_owned()]),
        ("another page of 100", some.iter().map(|(_, id)| format!("/users?limit=100&after={id}")).collect()),
        ("a search for one address", some.iter().map(|(n, _)| format!("/users?search={}@", address(*n))).collect()),
        (
            "a search for a name that one in ten has",
            last_names.iter().map(|name| format!("/users?search={name}")).collect(),
        ),
        ("a search that finds nobody", some.iter().map(|(n, _)| format!("/users?search=nobody.{n}")).collect()),
    ];
    let mut files = Vec::new();
    for (number, (_, paths)) in kinds.iter().enumerate() {
        let file = plan.scratch.join(format!("people-{number}.txt"));
        fs::write(&file, paths.join("\n") + "\n")?;
        files.push(file);
    }
    let loads: Vec<Load<'_>> = files
        .iter()
        .map(|file| Load {
            target: Target::AnyOf(file),
            key: Some(&admin.token),
            connections: 1,
            succeeds: true,
            cores: LOAD_CORE,
        })
        .collect();
    let rates = alternate(plan, &loads.iter().map(|load| (server, load)).collect::<Vec<_>>())?;
    let finding = |((what, _), found): (&(&str, Vec<String>), &crate::load::Rate)| {
        let figures = format!("p50 {} ms, p99 {} ms, {}", show(found.p50_ms), show(found.p99_ms), rate(found.per_s));
        Finding::at_most(GOAL, format!("of {} people: {what}, p99", users.len()), figures, found.p99_ms, 5.0, " ms")
    };
    Ok(kinds.iter().zip(&rates).map(finding).collect())
}

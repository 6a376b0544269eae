//! A hundred who sign in at once, beside point reads.

use std::{
    fs,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use super::GOAL;
use crate::{
    Outcome, Plan, admin,
    fixture::Fixture,
    load::{self, Load, Rate, Target, medians},
    process::{LOAD_CORE, Server},
    report::{Finding, rate, show},
};

/// How many sign in at the same time, each again and again.
const AT_ONCE: usize = 100;
/// Connections of the point reads.
const CONNECTIONS: u32 = 16;

pub(super) fn measure(plan: &Plan, fixture: &Fixture, server: &Server) -> Outcome<Finding> {
    let credentials = with_passwords(fixture, server)?;
    let reads = Load {
        target: Target::Path(&fixture.hot_path),
        key: Some(&fixture.key),
        connections: CONNECTIONS,
        succeeds: true,
        cores: LOAD_CORE,
    };
    let round = Duration::from_secs(plan.round_s.into());
    let (mut without, mut beside, mut alone, mut slowed) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..plan.rounds {
        without.push(load::run(plan, server, &reads)?);
        let (read, signed_in) = signing_in(server, &credentials, || load::run(plan, server, &reads))?;
        beside.push(read);
        slowed.push(signed_in);
        let ((), signed_in) = signing_in(server, &credentials, || {
            let started = Instant::now();
            while let Some(left) = round.checked_sub(started.elapsed()) {
                thread::park_timeout(left);
            }
            Ok(())
        })?;
        alone.push(signed_in);
    }
    let (without, beside) = (medians(&without), medians(&beside));
    let per_s = |counts: Vec<f64>| rate(load::median(counts) / round.as_secs_f64());
    let one = |is: &Rate| format!("{} (p99 {} ms)", rate(is.per_s), show(is.p99_ms));
    let figures = format!(
        "{} against {}; {} sign-ins meanwhile, {} where nobody reads",
        one(&beside),
        one(&without),
        per_s(slowed),
        per_s(alone)
    );
    let what = format!("point reads beside {AT_ONCE} who sign in at once, against without");
    Ok(Finding::at_least(GOAL, what, figures, beside.per_s / without.per_s, 0.9))
}

/// Sets passwords through the links of the newest mails that have one: notices come meanwhile.
fn with_passwords(fixture: &Fixture, server: &Server) -> Outcome<Vec<String>> {
    let mut mails: Vec<_> =
        fs::read_dir(fixture.data.join("outbox"))?.map(|entry| Ok(entry?.path())).collect::<Outcome<_>>()?;
    // Their names begin with the time.
    mails.sort();
    let mut credentials = Vec::new();
    for mail in mails.iter().rev() {
        if credentials.len() == AT_ONCE {
            break;
        }
        credentials.extend(admin::set_password(server, mail)?);
    }
    Ok(credentials)
}

/// Does something while everybody signs in, again and again; how often they did until it was done.
fn signing_in<T>(server: &Server, credentials: &[String], work: impl FnOnce() -> Outcome<T>) -> Outcome<(T, f64)> {
    let (is_over, count) = (AtomicBool::new(false), AtomicU64::new(0));
    let address = server.address;
    thread::scope(|scope| {
        let people: Vec<_> = credentials
            .iter()
            .map(|of_one| {
                scope.spawn(|| {
                    while !is_over.load(Ordering::Relaxed) {
                        admin::sign_in(address, of_one)?;
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                    Outcome::Ok(())
                })
            })
            .collect();
        let done = work();
        let signed_in = count.load(Ordering::Relaxed);
        is_over.store(true, Ordering::Relaxed);
        for person in people {
            person.join().map_err(|_| "a thread has panicked")??;
        }
        Ok((done?, signed_in as f64))
    })
}

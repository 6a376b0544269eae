//! P1: an admitted point read, hot and cold, against an answer that costs nothing.

use crate::{
    Outcome, Plan,
    fixture::Fixture,
    http,
    load::{Load, Rate, Target, alternate},
    process::{LOAD_CORE, Server},
    report::{Finding, rate, show},
};

/// The setting by which every read goes to the store.
pub(crate) const NO_CACHE: (&str, &str) = ("PERMITD_RECORDS_CACHE_BYTES_MAX", "0");
/// How many connections ask at the same time.
const CONNECTIONS: [u32; 2] = [16, 64];

pub(crate) fn measure(plan: &Plan) -> Outcome<Vec<Finding>> {
    let fixture = plan.fixture()?;
    let mut findings = Vec::new();
    let hot = Target::Path(&fixture.hot_path);
    findings.extend(against_constant(plan, fixture, ("hot", 0.55), hot, &[])?);
    let cold = Target::AnyOf(&fixture.paths);
    findings.extend(against_constant(plan, fixture, ("cold", 0.22), cold, &[NO_CACHE])?);
    Ok(findings)
}

fn against_constant(
    plan: &Plan,
    fixture: &Fixture,
    (name, wanted): (&str, f64),
    target: Target<'_>,
    settings: &[(&str, &str)],
) -> Outcome<Vec<Finding>> {
    let server = fixture.serve(settings)?;
    let answer =
        http::get(server.address, &fixture.hot_path, Some(fixture.credential())).filter(|answer| answer.status == 200);
    let body_bytes = answer.ok_or("the record cannot be read")?.body.len();
    let constant = Server::constant(body_bytes, &plan.scratch)?;
    let by = if fixture.session.is_some() { " by a session" } else { "" };
    let mut findings = Vec::new();
    for connections in CONNECTIONS {
        let load = Load { target, key: Some(fixture.credential()), connections, succeeds: true, cores: LOAD_CORE };
        let rates = alternate(plan, &[(&constant, &load), (&server, &load)])?;
        let &[nothing, read] = rates.as_slice() else { return Err("two rates were wanted".into()) };
        let what = format!("{name} point read{by} against the constant answer, {connections} connections");
        findings.push(Finding::at_least("P1", what, figures(&read, &nothing), read.per_s / nothing.per_s, wanted));
    }
    Ok(findings)
}

/// Two rates, each with the processor time of an answer and how busy the server was.
pub(crate) fn figures(ours: &Rate, theirs: &Rate) -> String {
    let one = |is: &Rate| format!("{} ({} µs, busy {})", rate(is.per_s), show(is.cpu_us), show(is.busy));
    format!("{} against {}", one(ours), one(theirs))
}

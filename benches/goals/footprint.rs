//! P9 and P10: memory at rest, and the time until the first answer.

use crate::{
    Outcome, Plan,
    fixture::Fixture,
    load::median,
    replay,
    report::{Finding, show},
};
use permitd::store::sqlite::Database;

/// Events of the log that a start finds.
const EVENTS: u64 = 100_000;

pub(crate) fn memory(plan: &Plan) -> Outcome<Vec<Finding>> {
    let server = plan.fixture()?.serve(&[])?;
    let what = format!("resident memory at rest, {} records", plan.rows);
    let resident_mib = server.resident_mib();
    Ok(vec![Finding::at_most("P9", what, format!("{} MiB", show(resident_mib)), resident_mib, 60.0, " MiB")])
}

pub(crate) fn start(plan: &Plan) -> Outcome<Vec<Finding>> {
    let fixture = Fixture::new(plan, plan.many)?;
    replay::fill(&Database::open(&fixture.data)?, EVENTS)?;
    let mut times_ms = Vec::new();
    for _ in 0..plan.rounds {
        times_ms.push(fixture.serve(&[])?.ready_after.as_secs_f64() * 1000.0);
    }
    let ready_ms = median(times_ms);
    let what = format!("from start to ready, {} records and {EVENTS} events", plan.many);
    Ok(vec![Finding::at_most("P10", what, format!("{} ms", show(ready_ms)), ready_ms, 300.0, " ms")])
}

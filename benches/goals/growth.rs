//! P11: what more records cost.

use crate::{
    Outcome, Plan,
    filters::FILTER,
    fixture::Fixture,
    load::{Load, Target, alternate},
    process::{LOAD_CORE, Server},
    reads::{NO_CACHE, figures},
    report::{Finding, show},
};

/// Records of the large data set.
const RECORDS: u64 = 5_000_000;
/// Connections that ask at the same time.
const CONNECTIONS: u32 = 16;

pub(crate) fn measure(plan: &Plan) -> Outcome<Vec<Finding>> {
    if !plan.large {
        return Ok(vec![Finding::absent("P11", format!("reads of {RECORDS} records"), "measured with `--large`")]);
    }
    let (small, large) = (plan.fixture()?, Fixture::new(plan, RECORDS)?);
    let mut findings = Vec::new();
    for (name, settings) in [("hot", &[][..]), ("cold", &[NO_CACHE][..])] {
        let (small_server, large_server) = (small.serve(settings)?, large.serve(settings)?);
        let target = |fixture| if name == "hot" { hot(fixture) } else { cold(fixture) };
        let [few, many] = [target(small), target(&large)];
        let rates = alternate(plan, &[(&small_server, &few), (&large_server, &many)])?;
        let &[few, many] = rates.as_slice() else { return Err("two rates were wanted".into()) };
        let what = format!("{name} point read of {} records, against {RECORDS}", plan.rows);
        findings.push(Finding::at_most("P11", what, figures(&few, &many), few.per_s / many.per_s, 1.3, ""));
        if name == "hot" {
            findings.push(filter(plan, (small, &small_server), (&large, &large_server))?);
        }
    }
    Ok(findings)
}

fn hot(fixture: &Fixture) -> Load<'_> {
    Load {
        target: Target::Path(&fixture.hot_path),
        key: Some(&fixture.key),
        connections: CONNECTIONS,
        succeeds: true,
        cores: LOAD_CORE,
    }
}

fn cold(fixture: &Fixture) -> Load<'_> {
    Load { target: Target::AnyOf(&fixture.paths), ..hot(fixture) }
}

fn filter(plan: &Plan, small: (&Fixture, &Server), large: (&Fixture, &Server)) -> Outcome<Finding> {
    let [few, many] =
        [small.0, large.0].map(|fixture| Load { target: Target::Path(FILTER), connections: 1, ..hot(fixture) });
    let rates = alternate(plan, &[(small.1, &few), (large.1, &many)])?;
    let &[few, many] = rates.as_slice() else { return Err("two rates were wanted".into()) };
    let what = format!("first page of an indexed filter of {RECORDS} records, against {}, p50", plan.rows);
    let figures = format!("{} ms against {} ms", show(many.p50_ms), show(few.p50_ms));
    Ok(Finding::at_most("P11", what, figures, many.p50_ms / few.p50_ms, 1.3, ""))
}

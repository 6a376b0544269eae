//! P2: a bad key costs less than a good one, and a flood of them leaves the good ones what they had.

use permitd::domain::key::{ApiKey, KeyId, PREFIX, SECRET_BYTES};

use crate::{
    Outcome, Plan,
    fixture::Fixture,
    load::{self, Load, Rate, Target, alternate, medians},
    process::{LOAD_CORE, Server},
    reads::figures,
    report::{Finding, rate, show},
};

/// Connections of the good key.
const CONNECTIONS: u32 = 16;
/// Connections of the flood.
const FLOOD_CONNECTIONS: u32 = 64;
const JUNK: &str = "no-key-at-all";

pub(crate) fn measure(plan: &Plan) -> Outcome<Vec<Finding>> {
    let fixture = plan.fixture()?;
    let forged = forged(&fixture.key)?;
    let good = Load {
        target: Target::Path(&fixture.hot_path),
        key: Some(&fixture.key),
        connections: CONNECTIONS,
        succeeds: true,
        cores: LOAD_CORE,
    };
    let mut findings = costs(plan, fixture, &good, &forged)?;
    let flood = Load {
        target: Target::FromAnywhere(&fixture.hot_path),
        connections: FLOOD_CONNECTIONS,
        succeeds: false,
        ..good
    };
    let bad = [("junk", Load { key: Some(JUNK), ..flood }), ("forged", Load { key: Some(&forged), ..flood })];
    // What another address sends is another client's, where a proxy says so that is trusted.
    let server = fixture.serve(&[("PERMITD_HTTP_TRUSTED_PROXIES", "127.0.0.1")])?;
    findings.extend(floods(plan, &server, &good, &bad)?);
    Ok(findings)
}

/// What a refusal costs that is not put off.
fn costs(plan: &Plan, fixture: &Fixture, good: &Load<'_>, forged: &str) -> Outcome<Vec<Finding>> {
    let server = fixture.serve(&[("PERMITD_HTTP_REFUSAL_DELAY_MAX_MS", "0")])?;
    let junk = Load { key: Some(JUNK), succeeds: false, ..*good };
    let forged = Load { key: Some(forged), succeeds: false, ..*good };
    let rates = alternate(plan, &[(&server, good), (&server, &junk), (&server, &forged)])?;
    let &[admitted, junk_refused, forged_refused] = rates.as_slice() else {
        return Err("three rates were wanted".into());
    };
    let refusal = |name: &str, refused: &Rate| {
        let what = format!("refusals of {name} keys, none put off, against admissions, {CONNECTIONS} connections");
        Finding::at_least("P2", what, figures(refused, &admitted), refused.per_s / admitted.per_s, 1.0)
    };
    Ok(vec![refusal("junk", &junk_refused), refusal("forged", &forged_refused)])
}

/// Another secret under the good key's id, and the checksum that belongs to it.
fn forged(key: &str) -> Outcome<String> {
    let id = key.strip_prefix(PREFIX).and_then(|rest| rest.split_once('_')).ok_or("the key is not one")?.0;
    Ok(ApiKey::new(KeyId::parse(id)?, &[5; SECRET_BYTES]).reveal().to_owned())
}

/// A good key alone, and beside a flood that asks as fast as it is answered. What the server's core spends in all for each good answer
/// depends on the server alone, however busy the generators' core is.
fn floods(plan: &Plan, server: &Server, good: &Load<'_>, bad: &[(&str, Load<'_>); 2]) -> Outcome<Vec<Finding>> {
    let (mut alone, mut beside) = (Vec::new(), [Vec::new(), Vec::new()]);
    for _ in 0..plan.rounds {
        alone.push(load::run(plan, server, good)?);
        for (rates, (_, bad)) in beside.iter_mut().zip(bad) {
            let flooding = load::start(plan, server, bad)?;
            let rate = load::run(plan, server, good)?;
            rates.push((rate, flooding.finish(plan)?.per_s));
        }
    }
    let alone = medians(&alone);
    let one = |is: &Rate| format!("{} ({} µs, p99 {} ms)", rate(is.per_s), show(is.cpu_us), show(is.p99_ms));
    let findings = |(rates, (name, _)): (Vec<(Rate, f64)>, &(&str, Load<'_>))| {
        let flooded = medians(&rates.iter().map(|(rate, _)| *rate).collect::<Vec<_>>());
        let refused = load::median(rates.iter().map(|(_, refused)| *refused));
        let flood = format!("beside {FLOOD_CONNECTIONS} connections with {name} keys from other addresses");
        let figures = format!("{} against {}; {} refused", one(&flooded), one(&alone), rate(refused));
        [
            Finding::at_least(
                "P2",
                format!("a good key {flood}, against alone"),
                figures.clone(),
                flooded.per_s / alone.per_s,
                0.9,
            ),
            Finding::at_most(
                "P2",
                format!("the server's processor time for each good answer {flood}, against alone"),
                figures.clone(),
                flooded.cpu_us / alone.cpu_us,
                1.1,
                "",
            ),
            Finding::at_most("P2", format!("p99 of a good key {flood}"), figures, flooded.p99_ms, 2.0, " ms"),
        ]
    };
    Ok(beside.into_iter().zip(bad).flat_map(findings).collect())
}

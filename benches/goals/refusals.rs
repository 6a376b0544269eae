//! P2: a bad key costs less than a good one, and many of them leave the good one its share.

use permitd::domain::key::{ApiKey, KeyId, PREFIX, SECRET_BYTES};

use crate::{
    Outcome, Plan,
    load::{self, Load, Rate, Target, alternate, medians},
    process::{LOAD_CORE, Server},
    reads::figures,
    report::{Finding, rate, show},
};

/// Connections of the good key, and as many of the bad ones.
const CONNECTIONS: u32 = 16;

pub(crate) fn measure(plan: &Plan) -> Outcome<Vec<Finding>> {
    let fixture = plan.fixture()?;
    let server = fixture.serve(&[])?;
    let forged = forged(&fixture.key)?;
    let target = Target::Path(&fixture.hot_path);
    let good = Load { target, key: Some(&fixture.key), connections: CONNECTIONS, succeeds: true, cores: LOAD_CORE };
    let junk = Load { key: Some("no-key-at-all"), succeeds: false, ..good };
    let forged = Load { key: Some(&forged), succeeds: false, ..good };
    let rates = alternate(plan, &[(&server, &good), (&server, &junk), (&server, &forged)])?;
    let &[admitted, junk_refused, forged_refused] = rates.as_slice() else {
        return Err("three rates were wanted".into());
    };
    let refusal = |name: &str, refused: &Rate| {
        let what = format!("refusals of {name} keys against admissions, {CONNECTIONS} connections");
        Finding::at_least("P2", what, figures(refused, &admitted), refused.per_s / admitted.per_s, 1.0)
    };
    let mut findings = vec![refusal("junk", &junk_refused), refusal("forged", &forged_refused)];
    findings.extend(floods(plan, &server, &good, [("junk", &junk), ("forged", &forged)])?);
    Ok(findings)
}

/// Another secret under the good key's id, and the checksum that belongs to it.
fn forged(key: &str) -> Outcome<String> {
    let id = key.strip_prefix(PREFIX).and_then(|rest| rest.split_once('_')).ok_or("the key is not one")?.0;
    Ok(ApiKey::new(KeyId::parse(id)?, &[5; SECRET_BYTES]).reveal().to_owned())
}

/// A good key's fair share is what it gets beside as many connections that are as good as its own.
fn floods(plan: &Plan, server: &Server, good: &Load<'_>, bad: [(&str, &Load<'_>); 2]) -> Outcome<Vec<Finding>> {
    let (mut alone, mut beside_good, mut beside_bad) = (Vec::new(), Vec::new(), [Vec::new(), Vec::new()]);
    for _ in 0..plan.rounds {
        alone.push(load::run(plan, server, good)?);
        beside_good.push(beside(plan, server, good, good)?);
        for (rates, (_, bad)) in beside_bad.iter_mut().zip(bad) {
            rates.push(beside(plan, server, good, bad)?);
        }
    }
    let one = |is: &Rate| format!("{} (p99 {} ms)", rate(is.per_s), show(is.p99_ms));
    let (alone, share) = (medians(&alone), medians(&beside_good));
    let finding = |(rates, (name, _)): (Vec<Rate>, (&str, &Load<'_>))| {
        let flooded = medians(&rates);
        let what = format!(
            "a good key beside {CONNECTIONS} connections with {name} keys, against beside {CONNECTIONS} with good ones"
        );
        let figures = format!("{} against {}; alone {}", one(&flooded), one(&share), one(&alone));
        Finding::at_least("P2", what, figures, flooded.per_s / share.per_s, 0.95)
    };
    Ok(beside_bad.into_iter().zip(bad).map(finding).collect())
}

/// The rate of one load while another one is there.
fn beside(plan: &Plan, server: &Server, one: &Load<'_>, other: &Load<'_>) -> Outcome<Rate> {
    let flooding = load::start(plan, server, other)?;
    let rate = load::run(plan, server, one)?;
    flooding.finish(plan)?;
    Ok(rate)
}

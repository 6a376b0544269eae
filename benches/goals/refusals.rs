//! P2: a bad key costs less than a good one, and many of them leave the good one its share.

use permitd::domain::key::{ApiKey, KeyId, PREFIX, SECRET_BYTES};

use crate::{
    Outcome, Plan,
    load::{self, Load, Target, alternate, medians},
    process::Server,
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
    let good = Load { target, key: Some(&fixture.key), connections: CONNECTIONS, succeeds: true };
    let junk = Load { key: Some("no-key-at-all"), succeeds: false, ..good };
    let forged = Load { key: Some(&forged), succeeds: false, ..good };
    let rates = alternate(plan, &[(&server, &good), (&server, &junk), (&server, &forged)])?;
    let &[admitted, junk_refused, forged_refused] = rates.as_slice() else {
        return Err("three rates were wanted".into());
    };
    let refusal = |name: &str, refused: &load::Rate| {
        let what = format!("refusals of {name} keys against admissions, {CONNECTIONS} connections");
        Finding::at_least("P2", what, figures(refused, &admitted), refused.per_s / admitted.per_s, 1.0)
    };
    Ok(vec![refusal("junk", &junk_refused), refusal("forged", &forged_refused), flood(plan, &server, &good, &forged)?])
}

/// Another secret under the good key's id, and the checksum that belongs to it.
fn forged(key: &str) -> Outcome<String> {
    let id = key.strip_prefix(PREFIX).and_then(|rest| rest.split_once('_')).ok_or("the key is not one")?.0;
    Ok(ApiKey::new(KeyId::parse(id)?, &[5; SECRET_BYTES]).reveal().to_owned())
}

fn flood(plan: &Plan, server: &Server, good: &Load<'_>, bad: &Load<'_>) -> Outcome<Finding> {
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    for _ in 0..plan.rounds {
        alone.push(load::run(plan, server, good)?);
        let flooding = load::start(plan, server, bad)?;
        beside.push(load::run(plan, server, good)?);
        flooding.finish(plan)?;
    }
    let (alone, beside) = (medians(&alone), medians(&beside));
    let [one, other] = [beside, alone].map(|is| format!("{} (p99 {} ms)", rate(is.per_s), show(is.p99_ms)));
    let what =
        format!("a good key beside as many connections with forged keys, against alone; {CONNECTIONS} connections");
    Ok(Finding::at_least("P2", what, format!("{one} against {other}"), beside.per_s / alone.per_s, 0.5))
}

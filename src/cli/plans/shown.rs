//! Plans as they are shown.

use crate::{
    cli::{
        Failure,
        output::{Table, grouped},
    },
    domain::view::PlanRow,
    store::Views,
};

/// That there is no such plan, and which there are.
pub(super) async fn missing(views: &dyn Views, name: &str) -> Result<Failure, Failure> {
    let known: Vec<String> = views.plans().await?.into_iter().map(|plan| plan.name).collect();
    Ok(Failure::not_found(format!("there is no plan {name:?}; there are: {}", known.join(", "))))
}

pub(super) fn table(plans: &[PlanRow]) -> String {
    let most = |number: Option<u32>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
    let mut table = Table::new(&["PLAN", "PER SECOND", "BURST", "PER DAY", "KEY DAYS", "KEYS", "DATA SETS", "STATE"]);
    for plan in plans {
        table.row([
            plan.name.clone(),
            plan.limits.rate_per_s.to_string(),
            grouped(plan.limits.burst.into()),
            grouped(plan.limits.quota_per_day),
            most(plan.rules.key_max_age_days),
            plan.rules.keys_max().to_string(),
            plan.rules.datasets.as_ref().map_or_else(|| "all".to_owned(), |datasets| datasets.join(", ")),
            if plan.retired { "retired" } else { "in use" }.to_owned(),
        ]);
    }
    table.render()
}

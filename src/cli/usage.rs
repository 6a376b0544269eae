//! `permitd users usage`: a user's usage, as `GET /users/{id}/usage` shows it.

use std::collections::BTreeMap;

use clap::Args;

use super::{CommandAnswer, Common, Failure, number::whole, open::stores, output::Table, people};
use crate::{
    app,
    domain::usage::{DAYS_DEFAULT, DAYS_MAX, UsageDivision, UsageReport, day_number},
    store::Stores,
};

/// Show what a user has used, by day
///
/// USED is what counts against the quota, REQUESTS were answered, REFUSED were not. What a running server has counted in the last
/// seconds, and not written down yet, is not in it; of a whole day USED has what servers hold for requests to come.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd users usage ana@example.org --days 7
  permitd users usage ana@example.org --by key --csv > usage.csv")]
pub(super) struct UsageArgs {
    /// The address or the id
    #[arg(value_name = "EMAIL")]
    user: String,
    /// So many days, today included
    #[arg(long, value_name = "N", default_value_t = DAYS_DEFAULT, value_parser = whole(1..=DAYS_MAX))]
    days: u16,
    /// What to divide days by: key (or session), dataset or status
    #[arg(long, value_name = "WHAT", value_parser = division)]
    by: Option<UsageDivision>,
    /// Print CSV, unless --json is given
    #[arg(long)]
    csv: bool,
}

fn division(text: &str) -> Result<UsageDivision, &'static str> {
    UsageDivision::named(text).ok_or("days are divided by key, dataset or status")
}

impl UsageArgs {
    pub(super) fn run(self, common: &Common) -> Result<CommandAnswer, Failure> {
        app::block_on(self.answer(&stores(common)?))
    }

    async fn answer(self, stores: &Stores) -> Result<CommandAnswer, Failure> {
        let user = people::find(&*stores.views, &self.user).await?.id;
        let today = day_number(jiff::Timestamp::now());
        let from_day = today - i64::from(self.days) + 1;
        let counts = stores.ledger.counts(user, from_day).await?;
        let days = stores.ledger.usage(user, from_day).await?;
        let used: BTreeMap<i64, u64> = days.iter().map(|of_day| (of_day.day, of_day.used)).collect();
        let report = UsageReport::new(self.by, (from_day, today), &counts, &used);
        if self.csv {
            return Ok(CommandAnswer::file(report.document(), report.csv()));
        }
        let heading = |column: &str| match column {
            "key" => "KEY OR SESSION".to_owned(),
            column => column.to_uppercase(),
        };
        let headings = report.columns().into_iter().map(heading).collect::<Vec<_>>();
        let mut table = Table::new(&headings.iter().map(String::as_str).collect::<Vec<_>>());
        report.cells().for_each(|cells| table.row(cells));
        Ok(CommandAnswer::new(report.document(), table.render()))
    }
}

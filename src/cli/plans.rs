//! `permitd plans`: the limits of keys.

mod show;
mod shown;

use clap::{Args, Subcommand};
use serde_json::json;

use self::{
    show::ShowPlanArgs,
    shown::{missing, table},
};
use super::{
    CommandAnswer, Common, Failure,
    number::{decimal, whole},
    open::{Data, stores, with_node},
    output::{Table, grouped},
};
use crate::{
    app,
    domain::{
        bounds::LIFE_DAYS_MAX,
        plan::{self, KeyRules, Limits},
    },
    store::{Stores, Views},
};

/// List, show, set and retire plans
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd plans list
  permitd plans set research --rate 20 --burst 40 --quota 50000
  permitd plans retire research")]
pub(super) struct Plans {
    #[command(subcommand)]
    command: PlansCommand,
}

#[derive(Debug, Subcommand)]
enum PlansCommand {
    List(ListPlansArgs),
    Show(ShowPlanArgs),
    Set(SetPlanArgs),
    Retire(Retire),
}

/// List the plans
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd plans list --people
  permitd plans list --json")]
struct ListPlansArgs {
    /// Say how many people have each
    #[arg(long)]
    people: bool,
}

/// Make a plan, or change one: its people have the new limits within a second
///
/// What is left out stays as it is; of a new plan it is 5 per second, burst 10, 1000 a day.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd plans set research --rate 20 --burst 40 --quota 50000
  permitd plans set default --quota 2000
  permitd plans set partners --key-max-age 365 --dataset permits --keys-max 3")]
struct SetPlanArgs {
    /// The plan: lower-case letters, digits, - and _
    name: String,
    /// Requests per second in the long run
    #[arg(long, value_name = "PER_SECOND", value_parser = decimal(plan::RATE_PER_S_MIN..=plan::RATE_PER_S_MAX))]
    rate: Option<f64>,
    /// Requests at once after a pause
    #[arg(long, value_name = "REQUESTS", value_parser = whole(1..=plan::BURST_MAX))]
    burst: Option<u32>,
    /// Requests per UTC day
    #[arg(long, value_name = "PER_DAY", value_parser = whole(1..=plan::QUOTA_PER_DAY_MAX))]
    quota: Option<u64>,
    /// Days for which a key that is issued from now on works, or none for no end
    #[arg(long, value_name = "DAYS", value_parser = or_none(LIFE_DAYS_MAX))]
    key_max_age: Option<OrNone>,
    /// A data set that the plan's people may read; may be given several times
    #[arg(long = "dataset", value_name = "NAME", conflicts_with = "all_datasets")]
    datasets: Vec<String>,
    /// The plan's people may read all data sets
    #[arg(long)]
    all_datasets: bool,
    /// Most keys of a person that work at the same time, or none for 20
    #[arg(long, value_name = "KEYS", value_parser = or_none(plan::KEYS_MAX_MOST))]
    keys_max: Option<OrNone>,
}

/// A number, or none.
type OrNone = Option<u32>;

/// Reads a whole number from 1 on, or `none`.
fn or_none(most: u32) -> impl Fn(&str) -> Result<OrNone, String> + Clone + Send + Sync + 'static {
    let number = whole(1..=most);
    move |text| match text {
        "none" => Ok(None),
        text => number(text).map(Some).map_err(|error| format!("{error}, or none")),
    }
}

/// Retire a plan: whoever has it keeps it, nobody gets it anew
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd plans retire research")]
struct Retire {
    /// The plan
    name: String,
}

impl Plans {
    pub(super) fn run(self, common: &Common) -> Result<CommandAnswer, Failure> {
        match self.command {
            PlansCommand::List(arguments) => app::block_on(list(&stores(common)?, arguments)),
            PlansCommand::Show(show) => show.run(common),
            PlansCommand::Set(set) => set.run(common),
            PlansCommand::Retire(retire) => retire.run(common),
        }
    }
}

async fn list(stores: &Stores, ListPlansArgs { people }: ListPlansArgs) -> Result<CommandAnswer, Failure> {
    let plans = stores.views.plans().await?;
    if !people {
        let text = table(&plans);
        return Ok(CommandAnswer::new(json!({ "plans": plans }), text));
    }
    let counted = stores.views.people_of_plans().await?;
    let mut table = Table::new(&["PLAN", "PEOPLE"]);
    let mut documents = Vec::new();
    for plan in &plans {
        let people = counted.get(&plan.name).copied().unwrap_or(0);
        table.row([plan.name.clone(), grouped(people)]);
        let mut document = json!(plan);
        if let Some(fields) = document.as_object_mut() {
            fields.insert("people".to_owned(), people.into());
        }
        documents.push(document);
    }
    Ok(CommandAnswer::new(json!({ "plans": documents }), table.render()))
}

async fn answer(views: &dyn Views, name: &str, is_new: bool, done: &str) -> Result<CommandAnswer, Failure> {
    let plan = views.plan(name).await?;
    let text = format!("{name}: {}{done}\n{}", if is_new { "" } else { "was already " }, table(plan.as_slice()));
    Ok(CommandAnswer::new(json!({ "plan": plan, "changed": is_new }), text))
}

impl SetPlanArgs {
    fn run(self, common: &Common) -> Result<CommandAnswer, Failure> {
        with_node(common.settings(&[])?, Data::MayBeNew, async |node| {
            let views = &node.service.committer.stores.views;
            let (before, kept) =
                views.plan(&self.name).await?.map(|plan| (plan.limits, plan.rules)).unwrap_or_default();
            let limits = Limits {
                rate_per_s: self.rate.unwrap_or(before.rate_per_s),
                burst: self.burst.unwrap_or(before.burst),
                quota_per_day: self.quota.unwrap_or(before.quota_per_day),
            };
            let rules = KeyRules {
                key_max_age_days: self.key_max_age.unwrap_or(kept.key_max_age_days),
                datasets: match self.datasets.is_empty() {
                    false => Some(self.datasets),
                    true => kept.datasets.filter(|_| !self.all_datasets),
                },
                keys_max: self.keys_max.unwrap_or(kept.keys_max),
            };
            let defined = node.service.accounts.define_plan(self.name.clone(), limits, rules, node.envelope()?);
            let committed = defined.await?;
            answer(&**views, &self.name, !committed.events.is_empty(), "set").await
        })
    }
}

impl Retire {
    fn run(self, common: &Common) -> Result<CommandAnswer, Failure> {
        with_node(common.settings(&[])?, Data::MustExist, async |node| {
            let views = &node.service.committer.stores.views;
            if views.plan(&self.name).await?.is_none() {
                return Err(missing(&**views, &self.name).await?);
            }
            let committed = node.service.accounts.retire_plan(self.name.clone(), node.envelope()?).await?;
            answer(&**views, &self.name, !committed.events.is_empty(), "retired").await
        })
    }
}

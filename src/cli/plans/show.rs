//! `permitd plans show`.

use clap::Args;
use serde_json::json;

use super::shown::{missing, table};
use crate::{
    app::{self, Node},
    cli::{
        CommandAnswer, Common, Failure,
        open::{Data, stores, with_node},
    },
    domain::{event::AsOf, id::StreamId, view::PlanRow},
    store::Views,
};

/// Show a plan
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd plans show research
  permitd plans show research --as-of 2026-03-01T12:00:00Z
  permitd plans show research --as-of position:1200 --json")]
pub(super) struct ShowPlanArgs {
    /// The plan
    name: String,
    /// As it was at this moment, at this position of the log (position:1200), or right after this version of its stream
    #[arg(long, value_name = "TIME|POSITION", value_parser = AsOf::parse)]
    as_of: Option<AsOf>,
}

impl ShowPlanArgs {
    pub(super) fn run(self, common: &Common) -> Result<CommandAnswer, Failure> {
        match self.as_of {
            None => app::block_on(self.present(&*stores(common)?.views)),
            Some(as_of) => {
                with_node(common.settings(&[])?, Data::MustExist, async |node| self.past(&node, as_of).await)
            }
        }
    }

    async fn present(&self, views: &dyn Views) -> Result<CommandAnswer, Failure> {
        match views.plan(&self.name).await? {
            Some(plan) => Ok(answer(&plan)),
            None => Err(missing(views, &self.name).await?),
        }
    }

    async fn past(&self, node: &Node, as_of: AsOf) -> Result<CommandAnswer, Failure> {
        let name = &self.name;
        let committer = &node.service.committer;
        let past = committer.load_as_of(&StreamId::Plan(name.clone()), as_of).await?;
        let found = past.state.rows().plans.pop();
        found.as_ref().map(answer).ok_or_else(|| Failure::not_found(format!("there was no plan {name:?} then")))
    }
}

fn answer(plan: &PlanRow) -> CommandAnswer {
    CommandAnswer::new(json!({ "plan": plan }), table(std::slice::from_ref(plan)))
}

//! `permitd aws`: the resources of a deployment in AWS.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;

use super::{
    CommandAnswer, Common, Exit, Failure,
    open::quiet_log,
    output::{Table, counted},
};
use crate::{
    app,
    aws::{Access, CheckedResource, ResourceState, SetupAction},
    config::Settings,
    mail::{Sender, SenderError, ses, settings::MailTransport},
    queue::sqs,
    store::dynamodb::{self, Dynamo, schema},
};

/// Set up and check what a deployment with `backend = "aws"` consists of
///
/// Region, credentials and endpoints are found where AWS's own tools find them: AWS_REGION, AWS_PROFILE, AWS_ENDPOINT_URL, …;
/// names begin with aws.prefix. The backend in force does not matter, and no data directory is needed.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd aws setup
  permitd aws check
  permitd aws check --json")]
pub(super) struct AwsArgs {
    #[command(subcommand)]
    command: AwsCommand,
}

#[derive(Debug, Subcommand)]
enum AwsCommand {
    Setup(Setup),
    Check(Check),
}

/// Make what is missing and put right what differs; repeat it at will
///
/// Nothing is ever deleted. What cannot be put right in place, such as a table with other keys, is said with what to do.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd aws setup
  permitd aws setup --datasets /etc/permitd/datasets      with tables for further data sets

Exit codes:
  0  everything is as it has to be
  1  something cannot be put right in place: it is said, with what to do")]
struct Setup {
    #[command(flatten)]
    definitions: SetupDefinitions,
}

/// Say what is missing or different, and change nothing
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd aws check
  permitd aws check --json

Exit codes:
  0  everything is as it has to be
  1  something is missing or different")]
struct Check {
    #[command(flatten)]
    definitions: SetupDefinitions,
}

#[derive(Debug, Args)]
struct SetupDefinitions {
    /// A folder of further data set definitions [variable: PERMITD_DATASETS]
    #[arg(long, value_name = "DIR")]
    datasets: Option<PathBuf>,
}

impl AwsArgs {
    pub(super) fn run(self, common: &Common) -> Result<CommandAnswer, Failure> {
        let (action, SetupDefinitions { datasets }) = match self.command {
            AwsCommand::Setup(Setup { definitions }) => (SetupAction::Make, definitions),
            AwsCommand::Check(Check { definitions }) => (SetupAction::Check, definitions),
        };
        let datasets = datasets.map(|folder| folder.display().to_string());
        let settings = common.settings(&[("datasets", datasets)])?;
        quiet_log(&settings)?;
        app::block_on(async {
            let access = Access::from_environment().await;
            access.check().await?;
            let resources = resources(action, &access, &settings).await?;
            Ok(answer(&settings.aws.prefix, access.region(), &resources))
        })
    }
}

/// Every part of a deployment, one after another.
async fn resources(action: SetupAction, access: &Access, settings: &Settings) -> Result<Vec<CheckedResource>, Failure> {
    let mut resources = tables(action, access, settings).await?;
    resources.extend(queues(action, access, settings).await?);
    resources.extend(mail(action, access, settings).await?);
    resources.extend(feedback(action, access, settings).await?);
    Ok(resources)
}

async fn tables(action: SetupAction, access: &Access, settings: &Settings) -> Result<Vec<CheckedResource>, Failure> {
    let definitions = app::definitions(settings.datasets())?;
    let records = definitions.iter().map(|definition| schema::records(definition));
    let tables: Vec<_> = schema::base_tables().into_iter().chain(records).collect();
    let dynamo = Dynamo::new(access, &settings.aws.prefix);
    Ok(match action {
        SetupAction::Make => dynamodb::setup::setup(&dynamo, &tables).await?,
        SetupAction::Check => dynamodb::setup::check(&dynamo, &tables).await?,
    })
}

async fn queues(action: SetupAction, access: &Access, settings: &Settings) -> Result<Vec<CheckedResource>, Failure> {
    Ok(sqs::setup(access, &settings.aws.prefix, settings.queue.policy(), action).await?)
}

/// The identity that mails are sent as; nothing where they go another way.
async fn mail(action: SetupAction, access: &Access, settings: &Settings) -> Result<Vec<CheckedResource>, Failure> {
    if !matches!(settings.mail.transport, MailTransport::Auto | MailTransport::Ses) {
        return Ok(Vec::new());
    }
    let wrong = |error: SenderError| Failure::usage(format!("mail.from: {error}"));
    let sender = Sender::parse(&settings.mail.from, &settings.mail.reply_to).map_err(wrong)?;
    let configuration_set = &settings.mail.ses.configuration_set;
    Ok(ses::setup(access, &sender, configuration_set, action).await?)
}

/// What bounces and complaints come through; nothing where they do not.
async fn feedback(action: SetupAction, access: &Access, settings: &Settings) -> Result<Vec<CheckedResource>, Failure> {
    let (prefix, policy) = (&settings.aws.prefix, settings.queue.policy());
    let (set, name) = (&settings.mail.ses.configuration_set, &settings.mail.ses.feedback_queue);
    if name.is_empty() {
        return Ok(Vec::new());
    }
    let (queue, place) = sqs::setup_feedback(access, prefix, name, policy, action).await?;
    let mut resources = vec![queue];
    if let Some(place) = place {
        resources.extend(ses::setup_feedback(access, &place, set, action).await?);
    }
    Ok(resources)
}

fn answer(prefix: &str, region: Option<&str>, resources: &[CheckedResource]) -> CommandAnswer {
    let wrong = resources.iter().filter(|resource| resource.found.is_wrong()).count();
    let wrong = u64::try_from(wrong).unwrap_or(u64::MAX);
    let mut table = Table::new(&["RESOURCE", "STATE", "DETAIL"]);
    for CheckedResource { resource, found } in resources {
        let (state, detail) = described(found);
        table.row([resource.clone(), state.to_owned(), detail.to_owned()]);
    }
    let summary = match wrong {
        0 => format!("{}: all there\n", counted(u64::try_from(resources.len()).unwrap_or(u64::MAX), "resource")),
        _ => format!("{} missing or different\n", counted(wrong, "resource")),
    };
    let exit = if wrong == 0 { Exit::Done } else { Exit::Differences };
    let document = json!({ "prefix": prefix, "region": region, "wrong": wrong, "resources": resources });
    CommandAnswer { exit, ..CommandAnswer::new(document, table.render() + &summary) }
}

/// A resource's state in a word, and what there is to say about it.
fn described(found: &ResourceState) -> (&'static str, &str) {
    match found {
        ResourceState::Right => ("right", ""),
        ResourceState::Made => ("made", ""),
        ResourceState::Changed(how) => ("changed", how),
        ResourceState::Missing => ("missing", "run `permitd aws setup`"),
        ResourceState::Different(how) => ("different", how),
        ResourceState::Notice(what) => ("notice", what),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_counted_and_makes_the_exit_code() {
        let row = |resource: &str, found| CheckedResource { resource: resource.to_owned(), found };
        let fine = [row("table a", ResourceState::Right), row("recovery a", ResourceState::Notice("so".to_owned()))];
        let done = answer("p", Some("r"), &fine);
        assert_eq!((done.exit, &done.document["wrong"]), (Exit::Done, &json!(0)));
        assert_eq!(
            done.text,
            "RESOURCE\tSTATE\tDETAIL\ntable a\tright\t\nrecovery a\tnotice\tso\n2 resources: all there\n"
        );
        let missing = answer("p", None, &[row("table a", ResourceState::Missing)]);
        assert_eq!(missing.exit, Exit::Differences);
        assert_eq!(missing.document["resources"][0], json!({ "resource": "table a", "found": "missing" }));
        assert!(missing.text.ends_with("1 resource missing or different\n"));
    }
}

//! `permitd mail`: whether mail arrives.

use clap::{Args, Subcommand};
use serde_json::json;

use super::{
    Answer, Common, Exit, Failure,
    open::{Data, with_node},
    people::{email, outbox},
};
use crate::{actors::mailer::Tested, mail::templates::Templates};

/// See whether mail arrives
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd mail test you@example.org")]
pub(super) struct MailArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Test(Test),
}

/// Send the example of a mail and say what the mail system answers
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd mail test you@example.org
  permitd mail test you@example.org --mail key-leaked")]
struct Test {
    /// Whom to
    #[arg(value_name = "EMAIL")]
    address: String,
    /// Which mail, as `permitd config mails` lists them
    #[arg(long, value_name = "MAIL", default_value = "invitation", value_parser = Templates::names().collect::<Vec<_>>())]
    mail: String,
}

impl MailArgs {
    pub(super) fn run(self, common: &Common) -> Result<Answer, Failure> {
        let Command::Test(Test { address, mail }) = self.command;
        let to = email(&address)?;
        with_node(common.settings(&[])?, Data::MustExist, async |node| {
            let transport = node.service.settings.mail_transport().as_str();
            let envelope = node.envelope()?;
            let tested = node.service.mailers.send_example(&to, &mail, &envelope.command).await?;
            let (outcome, answer) = tested.told();
            let place = outbox(&node).map(|outbox| format!(", in {outbox}")).unwrap_or_default();
            let (exit, text) = match tested {
                Tested::Taken(_) => (Exit::Done, format!("{transport}{place}: taken: {answer}")),
                Tested::Refused(_) => (Exit::Refused, format!("{transport}: refused for good: {answer}")),
                Tested::Withheld(_) => (Exit::Refused, format!("not sent: {answer}")),
                Tested::Unavailable(_) => (Exit::Unavailable, format!("{transport}: not taken for now: {answer}")),
            };
            let document = json!({ "to": to.as_str(), "mail": mail, "transport": transport, "outcome": outcome, "answer": answer });
            Ok(Answer { exit, ..Answer::new(document, text) })
        })
    }
}

//! `permitd mail`: tests whether mail arrives.

use clap::{Args, Subcommand};
use serde_json::json;

use super::{
    CommandAnswer, Common, Exit, Failure,
    open::{Data, with_node},
    people::{email, noted, notes, outbox},
};
use crate::{actors::mailer::Tested, mail::templates::Templates};

/// See whether mail arrives
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd mail test you@example.org")]
pub(super) struct MailArgs {
    #[command(subcommand)]
    command: MailCommand,
}

#[derive(Debug, Subcommand)]
enum MailCommand {
    Test(TestMailArgs),
}

/// Send the example of a mail and say what the mail system answers
///
/// Its subject begins with "Test:". What it says of the service is of these settings; the person, the key and the links in it are made up.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd mail test you@example.org
  permitd mail test you@example.org --mail key-leaked

Exit codes:
  0  the mail system has taken it, or it is in a file
  4  the mail system refuses it for good, or the address gets no mail
  5  the mail system does not take it for now")]
struct TestMailArgs {
    /// Whom to
    #[arg(value_name = "ADDRESS")]
    address: String,
    /// Which mail, as `permitd config mails` lists them
    #[arg(long, value_name = "MAIL", default_value = "invitation", value_parser = Templates::names().collect::<Vec<_>>())]
    mail: String,
}

impl MailArgs {
    pub(super) fn run(self, common: &Common) -> Result<CommandAnswer, Failure> {
        let MailCommand::Test(TestMailArgs { address, mail }) = self.command;
        let to = email(&address)?;
        with_node(common.settings(&[])?, Data::MustExist, async |node| {
            let transport = node.service.settings.mail_transport().as_str();
            let envelope = node.envelope()?;
            let tested = node.service.mailers.send_example(&to, &mail, &envelope.command).await?;
            let (outcome, answer) = tested.told();
            let notes = if matches!(tested, Tested::Taken(_)) { notes(&node) } else { Vec::new() };
            let (exit, text) = match tested {
                Tested::Taken(_) if outbox(&node.service.settings).is_some() => {
                    (Exit::Done, format!("the mail is in {answer}"))
                }
                Tested::Taken(_) => (Exit::Done, format!("{transport}: taken: {answer}")),
                Tested::Refused(_) => (Exit::Refused, format!("{transport}: refused for good: {answer}")),
                Tested::Withheld(_) => (Exit::Refused, format!("not sent: {answer}")),
                Tested::Unavailable(_) => (Exit::Unavailable, format!("{transport}: not taken for now: {answer}")),
            };
            let document = json!({ "to": to.as_str(), "mail": mail, "transport": transport, "outcome": outcome, "answer": answer, "notes": notes });
            Ok(CommandAnswer { exit, ..CommandAnswer::new(document, format!("{text}\n{}", noted(&notes))) })
        })
    }
}

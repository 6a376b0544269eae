//! A user's sign-in, for administrators: `permitd users reset-password`, `sessions`, `end-sessions`, `second-factor` and `export`.

use clap::{Args, Subcommand};
use serde_json::json;

use super::{
    CommandAnswer, Common, Exit, Failure,
    open::{Data, stores, with_node},
    output::{Table, counted, moment},
    people::{self, noted, notes, outbox, shown_email},
};
use crate::{
    actors::{about::everything, person::user_in},
    app,
    domain::sign_in::SessionEnd,
    store::last_use::UsedSession,
};

/// Mail a user a link to set another password; the present one works until then
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd users reset-password ana@example.org")]
pub(super) struct ResetPassword {
    /// The address or the id
    #[arg(value_name = "EMAIL")]
    user: String,
}

/// List a user's sessions, with those that have ended
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd users sessions ana@example.org")]
pub(super) struct Sessions {
    /// The address or the id
    #[arg(value_name = "EMAIL")]
    user: String,
}

/// End all sessions of a user: they have to sign in again
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd users end-sessions ana@example.org")]
pub(super) struct EndSessions {
    /// The address or the id
    #[arg(value_name = "EMAIL")]
    user: String,
}

/// Remove the second factor of a user who has lost it
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd users second-factor remove ana@example.org")]
pub(super) struct SecondFactorArgs {
    #[command(subcommand)]
    command: SecondFactorCommand,
}

#[derive(Debug, Subcommand)]
enum SecondFactorCommand {
    Remove(RemoveSecondFactor),
}

/// Let a user sign in without a code of their second factor
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd users second-factor remove ana@example.org")]
struct RemoveSecondFactor {
    /// The address or the id
    #[arg(value_name = "EMAIL")]
    user: String,
}

/// Print everything that is kept about a user, as JSON
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd users export ana@example.org > ana.json")]
pub(super) struct ExportUser {
    /// The address or the id
    #[arg(value_name = "EMAIL")]
    user: String,
}

impl ResetPassword {
    pub(super) fn run(self, common: &Common) -> Result<CommandAnswer, Failure> {
        with_node(common.settings(&[])?, Data::MustExist, async |node| {
            let service = &node.service;
            if !service.settings.accounts.sign_in {
                let what = "nobody signs in here: accounts.sign_in is false (PERMITD_ACCOUNTS_SIGN_IN)";
                return Err(Failure::new(Exit::Refused, what));
            }
            let user = people::find(&*service.committer.stores.views, &self.user).await?;
            let asked = service.sign_ins.mail_reset(user.id, None, &node.envelope()?).await?;
            node.settle().await?;
            let number = user_in(&asked.state).map_or(0, |person| person.sign_in.links_issued);
            let now = service.committer.load_user(user.id).await?;
            let is_mailed = now.is_some_and(|now| now.sign_in.link(number).is_some_and(|link| link.mailed));
            let told = match (is_mailed, outbox(&node.service.settings)) {
                (true, Some(outbox)) => format!("mail in {outbox}"),
                (true, None) => "mail sent".to_owned(),
                (false, _) => "mail still to be sent: it is tried again while a server runs".to_owned(),
            };
            let notes = notes(&node);
            let mail = if is_mailed { "sent" } else { "pending" };
            let text = format!("{}: {told}\n{}", shown_email(&user), noted(&notes));
            Ok(CommandAnswer::new(json!({ "user": user, "mail": mail, "notes": notes }), text))
        })
    }
}

impl Sessions {
    pub(super) fn run(self, common: &Common) -> Result<CommandAnswer, Failure> {
        let stores = stores(common)?;
        app::block_on(async {
            let user = people::find(&*stores.views, &self.user).await?;
            let sessions = stores.used_sessions(user.id).await?;
            let mut table =
                Table::new(&["STARTED", "LAST SEEN", "ENDS", "FROM", "BY", "ENDED", "READ LAST", "READ FROM", "ID"]);
            for UsedSession { row: session, used } in &sessions {
                table.row([
                    moment(Some(session.started_at)),
                    moment(Some(session.seen_at)),
                    moment(Some(session.idle_at)),
                    session.network.clone().unwrap_or_default(),
                    session.method.clone(),
                    session.end_reason.clone().unwrap_or_default(),
                    moment(used.at),
                    used.from.clone().unwrap_or_default(),
                    session.id.to_string(),
                ]);
            }
            Ok(CommandAnswer::new(json!({ "user": user, "sessions": sessions }), table.render()))
        })
    }
}

impl EndSessions {
    pub(super) fn run(self, common: &Common) -> Result<CommandAnswer, Failure> {
        with_node(common.settings(&[])?, Data::MustExist, async |node| {
            let service = &node.service;
            let user = people::find(&*service.committer.stores.views, &self.user).await?;
            let reason = SessionEnd::EndedByAdministrator;
            let ended = service.sign_ins.end_all(user.id, reason, &node.envelope()?).await?;
            let count = ended.events.len();
            let text = format!("{}: {} ended", shown_email(&user), counted(count as u64, "session"));
            Ok(CommandAnswer::new(json!({ "user": user, "ended": count }), text))
        })
    }
}

impl SecondFactorArgs {
    pub(super) fn run(self, common: &Common) -> Result<CommandAnswer, Failure> {
        let SecondFactorCommand::Remove(RemoveSecondFactor { user }) = self.command;
        with_node(common.settings(&[])?, Data::MustExist, async |node| {
            let service = &node.service;
            let user = people::find(&*service.committer.stores.views, &user).await?;
            let removed = service.sign_ins.drop_second_factor(user.id, &node.envelope()?).await?;
            let is_new = !removed.events.is_empty();
            let text = if is_new { "second factor removed" } else { "there was no second factor" };
            let document = json!({ "user": user, "changed": is_new });
            Ok(CommandAnswer::new(document, format!("{}: {text}", shown_email(&user))))
        })
    }
}

impl ExportUser {
    pub(super) fn run(self, common: &Common) -> Result<CommandAnswer, Failure> {
        with_node(common.settings(&[])?, Data::MustExist, async |node| {
            let committer = &node.service.committer;
            let user = people::find(&*committer.stores.views, &self.user).await?;
            let missing = || Failure::not_found(format!("there is no user {}", user.id));
            let document = everything(committer, &node.service.mailers, user.id).await?.ok_or_else(missing)?;
            let text = format!("{document:#}");
            Ok(CommandAnswer::new(document, text))
        })
    }
}

//! `permitd invite`: sends people a key by mail.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

mod list;

use super::{
    CommandAnswer, Common, Exit, Failure,
    open::{Data, with_node},
    people::{self, Mailing, mailing, noted, notes, outbox},
    printable::printable,
};
use crate::{
    actors::{
        commit::CommandError,
        invite::{RosterMode, RosterOrder},
    },
    app::Node,
    domain::{email::Email, event::Role, roster::Invitee},
};

/// Invite people: each of them gets an API key by mail
///
/// Without a running server the mails are sent at once; beside one the server sends them, and this waits a few seconds to say
/// so, but not for the mails of a list. An address is invited once: `permitd users resend` mails an invitation again.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd invite ana@example.org --name Ana
  permitd invite ana@example.org bob@example.org --plan research
  permitd invite eve@example.org --role manager
  permitd invite --from people.csv --dry-run
  permitd invite --from people.csv --good
  permitd invite --resend-unfulfilled

Exit codes:
  0  all are invited, or were before; or all is mailed again
  2  an address, or the list as a whole, cannot be read
  4  refused; of several also when only some were invited or mailed again: it says which were not
  5  no more invitations are mailed in this hour; trying again later may help")]
pub(super) struct Invite {
    /// Their addresses
    #[arg(value_name = "EMAIL", required_unless_present_any = ["from", "resend_unfulfilled"])]
    emails: Vec<String>,
    /// Everybody on a list: a CSV file whose first line names its columns, email,name,role,plan
    #[arg(long, value_name = "FILE", conflicts_with_all = ["emails", "name", "role"])]
    from: Option<PathBuf>,
    /// Only say what would become of each row of the list
    #[arg(long, requires = "from", conflicts_with = "emails")]
    dry_run: bool,
    /// Invite those whose rows are right, as many as mail.invitations_per_hour_max has room for; without it nobody is invited if one
    /// row is wrong
    #[arg(long, requires = "from", conflicts_with = "emails")]
    good: bool,
    /// Mail all invitations again that were not delivered
    #[arg(long, conflicts_with_all = ["emails", "from", "name", "role", "plan"])]
    resend_unfulfilled: bool,
    /// The name of the one who is invited
    #[arg(long)]
    name: Option<String>,
    /// What they may do: a reader reads the data, a manager signs in and imports and manages data, an admin signs in and administers
    #[arg(long, default_value = "reader", value_parser = role)]
    role: Role,
    /// The plan of their keys [default: the setting users.default_plan]
    #[arg(long)]
    plan: Option<String>,
}

/// Reads a role that somebody may be given.
pub(super) fn role(text: &str) -> Result<Role, &'static str> {
    Role::named(text).ok_or("a role is reader, manager or admin")
}

impl Invite {
    pub(super) fn run(self, common: &Common) -> Result<CommandAnswer, Failure> {
        if self.resend_unfulfilled {
            return with_node(common.settings(&[])?, Data::MustExist, async |node| list::resend(&node).await);
        }
        if let Some(file) = &self.from {
            let settings = common.settings(&[])?;
            let plan = self.plan.clone().unwrap_or_else(|| settings.users.default_plan.clone());
            let rows = list::read(file, &plan)?;
            let mode = if self.good { RosterMode::Good } else { RosterMode::All };
            let order = RosterOrder { rows, mode, dry_run: self.dry_run };
            return with_node(settings, Data::MayBeNew, async |node| list::invite(&node, order).await);
        }
        if self.name.is_some() && self.emails.len() > 1 {
            return Err(Failure::usage("--name is one person's name, but several are invited; invite them one by one"));
        }
        let emails: Vec<Email> = self.emails.iter().map(|email| people::email(email)).collect::<Result<_, _>>()?;
        let settings = common.settings(&[])?;
        let plan = self.plan.clone().unwrap_or_else(|| settings.users.default_plan.clone());
        with_node(settings, Data::MayBeNew, async |node| self.invite(&node, &emails, &plan).await)
    }

    /// Invites one after the other; those that cannot be invited do not stop the others.
    async fn invite(&self, node: &Node, emails: &[Email], plan: &str) -> Result<CommandAnswer, Failure> {
        let (mut invited, mut failed, mut text) = (Vec::new(), Vec::new(), String::new());
        let mut first_failure = None;
        for email in emails {
            let invitee =
                Invitee { email: email.clone(), name: self.name.clone(), role: self.role, plan: plan.to_owned() };
            match invite_one(node, invitee).await {
                Ok((document, mailing)) => {
                    text.push_str(&format!(
                        "invited {}: {}\n",
                        email.as_str(),
                        mailing.told(outbox(&node.service.settings).as_deref())
                    ));
                    invited.push(document);
                }
                Err(failure) if emails.len() == 1 => return Err(failure),
                Err(failure) => {
                    eprintln!("error: {}: {}", email.as_str(), printable(&failure.message));
                    failed.push(json!({ "email": email.as_str(), "error": failure.document() }));
                    first_failure = first_failure.or(Some(failure.exit));
                }
            }
        }
        let notes = notes(node);
        text.push_str(&noted(&notes));
        let document = json!({ "invited": invited, "failed": failed, "notes": notes });
        Ok(CommandAnswer { exit: first_failure.unwrap_or(Exit::Done), ..CommandAnswer::new(document, text) })
    }
}

/// Invites somebody and sees to the mail.
pub(super) async fn invite_one(node: &Node, invitee: Invitee) -> Result<(Value, Mailing), Failure> {
    let email = invitee.email.clone();
    let committed = node.service.inviting.invite(invitee, node.envelope()?).await.map_err(|error| match error {
        CommandError::EmailTaken { .. } => Failure::new(
            Exit::Refused,
            format!("{0} was invited already; `permitd users resend {0}` mails the invitation again", email.as_str()),
        ),
        other => other.into(),
    })?;
    let Some(user) = crate::actors::person::user_in(&committed.state) else {
        return Err(Failure::new(Exit::Damaged, "the invitation left no user; please report this"));
    };
    let mailing = mailing(node, user.id, user.changed_at).await?;
    let row = node.service.committer.stores.views.user(user.id).await?;
    let mut document = json!(row);
    if let Some(fields) = document.as_object_mut() {
        fields.insert("mail".to_owned(), mailing.as_str().into());
    }
    Ok((document, mailing))
}

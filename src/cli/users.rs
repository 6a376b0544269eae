//! `permitd users`: shows and changes invited people.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{
    CommandAnswer, Common, Exit, Failure,
    invite::role,
    number::whole,
    open::{Data, stores, with_node},
    output::{Table, confirmed, facts, grouped, moment},
    people::{self, mailing, noted, notes, outbox, shown_email},
    sign_in, usage,
};
use crate::{
    actors::account::{AccountCommand, Done},
    app::{self, Node},
    domain::{
        event::{AsOf, Role},
        id::{StreamId, UserId},
        notice::{ChosenNotices, NoticeChoice},
        text::escaped,
        usage::day_number,
        user::UserChanges,
        view::{InvitationState, UserRow, UserStatus},
    },
    store::{Stores, UserFilter, last_use::UsedLast},
};

/// List, show and change users
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd users list
  permitd users show ana@example.org
  permitd users delete ana@example.org")]
pub(super) struct UsersArgs {
    #[command(subcommand)]
    command: UsersCommand,
}

#[derive(Debug, Subcommand)]
enum UsersCommand {
    List(ListUsersArgs),
    Show(ShowUserArgs),
    Usage(usage::UsageArgs),
    Set(SetUserArgs),
    Resend(Resend),
    Disable(Disable),
    Enable(Enable),
    AllowMail(AllowMail),
    Delete(Delete),
    ResetPassword(sign_in::ResetPassword),
    Sessions(sign_in::Sessions),
    EndSessions(sign_in::EndSessions),
    SecondFactor(sign_in::SecondFactorArgs),
    Export(sign_in::ExportUser),
}

/// List users, the last invited first
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd users list --status active
  permitd users list --search example.org --json")]
struct ListUsersArgs {
    /// Only those whose address or name holds this text
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
    /// Only those of this status
    #[arg(long)]
    status: Option<StatusArgument>,
    /// Only those whose last invitation has come so far: invited, mailed, opened (a link of its mail was used), used (they have made a
    /// request), expired, bounced or failed
    #[arg(long, value_parser = invitation)]
    invitation: Option<InvitationState>,
    /// Only those who have this plan; nobody who was deleted
    #[arg(long)]
    plan: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = whole(1..=10_000_u32))]
    limit: u32,
    /// Only those after this one: the last id of the page before
    #[arg(long, value_name = "ID")]
    after: Option<String>,
}

fn invitation(text: &str) -> Result<InvitationState, &'static str> {
    InvitationState::named(text).ok_or("an invitation is invited, mailed, opened, used, expired, bounced or failed")
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum StatusArgument {
    Invited,
    Active,
    Disabled,
    Deleted,
}

/// Show a user with their keys and what they used today
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd users show ana@example.org
  permitd users show 01a2050c-4f0b-837f-bad3-12677425e56d      a deleted user has only an id
  permitd users show ana@example.org --as-of 2026-03-01T12:00:00Z
  permitd users show ana@example.org --as-of position:1200      as `permitd events list` shows it")]
struct ShowUserArgs {
    /// The address or the id
    #[arg(value_name = "EMAIL")]
    user: String,
    /// As they were at this moment, at this position of the log (position:1200), or right after this version of theirs
    #[arg(long, value_name = "TIME|POSITION", value_parser = AsOf::parse)]
    as_of: Option<AsOf>,
}

/// Change a user's plan, what they may do, or what they are told by mail; what is left out stays as it is
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd users set ana@example.org --plan research
  permitd users set ana@example.org --notices expiry,quota
  permitd users set ana@example.org --notices none")]
struct SetUserArgs {
    /// The address or the id
    #[arg(value_name = "EMAIL")]
    user: String,
    /// The plan of their keys
    #[arg(long)]
    plan: Option<String>,
    /// What they may do: reader, manager or admin
    #[arg(long, value_parser = role)]
    role: Option<Role>,
    /// What they are told by mail: all, none, or some of expiry, keys and quota, with commas between them
    #[arg(long, value_name = "WHICH", value_parser = notices)]
    notices: Option<ChosenNotices>,
}

/// Reads which notices somebody wants.
fn notices(text: &str) -> Result<ChosenNotices, String> {
    let all = |wanted| ChosenNotices { expiry: Some(wanted), keys: Some(wanted), quota: Some(wanted) };
    let mut chosen = match text {
        "all" => return Ok(all(true)),
        _ => all(false),
    };
    for word in text.split(',').filter(|_| text != "none") {
        match word {
            "expiry" => chosen.expiry = Some(true),
            "keys" => chosen.keys = Some(true),
            "quota" => chosen.quota = Some(true),
            other => {
                let expected = "all, none, or some of expiry, keys and quota with commas between them";
                return Err(format!("{other:?} is no notice; expected are {expected}"));
            }
        }
    }
    Ok(chosen)
}

/// The notices that somebody gets, as they are typed.
fn shown_notices(choice: NoticeChoice) -> String {
    let words = [("expiry", choice.expiry), ("keys", choice.keys), ("quota", choice.quota)];
    let words: Vec<&str> = words.into_iter().filter(|(_, wanted)| *wanted).map(|(word, _)| word).collect();
    if words.is_empty() { "none".to_owned() } else { words.join(",") }
}

/// Mail a user's invitation again, with the same key while that works
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd users resend ana@example.org")]
struct Resend {
    /// The address or the id
    #[arg(value_name = "EMAIL")]
    user: String,
}

/// Refuse a user's keys until they are enabled again
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd users disable ana@example.org")]
struct Disable {
    /// The address or the id
    #[arg(value_name = "EMAIL")]
    user: String,
}

/// Let a disabled user's keys work again
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd users enable ana@example.org")]
struct Enable {
    /// The address or the id
    #[arg(value_name = "EMAIL")]
    user: String,
}

/// Let mail go to a user's address again, after one came back for good or was reported as unwanted
///
/// What was not sent meanwhile is not sent by this: `permitd users resend` mails the invitation again.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd users allow-mail ana@example.org")]
struct AllowMail {
    /// The address or the id
    #[arg(value_name = "EMAIL")]
    user: String,
}

/// Delete a user for ever: their keys are refused and their personal data is erased
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd users delete ana@example.org
  permitd users delete ana@example.org --yes      without asking, for scripts")]
struct Delete {
    /// The address or the id
    #[arg(value_name = "EMAIL")]
    user: String,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

impl UsersArgs {
    pub(super) fn run(self, common: &Common) -> Result<CommandAnswer, Failure> {
        match self.command {
            UsersCommand::List(list) => app::block_on(list.answer(&stores(common)?)),
            UsersCommand::Show(show) => show.run(common),
            UsersCommand::Usage(usage) => usage.run(common),
            UsersCommand::Set(set) => set.run(common),
            UsersCommand::Resend(resend) => resend.run(common),
            UsersCommand::Disable(Disable { user }) => change(common, &user, "disabled", AccountCommand::DisableUser),
            UsersCommand::Enable(Enable { user }) => change(common, &user, "enabled", AccountCommand::EnableUser),
            UsersCommand::AllowMail(AllowMail { user }) => allow_mail(common, &user),
            UsersCommand::Delete(delete) => delete.run(common),
            UsersCommand::ResetPassword(reset) => reset.run(common),
            UsersCommand::Sessions(sessions) => sessions.run(common),
            UsersCommand::EndSessions(end) => end.run(common),
            UsersCommand::SecondFactor(factor) => factor.run(common),
            UsersCommand::Export(export) => export.run(common),
        }
    }
}

impl ListUsersArgs {
    async fn answer(self, stores: &Stores) -> Result<CommandAnswer, Failure> {
        let after = self.after.as_deref().map(UserId::parse).transpose();
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let now = jiff::Timestamp::now();
        let filter = UserFilter {
            search: self.search,
            status: self.status.map(|status| match status {
                StatusArgument::Invited => UserStatus::Invited,
                StatusArgument::Active => UserStatus::Active,
                StatusArgument::Disabled => UserStatus::Disabled,
                StatusArgument::Deleted => UserStatus::Deleted,
            }),
            invitation: self.invitation.map(|state| (state, now)),
            plan: self.plan,
            unreached: None,
            after: after.map_err(|error| Failure::usage(format!("--after: {error}; take it from the page before")))?,
            limit: limit.saturating_add(1),
        };
        let users = stores.views.users(filter).await?;
        let is_more = users.len() > limit;
        let users: Vec<UserRow> = users.into_iter().take(limit).map(|user| user.at(now)).collect();
        let next = users.last().filter(|_| is_more).map(|user| user.id);
        let mut table = Table::new(&["EMAIL", "NAME", "STATUS", "ROLE", "PLAN", "INVITED", "INVITATION", "ID"]);
        for user in &users {
            table.row([
                shown_email(user).to_owned(),
                user.name.clone().unwrap_or_default(),
                user.status.as_str().to_owned(),
                user.role.as_str().to_owned(),
                user.plan.clone(),
                moment(Some(user.invited_at)),
                user.invitation.state.as_str().to_owned(),
                user.id.to_string(),
            ]);
        }
        if let Some(next) = next {
            eprintln!("there are more: --after {next}");
        }
        Ok(CommandAnswer::new(json!({ "users": users, "next": next }), table.render()))
    }
}

impl ShowUserArgs {
    fn run(self, common: &Common) -> Result<CommandAnswer, Failure> {
        match self.as_of {
            None => app::block_on(self.answer(&stores(common)?)),
            // Only a node can open sealed data.
            Some(as_of) => {
                with_node(common.settings(&[])?, Data::MustExist, async |node| self.past(&node, as_of).await)
            }
        }
    }

    async fn past(&self, node: &Node, as_of: AsOf) -> Result<CommandAnswer, Failure> {
        let committer = &node.service.committer;
        let id = people::find(&*committer.stores.views, &self.user).await?.id;
        let past = committer.load_as_of(&StreamId::User(id), as_of).await?;
        let (user, keys) = past.person().ok_or_else(|| Failure::not_found(format!("there was no user {id} then")))?;
        let mut lines = described(&user);
        lines.push(("version", user.version.to_string()));
        // The log has no events of single uses.
        let unknown = UsedLast::default();
        let table = super::keys::table_at(keys.iter().map(|key| (shown_email(&user), key, &unknown)), past.at);
        let document = json!({ "user": user, "keys": keys });
        Ok(CommandAnswer::new(
            document,
            format!("{}{}", facts(&lines), if keys.is_empty() { String::new() } else { table }),
        ))
    }

    async fn answer(self, stores: &Stores) -> Result<CommandAnswer, Failure> {
        let user = people::find(&*stores.views, &self.user).await?.at(jiff::Timestamp::now());
        let keys = stores.used_keys(user.id).await?;
        let today = day_number(jiff::Timestamp::now());
        let usage = stores.ledger.usage(user.id, today).await?;
        let used: u64 = usage.iter().filter(|usage| usage.day == today).map(|usage| usage.used).sum();
        let mut lines = described(&user);
        lines.push(("used today", format!("{} (taken by servers for requests of this UTC day)", grouped(used))));
        let table = super::keys::table(keys.iter().map(|key| (shown_email(&user), &key.row, &key.used)));
        let document = json!({ "user": user, "keys": keys, "used_today": used });
        Ok(CommandAnswer::new(
            document,
            format!("{}{}", facts(&lines), if keys.is_empty() { String::new() } else { table }),
        ))
    }
}

fn described(user: &UserRow) -> Vec<(&'static str, String)> {
    let invitation = format!("{} since {}", user.invitation.state.as_str(), moment(Some(user.invitation.since)));
    let mut lines = vec![
        ("email", shown_email(user).to_owned()),
        ("name", user.name.clone().unwrap_or_default()),
        ("id", user.id.to_string()),
        ("status", user.status.as_str().to_owned()),
        ("role", user.role.as_str().to_owned()),
        ("plan", user.plan.clone()),
        ("notices", shown_notices(user.notices)),
        ("invited", moment(Some(user.invited_at))),
        ("changed", moment(Some(user.changed_at))),
        ("invitation", invitation),
    ];
    if let Some(end) = user.invitation.expires_at {
        lines.push(("its links end", moment(Some(end))));
    }
    lines.push(("first request", moment(user.first_request_at)));
    if let Some(reason) = &user.mail_failure {
        lines.push(("mail failed", reason.clone()));
    }
    if let Some(stop) = user.mail_stop {
        lines.push(("mail stopped", format!("{}; `permitd users allow-mail` lets it go again", stop.class())));
    }
    lines
}

impl SetUserArgs {
    fn run(self, common: &Common) -> Result<CommandAnswer, Failure> {
        let changes = UserChanges { plan: self.plan, role: self.role, enabled: None, notices: self.notices };
        if changes == UserChanges::default() {
            return Err(Failure::usage(
                "nothing to set: give --plan, as `permitd plans list` names them, --role or --notices",
            ));
        }
        with_node(common.settings(&[])?, Data::MustExist, async |node| {
            let user = people::find(&*node.service.committer.stores.views, &self.user).await?;
            perform(&node, &user, AccountCommand::ChangeUser(changes)).await?;
            let user = people::find(&*node.service.committer.stores.views, &user.id.to_string()).await?;
            let (role, notices) = (user.role.as_str(), shown_notices(user.notices));
            let text = format!("{}: role {role}, plan {}, notices {notices}", shown_email(&user), user.plan);
            Ok(CommandAnswer::new(json!({ "user": user }), text))
        })
    }
}

impl Resend {
    fn run(self, common: &Common) -> Result<CommandAnswer, Failure> {
        with_node(common.settings(&[])?, Data::MustExist, async |node| {
            let user = people::find(&*node.service.committer.stores.views, &self.user).await?;
            let committed = node.service.inviting.resend(user.id, node.envelope()?).await?;
            let since = committed.events.last().map_or(user.changed_at, |event| event.recorded_at);
            let mailing = mailing(&node, user.id, since).await?;
            let notes = notes(&node);
            let told = mailing.told(outbox(&node.service.settings).as_deref());
            let text = format!("{}: {told}\n{}", shown_email(&user), noted(&notes));
            Ok(CommandAnswer::new(json!({ "user": user, "mail": mailing.as_str(), "notes": notes }), text))
        })
    }
}

async fn perform(node: &Node, user: &UserRow, command: AccountCommand) -> Result<Done, Failure> {
    Ok(node.service.accounts.perform(user.id, command, node.envelope()?).await?)
}

fn allow_mail(common: &Common, user: &str) -> Result<CommandAnswer, Failure> {
    with_node(common.settings(&[])?, Data::MustExist, async |node| {
        let user = people::find(&*node.service.committer.stores.views, user).await?;
        let is_new = !perform(&node, &user, AccountCommand::AllowMail).await?.committed.events.is_empty();
        let after = afterwards(&node, &user).await?;
        let said = if is_new {
            "mail goes to this address again; `permitd users resend` mails the invitation"
        } else {
            "mail was not stopped"
        };
        Ok(CommandAnswer::new(json!({ "user": after, "changed": is_new }), format!("{}: {said}", shown_email(&user))))
    })
}

/// Carries out a command on a person's account and says since when it holds.
fn change(common: &Common, user: &str, done: &'static str, command: AccountCommand) -> Result<CommandAnswer, Failure> {
    with_node(common.settings(&[])?, Data::MustExist, async |node| {
        let user = people::find(&*node.service.committer.stores.views, user).await?;
        changed(&node, &user, done, command).await
    })
}

/// The person as they are after a command.
async fn afterwards(node: &Node, user: &UserRow) -> Result<Option<UserRow>, Failure> {
    let after = node.service.committer.stores.views.user(user.id).await?;
    Ok(after.map(|after| after.at(node.service.committer.clock.now())))
}

async fn changed(node: &Node, user: &UserRow, done: &str, command: AccountCommand) -> Result<CommandAnswer, Failure> {
    let outcome = perform(node, user, command).await?;
    node.settle().await?;
    let after = afterwards(node, user).await?;
    let is_new = !outcome.committed.events.is_empty();
    let mut document: Value = json!({ "user": after, "changed": is_new });
    let mut text = format!("{}: {}{done}", shown_email(user), if is_new { "" } else { "was already " });
    if is_new {
        text.push_str(&format!(", everywhere from {:.3}", outcome.effective_at));
        if let Some(fields) = document.as_object_mut() {
            fields.insert("effective_at".to_owned(), json!(outcome.effective_at));
        }
    }
    Ok(CommandAnswer::new(document, text))
}

impl Delete {
    fn run(self, common: &Common) -> Result<CommandAnswer, Failure> {
        with_node(common.settings(&[])?, Data::MustExist, async |node| {
            let user = people::find(&*node.service.committer.stores.views, &self.user).await?;
            if !self.yes && !confirmed_deletion(shown_email(&user))? {
                return Err(Failure::new(Exit::Refused, format!("{} was not deleted", shown_email(&user))));
            }
            changed(&node, &user, "deleted", AccountCommand::DeleteUser).await
        })
    }
}

fn confirmed_deletion(email: &str) -> Result<bool, Failure> {
    let question = format!("Delete {}, end all their keys and erase their personal data, for ever?", escaped(email));
    confirmed(&question, &format!("deleting {email} cannot be undone"))
}

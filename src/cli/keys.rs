//! `permitd keys`: the API keys.

mod show;
mod shown;

use clap::{Args, Subcommand};
use jiff::{SignedDuration, Timestamp, civil::Date, tz::TimeZone};
use serde_json::{Value, json};

pub(super) use self::shown::{table, table_at};
use self::{
    show::ShowKeyArgs,
    shown::{document, find, from, uses},
};
use super::{
    CommandAnswer, Common, Exit, Failure,
    leak::ReportLeak,
    number::whole,
    open::{Data, stores, with_node},
    output::{counted, facts, moment},
    people::{self, shown_email},
};
use crate::{
    actors::account::{AccountCommand, Done, GRACE_S_MAX},
    app::{self, Node},
    domain::{
        bounds::{DataAction, KeyChange, KeyScopes, LIFE_DAYS_MAX},
        event::AsOf,
        key::ApiKey,
        view::{UserRow, UserStatus},
    },
    store::{Stores, last_use::UsedKey},
};

/// Seconds of a day.
const DAY_S: u32 = 86_400;

/// List, issue, change, rotate and revoke API keys
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd keys list --user ana@example.org
  permitd keys issue --user ana@example.org --json
  permitd keys revoke 3fE9kQ0aZb7LmN2p")]
pub(super) struct Keys {
    #[command(subcommand)]
    command: KeysCommand,
}

#[derive(Debug, Subcommand)]
enum KeysCommand {
    List(ListKeysArgs),
    Show(ShowKeyArgs),
    Issue(Issue),
    Change(ChangeKeyArgs),
    Rotate(Rotate),
    Revoke(RevokeKeyArgs),
    ReportLeak(ReportLeak),
}

/// List keys: never the keys themselves, of which only a hash is kept
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd keys list
  permitd keys list --user ana@example.org --json
  permitd keys list --user ana@example.org --as-of 2026-03-01T12:00:00Z")]
struct ListKeysArgs {
    /// Only this user's: their address or id
    #[arg(long, value_name = "EMAIL")]
    user: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = whole(1..=100_000_u32))]
    limit: u32,
    /// As they were at this moment, at this position of the log (position:1200), or right after this version of the user's stream
    #[arg(long, value_name = "TIME|POSITION", value_parser = AsOf::parse, requires = "user", conflicts_with = "limit")]
    as_of: Option<AsOf>,
}

/// Issue another key to a user and print it: this once
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd keys issue --user ana@example.org --label laptop --expires-in 90d
  permitd keys issue --user ana@example.org --allow-ip 192.0.2.0/24 --dataset permits --scope read
  permitd keys issue --user ana@example.org --json      the document has the key under `key`")]
struct Issue {
    /// Its owner: their address or id
    #[arg(long, value_name = "EMAIL")]
    user: String,
    #[command(flatten)]
    wanted: KeyWanted,
}

/// What is wanted of a key.
#[derive(Debug, Args)]
struct KeyWanted {
    /// What its owner calls it
    #[arg(long)]
    label: Option<String>,
    /// For how long it works from now on: 12h, 90d; at most 3653d, or what its owner's plan says
    #[arg(long, value_name = "TIME", value_parser = life, conflicts_with = "expires_at")]
    expires_in: Option<u32>,
    /// When it stops working: a date, from whose beginning (UTC) on it is refused, or a moment such as 2027-01-31T12:00:00Z
    #[arg(long, value_name = "MOMENT", value_parser = end)]
    expires_at: Option<Timestamp>,
    /// An address or a network (CIDR) that it may be used from; may be given several times
    #[arg(long = "allow-ip", value_name = "NETWORK")]
    allow_ips: Vec<String>,
    /// A data set that it may be used for; may be given several times
    #[arg(long = "dataset", value_name = "NAME")]
    datasets: Vec<String>,
    /// What it may be used for; may be given several times
    #[arg(long = "scope", value_name = "ACTION")]
    scopes: Vec<ActionArgument>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum ActionArgument {
    /// Questions: records, pages, groups, changes
    Read,
    /// All that a question means, as one stream
    Export,
}

impl KeyWanted {
    /// As a change of a key with these scopes: what is not said of them stays.
    fn change(self, now: Timestamp, scopes: KeyScopes) -> KeyChange {
        let given = |texts: Vec<String>| Some(texts).filter(|texts| !texts.is_empty());
        let life = |seconds: u32| now.checked_add(SignedDuration::from_secs(seconds.into())).unwrap_or(Timestamp::MAX);
        let action = |argument: &ActionArgument| match argument {
            ActionArgument::Read => DataAction::Read,
            ActionArgument::Export => DataAction::Export,
        };
        let (datasets, actions) = (given(self.datasets), self.scopes.iter().map(action).collect::<Vec<_>>());
        let are_said = datasets.is_some() || !actions.is_empty();
        let actions = if actions.is_empty() { scopes.actions } else { actions };
        let scopes = KeyScopes { datasets: datasets.or(scopes.datasets), actions };
        KeyChange {
            label: self.label.map(Some),
            expires_at: self.expires_at.or(self.expires_in.map(life)).map(Some),
            allowed_ips: given(self.allow_ips).map(Some),
            scopes: are_said.then_some(Some(scopes)),
        }
    }
}

/// Change what a key is called and what it may; what is left out stays as it is
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd keys change 3fE9kQ0aZb7LmN2p --expires-in 30d
  permitd keys change 3fE9kQ0aZb7LmN2p --allow-ip 192.0.2.0/24 --allow-ip 2001:db8::/32
  permitd keys change 3fE9kQ0aZb7LmN2p --clear allowed-ips --clear scopes")]
struct ChangeKeyArgs {
    /// The key's id, as `permitd keys list` shows it
    #[arg(value_name = "KEY_ID")]
    key: String,
    #[command(flatten)]
    wanted: KeyWanted,
    /// What is no longer to be said of it; may be given several times
    #[arg(long, value_name = "WHAT")]
    clear: Vec<ClearArgument>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum ClearArgument {
    /// It has no label
    Label,
    /// It works for as long as its owner's plan allows
    ExpiresAt,
    /// It may be used from anywhere
    AllowedIps,
    /// It may be used for all that its owner's plan allows
    Scopes,
}

/// Replace a key by a new one, which is printed: this once
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd keys rotate 3fE9kQ0aZb7LmN2p
  permitd keys rotate 3fE9kQ0aZb7LmN2p --grace 2h      the old one works for two more hours")]
struct Rotate {
    /// The id of the old key, as `permitd keys list` shows it
    #[arg(value_name = "KEY_ID")]
    key: String,
    /// How long the old key goes on working: 90s, 15m, 2h, 7d; at most 30d
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = grace)]
    grace: u32,
}

/// Revoke a key for ever
///
/// Says from when on every server refuses it: at once, or, beside a running server, within a
/// second (the setting admission.grant_ttl_ms).
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd keys revoke 3fE9kQ0aZb7LmN2p")]
struct RevokeKeyArgs {
    /// The key's id, as `permitd keys list` shows it
    #[arg(value_name = "KEY_ID")]
    key: String,
}

impl Keys {
    pub(super) fn run(self, common: &Common) -> Result<CommandAnswer, Failure> {
        match self.command {
            KeysCommand::List(list) => list.run(common),
            KeysCommand::Show(show) => show.run(common),
            KeysCommand::Issue(issue) => issue.run(common),
            KeysCommand::Change(change) => change.run(common),
            KeysCommand::Rotate(rotate) => rotate.run(common),
            KeysCommand::Revoke(revoke) => revoke.run(common),
            KeysCommand::ReportLeak(report) => report.run(common),
        }
    }
}

fn grace(text: &str) -> Result<u32, String> {
    seconds(text, GRACE_S_MAX)
}

fn life(text: &str) -> Result<u32, String> {
    seconds(text, LIFE_DAYS_MAX * DAY_S)
}

/// Reads a date or a moment.
fn end(text: &str) -> Result<Timestamp, String> {
    let midnight = |date: Date| date.to_zoned(TimeZone::UTC).map(|midnight| midnight.timestamp());
    let expected = "a date such as 2027-01-31, or a moment such as 2027-01-31T12:00:00Z, is expected";
    let date = (!text.contains(['T', 't', ' '])).then(|| text.parse::<Date>().and_then(midnight).ok()).flatten();
    date.or_else(|| text.parse().ok()).ok_or_else(|| expected.to_owned())
}

/// Reads a time such as `15m` as seconds.
fn seconds(text: &str, most_s: u32) -> Result<u32, String> {
    let expected = || format!("a time such as 90s, 15m, 2h or 7d is expected, at most {} days", most_s / DAY_S);
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let unit_s: u32 = match unit {
        "s" | "" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => DAY_S,
        _ => return Err(expected()),
    };
    let seconds = digits.parse::<u32>().ok().and_then(|count| count.checked_mul(unit_s));
    seconds.filter(|seconds| *seconds <= most_s).ok_or_else(expected)
}

impl ListKeysArgs {
    fn run(self, common: &Common) -> Result<CommandAnswer, Failure> {
        match (&self.user, self.as_of) {
            // Only a node can open sealed data.
            (Some(user), Some(as_of)) => with_node(common.settings(&[])?, Data::MustExist, async |node| {
                show::past_list(&node, user, as_of).await
            }),
            _ => app::block_on(self.answer(&stores(common)?)),
        }
    }

    async fn answer(self, stores: &Stores) -> Result<CommandAnswer, Failure> {
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let mut found: Vec<(UserRow, UsedKey)> = Vec::new();
        if let Some(user) = &self.user {
            let user = people::find(&*stores.views, user).await?;
            found.extend(stores.used_keys(user.id).await?.into_iter().map(|key| (user.clone(), key)));
        } else {
            let mut everybody = stores.everybody();
            while found.len() <= limit {
                let Some(users) = everybody.next_page().await? else { break };
                for user in &users {
                    found.extend(stores.used_keys(user.id).await?.into_iter().map(|key| (user.clone(), key)));
                }
            }
        }
        if found.len() > limit {
            eprintln!("there are more than {}: raise --limit, or name a --user", counted(self.limit.into(), "key"));
            found.truncate(limit);
        }
        let documents: Vec<Value> = found.iter().map(|(user, key)| document(key, user)).collect();
        let text = table(found.iter().map(|(user, key)| (shown_email(user), &key.row, &key.used)));
        Ok(CommandAnswer::new(json!({ "keys": documents }), text))
    }
}

/// What is said of a new key. This is the one place where it is shown.
async fn shown_once(node: &Node, user: &UserRow, key: Option<&ApiKey>) -> Result<(Value, String), Failure> {
    let lost = || Failure::new(Exit::Damaged, "the key was not handed out; please report this");
    let key = key.ok_or_else(lost)?;
    let row = node.service.committer.stores.views.key(key.id()).await?.ok_or_else(lost)?;
    let mut document = document(&row, user);
    if let Some(fields) = document.as_object_mut() {
        fields.insert("key".to_owned(), key.reveal().into());
    }
    let lines = [
        ("key", key.reveal().to_owned()),
        ("key id", key.id().to_string()),
        ("user", shown_email(user).to_owned()),
        ("label", row.label.clone().unwrap_or_default()),
        ("expires", moment(row.expires_at)),
        ("from", from(&row)),
        ("may", uses(&row)),
    ];
    Ok((document, format!("{}It is shown this once: only its hash is kept.\n", facts(&lines))))
}

impl Issue {
    fn run(self, common: &Common) -> Result<CommandAnswer, Failure> {
        with_node(common.settings(&[])?, Data::MustExist, async |node| {
            let user = people::find(&*node.service.committer.stores.views, &self.user).await?;
            let wanted = self.wanted.change(node.service.committer.clock.now(), KeyScopes::default());
            let done = perform(&node, &user, AccountCommand::IssueApiKey(wanted)).await?;
            let (document, text) = shown_once(&node, &user, done.key.as_ref()).await?;
            node.settle().await?;
            Ok(CommandAnswer::new(document, text))
        })
    }
}

impl ChangeKeyArgs {
    fn run(self, common: &Common) -> Result<CommandAnswer, Failure> {
        with_node(common.settings(&[])?, Data::MustExist, async |node| {
            let (key, user) = find(&node, &self.key).await?;
            let mut change = self.wanted.change(node.service.committer.clock.now(), key.scopes.clone());
            let clashes = |field: &str| Failure::usage(format!("--clear {field} and a new value exclude each other"));
            for what in &self.clear {
                match what {
                    ClearArgument::Label if change.label.is_none() => change.label = Some(None),
                    ClearArgument::ExpiresAt if change.expires_at.is_none() => change.expires_at = Some(None),
                    ClearArgument::AllowedIps if change.allowed_ips.is_none() => change.allowed_ips = Some(None),
                    ClearArgument::Scopes if change.scopes.is_none() => change.scopes = Some(None),
                    ClearArgument::Label => return Err(clashes("label")),
                    ClearArgument::ExpiresAt => return Err(clashes("expires-at")),
                    ClearArgument::AllowedIps => return Err(clashes("allowed-ips")),
                    ClearArgument::Scopes => return Err(clashes("scopes")),
                }
            }
            if change == KeyChange::default() {
                return Err(Failure::usage(
                    "nothing to change: give --label, --expires-in, --allow-ip, --dataset, --scope or --clear",
                ));
            }
            let done = perform(&node, &user, AccountCommand::ChangeApiKey { key: key.id, change }).await?;
            let stores = &node.service.committer.stores;
            let key = stores.views.key(key.id).await?.unwrap_or(key);
            let used =
                stores.with_uses(user.id, vec![key.clone()]).await?.pop().map(|key| key.used).unwrap_or_default();
            let is_new = !done.committed.events.is_empty();
            let mut document = document(&key, &user);
            if let Some(fields) = document.as_object_mut() {
                fields.insert("changed".to_owned(), is_new.into());
                fields.insert("effective_at".to_owned(), json!(done.effective_at));
            }
            let told = if is_new { "changed" } else { "was so already" };
            let table = table(std::iter::once((shown_email(&user), &key, &used)));
            Ok(CommandAnswer::new(document, format!("{}: {told}\n{table}", key.id)))
        })
    }
}

impl Rotate {
    fn run(self, common: &Common) -> Result<CommandAnswer, Failure> {
        with_node(common.settings(&[])?, Data::MustExist, async |node| {
            let (old, user) = find(&node, &self.key).await?;
            let command = AccountCommand::RotateApiKey { key: old.id, grace_s: self.grace };
            let done = perform(&node, &user, command).await?;
            let (mut document, mut text) = shown_once(&node, &user, done.key.as_ref()).await?;
            // The old key ends after its grace and, if another process serves, once that one has noticed.
            node.settle().await?;
            let grace = SignedDuration::from_secs(i64::from(self.grace));
            let ends_at = done.effective_at.checked_add(grace).unwrap_or(done.effective_at);
            text.push_str(&format!("The old one, {}, is refused everywhere from {ends_at:.3}.\n", old.id));
            if let Some(fields) = document.as_object_mut() {
                fields.insert("replaces".to_owned(), json!(old.id));
                fields.insert("effective_at".to_owned(), json!(ends_at));
            }
            Ok(CommandAnswer::new(document, text))
        })
    }
}

impl RevokeKeyArgs {
    fn run(self, common: &Common) -> Result<CommandAnswer, Failure> {
        with_node(common.settings(&[])?, Data::MustExist, async |node| {
            let (key, user) = find(&node, &self.key).await?;
            let done = perform(&node, &user, AccountCommand::RevokeApiKey { key: key.id }).await?;
            node.settle().await?;
            let views = &node.service.committer.stores.views;
            let key = views.key(key.id).await?.unwrap_or(key);
            let is_new = !done.committed.events.is_empty();
            let mut document = document(&key, &user);
            if let Some(fields) = document.as_object_mut() {
                fields.insert("changed".to_owned(), is_new.into());
                fields.insert("effective_at".to_owned(), json!(done.effective_at));
            }
            let already = if is_new { "" } else { "was already " };
            let text = format!("{}: {already}revoked; effective_at {:.3}", key.id, done.effective_at);
            Ok(CommandAnswer::new(document, text))
        })
    }
}

async fn perform(node: &Node, user: &UserRow, command: AccountCommand) -> Result<Done, Failure> {
    let done = node.service.accounts.perform(user.id, command, node.envelope()?).await;
    done.map_err(|error| {
        let mut failure = Failure::from(error);
        if user.status == UserStatus::Disabled && failure.exit == Exit::Refused {
            failure.message.push_str(&format!("; `permitd users enable {}`", shown_email(user)));
        }
        failure
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_grace() {
        for (text, seconds) in [("0s", 0), ("90", 90), ("15m", 900), ("2h", 7_200), ("30d", GRACE_S_MAX)] {
            assert_eq!(grace(text), Ok(seconds), "{text}");
        }
        for text in ["", "s", "31d", "-1s", "1w", "1.5h", "99999999999s", "5 m"] {
            assert!(grace(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_end_is_a_date_or_a_moment() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        assert_eq!(end("2027-01-31"), Ok(at("2027-01-31T00:00:00Z")));
        assert_eq!(end("2027-01-31T12:00:00+02:00"), Ok(at("2027-01-31T10:00:00Z")));
        for text in ["", "tomorrow", "2027-02-30", "2027-01-31T12:00:00", "31.1.2027"] {
            assert!(end(text).is_err(), "{text}");
        }
        assert_eq!(life("3653d"), Ok(LIFE_DAYS_MAX * DAY_S));
        assert!(life("3654d").is_err());
    }
}

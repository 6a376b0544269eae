//! `permitd admin-tokens`: the administrators' tokens.

use std::collections::HashMap;

use clap::{ArgAction, Args, Subcommand};
use jiff::{SignedDuration, SpanRelativeTo, Timestamp};
use serde_json::{Value, json};

use super::{
    CommandAnswer, Common, Exit, Failure,
    open::{Data, stores, who, with_node},
    output::{Table, facts, moment},
    serve::sign_in_url,
};
use crate::{
    actors::tokens::TokenOrder,
    app::{self, new_admin_token},
    domain::{
        admin_token::Others,
        key::KeyId,
        permission::{Permission, Permissions},
        view::TokenRow,
    },
    store::Stores,
};

/// Longest time that a token may be given to live.
const LIFE_MAX: SignedDuration = SignedDuration::from_hours(24 * 3660);

/// Make, list and revoke administrators' tokens
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd admin-tokens create nightly-import --scopes data --expires-in 90d
  permitd admin-tokens create audit --scopes events,people --read-only
  permitd admin-tokens list
  permitd admin-tokens revoke 3fE9kQ0aZb7LmN2p
  permitd admin-tokens new --replace      locked out: one that may everything, and no others")]
pub(super) struct AdminTokensArgs {
    #[command(subcommand)]
    command: AdminTokensCommand,
}

#[derive(Debug, Subcommand)]
enum AdminTokensCommand {
    Create(Create),
    List(ListTokensArgs),
    Revoke(RevokeTokenArgs),
    New(New),
}

/// Make a token with a name and scopes, and print it: this once, since only its hash is kept
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd admin-tokens create nightly-import --scopes data --expires-in 90d
  permitd admin-tokens create audit --scopes events,people --read-only
  permitd admin-tokens create ana --scopes all")]
struct Create {
    /// What it is called: no two tokens that work have the same name
    name: String,
    /// What it may: people, data, plans, events, server, or all
    #[arg(long, value_name = "SCOPES", required = true, value_delimiter = ',', value_parser = scope, action = ArgAction::Append)]
    scopes: Vec<Scope>,
    /// Let it only read
    #[arg(long)]
    read_only: bool,
    /// How long it works, such as 12h, 90d or 1w; without, until it is revoked
    #[arg(long, value_name = "TIME", value_parser = life)]
    expires_in: Option<SignedDuration>,
}

/// List the tokens with what they may and when they were used last
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd admin-tokens list
  permitd admin-tokens list --all --json")]
struct ListTokensArgs {
    /// Also those that have expired or were revoked
    #[arg(long)]
    all: bool,
}

/// Revoke a token: every server refuses it at once
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd admin-tokens revoke 3fE9kQ0aZb7LmN2p")]
struct RevokeTokenArgs {
    /// The token's id, as `permitd admin-tokens list` shows it
    #[arg(value_name = "ID")]
    id: String,
}

/// Make a token that may everything and does not expire, and print it: this once
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd admin-tokens new
  permitd admin-tokens new --replace      all earlier tokens stop working")]
struct New {
    /// Revoke all others
    #[arg(long)]
    replace: bool,
}

/// One permission, or all.
#[derive(Debug, Clone, Copy)]
enum Scope {
    One(Permission),
    All,
}

fn scope(text: &str) -> Result<Scope, String> {
    if text == "all" {
        return Ok(Scope::All);
    }
    let names = Permission::ALL.map(Permission::as_str).join(", ");
    Permission::named(text).map(Scope::One).ok_or_else(|| format!("a scope is one of {names}, or all"))
}

/// Reads a time such as `90d`. A day has 24 hours.
fn life(text: &str) -> Result<SignedDuration, String> {
    let expected = || "a time such as 12h, 90d or 1w is expected, at most ten years".to_owned();
    let span: jiff::Span = text.parse().map_err(|_| expected())?;
    let life = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| expected())?;
    if life > SignedDuration::ZERO && life <= LIFE_MAX { Ok(life) } else { Err(expected()) }
}

impl AdminTokensArgs {
    pub(super) fn run(self, common: &Common) -> Result<CommandAnswer, Failure> {
        match self.command {
            AdminTokensCommand::Create(create) => create.run(common),
            AdminTokensCommand::List(list) => app::block_on(list.answer(&stores(common)?)),
            AdminTokensCommand::Revoke(revoke) => revoke.run(common),
            AdminTokensCommand::New(new) => new.run(common),
        }
    }
}

impl Create {
    fn run(self, common: &Common) -> Result<CommandAnswer, Failure> {
        let scopes = self.scopes.iter().flat_map(|scope| match scope {
            Scope::One(permission) => vec![*permission],
            Scope::All => Permission::ALL.to_vec(),
        });
        let permissions = Permissions::of(&scopes.collect::<Vec<_>>()).only_reading(self.read_only);
        with_node(common.settings(&[])?, Data::MayBeNew, async |node| {
            let now = node.service.committer.clock.now();
            let expires_at = self.expires_in.map(|life| now.checked_add(life)).transpose();
            let expires_at = expires_at.map_err(|error| Failure::usage(format!("--expires-in: {error}")))?;
            let order = TokenOrder { name: Some(self.name.clone()), permissions, expires_at };
            let made = node.service.tokens.issue(order, Others::Stay, node.envelope()?).await?;
            let Some((id, token)) = made.and_then(|made| Some((made.id, made.shown.ok()?))) else {
                return Err(Failure::new(Exit::Damaged, "the token was made but cannot be shown; please report this"));
            };
            let row = node.service.committer.stores.views.admin_token(id).await?;
            let text = facts(&[
                ("admin token", token.reveal().to_owned()),
                ("id", id.to_string()),
                ("scopes", permissions.to_string()),
                ("expires", expires_at.map_or_else(|| "never".to_owned(), |until| moment(Some(until)))),
            ]);
            Ok(CommandAnswer::new(json!({ "admin_token": token.reveal(), "token": row }), text))
        })
    }
}

fn state(row: &TokenRow, now: Timestamp) -> &'static str {
    match row.revoked_at {
        Some(_) => "revoked",
        None if row.works(now) => "active",
        None => "expired",
    }
}

impl ListTokensArgs {
    async fn answer(self, stores: &Stores) -> Result<CommandAnswer, Failure> {
        let now = Timestamp::now();
        let uses: HashMap<KeyId, Timestamp> = stores.admin_tokens.uses().await?.into_iter().collect();
        let mut rows = stores.views.admin_tokens().await?;
        rows.retain(|row| self.all || row.works(now));
        rows.sort_by_key(|row| std::cmp::Reverse((row.issued_at, row.id)));
        let mut table = Table::new(&["ID", "NAME", "SCOPES", "STATE", "MADE", "LAST USED", "EXPIRES"]);
        let mut documents: Vec<Value> = Vec::new();
        for row in &rows {
            let (state, used) = (state(row, now), uses.get(&row.id).copied());
            table.row([
                row.id.to_string(),
                row.name.clone(),
                row.permissions().to_string(),
                state.to_owned(),
                moment(Some(row.issued_at)),
                moment(used),
                moment(row.expires_at),
            ]);
            let mut document = json!(row);
            if let Some(fields) = document.as_object_mut() {
                fields.insert("status".to_owned(), state.into());
                fields.insert("last_used_at".to_owned(), json!(used));
            }
            documents.push(document);
        }
        Ok(CommandAnswer::new(json!({ "admin_tokens": documents }), table.render()))
    }
}

impl RevokeTokenArgs {
    fn run(self, common: &Common) -> Result<CommandAnswer, Failure> {
        let id = KeyId::parse(self.id.trim())
            .map_err(|_| Failure::usage("this is no token's id; `permitd admin-tokens list` shows them".to_owned()))?;
        with_node(common.settings(&[])?, Data::MustExist, async |node| {
            let committed = node.service.tokens.revoke(id, node.envelope()?).await?;
            let is_new = !committed.events.is_empty();
            let row = node.service.committer.stores.views.admin_token(id).await?;
            let text = format!("{id}: {}revoked", if is_new { "" } else { "was already " });
            Ok(CommandAnswer::new(json!({ "token": row, "changed": is_new }), text))
        })
    }
}

impl New {
    fn run(self, common: &Common) -> Result<CommandAnswer, Failure> {
        let replace = self.replace;
        with_node(common.settings(&[])?, Data::MayBeNew, async |node| {
            let token = new_admin_token(&node.service, who(), replace).await?;
            let sign_in = sign_in_url(&node.service.public_url, &token);
            let text = facts(&[("admin token", token.to_string()), ("sign in", sign_in.clone())]);
            Ok(CommandAnswer::new(
                json!({ "admin_token": token.as_str(), "sign_in_url": sign_in, "replaced": replace }),
                text,
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lives_are_read_as_people_write_them() {
        for (text, hours) in [("12h", 12), ("90d", 90 * 24), ("1w", 7 * 24)] {
            assert_eq!(life(text), Ok(SignedDuration::from_hours(hours)), "{text}");
        }
        for text in ["", "0s", "-1d", "soon", "20y", "4000d", "1mo"] {
            assert!(life(text).is_err(), "{text}");
        }
    }
}

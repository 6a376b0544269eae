//! `permitd admin-token`: the administrator's token.

use clap::{Args, Subcommand};
use serde_json::json;

use super::{
    Answer, Common, Failure,
    open::{Data, with_node},
    output::facts,
    serve::sign_in_url,
};
use crate::app::new_admin_token;

/// Make administrator's tokens
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd admin-token new
  permitd admin-token new --replace")]
pub(super) struct AdminTokenArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    New(New),
}

/// Make a token and print it: this once, since only its hash is kept
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd admin-token new
  permitd admin-token new --replace      the earlier tokens stop working")]
struct New {
    /// Make the earlier ones stop working
    #[arg(long)]
    replace: bool,
}

impl AdminTokenArgs {
    pub(super) fn run(self, common: &Common) -> Result<Answer, Failure> {
        let Command::New(New { replace }) = self.command;
        with_node(common.settings(&[])?, Data::MayBeNew, async |node| {
            let token = new_admin_token(&node.service.committer, replace).await?;
            let sign_in = sign_in_url(&node.service.public_url, &token);
            let text = facts(&[("admin token", token.to_string()), ("sign in", sign_in.clone())]);
            Ok(Answer::new(json!({ "admin_token": token.as_str(), "sign_in_url": sign_in, "replaced": replace }), text))
        })
    }
}

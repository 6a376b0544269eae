//! `permitd events replay`.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::{
    copy::CopiedMoment,
    pace::{told, under_bar, with_rate},
};
use crate::{
    cli::{CommandAnswer, Failure},
    replay,
    store::{IssuedTwice, Stores},
};

/// Rebuild every view from the log beside the live ones, and switch over at once
///
/// Works while a server runs. Sends and publishes nothing. After an error the live views are as they were.
///
/// With --as-of and --into it leaves them alone, and makes a copy of the deployment as it was: a data directory that `permitd serve
/// --read-only` shows. It holds the log up to then, the data of people who were not erased since, their usage, and the records of each data
/// set as of its version then, as far as that is held. It has no server secret, no message and no mail. Killed and repeated it begins anew.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd events replay
  permitd events replay --json
  permitd events replay --as-of 2026-11-29T12:00:00Z --into permitd-copy
  permitd events replay --as-of 1200 --into permitd-copy         as it was after the commit at this position")]
pub(super) struct Replay {
    /// Copy the deployment as it was at this moment, or at this position of the log
    #[arg(long, value_name = "TIME|POSITION", requires = "into")]
    as_of: Option<CopiedMoment>,
    /// Where to: a directory that does not exist yet, or is empty
    #[arg(long, value_name = "DIR", requires = "as_of")]
    into: Option<PathBuf>,
}

impl Replay {
    /// The copy that is asked for, if one is.
    pub(super) fn copied(&self) -> Option<(CopiedMoment, &Path)> {
        self.as_of.zip(self.into.as_deref())
    }

    pub(super) fn answer(self, stores: &Stores) -> Result<CommandAnswer, Failure> {
        let mut space = stores.replay.replay_space()?;
        let total = space.commits_total()?;
        let (progress, took) = under_bar(total, |report| replay::rebuild(&mut *space, report))?;
        let twice = space.issued_twice();
        let mut text: String = twice.iter().filter(|twice| !twice.is_over).map(said_of).collect();
        text.push_str(&format!("every view rebuilt: {}", told(progress, took)));
        let twice: Vec<Value> = twice
            .iter()
            .map(|IssuedTwice { key, first, other, is_over }| {
                json!({ "key": key, "first": first, "other": other, "revoked": is_over })
            })
            .collect();
        Ok(CommandAnswer::new(with_rate(progress, took, json!({ "issued_twice": twice })), text))
    }
}

fn said_of(IssuedTwice { key, first, other, .. }: &IssuedTwice) -> String {
    format!(
        "key {key} was issued to user {first} and to user {other}: it stays the first one's, but both may know it; revoke it for both \
         and issue new ones\n"
    )
}

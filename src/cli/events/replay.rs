//! `permitd events replay`.

use clap::Args;
use serde_json::{Value, json};

use super::{
    pace::{told, under_bar, with_rate},
    quarantine::{gone_over, named},
};
use crate::{
    cli::{CommandAnswer, Failure},
    replay,
    store::{IssuedTwice, Stores},
};

/// Rebuild every view from the log beside the live ones, and switch over at once
///
/// Works while a server runs. Sends and publishes nothing. After an error the live views are as they were.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd events replay
  permitd events replay --json")]
pub(super) struct Replay {}

impl Replay {
    pub(super) fn answer(self, stores: &Stores) -> Result<CommandAnswer, Failure> {
        let mut space = stores.replay.replay_space()?;
        let (total, quarantined) = (space.commits_total()?, space.quarantined()?);
        let (progress, took) = under_bar(total, |report| replay::rebuild(&mut *space, report))?;
        let twice = space.issued_twice();
        let mut text: String = twice.iter().filter(|twice| !twice.is_over).map(said_of).collect();
        text.push_str(&gone_over(&quarantined));
        text.push_str(&format!("every view rebuilt: {}", told(progress, took)));
        let twice: Vec<Value> = twice
            .iter()
            .map(|IssuedTwice { key, first, other, is_over }| {
                json!({ "key": key, "first": first, "other": other, "revoked": is_over })
            })
            .collect();
        Ok(CommandAnswer::new(
            with_rate(progress, took, json!({ "issued_twice": twice, "quarantined": named(&quarantined) })),
            text,
        ))
    }
}

fn said_of(IssuedTwice { key, first, other, .. }: &IssuedTwice) -> String {
    format!(
        "key {key} was issued to user {first} and to user {other}: it stays the first one's, but both may know it; revoke it for both \
         and issue new ones\n"
    )
}

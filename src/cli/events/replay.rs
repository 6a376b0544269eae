//! `permitd events replay`.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::{
    copy::CopiedMoment,
    pace::{timed, told, under_bar, with_rate},
    quarantine::{gone_over, named},
};
use crate::{
    app,
    cli::{
        CommandAnswer, Failure,
        number::whole,
        output::{counted, grouped},
        people,
    },
    domain::id::StreamId,
    replay,
    store::{IssuedTwice, ReplayBeginning, ReplayPlan, ReplayView, Stores},
};

/// Rebuild every view from the log beside the live ones, and switch over at once
///
/// Works while a server runs. Sends and publishes nothing. After an error the live views are as they were. One that was killed is gone on
/// with, by the same permitd and within a day. Over AWS rows are put right in place, each at once.
///
/// With --as-of and --into it leaves them alone, and makes a copy of the deployment as it was: a data directory that `permitd serve
/// --read-only` shows. It holds the log up to then, the data of people who were not erased since, their usage, and the records of each data
/// set as of its version then, as far as that is held. It has no server secret, no message and no mail. Killed and repeated it begins anew.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd events replay
  permitd events replay --view keys
  permitd events replay --user ana@example.org
  permitd events replay --read-units-per-s 500      over AWS, beside what people ask
  permitd events replay --json
  permitd events replay --as-of 2026-11-29T12:00:00Z --into permitd-copy
  permitd events replay --as-of position:1200 --into permitd-copy         as it was after the commit at this position")]
pub(super) struct Replay {
    /// Only this view: users, keys, sessions, plans, imports or tokens
    #[arg(long, value_name = "VIEW", value_parser = view)]
    view: Option<ReplayView>,
    /// Only the rows of this person: their address or id
    #[arg(long, value_name = "EMAIL", conflicts_with = "stream")]
    user: Option<String>,
    /// Only the rows of this stream: user#<id>, plan#<name>, dataset#<name> or tokens#admin
    #[arg(long, value_name = "STREAM")]
    stream: Option<String>,
    /// Begin at the beginning, even where one was killed that could be gone on with
    #[arg(long, conflicts_with_all = ["user", "stream"])]
    anew: bool,
    /// Take at most so many read units a second from DynamoDB
    #[arg(long, value_name = "N", value_parser = whole(1..=1_000_000_u32), conflicts_with_all = ["user", "stream"])]
    read_units_per_s: Option<u32>,
    /// Copy the deployment as it was at this moment, or at this position of the log
    #[arg(long, value_name = "TIME|POSITION", requires = "into")]
    as_of: Option<CopiedMoment>,
    /// Where to: a directory that does not exist yet, or is empty
    #[arg(long, value_name = "DIR", requires = "as_of")]
    into: Option<PathBuf>,
}

fn view(name: &str) -> Result<ReplayView, String> {
    let names = || ReplayView::ALL.map(ReplayView::name).join(", ");
    ReplayView::named(name).ok_or_else(|| format!("there is no view {name:?}; there are: {}", names()))
}

impl Replay {
    /// The copy that is asked for, if one is.
    pub(super) fn copied(&self) -> Option<(CopiedMoment, &Path)> {
        self.as_of.zip(self.into.as_deref())
    }

    pub(super) fn answer(self, stores: &Stores) -> Result<CommandAnswer, Failure> {
        let stream = match (&self.stream, &self.user) {
            (Some(stream), _) => {
                Some(StreamId::parse(stream).map_err(|error| Failure::usage(format!("--stream: {error}")))?)
            }
            (None, Some(user)) => Some(StreamId::User(app::block_on(people::find(&*stores.views, user))?.id)),
            (None, None) => None,
        };
        match stream {
            Some(stream) => self.mend(stores, &stream),
            None => self.rebuild(stores),
        }
    }

    /// One stream's rows.
    fn mend(&self, stores: &Stores, stream: &StreamId) -> Result<CommandAnswer, Failure> {
        if let Some(view) = self.view.filter(|view| !view.follows_from(stream)) {
            return Err(Failure::usage(format!("the view {} has no rows of {stream}", view.name())));
        }
        if app::block_on(stores.log.load(stream, 0, 1))?.is_empty() {
            return Err(Failure::not_found(format!("there is no stream {stream}; `permitd events list` shows them")));
        }
        let (progress, took) = timed(|| stores.replay.mend(stream, self.view))?;
        let text = format!("{} of {stream} rebuilt: {}", named_view(self.view, "every row"), told(progress, took));
        let further = json!({ "stream": stream.to_string(), "view": self.view });
        Ok(CommandAnswer::new(with_rate(progress, took, further), text))
    }

    fn rebuild(&self, stores: &Stores) -> Result<CommandAnswer, Failure> {
        let Self { view, anew, read_units_per_s, .. } = *self;
        let mut space = stores.replay.replay_space_for(&ReplayPlan { view, anew, read_units_per_s })?;
        let (total, quarantined) = (space.commits_total()?, space.quarantined()?);
        let beginning = space.begin()?;
        match &beginning {
            ReplayBeginning::New => {}
            ReplayBeginning::Anew(why) => eprintln!("an interrupted rebuild is begun anew: {why}"),
            ReplayBeginning::Resumed(progress) => {
                let done = counted(progress.commits, "commit");
                eprintln!("goes on where an interrupted rebuild was: {done} of {} are done", grouped(total));
            }
        }
        let (progress, took) = under_bar(total, |report| replay::rebuild_from(&mut *space, &beginning, report))?;
        let twice = space.issued_twice();
        let mut text: String = twice.iter().filter(|twice| !twice.is_over).map(said_of).collect();
        text.push_str(&gone_over(&quarantined));
        text.push_str(&format!("{} rebuilt: {}", named_view(view, "every view"), told(progress, took)));
        let twice: Vec<Value> = twice
            .iter()
            .map(|IssuedTwice { key, first, other, is_over }| {
                json!({ "key": key, "first": first, "other": other, "revoked": is_over })
            })
            .collect();
        let resumed_after = match beginning {
            ReplayBeginning::Resumed(progress) => progress.commits,
            ReplayBeginning::New | ReplayBeginning::Anew(_) => 0,
        };
        let further = json!({
            "issued_twice": twice, "quarantined": named(&quarantined), "view": view, "resumed_after_commits": resumed_after,
        });
        Ok(CommandAnswer::new(with_rate(progress, took, further), text))
    }
}

fn named_view(view: Option<ReplayView>, all: &str) -> String {
    view.map_or_else(|| all.to_owned(), |view| format!("the view {}", view.name()))
}

fn said_of(IssuedTwice { key, first, other, .. }: &IssuedTwice) -> String {
    format!(
        "key {key} was issued to user {first} and to user {other}: it stays the first one's, but both may know it; revoke it for both \
         and issue new ones\n"
    )
}

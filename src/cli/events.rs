//! `permitd events`: the log and its views. None of these commands gets a queue or a mailer.

mod compared;
mod copy;
mod list;
mod pace;
mod replay;
mod verify;
mod views;

use clap::{Args, Subcommand};

use self::{list::ListEventsArgs, replay::Replay, verify::Verify, views::ViewsArgs};
use super::{CommandAnswer, Common, Failure, open::stores};
use crate::{app, clock::SystemClock};

/// Read the event log; rebuild and verify what follows from it
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd events list --user ana@example.org
  permitd events verify
  permitd events replay")]
pub(super) struct Events {
    #[command(subcommand)]
    command: EventsCommand,
}

#[derive(Debug, Subcommand)]
enum EventsCommand {
    List(ListEventsArgs),
    Replay(Replay),
    Verify(Verify),
    Views(ViewsArgs),
}

impl Events {
    pub(super) fn run(self, common: &Common) -> Result<CommandAnswer, Failure> {
        if let EventsCommand::Replay(replay) = &self.command
            && let Some((as_of, into)) = replay.copied()
        {
            return copy::copy(common, as_of, into);
        }
        if let EventsCommand::Views(views) = &self.command
            && views.is_from_stdin()
        {
            return ViewsArgs::fold_stdin();
        }
        let stores = stores(common)?;
        match self.command {
            EventsCommand::List(list) => app::block_on(list.answer(&stores)),
            EventsCommand::Replay(replay) => replay.answer(&stores),
            EventsCommand::Views(views) => views.answer(&stores),
            EventsCommand::Verify(verify) if verify.compared().is_some() => {
                let with = verify.compared().unwrap_or_default();
                compared::answer(&stores, common.settings(&[])?, &with)
            }
            EventsCommand::Verify(verify) => {
                // The records are opened before the log is read: the log has an import before its records exist.
                let records = app::block_on(app::open_records(&common.settings(&[])?, &SystemClock::shared(), None))?;
                verify.answer(&stores, &*records)
            }
        }
    }
}

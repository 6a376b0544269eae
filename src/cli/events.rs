//! `permitd events`: the log and its views. None of these commands gets a queue or a mailer.

mod list;
mod pace;
mod quarantine;
mod replay;
mod verify;

use clap::{Args, Subcommand};

use self::{
    list::ListEventsArgs,
    quarantine::{QuarantineArgs, Release},
    replay::Replay,
    verify::Verify,
};
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
    Quarantine(QuarantineArgs),
    Release(Release),
}

impl Events {
    pub(super) fn run(self, common: &Common) -> Result<CommandAnswer, Failure> {
        let stores = stores(common)?;
        match self.command {
            EventsCommand::List(list) => app::block_on(list.answer(&stores)),
            EventsCommand::Replay(replay) => replay.answer(&stores),
            EventsCommand::Quarantine(quarantine) => app::block_on(quarantine.answer(&stores)),
            EventsCommand::Release(release) => app::block_on(release.answer(&stores)),
            EventsCommand::Verify(verify) => {
                // The records are opened before the log is read: the log has an import before its records exist.
                let records = app::block_on(app::open_records(&common.settings(&[])?, &SystemClock::shared(), None))?;
                verify.answer(&stores, &*records)
            }
        }
    }
}

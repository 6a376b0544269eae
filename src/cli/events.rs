//! `permitd events`: the log and its views. None of these commands gets a queue or a mailer.

mod export;
mod import;
mod list;
mod pace;
mod replay;
mod transferring;
mod verify;

use clap::{Args, Subcommand};

use self::{export::ExportLogArgs, import::ImportLogArgs, list::ListEventsArgs, replay::Replay, verify::Verify};
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
    Export(ExportLogArgs),
    Import(ImportLogArgs),
    Replay(Replay),
    Verify(Verify),
}

impl Events {
    pub(super) fn run(self, common: &Common) -> Result<CommandAnswer, Failure> {
        match self.command {
            EventsCommand::Export(export) => export.answer(common),
            EventsCommand::Import(import) => import.answer(common),
            EventsCommand::List(list) => {
                let stores = stores(common)?;
                app::block_on(list.answer(&stores))
            }
            EventsCommand::Replay(replay) => replay.answer(&stores(common)?),
            EventsCommand::Verify(verify) => {
                let stores = stores(common)?;
                // The records are opened before the log is read: the log has an import before its records exist.
                let records = app::block_on(app::open_records(&common.settings(&[])?, &SystemClock::shared(), None))?;
                verify.answer(&stores, &*records)
            }
        }
    }
}

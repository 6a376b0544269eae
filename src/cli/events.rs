//! `permitd events`: the log and its views. None of these commands gets a queue or a mailer, but `trace`, which looks at
//! the dead letters and does nothing else.

pub(super) mod checkpoint;
mod checkpoints;
mod compared;
mod copy;
mod export;
mod import;
mod list;
mod pace;
mod prove;
mod quarantine;
mod replay;
mod seal;
mod tail;
mod trace;
mod transferring;
mod verify;
mod views;
mod wanted;

use clap::{Args, Subcommand};

use self::{
    checkpoints::Checkpoints,
    export::ExportLogArgs,
    import::ImportLogArgs,
    list::ListEventsArgs,
    prove::ProveArgs,
    quarantine::{QuarantineArgs, Release},
    replay::Replay,
    seal::{SealArgs, SealsArgs},
    tail::TailArgs,
    trace::TraceArgs,
    verify::Verify,
    views::ViewsArgs,
};
use super::{
    CommandAnswer, Common, Failure,
    open::{Data, stores, with_node},
};
use crate::{app, clock::SystemClock};

/// Read the event log; rebuild and verify what follows from it
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd events list --user ana@example.org
  permitd events tail --follow
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
    Tail(TailArgs),
    Checkpoints(Checkpoints),
    Trace(TraceArgs),
    Replay(Replay),
    Verify(Verify),
    Seal(SealArgs),
    Seals(SealsArgs),
    Prove(ProveArgs),
    Quarantine(QuarantineArgs),
    Release(Release),
    Views(ViewsArgs),
}

impl Events {
    pub(super) fn run(self, common: &Common) -> Result<CommandAnswer, Failure> {
        match self.command {
            EventsCommand::List(list) => app::block_on(list.answer(&stores(common)?)),
            EventsCommand::Export(export) => export.answer(common),
            EventsCommand::Import(import) => import.answer(common),
            EventsCommand::Tail(tail) => app::block_on(tail.answer(&stores(common)?, &common.settings(&[])?)),
            EventsCommand::Checkpoints(checkpoints) => checkpoints.answer(&common.settings(&[])?),
            EventsCommand::Trace(trace) => {
                with_node(common.settings(&[])?, Data::MustExist, async |node| trace.answer(&node).await)
            }
            EventsCommand::Replay(replay) => match replay.copied() {
                Some((as_of, into)) => copy::copy(common, as_of, into),
                None => replay.answer(&stores(common)?),
            },
            EventsCommand::Seal(seal) => seal.answer(common),
            EventsCommand::Seals(seals) => app::block_on(seals.answer(&stores(common)?)),
            EventsCommand::Prove(prove) => prove.answer(common),
            EventsCommand::Quarantine(quarantine) => app::block_on(quarantine.answer(&stores(common)?)),
            EventsCommand::Release(release) => app::block_on(release.answer(&stores(common)?)),
            EventsCommand::Views(views) if views.is_from_stdin() => ViewsArgs::fold_stdin(),
            EventsCommand::Views(views) => views.answer(&stores(common)?),
            EventsCommand::Verify(verify) if verify.compared().is_some() => {
                let with = verify.compared().unwrap_or_default();
                compared::answer(&stores(common)?, common.settings(&[])?, &with)
            }
            EventsCommand::Verify(verify) => {
                let stores = stores(common)?;
                // The records are opened before the log is read: the log has an import before its records exist.
                let records = app::block_on(app::open_records(&common.settings(&[])?, &SystemClock::shared(), None))?;
                verify.answer(&stores, &*records)
            }
        }
    }
}

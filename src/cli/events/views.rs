//! `permitd events views`.

use std::io::{self, BufWriter, Write};

use clap::Args;
use serde_json::Value;

use crate::{
    cli::{CommandAnswer, Failure},
    replay,
    store::Stores,
};

/// Print the rows of every view as they follow from the log, one stream a line
///
/// Reads only the log, writes nothing, and prints JSON whatever is asked for. Of addresses, names and hashes there is only a digest. `events
/// verify --with` compares the rows of two programs by it: with --stdin it takes the log from another permitd and touches no data.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd events views > rows.ndjson
  permitd events views --stdin < log.ndjson")]
pub(super) struct ViewsArgs {
    /// Take the log from standard input instead, a commit a line, as another permitd writes it
    #[arg(long)]
    stdin: bool,
}

impl ViewsArgs {
    /// Whether the log comes from standard input.
    pub(super) fn is_from_stdin(&self) -> bool {
        self.stdin
    }

    /// Folds the log on standard input.
    pub(super) fn fold_stdin() -> Result<CommandAnswer, Failure> {
        let mut out = BufWriter::new(io::stdout().lock());
        ended(replay::fold_lines(io::stdin().lock(), &mut out).and_then(|()| Ok(out.flush()?)))
    }

    /// Folds the log of this deployment.
    pub(super) fn answer(self, stores: &Stores) -> Result<CommandAnswer, Failure> {
        let mut space = stores.replay.replay_space()?;
        let mut out = BufWriter::new(io::stdout().lock());
        let written = replay::print_rows(&mut *space, &mut out, &mut |_| {});
        ended(written.and_then(|_| Ok(out.flush()?)))
    }
}

fn ended(written: Result<(), replay::CompareError>) -> Result<CommandAnswer, Failure> {
    match written {
        // The reader, such as `head`, has read enough.
        Err(replay::CompareError::Lines(error)) if error.kind() == io::ErrorKind::BrokenPipe => {}
        written => written?,
    }
    Ok(CommandAnswer::new(Value::Null, ""))
}

//! `permitd events prove`.

use std::{
    io::Read as _,
    path::{Path, PathBuf},
};

use clap::Args;
use serde_json::json;

use super::transferring::TransferBar;
use crate::{
    app::{self, ProofOrder},
    cli::{
        CommandAnswer, Common, Exit, Failure,
        open::stores,
        output::{counted, grouped},
    },
    domain::checkpoint::{CHECKPOINT_FILE_BYTES_MAX, SignedCheckpoint},
    sealing::{Forgery, ProvenLog},
};

/// Findings that are printed; the others are counted.
const FOUND_MAX: usize = 1_000;

/// Prove by the signed checkpoints that nothing before them was changed, removed or put in
///
/// Computes the chain of every stream anew and compares it with what each checkpoint says; checks signatures, keys, order and roots of the
/// checkpoints. Names whatever differs. Who was erased meanwhile changes nothing of it. Whoever can write into the store and has the key can make
/// the log and its checkpoints anew: only a checkpoint that was kept elsewhere (--checkpoint) or a public key that was noted elsewhere (--key)
/// shows that. Changes nothing; works while servers run.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd events prove
  permitd events prove --checkpoint last-year.txt --checkpoint yesterday.txt
  permitd events prove --from 12 --to 40 --json

Exit codes:
  0  the log is what it was
  1  something was changed, removed or put in: it is named
  3  there is no checkpoint, or none of that number")]
pub(super) struct ProveArgs {
    /// Between this checkpoint and the last one: what the earlier ones say is not compared
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    from: Option<u64>,
    /// Up to this checkpoint
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    to: Option<u64>,
    /// A checkpoint that was kept elsewhere, as `permitd events seal --out` writes it (repeatable)
    #[arg(long, value_name = "FILE")]
    checkpoint: Vec<PathBuf>,
    /// A public key that checkpoints may be signed by, in base64 (repeatable) [default: the deployment's own]
    #[arg(long, value_name = "BASE64")]
    key: Vec<String>,
}

impl ProveArgs {
    pub(super) fn answer(self, common: &Common) -> Result<CommandAnswer, Failure> {
        let settings = common.settings(&[])?;
        let elsewhere = self.checkpoint.iter().map(|path| read(path)).collect::<Result<Vec<_>, _>>()?;
        let order = ProofOrder { from: self.from, to: self.to, trusted: self.key.iter().cloned().collect(), elsewhere };
        let stores = stores(common)?;
        let last = app::block_on(stores.checkpoints.checkpoints(None, 1))?.first().map_or(0, |last| last.number);
        if let Some(number) = [self.from, self.to].into_iter().flatten().find(|number| last > 0 && *number > last) {
            return Err(Failure::not_found(format!("there is no checkpoint {number}: the last one is {last}")));
        }
        if let (Some(from), Some(to)) = (self.from, self.to)
            && from > to
        {
            return Err(Failure::new(Exit::Usage, format!("--from {from} is after --to {to}")));
        }
        let bar = TransferBar::new();
        let (mut found, mut count): (Vec<Forgery>, u64) = (Vec::new(), 0);
        let mut keep = |forgery| {
            count += 1;
            if found.len() < FOUND_MAX {
                found.push(forgery);
            }
        };
        let proven = app::prove(&settings, &stores, order, &mut |at| bar.show(at), &mut keep);
        let (proven, took) = bar.end(proven)?;
        let ProvenLog { checkpoints, chains, .. } = proven;
        if checkpoints == 0 && count == 0 {
            return Err(Failure::not_found("there is no checkpoint yet: `permitd events seal` makes one".to_owned()));
        }
        let mut text: String = found.iter().map(|forgery| format!("{forgery}\n")).collect();
        let unprinted = count.saturating_sub(u64::try_from(found.len()).unwrap_or(u64::MAX));
        if unprinted > 0 {
            text.push_str(&format!("… and {} more\n", grouped(unprinted)));
        }
        let read = format!(
            "{} in {}, {}, {:.2} s",
            counted(chains.commits, "commit"),
            counted(chains.streams, "stream"),
            counted(checkpoints, "checkpoint"),
            took.as_secs_f64()
        );
        text.push_str(&match count {
            0 => format!("the log is what it was: {read}\n"),
            _ => format!("{}: {read}\n", counted(count, "finding")),
        });
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        let mut document =
            json!({ "proven": count == 0, "findings": count, "found": found, "seconds": took.as_secs_f64() });
        if let (Some(fields), serde_json::Value::Object(more)) = (document.as_object_mut(), json!(proven)) {
            fields.extend(more);
        }
        let exit = if count == 0 { Exit::Done } else { Exit::Differences };
        Ok(CommandAnswer { exit, ..CommandAnswer::new(document, text) })
    }
}

/// Reads a checkpoint that was kept elsewhere.
fn read(path: &Path) -> Result<SignedCheckpoint, Failure> {
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(|error| {
        let exit = if error.kind() == std::io::ErrorKind::NotFound { Exit::NotFound } else { Exit::Unavailable };
        Failure::new(exit, format!("cannot read {}: {error}", path.display()))
    })?;
    let bad = |error: String| Failure::new(Exit::BadFile, format!("{} is no checkpoint: {error}", path.display()));
    file.take(CHECKPOINT_FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(|error| bad(error.to_string()))?;
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > CHECKPOINT_FILE_BYTES_MAX {
        return Err(bad("it is too long".to_owned()));
    }
    SignedCheckpoint::parse_file(&text).map_err(|error| bad(error.to_string()))
}

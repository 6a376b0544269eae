//! `permitd keys report-leak`: does what `POST /leaks` does, and shows the results.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use clap::Args;
use serde_json::{Value, json};

use super::{
    CommandAnswer, Common, Failure,
    open::{Data, with_node},
    output::Table,
};
use crate::{
    actors::leaks::LeakOutcome,
    domain::leak::{Suspect, suspects},
};

/// The longest text, bytes.
const TEXT_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Most keys that are taken from it.
const KEYS_MAX: usize = 10_000;

/// Revoke every key, session, link and administrator's token of ours that is in a text, and tell owners and administrators
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd keys report-leak found.txt
  git log -p | permitd keys report-leak -")]
pub(super) struct ReportLeak {
    /// The text with the keys in it; - reads standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

impl ReportLeak {
    pub(super) fn run(self, common: &Common) -> Result<CommandAnswer, Failure> {
        let found = suspects(&read(&self.file)?, KEYS_MAX);
        with_node(common.settings(&[])?, Data::MustExist, async |node| {
            let outcomes = node.service.leaks.revoke(&found, &node.envelope()?).await?;
            node.settle().await?;
            let mut table = Table::new(&["KEY ID", "WHAT", "BECAME", "USER"]);
            let mut documents = Vec::new();
            for (suspect, outcome) in found.iter().zip(outcomes) {
                let document = told(suspect, outcome);
                let text = |name: &str| document.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
                table.row([text("key_id"), text("kind"), text("outcome"), text("user")]);
                documents.push(document);
            }
            let text = match documents.is_empty() {
                true => "nothing in the text has the form of a key and the checksum that belongs to it\n".to_owned(),
                false => table.render(),
            };
            Ok(CommandAnswer::new(json!({ "found": documents }), text))
        })
    }
}

fn told(suspect: &Suspect, outcome: LeakOutcome) -> Value {
    let (became, user) = match outcome {
        LeakOutcome::Revoked(user) => ("revoked", user),
        LeakOutcome::HadEnded(user) => ("had_ended", user),
        LeakOutcome::Unknown => ("not_ours", None),
    };
    json!({ "key_id": suspect.id, "kind": suspect.kind.word(), "outcome": became, "user": user })
}

fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    let mut text = Vec::new();
    let read = match file.as_os_str() == "-" {
        true => io::stdin().lock().take(TEXT_BYTES_MAX + 1).read_to_end(&mut text),
        false => File::open(file).and_then(|open| open.take(TEXT_BYTES_MAX + 1).read_to_end(&mut text)),
    };
    match read {
        Err(error) => Err(Failure::not_found(format!("{}: {error}", file.display()))),
        Ok(bytes) if bytes as u64 > TEXT_BYTES_MAX => {
            Err(Failure::usage(format!("{}: at most {TEXT_BYTES_MAX} bytes are read: cut the text", file.display())))
        }
        Ok(_) => Ok(text),
    }
}

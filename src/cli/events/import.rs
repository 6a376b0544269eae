//! `permitd events import`.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::{seal::refuse_forged, transferring::TransferBar};
use crate::{
    app::{self, import_log},
    cli::{
        CommandAnswer, Common, Failure,
        open::quiet_log,
        output::{counted, grouped},
    },
    transfer::FileKeys,
};

/// Make a log again from a file of `events export`, in a deployment that has none
///
/// The whole file is read and compared with its digest before anything is written. Then the log is written, the hashes of all commits are
/// verified, and the views are made. No server starts on it before that. A killed import goes on where it was: repeat it. Records
/// are not in the file: import them again, or move them with a backup.
///
/// Where the file has no keys of people's data, everybody is erased; where it has no server secret, put it in place yourself.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd events import log.ndjson.zst --data new-data
  permitd events import log.age --identity key.txt --data new-data
  permitd events import log.age --passphrase-file phrase.txt --backend aws

Exit codes:
  4  the deployment has a log of its own
  6  the file is damaged, cut off, no log, or cannot be decrypted: nothing was changed
  7  the commits in it do not follow on each other, or are not what the checkpoints in it were signed for")]
pub(super) struct ImportLogArgs {
    /// The file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The identity of age that an encrypted file was encrypted to
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,
    /// A file with the passphrase that an encrypted file was encrypted with, in its first line
    #[arg(long, value_name = "FILE", conflicts_with = "identity")]
    passphrase_file: Option<PathBuf>,
}

impl ImportLogArgs {
    pub(super) fn answer(self, common: &Common) -> Result<CommandAnswer, Failure> {
        let settings = common.settings(&[])?;
        quiet_log(&settings)?;
        let keys = match (&self.identity, &self.passphrase_file) {
            (Some(path), _) => FileKeys::identities_of(path)?,
            (None, Some(path)) => FileKeys::passphrase_of(path)?,
            (None, None) => FileKeys::default(),
        };
        let bar = TransferBar::new();
        let what = (self.file.as_path(), keys);
        let done = import_log(&settings, what, |file| bar.expect(file.commits()), &mut |at| bar.show(at));
        let (imported, took) = bar.end(done)?;
        let stores = app::block_on(app::open_stores(&settings, None))?;
        refuse_forged(&settings, &stores, "what was imported is not what its checkpoints were signed for")?;
        let mut text = format!(
            "{} of {} imported, verified, and their views made, in {:.2} s\n",
            counted(imported.chains.commits, "commit"),
            counted(imported.chains.streams, "stream"),
            took.as_secs_f64(),
        );
        if imported.resumed_after > 0 {
            text.push_str(&format!("went on after {} commits\n", grouped(imported.resumed_after)));
        }
        if !imported.with_personal_keys {
            text.push_str("the file has no keys of people's data: their addresses and names cannot be read\n");
        }
        if !imported.with_secret {
            text.push_str(
                "the file has no server secret: put that of the old deployment in place before a server starts\n",
            );
        }
        let mut document = json!(imported);
        if let Some(fields) = document.as_object_mut() {
            fields.insert("seconds".to_owned(), json!(took.as_secs_f64()));
        }
        Ok(CommandAnswer::new(document, text))
    }
}

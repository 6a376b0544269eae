//! `permitd events export`.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::transferring::TransferBar;
use crate::{
    app::{ExportWith, export_log},
    cli::{
        CommandAnswer, Common, Failure,
        open::{must_exist, quiet_log},
        output::{counted, grouped},
    },
    clock::SystemClock,
    secrets::SystemEntropy,
    transfer::FileLock,
};

/// Write the whole log into a file, from which `events import` makes it again in another deployment of either backend
///
/// The file is NDJSON, compressed by zstd: one commit a line, with its version, position, time, command and hash; then the answers to commands and the
/// claims on addresses. Personal data stays sealed. The keys that open it, and the server secret, are only written on demand, and
/// then the whole file is encrypted in the format of age. Works while a server runs.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd events export log.ndjson.zst
  permitd events export log.age --with-personal-keys --with-secret --recipient age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p
  permitd events export log.age --with-personal-keys --passphrase-file phrase.txt

`zstd -dc log.ndjson.zst` shows what is in a file, `age -d -i key.txt log.age | zstd -dc` what is in an encrypted one.")]
pub(super) struct ExportLogArgs {
    /// The file to make
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// With the keys that people's data is sealed with: whoever can decrypt the file reads addresses and names
    #[arg(long, requires = "lock")]
    with_personal_keys: bool,
    /// With the server secret: whoever can decrypt the file can make every key
    #[arg(long, requires = "lock")]
    with_secret: bool,
    /// Encrypt the file to this recipient of age (repeatable)
    #[arg(long, value_name = "AGE1…", group = "lock")]
    recipient: Vec<String>,
    /// Encrypt the file with the passphrase in the first line of this file
    #[arg(long, value_name = "FILE", group = "lock", conflicts_with = "recipient")]
    passphrase_file: Option<PathBuf>,
}

impl ExportLogArgs {
    pub(super) fn answer(self, common: &Common) -> Result<CommandAnswer, Failure> {
        let settings = common.settings(&[])?;
        must_exist(&settings)?;
        quiet_log(&settings)?;
        let lock = match &self.passphrase_file {
            Some(path) => FileLock::passphrase_of(path)?,
            None if self.recipient.is_empty() => FileLock::Open,
            None => FileLock::recipients(&self.recipient)?,
        };
        let is_encrypted = !lock.is_open();
        let with = ExportWith { personal_keys: self.with_personal_keys, secret: self.with_secret };
        let bar = TransferBar::new();
        let what = (self.file.as_path(), lock, with);
        let done = export_log(&settings, what, (&*SystemClock::shared(), &SystemEntropy), &mut |at| bar.show(at));
        let (exported, took) = bar.end(done)?;
        let kept = match (with.personal_keys, with.secret) {
            (true, true) => "with the keys of people's data and the server secret, encrypted",
            (true, false) => "with the keys of people's data, encrypted",
            (false, true) => "with the server secret, encrypted; people's data stays sealed",
            (false, false) if is_encrypted => "encrypted; people's data stays sealed",
            (false, false) => "people's data stays sealed",
        };
        let text = format!(
            "{}: {} in {} bytes, {:.2} s; {kept}\nSHA-256 of its lines: {}\n",
            self.file.display(),
            counted(exported.commits, "commit"),
            grouped(exported.bytes),
            took.as_secs_f64(),
            exported.sha256,
        );
        let mut document = json!(exported);
        if let Some(fields) = document.as_object_mut() {
            fields.insert("file".to_owned(), json!(self.file.display().to_string()));
            fields.insert("encrypted".to_owned(), json!(is_encrypted));
            fields.insert("seconds".to_owned(), json!(took.as_secs_f64()));
        }
        Ok(CommandAnswer::new(document, text))
    }
}

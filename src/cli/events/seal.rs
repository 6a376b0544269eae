//! `permitd events seal` and `permitd events seals`.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

use clap::Args;
use serde_json::{Value, json};

use crate::{
    app::{self, ProofOrder, StartError},
    aws::Access,
    cli::{
        CommandAnswer, Common, Exit, Failure,
        number::whole,
        open::{must_exist, quiet_log},
        output::{Table, counted, moment},
        people::{email, outbox},
    },
    clock::SystemClock,
    config::Settings,
    domain::checkpoint::{CheckpointError, LogCheckpoint},
    mail::{MailError, settings::MailTransport},
    sealing::{Forgery, HeldVersions, SealOutcome},
    secrets::SystemEntropy,
    store::{KeptCheckpoint, Stores},
};

/// Checkpoints that are listed at most.
const LISTED_MAX: u32 = 1_000;
/// Findings that a refusal tells.
const TOLD_MAX: u64 = 10;

/// Make a signed checkpoint of the log and of all versions of data sets
///
/// A checkpoint is a short text, signed with a key of its own (Ed25519), that stands for the last commit of every stream and for the records of
/// every version. Keep it somewhere else, or give it to somebody else: with it `permitd events prove` shows later whether anything before it was
/// changed, removed or put in. The whole log is proven first (as by `events prove`): one that is not what its checkpoints say is not sealed.
/// A running server makes them by itself (setting `checkpoints.every_h`), and only sees that what is new follows on what is sealed. Over AWS a checkpoint covers what is older
/// than 20 minutes: what is younger may still appear.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd events seal
  permitd events seal --out checkpoint.txt        to keep it elsewhere
  permitd events seal --mail auditor@example.org
  permitd events seal --json

Exit codes:
  0  there is a new checkpoint, or nothing has happened since the last one
  7  the log is damaged, or is not what its checkpoints say: nothing was signed")]
pub(super) struct SealArgs {
    /// Write the last checkpoint into this file, which must not exist
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Mail the last checkpoint to this address (repeatable)
    #[arg(long, value_name = "ADDRESS")]
    mail: Vec<String>,
}

/// List the signed checkpoints, the latest first
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd events seals
  permitd events seals --limit 1 --json")]
pub(super) struct SealsArgs {
    /// How many
    #[arg(long, value_name = "COUNT", default_value_t = 20, value_parser = whole(1..=LISTED_MAX))]
    limit: u32,
    /// Those before this number
    #[arg(long, value_name = "NUMBER")]
    before: Option<u64>,
}

impl SealArgs {
    pub(super) fn answer(self, common: &Common) -> Result<CommandAnswer, Failure> {
        let settings = common.settings(&[])?;
        must_exist(&settings)?;
        quiet_log(&settings)?;
        if let Some(path) = self.out.as_deref().filter(|path| path.symlink_metadata().is_ok()) {
            return Err(Failure::new(Exit::Refused, format!("{} is there already", path.display())));
        }
        let addresses = self.mail.iter().map(|address| email(address)).collect::<Result<Vec<_>, _>>()?;
        let clock = SystemClock::shared();
        app::refuse_a_copy(&settings.data)?;
        let stores = app::block_on(app::open_stores(&settings, None))?;
        // Before the records: in the place of those of one that was moved may be the ones of the other side.
        app::block_on(app::refuse_marked(&stores))?;
        refuse_forged(&settings, &stores, "the log is not what its checkpoints say, and was not sealed")?;
        let sealed = app::block_on(async {
            let records = app::open_records(&settings, &clock, None).await?;
            let HeldVersions(records) = HeldVersions::when_copied(records).await.map_err(StartError::from)?;
            app::seal_log(&settings, &stores, records, (&clock, &SystemEntropy)).await
        })?;
        let (kept, is_new) = match sealed {
            SealOutcome::New(kept) => (kept, true),
            SealOutcome::Nothing(Some(kept)) => (kept, false),
            SealOutcome::Nothing(None) => {
                let document = json!({ "sealed": false, "checkpoint": null });
                return Ok(CommandAnswer::new(document, "there is nothing to seal yet\n".to_owned()));
            }
            SealOutcome::Overtaken => {
                let what = "other processes made checkpoints at the same time: `permitd events seals` lists them";
                return Err(Failure::unavailable(what.to_owned()));
            }
        };
        if let Some(path) = &self.out {
            write_new(path, &kept.signed.file())?;
        }
        for to in &addresses {
            app::block_on(mail(&settings, &kept, to.as_str()))?;
        }
        let said = said(&kept)?;
        let what = if is_new { "" } else { "nothing has happened since\n" };
        let mailed = if self.mail.is_empty() {
            String::new()
        } else {
            let how = outbox(&settings).map_or_else(|| "sent".to_owned(), |outbox| format!("in {outbox}"));
            format!("mail to {} {how}\n", self.mail.join(", "))
        };
        let text = format!(
            "{what}checkpoint {} of {}: {} up to position {}, signed by the key {}\n{}",
            kept.number,
            said.at,
            counted(said.leaves, "leaf").replace("leafs", "leaves"),
            said.position,
            kept.signed.public_key,
            self.out.as_deref().map_or_else(
                || "keep it elsewhere: permitd events seal --out FILE, or GET /checkpoints\n".to_owned(),
                |path| format!("it is in {}: keep it elsewhere\n", path.display())
            )
        ) + &mailed;
        Ok(CommandAnswer::new(json!({ "sealed": is_new, "checkpoint": document(&kept)? }), text))
    }
}

impl SealsArgs {
    pub(super) async fn answer(self, stores: &crate::store::Stores) -> Result<CommandAnswer, Failure> {
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let all = stores.checkpoints.checkpoints(self.before, limit).await?;
        let mut table = Table::new(&["NUMBER", "AT", "POSITION", "LEAVES", "ROOT", "KEY"]);
        let mut documents: Vec<Value> = Vec::new();
        for kept in &all {
            let said = said(kept)?;
            let (number, at, position) = (kept.number.to_string(), moment(Some(said.at)), said.position.to_string());
            let (leaves, root) = (said.leaves.to_string(), said.root.to_string());
            table.row([number, at, position, leaves, root, kept.signed.public_key.clone()]);
            documents.push(document(kept)?);
        }
        Ok(CommandAnswer::new(json!({ "data": documents }), table.render()))
    }
}

fn said(kept: &KeptCheckpoint) -> Result<LogCheckpoint, Failure> {
    let damaged = |error: CheckpointError| {
        Failure::new(Exit::Damaged, format!("checkpoint {}: {error}. `permitd events prove` tells more", kept.number))
    };
    LogCheckpoint::parse(&kept.signed.text).map_err(damaged)
}

fn document(kept: &KeptCheckpoint) -> Result<Value, Failure> {
    Ok(kept.document(&said(kept)?))
}

/// Mails a checkpoint.
async fn mail(settings: &Settings, kept: &KeptCheckpoint, to: &str) -> Result<(), Failure> {
    let access = match settings.mail_transport() {
        MailTransport::Ses => Some(Access::from_environment().await),
        _ => None,
    };
    let mailer = app::mailer(settings, SystemClock::shared(), access.as_ref()).map_err(StartError::from)?;
    app::mail_checkpoint(&*mailer, kept, &settings.public_url, to).await.map_err(|error| {
        let exit = if matches!(error, MailError::Rejected { .. }) { Exit::Refused } else { Exit::Unavailable };
        Failure::new(exit, format!("checkpoint {} is kept, and not mailed to {to}: {error}", kept.number))
    })
}

/// Refuses a log that its checkpoints do not prove. One without checkpoints is not read.
pub(super) fn refuse_forged(settings: &Settings, stores: &Stores, what: &str) -> Result<(), Failure> {
    if app::block_on(stores.checkpoints.checkpoints(None, 1))?.is_empty() {
        return Ok(());
    }
    let (mut told, mut count) = (String::new(), 0_u64);
    let mut keep = |forgery: Forgery| {
        count += 1;
        if count <= TOLD_MAX {
            told.push_str(&format!("\n  {forgery}"));
        }
    };
    app::prove(settings, stores, ProofOrder::default(), &mut |_| {}, &mut keep)?;
    if count == 0 {
        return Ok(());
    }
    let what = format!("{what} ({}; `permitd events prove` tells all):{told}", counted(count, "finding"));
    Err(Failure::new(Exit::Damaged, what))
}

/// Writes a new file.
fn write_new(path: &Path, text: &str) -> Result<(), Failure> {
    let written = std::fs::File::create_new(path).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.map_err(|error| Failure::unavailable(format!("cannot write {}: {error}", path.display())))
}

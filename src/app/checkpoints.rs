//! Seals the log of a deployment, and proves that it is what it was.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};

use super::{StartError, backend, block_on};
use crate::{
    clock::SharedClock,
    config::{Backend, Settings},
    domain::checkpoint::{LogCheckpoint, SignedCheckpoint, hash_of},
    http::state::Service,
    mail::{MailError, Mailer, OutgoingMail},
    sealing::{
        Expected, Forgery, HeldVersions, ProvenLog, SealOutcome, SealingError, TrustedKeys, expected, passes,
        prove_log, seal,
    },
    secrets::Entropy,
    store::{KeptCheckpoint, LogOrder, StoreError, Stores, records::RecordStore},
    transfer::TransferReport,
};

/// Tries of a checkpoint whose number another process takes.
const TRIES_MAX: u32 = 5;
/// How often a server looks whether a checkpoint is due.
const LOOK: Duration = Duration::from_secs(60);
/// Checkpoints that are mailed late, at most: the list has the earlier ones.
const LATE_MAX: u64 = 100;
/// How long a server leaves it to another one to mail what that one has made.
const OTHERS_TURN: SignedDuration = SignedDuration::from_mins(10);

/// Makes a checkpoint, with the key of the deployment, which the first one makes.
///
/// # Errors
/// When there is no key, no checkpoint can be made, or the deployment was moved or is being filled.
pub async fn seal_log(
    settings: &Settings,
    stores: &Stores,
    records: Arc<dyn RecordStore>,
    (clock, entropy): (&SharedClock, &dyn Entropy),
) -> Result<SealOutcome, StartError> {
    // One that was moved has its checkpoints elsewhere from then on: two of one number would contradict each other.
    backend::refuse_marked(stores).await?;
    let key = backend::checkpoint_key(settings, entropy).await?;
    let versions = HeldVersions(records);
    for _ in 1..TRIES_MAX {
        match seal(stores, &versions, &key, clock.now()).await? {
            SealOutcome::Overtaken => {}
            sealed => return Ok(sealed),
        }
    }
    Ok(seal(stores, &versions, &key, clock.now()).await?)
}

/// Sends a checkpoint to an address.
///
/// # Errors
/// When the mail system does not take it.
pub async fn mail_checkpoint(
    mailer: &dyn Mailer,
    kept: &KeptCheckpoint,
    public_url: &str,
    to: &str,
) -> Result<(), MailError> {
    let of = if public_url.is_empty() { "this deployment" } else { public_url };
    let (number, file) = (kept.number, kept.signed.file());
    let says = format!(
        "This is checkpoint {number} of {of}. Keep it: with it `permitd events prove --checkpoint FILE` shows whether anything in the log before \
         it was changed, removed or put in later. FILE has the lines below, as they are."
    );
    let escape = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let hash: String = hash_of(&kept.signed.text).chars().take(16).collect();
    let mail = OutgoingMail {
        to: to.to_owned(),
        recipient: None,
        subject: format!("Checkpoint {number} of {of}"),
        text: format!("{says}\n\n{file}"),
        html: format!("<p>{}</p>\n<pre>{}</pre>\n", escape(&says), escape(&file)),
        message_id: format!("checkpoint.{number}.{hash}"),
        headers: vec![("Auto-Submitted", "auto-generated".to_owned())],
    };
    mailer.send(&mail).await.map(drop)
}

/// Makes checkpoints while a server runs, and mails them.
pub(super) async fn make_while_serving(service: Service) {
    let Service { settings, committer, records, .. } = &service;
    let every = SignedDuration::from_hours(i64::try_from(settings.checkpoints.every_h).unwrap_or(i64::MAX));
    let mut mailing = CheckpointMails::default();
    let mut looked_at: Option<Timestamp> = None;
    loop {
        let now = committer.clock.now();
        let is_time = !every.is_zero() && looked_at.is_none_or(|at| now.duration_since(at) >= every);
        if is_time && is_due(&service, every, now).await {
            let (clock, entropy) = (&committer.clock, &*committer.entropy);
            match seal_log(settings, &committer.stores, Arc::clone(records), (clock, entropy)).await {
                Ok(SealOutcome::New(kept)) => {
                    tracing::info!(number = kept.number, "the log was sealed by a checkpoint");
                    mailing.made.insert(kept.number);
                    looked_at = Some(now);
                }
                Ok(SealOutcome::Nothing(_) | SealOutcome::Overtaken) => looked_at = Some(now),
                Err(StartError::Seal(error @ SealingError::Broken { .. })) => {
                    tracing::error!(%error, "the log is not sealed");
                    looked_at = Some(now);
                }
                Err(error) => tracing::warn!(%error, "the log cannot be sealed yet"),
            }
        }
        if !settings.checkpoints.mail_to.is_empty()
            && let Err(error) = mailing.go_on(&service, now).await
        {
            tracing::warn!(%error, "checkpoints cannot be mailed yet");
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// What a server has done of mailing checkpoints. What everybody has got is noted in the store: a server that is started again goes on there.
#[derive(Default)]
struct CheckpointMails {
    /// The checkpoints that this server has made, and mails at once.
    made: BTreeSet<u64>,
    /// Who has got which of those that were not noted yet, or never will.
    done: BTreeSet<(u64, String)>,
}

impl CheckpointMails {
    /// Mails the checkpoints that were not mailed yet, the first one first, until a mail is not taken.
    async fn go_on(&mut self, service: &Service, now: Timestamp) -> Result<(), StoreError> {
        let kept = &service.committer.stores.checkpoints;
        let mailed = kept.mailed().await?;
        let Some(last) = kept.checkpoints(None, 1).await?.first().map(|last| last.number) else {
            return if mailed.is_none() { kept.note_mailed(0).await } else { Ok(()) };
        };
        // Whoever is named anew gets the present one.
        let mailed = mailed.unwrap_or(last.saturating_sub(1));
        let late = last.saturating_sub(mailed).min(LATE_MAX);
        let mut waiting = kept.checkpoints(None, usize::try_from(late).unwrap_or(0)).await?;
        waiting.retain(|kept| kept.number > mailed);
        for kept in waiting.iter().rev() {
            let is_shared = service.settings.backend == Backend::Aws && !self.made.contains(&kept.number);
            let made_at = LogCheckpoint::parse(&kept.signed.text).map_or(Timestamp::MIN, |said| said.at);
            if is_shared && now.duration_since(made_at) < OTHERS_TURN {
                break;
            }
            if !self.mail(service, kept).await {
                break;
            }
            service.committer.stores.checkpoints.note_mailed(kept.number).await?;
            self.made.remove(&kept.number);
            self.done.retain(|(number, _)| *number > kept.number);
        }
        Ok(())
    }

    /// Whether everybody has got a checkpoint, or cannot get it.
    async fn mail(&mut self, service: &Service, kept: &KeptCheckpoint) -> bool {
        let mut is_done = true;
        for to in &service.settings.checkpoints.mail_to {
            let one = (kept.number, to.clone());
            if self.done.contains(&one) {
                continue;
            }
            match mail_checkpoint(&*service.mailer, kept, &service.public_url, to).await {
                Ok(()) => {
                    self.done.insert(one);
                }
                Err(MailError::Rejected { class, .. }) => {
                    tracing::error!(
                        number = kept.number,
                        class,
                        "a checkpoint is refused by the mail system for good: see checkpoints.mail_to"
                    );
                    self.done.insert(one);
                }
                Err(error) => {
                    tracing::warn!(number = kept.number, %error, "a checkpoint is not mailed yet");
                    is_done = false;
                }
            }
        }
        is_done
    }
}

/// Whether the last checkpoint is so old that another one is due. Several servers look: whoever comes first makes it.
async fn is_due(service: &Service, every: SignedDuration, now: Timestamp) -> bool {
    match service.committer.stores.checkpoints.checkpoints(None, 1).await {
        Ok(last) => {
            let said = last.first().and_then(|last| LogCheckpoint::parse(&last.signed.text).ok());
            said.is_none_or(|last| now.duration_since(last.at) >= every)
        }
        Err(error) => {
            tracing::warn!(%error, "whether a checkpoint is due cannot be seen yet");
            false
        }
    }
}

/// What a log is proven by.
#[derive(Debug, Default)]
pub struct ProofOrder {
    /// The first checkpoint; none for the first of all.
    pub from: Option<u64>,
    /// The last checkpoint; none for the last of all.
    pub to: Option<u64>,
    /// The keys that are trusted; without any, the deployment's own, if it is here.
    pub trusted: TrustedKeys,
    /// Checkpoints that were kept elsewhere.
    pub elsewhere: Vec<SignedCheckpoint>,
}

/// Compares the log with its checkpoints. Gives what was tampered with to `found`. Changes nothing; servers may run.
///
/// # Errors
/// When the log or the checkpoints cannot be read.
pub fn prove(
    settings: &Settings,
    stores: &Stores,
    mut order: ProofOrder,
    report: TransferReport<'_>,
    found: &mut dyn FnMut(Forgery),
) -> Result<ProvenLog, StartError> {
    if order.trusted.is_empty()
        && let Some(key) = block_on(backend::find_checkpoint_key(settings))?
    {
        order.trusted.insert(key.public());
    }
    let range = (order.from, order.to);
    let mut proven = ProvenLog { passes: block_on(passes(&*stores.checkpoints, order.to))?, ..ProvenLog::default() };
    for part in 0..proven.passes {
        let by = (&order.trusted, order.elsewhere.as_slice());
        let reading = expected(&*stores.checkpoints, range, by, (part, proven.passes), found);
        let mut expected: Expected = block_on(reading)?;
        proven.checkpoints = expected.checkpoints();
        let mut source = stores.transfer.log_source(LogOrder::Streams)?;
        proven.chains = prove_log(&mut *source, &mut expected, report, found)?;
    }
    Ok(proven)
}

//! Writes mail to files: the default, and what the demo and the tests read.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp, civil::DateTime, tz::TimeZone};
use zeroize::Zeroizing;

use super::{KEPT_MAX, KeptMail, MailError, Mailer, OutgoingMail, Receipt, Sender, message::Carrier, one_line};
use crate::{
    clock::SharedClock,
    private::{self, Earlier, HeldDirectory},
};

/// Writes each mail to `<outbox>/<time>-<message id>.eml`: whole or not at all, readable by its owner only, and on disk before `send`
/// returns. The first mail creates the outbox, with mode 0700.
///
/// A mail is removed when its recipient is erased, and when it is older than the settings keep mails; setting the clock makes no mail
/// older. Only files with such a name are removed.
#[derive(Debug)]
pub struct FileMailer {
    outbox: PathBuf,
    /// Whether the settings name the outbox; otherwise it is permitd's own, in the data directory.
    is_named: bool,
    sender: Sender,
    clock: SharedClock,
    days: Option<u32>,
    /// When old mails were last looked for, by the wall clock and by the monotonic one, microseconds.
    looked: Mutex<Option<(i64, i64)>>,
}

/// How far the wall clock may be corrected between two looks for old mails.
const CLOCK_SLACK_US: i64 = 300_000_000;
/// The form of the time in a file's name.
const TIME_FORMAT: &str = "%Y%m%dT%H%M%S%.6fZ";
/// The prefix of a mail's file name while the mail is being written.
pub const UNFINISHED: &str = ".mail-";
/// The suffix of a mail's file name.
const MAIL_SUFFIX: &str = ".eml";

impl FileMailer {
    /// A mailer that writes to `outbox`.
    pub fn new(outbox: PathBuf, sender: Sender, clock: SharedClock) -> Self {
        Self { outbox, is_named: false, sender, clock, days: None, looked: Mutex::default() }
    }

    /// The same with an outbox that the settings may name: such a one may be shared, and be reached through a link.
    #[must_use]
    pub fn named(self, is_named: bool) -> Self {
        Self { is_named, ..self }
    }

    /// The same, but mails are kept for `days` days.
    #[must_use]
    pub fn kept_for(self, days: u32) -> Self {
        Self { days: Some(days), ..self }
    }

    /// Whether the wall clock advanced as much as the monotonic one since the last look; if not, it may have been set. `false` at the first
    /// look.
    fn clock_ran_on(&self) -> bool {
        let now = (self.clock.now().as_microsecond(), self.clock.monotonic_us());
        let before = self.looked.lock().unwrap_or_else(PoisonError::into_inner).replace(now);
        before
            .is_some_and(|(wall_us, monotonic_us)| ((now.0 - wall_us) - (now.1 - monotonic_us)).abs() <= CLOCK_SLACK_US)
    }

    /// Removes unwanted mails; returns how many.
    async fn remove(&self, is_unwanted: impl Fn(Timestamp, &str) -> bool + Send + 'static) -> Result<u64, MailError> {
        let (outbox, is_named) = (self.outbox.clone(), self.is_named);
        let removed = tokio::task::spawn_blocking(move || match hold(&outbox, is_named) {
            Ok(held) => remove(&held.join(""), is_unwanted),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(error),
        })
        .await;
        let failed = |e: &dyn std::fmt::Display| {
            MailError::unavailable(one_line(&format!("cannot remove mails from {}: {e}", self.outbox.display())))
        };
        removed.map_err(|e| failed(&e))?.map_err(|e| failed(&e))
    }
}

#[async_trait]
impl Mailer for FileMailer {
    async fn send(&self, mail: &OutgoingMail) -> Result<Receipt, MailError> {
        let now = self.clock.now();
        let content = Zeroizing::new(self.sender.compose(mail, now, Carrier::File)?.formatted());
        let name = format!("{}-{}{MAIL_SUFFIX}", now.strftime(TIME_FORMAT), mail.message_id);
        let (outbox, is_named) = (self.outbox.clone(), self.is_named);
        let reference = outbox.join(&name).display().to_string();
        let words =
            |e: &dyn std::fmt::Display| one_line(&format!("cannot write to the outbox {}: {e}", self.outbox.display()));
        tokio::task::spawn_blocking(move || write_durably(&outbox, is_named, &name, &content))
            .await
            .map_err(|e| MailError::unavailable(words(&e)))?
            .map_err(|e| match e.kind() {
                // Other programs need the space, too, so somebody will free some.
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => MailError::unavailable(words(&e)),
                _ => MailError::Here(words(&e)),
            })?;
        Ok(Receipt { reference })
    }

    /// Mails that are written together become durable together.
    fn sends_at_once(&self) -> usize {
        64
    }

    async fn kept(&self, message_ids: &[String]) -> Result<Vec<KeptMail>, MailError> {
        let (outbox, is_named, message_ids) = (self.outbox.clone(), self.is_named, message_ids.to_vec());
        let found = tokio::task::spawn_blocking(move || match hold(&outbox, is_named) {
            Ok(held) => kept(&held.join(""), &message_ids),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        })
        .await;
        let failed = |e: &dyn std::fmt::Display| {
            MailError::unavailable(one_line(&format!("cannot look for mails in {}: {e}", self.outbox.display())))
        };
        found.map_err(|e| failed(&e))?.map_err(|e| failed(&e))
    }

    async fn forget(&self, message_ids: &[String]) -> Result<(), MailError> {
        let message_ids = message_ids.to_vec();
        self.remove(move |_, id| begins_so(id, &message_ids)).await.map(drop)
    }

    async fn expire(&self) -> Result<u64, MailError> {
        let Some(days) = self.days else { return Ok(0) };
        if !self.clock_ran_on() {
            return Ok(0);
        }
        let age = SignedDuration::from_hours(24).saturating_mul(i32::try_from(days).unwrap_or(i32::MAX));
        let oldest = self.clock.now().checked_sub(age).unwrap_or(Timestamp::MIN);
        self.remove(move |at, _| at < oldest).await
    }
}

fn begins_so(message_id: &str, message_ids: &[String]) -> bool {
    message_ids.iter().any(|begin| message_id.starts_with(begin.as_str()))
}

/// The mails in an outbox whose message ids begin with one of these, newest first.
fn kept(outbox: &Path, message_ids: &[String]) -> io::Result<Vec<KeptMail>> {
    let mut mails = Vec::new();
    for entry in std::fs::read_dir(outbox)? {
        let name = entry?.file_name();
        let found = name.to_str().and_then(mail_of).filter(|(_, id)| begins_so(id, message_ids));
        mails.extend(found.map(|(sent_at, id)| KeptMail { sent_at, message_id: id.to_owned() }));
    }
    mails.sort_by_key(|mail| std::cmp::Reverse(mail.sent_at));
    mails.truncate(KEPT_MAX);
    Ok(mails)
}

/// Removes mails from an outbox by their time and message id; returns how many. Files with other names stay.
fn remove(outbox: &Path, is_unwanted: impl Fn(Timestamp, &str) -> bool) -> io::Result<u64> {
    let (mut removed, mut failure) = (0, None);
    for entry in std::fs::read_dir(outbox)? {
        let entry = entry?;
        let name = entry.file_name();
        let unwanted = name.to_str().and_then(mail_of).is_some_and(|(at, message_id)| is_unwanted(at, message_id));
        if !unwanted {
            continue;
        }
        match std::fs::remove_file(entry.path()) {
            Ok(()) => removed += 1,
            // Another process was faster.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            // Goes on with the other mails.
            Err(error) => failure = Some(error),
        }
    }
    if removed > 0 {
        File::open(outbox)?.sync_all()?;
    }
    failure.map_or(Ok(removed), Err)
}

/// The time and message id in a mail's file name; `None` for other names.
fn mail_of(name: &str) -> Option<(Timestamp, &str)> {
    let (time, message_id) = name.strip_suffix(MAIL_SUFFIX)?.split_once("Z-")?;
    let time = DateTime::strptime(TIME_FORMAT, format!("{time}Z")).ok()?;
    Some((time.to_zoned(TimeZone::UTC).ok()?.timestamp(), message_id))
}

/// Opens the outbox, so that later changes of its path do not matter. Only an outbox that the settings name may be reached through a link.
fn hold(outbox: &Path, is_named: bool) -> io::Result<HeldDirectory> {
    if is_named { HeldDirectory::named(outbox) } else { HeldDirectory::at(outbox) }
}

fn write_durably(outbox: &Path, is_named: bool, name: &str, content: &[u8]) -> io::Result<()> {
    // An outbox that the settings name may be shared on purpose.
    if !(is_named && outbox.exists()) {
        private::directory(outbox).map_err(io::Error::other)?;
    }
    private::write_whole(&hold(outbox, is_named)?.join(name), UNFINISHED, content, Earlier::Goes).map(drop)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, os::unix::fs::PermissionsExt};

    use super::*;
    use crate::clock::ManualClock;

    fn mail(message_id: &str) -> OutgoingMail {
        OutgoingMail {
            to: "ada@example.org".to_owned(),
            recipient: None,
            subject: "s".to_owned(),
            text: "the text".to_owned(),
            html: "<p>the html</p>".to_owned(),
            message_id: message_id.to_owned(),
            headers: Vec::new(),
        }
    }

    fn mailer(outbox: PathBuf) -> FileMailer {
        let clock = ManualClock::at("2026-01-02T03:04:05.5Z".parse().unwrap());
        FileMailer::new(outbox, Sender::parse("a@b.example", "").unwrap(), clock)
    }

    #[tokio::test]
    async fn a_mail_becomes_one_private_file() {
        let dir = tempfile::tempdir().unwrap();
        let outbox = dir.path().join("outbox");
        let receipt = mailer(outbox.clone()).send(&mail("invitation-k1")).await.unwrap();
        let path = outbox.join("20260102T030405.500000Z-invitation-k1.eml");
        assert_eq!(receipt.reference, path.display().to_string());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(fs::read_to_string(&path).unwrap().contains("the text"));
        assert_eq!(fs::read_dir(&outbox).unwrap().count(), 1, "no temporary file is left");
    }

    #[tokio::test]
    async fn mails_are_removed_when_they_are_old_or_their_person_is_erased() {
        let dir = tempfile::tempdir().unwrap();
        let clock = ManualClock::at("2026-01-02T03:04:05.5Z".parse().unwrap());
        let sender = Sender::parse("a@b.example", "").unwrap();
        let mailer = FileMailer::new(dir.path().to_owned(), sender, clock.clone()).kept_for(14);
        assert_eq!(mailer.expire().await.unwrap(), 0);
        for id in ["invitation-1-k1", "invitation-1-k2", "invitation-10-k3"] {
            mailer.send(&mail(id)).await.unwrap();
        }
        fs::write(dir.path().join("notes.eml"), "not ours").unwrap();
        fs::write(dir.path().join("20260102T030405Z-x.txt"), "not ours").unwrap();
        let left = || fs::read_dir(dir.path()).unwrap().count();
        let of_one = ["invitation-1-".to_owned(), "invitation-7-".to_owned()];
        let kept = mailer.kept(&of_one).await.unwrap();
        let kept: BTreeSet<_> = kept.into_iter().map(|mail| mail.message_id).collect();
        assert_eq!(kept, ["invitation-1-k1", "invitation-1-k2"].map(ToOwned::to_owned).into());
        mailer.forget(&of_one).await.unwrap();
        assert_eq!(mailer.kept(&of_one).await.unwrap(), []);
        assert_eq!(left(), 3, "another person's mail stays");
        clock.advance_us(14 * 86_400 * 1_000_000);
        mailer.send(&mail("invitation-11-k4")).await.unwrap();
        assert_eq!(mailer.expire().await.unwrap(), 0);
        clock.advance_us(1_000_000);
        assert_eq!(mailer.expire().await.unwrap(), 1);
        assert_eq!(left(), 3, "one mail and what is none");
        // Setting the clock makes no mail old, neither at once nor at a start.
        clock.shift_wall_us(400 * 86_400 * 1_000_000);
        assert_eq!(mailer.expire().await.unwrap(), 0);
        clock.shift_wall_us(-400 * 86_400 * 1_000_000);
        assert_eq!(mailer.expire().await.unwrap(), 0);
        let sender = Sender::parse("a@b.example", "").unwrap();
        let started = FileMailer::new(dir.path().to_owned(), sender, clock.clone()).kept_for(14);
        clock.shift_wall_us(400 * 86_400 * 1_000_000);
        assert_eq!(started.expire().await.unwrap(), 0);
        assert_eq!(left(), 3);
    }

    /// A link put in the outbox's place at any time redirects no mail.
    #[tokio::test]
    async fn an_outbox_that_is_a_link_takes_mails_only_where_it_was_named() {
        let dir = tempfile::tempdir().unwrap();
        let (outbox, elsewhere) = (dir.path().join("outbox"), dir.path().join("elsewhere"));
        fs::create_dir(&elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &outbox).unwrap();
        let refused = mailer(outbox.clone()).send(&mail("m")).await.unwrap_err();
        assert!(matches!(&refused, MailError::Here(words) if words.contains("symbolic link")), "{refused}");
        assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
        mailer(outbox.clone()).named(true).send(&mail("m")).await.unwrap();
        assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 1);
        mailer(outbox.clone()).forget(&["m".to_owned()]).await.unwrap_err();
        assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 1);
        mailer(outbox).named(true).forget(&["m".to_owned()]).await.unwrap();
        assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn an_outbox_that_cannot_be_written_is_tried_again_later() {
        let dir = tempfile::tempdir().unwrap();
        let outbox = dir.path().join("file");
        fs::write(&outbox, "in the way").unwrap();
        let refused = mailer(outbox).send(&mail("m")).await.unwrap_err();
        assert!(matches!(&refused, MailError::Here(words) if words.contains("outbox")), "{refused}");
    }
}

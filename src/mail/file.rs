//! Mail into files: the default, and what the demo and the tests read.

use std::{
    fs::{File, Permissions},
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use async_trait::async_trait;

use super::{MailError, Mailer, OutgoingMail, Receipt, Sender, one_line};
use crate::{clock::SharedClock, private};

/// Writes each mail to `<outbox>/<time>-<message id>.eml`, whole or not at all, readable by its owner only, and on disk
/// before it says so. The outbox is created, with mode 0700, with its first mail.
#[derive(Debug)]
pub struct FileMailer {
    outbox: PathBuf,
    sender: Sender,
    clock: SharedClock,
}

impl FileMailer {
    /// A mailer that writes to `outbox`.
    pub fn new(outbox: PathBuf, sender: Sender, clock: SharedClock) -> Self {
        Self { outbox, sender, clock }
    }
}

#[async_trait]
impl Mailer for FileMailer {
    async fn send(&self, mail: &OutgoingMail) -> Result<Receipt, MailError> {
        let now = self.clock.now();
        let content = self.sender.compose(mail, now)?.formatted();
        let name = format!("{}-{}.eml", now.strftime("%Y%m%dT%H%M%S%.6fZ"), mail.message_id);
        let outbox = self.outbox.clone();
        let path = outbox.join(name);
        let reference = path.display().to_string();
        let unavailable = |e: &dyn std::fmt::Display| MailError::Unavailable {
            reason: one_line(&format!("cannot write to the outbox {}: {e}", self.outbox.display())),
        };
        tokio::task::spawn_blocking(move || write_durably(&outbox, &path, &content))
            .await
            .map_err(|e| unavailable(&e))?
            .map_err(|e| unavailable(&e))?;
        Ok(Receipt { reference })
    }
}

fn write_durably(outbox: &Path, path: &Path, content: &[u8]) -> io::Result<()> {
    if outbox.symlink_metadata().is_err() {
        // One that is there may be shared on purpose, when the settings name it.
        private::directory(outbox).map_err(io::Error::other)?;
    }
    let mut file =
        tempfile::Builder::new().prefix(".mail-").permissions(Permissions::from_mode(0o600)).tempfile_in(outbox)?;
    // The umask may have taken more than the mode leaves.
    file.as_file().set_permissions(Permissions::from_mode(0o600))?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|e| e.error)?;
    File::open(outbox)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::clock::ManualClock;

    fn mail(message_id: &str) -> OutgoingMail {
        OutgoingMail {
            to: "ada@example.org".to_owned(),
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
    async fn an_outbox_that_cannot_be_written_is_tried_again_later() {
        let dir = tempfile::tempdir().unwrap();
        let outbox = dir.path().join("file");
        fs::write(&outbox, "in the way").unwrap();
        let refused = mailer(outbox).send(&mail("m")).await.unwrap_err();
        assert!(matches!(&refused, MailError::Unavailable { reason } if reason.contains("outbox")), "{refused}");
    }
}

//! No mailer, for a copy of a deployment that is only read.

use async_trait::async_trait;

use super::{MailError, Mailer, OutgoingMail, Receipt};

/// No mailer: it holds nothing that could carry a mail, and refuses each for good.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoMailer;

#[async_trait]
impl Mailer for NoMailer {
    async fn send(&self, _: &OutgoingMail) -> Result<Receipt, MailError> {
        Err(MailError::rejected("a copy of a deployment sends no mail"))
    }
}

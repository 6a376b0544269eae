//! Finds people by what the user typed, and waits for their mail.

use std::time::Duration;

use jiff::Timestamp;

use super::Failure;
use crate::{
    app::Node,
    config::Settings,
    domain::{email::Email, id::UserId, personal::ERASED, view::UserRow},
    store::{UserFilter, Views},
};

/// People among whom a similar address is looked for at most.
const SIMILAR_AMONG_MAX: usize = 5_000;
/// How alike an address must be to be suggested, of 1.
const SIMILARITY_MIN: f64 = 0.9;
/// How long a command waits for a mail that somebody else is sending.
const MAIL_PATIENCE: Duration = Duration::from_secs(5);
/// How often it looks.
const MAIL_LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// The person with this address, or with this id: the only name that a deleted one still has.
pub(super) async fn find(views: &dyn Views, text: &str) -> Result<UserRow, Failure> {
    if let Ok(id) = UserId::parse(text) {
        let found = views.user(id).await?;
        return found
            .ok_or_else(|| Failure::not_found(format!("there is no user {id}; `permitd users list` shows them")));
    }
    let email = email(text)?;
    if let Some(found) = by_email(views, &email).await? {
        return Ok(found);
    }
    let hint = match similar(views, email.as_str()).await? {
        Some(address) => format!("did you mean {address}?"),
        None => "`permitd users list` shows them".to_owned(),
    };
    Err(Failure::not_found(format!("there is no user {}; {hint}", email.as_str())))
}

/// The person with this mailbox, whichever way it was written down when they were invited.
pub(super) async fn by_email(views: &dyn Views, email: &Email) -> Result<Option<UserRow>, Failure> {
    for form in email.forms() {
        if let Some(found) = views.user_by_email(&form).await? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// Their address, or that there is none any more.
pub(super) fn shown_email(user: &UserRow) -> &str {
    user.email.as_deref().unwrap_or(ERASED)
}

/// Reads an address.
pub(super) fn email(text: &str) -> Result<Email, Failure> {
    Email::parse(text).map_err(|error| Failure::usage(format!("{text:?} is {error}; write it like ana@example.org")))
}

/// The one address that is most like this, if any is.
async fn similar(views: &dyn Views, email: &str) -> Result<Option<String>, Failure> {
    let people = views.users(UserFilter { limit: SIMILAR_AMONG_MAX, ..UserFilter::default() }).await?;
    let likeness = |address: String| (strsim::jaro_winkler(email, &address), address);
    let nearest = people.into_iter().filter_map(|user| user.email).map(likeness).max_by(|a, b| a.0.total_cmp(&b.0));
    Ok(nearest.filter(|(likeness, _)| *likeness >= SIMILARITY_MIN).map(|(_, address)| address))
}

/// What became of a mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mailing {
    /// It was handed over.
    Sent,
    /// It was refused for good.
    Failed(String),
    /// It is still to be sent.
    Pending,
}

impl Mailing {
    /// The name in documents.
    pub(super) fn as_str(&self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Failed(_) => "failed",
            Self::Pending => "pending",
        }
    }

    /// For people. `outbox` is where files of mails are, when mails are files.
    pub(super) fn told(&self, outbox: Option<&str>) -> String {
        match (self, outbox) {
            (Self::Sent, Some(outbox)) => format!("mail in {outbox}"),
            (Self::Sent, None) => "mail sent".to_owned(),
            (Self::Failed(reason), _) => format!("mail refused: {reason}"),
            (Self::Pending, _) => "mail still to be sent: it is tried again while a server runs".to_owned(),
        }
    }
}

/// Sees that the mail of an invitation of `since` is sent, or waits a little for the server that does.
pub(super) async fn mailing(node: &Node, user: UserId, since: Timestamp) -> Result<Mailing, Failure> {
    node.settle().await?;
    let look = async {
        loop {
            let views = &node.service.committer.stores.views;
            if views.keys(user).await?.iter().any(|key| key.mailed_at.is_some_and(|at| at >= since)) {
                return Ok(Mailing::Sent);
            }
            let row = views.user(user).await?;
            if let Some(reason) = row.filter(|row| row.changed_at > since).and_then(|row| row.mail_failure) {
                return Ok(Mailing::Failed(reason));
            }
            if !node.beside_server {
                return Ok(Mailing::Pending);
            }
            tokio::time::sleep(MAIL_LOOK_INTERVAL).await;
        }
    };
    tokio::time::timeout(MAIL_PATIENCE, look).await.unwrap_or(Ok(Mailing::Pending))
}

/// What to know of mails as long as they go into files or lead to this machine only: what changes it is said with it.
pub(super) fn notes(node: &Node) -> Vec<String> {
    if node.service.rehearsed.is_some() {
        // It sends nothing.
        return Vec::new();
    }
    let public_url = &node.service.public_url;
    let files = outbox(&node.service.settings).map(|outbox| {
        format!(
            "mail goes into files in {outbox} and reaches nobody. To send it: mail.transport = \"smtp\" and mail.smtp.host in the \
             settings (PERMITD_MAIL_TRANSPORT, PERMITD_MAIL_SMTP_HOST)"
        )
    });
    let is_here = ["://127.", "://localhost", "://[::1]"].iter().any(|start| public_url.contains(start));
    let links = is_here.then(|| {
        format!(
            "links in mails point to {public_url}, which leads nowhere from other machines. The address that people reach is the \
             setting public_url (PERMITD_PUBLIC_URL)"
        )
    });
    files.into_iter().chain(links).collect()
}

/// The same below what a command says.
pub(super) fn noted(notes: &[String]) -> String {
    notes.iter().map(|note| format!("note: {note}\n")).collect()
}

/// The outbox, when mails are files.
pub(super) fn outbox(settings: &Settings) -> Option<String> {
    (settings.mail_transport() == crate::mail::settings::MailTransport::File)
        .then(|| settings.outbox().display().to_string())
}

//! What SES needs before it sends: the sender's identity, the account out of its sandbox, the configuration set.

mod topic;

use aws_sdk_sesv2::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    types::{DkimAttributes, IdentityType},
};

pub use self::topic::{check_feedback, setup_feedback};
use super::{Sender, client};
use crate::aws::{self, Access, Checked, Found};

/// Domains above the sender's own that are looked at: SES sends for the subdomains of a verified domain, too.
const DOMAINS_MAX: usize = 5;

/// SES cannot be reached or refuses.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct SesError(String);

impl<E: ProvideErrorMetadata, R> From<SdkError<E, R>> for SesError {
    fn from(error: SdkError<E, R>) -> Self {
        Self(aws::reason("SES", &error))
    }
}

/// What to do about what is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Missing {
    Make,
    Say,
}

/// Makes the sender's identity and the configuration set (when one is named) where they are missing; says how each was found.
/// An identity has to be verified by a person then, who is told how.
///
/// # Errors
/// When SES cannot be reached or refuses.
pub async fn setup(access: &Access, sender: &Sender, configuration_set: &str) -> Result<Vec<Checked>, SesError> {
    look(access, sender, configuration_set, Missing::Make).await
}

/// Says how sender, account and configuration set stand, and changes nothing.
///
/// # Errors
/// When SES cannot be reached or refuses.
pub async fn check(access: &Access, sender: &Sender, configuration_set: &str) -> Result<Vec<Checked>, SesError> {
    look(access, sender, configuration_set, Missing::Say).await
}

async fn look(
    access: &Access,
    sender: &Sender,
    configuration_set: &str,
    missing: Missing,
) -> Result<Vec<Checked>, SesError> {
    let client = client(access);
    let mut checked = vec![identity(&client, sender, missing).await?, account(&client).await?];
    if !configuration_set.is_empty() {
        let found = set(&client, configuration_set, missing).await?;
        checked.push(Checked { resource: format!("configuration set {configuration_set}"), found });
    }
    Ok(checked)
}

async fn identity(client: &Client, sender: &Sender, missing: Missing) -> Result<Checked, SesError> {
    let address = sender.address();
    let checked = |name: &str, found| Ok(Checked { resource: format!("identity {name}"), found });
    if !sender.domain().contains('.') {
        return checked(
            address,
            Found::Different("SES cannot send from this address: set mail.from to one of yours".to_owned()),
        );
    }
    let mut unverified = None;
    for name in identities(sender) {
        let found = match client.get_email_identity().email_identity(name).send().await {
            Ok(found) if found.verified_for_sending_status() => return checked(name, Found::Right),
            Ok(found) => found,
            Err(error) if is_not_found(&error) => continue,
            Err(error) => return Err(error.into()),
        };
        unverified.get_or_insert_with(|| (name, steps(name, found.identity_type(), found.dkim_attributes())));
    }
    if let Some((name, steps)) = unverified {
        return checked(name, Found::Different(format!("not verified: {steps}")));
    }
    if missing == Missing::Say {
        return checked(address, Found::Missing);
    }
    let made = client.create_email_identity().email_identity(address).send().await?;
    let found = match made.verified_for_sending_status() {
        true => Found::Made,
        false => Found::Notice(format!("made: {}", steps(address, made.identity_type(), made.dkim_attributes()))),
    };
    checked(address, found)
}

/// The identities by which SES lets this sender send: its address, its domain, the domains above.
fn identities(sender: &Sender) -> impl Iterator<Item = &str> {
    let domain = sender.domain();
    let above = std::iter::successors(Some(domain), |name| name.split_once('.').map(|(_, above)| above));
    std::iter::once(sender.address()).chain(above.filter(|name| name.contains('.')).take(DOMAINS_MAX))
}

/// What a person has to do for an identity to be verified.
fn steps(name: &str, kind: Option<&IdentityType>, dkim: Option<&DkimAttributes>) -> String {
    if !matches!(kind, Some(IdentityType::Domain | IdentityType::ManagedDomain)) {
        return format!("SES sends {name} a mail with a link: open it");
    }
    let zone = dkim.and_then(DkimAttributes::signing_hosted_zone).unwrap_or("dkim.amazonses.com");
    let tokens = dkim.map(DkimAttributes::tokens).unwrap_or_default();
    if tokens.is_empty() {
        return format!("set up DKIM for {name} in the SES console");
    }
    let records: Vec<String> =
        tokens.iter().map(|token| format!("{token}._domainkey.{name} CNAME {token}.{zone}")).collect();
    format!("add these records to its DNS: {}", records.join(", "))
}

async fn account(client: &Client) -> Result<Checked, SesError> {
    let account = client.get_account().send().await?;
    let found = if !account.sending_enabled() || account.enforcement_status() == Some("SHUTDOWN") {
        Found::Different("sending is stopped: see the SES console for the reason".to_owned())
    } else if !account.production_access_enabled() {
        Found::Notice(
            "in SES's sandbox: mail goes to verified addresses only; ask AWS for production access".to_owned(),
        )
    } else if account.enforcement_status() == Some("PROBATION") {
        Found::Notice("under review by AWS: see the SES console for the reason".to_owned())
    } else {
        Found::Right
    };
    Ok(Checked { resource: "SES account".to_owned(), found })
}

async fn set(client: &Client, name: &str, missing: Missing) -> Result<Found, SesError> {
    match client.get_configuration_set().configuration_set_name(name).send().await {
        Ok(_) => Ok(Found::Right),
        Err(error) if !is_not_found(&error) => Err(error.into()),
        Err(_) if missing == Missing::Say => Ok(Found::Missing),
        Err(_) => {
            client.create_configuration_set().configuration_set_name(name).send().await?;
            Ok(Found::Made)
        }
    }
}

fn is_not_found<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> bool {
    matches!(error, SdkError::ServiceError(answer) if answer.err().code() == Some("NotFoundException"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sender_is_known_by_its_address_or_a_domain_above_it() {
        let sender = Sender::parse("Office <permits@mail.sf.example>", "").unwrap();
        let names: Vec<&str> = identities(&sender).collect();
        assert_eq!(names, ["permits@mail.sf.example", "mail.sf.example", "sf.example"]);
    }

    #[test]
    fn a_person_is_told_what_to_do() {
        let dkim = DkimAttributes::builder().tokens("t1").tokens("t2").build();
        let said = steps("sf.example", Some(&IdentityType::Domain), Some(&dkim));
        assert!(said.contains("t1._domainkey.sf.example CNAME t1.dkim.amazonses.com, t2._domainkey"), "{said}");
        assert!(steps("sf.example", Some(&IdentityType::Domain), None).contains("console"));
        assert!(steps("a@sf.example", Some(&IdentityType::EmailAddress), None).contains("open it"));
    }
}

//! Sets up what SES needs to send: the sender's identity, the account out of its sandbox, the configuration set.

mod topic;

use aws_sdk_sesv2::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    types::{DkimAttributes, IdentityType},
};

pub use self::topic::setup_feedback;
use super::{Sender, client};
use crate::aws::{self, Access, CheckedResource, ResourceState, SetupAction};

/// How many parent domains of the sender's are checked: SES also sends for the subdomains of a verified domain.
const DOMAINS_MAX: usize = 5;

/// SES cannot be reached, or refuses.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct SesError(String);

impl<E: ProvideErrorMetadata, R> From<SdkError<E, R>> for SesError {
    fn from(error: SdkError<E, R>) -> Self {
        Self(aws::reason("SES", &error))
    }
}

/// Reports the state of the sender's identity, the account, and the configuration set when one is named. [`SetupAction::Make`] makes the
/// identity and the set where they are missing. A person then has to verify a new identity, and is told how.
///
/// # Errors
/// When SES cannot be reached or refuses.
pub async fn setup(
    access: &Access,
    sender: &Sender,
    configuration_set: &str,
    action: SetupAction,
) -> Result<Vec<CheckedResource>, SesError> {
    let client = client(access);
    let mut checked = vec![identity(&client, sender, action).await?, account(&client).await?];
    if !configuration_set.is_empty() {
        let found = set(&client, configuration_set, action).await?;
        checked.push(CheckedResource { resource: format!("configuration set {configuration_set}"), found });
    }
    Ok(checked)
}

async fn identity(client: &Client, sender: &Sender, action: SetupAction) -> Result<CheckedResource, SesError> {
    let address = sender.address();
    let checked = |name: &str, found| Ok(CheckedResource { resource: format!("identity {name}"), found });
    if !sender.domain().contains('.') {
        return checked(
            address,
            ResourceState::Different("SES cannot send from this address: set mail.from to one of yours".to_owned()),
        );
    }
    let mut unverified = None;
    for name in identities(sender) {
        let found = match client.get_email_identity().email_identity(name).send().await {
            Ok(found) if found.verified_for_sending_status() => return checked(name, ResourceState::Right),
            Ok(found) => found,
            Err(error) if is_not_found(&error) => continue,
            Err(error) => return Err(error.into()),
        };
        unverified.get_or_insert_with(|| (name, steps(name, found.identity_type(), found.dkim_attributes())));
    }
    if let Some((name, steps)) = unverified {
        return checked(name, ResourceState::Different(format!("not verified: {steps}")));
    }
    if action == SetupAction::Check {
        return checked(address, ResourceState::Missing);
    }
    let made = client.create_email_identity().email_identity(address).send().await?;
    let found = match made.verified_for_sending_status() {
        true => ResourceState::Made,
        false => {
            ResourceState::Notice(format!("made: {}", steps(address, made.identity_type(), made.dkim_attributes())))
        }
    };
    checked(address, found)
}

/// The identities that let this sender send: its address, its domain, the parent domains.
fn identities(sender: &Sender) -> impl Iterator<Item = &str> {
    let domain = sender.domain();
    let above = std::iter::successors(Some(domain), |name| name.split_once('.').map(|(_, above)| above));
    std::iter::once(sender.address()).chain(above.filter(|name| name.contains('.')).take(DOMAINS_MAX))
}

/// The steps by which a person verifies an identity.
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

async fn account(client: &Client) -> Result<CheckedResource, SesError> {
    let account = client.get_account().send().await?;
    let found = if !account.sending_enabled() || account.enforcement_status() == Some("SHUTDOWN") {
        ResourceState::Different("sending is stopped: see the SES console for the reason".to_owned())
    } else if !account.production_access_enabled() {
        ResourceState::Notice(
            "in SES's sandbox: mail goes to verified addresses only; ask AWS for production access".to_owned(),
        )
    } else if account.enforcement_status() == Some("PROBATION") {
        ResourceState::Notice("under review by AWS: see the SES console for the reason".to_owned())
    } else {
        ResourceState::Right
    };
    Ok(CheckedResource { resource: "SES account".to_owned(), found })
}

async fn set(client: &Client, name: &str, action: SetupAction) -> Result<ResourceState, SesError> {
    match client.get_configuration_set().configuration_set_name(name).send().await {
        Ok(_) => Ok(ResourceState::Right),
        Err(error) if !is_not_found(&error) => Err(error.into()),
        Err(_) if action == SetupAction::Check => Ok(ResourceState::Missing),
        Err(_) => {
            client.create_configuration_set().configuration_set_name(name).send().await?;
            Ok(ResourceState::Made)
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

//! Signing in at a provider of identities (OpenID Connect): what a verified answer of the provider allows a person here.

mod visit;

pub use self::visit::{PATH_BYTES_MAX, Proven, ProviderVisit, VISIT_ID_BYTES, VISIT_LIFE, VisitId, is_local_path};
use super::{
    email::{Email, ascii_domain},
    event::Role,
    text::one_line,
    user::NAME_CHARS_MAX,
};

/// The most values of the role claim, and of the names of factors, that are read.
const VALUES_MAX: usize = 1000;

/// A provider's claims about a person. `Debug` does not show them: they are personal data.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ProviderClaims {
    /// Their e-mail address.
    pub email: Option<String>,
    /// Whether the provider has verified that the address is theirs.
    pub email_verified: bool,
    /// Their name.
    pub name: Option<String>,
    /// The values of the claim that decides their role.
    pub roles: Vec<String>,
    /// The factors shown (`amr`), and their level (`acr`).
    pub factors: Vec<String>,
}

impl std::fmt::Debug for ProviderClaims {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ProviderClaims(…)")
    }
}

/// The roles that a claim's values give. The highest of them counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleClaims {
    /// Values that make an administrator.
    pub admin: Vec<String>,
    /// Values that make a manager.
    pub manager: Vec<String>,
}

impl RoleClaims {
    fn role_of(&self, values: &[String]) -> Role {
        let has_one_of = |wanted: &[String]| shares(values, wanted);
        match () {
            () if has_one_of(&self.admin) => Role::Admin,
            () if has_one_of(&self.manager) => Role::Manager,
            () => Role::Reader,
        }
    }
}

/// Whom a provider may let in, and with which role.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProviderPolicy {
    /// The claim's values that decide the role at each sign-in, whatever the role was before.
    pub roles: Option<RoleClaims>,
    /// Values of `amr` or `acr` that count as a second factor.
    pub second_factors: Vec<String>,
    /// Domains of addresses for which a person is created without an invitation.
    pub creates_in: Vec<String>,
}

/// A person for whom a provider vouches. `Debug` does not show the address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vouched {
    /// Their address, which the provider has verified.
    pub email: Email,
    /// Their name, if it is valid here.
    pub name: Option<String>,
    /// Their role from now on; `None` if the provider does not decide it.
    pub role: Option<Role>,
    /// Whether they showed a second factor at the provider that counts here.
    pub second_factor: bool,
    /// Whether they are created if they were not invited.
    pub may_be_created: bool,
}

impl ProviderPolicy {
    /// The person for whom these claims vouch; `None` without a verified address.
    pub fn vouched(&self, claims: &ProviderClaims) -> Option<Vouched> {
        let email = claims.email.as_deref().filter(|_| claims.email_verified)?;
        let email = Email::parse(email).ok()?;
        let may_be_created = self.creates(&email);
        let name = claims.name.as_deref().and_then(|name| one_line(name).ok().flatten());
        let name = name.filter(|name| name.chars().count() <= NAME_CHARS_MAX).map(ToOwned::to_owned);
        let role = self.roles.as_ref().map(|roles| roles.role_of(&claims.roles));
        let second_factor = shares(&claims.factors, &self.second_factors);
        Some(Vouched { email, name, role, second_factor, may_be_created })
    }

    /// Tells whether a person with this address may be created: the address has one of the domains, and not only a subdomain.
    fn creates(&self, email: &Email) -> bool {
        let domain = email.as_str().rsplit_once('@').and_then(|(_, domain)| ascii_domain(domain).ok());
        let is_it = |named: &String| ascii_domain(named).ok() == domain;
        domain.is_some() && self.creates_in.iter().any(is_it)
    }
}

/// Tells whether one of the values is wanted, compared exactly. An empty value never is.
fn shares(values: &[String], wanted: &[String]) -> bool {
    values.iter().take(VALUES_MAX).any(|value| !value.is_empty() && wanted.contains(value))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    fn claims(email: &str) -> ProviderClaims {
        ProviderClaims { email: Some(email.to_owned()), email_verified: true, ..ProviderClaims::default() }
    }

    #[test]
    fn nobody_is_vouched_for_without_a_verified_address() {
        let policy = ProviderPolicy { creates_in: texts(&["example.org"]), ..ProviderPolicy::default() };
        let vouched = policy.vouched(&claims("Ana@Example.org")).unwrap();
        assert_eq!((vouched.email.as_str(), vouched.role, vouched.second_factor), ("ana@example.org", None, false));
        assert_eq!(policy.vouched(&ProviderClaims { email_verified: false, ..claims("ana@example.org") }), None);
        assert_eq!(policy.vouched(&ProviderClaims { email: None, ..claims("") }), None);
        for wrong in ["", "ana", "@example.org", "ana@example.org\u{202e}", "ana@example.org, ben@example.org"] {
            assert_eq!(policy.vouched(&claims(wrong)), None, "{wrong:?}");
        }
        assert!(!format!("{vouched:?} {:?}", claims("ana@example.org")).contains("ana"));
    }

    #[test]
    fn somebody_is_created_in_the_named_domains_alone() {
        let policy =
            ProviderPolicy { creates_in: texts(&["example.org", "Bücher.example"]), ..ProviderPolicy::default() };
        let creates = |email: &str| policy.vouched(&claims(email)).unwrap().may_be_created;
        for email in ["ana@example.org", "ANA@EXAMPLE.ORG", "ana@bücher.example", "ana@xn--bcher-kva.example"] {
            assert!(creates(email), "{email}");
        }
        for email in [
            "ana@example.com",
            "ana@sub.example.org",
            "ana@evilexample.org",
            "ana@example.org.evil.com",
            "\"x@example.org\"@evil.com",
        ] {
            assert!(!creates(email), "{email}");
        }
        let nobody = ProviderPolicy::default();
        assert!(!nobody.vouched(&claims("ana@example.org")).unwrap().may_be_created);
    }

    #[test]
    fn a_name_that_hides_something_is_left_out() {
        let name = |name: &str| {
            let claims = ProviderClaims { name: Some(name.to_owned()), ..claims("ana@example.org") };
            ProviderPolicy::default().vouched(&claims).unwrap().name
        };
        assert_eq!(name(" Ana Núñez "), Some("Ana Núñez".to_owned()));
        for wrong in ["", "Ana\u{202e}", "Ana\nBcc: x", &"a".repeat(201)] {
            assert_eq!(name(wrong), None, "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn a_claim_never_gives_more_than_is_configured(
            values in prop::collection::vec("[a-d]{0,2}", 0..6),
            admin in prop::collection::vec("[a-d]{0,2}", 0..3),
            manager in prop::collection::vec("[a-d]{0,2}", 0..3),
            mapped: bool,
        ) {
            let roles = RoleClaims { admin: admin.clone(), manager: manager.clone() };
            let policy = ProviderPolicy { roles: mapped.then_some(roles), ..ProviderPolicy::default() };
            let claims = ProviderClaims { roles: values.clone(), ..claims("ana@example.org") };
            let role = policy.vouched(&claims).unwrap().role;
            let has = |wanted: &[String]| values.iter().any(|value| !value.is_empty() && wanted.contains(value));
            let expected = if has(&admin) { Role::Admin } else if has(&manager) { Role::Manager } else { Role::Reader };
            prop_assert_eq!(role, mapped.then_some(expected));
        }

        #[test]
        fn a_second_factor_counts_where_it_is_named(factors in prop::collection::vec("[a-c]{0,1}", 0..4)) {
            let policy = ProviderPolicy { second_factors: texts(&["a", ""]), ..ProviderPolicy::default() };
            let claims = ProviderClaims { factors: factors.clone(), ..claims("ana@example.org") };
            prop_assert_eq!(policy.vouched(&claims).unwrap().second_factor, factors.contains(&"a".to_owned()));
            prop_assert!(!ProviderPolicy::default().vouched(&claims).unwrap().second_factor);
        }
    }
}

//! Checks `[oidc]`.

use super::{ConfigError, Settings};
use crate::{
    domain::{email::ascii_domain, text::hidden},
    identity::is_fetchable,
};

const LABEL_CHARS_MAX: usize = 60;

impl Settings {
    pub(super) fn check_oidc(&self) -> Result<(), ConfigError> {
        let (of, layers) = (&self.oidc, &self.layers);
        let label = &of.label;
        if label.trim().is_empty()
            || label.chars().count() > LABEL_CHARS_MAX
            || label.chars().any(|c| hidden(c).is_some())
        {
            return Err(
                layers.invalid("oidc.label", format!("one line of 1 to {LABEL_CHARS_MAX} characters is expected"))
            );
        }
        if let Some(wrong) = of.create_domains.iter().find(|domain| ascii_domain(domain).is_err()) {
            let expected = format!("`{wrong}` is no domain such as example.org");
            return Err(layers.invalid("oidc.create_domains", expected));
        }
        if !of.is_on() {
            let is_alone = [("oidc.client_id", of.client_id.is_empty()), ("oidc.create", !of.create)];
            return match is_alone.into_iter().find(|(_, is_unset)| !is_unset) {
                Some((path, _)) => Err(layers.conflict(path, "oidc.issuer is empty; give both or neither")),
                None => Ok(()),
            };
        }
        if !is_fetchable(&of.issuer) || of.issuer.contains('?') {
            let expected = "an https URL without a query is expected, as the provider writes it itself (http for this machine alone)";
            return Err(layers.invalid("oidc.issuer", expected.to_owned()));
        }
        if of.client_id.is_empty() {
            return Err(layers.conflict("oidc.client_id", "oidc.issuer is set; give both or neither"));
        }
        if !self.accounts.sign_in {
            return Err(layers.conflict("oidc.issuer", "accounts.sign_in is false, so that nobody signs in"));
        }
        if of.create && of.create_domains.is_empty() {
            let reason = "oidc.create is true; name the domains in which people are created, or set it to false";
            return Err(layers.conflict("oidc.create_domains", reason));
        }
        let has_values = !of.admin_values.is_empty() || !of.manager_values.is_empty();
        match (of.role_claim.is_empty(), has_values) {
            (true, true) => {
                Err(layers.conflict("oidc.role_claim", "oidc.admin_values or oidc.manager_values has values"))
            }
            (false, false) => {
                let reason =
                    "neither oidc.admin_values nor oidc.manager_values has values: everybody would be a reader";
                Err(layers.conflict("oidc.role_claim", reason))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{LoadFrom, Settings};

    /// The refusal of these environment variables, if there is one.
    fn refusal(variables: &[(&str, &str)]) -> Option<String> {
        let usual = [("ISSUER", "https://id.example.org"), ("CLIENT_ID", "permitd")];
        let given = |name: &str| variables.iter().any(|(other, _)| *other == name);
        let usual = usual.iter().filter(|(name, _)| !given(name));
        let env = usual.chain(variables).map(|(name, value)| (format!("PERMITD_{}", full(name)), (*value).to_owned()));
        Settings::load(LoadFrom { config_file: None, env, overrides: &[] }).err().map(|error| error.to_string())
    }

    fn full(name: &str) -> String {
        if name.starts_with("ACCOUNTS_") { name.to_owned() } else { format!("OIDC_{name}") }
    }

    #[test]
    fn a_provider_that_cannot_be_is_refused_at_the_start() {
        let roles = [("ROLE_CLAIM", "groups"), ("ADMIN_VALUES", "admins")];
        let created = [("CREATE", "true"), ("CREATE_DOMAINS", "example.org,bücher.example")];
        for right in
            [&[][..], &roles, &created, &[("ISSUER", "http://127.0.0.1:9000")], &[("ISSUER", ""), ("CLIENT_ID", "")]]
        {
            assert_eq!(refusal(right), None, "{right:?}");
        }
        for (wrong, named) in [
            (&[("ISSUER", "http://id.example.org")][..], "https URL"),
            (&[("ISSUER", "id.example.org")], "https URL"),
            (&[("ISSUER", "https://id.example.org/?x=y")], "https URL"),
            (&[("ISSUER", "https://me:word@id.example.org")], "https URL"),
            (&[("ISSUER", "")], "oidc.issuer is empty"),
            (&[("ISSUER", ""), ("CLIENT_ID", ""), ("CREATE", "true")], "oidc.issuer is empty"),
            (&[("CLIENT_ID", "")], "oidc.issuer is set"),
            (&[("CREATE", "true")], "name the domains"),
            (&[("CREATE_DOMAINS", "exa mple")], "no domain"),
            (&[("ROLE_CLAIM", "groups")], "everybody would be a reader"),
            (&[("MANAGER_VALUES", "data")], "oidc.role_claim"),
            (&[("LABEL", "")], "one line"),
            (&[("ACCOUNTS_SIGN_IN", "false")], "accounts.sign_in is false"),
            (&[("TIMEOUT_S", "0")], "from 1 to 60"),
        ] {
            let refused = refusal(wrong).unwrap_or_else(|| panic!("{wrong:?} is taken"));
            assert!(refused.contains(named), "{wrong:?}: {refused}");
        }
        let secret = refusal(&[("CLIENT_SECRET", "of the provider"), ("CLIENT_ID", "")]).unwrap();
        assert!(!secret.contains("of the provider"), "{secret}");
    }
}

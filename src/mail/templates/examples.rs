//! Example values that mails are tried with. They are nobody's data.

use serde::Serialize;
use serde_json::Value;

use super::{
    Dataset, Invitation, KeyExpires, KeyLeak, KeyMade, KeyRevoked, KeyTold, MailedLimits, NoticeMail, PasswordReset,
    QuotaSpent,
};

/// The service's address in examples, and the beginning of all other addresses in them.
pub(super) const PUBLIC_URL: &str = "https://permits.example.org";

/// The values of a mail with examples: the first has all values, the others lack optional ones.
pub(super) trait Example: Serialize + Sized {
    /// The examples.
    fn examples() -> Vec<Self>;
}

/// The examples of a mail, as JSON.
pub(super) fn examples_of<T: Example>() -> Vec<Value> {
    T::examples().iter().filter_map(|example| serde_json::to_value(example).ok()).collect()
}

impl Example for Invitation {
    fn examples() -> Vec<Self> {
        let whole = Self {
            brand: "SF Permits".to_owned(),
            name: Some("Ada Lovelace".to_owned()),
            invited_by: Some("the permit office".to_owned()),
            public_url: PUBLIC_URL.to_owned(),
            contact: Some("Bea <bea@example.org>".to_owned()),
            datasets: vec![
                Dataset { title: "Building permits".to_owned(), path: "/permits".to_owned() },
                Dataset { title: "Open data".to_owned(), path: "/sf_open_data".to_owned() },
            ],
            key: Some("pmt_EXAMPLE_this-is-not-a-key".to_owned()),
            claim_link: None,
            password_link: Some(format!("{PUBLIC_URL}/links/pml_EXAMPLE")),
            example_path: Some("/permits/201612013997".to_owned()),
            limits: MailedLimits { rate_per_s: "5".to_owned(), burst: 10, quota_per_day: 1000 },
        };
        let unnamed = Self { name: None, invited_by: None, contact: None, ..whole.clone() };
        let early = Self { datasets: Vec::new(), example_path: None, password_link: None, ..unnamed.clone() };
        let claim_link = Some(format!("{PUBLIC_URL}/links/pml_EXAMPLE"));
        let claimed = Self { key: None, claim_link, ..whole.clone() };
        vec![whole, claimed, unnamed, early]
    }
}

impl Example for PasswordReset {
    fn examples() -> Vec<Self> {
        let whole = Self {
            brand: "SF Permits".to_owned(),
            name: Some("Ada Lovelace".to_owned()),
            contact: Some("Bea <bea@example.org>".to_owned()),
            link: format!("{PUBLIC_URL}/links/pml_EXAMPLE"),
            expires_at: "2026-03-01 10:30 UTC".to_owned(),
        };
        vec![whole.clone(), Self { name: None, contact: None, ..whole }]
    }
}

impl Example for KeyLeak {
    fn examples() -> Vec<Self> {
        let whole = Self {
            brand: "SF Permits".to_owned(),
            name: Some("Ada Lovelace".to_owned()),
            public_url: PUBLIC_URL.to_owned(),
            contact: Some("Bea <bea@example.org>".to_owned()),
            what: "key",
            key_id: "3fE9kQ0aZb7LmN2p".to_owned(),
            last_four: "wXyZ".to_owned(),
            user: "0197b2b6-5f6e-7c3a-8a56-0b7a4e8c6a11".to_owned(),
        };
        let of = |what| Self { what, last_four: String::new(), ..whole.clone() };
        vec![whole.clone(), of("session"), of("link"), Self { name: None, contact: None, ..whole }]
    }
}

/// Notices with these values, each with all facts about the person and with none.
fn notices<T: Clone>(told: impl IntoIterator<Item = T>) -> Vec<NoticeMail<T>> {
    let named = |told| NoticeMail {
        brand: "SF Permits".to_owned(),
        name: Some("Ada Lovelace".to_owned()),
        public_url: PUBLIC_URL.to_owned(),
        contact: Some("Bea <bea@example.org>".to_owned()),
        told,
    };
    let both = |told: T| [named(told.clone()), NoticeMail { name: None, contact: None, ..named(told) }];
    told.into_iter().flat_map(both).collect()
}

/// One key with all optional values, and one with none.
fn keys(revoked_at: Option<&str>, bare_expires_at: Option<&str>) -> [KeyTold; 2] {
    let whole = KeyTold {
        id: "3fE9kQ0aZb7LmN2p".to_owned(),
        last_four: "wXyZ".to_owned(),
        label: Some("the monthly report".to_owned()),
        expires_at: Some("2027-03-01 00:00 UTC".to_owned()),
        revoked_at: revoked_at.map(ToOwned::to_owned),
        replaces: Some("7cB4yR1xQe5TuV8w".to_owned()),
        replaces_until: Some("2026-12-01 00:00 UTC".to_owned()),
    };
    let expires_at = bare_expires_at.map(ToOwned::to_owned);
    [whole.clone(), KeyTold { label: None, expires_at, replaces: None, replaces_until: None, ..whole }]
}

impl Example for NoticeMail<KeyMade> {
    fn examples() -> Vec<Self> {
        notices(keys(None, None).map(|key| KeyMade { key }))
    }
}

impl Example for NoticeMail<KeyRevoked> {
    fn examples() -> Vec<Self> {
        notices(keys(Some("2026-11-02 09:30 UTC"), None).map(|key| KeyRevoked { key }))
    }
}

impl Example for NoticeMail<KeyExpires> {
    fn examples() -> Vec<Self> {
        let [whole, bare] = keys(None, Some("2027-03-01 00:00 UTC"));
        notices([KeyExpires { key: whole, is_over: false }, KeyExpires { key: bare, is_over: true }])
    }
}

impl Example for NoticeMail<QuotaSpent> {
    fn examples() -> Vec<Self> {
        notices([80, 100].map(|percent| QuotaSpent { day: "2026-03-01".to_owned(), percent, quota: 1000 }))
    }
}

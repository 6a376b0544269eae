//! What mails are tried with: nothing in them is of anybody.

use serde::Serialize;
use serde_json::Value;

use super::{Dataset, Invitation, KeyLeak, Limits};

/// What a mail is given, with examples of it: the first has all that there can be, the others lack what may be missing.
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
            public_url: "https://permits.example.org".to_owned(),
            contact: Some("Bea <bea@example.org>".to_owned()),
            datasets: vec![
                Dataset { title: "Building permits".to_owned(), path: "/permits".to_owned() },
                Dataset { title: "Open data".to_owned(), path: "/sf_open_data".to_owned() },
            ],
            key: "pmt_EXAMPLE_this-is-not-a-key".to_owned(),
            example_path: Some("/permits/201612013997".to_owned()),
            limits: Limits { rate_per_s: "5".to_owned(), burst: 10, quota_per_day: 1000 },
        };
        let unnamed = Self { name: None, invited_by: None, contact: None, ..whole.clone() };
        let early = Self { datasets: Vec::new(), example_path: None, ..unnamed.clone() };
        vec![whole, unnamed, early]
    }
}

impl Example for KeyLeak {
    fn examples() -> Vec<Self> {
        let whole = Self {
            brand: "SF Permits".to_owned(),
            name: Some("Ada Lovelace".to_owned()),
            public_url: "https://permits.example.org".to_owned(),
            contact: Some("Bea <bea@example.org>".to_owned()),
            key_id: "3fE9kQ0aZb7LmN2p".to_owned(),
            last_four: "wXyZ".to_owned(),
            user: "0197b2b6-5f6e-7c3a-8a56-0b7a4e8c6a11".to_owned(),
        };
        vec![whole.clone(), Self { name: None, contact: None, ..whole }]
    }
}

//! Events about keys' bounds and people's notices: each in its first version with these fields.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::v1::Sealed;
use crate::domain::{bounds::DataAction, notice::Notice};

macro_rules! events {
    ($($(#[$doc:meta])* $name:ident is $released:literal { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* })*) => {
        $($(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $name { $($(#[$field_doc])* pub $field: $type,)* })*

        /// The JSON Schema of every event's data: `(file name, schema)`.
        pub fn schemas() -> Vec<(&'static str, schemars::Schema)> {
            let titled = |mut schema: schemars::Schema, name: &str| {
                let (title, _) = name.split_once('.').unwrap_or((name, ""));
                schema.insert("title".to_owned(), title.into());
                schema
            };
            vec![$(($released, titled(schemars::schema_for!($name), $released))),*]
        }
    };
}

events! {
    /// A key exists.
    BoundedKeyIssued is "ApiKeyIssued.v3" {
        /// Its public id: 16 base-62 digits.
        key_id: String,
        /// SHA-256 of the key, hexadecimal.
        sha256: String,
        /// The last four characters of its secret.
        last_four: String,
        /// Which server secret it was derived from.
        secret_version: u32,
        /// The invitation that it fulfils.
        invitation: Option<Uuid>,
        /// What its owner calls it, sealed.
        label: Option<Sealed>,
        /// When it stops working by itself, RFC 3339.
        expires_at: Option<String>,
        /// The networks that it may be used from, one after the other with a space between, sealed; null for any.
        allowed_ips: Option<Sealed>,
        /// The data sets that it may be used for; null for all.
        datasets: Option<Vec<String>>,
        /// What it may do with them.
        actions: Vec<DataAction>,
    }
    /// The key is called, or may do, something else: all of it as it is from now on.
    KeyChanged is "ApiKeyChanged.v1" {
        /// The key.
        key_id: String,
        /// What its owner calls it, sealed.
        label: Option<Sealed>,
        /// When it stops working by itself, RFC 3339.
        expires_at: Option<String>,
        /// The networks that it may be used from, one after the other with a space between, sealed; null for any.
        allowed_ips: Option<Sealed>,
        /// The data sets that it may be used for; null for all.
        datasets: Option<Vec<String>>,
        /// What it may do with them.
        actions: Vec<DataAction>,
    }
    /// It was noticed that the key expires within so many days.
    KeyExpiring is "ApiKeyExpiring.v1" {
        /// The key.
        key_id: String,
        /// How many days before its end this is for.
        days: u8,
    }
    /// The person's requests of a day have come to this share of their quota.
    QuotaReached is "QuotaReached.v1" {
        /// The UTC day, counted from 1970-01-01.
        day: i64,
        /// The share.
        percent: u8,
    }
    /// The person wants these notices, and no others.
    NoticesChosen is "NoticesChosen.v1" {
        /// Before a key of theirs expires.
        expiry: bool,
        /// When somebody else makes or revokes a key of theirs.
        keys: bool,
        /// When 80 % and 100 % of a day's quota is spent.
        quota: bool,
    }
    /// A mail with a notice was handed to the mail system.
    NoticeMailed is "NoticeMailed.v1" {
        /// The notice.
        notice: Notice,
        /// The mail's Message-ID.
        message_id: String,
    }
    /// The mail system will not take the mail with a notice.
    NoticeFailed is "NoticeFailed.v1" {
        /// The notice.
        notice: Notice,
        /// What kind of refusal it was, such as `550 5.1.1, refused the address`; nothing of the person is in it.
        class: String,
        /// What the mail system said, sealed.
        reason: Sealed,
    }
    /// A plan has these limits, and says this of its people's keys.
    RuledPlanDefined is "PlanDefined.v2" {
        /// Requests per second.
        rate_per_s: f64,
        /// Requests that the token bucket holds.
        burst: u32,
        /// Requests per UTC day.
        quota_per_day: u64,
        /// Days for which a key works after it was issued.
        key_max_age_days: Option<u32>,
        /// The data sets that its people may read; null for all.
        datasets: Option<Vec<String>>,
        /// Most keys of a person that work at the same time.
        keys_max: Option<u32>,
    }
}

//! The differences between a table's specification and DynamoDB's description of it. Pure.

use std::fmt;

use aws_sdk_dynamodb::types::{
    BillingMode, GlobalSecondaryIndexDescription, IndexStatus, KeySchemaElement, KeyType as Role, ProjectionType,
    ScalarAttributeType, SseStatus, TableDescription, TableStatus,
};

use crate::store::dynamodb::schema::{IndexSpec, KeyAttribute, KeyType, Projected, TableSpec};

/// A flaw of a table. Indexes and recovery are checked elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Flaw {
    /// The keys differ: it is another table.
    Keys { expected: String, found: String },
    /// Its capacity is provisioned.
    Billing,
    /// It is not encrypted with a key of the account.
    Encryption,
    /// One call can delete it.
    Deletable,
    /// The service has no deletion protection.
    ProtectionUnknown,
}

impl Flaw {
    /// Whether a deployment should not continue with this flaw.
    pub(super) fn is_wrong(&self) -> bool {
        *self != Self::ProtectionUnknown
    }

    /// Whether the flaw concerns the protection of data: everything works without it.
    pub(super) fn is_of_protection(&self) -> bool {
        matches!(self, Self::Encryption | Self::Deletable)
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Keys { expected, found } => write!(
                f,
                "its keys are {found}, not {expected}, which cannot be changed: it belongs to something else; choose another \
                 aws.prefix, or remove the table if nobody needs it"
            ),
            Self::Billing => f.write_str("its capacity is provisioned, not on demand: run `permitd aws setup`"),
            Self::Encryption => {
                f.write_str("it is not encrypted with the account's key, but with one of AWS: run `permitd aws setup`")
            }
            Self::Deletable => f.write_str("deletion protection is off: run `permitd aws setup`"),
            Self::ProtectionUnknown => f.write_str("this service knows no deletion protection"),
        }
    }
}

/// The state of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum IndexState {
    Right,
    Missing,
    /// It cannot be read yet.
    Building(String),
    /// It indexes or holds other attributes.
    Different(String),
}

/// The flaws of the table itself.
pub(super) fn table(spec: &TableSpec, found: &TableDescription) -> Vec<Flaw> {
    let expected = expected_keys(&spec.partition, spec.sort.as_ref());
    let keys = found_keys(found.key_schema(), found);
    if keys != expected {
        return vec![Flaw::Keys { expected, found: keys }];
    }
    let mut flaws = Vec::new();
    // A table that never was on demand has no billing summary.
    let billing = found.billing_mode_summary().and_then(|summary| summary.billing_mode());
    if billing != Some(&BillingMode::PayPerRequest) {
        flaws.push(Flaw::Billing);
    }
    let encryption = found.sse_description().and_then(|encryption| encryption.status());
    if !matches!(encryption, Some(SseStatus::Enabled | SseStatus::Enabling | SseStatus::Updating)) {
        flaws.push(Flaw::Encryption);
    }
    match found.deletion_protection_enabled() {
        Some(true) => {}
        Some(false) => flaws.push(Flaw::Deletable),
        None => flaws.push(Flaw::ProtectionUnknown),
    }
    flaws
}

/// The state of an index of the table.
pub(super) fn index(spec: &IndexSpec, table: &TableDescription) -> IndexState {
    let Some(found) = table.global_secondary_indexes().iter().find(|index| index.index_name() == Some(&spec.name))
    else {
        return IndexState::Missing;
    };
    let expected = expected_keys(&spec.partition, Some(&spec.sort));
    let keys = found_keys(found.key_schema(), table);
    if keys != expected {
        return IndexState::Different(format!("its keys are {keys}, not {expected}"));
    }
    let wanted = projection(spec.projected);
    let projected = found.projection().and_then(|projection| projection.projection_type());
    if projected != Some(&wanted) {
        let projected = projected.map_or("nothing known", ProjectionType::as_str);
        return IndexState::Different(format!("it holds {projected}, not {wanted}"));
    }
    unsettled_index(found).map_or(IndexState::Right, IndexState::Building)
}

/// The names of indexes that the table should not have.
pub(super) fn unknown_indexes(spec: &TableSpec, found: &TableDescription) -> Vec<String> {
    let is_known = |name: &str| spec.indexes.iter().any(|index| index.name == name);
    let names = found.global_secondary_indexes().iter().filter_map(|index| index.index_name());
    names.filter(|name| !is_known(name)).map(ToOwned::to_owned).collect()
}

/// The part of a table or its indexes that is still being made or changed, if any.
pub(super) fn unsettled(table: &TableDescription) -> Option<String> {
    let index = |index: &GlobalSecondaryIndexDescription| {
        unsettled_index(index).map(|still| format!("index {}: {still}", index.index_name().unwrap_or_default()))
    };
    unsettled_table(table).or_else(|| table.global_secondary_indexes().iter().find_map(index))
}

/// The same for the table alone.
pub(super) fn unsettled_table(table: &TableDescription) -> Option<String> {
    let encryption = table.sse_description().and_then(|encryption| encryption.status());
    match (table.table_status(), encryption) {
        (Some(TableStatus::Active), Some(SseStatus::Enabling | SseStatus::Updating | SseStatus::Disabling)) => {
            Some("its encryption is being changed".to_owned())
        }
        (Some(TableStatus::Active), _) => None,
        (status, _) => Some(format!("it is {}", status.map_or("in no known state", TableStatus::as_str))),
    }
}

fn unsettled_index(index: &GlobalSecondaryIndexDescription) -> Option<String> {
    match index.index_status() {
        Some(IndexStatus::Active) if index.backfilling() == Some(true) => Some("it is being filled".to_owned()),
        // An index without a status is as ready as its table.
        Some(IndexStatus::Active) | None => None,
        Some(IndexStatus::Creating) => Some("it is being made".to_owned()),
        Some(status) => Some(format!("it is {}", status.as_str())),
    }
}

/// What an index holds, in DynamoDB's words.
pub(super) fn projection(projected: Projected) -> ProjectionType {
    match projected {
        Projected::Keys => ProjectionType::KeysOnly,
        Projected::All => ProjectionType::All,
    }
}

/// A key's type, in DynamoDB's words.
pub(super) fn scalar(kind: KeyType) -> ScalarAttributeType {
    match kind {
        KeyType::Text => ScalarAttributeType::S,
        KeyType::Number => ScalarAttributeType::N,
    }
}

/// Keys as text, such as `s (S), v (N)`: for comparison and display.
fn expected_keys(partition: &KeyAttribute, sort: Option<&KeyAttribute>) -> String {
    let one = |key: &KeyAttribute| format!("{} ({})", key.name, scalar(key.kind).as_str());
    let keys: Vec<String> = std::iter::once(partition).chain(sort).map(one).collect();
    keys.join(", ")
}

fn found_keys(schema: &[KeySchemaElement], table: &TableDescription) -> String {
    let kind = |name: &str| {
        let definition = table.attribute_definitions().iter().find(|definition| definition.attribute_name() == name);
        definition.map_or("?", |definition| definition.attribute_type().as_str())
    };
    let of = |role: &Role| schema.iter().find(|element| element.key_type() == role);
    let keys = [of(&Role::Hash), of(&Role::Range)].into_iter().flatten();
    let one = |key: &KeySchemaElement| format!("{} ({})", key.attribute_name(), kind(key.attribute_name()));
    keys.map(one).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;

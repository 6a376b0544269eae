//! The tables of a deployment, as data: `permitd aws setup` makes them, `aws check` compares them, and the template in `deploy/`
//! describes the same tables.
//!
//! | table | items | partition key, sort key |
//! |---|---|---|
//! | `events` | one a commit | `s` stream, `v` version |
//! | `views` | people, keys, plans, imports | `k` stream, `r` row |
//! | `ledger` | what a key may; what a person has consumed, by day | `k` key id or `user#<id>`, `d` day |
//! | `state` | claims on names, the set of administrators, last uses of their tokens, data sets and marks of their filling, what commands were answered | `k` kind, `r` name |
//! | `changes` | what imports changed, in parts; one a version; one a generation of columns | `k` data set and epoch, `r` number |
//! | `personal` | the keys that people's data is sealed with | `k` person |
//! | `secrets` | the server secret | `k` name |
//! | `records-<data set>` | one a record and version of it | the data set's key column, its record id column |

use crate::dataset::Definition;

/// Days to any moment of which a table can be restored: DynamoDB's longest.
const RECOVERY_DAYS: u32 = 35;
/// The same for the keys of people's data: after these days an erased person is gone from backups, too.
const PERSONAL_RECOVERY_DAYS: u32 = 7;

/// The event log.
pub const EVENTS: &str = "events";
/// The views.
pub const VIEWS: &str = "views";
/// The ledger.
pub const LEDGER: &str = "ledger";
/// Claims, administrators' tokens, data sets, answers to commands.
pub const STATE: &str = "state";
/// What imports changed, and when.
pub const CHANGES: &str = "changes";
/// The attribute after whose moment DynamoDB may remove an item of the table `state`, seconds since the Unix epoch.
pub const EXPIRES: &str = "x";
/// Personal keys.
pub const PERSONAL: &str = "personal";
/// The server secret.
pub const SECRETS: &str = "secrets";

/// The index of all commits by time.
pub const FEED: &str = "feed";
/// The sparse index of marked commits.
pub const OUTBOX: &str = "outbox";
/// The index of people and imports in the order of their lists.
pub const LISTS: &str = "lists";
/// The sparse index of people by address.
pub const EMAILS: &str = "emails";

/// The type of a key attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyType {
    /// Text.
    Text,
    /// Number.
    Number,
}

/// A key attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyAttribute {
    /// The attribute's name.
    pub name: String,
    /// Its type.
    pub kind: KeyType,
}

/// The attributes that an index holds beside its keys and the table's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Projected {
    /// Nothing.
    Keys,
    /// Every attribute.
    All,
}

/// A global secondary index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexSpec {
    /// Its name.
    pub name: String,
    /// Its partition key.
    pub partition: KeyAttribute,
    /// Its sort key.
    pub sort: KeyAttribute,
    /// What it holds.
    pub projected: Projected,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableSpec {
    /// Its name without the deployment's prefix.
    pub name: String,
    /// Its partition key.
    pub partition: KeyAttribute,
    /// Its sort key, if it has one.
    pub sort: Option<KeyAttribute>,
    /// Its indexes.
    pub indexes: Vec<IndexSpec>,
    /// Days to any moment of which the table can be restored.
    pub recovery_days: u32,
    /// The attribute by which items expire, seconds since the Unix epoch, if any do.
    pub expires: Option<&'static str>,
}

fn text(name: &str) -> KeyAttribute {
    KeyAttribute { name: name.to_owned(), kind: KeyType::Text }
}

fn number(name: &str) -> KeyAttribute {
    KeyAttribute { name: name.to_owned(), kind: KeyType::Number }
}

fn index(name: &str, partition: KeyAttribute, sort: KeyAttribute, projected: Projected) -> IndexSpec {
    IndexSpec { name: name.to_owned(), partition, sort, projected }
}

fn table(name: &str, partition: KeyAttribute, sort: Option<KeyAttribute>, indexes: Vec<IndexSpec>) -> TableSpec {
    TableSpec { name: name.to_owned(), partition, sort, indexes, recovery_days: RECOVERY_DAYS, expires: None }
}

/// A table's whole name.
pub fn table_name(prefix: &str, table: &str) -> String {
    format!("{prefix}-{table}")
}

/// The name, without prefix, of the table that holds a data set's records.
pub fn records_table(data_set: &str) -> String {
    format!("records-{data_set}")
}

/// The tables that every deployment has.
pub fn base_tables() -> Vec<TableSpec> {
    vec![
        table(
            EVENTS,
            text("s"),
            Some(number("v")),
            vec![
                index(FEED, text("f"), number("t"), Projected::Keys),
                index(OUTBOX, text("ob"), number("t"), Projected::Keys),
            ],
        ),
        table(
            VIEWS,
            text("k"),
            Some(text("r")),
            vec![
                index(LISTS, text("l"), text("o"), Projected::All),
                index(EMAILS, text("email"), text("k"), Projected::Keys),
            ],
        ),
        table(LEDGER, text("k"), Some(text("d")), Vec::new()),
        TableSpec { expires: Some(EXPIRES), ..table(STATE, text("k"), Some(text("r")), Vec::new()) },
        table(CHANGES, text("k"), Some(text("r")), Vec::new()),
        TableSpec { recovery_days: PERSONAL_RECOVERY_DAYS, ..table(PERSONAL, text("k"), None, Vec::new()) },
        table(SECRETS, text("k"), None, Vec::new()),
    ]
}

/// The table of a data set's records.
pub fn records(definition: &Definition) -> TableSpec {
    let column = |place: usize| text(definition.column_name(place));
    table(&records_table(&definition.name), column(definition.key), Some(column(definition.record_id)), Vec::new())
}

//! The requests that make and change tables.

use aws_sdk_dynamodb::{
    Client,
    error::BuildError,
    operation::{create_table::builders::CreateTableFluentBuilder, update_table::builders::UpdateTableFluentBuilder},
    types::{
        AttributeDefinition, BillingMode, CreateGlobalSecondaryIndexAction, GlobalSecondaryIndex,
        GlobalSecondaryIndexUpdate, KeySchemaElement, KeyType as Role, Projection, SseSpecification, SseType,
    },
};

use super::compare::{self, Flaw};
use crate::store::{
    StoreError,
    dynamodb::schema::{IndexSpec, KeyAttribute, TableSpec},
};

/// Makes a table with its indexes.
pub(super) fn create(client: &Client, name: &str, table: &TableSpec) -> Result<CreateTableFluentBuilder, StoreError> {
    let indexes =
        table.indexes.iter().map(index).collect::<Result<Vec<_>, _>>().map_err(|error| built(name, &error))?;
    let mut keys: Vec<&KeyAttribute> = std::iter::once(&table.partition).chain(&table.sort).collect();
    keys.extend(table.indexes.iter().flat_map(|index| [&index.partition, &index.sort]));
    let schema = key_schema(&table.partition, table.sort.as_ref()).map_err(|error| built(name, &error))?;
    Ok(client
        .create_table()
        .table_name(name)
        .billing_mode(BillingMode::PayPerRequest)
        .sse_specification(encryption())
        .deletion_protection_enabled(true)
        .set_attribute_definitions(Some(definitions(keys).map_err(|error| built(name, &error))?))
        .set_key_schema(Some(schema))
        .set_global_secondary_indexes((!indexes.is_empty()).then_some(indexes)))
}

/// Adds an index to a table.
pub(super) fn add_index(client: &Client, name: &str, spec: &IndexSpec) -> Result<UpdateTableFluentBuilder, StoreError> {
    let made = || -> Result<_, BuildError> {
        let action = CreateGlobalSecondaryIndexAction::builder()
            .index_name(&spec.name)
            .set_key_schema(Some(key_schema(&spec.partition, Some(&spec.sort))?))
            .projection(projection(spec))
            .build()?;
        Ok((definitions(vec![&spec.partition, &spec.sort])?, action))
    };
    let (definitions, action) = made().map_err(|error| built(name, &error))?;
    Ok(client
        .update_table()
        .table_name(name)
        .set_attribute_definitions(Some(definitions))
        .global_secondary_index_updates(GlobalSecondaryIndexUpdate::builder().create(action).build()))
}

/// The request that repairs a flaw in place, if there is one, and the words that report it. DynamoDB takes one change at a time.
pub(super) fn mend(client: &Client, name: &str, flaw: &Flaw) -> Option<(UpdateTableFluentBuilder, &'static str)> {
    let request = client.update_table().table_name(name);
    match flaw {
        Flaw::Billing => Some((request.billing_mode(BillingMode::PayPerRequest), "its capacity is on demand now")),
        Flaw::Encryption => {
            Some((request.sse_specification(encryption()), "it is encrypted with the account's key now"))
        }
        Flaw::Deletable => Some((request.deletion_protection_enabled(true), "deletion protection is on now")),
        Flaw::Keys { .. } | Flaw::ProtectionUnknown => None,
    }
}

/// Encryption with the account's key for DynamoDB: the KMS key that needs no name.
fn encryption() -> SseSpecification {
    SseSpecification::builder().enabled(true).sse_type(SseType::Kms).build()
}

fn index(spec: &IndexSpec) -> Result<GlobalSecondaryIndex, BuildError> {
    GlobalSecondaryIndex::builder()
        .index_name(&spec.name)
        .set_key_schema(Some(key_schema(&spec.partition, Some(&spec.sort))?))
        .projection(projection(spec))
        .build()
}

fn projection(spec: &IndexSpec) -> Projection {
    Projection::builder().projection_type(compare::projection(spec.projected)).build()
}

fn key_schema(partition: &KeyAttribute, sort: Option<&KeyAttribute>) -> Result<Vec<KeySchemaElement>, BuildError> {
    let element =
        |key: &KeyAttribute, role| KeySchemaElement::builder().attribute_name(&key.name).key_type(role).build();
    let sort = sort.map(|sort| element(sort, Role::Range));
    std::iter::once(element(partition, Role::Hash)).chain(sort).collect()
}

/// Defines each key once: DynamoDB refuses a second definition of an attribute.
fn definitions(mut keys: Vec<&KeyAttribute>) -> Result<Vec<AttributeDefinition>, BuildError> {
    keys.sort_by(|a, b| a.name.cmp(&b.name));
    keys.dedup();
    let define = |key: &KeyAttribute| {
        AttributeDefinition::builder().attribute_name(&key.name).attribute_type(compare::scalar(key.kind)).build()
    };
    keys.into_iter().map(define).collect()
}

fn built(name: &str, error: &BuildError) -> StoreError {
    StoreError::Unavailable(format!("table {name} cannot be described to DynamoDB: {error}"))
}

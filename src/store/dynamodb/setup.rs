//! Making the tables.

use std::time::Duration;

use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType as Role, Projection,
    ProjectionType, ScalarAttributeType, TableStatus,
};

use super::{
    Dynamo,
    schema::{Key, KeyType, Projected, TableSpec},
    unavailable,
};
use crate::store::StoreError;

/// Time between two looks at a table that is being made.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);
/// Looks before a table is given up that does not become ready.
const LOOKS_MAX: u32 = 1500;

/// Makes the tables that are missing, and waits until they can be used.
///
/// # Errors
/// When a table cannot be made or does not become ready.
pub async fn create_missing(dynamo: &Dynamo, tables: &[TableSpec]) -> Result<(), StoreError> {
    for table in tables {
        create(dynamo, table).await?;
    }
    for table in tables {
        wait_until_ready(dynamo, &dynamo.table(&table.name)).await?;
    }
    Ok(())
}

async fn create(dynamo: &Dynamo, table: &TableSpec) -> Result<(), StoreError> {
    let name = dynamo.table(&table.name);
    let mut keys: Vec<&Key> = std::iter::once(&table.partition).chain(&table.sort).collect();
    keys.extend(table.indexes.iter().flat_map(|index| [&index.partition, &index.sort]));
    keys.sort_by(|a, b| a.name.cmp(&b.name));
    keys.dedup();
    let built = |error: aws_sdk_dynamodb::error::BuildError| StoreError::Unavailable(error.to_string());
    let definitions = keys.into_iter().map(definition).collect::<Result<Vec<_>, _>>().map_err(built)?;
    let mut request = dynamo
        .client()
        .create_table()
        .table_name(&name)
        .billing_mode(BillingMode::PayPerRequest)
        .set_attribute_definitions(Some(definitions))
        .set_key_schema(Some(key_schema(&table.partition, table.sort.as_ref()).map_err(built)?));
    for index in &table.indexes {
        let projection = Projection::builder().projection_type(match index.projected {
            Projected::Keys => ProjectionType::KeysOnly,
            Projected::All => ProjectionType::All,
        });
        let index = GlobalSecondaryIndex::builder()
            .index_name(&index.name)
            .set_key_schema(Some(key_schema(&index.partition, Some(&index.sort)).map_err(built)?))
            .projection(projection.build())
            .build()
            .map_err(built)?;
        request = request.global_secondary_indexes(index);
    }
    match request.send().await {
        Ok(_) => Ok(()),
        Err(error) if error.as_service_error().is_some_and(|error| error.is_resource_in_use_exception()) => Ok(()),
        Err(error) => Err(unavailable(&name, &error)),
    }
}

fn definition(key: &Key) -> Result<AttributeDefinition, aws_sdk_dynamodb::error::BuildError> {
    let kind = match key.kind {
        KeyType::Text => ScalarAttributeType::S,
        KeyType::Number => ScalarAttributeType::N,
    };
    AttributeDefinition::builder().attribute_name(&key.name).attribute_type(kind).build()
}

fn key_schema(
    partition: &Key,
    sort: Option<&Key>,
) -> Result<Vec<KeySchemaElement>, aws_sdk_dynamodb::error::BuildError> {
    let element = |key: &Key, role| KeySchemaElement::builder().attribute_name(&key.name).key_type(role).build();
    let sort = sort.map(|sort| element(sort, Role::Range));
    std::iter::once(element(partition, Role::Hash)).chain(sort).collect()
}

async fn wait_until_ready(dynamo: &Dynamo, name: &str) -> Result<(), StoreError> {
    for _ in 0..LOOKS_MAX {
        let described = dynamo.client().describe_table().table_name(name).send().await;
        let described = described.map_err(|error| unavailable(name, &error))?;
        if described.table().and_then(|table| table.table_status()) == Some(&TableStatus::Active) {
            return Ok(());
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
    Err(StoreError::Unavailable(format!("table {name} did not become ready")))
}

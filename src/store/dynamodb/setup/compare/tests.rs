use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingModeSummary, GlobalSecondaryIndexDescription, Projection, SseDescription,
};

use super::*;
use crate::store::dynamodb::schema::{self, FEED, OUTBOX};

fn element(name: &str, role: Role) -> KeySchemaElement {
    KeySchemaElement::builder().attribute_name(name).key_type(role).build().unwrap()
}

fn keys(partition: &KeyAttribute, sort: Option<&KeyAttribute>) -> Vec<KeySchemaElement> {
    let sort = sort.map(|sort| element(&sort.name, Role::Range));
    std::iter::once(element(&partition.name, Role::Hash)).chain(sort).collect()
}

fn described_index(spec: &IndexSpec) -> GlobalSecondaryIndexDescription {
    GlobalSecondaryIndexDescription::builder()
        .index_name(&spec.name)
        .set_key_schema(Some(keys(&spec.partition, Some(&spec.sort))))
        .projection(Projection::builder().projection_type(projection(spec.projected)).build())
        .index_status(IndexStatus::Active)
        .build()
}

/// AWS's description of a table without flaws.
fn described(spec: &TableSpec) -> TableDescription {
    let all = std::iter::once(&spec.partition).chain(&spec.sort);
    let all = all.chain(spec.indexes.iter().flat_map(|index| [&index.partition, &index.sort]));
    let definition = |key: &KeyAttribute| {
        AttributeDefinition::builder().attribute_name(&key.name).attribute_type(scalar(key.kind)).build().unwrap()
    };
    TableDescription::builder()
        .table_status(TableStatus::Active)
        .set_attribute_definitions(Some(all.map(definition).collect()))
        .set_key_schema(Some(keys(&spec.partition, spec.sort.as_ref())))
        .billing_mode_summary(BillingModeSummary::builder().billing_mode(BillingMode::PayPerRequest).build())
        .sse_description(SseDescription::builder().status(SseStatus::Enabled).build())
        .deletion_protection_enabled(true)
        .set_global_secondary_indexes(Some(spec.indexes.iter().map(described_index).collect()))
        .build()
}

fn events() -> TableSpec {
    schema::base_tables().into_iter().find(|table| table.name == schema::EVENTS).unwrap()
}

#[test]
fn every_table_as_it_should_be_is_right() {
    for spec in schema::base_tables() {
        let found = described(&spec);
        assert_eq!(table(&spec, &found), [], "{}", spec.name);
        assert!(spec.indexes.iter().all(|spec| index(spec, &found) == IndexState::Right), "{}", spec.name);
        assert!(unsettled(&found).is_none() && unknown_indexes(&spec, &found).is_empty());
    }
}

#[test]
fn each_setting_of_a_table_is_compared() {
    let spec = events();
    let right = described(&spec);
    let with = |change: fn(&mut TableDescription)| {
        let mut found = right.clone();
        change(&mut found);
        table(&spec, &found)
    };
    assert_eq!(with(|found| found.billing_mode_summary = None), [Flaw::Billing]);
    assert_eq!(with(|found| found.sse_description = None), [Flaw::Encryption]);
    assert_eq!(with(|found| found.deletion_protection_enabled = Some(false)), [Flaw::Deletable]);
    assert_eq!(with(|found| found.deletion_protection_enabled = None), [Flaw::ProtectionUnknown]);
    assert!(Flaw::Deletable.is_wrong() && !Flaw::ProtectionUnknown.is_wrong());
}

#[test]
fn other_keys_make_another_table_whatever_else_is_right() {
    let spec = events();
    let mut swapped = described(&spec);
    swapped.key_schema = Some(vec![element("v", Role::Hash), element("s", Role::Range)]);
    assert!(matches!(&table(&spec, &swapped)[..], [Flaw::Keys { found, .. }] if found == "v (N), s (S)"));
    let mut partition_only = described(&spec);
    partition_only.key_schema = Some(vec![element("s", Role::Hash)]);
    assert!(matches!(&table(&spec, &partition_only)[..], [Flaw::Keys { .. }]));
    let mut other_type = described(&spec);
    for definition in other_type.attribute_definitions.iter_mut().flatten() {
        definition.attribute_type = ScalarAttributeType::S;
    }
    let flaws = table(&spec, &other_type);
    assert!(matches!(&flaws[..], [Flaw::Keys { .. }]) && flaws[0].to_string().contains("v (S), not s (S), v (N)"));
}

#[test]
fn each_property_of_an_index_is_compared() {
    let spec = events();
    let feed = &spec.indexes[0];
    let with = |change: fn(&mut GlobalSecondaryIndexDescription)| {
        let mut found = described(&spec);
        change(&mut found.global_secondary_indexes.as_mut().unwrap()[0]);
        index(feed, &found)
    };
    let other_keys = with(|index| index.key_schema = Some(vec![element("f", Role::Hash)]));
    assert_eq!(other_keys, IndexState::Different("its keys are f (S), not f (S), t (N)".to_owned()));
    let other_content =
        with(|index| index.projection = Some(Projection::builder().projection_type(ProjectionType::All).build()));
    assert_eq!(other_content, IndexState::Different("it holds ALL, not KEYS_ONLY".to_owned()));
    assert!(matches!(with(|index| index.index_status = Some(IndexStatus::Creating)), IndexState::Building(_)));
    assert!(matches!(with(|index| index.backfilling = Some(true)), IndexState::Building(_)));
    assert_eq!(with(|index| index.index_name = Some("other".to_owned())), IndexState::Missing);
}

#[test]
fn what_is_under_way_and_what_is_too_much_is_seen() {
    let spec = events();
    let mut found = described(&spec);
    found.table_status = Some(TableStatus::Updating);
    assert_eq!(unsettled(&found).unwrap(), "it is UPDATING");
    let mut found = described(&spec);
    found.sse_description = Some(SseDescription::builder().status(SseStatus::Updating).build());
    assert!(unsettled(&found).unwrap().contains("encryption"));
    let mut found = described(&spec);
    found.global_secondary_indexes.as_mut().unwrap()[1].backfilling = Some(true);
    assert_eq!(unsettled(&found).unwrap(), format!("index {OUTBOX}: it is being filled"));
    let fewer = TableSpec { indexes: spec.indexes[1..].to_vec(), ..spec.clone() };
    assert_eq!(unknown_indexes(&fewer, &described(&spec)), [FEED]);
}

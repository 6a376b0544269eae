//! `store::dynamodb::setup`: tables are made, put right, compared, and never lost.

use std::slice::from_ref;

use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, PointInTimeRecoverySpecification,
    ProvisionedThroughput, ScalarAttributeType,
};
use permitd::{
    aws::ResourceState,
    dataset::Definition,
    store::dynamodb::{
        Dynamo, schema,
        schema::{EVENTS, TableSpec, VIEWS},
        setup::{check, setup},
    },
};

use super::{deployment, found};
use crate::support::emulator::Kind;

fn all_tables() -> Vec<TableSpec> {
    let definitions = Definition::builtin().unwrap();
    schema::base_tables().into_iter().chain(definitions.iter().map(schema::records)).collect()
}

fn table(name: &str) -> TableSpec {
    schema::base_tables().into_iter().find(|table| table.name == name).unwrap()
}

/// What both emulators must be able to do; what one of them cannot is a notice, never wrong.
async fn each(test: impl AsyncFn(Dynamo)) {
    for kind in [Kind::Ministack, Kind::Dynoxide] {
        test(deployment(kind).await).await;
    }
}

#[actix_web::test]
async fn tables_are_made_once_and_are_right_from_then_on() {
    each(async |dynamo| {
        let tables = all_tables();
        let missing = check(&dynamo, &tables).await.unwrap();
        assert_eq!(missing.len(), tables.len());
        assert!(missing.iter().all(|row| row.found == ResourceState::Missing), "{missing:#?}");
        let made = setup(&dynamo, &tables).await.unwrap();
        for table in &tables {
            let name = dynamo.table(&table.name);
            assert_eq!(*found(&made, &format!("table {name}")), ResourceState::Made);
            for index in &table.indexes {
                assert_eq!(*found(&made, &format!("index {name}/{}", index.name)), ResourceState::Made);
            }
            assert!(!found(&made, &format!("recovery {name}")).is_wrong());
            if table.expires.is_some() {
                assert_eq!(*found(&made, &format!("expiry {name}")), ResourceState::Made);
            }
        }
        let again = setup(&dynamo, &tables).await.unwrap();
        for row in &again {
            let may_be_a_notice =
                row.resource.starts_with("recovery ") && matches!(row.found, ResourceState::Notice(_));
            assert!(row.found == ResourceState::Right || may_be_a_notice, "{row:?}");
        }
        assert_eq!(check(&dynamo, &tables).await.unwrap(), again);
    })
    .await;
}

#[actix_web::test]
async fn two_that_set_up_at_once_do_not_disturb_each_other() {
    each(async |dynamo| {
        let tables = all_tables();
        let one = dynamo.with_own_connections();
        let (one, other) = futures_util::future::join(setup(&one, &tables), setup(&dynamo, &tables)).await;
        assert!(one.unwrap().iter().chain(&other.unwrap()).all(|row| !row.found.is_wrong()));
    })
    .await;
}

#[actix_web::test]
async fn what_is_different_is_said_and_put_right_and_what_is_stored_stays() {
    // The other emulator cannot change a table's encryption.
    let dynamo = deployment(Kind::Ministack).await;
    let spec = table(EVENTS);
    let name = dynamo.table(EVENTS);
    create_bare(&dynamo, &spec).await;
    let item = [("s", AttributeValue::S("user#1".to_owned())), ("v", AttributeValue::N("1".to_owned()))];
    let item: std::collections::HashMap<_, _> = item.map(|(name, value)| (name.to_owned(), value)).into();
    dynamo.client().put_item().table_name(&name).set_item(Some(item.clone())).send().await.unwrap();

    let tables = [spec];
    let before = check(&dynamo, &tables).await.unwrap();
    let ResourceState::Different(how) = found(&before, &format!("table {name}")) else { panic!("{before:#?}") };
    for part in ["provisioned", "encrypted", "deletion protection", "permitd aws setup"] {
        assert!(how.contains(part), "{how}");
    }
    assert_eq!(*found(&before, &format!("index {name}/feed")), ResourceState::Missing);
    assert!(found(&before, &format!("recovery {name}")).is_wrong());
    assert_eq!(check(&dynamo, &tables).await.unwrap(), before, "to look changes nothing");

    let after = setup(&dynamo, &tables).await.unwrap();
    let ResourceState::Changed(how) = found(&after, &format!("table {name}")) else { panic!("{after:#?}") };
    for part in ["on demand", "encrypted", "deletion protection"] {
        assert!(how.contains(part), "{how}");
    }
    assert_eq!(*found(&after, &format!("index {name}/feed")), ResourceState::Made);
    assert_eq!(*found(&after, &format!("index {name}/outbox")), ResourceState::Made);
    assert!(matches!(found(&after, &format!("recovery {name}")), ResourceState::Changed(_)));
    let again = setup(&dynamo, &tables).await.unwrap();
    assert!(again.iter().all(|row| row.found == ResourceState::Right), "{again:#?}");

    let stored = dynamo.client().scan().table_name(&name).send().await.unwrap();
    assert_eq!(stored.items(), [item]);
}

#[actix_web::test]
async fn a_service_that_cannot_encrypt_an_existing_table_is_a_notice() {
    let dynamo = deployment(Kind::Dynoxide).await;
    let tables = [table(VIEWS)];
    let name = dynamo.table(VIEWS);
    setup(&dynamo, &[TableSpec { indexes: Vec::new(), ..tables[0].clone() }]).await.unwrap();
    let bare = TableSpec { name: "bare".to_owned(), ..table(VIEWS) };
    create_bare(&dynamo, &bare).await;
    let done = setup(&dynamo, &[tables[0].clone(), bare]).await.unwrap();
    assert_eq!(*found(&done, &format!("table {name}")), ResourceState::Right);
    assert_eq!(*found(&done, &format!("index {name}/lists")), ResourceState::Made);
    let bare = dynamo.table("bare");
    let ResourceState::Notice(what) = found(&done, &format!("table {bare}")) else { panic!("{done:#?}") };
    assert!(what.contains("account's key") && what.contains("refuses (DynamoDB: ValidationException"), "{what}");
    assert_eq!(*found(&done, &format!("index {bare}/lists")), ResourceState::Made, "it goes on with the rest");
}

/// Makes a table with the keys of `spec` and nothing else that it asks for.
async fn create_bare(dynamo: &Dynamo, spec: &TableSpec) {
    let keys =
        std::iter::once((&spec.partition, KeyType::Hash)).chain(spec.sort.as_ref().map(|key| (key, KeyType::Range)));
    let mut request = dynamo.client().create_table().table_name(dynamo.table(&spec.name));
    for (key, role) in keys {
        let kind = match key.kind {
            schema::KeyType::Text => ScalarAttributeType::S,
            schema::KeyType::Number => ScalarAttributeType::N,
        };
        let definition = AttributeDefinition::builder().attribute_name(&key.name).attribute_type(kind).build().unwrap();
        let element = KeySchemaElement::builder().attribute_name(&key.name).key_type(role).build().unwrap();
        request = request.attribute_definitions(definition).key_schema(element);
    }
    let throughput = ProvisionedThroughput::builder().read_capacity_units(1).write_capacity_units(1).build().unwrap();
    request.billing_mode(BillingMode::Provisioned).provisioned_throughput(throughput).send().await.unwrap();
}

#[actix_web::test]
async fn recovery_that_was_turned_off_is_turned_on() {
    let dynamo = deployment(Kind::Ministack).await;
    let tables = [table(VIEWS)];
    setup(&dynamo, &tables).await.unwrap();
    let name = dynamo.table(VIEWS);
    let off = PointInTimeRecoverySpecification::builder().point_in_time_recovery_enabled(false).build().unwrap();
    let request =
        dynamo.client().update_continuous_backups().table_name(&name).point_in_time_recovery_specification(off);
    request.send().await.unwrap();
    assert!(found(&check(&dynamo, &tables).await.unwrap(), &format!("recovery {name}")).is_wrong());
    let after = setup(&dynamo, &tables).await.unwrap();
    assert!(
        matches!(found(&after, &format!("recovery {name}")), ResourceState::Changed(how) if how.contains("35 days"))
    );
}

#[actix_web::test]
async fn a_table_of_something_else_is_not_touched() {
    each(async |dynamo| {
        let name = dynamo.table(VIEWS);
        let element = KeySchemaElement::builder().attribute_name("id").key_type(KeyType::Hash).build().unwrap();
        let id = AttributeDefinition::builder().attribute_name("id").attribute_type(ScalarAttributeType::N);
        let create = dynamo.client().create_table().table_name(&name).billing_mode(BillingMode::PayPerRequest);
        create.attribute_definitions(id.build().unwrap()).key_schema(element).send().await.unwrap();
        let describe = async || dynamo.client().describe_table().table_name(&name).send().await.unwrap().table.unwrap();
        let before = describe().await;
        for done in [setup(&dynamo, &[table(VIEWS)]).await.unwrap(), check(&dynamo, &[table(VIEWS)]).await.unwrap()] {
            assert_eq!(done.len(), 1, "{done:#?}");
            let ResourceState::Different(how) = &done[0].found else { panic!("{done:#?}") };
            assert!(how.contains("its keys are id (N), not k (S), r (S)") && how.contains("aws.prefix"), "{how}");
        }
        let after = describe().await;
        assert_eq!(after.global_secondary_indexes(), before.global_secondary_indexes());
        assert_eq!(after.deletion_protection_enabled(), before.deletion_protection_enabled());
    })
    .await;
}

#[actix_web::test]
async fn a_wrong_index_is_said_and_a_foreign_one_is_left_alone() {
    each(async |dynamo| {
        let spec = table(EVENTS);
        let wrong_feed = TableSpec {
            indexes: vec![
                schema::IndexSpec { projected: schema::Projected::All, ..spec.indexes[0].clone() },
                schema::IndexSpec { name: "of-an-older-version".to_owned(), ..spec.indexes[1].clone() },
            ],
            ..spec.clone()
        };
        setup(&dynamo, &[wrong_feed]).await.unwrap();
        let name = dynamo.table(EVENTS);
        let done = setup(&dynamo, from_ref(&spec)).await.unwrap();
        let ResourceState::Different(how) = found(&done, &format!("index {name}/feed")) else { panic!("{done:#?}") };
        assert!(how.contains("holds ALL, not KEYS_ONLY") && how.contains("delete the index"), "{how}");
        assert_eq!(*found(&done, &format!("index {name}/outbox")), ResourceState::Made);
        let ResourceState::Notice(how) = found(&done, &format!("index {name}/of-an-older-version")) else {
            panic!("{done:#?}")
        };
        assert!(how.contains(&format!("aws dynamodb update-table --table-name {name} ")), "{how}");
        let indexes = dynamo.client().describe_table().table_name(&name).send().await.unwrap().table.unwrap();
        assert_eq!(indexes.global_secondary_indexes().len(), 3, "nothing was deleted");
    })
    .await;
}

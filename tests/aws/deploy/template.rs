//! `deploy/cloudformation.yaml`: it describes what `permitd aws setup` makes, and allows what the code does.

use std::{collections::BTreeSet, path::Path};

use permitd::{
    aws::{Access, ResourceState, SetupAction},
    dataset::Definition,
    mail::{Sender, ses},
    queue::{Policy, sqs},
    store::dynamodb::{
        Dynamo, schema,
        schema::{KeyAttribute, KeyType, Projected, TableSpec},
        setup::{check, setup},
    },
};
use serde_json::{Value, json};

use super::{
    deployed::{deploy, read_yaml},
    operations::{self, Place},
};
use crate::support::{
    self,
    emulator::{self, Kind},
};

fn template() -> Value {
    read_yaml("deploy/cloudformation.yaml")
}

fn tables() -> Vec<TableSpec> {
    let definitions = Definition::builtin().unwrap();
    schema::base_tables().into_iter().chain(definitions.iter().map(schema::records)).collect()
}

/// The resources of a type, by their names in the template.
fn resources<'t>(template: &'t Value, kind: &str) -> Vec<(&'t str, &'t Value)> {
    let all = template["Resources"].as_object().unwrap().iter();
    all.filter(|(_, resource)| resource["Type"] == kind).map(|(name, resource)| (name.as_str(), resource)).collect()
}

/// The properties that a table has in the template, all of them.
fn properties(table: &TableSpec) -> Value {
    let element = |key: &KeyAttribute, role: &str| json!({ "AttributeName": key.name, "KeyType": role });
    let keys = |partition: &KeyAttribute, sort: Option<&KeyAttribute>| {
        let sort = sort.map(|sort| element(sort, "RANGE"));
        Value::from_iter(std::iter::once(element(partition, "HASH")).chain(sort))
    };
    let mut all: Vec<&KeyAttribute> = std::iter::once(&table.partition).chain(&table.sort).collect();
    all.extend(table.indexes.iter().flat_map(|index| [&index.partition, &index.sort]));
    all.sort_by_key(|key| &key.name);
    all.dedup();
    let definition = |key: &&KeyAttribute| {
        let kind = match key.kind {
            KeyType::Text => "S",
            KeyType::Number => "N",
        };
        json!({ "AttributeName": key.name, "AttributeType": kind })
    };
    let mut properties = json!({
        "TableName": { "Fn::Sub": format!("${{Prefix}}-{}", table.name) },
        "BillingMode": "PAY_PER_REQUEST",
        "DeletionProtectionEnabled": true,
        "SSESpecification": { "SSEEnabled": true },
        "PointInTimeRecoverySpecification": {
            "PointInTimeRecoveryEnabled": true,
            "RecoveryPeriodInDays": table.recovery_days,
        },
        "AttributeDefinitions": all.iter().map(definition).collect::<Vec<_>>(),
        "KeySchema": keys(&table.partition, table.sort.as_ref()),
    });
    if let Some(attribute) = table.expires {
        properties["TimeToLiveSpecification"] = json!({ "AttributeName": attribute, "Enabled": true });
    }
    if !table.indexes.is_empty() {
        let indexes = table.indexes.iter().map(|index| {
            let projected = match index.projected {
                Projected::Keys => "KEYS_ONLY",
                Projected::All => "ALL",
            };
            json!({
                "IndexName": index.name,
                "KeySchema": keys(&index.partition, Some(&index.sort)),
                "Projection": { "ProjectionType": projected },
            })
        });
        properties["GlobalSecondaryIndexes"] = Value::from_iter(indexes);
    }
    properties
}

#[test]
fn the_template_has_the_tables_of_the_schema_and_no_others() {
    let template = template();
    let described = resources(&template, "AWS::DynamoDB::Table");
    for (name, resource) in &described {
        assert_eq!(resource["DeletionPolicy"], "Retain", "{name}");
        assert_eq!(resource["UpdateReplacePolicy"], "Retain", "{name}");
    }
    for table in tables() {
        let expected = properties(&table);
        let found = described.iter().find(|(_, resource)| resource["Properties"]["TableName"] == expected["TableName"]);
        let (_, found) = found.unwrap_or_else(|| panic!("the template has no table {}", table.name));
        assert_eq!(found["Properties"], expected, "{}", table.name);
    }
    assert_eq!(described.len(), tables().len());
}

#[test]
fn the_queues_are_those_of_the_default_policy() {
    let template = template();
    let queues = resources(&template, "AWS::SQS::Queue");
    let policy = Policy::default();
    let retention_s = policy.retention_days * 24 * 60 * 60;
    let messages = json!({
        "QueueName": { "Fn::Sub": "${Prefix}-messages" },
        "VisibilityTimeout": policy.visibility_s,
        "MessageRetentionPeriod": retention_s,
        "SqsManagedSseEnabled": true,
        "RedrivePolicy": {
            "deadLetterTargetArn": { "Fn::GetAtt": ["DeadLettersQueue", "Arn"] },
            "maxReceiveCount": policy.receives_max,
        },
    });
    let dead_letters = json!({
        "QueueName": { "Fn::Sub": "${Prefix}-dead-letters" },
        "MessageRetentionPeriod": retention_s,
        "SqsManagedSseEnabled": true,
    });
    let found: Vec<_> = queues.iter().map(|(name, queue)| (*name, &queue["Properties"])).collect();
    // Bounces are worked on by the same mailers, under the same policy.
    let mut feedback = messages.clone();
    feedback["QueueName"] = json!({ "Fn::Sub": "${Prefix}-mail-feedback" });
    let expected = [("MessagesQueue", &messages), ("DeadLettersQueue", &dead_letters), ("FeedbackQueue", &feedback)];
    assert_eq!(found, expected);
}

/// Deploys the template, and compares what it made with what there should be.
async fn deploys(mail_identity: Option<&str>) {
    let (endpoints, prefix) = (emulator::shared_endpoints(Kind::Ministack), emulator::prefix());
    let mut parameters = vec![("Prefix", prefix.as_str())];
    parameters.extend(mail_identity.map(|identity| ("MailIdentity", identity)));
    let outputs = deploy(endpoints.dynamodb.as_deref().unwrap(), &prefix, "deploy/cloudformation.yaml", &parameters);
    assert_eq!(outputs["Prefix"], prefix.as_str());
    assert_eq!(outputs.get("ConfigurationSet").is_some(), mail_identity.is_some());

    let access: Access = emulator::access(endpoints).await;
    let dynamo = Dynamo::new(&access, &prefix);
    let tables = tables();
    let checked = check(&dynamo, &tables).await.unwrap();
    assert!(checked.len() > 2 * tables.len());
    for row in &checked {
        // The emulator's CloudFormation makes tables without the encryption, the recovery and the expiry that a template asks for;
        // its DynamoDB knows them, and the template has them (see above).
        let is_the_emulators = match &row.found {
            ResourceState::Different(how) if row.resource.starts_with("table ") => {
                how.starts_with("it is not encrypted with the account's key")
            }
            ResourceState::Different(how) => {
                let is_left_off = ["recovery ", "expiry "].iter().any(|what| row.resource.starts_with(what));
                is_left_off && how.starts_with("it is off")
            }
            _ => false,
        };
        assert!(row.found == ResourceState::Right || is_the_emulators, "{row:?}");
    }
    for row in sqs::setup(&access, &prefix, Policy::default(), SetupAction::Check).await.unwrap() {
        assert_eq!(row.found, ResourceState::Right, "{row:?}");
    }
    if let Some(identity) = mail_identity {
        let sender = Sender::parse(&format!("permitd@{identity}"), "").unwrap();
        for row in ses::setup(&access, &sender, &prefix, SetupAction::Check).await.unwrap() {
            assert_eq!(row.found, ResourceState::Right, "{row:?}");
        }
        let name = format!("{prefix}-mail-feedback");
        let (queue, place) =
            sqs::setup_feedback(&access, &prefix, &name, Policy::default(), SetupAction::Check).await.unwrap();
        assert_eq!(queue.found, ResourceState::Right, "{queue:?}");
        for row in ses::setup_feedback(&access, &place.unwrap(), &prefix, SetupAction::Check).await.unwrap() {
            assert_eq!(row.found, ResourceState::Right, "{row:?}");
        }
    }
    let put_right = setup(&dynamo, &tables).await.unwrap();
    let says_no_days = |row: &permitd::aws::CheckedResource| {
        row.resource == format!("recovery {prefix}-personal") && matches!(row.found, ResourceState::Notice(_))
    };
    for row in check(&dynamo, &tables).await.unwrap() {
        assert!(row.found == ResourceState::Right || says_no_days(&row), "{row:?}, after {put_right:#?}");
    }
}

#[actix_web::test]
async fn it_deploys_and_check_finds_what_it_should() {
    deploys(Some(&format!("{}.example.org", emulator::prefix()))).await;
}

#[actix_web::test]
async fn it_deploys_without_mail() {
    deploys(None).await;
}

/// The statements of a policy; those under a condition, too.
fn statements(template: &Value, policy: &str) -> Vec<Value> {
    let statements = template["Resources"][policy]["Properties"]["PolicyDocument"]["Statement"].as_array().unwrap();
    let one = |statement: &Value| statement.get("Fn::If").map_or_else(|| statement.clone(), |branch| branch[1].clone());
    statements.iter().map(one).collect()
}

fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Array(list) => list.iter().flat_map(texts).collect(),
        Value::String(text) => vec![text.clone()],
        other => vec![other.to_string()],
    }
}

fn actions(template: &Value, policy: &str) -> BTreeSet<String> {
    statements(template, policy).iter().flat_map(|statement| texts(&statement["Action"])).collect()
}

#[test]
fn the_policies_name_actions_and_resources() {
    let template = template();
    for policy in ["NodePolicy", "TransferPolicy", "SetupPolicy"] {
        for statement in statements(&template, policy) {
            assert_eq!(statement["Effect"], "Allow");
            let actions = texts(&statement["Action"]);
            assert!(actions.iter().all(|action| !action.contains('*')), "{statement}");
            let sorted: BTreeSet<&String> = actions.iter().collect();
            assert!(sorted.iter().copied().eq(&actions), "sorted, and each once: {statement}");
            for resource in texts(&statement["Resource"]) {
                // What SES says of the account belongs to no resource.
                let is_of_the_account = resource == "*" && actions == ["ses:GetAccount"];
                let is_of_this_deployment = resource.contains("Fn::GetAtt")
                    || resource.contains("${Prefix}-")
                    || resource.contains(".Arn}/index/*")
                    || resource.contains("identity/${MailIdentity}")
                    || resource.contains("configuration-set/${MailConfigurationSet}");
                let only_looks = resource.ends_with(":identity/*\"}") && actions == ["ses:GetEmailIdentity"];
                assert!(is_of_the_account || is_of_this_deployment || only_looks, "{policy}: {resource}");
            }
        }
    }
    let deleting = ["DeleteTable", "DeleteQueue", "PurgeQueue", "DeleteEmailIdentity", "DeleteConfigurationSet"];
    let all: BTreeSet<String> =
        actions(&template, "NodePolicy").union(&actions(&template, "SetupPolicy")).cloned().collect();
    assert!(!all.iter().any(|action| deleting.iter().any(|word| action.ends_with(word))));
}

#[test]
fn setup_is_allowed_what_its_code_does_and_no_more() {
    let template = template();
    let of = |service: &str, actions: BTreeSet<String>| -> BTreeSet<String> {
        actions.into_iter().filter(|action| action.starts_with(service)).collect()
    };
    let (used, allowed) = (operations::actions(Place::Setup), actions(&template, "SetupPolicy"));
    assert_eq!(of("dynamodb:", used.clone()), of("dynamodb:", allowed.clone()));
    let refused: Vec<_> = used.difference(&allowed).collect();
    assert!(refused.is_empty(), "the code does what the policy does not allow: {refused:?}");
    // It also looks things up by functions that a node has.
    let shared = operations::actions(Place::Node);
    let idle: Vec<_> = allowed.difference(&used).filter(|action| !shared.contains(*action)).collect();
    assert!(idle.is_empty(), "the policy allows what no code does: {idle:?}");
}

#[test]
fn a_node_is_allowed_what_its_code_does_and_no_more() {
    let (used, allowed) = (operations::actions(Place::Node), actions(&template(), "NodePolicy"));
    let refused: Vec<_> = used.difference(&allowed).collect();
    assert!(refused.is_empty(), "the code does what the policy does not allow: {refused:?}");
    let idle: Vec<_> = allowed.difference(&used).collect();
    assert!(idle.is_empty(), "the policy allows what no code does: {idle:?}");
}

#[test]
fn the_template_fits_into_what_cloudformation_takes() {
    let bytes = std::fs::metadata(support::repository().join(Path::new("deploy/cloudformation.yaml"))).unwrap().len();
    assert!(bytes <= 51_200, "a template that is sent with its request has at most 51,200 bytes, this one has {bytes}");
    let handbook = std::fs::read_to_string(support::repository().join("docs/OPERATIONS.md")).unwrap();
    let template = template();
    for (name, alarm) in resources(&template, "AWS::CloudWatch::Alarm") {
        let properties = &alarm["Properties"];
        assert_eq!(properties["TreatMissingData"], "notBreaching", "{name}: no traffic is no alarm");
        assert!(properties["AlarmDescription"].as_str().is_some_and(|text| text.is_ascii()), "{name}");
        let shown = texts(&properties["AlarmName"]["Fn::Sub"])[0].replace("${Prefix}", "<prefix>");
        assert!(
            handbook.contains(&format!("| `{shown}` |")),
            "docs/OPERATIONS.md does not say what to do about {shown}"
        );
    }
}

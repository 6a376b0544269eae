//! Which operations of AWS the source uses, and what a policy has to allow for them.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use crate::support;

/// Calls of the SDK, and the actions that they need.
const OPERATIONS: &[(&str, &[&str])] = &[
    ("batch_get_item", &["dynamodb:BatchGetItem"]),
    ("batch_write_item", &["dynamodb:BatchWriteItem"]),
    ("create_table", &["dynamodb:CreateTable"]),
    ("delete_item", &["dynamodb:DeleteItem"]),
    ("describe_continuous_backups", &["dynamodb:DescribeContinuousBackups"]),
    ("describe_table", &["dynamodb:DescribeTable"]),
    ("describe_time_to_live", &["dynamodb:DescribeTimeToLive"]),
    ("get_item", &["dynamodb:GetItem"]),
    ("put_item", &["dynamodb:PutItem"]),
    ("query", &["dynamodb:Query"]),
    ("scan", &["dynamodb:Scan"]),
    ("transact_get_items", &["dynamodb:GetItem"]),
    // It is allowed by what is in it: see TRANSACTED.
    ("transact_write_items", &[]),
    ("update_continuous_backups", &["dynamodb:UpdateContinuousBackups"]),
    ("update_item", &["dynamodb:UpdateItem"]),
    ("update_table", &["dynamodb:UpdateTable"]),
    ("update_time_to_live", &["dynamodb:UpdateTimeToLive"]),
    ("change_message_visibility", &["sqs:ChangeMessageVisibility"]),
    ("change_message_visibility_batch", &["sqs:ChangeMessageVisibility"]),
    ("create_queue", &["sqs:CreateQueue"]),
    ("delete_message", &["sqs:DeleteMessage"]),
    ("delete_message_batch", &["sqs:DeleteMessage"]),
    ("get_queue_attributes", &["sqs:GetQueueAttributes"]),
    ("get_queue_url", &["sqs:GetQueueUrl"]),
    ("receive_message", &["sqs:ReceiveMessage"]),
    ("send_message", &["sqs:SendMessage"]),
    ("send_message_batch", &["sqs:SendMessage"]),
    ("set_queue_attributes", &["sqs:SetQueueAttributes"]),
    ("create_configuration_set", &["ses:CreateConfigurationSet"]),
    ("create_email_identity", &["ses:CreateEmailIdentity"]),
    ("create_configuration_set_event_destination", &["ses:CreateConfigurationSetEventDestination"]),
    ("get_configuration_set_event_destinations", &["ses:GetConfigurationSetEventDestinations"]),
    ("update_configuration_set_event_destination", &["ses:UpdateConfigurationSetEventDestination"]),
    ("create_topic", &["sns:CreateTopic"]),
    ("get_topic_attributes", &["sns:GetTopicAttributes"]),
    ("list_subscriptions_by_topic", &["sns:ListSubscriptionsByTopic"]),
    ("set_topic_attributes", &["sns:SetTopicAttributes"]),
    ("subscribe", &["sns:Subscribe"]),
    ("get_account", &["ses:GetAccount"]),
    ("get_configuration_set", &["ses:GetConfigurationSet"]),
    ("get_email_identity", &["ses:GetEmailIdentity"]),
    // A mail that is sent as a whole needs both.
    ("send_email", &["ses:SendEmail", "ses:SendRawEmail"]),
];

/// What may stand in a transaction, and the actions that it needs.
const TRANSACTED: &[(&str, &str)] = &[
    ("ConditionCheck::builder()", "dynamodb:ConditionCheckItem"),
    ("Delete::builder()", "dynamodb:DeleteItem"),
    ("Put::builder()", "dynamodb:PutItem"),
    ("Update::builder()", "dynamodb:UpdateItem"),
];

/// Methods of a client that send nothing.
const NOT_SENT: &[&str] = &["clone", "config"];

/// Where code runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// In a server, or a command beside it.
    Node,
    /// In `permitd aws`: files and folders named `setup`.
    Setup,
}

/// The actions that the source needs.
///
/// # Panics
/// When a client is asked for something that is not in the lists above.
pub(crate) fn actions(place: Place) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for file in files() {
        // The repository itself may lie in a folder of any name.
        let inside = file.strip_prefix(support::repository()).unwrap();
        let is_setup = inside.iter().any(|part| ["setup", "setup.rs"].contains(&&*part.to_string_lossy()));
        if is_setup != (place == Place::Setup) {
            continue;
        }
        let text = code(&std::fs::read_to_string(&file).unwrap());
        for name in called_on_clients(&text) {
            let is_known =
                OPERATIONS.iter().any(|(operation, _)| *operation == name) || NOT_SENT.contains(&name.as_str());
            assert!(is_known, "{}: {name} is not in the list of operations", file.display());
        }
        for (operation, actions) in OPERATIONS {
            if text.contains(&format!(".{operation}()")) {
                found.extend(actions.iter().map(ToString::to_string));
            }
        }
        for (built, action) in TRANSACTED {
            let before = |at: usize| text[..at].chars().next_back();
            let stands_alone = |at: usize| !before(at).is_some_and(|c| c.is_alphanumeric() || c == '_');
            if text.contains("TransactWriteItem") && text.match_indices(built).any(|(at, _)| stands_alone(at)) {
                found.insert((*action).to_owned());
            }
        }
    }
    found
}

/// The files whose code talks to AWS, tests left out.
fn files() -> Vec<PathBuf> {
    let source = support::repository().join("src");
    let mut files = Vec::new();
    for part in ["store/dynamodb", "queue", "mail"] {
        walk(&source.join(part), &mut files);
    }
    assert!(files.len() > 10);
    files
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && name != "tests" {
            walk(&path, files);
        } else if name.ends_with(".rs") && name != "tests.rs" {
            files.push(path);
        }
    }
}

/// The code without its tests, comments and spaces.
fn code(text: &str) -> String {
    let code = text.split("#[cfg(test)]").next().unwrap();
    let lines = code.lines().map(|line| line.split("//").next().unwrap());
    lines.flat_map(str::chars).filter(|c| !c.is_whitespace()).collect()
}

/// What is called on something whose name ends with `client`.
fn called_on_clients(text: &str) -> Vec<String> {
    let mut called = Vec::new();
    for client in ["client.", "client()."] {
        for (at, _) in text.match_indices(client) {
            let rest = &text[at + client.len()..];
            let name: String = rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
            if rest[name.len()..].starts_with("()") {
                called.push(name);
            }
        }
    }
    called
}

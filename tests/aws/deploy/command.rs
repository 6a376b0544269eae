//! `permitd aws`, through the real program.

use std::{
    path::Path,
    process::{Command, Output},
};

use serde_json::Value;

use crate::support::{
    self,
    emulator::{self, Kind},
};

/// The program, as it is run on a machine of AWS: all from the environment, in an empty folder.
fn permitd(endpoint: &str, prefix: &str, arguments: &[&str]) -> (Output, tempfile::TempDir) {
    let folder = support::data_dir();
    let mut command = support::permitd();
    let output = deployment(&mut command, folder.path(), endpoint, prefix).args(arguments).output().unwrap();
    (output, folder)
}

fn deployment<'c>(command: &'c mut Command, folder: &Path, endpoint: &str, prefix: &str) -> &'c mut Command {
    command
        .current_dir(folder)
        .env("PERMITD_AWS_PREFIX", prefix)
        .env("PERMITD_MAIL_FROM", format!("permitd@{prefix}.example.org"))
        .env("PERMITD_MAIL_SES_CONFIGURATION_SET", prefix)
        .env("AWS_ENDPOINT_URL", endpoint)
        .env("AWS_REGION", "eu-central-1")
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .env("AWS_EC2_METADATA_DISABLED", "true")
}

fn endpoint() -> String {
    emulator::shared_endpoints(Kind::Ministack).dynamodb.unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn setup_makes_a_deployment_and_check_finds_it() {
    let (endpoint, prefix) = (endpoint(), emulator::prefix());
    let run = |arguments: &[&str]| permitd(&endpoint, &prefix, arguments);
    let json = |arguments: &[&str]| {
        let (output, _) = run(&[arguments, &["--json"]].concat());
        let document: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
        (output.status.code().unwrap(), document)
    };

    let (exit, missing) = json(&["aws", "check"]);
    let rows = missing["resources"].as_array().unwrap();
    // The account is there before anything else.
    let ours = rows.iter().filter(|row| row["resource"] != "SES account");
    assert!(ours.clone().all(|row| row["found"] == "missing"), "{missing}");
    assert_eq!(
        (exit, missing["wrong"].as_u64(), ours.count()),
        (1, Some(13), 13),
        "tables, queues, sender, set: {missing}"
    );
    assert_eq!((&missing["prefix"], &missing["region"]), (&prefix.as_str().into(), &"eu-central-1".into()));
    let (output, folder) = run(&["aws", "check"]);
    let shown = text(&output.stdout);
    let line = format!("table {prefix}-events\tmissing\trun `permitd aws setup`\n");
    assert!(output.status.code() == Some(1) && shown.contains(&line), "{shown}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "no data directory is made");

    let (output, _) = run(&["aws", "setup"]);
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{shown}{}", text(&output.stderr));
    let resources = [
        "table P-events",
        "index P-events/feed",
        "table P-records-permits",
        "table P-secrets",
        "queue P-messages",
        "queue P-dead-letters",
        "configuration set P",
    ];
    for resource in resources {
        let made = format!("{}\tmade", resource.replace('P', &prefix));
        assert!(shown.contains(&made), "{made}: {shown}");
    }
    let (exit, again) = json(&["aws", "setup"]);
    let states: Vec<&str> =
        again["resources"].as_array().unwrap().iter().map(|row| row["found"].as_str().unwrap()).collect();
    assert!(exit == 0 && states.iter().all(|state| ["right", "notice"].contains(state)), "{again}");
    assert_eq!(json(&["aws", "check"]), (0, again));
}

#[test]
fn further_definitions_have_tables_of_their_own() {
    let (endpoint, prefix) = (endpoint(), emulator::prefix());
    let datasets = support::repository().join("tests/datasets");
    let arguments = ["aws", "setup", "--datasets", datasets.to_str().unwrap()];
    let (output, _) = permitd(&endpoint, &prefix, &arguments);
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{shown}{}", text(&output.stderr));
    assert!(shown.contains(&format!("table {prefix}-records-missoula\tmade")), "{shown}");
    let (output, _) = permitd(&endpoint, &prefix, &["aws", "check", "--datasets", "no/such/folder"]);
    assert!(text(&output.stderr).contains("no/such/folder"), "{output:?}");
    assert_eq!(output.status.code(), Some(2), "a wrong setting");
}

#[test]
fn a_service_that_is_away_is_said_with_the_exit_code_for_it() {
    let nobody = support::Nobody::new();
    let away = format!("http://{}", nobody.address());
    let (output, _) = permitd(&away, "away", &["aws", "check", "--json"]);
    let error: Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(5));
    let message = error["error"]["message"].as_str().unwrap();
    assert!(message.contains("table away-events") && message.contains("cannot be reached"), "{message}");
}

#[test]
fn without_region_or_credentials_it_is_said_what_to_set() {
    let endpoint = endpoint();
    let folder = support::data_dir();
    // Without a home there are no profiles.
    let run = |variables: &[(&str, &str)]| {
        let mut command = support::permitd();
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("AWS_")) {
            command.env_remove(name);
        }
        command.current_dir(folder.path()).args(["aws", "setup"]).env("HOME", folder.path());
        command.env("AWS_ENDPOINT_URL", &endpoint).env("AWS_EC2_METADATA_DISABLED", "true");
        let output = command.envs(variables.iter().copied()).output().unwrap();
        (output.status.code().unwrap(), text(&output.stderr))
    };
    let (exit, error) = run(&[]);
    assert!(exit == 2 && error.contains("AWS_REGION"), "{error}");
    let (exit, error) = run(&[("AWS_REGION", "eu-central-1")]);
    assert!(exit == 2 && error.contains("AWS_ACCESS_KEY_ID") && error.contains("AWS_PROFILE"), "{error}");
}

/// Whatever is logged: the SDK would show whole requests, with keys, addresses and the server secret in them.
#[test]
fn the_most_talkative_log_tells_no_secret() {
    let (endpoint, prefix) = (endpoint(), emulator::prefix());
    let mut said = String::new();
    for arguments in [&["aws", "setup"][..], &["invite", "ana@example.org", "--backend", "aws"]] {
        let mut command = support::permitd();
        let folder = support::data_dir();
        let output = deployment(&mut command, folder.path(), &endpoint, &prefix)
            .args(arguments)
            .env("PERMITD_LOG_FILTER", "trace,aws_smithy_runtime=trace,aws_smithy_runtime::client=trace")
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        said += &text(&output.stderr);
    }
    for secret in ["ana@example.org", "versions", "AttributeValue", "{\"S\":"] {
        let line = said.lines().find(|line| line.contains(secret));
        assert!(line.is_none(), "{secret}: {}", line.unwrap().chars().take(300).collect::<String>());
    }
}

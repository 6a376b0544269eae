//! A log that is moved by files, from either store into a file's and back, by processes that die at each step.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use reqwest::Method;
use serde_json::Value;

use crate::{
    MODE,
    deployment::Deployment,
    support::{Process, backend::Mode},
};

const ANA: &str = "ana@example.org";
const EVE: &str = "eve@example.org";
/// Where an import may die, in the order of its steps.
const STEPS: [&str; 4] = ["import-log-batch", "import-log-written", "import-log-settled", "import-log-before-finish"];

/// Where a log is moved to: variables that differ from the deployment's.
type Elsewhere = BTreeMap<&'static str, String>;

fn command(from: &Deployment, to: &Elsewhere, failpoints: &str) -> Command {
    let mut command = from.command(failpoints);
    command.envs(to).current_dir(from.place().folder());
    command
}

/// Runs the program; whether it ended well, and what it printed.
fn run(from: &Deployment, to: &Elsewhere, failpoints: &str, arguments: &[&str]) -> (bool, String) {
    let output = command(from, to, failpoints).args(arguments).output().unwrap();
    (output.status.success(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

/// Exports with all keys, and without, so that what differs is seen.
fn export(of: &Deployment, at: &Elsewhere, name: &str) -> Vec<String> {
    let encrypted = format!("{name}.age");
    let with = ["--with-personal-keys", "--with-secret", "--passphrase-file", "phrase"];
    for arguments in [&["events", "export", name][..], &[&["events", "export", encrypted.as_str()][..], &with].concat()]
    {
        let (well, text) = run(of, at, "", arguments);
        assert!(well, "{arguments:?}: {text}");
    }
    let file = fs::File::open(of.place().folder().join(name)).unwrap();
    let text = String::from_utf8(zstd::decode_all(file).unwrap()).unwrap();
    text.lines().filter(|line| line.starts_with("{\"commit\"")).map(ToOwned::to_owned).collect()
}

/// Imports, dying at each step and beginning again.
fn import(of: &Deployment, to: &Elsewhere, name: &str) {
    let encrypted = format!("{name}.age");
    let arguments = ["events", "import", encrypted.as_str(), "--passphrase-file", "phrase"];
    for step in STEPS {
        let (well, text) = run(of, to, &format!("{step}=return"), &arguments);
        assert!(!well, "{step}: it was killed: {text}");
        let (well, text) = run(of, to, "", &["users", "list"]);
        assert!(!well && text.contains("not complete"), "{step}: {text}");
    }
    let (well, text) = run(of, to, "", &arguments);
    assert!(well, "{text}");
    // Records are in no log file: that they are not there is all that differs.
    let (_, text) = run(of, to, "", &["events", "verify"]);
    assert!(text.contains("records permits") && text.contains("\n1 difference: "), "{text}");
}

fn embedded(folder: &Path, name: &str) -> Elsewhere {
    let data = folder.join(name).display().to_string();
    [("PERMITD_BACKEND", "sqlite".to_owned()), ("PERMITD_DATA", data)].into()
}

#[tokio::test]
async fn a_log_is_moved_and_moved_back_by_processes_that_die_and_its_keys_work() {
    let deployment = Deployment::new().await;
    let folder = deployment.place().folder().to_owned();
    fs::write(folder.join("phrase"), "correct horse battery\n").unwrap();
    let (well, text) = deployment.import("", 20);
    assert!(well, "{text}");
    let mut serving = deployment.serve("");
    let ana = deployment.invite(&serving, ANA).await.unwrap();
    let eve = deployment.invite(&serving, EVE).await.unwrap();
    let key = deployment.check_invited(&serving, &ana, ANA).await;
    deployment.check_invited(&serving, &eve, EVE).await;
    deployment.delete(&serving, &eve).await.unwrap();
    deployment.check_deleted(&serving, &eve, EVE).await;
    serving.process.kill();

    let here = Elsewhere::new();
    let there = embedded(&folder, "there");
    let back = match MODE {
        Mode::Sqlite => embedded(&folder, "back"),
        Mode::Aws => {
            let prefix = format!("{}-back", deployment.place().table("").trim_end_matches('-'));
            let back = [("PERMITD_AWS_PREFIX", prefix), ("PERMITD_DATA", folder.join("back").display().to_string())];
            let back = back.into();
            let (well, text) = run(&deployment, &back, "", &["aws", "setup"]);
            assert!(well, "{text}");
            back
        }
    };
    let first = export(&deployment, &here, "first");
    import(&deployment, &there, "first");
    let second = export(&deployment, &there, "second");
    import(&deployment, &back, "second");
    let third = export(&deployment, &back, "third");
    assert!(first.len() > 5, "{first:?}");
    assert_eq!(first, second, "byte for byte");
    assert_eq!(second, third);

    // It is served there, and goes on.
    let mut program = command(&deployment, &back, "");
    program.args(["serve", "--json"]);
    let (_process, ready) = Process::start(&mut program, |line| serde_json::from_str::<Value>(line).ok());
    let url = ready["url"].as_str().unwrap();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let status = async |path: &str, header: (&str, &str)| {
        let answer = client.get(format!("{url}{path}")).header(header.0, header.1).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    deployment.until("Ana's key works", async || status("/datasets", ("x-api-key", &key)).await.0 == 200).await;
    let bearer = format!("Bearer {}", deployment.token());
    let (code, person) = status(&format!("/users/{ana}"), ("authorization", &bearer)).await;
    assert!(code == 200 && person.contains(ANA), "{code} {person}");
    let (_, person) = status(&format!("/users/{eve}"), ("authorization", &bearer)).await;
    assert!(!person.contains(EVE), "who was erased stays so: {person}");
    let invited = client
        .request(Method::POST, format!("{url}/users"))
        .header("authorization", &bearer)
        .header("idempotency-key", "again")
        .json(&serde_json::json!({ "email": ANA }))
        .send()
        .await
        .unwrap();
    assert_eq!(invited.status().as_u16(), 409, "her address is hers");
}

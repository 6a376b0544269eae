//! Backups: whole or not there, of one moment, and put back as they were.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    sync::atomic::{AtomicBool, Ordering},
};

use serde_json::Value;

use super::{Home, key_in, number, server::Server};

const RECORD: &str = "/permits/201612013997";

/// A folder with data, a person and their key.
fn with_data() -> (Home, String) {
    let home = Home::new();
    home.sample(40, "a.csv");
    home.json(&["import", "a.csv", "--dataset", "permits"]);
    home.json(&["invite", "ana@example.org", "--name", "Ana"]);
    let key = key_in(&home.mails()[0]);
    (home, key)
}

fn verified(home: &Home, data: &str) -> Value {
    let found = home.json(&["events", "verify", "--data", data]);
    assert_eq!(number(&found, "differences"), 0, "{found}");
    found
}

/// A server of another data directory in the folder.
fn serving(home: &Home, data: &str) -> Server {
    Server::with(home, "serve", Stdio::inherit(), &[("PERMITD_DATA", data)])
}

/// What is left of the day's quota, as an answer says it.
async fn daily_left(server: &Server, key: &str) -> u64 {
    let url = format!("{}{RECORD}", server.ready()["url"].as_str().unwrap());
    let answer = server.client().get(url).header("x-api-key", key).send().await.unwrap().error_for_status().unwrap();
    let limits = answer.headers()["ratelimit"].to_str().unwrap();
    limits.split("\"daily\";r=").nth(1).unwrap().split(';').next().unwrap().parse().unwrap()
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files_below(&path)) } else { found.push(path) }
    }
    found
}

fn holds(folder: &Path, what: &[u8]) -> bool {
    files_below(folder).iter().any(|path| fs::read(path).unwrap().windows(what.len()).any(|window| window == what))
}

/// Runs the program to where it is killed.
fn killed(home: &Home, failpoint: &str, arguments: &[&str]) {
    let output = home.command(arguments).env("FAILPOINTS", failpoint).output().unwrap();
    assert!(!output.status.success() && output.status.code().is_none(), "{failpoint}: {output:?}");
}

fn unfinished(home: &Home) -> usize {
    let names = fs::read_dir(home.folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter(|name| name.to_string_lossy().contains(".unfinished-")).count()
}

#[tokio::test]
async fn what_is_restored_goes_on_as_it_was() {
    let (home, key) = with_data();
    fs::create_dir(home.path("definitions")).unwrap();
    fs::write(home.data().join("permitd.toml"), "datasets = \"definitions\"\n[users]\ndefault_plan = \"default\"\n")
        .unwrap();
    fs::write(home.path("trees.csv"), "Tree No,Height\nT1,3\nT2,4\n").unwrap();
    fs::write(home.path("definitions/trees.toml"), home.run(&["import", "--define", "trees.csv"]).out).unwrap();
    home.json(&["import", "trees.csv", "--dataset", "trees"]);
    let server = Server::start(&home, "serve");
    let left = daily_left(&server, &key).await;
    let backup = home.json(&["backup", "kept"]);
    assert_eq!(
        backup["manifest"]["datasets"],
        serde_json::json!([
            { "name": "permits", "version": 1, "records": 40 }, { "name": "trees", "version": 1, "records": 2 },
        ])
    );
    for path in files_below(&home.path("kept")) {
        use std::os::unix::fs::MetadataExt;
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o077, 0, "{} is its owner's alone", path.display());
    }
    // What happens after it is not in it.
    home.json(&["invite", "bob@example.org"]);
    home.json(&["users", "delete", "ana@example.org", "--yes"]);
    drop(server);
    let restored = home.json(&["restore", "kept", "--data", "other"]);
    assert!(restored["notes"].to_string().contains("other/datasets"), "{restored}");
    verified(&home, "other");
    assert!(home.path("other/permitd.toml").exists() && home.path("other/datasets/trees.toml").exists());
    let people = home.json(&["users", "list", "--data", "other"]);
    assert_eq!(people["users"].as_array().unwrap().len(), 1);
    assert_eq!(people["users"][0]["email"], "ana@example.org");
    let server = serving(&home, "other");
    let after = daily_left(&server, &key).await;
    // A grant that was out at the moment counts as spent: less may be left, and never more.
    assert!(after < left, "{after} of {left}");
    assert_eq!(server.status("/trees/T1", &key).await, 200);
    drop(server);
    home.json(&["import", "trees.csv", "--dataset", "trees", "--data", "other"]);
    verified(&home, "other");
}

#[test]
fn a_backup_that_is_killed_is_none() {
    let (home, _) = with_data();
    for failpoint in ["backup-before-copy", "backup-copied", "backup-before-rename"] {
        killed(&home, &format!("{failpoint}=return"), &["backup", "kept"]);
        assert!(!home.path("kept").exists(), "{failpoint}");
        assert_eq!(unfinished(&home), 1, "what the one before left is gone");
        home.refused(3, &["restore", "kept", "--data", "other"]);
        assert!(!home.path("other").exists());
    }
    killed(&home, "backup-after-rename=return", &["backup", "kept"]);
    home.json(&["restore", "kept", "--data", "other"]);
    verified(&home, "other");
    home.json(&["backup", "again"]);
    verified(&home, "data");
}

#[tokio::test]
async fn a_restoring_that_is_killed_is_done_anew() {
    let (home, key) = with_data();
    home.json(&["backup", "kept"]);
    for failpoint in
        ["restore-begun=return", "restore-file=return", "1*off->restore-file=return", "restore-before-log=return"]
    {
        let failpoint = match failpoint.strip_prefix("1*off->") {
            Some(_) => "restore-file=1*off->return",
            None => failpoint,
        };
        killed(&home, failpoint, &["restore", "kept", "--data", "other"]);
        let said = home.refused(7, &["invite", "eve@example.org", "--data", "other"]);
        assert!(said.contains("other/"), "{failpoint}: half of it is no data directory: {said}");
    }
    killed(&home, "restore-after-log=return", &["restore", "kept", "--data", "other"]);
    verified(&home, "other");
    assert!(home.refused(4, &["restore", "kept", "--data", "other"]).contains("not empty"));
    let server = serving(&home, "other");
    assert_eq!(server.status(RECORD, &key).await, 200);
}

#[test]
fn a_damaged_backup_restores_nothing() {
    let (home, _) = with_data();
    home.json(&["backup", "kept"]);
    let records = home.path("kept/data/records/permits.db");
    let sound = fs::read(&records).unwrap();
    let mut other = sound.clone();
    *other.last_mut().unwrap() ^= 1;
    let refused = |words: &str| {
        let said = home.refused(7, &["restore", "kept", "--data", "other"]);
        assert!(said.contains(words), "{said}");
        assert!(!home.path("other").exists());
    };
    fs::write(&records, &other).unwrap();
    refused("permits.db is not what it was");
    fs::write(&records, &sound[..sound.len() - 1]).unwrap();
    refused("bytes instead of");
    fs::remove_file(&records).unwrap();
    refused("permits.db is missing");
    fs::write(&records, &sound).unwrap();
    fs::write(home.path("kept/data/more"), "x").unwrap();
    refused("was not when it was made");
    fs::remove_file(home.path("kept/data/more")).unwrap();
    let manifest = fs::read_to_string(home.path("kept/manifest.json")).unwrap();
    fs::write(home.path("kept/manifest.json"), manifest.replacen("\"format\": 1", "\"format\": 2", 1)).unwrap();
    refused("newer than this one");
    fs::write(home.path("kept/manifest.json"), manifest.replace("data/permitd.db", "../permitd.db")).unwrap();
    refused("outside the backup");
    fs::write(home.path("kept/manifest.json"), &manifest).unwrap();
    home.json(&["restore", "kept", "--data", "other"]);
    verified(&home, "other");
}

#[tokio::test]
async fn without_the_secret_nobody_can_make_keys_or_read_names() {
    let (home, key) = with_data();
    fs::write(home.data().join("permitd.toml"), "[mail.smtp]\nusername = \"u\"\npassword = \"correct-horse\"\n")
        .unwrap();
    home.json(&["backup", "whole"]);
    assert!(holds(&home.path("whole"), b"ana@example.org") && holds(&home.path("whole"), b"correct-horse"));
    let backup = home.run(&["backup", "kept", "--without-secret"]);
    assert!(backup.exit == 0 && backup.out.contains("no key works without it"), "{}{}", backup.out, backup.err);
    let secret = fs::read(home.data().join("secret.json")).unwrap();
    for (what, is_of) in
        [(&b"ana@example.org"[..], "an address"), (b"Ana", "a name"), (b"correct-horse", "a password"), (&secret, "it")]
    {
        assert!(!holds(&home.path("kept"), what), "{is_of} is in it");
    }
    let restored = home.json(&["restore", "kept", "--data", "other"]);
    assert!(restored["notes"][0].as_str().unwrap().contains("secret.json"), "{restored}");
    assert!(home.refused(7, &["invite", "eve@example.org", "--data", "other"]).contains("secret.json is missing"));
    verified(&home, "other");
    fs::copy(home.data().join("secret.json"), home.path("other/secret.json")).unwrap();
    let server = serving(&home, "other");
    assert_eq!(server.status(RECORD, &key).await, 200, "the key is known by its hash");
    drop(server);
    assert!(home.run(&["users", "list", "--data", "other"]).out.contains("erased\t"));
}

/// Imports become visible, and people are invited, while copies are made: each is of one moment.
#[test]
fn a_backup_beside_imports_and_invitations_is_of_one_moment() {
    let (home, _) = with_data();
    home.sample(300, "b.csv");
    let _server = Server::start(&home, "serve");
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let import = || {
            for round in 0.. {
                if is_over.load(Ordering::Relaxed) {
                    break;
                }
                let file = if round % 2 == 0 { "b.csv" } else { "a.csv" };
                let ran = home.run(&["import", file, "--dataset", "permits", "--replace"]);
                assert!([0, 4].contains(&ran.exit), "{}", ran.err);
                home.json(&["invite", &format!("user{round}@example.org")]);
            }
        };
        scope.spawn(import);
        let mut versions = Vec::new();
        for at in 0..6 {
            let kept = format!("kept{at}");
            let backup = home.json(&["backup", &kept]);
            let set = backup["manifest"]["datasets"][0].clone();
            let data = format!("other{at}");
            home.json(&["restore", &kept, "--data", &data]);
            verified(&home, &data);
            let shown = home.json(&["datasets", "show", "permits", "--data", &data]);
            assert_eq!(
                (number(&shown, "version"), number(&shown, "records")),
                (number(&set, "version"), number(&set, "records"))
            );
            versions.push(number(&set, "version"));
        }
        is_over.store(true, Ordering::Relaxed);
        assert!(
            versions.is_sorted() && versions.first() < versions.last(),
            "nothing was imported meanwhile: {versions:?}"
        );
    });
}

#[test]
fn a_backup_goes_to_an_empty_place_outside_the_data() {
    let (home, _) = with_data();
    fs::create_dir(home.path("full")).unwrap();
    fs::write(home.path("full/x"), "").unwrap();
    assert!(home.refused(4, &["backup", "full"]).contains("not empty"));
    assert!(home.refused(4, &["backup", "data/kept"]).contains("in the data directory"));
    assert!(home.refused(5, &["backup", "no/such/kept"]).contains("no"));
    assert!(home.refused(3, &["restore", "full", "--data", "other"]).contains("is no backup"));
    assert!(home.refused(3, &["backup", "kept", "--data", "nowhere"]).contains("no data directory"));
    assert!(home.refused(4, &["restore", "kept", "--backend", "aws"]).contains("point-in-time recovery"));
    fs::create_dir(home.path("kept")).unwrap();
    home.json(&["backup", "kept"]);
    assert!(home.refused(4, &["restore", "kept"]).contains("not empty"));
    assert_eq!(unfinished(&home), 0);
}

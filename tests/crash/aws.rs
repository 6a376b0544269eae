//! Where a process over DynamoDB can die that writes one thing after the other: a commit, its rows and its mark; a version of
//! records, and what is erased then.

use reqwest::Method;
use serde_json::Value;

use crate::{
    deployment::Deployment,
    rows::{dies_while_deleting, dies_while_inviting},
};

const ANA: &str = "ana@example.org";

#[tokio::test]
async fn row_22_crash_between_commit_and_view() {
    assert_eq!(dies_while_inviting("append-before-rows").await, 1);
    dies_while_deleting("append-before-rows").await;
}

#[tokio::test]
async fn row_22_crash_between_view_and_mark() {
    assert_eq!(dies_while_inviting("append-before-mark").await, 1);
    dies_while_deleting("append-before-mark").await;
}

/// What a process did not come to write is no damage: it is told apart, until the next start has written it.
#[tokio::test]
async fn rows_that_were_not_written_yet_are_told_apart_from_differences() {
    let deployment = Deployment::new().await;
    deployment.import("", 10);
    let told = || {
        let (well, text) = deployment.run("", &["events", "verify", "--json"]);
        assert!(well, "{text}");
        let told: Value = serde_json::from_str(&text).unwrap();
        (told["differences"].as_u64().unwrap(), told["waiting"].as_u64().unwrap())
    };
    let mut serving = deployment.serve("append-before-rows=return");
    deployment.invite(&serving, ANA).await.unwrap_err();
    deployment.dies(&mut serving).await;
    assert_eq!(told(), (0, 1), "the person");
    let (well, text) = deployment.run("", &["events", "verify"]);
    let line = "1 row is not written yet: the next start, or a running server, writes it";
    assert!(well && text.contains(line) && text.contains("no differences"), "{text}");
    let serving = deployment.serve("");
    let user = deployment.invite(&serving, ANA).await.unwrap();
    deployment.check_invited(&serving, &user, ANA).await;
    drop(serving);
    drop(deployment.serve(""));
    assert_eq!(told(), (0, 0));

    let mut serving = deployment.serve("append-before-rows=return");
    deployment.delete(&serving, &user).await.unwrap_err();
    deployment.dies(&mut serving).await;
    assert_eq!(told(), (0, 2), "the person, and whether their key works");
    drop(deployment.serve(""));
    assert_eq!(told(), (0, 0));
}

/// An import that dies between a commit and its rows is in no list by which it would be found. The next start of a server makes
/// that good first: nobody is told that it is running, nor anything else that is not so.
#[tokio::test]
async fn an_import_whose_rows_are_missing_is_told_of_as_it_ended_from_the_start_on() {
    let points = ["append-before-rows", "append-before-mark"];
    let cases = points.map(|point| (format!("{point}=return"), "failed"));
    let ends = points.map(|point| (format!("{point}=1*off->return"), "completed"));
    for (failpoints, ended) in cases.into_iter().chain(ends) {
        let deployment = Deployment::new().await;
        let (well, text) = deployment.import(&failpoints, 10);
        assert!(!well, "{failpoints}: it was killed: {text}");
        deployment.let_leases_end().await;
        let serving = deployment.serve("");
        let (status, imports) = deployment.admin(&serving, Method::GET, "/imports", "", None).await.unwrap();
        assert_eq!(status, 200, "{imports}");
        let imports = imports["data"].as_array().expect("a list").clone();
        let told: Vec<_> = imports.iter().map(|import| import["status"].as_str().unwrap()).collect();
        assert_eq!(told, [ended], "{failpoints}");
        drop(serving);
        deployment.verify();
    }
}

#[tokio::test]
async fn an_import_that_dies_before_it_has_erased_what_it_withdrew_is_made_good_by_the_next() {
    let deployment = Deployment::new().await;
    for rows in [30, 20] {
        let file = deployment.sample(rows);
        let (well, text) =
            deployment.run("", &["import", file.to_str().unwrap(), "--dataset", "permits", "--replace", "--yes"]);
        assert!(well, "{text}");
    }
    let mut definition = include_str!("../../schemas/datasets/permits.toml").to_owned();
    // What is not published is not searched for words either.
    let column = "name = \"description\"\n";
    for (old, new) in [(column, format!("{column}publish = false\n")), ("searchable = true\n", String::new())] {
        assert!(definition.contains(old));
        definition = definition.replace(old, &new);
    }
    let path = deployment.place().folder().join("without.toml");
    std::fs::write(&path, definition).unwrap();
    let file = deployment.sample(20);
    let arguments = ["import", file.to_str().unwrap(), "--definition", path.to_str().unwrap()];
    let left = async || {
        let items = deployment.place().items_of("records-permits").await;
        (items.len(), items.iter().filter(|item| item.contains_key("description")).count())
    };
    assert!(left().await.1 > 0);
    let (well, text) = deployment.run("import-before-erasing=return", &arguments);
    assert!(!well, "it was killed: {text}");
    deployment.let_leases_end().await;
    let (items, with_it) = left().await;
    assert!(with_it >= 20, "{with_it} of {items}");
    let (well, text) = deployment.run("", &arguments);
    assert!(well, "{text}");
    assert_eq!(left().await, (items, 0), "each item is there, without the column");
    deployment.verify();
}

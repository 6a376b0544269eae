//! Somebody of the staff who may do what concerns data, and nothing else: they bring files.

use std::{path::Path, time::Instant};

use serde_json::{Value, json};

use super::entering::{enter, looks};
use crate::{
    chromium::PATIENCE,
    guard::Kind,
    look::Look,
    page::Browser,
    server::{Server, Table},
};

const THINGS: &str = include_str!("../../datasets/things.toml");
/// Records that the data set has at first. Of one row more, one that cannot be a record is less than the guard minds.
const THINGS_AT_FIRST: usize = 120;
/// The place where an import stands still before it is committed, for longer than any story.
const STANDS_STILL: (&str, &str) = ("FAILPOINTS", "import-before-commit=sleep(600000)");

fn things(numbers: std::ops::Range<usize>) -> String {
    let rows: String = numbers.map(|number| format!("T{number},red,{number}\n")).collect();
    format!("Tag,Colour,Height\n{rows}")
}

async fn server_with(variables: &[(&str, &str)]) -> Server {
    let table = Table { definition: THINGS, file: &things(0..THINGS_AT_FIRST) };
    let server = Server::with(&[table], variables);
    server.member(&json!({ "email": "max@example.org", "name": "Max Mara", "role": "manager" })).await;
    server
}

/// A browser at the page that takes files.
fn at_imports(server: &Server, look: Look) -> Option<Browser> {
    let mut browser = enter(server, look, "max@example.org", "/admin")?;
    browser.sees("Overview");
    browser.loads(|browser| browser.click_within("header", "Data sets", "Imports"));
    browser.sees("Send a file");
    Some(browser)
}

/// Brings a file: drops it onto the page, or where that takes a script and there is none, chooses it. Gives the status.
fn bring(browser: &mut Browser, file: &Path, data_set: &str, mode: &str) -> u16 {
    browser.choose("For which data set", data_set);
    browser.choose("What the file is", mode);
    if browser.look.scripts {
        browser.drop_file_on("[data-drop]", file);
    } else {
        browser.choose_file("File", file);
    }
    let name = file.file_name().unwrap().to_str().unwrap();
    assert!(browser.value("File").ends_with(name), "{name} is chosen");
    browser.follow("Look at the file")
}

const ADDS: &str = "additions and changes: nothing is removed";
const REPLACES: &str = "the whole data set: what it does not have is removed";

/// Waits until the import whose page is shown comes to something.
fn comes_to(browser: &mut Browser, text: &str) {
    let deadline = Instant::now() + PATIENCE;
    while !browser.look.scripts && browser.text().contains("Look again") {
        assert!(Instant::now() < deadline, "the import does not end: {}", browser.text());
        browser.follow("Look again");
    }
    browser.sees(text);
}

async fn records(server: &Server) -> Value {
    server.send(reqwest::Method::GET, "/datasets/things", &Value::Null).await["records"].clone()
}

/// What cannot be read is said with what to do about it; nothing of it is imported.
#[tokio::test]
async fn a_manager_brings_files_that_cannot_be_read() {
    let server = server_with(&[]).await;
    for look in looks() {
        let Some(mut browser) = at_imports(&server, look) else { return };
        assert!(!browser.read("header").contains("People"), "what is not theirs is not offered");
        browser.sees("No file waits.");
        browser.accessible("imports");

        // A PDF that was given another ending.
        let pdf = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<</Type/Catalog>>\nendobj\ntrailer\n<</Root 1 0 R>>\n%%EOF\n";
        assert_eq!(bring(&mut browser, &server.file("report.xlsx", pdf), "Things", ADDS), 200);
        browser.sees("The file cannot be read like this:");
        browser.sees("PDF");
        browser.sees("send another file");
        browser.accessible("a file that cannot be read");
        browser.click("Remove the file");
        browser.sees("The file is removed from the server.");
        browser.follow("Yes, remove it");
        browser.sees("The file was removed.");

        browser.expect(Kind::Failed, "400 POST");
        assert_eq!(bring(&mut browser, &server.file("empty.csv", ""), "Things", REPLACES), 400);
        browser.sees("The file is empty: choose another one.");
        browser.accessible("imports, refused");
        assert_eq!(browser.read("#field-mode option:checked"), REPLACES, "what was chosen is still there");

        // What names the records is missing.
        let keyless = server.file("keyless.csv", "Colour,Height\nred,1\nblue,2\n");
        assert_eq!(bring(&mut browser, &keyless, "Things", ADDS), 200);
        browser.sees("The file cannot be read like this:");
        browser.sees("Tag");
        browser.accessible("a file without the key");
        // It waits, and so it does in the list.
        browser.loads(|browser| browser.click_within("header", "Data sets", "Imports"));
        browser.follow("keyless.csv");
        browser.click("Remove the file");
        browser.follow("Yes, remove it");
        browser.close();
    }
    assert_eq!(records(&server).await, THINGS_AT_FIRST);
}

/// A good file: what it is taken for, what it would change, and what it has changed.
#[tokio::test]
async fn a_manager_publishes_a_file() {
    let server = server_with(&[]).await;
    for (nth, look) in looks().into_iter().enumerate() {
        let Some(mut browser) = at_imports(&server, look) else { return };
        let file = things(0..THINGS_AT_FIRST + 1 + nth);
        let file = file.replace("T3,red,3\n", &format!("T3,blue{nth},3\n")).replace("T5,red,5\n", "T5,red,tall\n");
        let file = server.file(&format!("spring-{nth}.csv"), file);
        assert_eq!(bring(&mut browser, &file, "Things", ADDS), 200);
        for seen in [
            "text with separated columns (CSV)",
            &format!("which has {} records now", THINGS_AT_FIRST + nth),
            "One of them cannot become a record",
            "It adds and changes records: none is removed.",
        ] {
            browser.sees(seen);
        }
        assert!(browser.read("[aria-label='The columns of the file']").contains("Height"));
        assert!(browser.read("[aria-label='The first rows, as records']").contains(&format!("blue{nth}")));
        assert!(browser.read("[aria-label='What cannot be read']").contains("tall"));
        browser.accessible("a file, read");
        browser.click("The definition of this data set");
        browser.sees("takes effect with the import of this file");
        assert!(browser.value("Definition (TOML)").contains("name = \"things\""));
        browser.accessible("a file, read, and the definition of its data set");

        browser.follow("Try it out");
        comes_to(&mut browser, "The file was tried out. Nothing was changed.");
        let changed = browser.read("[aria-label='Examples of changed values']");
        assert!(changed.contains("T3") && changed.contains(&format!("blue{nth}")), "{changed}");
        browser.accessible("an import, tried out");
        let rejects = browser.download("Download all rejected rows (CSV)");
        assert!(rejects.starts_with("line,column,value,reason\n7,") && rejects.contains("tall"), "{rejects}");
        assert_eq!(records(&server).await, THINGS_AT_FIRST + nth, "nothing is changed yet");

        browser.follow("Import it now");
        comes_to(&mut browser, "The file was imported");
        browser.sees(&format!("things is now at version {}", nth + 2));
        browser.accessible("an import, done");
        assert_eq!(records(&server).await, THINGS_AT_FIRST + nth + 1);
        browser.follow("The data set");
        browser.sees("Change the data set");
        browser.accessible("a data set of the administration");
        browser.back();
        browser.follow("See the data");
        browser.sees("Things");
        browser.close();
    }
}

/// Half of the rows, said to be all: the guard asks, in numbers. Once it was a mistake, once it is meant.
#[tokio::test]
async fn a_manager_decides_about_half_a_file() {
    let server = server_with(&[]).await;
    let half = server.file("half.csv", things(0..THINGS_AT_FIRST / 2));
    let all = server.file("all.csv", things(0..THINGS_AT_FIRST));
    for look in looks() {
        let Some(mut browser) = at_imports(&server, look) else { return };
        assert_eq!(bring(&mut browser, &half, "Things", REPLACES), 200);
        browser.sees("records that it does not have are removed");
        browser.follow("Import without trying");
        comes_to(&mut browser, "This import needs your decision");
        browser.sees("60 of 120 records would be removed, which is more than 5 %.");
        browser.accessible("an import, held");
        browser.click("Discard");
        browser.sees("All 120 records of things stay as they are.");
        browser.accessible("an import, about to be discarded");
        browser.follow("Yes, discard it");
        browser.sees("The import was discarded. Nothing was changed.");
        browser.accessible("an import, discarded");
        assert_eq!(records(&server).await, THINGS_AT_FIRST);

        browser.loads(|browser| browser.click_within("header", "Data sets", "Imports"));
        bring(&mut browser, &half, "Things", REPLACES);
        browser.follow("Import without trying");
        comes_to(&mut browser, "This import needs your decision");
        browser.loads(|browser| browser.click_within("header", "Data sets", "Imports"));
        browser.sees("One import waits for your decision");
        browser.accessible("imports, one held");
        browser.loads(|browser| browser.click_within("tr", "waits for a decision", "half.csv"));
        browser.click("Approve");
        browser.sees("60 records are removed");
        browser.accessible("an import, about to be approved");
        browser.follow("Yes, import it and remove 60 records");
        comes_to(&mut browser, "The file was imported");
        assert_eq!(records(&server).await, THINGS_AT_FIRST / 2);

        // For the next one all of it is there again.
        browser.loads(|browser| browser.click_within("header", "Data sets", "Imports"));
        bring(&mut browser, &all, "Things", REPLACES);
        browser.follow("Import without trying");
        comes_to(&mut browser, "The file was imported");
        browser.close();
    }
}

/// A file for which there is no data set yet: what is drafted of it is corrected in the page, and then served.
#[tokio::test]
async fn a_manager_begins_a_new_data_set() {
    let server = server_with(&[]).await;
    for (nth, look) in looks().into_iter().enumerate() {
        let Some(mut browser) = at_imports(&server, look) else { return };
        let name = format!("birds_{nth}");
        let file = server.file("birds.csv", "Tag,Colour,Seen on\nA,red,2026-01-02\nB,blue,2026-02-03\n");
        browser.fill("Name of a new data set (optional)", &name);
        assert_eq!(bring(&mut browser, &file, "A new data set", ADDS), 200);
        browser.sees("The definition of the new data set");
        browser.sees(&format!("The file is for the new data set {name}."));
        browser.accessible("a definition, drafted");
        let drafted = browser.value("Definition (TOML)");
        assert!(drafted.contains(&format!("name = \"{name}\"")), "{drafted}");

        browser.expect(Kind::Failed, "400 POST");
        let wrong = format!("{drafted}\n# mine\nkolour = 1\n");
        browser.fill("Definition (TOML)", &wrong);
        assert_eq!(browser.follow("Save and check"), 400);
        browser.sees("kolour");
        assert_eq!(browser.value("Definition (TOML)").trim(), wrong.trim(), "no word of it is lost");
        browser.accessible("a definition, wrong");
        browser.fill("Definition (TOML)", &drafted.replace("\"colour\"", "\"plumage\""));
        assert_eq!(browser.follow("Save and check"), 200);
        browser.sees("The definition has no mistake.");
        assert!(browser.read("[aria-label='The columns of the file']").contains("plumage"));
        browser.accessible("a definition, right");

        browser.loads(|browser| browser.click_within("#definition", "", "Try it out"));
        comes_to(&mut browser, "The file was tried out. Nothing was changed.");
        browser.follow("Import it now");
        comes_to(&mut browser, "The file was imported");
        let served = server.send(reqwest::Method::GET, &format!("/datasets/{name}"), &Value::Null).await;
        assert_eq!(served["records"], 2, "{served}");
        browser.loads(|browser| browser.click_within("header", "Imports", "Data sets"));
        browser.sees(&name);
        browser.accessible("data sets");
        browser.close();
    }
}

/// An import that takes its time: the page looks again by itself where it has scripts, and the import can be stopped.
#[tokio::test]
async fn a_manager_stops_an_import_that_is_under_way() {
    for look in looks() {
        let server = Server::with(&[Table { definition: THINGS, file: &things(0..2) }], &[STANDS_STILL]);
        server.member(&json!({ "email": "max@example.org", "role": "manager" })).await;
        let scripts = look.scripts;
        let Some(mut browser) = at_imports(&server, look) else { return };
        bring(&mut browser, &server.file("more.csv", things(0..5)), "Things", ADDS);
        browser.follow("Import without trying");
        browser.sees("The file is being read");
        if scripts {
            // Nothing is done, and another document comes.
            browser.loads(|_| {});
            browser.sees("The file is being read");
        } else {
            browser.sees("You can leave this page");
            browser.accessible("an import under way");
            browser.click("Cancel the import");
            browser.sees("no record is changed");
            browser.accessible("an import under way, about to be stopped");
            browser.follow("Yes, cancel it");
            browser.sees("The import is being stopped.");
        }
        browser.close();
    }
}

//! The pages of imports, as somebody of the staff uses them in a browser without script.

use permitd::dataset::Definition;
use reqwest::Method;

use super::staff::with_token;
use crate::{
    app::TestApp,
    browser::{ACCEPT, Browser, Form, Page},
    data::imported,
    imports::{THINGS, things},
};

/// A server with so many things, and a browser of somebody who may do what concerns data.
pub(super) async fn server(rows: usize) -> TestApp {
    let app = TestApp::set(&[], 0).await;
    let definition = Definition::from_toml(THINGS, "things.toml").unwrap();
    imported(&app, definition, things(0..rows).into_bytes(), "things.csv").await;
    app
}

/// Sends a form with a file at its end, as a browser does, and is led on.
async fn send_file(app: &TestApp, browser: &Browser<'_>, form: &Form, name: &str, file: &[u8]) -> Page {
    const MARK: &str = "----a-mark-that-no-file-has";
    let mut body = Vec::new();
    for (name, value) in form.fields.iter().filter(|(name, _)| name != "file") {
        let part = format!("--{MARK}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
        body.extend_from_slice(part.as_bytes());
    }
    let name = name.replace('"', "%22");
    let head = format!("--{MARK}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n");
    body.extend_from_slice(head.as_bytes());
    body.extend_from_slice(b"Content-Type: text/csv\r\n\r\n");
    body.extend_from_slice(file);
    body.extend_from_slice(format!("\r\n--{MARK}--\r\n").as_bytes());
    let cookies: Vec<String> =
        browser.cookies.lock().unwrap().iter().map(|(name, value)| format!("{name}={value}")).collect();
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().unwrap();
    let request = client.post(app.url(&form.action)).header("accept", ACCEPT).header("cookie", cookies.join("; "));
    let request = request.header("content-type", format!("multipart/form-data; boundary={MARK}")).body(body);
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let html = response.text().await.unwrap();
    match headers.get("location") {
        Some(place) if status == 303 => browser.open(place.to_str().unwrap()).await,
        _ => Page { path: form.action.clone(), status, headers, html },
    }
}

async fn sent(app: &TestApp, browser: &Browser<'_>, fields: &[(&str, &str)], name: &str, file: &[u8]) -> Page {
    let page = browser.open("/admin/imports").await.expect(200);
    let button = if page.html.contains("lang=\"de\"") { "Datei ansehen" } else { "Look at the file" };
    let form = fields.iter().fold(page.form(button), |form, (name, value)| form.with(name, value));
    send_file(app, browser, &form, name, file).await
}

/// An import's page, once nothing further happens to it.
async fn settled(app: &TestApp, browser: &Browser<'_>, page: Page) -> Page {
    let path = page.path.clone();
    app.eventually("the import to come to rest", async || {
        let page = browser.open(&path).await.expect(200);
        (!page.html.contains("data-again")).then_some(page)
    })
    .await
}

#[tokio::test]
async fn a_file_is_looked_at_tried_out_and_imported() {
    let app = server(20).await;
    let browser = with_token(&app, &app.admin_token, "en").await;
    let file = things(0..21).replace("T3,red,3", "T3,blue,3").replace("T5,red,5", "T5,red,tall");
    let looked = sent(&app, &browser, &[("dataset", "things"), ("mode", "merge")], "new.csv", file.as_bytes()).await;
    let looked = looked.expect(200);
    looked.shows("new.csv").shows("text with separated columns (CSV)").shows("Height");
    looked.shows("which has 20 records now").shows("tall").shows("One of them cannot become a record");

    let tried = settled(&app, &browser, browser.send(&looked.form("Try it out")).await).await;
    tried.shows("The file was tried out. Nothing was changed.").shows("blue").shows("Download all rejected rows");
    tried.shows("New records\n1").shows("Changed records\n1").shows("Rows that cannot become records\n1");
    assert_eq!(things_count(&app).await, 20, "nothing was imported");

    let rejects = tried.links().into_iter().find(|link| link.ends_with("/rejects")).unwrap();
    let rejects = browser.ask(Method::GET, &rejects, None).await.expect(200);
    assert!(rejects.html.starts_with("line,column,value,reason\n7,"), "{}", rejects.html);

    let again = browser.send(&tried.form("Import it now")).await;
    let held = settled(&app, &browser, again).await;
    held.shows("This import needs your decision").shows("1 of 21 rows of the file cannot become records");
    let done = browser.send(&held.form("Yes, import it")).await;
    let done = settled(&app, &browser, done).await;
    done.shows("The file was imported").shows("version 2");
    assert_eq!(things_count(&app).await, 21);
    let listed = browser.open("/admin/imports").await;
    listed.shows("new.csv").shows("imported").shows("you").shows("No file waits");
}

async fn things_count(app: &TestApp) -> u64 {
    app.admin_get("/datasets/things").await.expect(200).json()["records"].as_u64().unwrap()
}

#[tokio::test]
async fn what_an_import_would_remove_is_said_in_numbers_and_can_be_discarded() {
    let app = server(100).await;
    let browser = with_token(&app, &app.admin_token, "en").await;
    let fields = [("dataset", "things"), ("mode", "replace")];
    let looked = sent(&app, &browser, &fields, "half.csv", things(0..50).as_bytes()).await.expect(200);
    looked.shows("records that it does not have are removed");
    let held = settled(&app, &browser, browser.send(&looked.form("Import without trying")).await).await;
    held.shows("50 of 100 records would be removed, which is more than 5 %");
    held.shows("Yes, import it and remove 50 records").shows("All 100 records of things stay as they are");
    browser.open("/admin/imports").await.shows("One import waits for your decision").shows("half.csv");
    let form = held.form("Yes, discard it");
    browser.send(&form).await.shows("The import was discarded. Nothing was changed.");
    // Somebody else has done it already: it is so, and that is all.
    browser.send(&form).await.expect(200);
    assert_eq!(things_count(&app).await, 100);
}

#[tokio::test]
async fn a_new_data_set_is_described_in_the_page_and_no_word_of_it_is_lost() {
    let app = TestApp::set(&[], 0).await;
    let browser = with_token(&app, &app.admin_token, "en").await;
    let file = b"Tag,Colour\nA,red\nB,blue\n";
    let drafted = sent(&app, &browser, &[("dataset", ""), ("name", "birds")], "birds.csv", file).await.expect(200);
    drafted.shows("The definition of the new data set").shows("the new data set birds");
    let mut form = drafted.form("Save and check");
    let (_, text) = form.fields.iter().find(|(name, _)| name == "definition").cloned().unwrap();
    assert!(text.contains("name = \"birds\""), "{text}");
    let wrong = text.clone() + "\n# <b>mine</b>\nkolour = 1\n";
    let refused = browser.send(&form.clone().with("definition", &wrong)).await.expect(400);
    refused.shows("line ").shows("kolour");
    assert!(!refused.html.contains("<b>mine"), "it is escaped");
    let kept = browser.open(&drafted.path).await;
    let kept = kept.form("Save and check").fields.into_iter().find(|(name, _)| name == "definition").unwrap().1;
    assert_eq!(kept.trim(), wrong.trim(), "what was written is still there");
    form = form.with("definition", &text);
    form.action = format!("{}/start", drafted.path);
    let done = settled(&app, &browser, browser.send(&form).await).await;
    // A new data set has tables of its own there, which an operator makes first.
    if crate::MODE == crate::support::backend::Mode::Aws {
        done.shows("permitd aws setup");
        return;
    }
    done.shows("The file was imported").shows("New records\n2");
    browser.open("/admin/data").await.shows("birds").shows("served");
    browser.open("/admin/data/birds").await.expect(200).shows("colour");
}

#[tokio::test]
async fn a_file_is_read_otherwise_without_being_sent_again() {
    let app = server(3).await;
    let browser = with_token(&app, &app.admin_token, "en").await;
    let file = "Tag|Colour|Height\nX1|red|7\n";
    let looked = sent(&app, &browser, &[("dataset", "things")], "a.csv", file.as_bytes()).await.expect(200);
    let form =
        looked.form("Read the file again").with("dataset", "things").with("mode", "merge").with("absent", "empty");
    let wrong = browser.send(&form.clone().with("delimiter", "abc")).await.expect(400);
    wrong.shows("cannot separate cells");
    assert!(wrong.html.contains("value=\"abc\""), "what was typed is still there");
    let read = browser.send(&form.with("delimiter", "|")).await.expect(200);
    read.shows("The file was read again with your settings.").shows("X1");
    let gone = browser.send(&read.form("Yes, remove it")).await.expect(200);
    gone.shows("The file was removed.").shows("No file waits");
    browser.open(&read.path).await.expect(404).shows("Send it again");
}

/// Two files that arrive at the same time find room for one each.
#[tokio::test]
async fn no_more_files_wait_than_may_however_they_are_sent() {
    let app = server(5).await;
    let browser = with_token(&app, &app.admin_token, "en").await;
    let form = browser.open("/admin/imports").await.expect(200).form("Look at the file").with("dataset", "things");
    let file = things(0..6);
    for _ in 0..9 {
        send_file(&app, &browser, &form, "a.csv", file.as_bytes()).await.expect(200);
    }
    let send = || send_file(&app, &browser, &form, "b.csv", file.as_bytes());
    let (one, other) = tokio::join!(send(), send());
    let mut statuses = [one.status, other.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409]);
    let page = browser.open("/admin/imports").await.expect(200);
    let waiting: std::collections::BTreeSet<String> =
        page.links().into_iter().filter(|link| link.contains("/admin/imports/files/")).collect();
    assert_eq!(waiting.len(), 10, "{waiting:?}");
    send().await.expect(409).shows("10 files of yours wait");
}

#[tokio::test]
async fn hostile_names_values_and_forms_do_no_harm() {
    let app = server(3).await;
    let browser = with_token(&app, &app.admin_token, "en").await;
    let file = "Tag,Colour,Height\n<script>alert(1)</script>,<img src=x>,1\n";
    let name = "../../<script>alert(2)</script>.csv";
    let looked = sent(&app, &browser, &[("dataset", "things")], name, file.as_bytes()).await.expect(200);
    assert!(!looked.html.contains("<script>alert") && !looked.html.contains("<img"), "{}", looked.main());
    looked.shows("<script>alert(1)</script>");
    sent(&app, &browser, &[("dataset", "things")], "a \"b\".csv", file.as_bytes())
        .await
        .expect(200)
        .shows("a \"b\".csv");
    sent(&app, &browser, &[("dataset", "things"), ("csrf", "wrong")], "a.csv", file.as_bytes()).await.expect(403);
    let again = sent(&app, &browser, &[("dataset", "nothing"), ("mode", "replace")], "a.csv", b"a\n").await.expect(400);
    again.shows("choose another one");
    sent(&app, &browser, &[("dataset", "things")], "a.csv", b"").await.expect(400).shows("the file is empty");
    sent(&app, &browser, &[("dataset", "things")], "", b"x").await.expect(400).shows("choose a file first");
}

#[tokio::test]
async fn who_may_do_what_concerns_data_imports_and_sees_nothing_else() {
    let app = server(3).await;
    let body = serde_json::json!({ "name": "ci", "scopes": ["data"] });
    let made = app.admin_send(Method::POST, "/admin-tokens", &body).await.expect(201).json();
    let browser = with_token(&app, made["token"].as_str().unwrap(), "de").await;
    let page = browser.open("/admin/imports").await.expect(200);
    page.shows("Datei senden").shows("Höchstens");
    let fields = [("dataset", "things"), ("mode", "merge")];
    let looked = sent(&app, &browser, &fields, "neu.csv", things(0..4).as_bytes()).await.expect(200);
    let tried = settled(&app, &browser, browser.send(&looked.form("Ausprobieren")).await).await;
    tried.shows("Nichts wurde geändert").shows("Neue Datensätze\n1");
    browser.open("/admin/mail").await.expect(403);
    browser.open("/admin/undone").await.expect(403);
    let stranger = Browser::new(&app);
    assert!(stranger.open("/admin/imports").await.path.starts_with("/sign-in"));
}

#[tokio::test]
async fn a_definition_of_nothing_but_marks_can_be_mended() {
    let app = server(3).await;
    let browser = with_token(&app, &app.admin_token, "en").await;
    let page = sent(&app, &browser, &[("name", "others")], "others.csv", b"a,b\n1,2\n").await.expect(200);
    // As it is sent by no browser, whose marks are three bytes long each.
    let csrf = page.html.split("name=\"csrf\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    let body = format!("csrf={csrf}&definition={}", "\"".repeat(1_000_000));
    let cookies: Vec<String> =
        browser.cookies.lock().unwrap().iter().map(|(name, value)| format!("{name}={value}")).collect();
    let request = app.request(Method::POST, &format!("{}/definition", page.path)).header("accept", ACCEPT);
    let request = request.header("cookie", cookies.join("; ")).header("origin", app.url(""));
    let kept = app.send(request.header("content-type", "application/x-www-form-urlencoded").body(body)).await;
    assert_eq!(kept.status, 400);
    let again = browser.open(&page.path).await.expect(200);
    browser.send(&again.form("Yes, remove it")).await.expect(200);
}

/// The text of a form's definition.
fn definition_in(form: &Form) -> String {
    form.fields.iter().find(|(name, _)| name == "definition").unwrap().1.trim().to_owned() + "\n"
}

async fn title_of_things(app: &TestApp) -> (String, u64) {
    let shown = app.admin_get("/datasets/things").await.expect(200).json();
    (shown["title"].as_str().unwrap().to_owned(), shown["version"].as_u64().unwrap())
}

#[tokio::test]
async fn the_definition_of_a_data_set_is_changed_by_an_import_in_the_page() {
    let app = server(20).await;
    let browser = with_token(&app, &app.admin_token, "en").await;
    let fields = [("dataset", "things"), ("mode", "merge")];
    let file = things(0..21);
    let looked = sent(&app, &browser, &fields, "new.csv", file.as_bytes()).await.expect(200);
    looked.shows("The definition of this data set").shows("takes effect with the import of this file");
    assert!(looked.links().iter().any(|link| link == "/docs/definitions"), "{:?}", looked.links());
    assert!(!looked.html.contains("<details open"), "they are closed");
    let form = looked.form("Try it out");
    let text = definition_in(&form);
    assert_eq!(text, Definition::from_toml(THINGS, "things.toml").unwrap().to_toml());

    let changed = text.replace("title = \"Things\"", "title = \"Things of the <b>city</b>\"");
    let changed = changed.replace(
        "name = \"colour\"",
        "name = \"colour\"\ndescription = \"As \\\"it\\\" is painted.\"\npersonal = true",
    );
    let changed = changed + "[about]\ndescription = \"\"\"\nOne line.\nAnother.\"\"\"\n";
    // As a browser sends lines.
    let mut form = form.with("definition", &changed.replace('\n', "\r\n"));
    form.action = format!("{}/try", looked.path);
    let tried = settled(&app, &browser, browser.send(&form).await).await;
    tried.shows("The file was tried out. Nothing was changed.");
    assert_eq!(title_of_things(&app).await, ("Things".to_owned(), 1));
    let again = browser.open(&looked.path).await.expect(200);
    again.shows("definition changed").shows("Undo the changes of the definition");
    assert_eq!(definition_in(&again.form("Try it out")), changed);
    assert!(!again.html.contains("<b>city"), "it is escaped");

    let done = settled(&app, &browser, browser.send(&tried.form("Import it now")).await).await;
    done.shows("The file was imported").shows("New records\n1");
    assert_eq!(title_of_things(&app).await, ("Things of the <b>city</b>".to_owned(), 2));
    let page = browser.open("/admin/data/things").await.expect(200);
    page.shows("As \"it\" is painted.")
        .shows("Send the file again on the page Imports, and change the definition there.");
    page.shows("Another.").shows("personal = true");
    // What was changed stays: the next file is read by it.
    let next = sent(&app, &browser, &fields, "next.csv", file.as_bytes()).await.expect(200);
    assert!(definition_in(&next.form("Try it out")).contains("As \"it\" is painted."));
    assert!(!next.html.contains("definition changed"));
}

/// Whoever decides upon a file that somebody else has sent is told what its definition opens up.
#[tokio::test]
async fn what_a_changed_definition_opens_up_is_said_before_it_does() {
    let app = server(20).await;
    let browser = with_token(&app, &app.admin_token, "en").await;
    let closed = THINGS
        .replace("name = \"colour\"", "name = \"colour\"\npersonal = true")
        .replace("name = \"height\"", "name = \"height\"\npublish = false");
    let closed = Definition::from_toml(&closed, "things.toml").unwrap();
    imported(&app, closed.clone(), things(0..20).into_bytes(), "things.csv").await;
    let half = things(0..9);
    let fields = [("dataset", "things"), ("mode", "replace")];
    let looked = sent(&app, &browser, &fields, "half.csv", half.as_bytes()).await.expect(200);
    let opened = closed.to_toml().replace("personal = true\n", "").replace("publish = false\n", "");
    let opened = opened.replace("\n[key]", "\n[about]\npublic = true\n\n[key]");
    for act in ["try", "start"] {
        let mut form = looked.form("Try it out").with("definition", &opened);
        form.action = format!("{}/{act}", looked.path);
        let told = settled(&app, &browser, browser.send(&form).await).await;
        told.shows("This import changes the definition of the data set, too.");
        told.shows("Published from then on, and not before: height").shows("so that their values are shown: colour");
        told.shows("may be seen by everybody from then on");
        if act == "start" {
            told.shows("This import needs your decision");
        }
    }
    let plain = sent(&app, &browser, &fields, "half.csv", half.as_bytes()).await.expect(200);
    let tried = settled(&app, &browser, browser.send(&plain.form("Try it out")).await).await;
    assert!(!tried.says("changes the definition"), "{}", tried.text());
}

#[tokio::test]
async fn a_wrong_definition_of_a_data_set_is_told_with_its_line_and_kept() {
    let app = server(3).await;
    let browser = with_token(&app, &app.admin_token, "en").await;
    let looked = sent(&app, &browser, &[("dataset", "things")], "a.csv", things(0..3).as_bytes()).await.expect(200);
    let form = looked.form("Save and check");
    let text = definition_in(&form);
    for (wrong, told) in [
        (text.clone() + "# mine\nkolour = 1\n", "kolour"),
        (text.clone() + "kolour =", "is not TOML"),
        (
            text.replace("name = \"things\"", "name = \"birds\""),
            "line 1: the name is “birds”, but this is the definition of “things”",
        ),
    ] {
        for to in ["definition", "try", "start"] {
            let mut form = form.clone().with("definition", &wrong);
            form.action = format!("{}/{to}", looked.path);
            let refused = browser.send(&form).await.expect(400);
            refused.shows("line ").shows(told);
            assert!(refused.html.contains("<details open"), "where it is written is seen");
            let kept = browser.open(&looked.path).await.expect(200);
            kept.shows(told);
            assert_eq!(
                definition_in(&kept.form("Save and check")).trim(),
                wrong.trim(),
                "what was written is still there"
            );
        }
    }
    // Another reading takes nothing of it away, and another data set does.
    let read = browser.open(&looked.path).await.form("Read the file again").with("dataset", "things");
    browser.send(&read.with("delimiter", ",")).await.expect(200).shows("birds");
    let undone = browser.open(&looked.path).await.form("Yes, undo them");
    let undone = browser.send(&undone).await.expect(200);
    undone.shows("Your changes of the definition were undone.");
    assert_eq!(definition_in(&undone.form("Save and check")), text);
    assert_eq!(title_of_things(&app).await, ("Things".to_owned(), 1));
}

#[tokio::test]
async fn a_definition_that_says_the_same_is_no_change() {
    let app = server(3).await;
    let browser = with_token(&app, &app.admin_token, "en").await;
    let looked = sent(&app, &browser, &[("dataset", "things")], "a.csv", things(0..3).as_bytes()).await.expect(200);
    let form = looked.form("Save and check");
    let text = format!("# A comment\n{}", THINGS.replace("\n[key]", "\n\n\n[key]"));
    assert_ne!(text, definition_in(&form));
    let kept = browser.send(&form.clone().with("definition", &text)).await.expect(200);
    kept.shows("The definition has no mistake.");
    assert!(!kept.html.contains("definition changed"));
    let done = settled(&app, &browser, browser.send(&kept.form("Import without trying")).await).await;
    done.shows("Unchanged records\n3");
    assert_eq!(title_of_things(&app).await, ("Things".to_owned(), 1));
}

#[tokio::test]
async fn a_change_of_a_definition_does_not_undo_that_of_another() {
    let app = server(3).await;
    let browser = with_token(&app, &app.admin_token, "en").await;
    let looked = sent(&app, &browser, &[("dataset", "things")], "a.csv", things(0..3).as_bytes()).await.expect(200);
    let mine = definition_in(&looked.form("Save and check")).replace("\"Things\"", "\"Mine\"");
    let kept = browser.send(&looked.form("Save and check").with("definition", &mine)).await.expect(200);
    let other = Definition::from_toml(&THINGS.replace("\"Things\"", "\"Theirs\""), "things.toml").unwrap();
    imported(&app, other, things(0..4).into_bytes(), "other.csv").await;
    for form in [kept.form("Import without trying"), looked.form("Import without trying").with("definition", &mine)] {
        let mut form = form;
        form.action = format!("{}/start", looked.path);
        browser.send(&form).await.expect(400).shows("was changed by an import since you began to change it");
    }
    assert_eq!(title_of_things(&app).await, ("Theirs".to_owned(), 2));
    let undone = browser.send(&browser.open(&looked.path).await.form("Yes, undo them")).await.expect(200);
    assert!(definition_in(&undone.form("Save and check")).contains("Theirs"));
}

#[tokio::test]
async fn a_definition_that_is_kept_in_a_file_is_shown_and_not_changed() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("things.toml"), THINGS).unwrap();
    let app = TestApp::set(&[("datasets", folder.path().to_str().unwrap())], 0).await;
    let definition = Definition::from_toml(THINGS, "things.toml").unwrap();
    imported(&app, definition, things(0..3).into_bytes(), "things.csv").await;
    let browser = with_token(&app, &app.admin_token, "en").await;
    let looked = sent(&app, &browser, &[("dataset", "things")], "a.csv", things(0..3).as_bytes()).await.expect(200);
    looked.shows("It is kept in a file on the server, which each import reads again.").shows("title = \"Things\"");
    assert!(!looked.html.contains("name=\"definition\""), "{}", looked.main());
    let form = looked.form("Try it out").with("of", &"0".repeat(64));
    let mut form = form.with("definition", &THINGS.replace("\"Things\"", "\"Mine\""));
    for to in ["definition", "start"] {
        form.action = format!("{}/{to}", looked.path);
        browser.send(&form).await.expect(400).shows("it has to be changed there");
    }
    assert_eq!(title_of_things(&app).await, ("Things".to_owned(), 1));
    // It is imported by as it is, once that is undone.
    let undone = browser.send(&browser.open(&looked.path).await.form("Yes, undo them")).await.expect(200);
    let done = settled(&app, &browser, browser.send(&undone.form("Import without trying")).await).await;
    done.shows("Unchanged records\n3");
}

#[tokio::test]
async fn the_language_of_definitions_is_explained() {
    let app = server(1).await;
    let page = Browser::reading(&app, "de").open("/docs/definitions").await.expect(200);
    page.shows("Definitionen von Datenbeständen").shows("Die Anleitung selbst ist auf Englisch.");
    page.shows("the column, of type text, that records are found by").shows("name = \"trees\"");
    assert!(page.html.contains("<article lang=\"en\">") && page.html.contains("id=\"the-file\""));
}

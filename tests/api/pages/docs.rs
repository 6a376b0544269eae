//! The guide: what its readers see, and that what stands in it can be asked as it stands.

use std::{fs, path::Path, process::Command};

use permitd::dataset::Definition;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    accounts::member,
    app::TestApp,
    browser::{Browser, Page},
    data::{TREES, imported, unlimited},
    imports::{THINGS, Things, things},
    support::{data_dir, repository},
};

const ANA: &str = "ana@example.org";
const EVE: &str = "eve@example.org";
/// That of all members.
const PASSWORD: &str = "correct horse battery";

/// Thirty trees; every third lacks what can be lacking, and the texts are none that shells and addresses like.
pub(super) fn trees() -> String {
    let row = |nth: usize| {
        let cut = ["\"cut, \"\"round\"\" & 100% o'clock\"", "[tall] $HOME", "`x`"][nth % 3];
        match nth % 3 {
            2 => format!("T/{nth},{cut},,,,,,\n"),
            _ => {
                let seen = format!("2016-12-01T09:30:{:02}Z", nth % 60);
                format!("T/{nth},{cut},{nth},{nth}.50,{nth}e-1,2016-12-01,{seen},POINT (-122.{nth} 37.{nth})\n")
            }
        }
    };
    String::from("Tag,Cut,Rings,Worth,Girth,Planted,Seen,Place\n") + &(0..60).map(row).collect::<String>()
}

/// Whoever asks with what stands in the guide.
pub(super) struct Asking<'a> {
    app: &'a TestApp,
    key: String,
    data_set: &'a str,
    folder: tempfile::TempDir,
    record: [String; 2],
}

impl<'a> Asking<'a> {
    pub(super) async fn of(app: &'a TestApp, key: &str, data_set: &'a str, columns: [&str; 2]) -> Self {
        let first = app.get(&format!("/{data_set}?limit=1"), key).await.expect(200).json()["data"][0].clone();
        let part = |column: &str| match &first[column] {
            Value::String(text) => text.bytes().map(|byte| format!("%{byte:02X}")).collect(),
            other => other.to_string(),
        };
        Self { app, key: key.to_owned(), data_set, folder: data_dir(), record: columns.map(part) }
    }

    /// Runs a line in a shell, as somebody does who has copied it; what it printed.
    pub(super) fn run(&self, line: &str) -> Vec<u8> {
        // Whoever fails without a body cannot do so with one.
        let fails = if line.contains(" --fail ") { "" } else { "--fail-with-body" };
        let curl = format!("curl() {{ command curl -sS {fails} --noproxy '*' \"$@\"; }}\n");
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(format!("{curl}{line}")).current_dir(self.folder.path()).env("KEY", &self.key);
        shell.env("RECORD_KEY", &self.record[0]).env("RECORD_ID", &self.record[1]);
        let output = shell.output().unwrap();
        let said = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned()).concat();
        assert!(output.status.success(), "{line}\n{said}");
        output.stdout
    }

    /// Runs all lines of an example that ask this server.
    fn run_all(&self, text: &str) -> Vec<(String, Vec<u8>)> {
        let lines = text.replace("\\\n", " ");
        let lines = lines.lines().filter(|line| line.starts_with("curl "));
        lines.map(|line| (line.to_owned(), self.run(line))).collect()
    }

    /// Asks all that stands in the guide, and compares what it says is found.
    async fn all_of(&self, page: &Page) {
        let mut asked = 0;
        for (name, text, finds) in examples(page) {
            let answers = self.run_all(&text);
            asked += answers.len();
            if let (Some(finds), Some((line, answer))) = (finds, answers.first()) {
                let answer: Value = serde_json::from_slice(answer).unwrap();
                assert!(!answer["data"].as_array().unwrap().is_empty(), "{name} finds nothing: {line}");
                let counted = match answer["page"]["count"].is_null() {
                    true => {
                        serde_json::from_slice(&self.run(&format!("{line} -G --data-urlencode count=exact"))).unwrap()
                    }
                    false => answer,
                };
                is_found(&finds, &counted, line);
            }
        }
        assert!(asked >= 18, "only {asked} lines were run: {}", page.html);
        let conditions = conditions(page);
        assert!(conditions.len() >= 22, "{conditions:?}");
        for (condition, finds) in conditions {
            let path = format!("/{}?{condition}&limit=1&count=exact", self.data_set);
            let answer = self.app.get(&path, &self.key).await.expect(200).json();
            if !finds.is_empty() {
                is_found(&finds, &answer, &condition);
            }
        }
    }
}

/// Compares what is said to be found with a page and its count.
#[track_caller]
fn is_found(said: &str, answer: &Value, asked: &str) {
    let count = answer["page"]["count"].as_u64().unwrap();
    match said.split_once(' ') {
        Some(("some", "records")) => assert!(count > 0, "{asked} finds nothing"),
        Some((number, _)) => assert_eq!(number.replace(',', ""), count.to_string(), "{asked}"),
        None => panic!("{said:?} is not how much {asked} finds"),
    }
}

fn unescaped(text: &str) -> String {
    let marks = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")];
    marks.iter().fold(text.to_owned(), |text, (mark, plain)| text.replace(mark, plain))
}

/// The examples of a page: their names, their texts, and what each is said to find.
fn examples(page: &Page) -> Vec<(String, String, Option<String>)> {
    let found = page.html.split("<pre id=\"example-").skip(1).map(|rest| {
        let (name, _) = rest.split_once('"').unwrap();
        let (text, after) = rest.split_once('>').unwrap().1.split_once("</pre>").unwrap();
        let own = after.split("<pre").next().unwrap();
        let finds = own.split_once("Finds: ").map(|(_, rest)| rest.split('<').next().unwrap().trim().to_owned());
        (name.to_owned(), unescaped(text), finds)
    });
    found.collect()
}

/// The conditions on columns, and what each is said to find.
fn conditions(page: &Page) -> Vec<(String, String)> {
    let tables = page.html.split("<table class=\"asked\">").skip(1).map(|rest| rest.split("</table>").next().unwrap());
    let rows = tables.flat_map(|table| table.split("<tr><td>").skip(1));
    let found = rows.map(|row| {
        let condition = row.split_once("<code>").unwrap().1.split_once("</code>").unwrap().0;
        let finds = row.split_once("<td class=\"number\">").unwrap().1.split('<').next().unwrap();
        (unescaped(condition), finds.trim().to_owned())
    });
    found.collect()
}

#[tokio::test]
async fn what_stands_in_the_guide_is_asked_as_it_stands_and_finds_what_it_says() {
    let app = TestApp::with_sample(400).await;
    imported(&app, Definition::from_toml(TREES, "trees.toml").unwrap(), trees().into_bytes(), "trees.csv").await;
    let key = unlimited(&app).await;
    let browser = Browser::new(&app);

    let permits = browser.open("/docs?dataset=permits").await.expect(200);
    permits.shows("San Francisco building permits").shows("The state of the application, in lower case.");
    assert!(permits.html.contains(&format!("{}/permits?limit=3", app.url(""))), "with the server's own address");
    let asking = Asking::of(&app, &key, "permits", ["application_number", "record_id"]).await;
    asking.all_of(&permits).await;
    let figures = app.admin_get("/datasets/permits").await.expect(200).json();
    let status = figures["figures"]["columns"].as_array().unwrap().iter().find(|one| one["name"] == "status").unwrap();
    let most = status["values"][0]["value"].as_str().unwrap();
    assert!(examples(&permits).iter().any(|(_, text, _)| text.contains(most)), "values are the data set's own");

    let trees = browser.open("/docs?dataset=trees").await.expect(200);
    for kind in ["Text", "Whole number", "Amount", "Number", "Date", "Date and time"] {
        assert!(trees.html.contains(&format!(">{kind}</h4>")), "{kind}");
    }
    trees.shows("Ask the gardeners.").shows("trees@example.org");
    Asking::of(&app, &key, "trees", ["tag", "record_id"]).await.all_of(&trees).await;
    // One is chosen by a form, and whoever asks for none gets the first.
    assert!(trees.html.contains("<option value=\"trees\" selected>"), "{}", trees.main());
    assert!(browser.open("/docs").await.html.contains("/permits?limit=3"));
}

#[tokio::test]
async fn what_stands_in_the_repository_is_asked_as_it_stands() {
    let app = TestApp::with_sample(400).await;
    let key = unlimited(&app).await;
    let asking = Asking::of(&app, &key, "permits", ["application_number", "record_id"]).await;
    let source = fs::read_to_string(repository().join("docs/DATA.md")).unwrap();
    let blocks =
        source.split("\n```sh ").skip(1).map(|rest| rest.split_once('\n').unwrap().1.split("\n```").next().unwrap());
    let mut asked = 0;
    for block in blocks {
        asked += asking.run_all(&block.replace("http://127.0.0.1:8080", &app.url(""))).len();
    }
    assert!(asked >= 18, "only {asked} lines were run");
    assert!(asking.folder.path().join("permits.csv").metadata().unwrap().len() > 10_000);
}

#[tokio::test]
async fn the_generator_of_clients_is_led_to_the_document() {
    let app = TestApp::with_sample(5).await;
    let page = Browser::new(&app).open("/docs").await.expect(200);
    let line = page.copied("example-client");
    let address = line.split('"').nth(1).unwrap().strip_prefix(&app.url("")).unwrap().to_owned();
    let document = app.send(app.request(Method::GET, &address)).await.expect(200).json();
    assert_eq!(document["openapi"], "3.1.0");
}

/// Fails if a page tells of things what only their readers may see.
#[track_caller]
fn tells_nothing_of_things(page: &Page) {
    for of_things in ["Things", "/things", "colour", "height", "dataset=things"] {
        assert!(!page.main().contains(of_things), "{of_things}: {}", page.main());
    }
    page.shows("a table of books that is made up");
    assert!(page.html.contains("/books?limit=3"), "{}", page.main());
}

#[tokio::test]
async fn whoever_may_not_see_a_data_set_reads_the_guide_without_a_word_of_it() {
    let of = Things::with(30).await;
    let stranger = Browser::new(&of.app);
    let shown = stranger.open("/docs").await.expect(200);
    tells_nothing_of_things(&shown);
    shown.shows("Ask whoever runs this server").shows("every operator");
    // Nor is it told whether there is one of that name.
    let [named, unknown] = ["things", "nothing"].map(|name| format!("/docs?dataset={name}"));
    let (named, unknown) = (stranger.open(&named).await.expect(200), stranger.open(&unknown).await.expect(200));
    assert_eq!((named.main(), unknown.main()), (shown.main(), shown.main()));

    member(&of.app, EVE).await;
    let eve = Browser::new(&of.app);
    eve.sign_in(EVE, PASSWORD).await.expect(200);
    let hers = eve.open("/docs").await.expect(200);
    hers.shows("You are signed in").shows("Conditions on colour");
    assert!(hers.html.contains("/things?limit=3"), "{}", hers.main());
    // A condition leads to the rows.
    assert!(hers.links().contains(&"/things/explore?colour=red".to_owned()), "{:?}", hers.links());
    Asking::of(&of.app, &of.key, "things", ["tag", "record_id"]).await.all_of(&hers).await;

    // Whose plan does not have it sees as little as a stranger.
    let plan = json!({ "rate_per_s": 1, "burst": 2, "quota_per_day": 3, "datasets": ["others"] });
    of.app.admin_send(Method::PUT, "/plans/others", &plan).await;
    let users = of.app.admin_get("/users?search=eve").await.expect(200).json();
    let user = format!("/users/{}", users["data"][0]["id"].as_str().unwrap());
    of.app.admin_send(Method::PATCH, &user, &json!({ "plan": "others" })).await.expect(200);
    for path in ["/docs", "/docs?dataset=things"] {
        tells_nothing_of_things(&eve.open(path).await.expect(200));
    }
    // What is withdrawn is shown to nobody.
    of.app.admin_send(Method::PATCH, &user, &json!({ "plan": "default" })).await.expect(200);
    of.app.send(of.app.admin(Method::POST, "/datasets/things/withdraw")).await.expect(200);
    tells_nothing_of_things(&eve.open("/docs?dataset=things").await.expect(200));
}

#[tokio::test]
async fn a_german_reader_finds_the_way_in_german_and_is_told_that_the_guide_is_english() {
    let app = TestApp::with_sample(50).await;
    let page = Browser::reading(&app, "de").open("/docs").await.expect(200);
    assert!(page.html.contains("<html lang=\"de\">") && page.html.contains("<article lang=\"en\">"));
    page.shows("Anleitung für Programme").shows("Die Anleitung selbst ist auf Englisch.").shows("Bevor Sie anfangen");
    page.shows("Die Spalten von „San Francisco building permits“").shows("Bedingungen auf status").shows("Findet:");
    page.shows("A first request");
}

#[tokio::test]
async fn what_a_definition_and_a_file_say_cannot_become_markup() {
    let of = Things::with(1).await;
    let hostile = "</pre><script>alert('x')</script>";
    let about = format!("[about]\npublic = true\naccess = \"{hostile}\"\n");
    let text = THINGS.replace("title = \"Things\"", &format!("title = \"{hostile}\""));
    let text = text.replace("name = \"colour\"", &format!("name = \"colour\"\n    description = \"{hostile}\""));
    let definition = Definition::from_toml(&format!("{text}{about}"), "things.toml").unwrap();
    let file = things(0..30).replace(",red,", &format!(",{hostile},"));
    imported(&of.app, definition, file.into_bytes(), "things.csv").await;
    let shown = Browser::new(&of.app).open("/docs").await.expect(200);
    assert!(!shown.html.contains("<script>") && !shown.html.contains("alert('x')</script>"), "{}", shown.main());
    shown.shows(hostile);
    assert!(shown.main().contains("&lt;script&gt;alert"));
    // The line that was made of it is still one line, and asks for it.
    let asking = Asking::of(&of.app, &of.key, "things", ["tag", "record_id"]).await;
    asking.all_of(&shown).await;
}

#[tokio::test]
async fn every_place_of_the_contents_is_there_and_the_page_is_light() {
    let app = TestApp::with_sample(400).await;
    let browser = Browser::new(&app);
    let page = browser.open("/docs").await.expect(200);
    let contents: Vec<String> =
        page.links().into_iter().filter(|link| link.starts_with('#') && link != "#main").collect();
    assert!(contents.len() >= 15, "{contents:?}");
    for link in contents {
        assert!(page.html.contains(&format!("<h2 id=\"{}\">", &link[1..])), "{link}");
    }
    for part in ["#getting-in", "#filters", "#limits", "#errors", "#what-has-changed", "#in-a-browser"] {
        assert!(page.links().contains(&part.to_owned()), "{part}");
    }
    for inline in [" style=", "<style", "<script>", " onclick=", "src=\"http"] {
        assert!(!page.html.contains(inline), "{inline}");
    }
    // What other pages say of the guide leads to a place of it.
    member(&app, ANA).await;
    browser.sign_in(ANA, PASSWORD).await.expect(200);
    let mut led = 0;
    for path in ["/", "/home/examples", "/permits/about", "/permits/explore", "/problems", "/problems/quota-exceeded"] {
        let other = browser.open(path).await.expect(200);
        let links: Vec<String> = other.links().into_iter().filter(|link| link.starts_with("/docs")).collect();
        assert!(links.iter().any(|link| link.contains('#')) || path == "/", "{path}: {links:?}");
        for link in links {
            let guide = browser.open(&link).await.expect(200);
            if let Some((_, place)) = link.split_once('#') {
                assert!(guide.html.contains(&format!("id=\"{place}\"")), "{path} leads to {link}");
                led += 1;
            }
        }
    }
    assert!(led >= 5, "{led}");

    // As a browser gets it.
    let weight = async |path: &str| {
        let answer =
            app.send(app.request(Method::GET, path).header("accept-encoding", "gzip, br, zstd")).await.expect(200);
        answer.header("content-length").unwrap().parse::<usize>().unwrap()
    };
    let attribute = |before: &str| page.html.split(before).nth(1).unwrap().split('"').next().unwrap().to_owned();
    let files = [attribute("rel=\"stylesheet\" href=\""), attribute("<script src=\"")];
    let weights = [weight("/docs").await, weight(&files[0]).await, weight(&files[1]).await];
    assert!(weights.iter().sum::<usize>() < 60_000, "{weights:?}");
    assert!(Path::new(&files[0]).starts_with("/-"));
}

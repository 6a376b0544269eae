//! Somebody who looks at data in the browser.

use std::fmt::Write;

use reqwest::Method;
use serde_json::{Value, json};

use super::entering::{enter, looks, sign_in};
use crate::{
    guard::Kind,
    look::Look,
    page::Browser,
    server::{Server, Table},
};

const TREES: &str = r#"
name = "trees"
title = "Street trees"
record_id = "record_id"
[about]
description = "Trees that the city has planted in its streets."
licence = "CC0 1.0"
licence_url = "https://creativecommons.org/publicdomain/zero/1.0/"
publisher = "City gardens"
contact = "gardens@example.org"
keywords = ["trees", "streets"]
public = PUBLIC
[key]
column = "tree"
[[column]]
name = "tree"
headers = ["Tree"]
[[column]]
name = "record_id"
type = "integer"
import = true
[[column]]
name = "kind"
headers = ["Kind"]
description = "What kind of tree it is."
[[column]]
name = "height"
type = "integer"
headers = ["Height"]
[[column]]
name = "girth"
type = "number"
headers = ["Girth"]
[[column]]
name = "cost"
type = "money"
headers = ["Cost"]
[[column]]
name = "planted"
type = "date"
headers = ["Planted"]
[[column]]
name = "seen_at"
type = "timestamp"
headers = ["Seen"]
"#;
const TREES_AT_FIRST: usize = 120;
const KINDS: [&str; 3] = ["oak", "lime", "plane"];

/// A file of trees, of which the second version has one more, one changed and one removed.
fn trees(version: usize) -> String {
    let mut file = String::from("Tree,Kind,Height,Girth,Cost,Planted,Seen\n");
    for number in 0..TREES_AT_FIRST + version - 1 {
        let kind = match (version, number) {
            (2, 7) => continue,
            (2, 3) => "cherry",
            _ => KINDS[number % KINDS.len()],
        };
        let (month, day) = (number % 12 + 1, number % 28 + 1);
        let planted = format!("{}-{month:02}-{day:02}", 2000 + number % 20);
        let seen = format!("2026-01-{day:02}T10:{:02}:00Z", number % 60);
        writeln!(file, "T{number},{kind},{number},{number}.5,{}.25,{planted},{seen}", number * 10).unwrap();
    }
    file
}

/// A server with two versions of the trees, for whoever has the plan `all`, and a plan `few` of five requests.
async fn server_with(is_public: bool) -> Server {
    let definition = TREES.replace("PUBLIC", &is_public.to_string());
    let server = Server::with(&[Table { definition: &definition, file: &trees(1) }], &[]);
    for (plan, quota) in [("all", 10_000), ("few", 3)] {
        let limits = json!({ "rate_per_s": 1000, "burst": 1000, "quota_per_day": quota });
        server.send(Method::PUT, &format!("/plans/{plan}"), &limits).await;
    }
    server.import("trees", &trees(2)).await;
    for (email, name) in [("ana@example.org", "Ana Ito"), ("ben@example.org", "Ben Okafor")] {
        server.member(&json!({ "email": email, "name": name, "plan": "all" })).await;
    }
    server
}

fn rows(browser: &mut Browser) -> usize {
    let rows = browser.evaluate("document.querySelectorAll('.rows tbody tr').length");
    usize::try_from(rows.as_u64().unwrap()).unwrap()
}

#[tokio::test]
async fn somebody_looks_for_what_they_need_and_sends_it_on() {
    let server = server_with(false).await;
    let program = server.invite(&json!({ "email": "ida@example.org", "plan": "all" })).await;
    let key = server.key_of(&program).await;
    for look in looks() {
        let Some(mut browser) = enter(&server, look.clone(), "ana@example.org", "/home") else { return };
        browser.loads(|browser| browser.click_within("li", "Street trees", "Explore"));
        browser.sees("Street trees, in the order of tree.");
        assert_eq!(rows(&mut browser), 100);
        browser.accessible("a table");
        browser.follow("Next page");
        assert_eq!(rows(&mut browser), 20);
        browser.follow("First page");
        browser.follow("Count all that match (1 request)");
        browser.sees("120 records match");

        // By a column, then by two.
        browser.click("Filters");
        browser.click_within(".filters", "", "kind");
        browser.sees("What kind of tree it is.");
        browser.accessible("a table, its filters open");
        browser.fill("Is", "oak");
        browser.loads(|browser| browser.click_within("#filter-kind", "", "Apply"));
        browser.sees("Street trees whose kind is oak, in the order of tree.");
        assert_eq!(rows(&mut browser), 40);
        browser.click("Filters");
        browser.click_within(".filters", "", "height");
        browser.fill_in("#field-height__gte", "60");
        browser.loads(|browser| browser.click_within("#filter-height", "", "Apply"));
        browser.sees("whose kind is oak and whose height is at least 60");
        assert_eq!(rows(&mut browser), 21);
        browser.accessible("a table, chosen");
        browser.loads(|browser| browser.click_within(".rows thead", "", "height"));
        browser.sees("by height, smallest first");
        browser.loads(|browser| browser.click_within(".rows thead", "", "height ↑"));
        browser.sees("by height, largest first");
        let largest = browser.read(".rows tbody tr");
        assert!(largest.contains("T120"), "{largest}");

        // Somebody else is sent the address, and sees the same.
        let address = browser.url();
        let mut other = browser.beside(look.clone(), &address);
        sign_in(&mut other, "ben@example.org");
        other.sees("by height, largest first");
        assert_eq!(other.read(".rows"), browser.read(".rows"));
        other.close();

        browser.back();
        browser.sees("by height, smallest first");
        browser.back();
        browser.sees("in the order of tree");
        browser.follow("Remove: kind is oak");
        browser.sees("Street trees whose height is at least 60");
        assert_eq!(rows(&mut browser), 61);

        // A program gets the same.
        let request = browser.read("#request-url");
        let answer = server.client.get(request.trim()).header("x-api-key", &key).send().await.unwrap();
        let answer: Value = answer.error_for_status().unwrap().json().await.unwrap();
        assert_eq!(answer["data"].as_array().unwrap().len(), 61);
        let csv = browser.download("Download as CSV");
        assert_eq!(csv.lines().count(), 62, "{csv}");
        assert_eq!(browser.download("Download as NDJSON").lines().count(), 61);
        browser.close();
    }
}

#[tokio::test]
async fn somebody_counts_and_draws() {
    let server = server_with(false).await;
    for look in looks() {
        let Some(mut browser) = enter(&server, look, "ana@example.org", "/trees/explore?limit=20") else { return };
        browser.click("Frequent values");
        browser.choose_in("#values-of", "kind");
        browser.follow("Count values (+1 request)");
        browser.sees("kind: the most frequent values among 120 records");
        browser.accessible("frequent values");
        browser.follow("oak");
        browser.sees("whose kind is oak");
        browser.follow("Do not count values");
        browser.follow("Remove: kind is oak");
        for (column, drawn) in [
            ("kind", "Records by kind"),
            ("height", "Records by height"),
            ("girth", "Records by girth"),
            ("cost", "Records by cost"),
            ("planted", "Records by planted"),
            ("seen_at", "Records by seen at"),
        ] {
            if browser.text().contains("Do not draw") {
                browser.follow("Do not draw");
            }
            browser.click("Chart");
            browser.choose_in("#chart-of", column);
            browser.follow("Draw (+1 request)");
            browser.sees(drawn);
            browser.click("The same as a table");
            if ["kind", "height", "planted"].contains(&column) {
                browser.accessible(&format!("a chart of {column}"));
            }
        }
        // A bar leads to its records.
        browser.loads(|browser| browser.click_on("figure ~ details tbody tr a"));
        browser.sees("whose seen at");
        browser.go(&format!("{}/trees/explore?height=9999&chart-of=height", server.told("url")));
        browser.sees("so there is nothing to draw");
        browser.accessible("a chart of nothing");
        browser.close();
    }
}

#[tokio::test]
async fn somebody_looks_at_one_record_and_what_it_was() {
    let server = server_with(false).await;
    for look in looks() {
        let Some(mut browser) = enter(&server, look, "ana@example.org", "/trees/explore?tree=T3") else { return };
        browser.follow("T3");
        browser.sees("Changed by an import");
        let changes = browser.read(".changes");
        assert!(changes.contains("oak") && changes.contains("cherry"), "{changes}");
        browser.accessible("a record");
        browser.back();
        browser.sees("Street trees whose tree is T3");
        browser.go(&format!("{}/trees/explore/T7", server.told("url")));
        browser.sees("This record is not there any more.");
        browser.accessible("a record, removed");
        browser.expect(Kind::Failed, "404 GET");
        assert_eq!(browser.go(&format!("{}/trees/explore/T999", server.told("url"))), 404);
        browser.sees("There is no such record");
        browser.accessible("a record, unknown");
        browser.follow("All records");
        browser.sees("Street trees, in the order of tree.");
        browser.close();
    }
}

/// What is wrong is said, with what was meant; what is not to be had is said as well, and why.
#[tokio::test]
async fn somebody_is_told_why_they_see_nothing() {
    let server = server_with(false).await;
    server
        .send(
            Method::PUT,
            "/plans/other",
            &json!({
                "rate_per_s": 10, "burst": 10, "quota_per_day": 10, "datasets": ["permits"],
            }),
        )
        .await;
    server.member(&json!({ "email": "oda@example.org", "plan": "other" })).await;
    for (nth, look) in looks().into_iter().enumerate() {
        let Some(mut browser) = enter(&server, look.clone(), "ana@example.org", "/trees/explore?knid=oak") else {
            return;
        };
        browser.expect(Kind::Failed, "400 GET");
        browser.sees("is neither a column nor a parameter");
        browser.accessible("a table, a wrong condition");
        browser.follow("Did you mean “kind”?");
        browser.sees("whose kind is oak");
        browser.click("Filters");
        browser.click("With OR and parentheses");
        browser.fill("Filter expression", "(kind = \"oak\" OR kind = ");
        browser.loads(|browser| browser.click_within("form", "Filter expression", "Apply"));
        browser.sees("Something in the question is not right yet.");
        assert_eq!(browser.value("Filter expression"), "(kind = \"oak\" OR kind =", "it is still there");
        browser.accessible("a table, a wrong expression");
        browser.fill("Filter expression", "kind = \"oak\" AND height > 1000");
        browser.loads(|browser| browser.click_within("form", "Filter expression", "Apply"));
        browser.sees("No record matches");
        browser.accessible("a table, empty");
        browser.close();

        // The requests of a day are used up in the middle of it.
        let poor = format!("poor{nth}@example.org");
        server.member(&json!({ "email": poor, "plan": "few" })).await;
        let Some(mut browser) = enter(&server, look.clone(), &poor, "/trees/explore") else { return };
        browser.expect(Kind::Failed, "429 GET");
        assert_eq!(browser.go(&format!("{}/trees/explore?values-of=kind", server.told("url"))), 200);
        assert_eq!(browser.go(&format!("{}/trees/explore?kind=oak", server.told("url"))), 429);
        browser.sees("Your requests for today are used up");
        browser.accessible("a table, the quota used up");
        assert_eq!(browser.go(&format!("{}/trees/explore/T3", server.told("url"))), 429);
        browser.accessible("a record, the quota used up");
        browser.follow("Home");
        browser.sees("0 of 3");
        browser.accessible("home, the quota used up");
        browser.follow("Use");
        browser.accessible("use, the quota used up");
        browser.close();

        let Some(mut browser) = enter(&server, look, "oda@example.org", "/trees/explore") else { return };
        browser.expect(Kind::Failed, "403 GET");
        browser.sees("Your access does not include this data");
        browser.accessible("a table of another plan");
        browser.close();
    }
    server.send(Method::POST, "/datasets/trees/withdraw", &Value::Null).await;
    let Some(mut browser) = enter(&server, Look::default(), "ana@example.org", "/trees/explore?limit=20") else {
        return;
    };
    browser.expect(Kind::Failed, "410 GET");
    browser.sees("This data is not served at the moment");
    browser.accessible("a table, withdrawn");
    browser.close();
}

#[tokio::test]
async fn what_a_data_set_is_stands_on_a_page() {
    for is_public in [true, false] {
        let server = server_with(is_public).await;
        for look in looks() {
            let about = format!("{}/trees/about", server.told("url"));
            let Some(mut browser) = Browser::open_as(look, &about) else { return };
            if is_public {
                browser.sees("Trees that the city has planted in its streets.");
                browser.accessible("about, for anybody");
                browser.follow("Sign in to look at the records");
            }
            browser.sees("E-mail address");
            sign_in(&mut browser, "ana@example.org");
            browser.sees("Street trees");
            browser.go(&about);
            browser.sees("City gardens");
            browser.accessible("about, for whoever is signed in");
            browser.follow("Look at the records");
            browser.sees("Street trees, in the order of tree.");
            browser.close();
        }
    }
}

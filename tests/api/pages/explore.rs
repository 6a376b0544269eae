//! Data as people look at it: `/{dataset}/explore` and the pages of records.

use permitd::clock::ManualClock;
use reqwest::Method;
use serde_json::json;

use crate::{
    accounts::{member, sign_in},
    admission::daily_left,
    app::{Answer, Options, TestApp},
    browser::Browser,
    data::{import, permits, things_with},
    past::one_permit,
};

const ANA: &str = "ana@example.org";
const BASE: &str = "/permits/explore";

/// Somebody who is signed in and looks at pages.
struct Looking {
    app: TestApp,
    token: String,
    user: String,
}

impl Looking {
    /// At so many rows of the sample, with this quota.
    async fn at(rows: u64, quota: u64) -> Self {
        let settings = vec![("mail.contact", "data@example.org".to_owned())];
        let clock = ManualClock::at("2026-03-01T12:00:00Z".parse().unwrap());
        let app = TestApp::with(Options { clock, settings, sample_rows: rows, ..Options::default() }).await;
        let plan = json!({ "rate_per_s": 1000, "burst": 1000, "quota_per_day": quota });
        app.admin_send(Method::PUT, "/plans/default", &plan).await.expect(200);
        let user = member(&app, ANA).await;
        let token = sign_in(&app, ANA).await;
        Self { app, token, user }
    }

    async fn open_in(&self, path: &str, language: &str) -> Answer {
        let request = self.app.request(Method::GET, path).header("accept", "text/html,*/*;q=0.8");
        let request = request.header("cookie", format!("permitd={}", self.token)).header("accept-language", language);
        // Where it is led to is looked at here.
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().unwrap();
        let response = client.execute(request.build().unwrap()).await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Answer { status, headers, body: response.text().await.unwrap() }
    }

    async fn open(&self, path: &str) -> Answer {
        self.open_in(path, "en").await
    }

    async fn page(&self, path: &str) -> String {
        let answer = self.open(path).await.expect(200);
        assert!(answer.header("content-security-policy").unwrap().starts_with("default-src 'none'"));
        assert!(!answer.body.contains(" style=") && !answer.body.contains("onclick"), "{}", answer.body);
        answer.body
    }

    /// What of today's quota is left, by asking once more.
    async fn left(&self) -> u64 {
        let asked = self.app.request(Method::GET, "/permits?limit=1").bearer_auth(&self.token);
        daily_left(&self.app.send(asked).await.expect(200)) + 1
    }
}

/// The text of a page as it is read: without its markup, and with single spaces.
fn read(html: &str) -> String {
    let main = html.split_once("<main").unwrap().1.split_once("</main>").unwrap().0;
    let texts = main.split('<').map(|part| part.split_once('>').map_or(part, |(_, text)| text));
    let text = texts.collect::<Vec<_>>().join(" ");
    let text = text.replace("&quot;", "\"").replace("&#39;", "'").replace("&lt;", "<").replace("&gt;", ">");
    text.replace("&#x27;", "'")
        .replace("&#x2f;", "/")
        .replace("&amp;", "&")
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

/// The address of the link with these words.
fn link(html: &str, words: &str) -> String {
    let end = html.find(words).unwrap_or_else(|| panic!("no link {words:?} in {}", read(html)));
    let before = &html[..end];
    let at = before.rfind("href=\"").unwrap() + 6;
    unescaped(before[at..].split('"').next().unwrap())
}

fn unescaped(text: &str) -> String {
    text.replace("&#x2f;", "/").replace("&#x27;", "'").replace("&quot;", "\"").replace("&amp;", "&")
}

/// The rows of the table.
fn rows(html: &str) -> usize {
    html.matches("<th scope=\"row\">").count()
}

#[tokio::test]
async fn a_table_is_shown_as_of_a_version_or_a_time() {
    let looking = Looking::at(30, 1000).await;
    import(&looking.app, permits(), one_permit("900000000001", "revoked"), "new.csv").await;
    for (as_of, expected) in [("", 31), ("as_of=2", 31), ("as_of=1", 30), ("as_of=2026-03-01T12:00:00Z", 31)] {
        assert_eq!(rows(&looking.page(&format!("{BASE}?{as_of}")).await), expected, "{as_of}");
    }
    // Each page of it is of the same version.
    let first = looking.page(&format!("{BASE}?as_of=1&limit=20")).await;
    assert_eq!(rows(&looking.page(&link(&first, "Next page")).await), 10);
    for as_of in ["0", "9", "9999-12-30", "2016-12-01", "never"] {
        let answer = looking.open(&format!("{BASE}?as_of={as_of}")).await;
        assert!(answer.status < 500 && rows(&answer.body) == 0, "{as_of}: {} {}", answer.status, read(&answer.body));
    }
}

#[tokio::test]
async fn a_table_is_chosen_ordered_and_turned_by_its_address() {
    let looking = Looking::at(120, 1000).await;
    let html = looking.page(BASE).await;
    assert_eq!(rows(&html), 100);
    let text = read(&html);
    assert!(text.contains("San Francisco building permits, in the order of application number."), "{text}");
    assert!(text.contains("This page cost 1 request; 999 of 1,000 are left today."), "{text}");
    let second = looking.page(&link(&html, "Next page")).await;
    assert_eq!(rows(&second), 20);
    assert!(!second.contains("rel=\"next\"") && second.contains("First page"));

    let chosen =
        "select=status,file_date,estimated_cost&status=issued&estimated_cost__gte=10000&sort=-file_date&limit=25";
    let html = looking.page(&format!("{BASE}?{chosen}")).await;
    let text = read(&html);
    let said = "whose status is issued and whose estimated cost is at least 10,000.00, by file date, newest first.";
    assert!(text.contains(said), "{text}");
    assert!(html.contains("aria-sort=\"descending\""));
    // The same rows as the request on the page gives.
    let url = link_of_request(&html);
    let document =
        looking.app.send(looking.app.request(Method::GET, &url).bearer_auth(&looking.token)).await.expect(200).json();
    assert_eq!(document["data"].as_array().unwrap().len(), rows(&html));
    assert!(url.contains("status=issued") && url.contains("estimated_cost__gte=10000"), "{url}");
    // A chip goes, and all else stays.
    let fewer = link(&html, "Remove: status is issued");
    assert!(
        !fewer.contains("status=issued")
            && fewer.contains("estimated_cost__gte=10000")
            && fewer.contains("sort=-file_date"),
        "{fewer}"
    );
    let more = looking.page(&fewer).await;
    assert!(rows(&more) >= rows(&html));

    let german = looking.open_in(&format!("{BASE}?{chosen}"), "de").await.expect(200).body;
    let text = read(&german);
    assert!(text.contains("bei denen gilt: status ist issued und estimated cost ist mindestens 10.000,00; nach file date, Neueste zuerst."), "{text}");
}

fn link_of_request(html: &str) -> String {
    let at = html.find("id=\"request-url\"").unwrap();
    unescaped(html[at..].split_once('>').unwrap().1.split('<').next().unwrap().trim())
}

#[tokio::test]
async fn empty_fields_of_a_form_ask_for_nothing() {
    let looking = Looking::at(5, 1000).await;
    let led =
        looking.open(&format!("{BASE}?status=&status__contains=iss&select=status&select=file_date")).await.expect(303);
    assert_eq!(led.header("location"), Some("/permits/explore?status__contains=iss&select=status,file_date"));
    assert_eq!(looking.left().await, 1000, "to be led costs nothing");
    let html = looking.page(led.header("location").unwrap()).await;
    assert!(html.contains("name=\"status__contains\" value=\"iss\""), "{html}");
    assert!(html.contains("name=\"select\" value=\"status,file_date\""), "other forms keep the columns");
}

#[tokio::test]
async fn what_is_wrong_is_said_at_its_field_and_costs_nothing() {
    let looking = Looking::at(5, 1000).await;
    let wrong = format!("{BASE}?estimated_cost__gte=lots&stauts=issued&sort=-file_dat&values-of=blokc&block=0001");
    let answer = looking.open(&wrong).await.expect(400);
    let text = read(&answer.body);
    for said in [
        "expected an amount",
        "Did you mean “status”?",
        "Did you mean “file_date”?",
        "Did you mean “block”?",
        "Nothing was asked, and nothing was charged",
    ] {
        assert!(text.contains(said), "{said}: {text}");
    }
    let field = answer.body.split_once("id=\"field-estimated_cost__gte\"").unwrap().1.split('>').next().unwrap();
    assert!(field.contains("value=\"lots\"") && field.contains("aria-invalid=\"true\""), "{field}");
    assert!(answer.body.contains("block is 0001"), "what is right is kept");
    let corrected = link(&answer.body, "Did you mean “status”?");
    assert!(corrected.contains("status=issued") && !corrected.contains("stauts"), "{corrected}");
    let corrected = link(&answer.body, "Did you mean “file_date”?");
    assert!(corrected.contains("sort=-file_date&") || corrected.ends_with("sort=-file_date"), "{corrected}");
    assert_eq!(looking.left().await, 1000);
}

/// A German reader is shown `12,5`, and may type it.
#[tokio::test]
async fn numbers_are_typed_as_they_are_shown() {
    let looking = Looking::at(5, 1000).await;
    let led = looking.open_in(&format!("{BASE}?estimated_cost__gte=1.944%2C17&status=issued"), "de").await.expect(303);
    let location = led.header("location").unwrap();
    assert!(location.contains("estimated_cost__gte=1944.17") && location.contains("status=issued"), "{location}");
}

/// Every mistake and every condition has a link with all the others: a page would grow with the square of its address.
#[tokio::test]
async fn a_long_question_makes_no_huge_page() {
    let looking = Looking::at(5, 1000).await;
    let many = |count: usize| (0..count).map(|nth| format!("x{nth}={}", "y".repeat(60))).collect::<Vec<_>>().join("&");
    let most = looking.open(&format!("{BASE}?{}", many(100))).await.expect(400);
    assert!(read(&most.body).contains("and 80 more") && most.body.len() < 600_000, "{}", most.body.len());
    let beyond = looking.open(&format!("{BASE}?{}", many(101))).await.expect(400);
    assert!(read(&beyond.body).contains("at most 100 parameters") && beyond.body.len() < 20_000, "{}", beyond.body);
    let conditions = (0..90).map(|nth| format!("estimated_cost__lt={}", 1_000_000 + nth)).collect::<Vec<_>>().join("&");
    let right = looking.open(&format!("{BASE}?{conditions}")).await;
    assert!(right.body.len() < 1_000_000, "{}", right.body.len());
    assert_eq!(looking.left().await, 1000);
}

/// Whoever clicks opens the file in a spreadsheet.
#[tokio::test]
async fn a_file_to_download_is_safe_for_spreadsheets() {
    let looking = Looking::at(5, 1000).await;
    let led = link(&looking.page(&format!("{BASE}?status=issued")).await, "Download as CSV");
    assert!(led.contains("status=issued") && led.contains("csv_safe=true") && led.contains("bom=true"), "{led}");
}

#[tokio::test]
async fn values_and_a_chart_cost_one_request_each_and_lead_to_their_rows() {
    let looking = Looking::at(200, 1000).await;
    let html = looking.page(&format!("{BASE}?values-of=status&chart-of=file_date&limit=25")).await;
    let text = read(&html);
    assert!(text.contains("This page cost 3 requests; 997 of 1,000 are left today."), "{text}");
    assert!(html.contains("<svg class=\"chart\"") && html.contains("<title>"), "{text}");
    let counted = looking
        .app
        .send(looking.app.request(Method::GET, "/permits/facets?columns=status").bearer_auth(&looking.token))
        .await
        .json();
    let first = &counted["facets"][0]["values"][0];
    let (value, count) = (first["value"].as_str().unwrap(), first["count"].as_u64().unwrap());
    let led = link(&html, &format!("\">{value}</a>"));
    assert!(led.contains(&format!("status={value}")) && led.contains("values-of=status"), "{led}");
    let chosen = looking.page(&format!("{BASE}?status={value}&count=exact")).await;
    assert!(read(&chosen).contains(&format!("{count} records match")), "{}", read(&chosen));

    // One question answers both of one column; a bar's row leads to its records, which are as many.
    let html = looking.page(&format!("{BASE}?values-of=estimated_cost&chart-of=estimated_cost&limit=25")).await;
    assert!(read(&html).contains("This page cost 2 requests"), "{}", read(&html));
    let table = html.split_once("The same as a table").unwrap().1;
    let bar = table.split("<tr>").find(|row| row.contains("href=") && row.contains(" – ")).unwrap();
    let count: usize = bar.split_once("<td class=\"number\">").unwrap().1.split('<').next().unwrap().parse().unwrap();
    let led = unescaped(bar.split_once("href=\"").unwrap().1.split('"').next().unwrap());
    let led = led.replace("chart-of=estimated_cost", "count=exact").replace("values-of=estimated_cost&", "");
    let text = read(&looking.page(&led).await);
    assert!(text.contains(&format!("{count} record")), "{text}");
}

#[tokio::test]
async fn groups_are_drawn_by_month_and_split_by_a_value() {
    let looking = Looking::at(400, 1000).await;
    let before = looking.left().await;
    let html = looking
        .page(&format!("{BASE}?group-by=month(file_date)&group-measure=sum(estimated_cost)&group-split=existing_use"))
        .await;
    let text = read(&html);
    assert!(text.contains("This page cost 2 requests;"), "{text}");
    assert!(text.contains("sum estimated cost by month file date"), "{text}");
    assert_eq!(looking.left().await, before - 3);
    // The table says what the API says of the same groups.
    let url = "/permits/groups?by=month(file_date)&measure=sum(estimated_cost)&limit=1000&numbers=text";
    let answer = looking.app.send(looking.app.request(Method::GET, url).bearer_auth(&looking.token)).await.expect(200);
    let groups = answer.json()["groups"].clone();
    let last = groups.as_array().unwrap().iter().rfind(|group| !group["month_file_date"].is_null()).unwrap().clone();
    let (month, sum) = (last["month_file_date"].as_str().unwrap(), last["sum_estimated_cost"].as_str().unwrap());
    let whole: f64 = sum.parse().unwrap();
    assert!(text.replace(',', "").contains(&format!("{month} {whole:.2}")), "{month} {sum}: {text}");
    let drawing = html.split_once("<figure>").unwrap().1.split_once("</figure>").unwrap().0;
    assert!(
        drawing.contains("class=\"s1\" x=") && drawing.contains("class=\"s2\" x="),
        "two values have colours: {drawing}"
    );
    // A group leads to its rows.
    let led = looking.page(&link(&html, &format!("{month}</a>"))).await;
    let conditions = format!("file_date__gte={month}-01&");
    assert!(
        unescaped(&led).contains(&conditions) && read(&led).contains("whose file date is not before 1 "),
        "{}",
        read(&led)
    );
    for wrong in [
        "group-by=month(status)",
        "group-by=file_date&group-measure=avg(x)",
        "group-by=status&group-split=existing_use&group-measure=mean(estimated_cost)",
    ] {
        let answer = looking.open(&format!("{BASE}?{wrong}")).await.expect(400);
        assert!(read(&answer.body).contains("Nothing was asked, and nothing was charged"), "{wrong}");
    }
    let days = read(&looking.page(&format!("{BASE}?group-by=weekday(file_date)")).await);
    assert!(days.contains("Monday") && days.contains("count by weekday file date"), "{days}");
    let german = read(&looking.open_in(&format!("{BASE}?group-by=weekday(file_date)"), "de").await.expect(200).body);
    assert!(german.contains("Montag"), "{german}");
}

#[tokio::test]
async fn a_map_leads_into_its_cells() {
    let looking = Looking::at(5, 1000).await;
    let columns = "[[column]]\nname = \"location\"\ntype = \"point\"\nheaders = [\"Location\"]\n";
    let mut file = "Name,Location\n".to_owned();
    for nth in 0..40 {
        file.push_str(&format!(
            "r{nth},POINT ({} {})\n",
            -122.5 + f64::from(nth % 8) * 0.02,
            37.7 + f64::from(nth / 8) * 0.02
        ));
    }
    file.push_str("none,\n");
    import(&looking.app, things_with("", columns), file.into_bytes(), "things.csv").await;
    let html = looking.page("/things/explore?map-of=location").await;
    let text = read(&html);
    assert!(text.contains("40 records by location") && text.contains("1 record has no place."), "{text}");
    assert!(text.contains("This page cost 3 requests;"), "{text}");
    assert_eq!(html.matches("class=\"s1\" x=").count(), 40, "a cell for each: they lie apart");
    // A cell leads to its records, and to the map of them.
    let at = html.find("location__bbox=").unwrap();
    let begin = html[..at].rfind("href=\"").unwrap() + 6;
    let led = unescaped(html[begin..].split('"').next().unwrap());
    let inside = looking.page(&led).await;
    assert_eq!(rows(&inside), 1, "{led}");
    assert!(read(&inside).contains("1 record by location"));
    for page in ["/things/about", "/docs?dataset=things"] {
        assert!(looking.page(page).await.contains("Place"), "{page}");
    }
    let nearest = looking.page("/things/explore?near=37.7,-122.5,50km&sort=distance").await;
    assert!(read(&nearest).contains("the nearest first."), "{}", read(&nearest));
    let wrong = looking.open("/things/explore?map-of=name").await.expect(400);
    assert!(read(&wrong.body).contains("there is no such column of points"));
    assert!(!looking.page(BASE).await.contains("map-of"), "there is nothing to draw without points");
}

#[tokio::test]
async fn the_page_looks_back_to_an_earlier_version() {
    let looking = Looking::at(30, 1000).await;
    let columns = "[[column]]\nname = \"status\"\nheaders = [\"Status\"]\n";
    for status in ["drafted", "finished"] {
        let rows = format!("Name,Status\na,{status}\n");
        import(&looking.app, things_with("", columns), rows.into_bytes(), "things.csv").await;
    }
    let past = looking.page("/things/explore?as_of=1&group-by=status").await;
    assert!(read(&past).contains("drafted") && !read(&past).contains("finished"), "{}", read(&past));
    assert!(read(&past).contains("as of 1"), "{}", read(&past));
    // A row leads to the record of that time.
    let led = looking.page(&link(&past, ">a</a>")).await;
    assert!(read(&led).contains("drafted") && read(&led).contains("This is the record as of 1."), "{}", read(&led));
    for (as_of, status, said) in
        [("99", 400, "the newest version is 2"), ("x", 400, "expected a version"), ("0", 410, "not kept so far back")]
    {
        let answer = looking.open(&format!("/things/explore/a?as_of={as_of}")).await.expect(status);
        assert!(read(&answer.body).contains(said), "{as_of}: {}", read(&answer.body));
    }
    let now = looking.page(&link(&led, "Show the present")).await;
    assert!(!read(&now).contains("as of 1."), "{}", read(&now));
    let present = looking.page(&link(&past, "Show the present")).await;
    assert!(read(&present).contains("finished") && !read(&present).contains("drafted"), "{}", read(&present));
    let before = looking.left().await;
    let to_come = looking.open("/things/explore?as_of=99&limit=25").await.expect(400);
    let text = read(&to_come.body);
    assert!(text.contains("the newest version is 2") && text.contains("nothing was charged"), "{text}");
    assert_eq!(looking.left().await, before - 1);
    let gone = looking.open("/things/explore?as_of=2001-01-01&limit=25").await.expect(410);
    assert!(read(&gone.body).contains("The past is not kept so far back"), "{}", read(&gone.body));
    let wrong = looking.open("/things/explore?as_of=yesterday").await.expect(400);
    assert!(wrong.body.contains("id=\"error-as_of\""), "{}", read(&wrong.body));
}

#[tokio::test]
async fn words_are_searched_on_the_page() {
    let looking = Looking::at(400, 1000).await;
    let html = looking.page(&format!("{BASE}?q=re&sort=relevance")).await;
    let text = read(&html);
    assert!(text.contains("whose texts hold the words “re”, the most relevant first."), "{text}");
    assert!(rows(&html) > 5);
    // Without the words there is no order by them.
    let without = looking.page(&link(&html, "Remove: texts hold")).await;
    assert!(read(&without).contains("in the order of application number"), "{}", read(&without));
    let wrong = looking.open(&format!("{BASE}?q=%2B")).await.expect(400);
    assert!(read(&wrong.body).contains("holds no word"), "{}", read(&wrong.body));
}

#[tokio::test]
async fn where_nothing_matches_the_page_says_what_to_loosen() {
    let looking = Looking::at(5, 1000).await;
    let html = looking.page(&format!("{BASE}?status=nothing&estimated_cost__gte=1")).await;
    let text = read(&html);
    assert!(text.contains("No record matches") && text.contains("without “status is nothing”"), "{text}");
    assert_eq!(link(&html, "without “status is nothing”"), "/permits/explore?estimated_cost__gte=1");
}

#[tokio::test]
async fn a_quota_that_is_used_up_keeps_the_question() {
    let looking = Looking::at(5, 4).await;
    looking.page(&format!("{BASE}?values-of=status")).await;
    // Two are left: not enough for three, enough for one.
    let answer = looking.open(&format!("{BASE}?status=issued&values-of=status&chart-of=block")).await.expect(429);
    let text = read(&answer.body);
    assert!(text.contains("This page costs 3 requests, and 2 are left today."), "{text}");
    let rows_only = link(&answer.body, "Show the rows alone");
    assert_eq!(rows_only, "/permits/explore?status=issued");
    looking.page(&rows_only).await;
    looking.page(BASE).await;
    let answer = looking.open(&format!("{BASE}?status=issued")).await.expect(429);
    assert!(answer.header("retry-after").is_some());
    let text = read(&answer.body);
    assert!(text.contains("Your requests for today are used up") && text.contains("2 Mar 2026, 00:00 UTC"), "{text}");
    assert!(text.contains("status is issued"), "{text}");
}

#[tokio::test]
async fn who_may_not_look_is_told_what_to_do() {
    let looking = Looking::at(5, 1000).await;
    let app = &looking.app;
    let stranger = app.request(Method::GET, &format!("{BASE}?status=issued")).header("accept", "text/html");
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().unwrap();
    let led = client.execute(stranger.build().unwrap()).await.unwrap();
    assert_eq!(led.status().as_u16(), 303);
    assert_eq!(led.headers()["location"], "/sign-in?return_to=%2Fpermits%2Fexplore%3Fstatus%3Dissued");

    let plan = json!({ "rate_per_s": 10, "burst": 10, "quota_per_day": 10, "datasets": ["things"] });
    app.admin_send(Method::PUT, "/plans/narrow", &plan).await;
    app.admin_send(Method::PATCH, &format!("/users/{}", looking.user), &json!({ "plan": "narrow" })).await.expect(200);
    let token = sign_in(app, ANA).await;
    let narrow =
        app.request(Method::GET, BASE).header("cookie", format!("permitd={token}")).header("accept", "text/html");
    let refused = app.send(narrow).await.expect(403);
    let text = read(&refused.body);
    assert!(text.contains("Your access does not include this data") && text.contains("data@example.org"), "{text}");
    assert!(!text.contains("estimated cost"), "columns are not shown");
}

#[tokio::test]
async fn what_is_withdrawn_says_so() {
    let looking = Looking::at(5, 1000).await;
    let answer = looking.app.admin_send(Method::POST, "/datasets/permits/withdraw", &json!({})).await;
    assert!(answer.status < 300, "{}", answer.body);
    let page = looking.open(BASE).await.expect(410);
    assert!(read(&page.body).contains("was withdrawn by an administrator"), "{}", read(&page.body));
}

#[tokio::test]
async fn a_record_shows_all_it_says_and_what_became_of_it() {
    let looking = Looking::at(5, 1000).await;
    import(&looking.app, permits(), one_permit("9000000001", "filed"), "one.csv").await;
    import(&looking.app, permits(), one_permit("9000000001", "issued"), "two.csv").await;
    let html = looking.page(&format!("{BASE}?application_number=9000000001")).await;
    let path = link(&html, "#9000000001</a>");
    let text = read(&looking.page(&path).await);
    assert!(text.contains("status The state of the application, in lower case. issued"), "{text}");
    assert!(text.contains("Added by an import") && text.contains("Changed by an import"), "{text}");
    assert!(text.contains("from filed → to issued"), "{text}");
    assert!(text.contains("This page cost 2 requests"), "{text}");
    // By its key alone, as it is printed, it is found as well.
    let by_key = read(&looking.page(&format!("{BASE}/9000000001")).await);
    assert!(by_key.contains("from filed → to issued"), "{by_key}");
    let unknown = looking.open(&format!("{BASE}/none")).await.expect(404);
    assert!(read(&unknown.body).contains("There is no such record"));
    // The API does not take the pages for keys, nor they the API's paths.
    let asked = looking.app.request(Method::GET, "/permits/about").bearer_auth(&looking.token);
    let about = looking.app.send(asked).await.expect(200);
    assert_eq!(about.header("content-type"), Some("text/html; charset=utf-8"));
    looking.open(&format!("{BASE}/")).await.expect(308);
    let posted = looking.app.request(Method::POST, BASE).header("cookie", format!("permitd={}", looking.token));
    assert_eq!(looking.app.send(posted).await.expect(405).header("allow"), Some("GET, HEAD"));
}

#[tokio::test]
async fn what_a_file_says_is_never_markup() {
    let looking = Looking::at(0, 1000).await;
    let columns = "[[column]]\nname = \"maker\"\ntype = \"text\"\nheaders = [\"Maker\"]\n";
    let hostile = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>";
    let long = "ö".repeat(300);
    let file = format!("Name,Maker\n<b>a/b</b>,\"{}\"\nlong,{long}\n", hostile.replace('"', "\"\""));
    import(&looking.app, things_with("", columns), file.into_bytes(), "things.csv").await;
    let html = looking.page("/things/explore?values-of=maker&chart-of=maker").await;
    for markup in ["<script>alert", "<img", "<b>a"] {
        assert!(!html.contains(markup), "{markup}");
    }
    assert!(read(&html).contains("<script>alert(1)</script>"), "{}", read(&html));
    assert!(
        html.contains(&format!("<summary>{}…</summary>{long}</details>", "ö".repeat(80))),
        "a long text is there in whole"
    );
    // What leads to the value means it, whatever is in it.
    let led = link(&html, "\">&lt;script&gt;alert(1)");
    assert_eq!(rows(&looking.page(&led).await), 1);
    let record = looking.page(&link(&html, "&lt;b&gt;a")).await;
    assert!(!record.contains("<b>a") && read(&record).contains("<b>a/b</b>"), "{record}");
}

#[tokio::test]
async fn a_page_of_a_hundred_rows_is_light() {
    let looking = Looking::at(200, 1000).await;
    let request = looking.app.request(Method::GET, &format!("{BASE}?values-of=status&chart-of=estimated_cost"));
    let request = request.header("cookie", format!("permitd={}", looking.token)).header("accept-encoding", "gzip");
    let response = request.send().await.unwrap();
    assert_eq!(response.headers()["content-encoding"], "gzip");
    let bytes = response.bytes().await.unwrap().len();
    assert!(bytes < 60 * 1024, "{bytes} bytes");
}

#[tokio::test]
async fn a_token_reads_no_data_and_is_not_led_around() {
    let looking = Looking::at(5, 1000).await;
    let app = &looking.app;
    let page = app.send(app.request(Method::GET, "/sign-in").header("accept", "text/html")).await.expect(200);
    let cookie = page.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let csrf = page.body.split_once("name=\"csrf\" value=\"").unwrap().1.split('"').next().unwrap().to_owned();
    let fields = [("csrf", csrf.as_str()), ("token", app.admin_token.as_str())];
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let sent = app.request(Method::POST, "/sign-in/token").header("cookie", &cookie);
    let sent = sent.header("content-type", "application/x-www-form-urlencoded").body(body).build().unwrap();
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().unwrap();
    let led = client.execute(sent).await.unwrap();
    let token = led.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let shown = app
        .send(app.request(Method::GET, BASE).header("cookie", token).header("accept", "text/html"))
        .await
        .expect(403);
    assert!(read(&shown.body).contains("A token reads no data"), "{}", shown.body);
}

#[tokio::test]
async fn what_was_done_before_is_told_on_a_table_too() {
    let app = TestApp::set(&[], 20).await;
    app.invite("bea@example.org").await;
    let link = app.mail_to("bea@example.org", 1).await.links[0].clone();
    let browser = Browser::new(&app);
    let form = browser.open(&link).await.form("Set password and sign in");
    let set = browser.ask(Method::POST, &link, Some(&form.with("password", "correct horse battery"))).await;
    set.expect(303);
    browser.open(BASE).await.expect(200).shows("Your password is set").shows("20 records");
    assert!(!browser.open(BASE).await.expect(200).says("Your password is set"));
}

#[tokio::test]
async fn who_signs_in_at_the_address_of_a_data_set_is_led_to_its_table() {
    let app = TestApp::set(&[], 20).await;
    member(&app, ANA).await;
    let browser = Browser::new(&app);
    let refused = browser.open("/permits?status=issued").await.expect(401);
    let way = refused.links().into_iter().find(|link| link.contains("return_to")).unwrap();
    let form = browser.open(&way).await.form("Sign in");
    let signed_in = browser.send(&form.with("email", ANA).with("password", "correct horse battery")).await.expect(200);
    assert_eq!(signed_in.path, "/permits/explore?status=issued");
    // Whoever is signed in is not asked to on the page of a mistake.
    let missing = browser.open("/nope").await.expect(404).links();
    assert!(missing.contains(&"/home".to_owned()) && !missing.contains(&"/sign-in".to_owned()), "{missing:?}");
    let stranger = Browser::new(&app).open("/nope").await.expect(404).links();
    assert!(stranger.contains(&"/sign-in".to_owned()) && !stranger.contains(&"/home".to_owned()), "{stranger:?}");
}

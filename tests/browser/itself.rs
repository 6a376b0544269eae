//! What stories are made with does what it says, with scripts and without, on pages of a small server.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
};

use super::{guard::Kind, look::Look, page::Browser, served::Served, support};

const FORM: &str = r##"<main><h1>Sign up</h1>
<form action=/done method=post enctype=multipart/form-data>
<p><label for=name>Name</label> <input id=name name=name value=before>
<p><label>Day <input name=day type=date></label>
<p><label>Wishes <textarea name=wishes></textarea></label>
<p><label for=plan>Plan</label> <select id=plan name=plan><option value=a>Small<option value=b>Large<option disabled>None</select>
<p><label><input type=checkbox name=news> Send me <b>news</b></label>
<p><label><input type=checkbox name=mail checked> Send me mail</label>
<p><label><input type=radio name=size value=s> S</label> <label><input type=radio name=size value=l> L</label>
<p><label>List of people <input type=file name=list></label>
<p><button disabled>Later</button> <button aria-label="Sign up now"><span aria-hidden=true>→</span></button>
</form>
<ul><li>Ana <a href=/ana>Show</a><li>Eva <a href=/eva>Show</a></ul>
<details><summary>More</summary><p>There is more.</details></main>"##;

const OUTLINE: &str = "<link rel=stylesheet href=/good.css>";

fn served() -> Served {
    Served::new()
        .page("/", FORM)
        .page_with("/done", 201, "", "<h1>Done</h1>")
        .page("/ana", "<h1>This is Ana</h1>")
        .page("/eva", "<h1>This is Eva</h1>")
        .page_with("/missing", 404, "", "<h1>Nobody</h1>")
        .page("/focus", &format!("{OUTLINE}<a href=/ana>Ana</a> <a class=pale href=/eva>Eva</a>"))
        .page("/keys", &format!("{OUTLINE}<a href=/ana>Ana</a> <button>Go</button> <label>Name <input></label>"))
        .file(
            "/good.css",
            200,
            "content-type: text/css\r\n",
            ":focus-visible { outline: 2px solid #00f } .pale:focus-visible { outline-color: #eee }",
        )
        .start()
}

/// Everybody who looks at pages: with scripts and without.
fn everybody() -> [Look; 2] {
    [Look::default(), Look::phone().dark().without_scripts()]
}

fn file(folder: &tempfile::TempDir) -> PathBuf {
    let file = folder.path().join("people.csv");
    std::fs::write(&file, "email\nana@example.org\n").unwrap();
    file
}

#[test]
fn a_form_is_filled_and_sent() {
    let (served, folder) = (served(), support::data_dir());
    for look in everybody() {
        let Some(mut browser) = Browser::open_as(look, &served.at("/")) else { return };
        assert_eq!(browser.value("Name"), "before");
        browser.fill("Name", "Ana López");
        browser.fill("Day", "2026-01-31");
        browser.fill("Wishes", "none\nat all");
        browser.choose("Plan", "Large");
        browser.tick("Send me news");
        browser.tick("Send me news");
        browser.untick("Send me mail");
        browser.tick("L");
        browser.choose_file("List of people", &file(&folder));
        browser.click("More");
        browser.sees("There is more.");
        assert_eq!(browser.follow("Sign up now"), 201);
        browser.sees("Done");
        assert_eq!(browser.url(), served.at("/done"));
        let sent = served.received().into_iter().rfind(|request| request.starts_with("POST")).unwrap();
        let sent = sent.replace('\r', "");
        for (name, value) in [
            ("name", "Ana López"),
            ("day", "2026-01-31"),
            ("wishes", "none\nat all"),
            ("plan", "b"),
            ("news", "on"),
            ("size", "l"),
        ] {
            assert!(sent.contains(&format!("name=\"{name}\"\n\n{value}\n")), "{name}: {sent}");
        }
        assert!(!sent.contains("name=\"mail\"") && sent.contains("filename=\"people.csv\""), "{sent}");
        assert!(sent.contains("ana@example.org"), "{sent}");
        browser.close();
    }
}

#[test]
fn a_file_is_dropped() {
    let (served, folder) = (served(), support::data_dir());
    for look in everybody() {
        let Some(mut browser) = Browser::open_as(look, &served.at("/")) else { return };
        browser.drop_file("List of people", &file(&folder));
        assert!(browser.value("List of people").ends_with("people.csv"));
        browser.reload();
        browser.drop_file_on("[name=list]", &file(&folder));
        assert!(browser.value("List of people").ends_with("people.csv"));
        browser.close();
    }
}

#[test]
fn pages_are_gone_to_and_back_from() {
    let served = served();
    for look in everybody() {
        let Some(mut browser) = Browser::open_as(look, &served.at("/")) else { return };
        assert_eq!(browser.status(), 200);
        browser.click_within("li", "Eva", "Show");
        browser.sees("This is Eva");
        assert_eq!(browser.back(), 200);
        browser.sees("Sign up");
        assert_eq!(browser.reload(), 200);
        // What was gone back to is as alive as it was.
        browser.fill("Name", "again");
        assert_eq!(browser.value("Name"), "again");
        browser.expect(Kind::Failed, "404 GET");
        assert_eq!(browser.go(&served.at("/missing")), 404);
        browser.sees("Nobody");
        assert_eq!(browser.addresses().len(), 3, "{:?}", browser.addresses());
        browser.close();
    }
}

#[test]
fn keys_lead_through_a_page() {
    let served = served();
    for look in everybody() {
        let Some(mut browser) = Browser::open_as(look, &served.at("/keys")) else { return };
        browser.sees("Ana");
        assert_eq!(browser.focus(), None);
        assert_eq!(browser.stops(), ["Ana", "Go", "Name"]);
        browser.reload();
        browser.tab_to("Name");
        browser.press_key("h");
        browser.press_key("i");
        assert_eq!(browser.value("Name"), "hi");
        browser.press_key("Shift+Tab");
        assert_eq!(browser.focus().as_deref(), Some("Go"));
        browser.press_key("Shift+Tab");
        browser.sees_focus();
        assert_eq!(browser.loads(|browser| browser.press_key("Enter")), 200);
        browser.sees("This is Ana");

        browser.go(&served.at("/"));
        browser.sees("Sign up");
        browser.tab_to("Send me news");
        for is_ticked in [true, false] {
            browser.press_key("Space");
            assert_eq!(browser.is_ticked("Send me news"), is_ticked);
        }
        browser.close();
    }
}

/// A focus whose outline nobody sees fails, as does what has none.
#[test]
fn a_focus_that_is_not_seen_fails() {
    let served = served();
    let Some(mut browser) = Browser::open(&served.at("/focus")) else { return };
    browser.tab_to("Ana");
    let failed = catch_unwind(AssertUnwindSafe(|| browser.tab_to("Eva"))).expect_err("a failure");
    let said = failed.downcast_ref::<String>().unwrap();
    assert!(said.contains("\"Eva\"") && said.contains("3 to 1"), "{said}");
    browser.close();
}

/// Two people in one browser share no cookie, and each is seen by the server as they are.
#[test]
fn everybody_has_a_look_of_their_own() {
    let served = Served::new()
        .page_with("/", 200, "set-cookie: who=ana; Path=/\r\n", "<p>Hello")
        .page("/look", "<link rel=stylesheet href=/look.css><p>Hello<i id=dark> dark</i><i id=wide> wide</i>")
        .file(
            "/look.css",
            200,
            "content-type: text/css\r\n",
            "i { display: none }
             @media (prefers-color-scheme: dark) { #dark { display: inline } }
             @media (min-width: 600px) { #wide { display: inline } }",
        )
        .start();
    let Some(mut ana) = Browser::open(&served.at("/")) else { return };
    ana.sees("Hello");
    let mut eva = ana.beside(Look::phone().dark().in_language("de-CH,de;q=0.9"), &served.at("/look"));
    eva.sees("Hello");
    ana.go(&served.at("/look"));
    assert_eq!((ana.text().trim(), eva.text().trim()), ("Hello wide", "Hello dark"));
    let of = |requests: &[String], language: &str| {
        let language = format!("accept-language: {language}");
        let fits = |request: &&String| request.starts_with("GET /look ") && request.to_lowercase().contains(&language);
        requests.iter().find(fits).unwrap_or_else(|| panic!("none in {language}: {requests:?}")).clone()
    };
    let requests = served.received();
    assert!(of(&requests, "en").contains("who=ana") && !of(&requests, "de-ch,de").contains("who=ana"), "{requests:?}");
    ana.close();
    // She is still there when he has gone.
    assert_eq!(eva.reload(), 200);
    eva.close();
}

/// Bytes as they were sent: a page weighs what the server wrote for it.
#[test]
fn a_page_is_weighed() {
    let style = format!("p {{ margin: 0 }} /*{}*/", "x".repeat(5000));
    let served = Served::new()
        .page("/", "<link rel=stylesheet href=/a.css><script src=/a.js></script><p>Hello")
        .file("/a.css", 200, "content-type: text/css\r\n", &style)
        .file("/a.js", 200, "content-type: text/javascript\r\n", "1")
        .start();
    let Some(mut browser) = Browser::open(&served.at("/")) else { return };
    browser.sees("Hello");
    // The second time nothing is left out, though the browser knows it all.
    for _ in 0..2 {
        let weight = browser.weigh(&served.at("/"));
        assert_eq!((weight.requests, weight.rest), (3, 0), "{weight:?}");
        let size = u64::try_from(style.len()).unwrap();
        assert!((size..size + 500).contains(&weight.style), "{weight:?}");
        assert!(weight.document > 100 && weight.script > 10, "{weight:?}");
        assert_eq!(weight.total(), weight.document + weight.style + weight.script);
    }
    browser.close();
}

#[test]
fn a_picture_is_of_the_whole_page() {
    let served = Served::new().page("/", "<p style='height: 3000px'>Long").start();
    let folder = support::data_dir();
    let Some(mut browser) = Browser::open(&served.at("/")) else { return };
    browser.sees("Long");
    let file = folder.path().join("long.png");
    browser.picture_to(&file, 10_000.0);
    let picture = std::fs::read(&file).unwrap();
    // Width and height stand first in the first chunk, from byte 16 on.
    let number = |at: usize| u32::from_be_bytes(picture[at..at + 4].try_into().unwrap());
    assert_eq!(number(16), 1280);
    assert!((3000..3200).contains(&number(20)), "{}", number(20));
    browser.close();
}

/// What hinders somebody: the path, what is in the body, and a part of what is found.
const BARRIERS: [(&str, &str, &str); 8] = [
    ("/contrast", "<main><h1>A</h1><p style='color:#999'>pale", "color-contrast (serious)"),
    (
        "/dark",
        "<style>@media (prefers-color-scheme: dark) { p { color: #ddd } }</style><main><h1>A</h1><p>pale",
        "dark: color-contrast",
    ),
    ("/label", "<main><h1>A</h1><input>", "label (critical)"),
    (
        "/size",
        "<main><h1>A</h1><button style='font-size:6px;padding:0'>a</button><button style='font-size:6px;padding:0'>b</button>",
        "target-size (serious)",
    ),
    (
        "/near",
        "<main><h1>A</h1><a href=/ style='display:block'>one</a><a href=/ style='display:block'>two</a>",
        "a \"one\" is",
    ),
    ("/order", "<main><h1>A</h1><h3>B</h3>", "heading-order (moderate)"),
    ("/name", "<main><h1>A</h1><button aria-label='Close'>Done</button>", "label-content-name-mismatch"),
    ("/region", "<h1>A</h1><p>outside of main", "region (moderate)"),
];

#[test]
fn what_hinders_people_is_found() {
    if super::axe::axe().is_none() {
        return;
    }
    let mut served = Served::new()
        .page_with(
            "/",
            200,
            "content-security-policy: default-src 'none'\r\n",
            "<main><h1>A page</h1><p>Everybody can <a href=/>read</a> this.</main>",
        )
        .page("/wide", "<main><h1>A</h1><div style='width: 350px'>wide</div></main>")
        .page(
            "/table",
            "<main><h1>A</h1><div tabindex=0 style='overflow: auto'><div style='width: 900px'>wide</div></div></main>",
        );
    for (path, body, _) in BARRIERS {
        served = served.page(path, body);
    }
    let row = "<p style='margin: 0; line-height: 40px'><a href=/>row</a></p>";
    let scrolled = format!(
        "<main><h1>A</h1><div tabindex=0 role=region aria-label=Rows style='overflow: auto; height: 50px'>{}</div>{row}</main>",
        row.repeat(10)
    );
    let served = served.page("/scrolled", &scrolled).start();
    for look in everybody() {
        let is_scripted = look.scripts;
        let Some(mut browser) = Browser::open_as(look, &served.at("/")) else { return };
        browser.sees("Everybody");
        // axe-core in the page's way would be against its policy, which the guard would find.
        browser.accessible("the good page");
        for (path, _, rule) in BARRIERS {
            browser.go(&served.at(path));
            let found = browser.barriers();
            assert!(found.iter().any(|barrier| barrier.contains(rule)), "{path}, scripts {is_scripted}: {found:#?}");
        }
        let failed = catch_unwind(AssertUnwindSafe(|| browser.accessible("the state"))).expect_err("a failure");
        let said = failed.downcast_ref::<String>().unwrap();
        assert!(said.contains("the state") && said.contains("Fix ") && said.contains("<p>outside of main"), "{said}");

        // Rows that are scrolled away lie below nothing that can be pressed.
        browser.go(&served.at("/scrolled"));
        browser.accessible("rows that scroll by themselves");
        browser.go(&served.at("/table"));
        browser.reflows("what scrolls by itself");
        browser.go(&served.at("/wide"));
        let failed = catch_unwind(AssertUnwindSafe(|| browser.reflows("the state"))).expect_err("a failure");
        assert!(failed.downcast_ref::<String>().unwrap().contains("at 320 px: [\"div."), "{failed:?}");
        browser.close();
    }
}

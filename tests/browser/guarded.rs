//! The guard finds what it is there for: each bad page of a small server, and nothing on a good one.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{guard::Kind, page::Browser, served::Served};

const POLICY: &str = "content-security-policy: default-src 'self'; form-action 'self'; base-uri 'none'\r\n";
const PIXEL: &str = "<img alt='' src='data:image/gif;base64,R0lGODlhAQABAAAAACw='>";

/// Bad pages: the path, what is in the body, what is found, and a part of what it says. Each is found by itself, without a click.
const BAD: [(&str, &str, Kind, &str); 25] = [
    ("/error", "<script>console.error('oh', { no: 1 })</script>", Kind::Console, "error: oh"),
    ("/warning", "<script>console.warn('careful')</script>", Kind::Console, "warning: careful"),
    ("/assert", "<script>console.assert(false, 'never')</script>", Kind::Console, "never"),
    ("/throw", "<script>throw new Error('thrown')</script>", Kind::Console, "thrown"),
    ("/reject", "<script>Promise.reject('rejected')</script>", Kind::Console, "rejected"),
    ("/alert", "<script>alert('hello')</script>", Kind::Dialog, "alert \"hello\""),
    ("/confirm", "<script>confirm('sure?')</script>", Kind::Dialog, "confirm \"sure?\""),
    ("/prompt", "<script>prompt('who?')</script>", Kind::Dialog, "prompt \"who?\""),
    ("/ran", "<script>window.__ran=1</script>", Kind::Ran, "__ran to \"1\""),
    ("/ran-img", "<img alt='' src=/none onerror='window.__ran=2'>", Kind::Ran, "__ran to \"2\""),
    ("/ran-svg", "<a title=\"\"><svg onload='__ran=3'>\"></a>", Kind::Ran, "__ran to \"3\""),
    ("/ran-frame", "<iframe srcdoc='<script>__ran=4</script>'></iframe>", Kind::Ran, "__ran to \"4\""),
    ("/gone", "<img alt='' src=/none>", Kind::Failed, "404 GET http://127.0.0.1"),
    ("/style-gone", "<link rel=stylesheet href=/none.css>", Kind::Failed, "404 GET"),
    ("/fetch-gone", "<script>fetch('/none')</script>", Kind::Failed, "404 GET"),
    ("/broken", "<img alt='' src=http://127.0.0.1:1/>", Kind::Failed, "ERR_UNSAFE_PORT GET"),
    ("/elsewhere", "<img alt='' src=http://example.org/pixel>", Kind::Elsewhere, "http://example.org/pixel"),
    ("/elsewhere-port", "<script>fetch('http://127.0.0.1:1/')</script>", Kind::Elsewhere, "http://127.0.0.1:1/"),
    ("/socket", "<script>new WebSocket('ws://127.0.0.1:1/s')</script>", Kind::Elsewhere, "ws://127.0.0.1:1/s"),
    ("/two-styles", "<link rel=stylesheet href=/a.css><link rel=stylesheet href=/b.css>", Kind::Requests, "Stylesheet"),
    ("/two-scripts", "<script src=/a.js></script><script src=/b.js></script>", Kind::Requests, "Script"),
    ("/two-documents", "<iframe src=/good></iframe>", Kind::Requests, "Document"),
    ("/picture", "<img alt='' src=/a.png>", Kind::Requests, "Image"),
    ("/fetch", "<script>fetch('/a.css')</script>", Kind::Requests, "Fetch"),
    ("/window", "<script>open('/good')</script>", Kind::Window, "/good"),
];
/// The same of pages whose policy forbids what they do.
const FORBIDDEN: [(&str, &str, &str); 4] = [
    ("/policy-script", "<script>window.__ran=1</script>", "script-src-elem"),
    ("/policy-style", "<p style='color:red'>red</p>", "style-src-attr"),
    ("/policy-handler", "<img alt='' src=data:, onerror='window.__ran=1'>", "script-src-attr"),
    ("/policy-picture", "<img alt='' src=http://example.org/x>", "img-src"),
];

fn served() -> Served {
    let good = format!("<link rel=stylesheet href=/a.css><script src=/a.js></script>{PIXEL}<p>Fine.");
    let mut served =
        Served::new().page_with("/good", 200, &POLICY.replace("form-action", "img-src data:; form-action"), &good);
    for (path, body, ..) in BAD {
        served = served.page(path, body);
    }
    for (path, body, _) in FORBIDDEN {
        served = served.page_with(path, 200, POLICY, body);
    }
    for path in ["/a.css", "/b.css"] {
        served = served.file(path, 200, "content-type: text/css\r\n", "p { margin: 0 }");
    }
    for path in ["/a.js", "/b.js"] {
        served = served.file(path, 200, "content-type: text/javascript\r\n", "document.title = 'ready'");
    }
    served
        .file("/a.png", 200, "content-type: image/png\r\n", "")
        .page_with("/refused", 422, "", "No.")
        .page("/blank", "<a href=/good target=_blank>Name</a>")
        .page("/link", "<a href='javascript:window.__ran=5'>Name</a>")
        .page_with("/policy-link", 200, POLICY, "<a href='javascript:window.__ran=5'>Name</a>")
        .page_with(
            "/policy-form",
            200,
            POLICY,
            "<form action=http://example.org/ method=post><button>Send</button></form>",
        )
        .page("/leave", "<script>onbeforeunload = (event) => event.preventDefault()</script><button>Stay</button>")
        .start()
}

/// What was found since the last time, of a page where something is done.
fn found_at(browser: &mut Browser, url: &str, act: impl FnOnce(&mut Browser)) -> Vec<super::guard::Finding> {
    let before = browser.findings().len();
    browser.go(url);
    act(browser);
    browser.findings().split_off(before)
}

/// A story that ends with this browser, as its failure says; nothing where it does not fail.
fn failure(browser: Browser) -> Option<String> {
    let ended = catch_unwind(AssertUnwindSafe(|| browser.close()));
    ended.err().map(|panic| panic.downcast_ref::<String>().cloned().unwrap_or_default())
}

#[test]
fn each_bad_page_is_found() {
    let served = served();
    let Some(mut browser) = Browser::open(&served.at("/good")) else { return };
    browser.sees("Fine.");
    assert_eq!(browser.findings(), []);
    let mut missed = Vec::new();
    for (path, _, kind, part) in BAD {
        let found = found_at(&mut browser, &served.at(path), |_| {});
        if !found.iter().any(|finding| finding.kind == kind && finding.text.contains(part)) {
            missed.push(format!("{path}: {kind:?} {part:?} is not in {found:?}"));
        }
    }
    for (path, _, part) in FORBIDDEN {
        let found = found_at(&mut browser, &served.at(path), |_| {});
        if !found.iter().any(|finding| finding.kind == Kind::Policy && finding.text.contains(part)) {
            missed.push(format!("{path}: {part:?} is not in {found:?}"));
        }
        if found.iter().any(|finding| finding.kind == Kind::Ran) {
            missed.push(format!("{path} has run: {found:?}"));
        }
    }
    assert!(missed.is_empty(), "{missed:#?}");
    let said = failure(browser).expect("a failure");
    assert!(said.contains("Dialog: alert") && said.contains("Policy: style-src-attr"), "{said}");
}

#[test]
fn what_comes_of_clicks_is_found() {
    let served = served();
    let Some(mut browser) = Browser::open(&served.at("/good")) else { return };
    let found = |browser: &mut Browser, path: &str, click: &str, kind: Kind, part: &str| {
        let found = found_at(browser, &served.at(path), |browser| {
            browser.click(click);
            let is_it = |finding: &super::guard::Finding| finding.kind == kind && finding.text.contains(part);
            browser.until(&format!("{kind:?} {part:?}"), |guard| guard.findings.iter().any(is_it));
        });
        assert!(found.iter().any(|finding| finding.kind == kind), "{path}: {found:?}");
        found
    };
    found(&mut browser, "/link", "Name", Kind::Ran, "\"5\"");
    found(&mut browser, "/blank", "Name", Kind::Window, "/good");
    let kept_out = found(&mut browser, "/policy-link", "Name", Kind::Policy, "script-src-elem");
    assert!(kept_out.iter().all(|finding| finding.kind != Kind::Ran), "{kept_out:?}");
    found(&mut browser, "/policy-form", "Send", Kind::Policy, "form-action");
    let left = found_at(&mut browser, &served.at("/leave"), |browser| {
        browser.click("Stay");
        browser.go(&served.at("/good"));
    });
    assert!(left.iter().any(|finding| finding.text.starts_with("beforeunload")), "{left:?}");
    let refused = found_at(&mut browser, &served.at("/refused"), |browser| assert_eq!(browser.status(), 422));
    assert!(refused.iter().any(|finding| finding.text.starts_with("422 GET")), "{refused:?}");
    failure(browser).expect("a failure");
}

#[test]
fn what_is_expected_has_to_come_and_nothing_else() {
    let served = served();
    let Some(mut browser) = Browser::open(&served.at("/refused")) else { return };
    browser.expect(Kind::Failed, "422 GET");
    assert_eq!(failure(browser), None);

    let Some(mut browser) = Browser::open(&served.at("/alert")) else { return };
    browser.expect(Kind::Dialog, "bye");
    let said = failure(browser).expect("a failure");
    assert!(said.contains("Dialog: alert \\\"hello\\\"") && said.contains("expected, and not found"), "{said}");
}

/// Somebody else's page in the same browser is judged by itself, and one that is never closed is judged too.
#[test]
fn each_page_is_judged_when_its_story_ends() {
    let served = served();
    let Some(good) = Browser::open(&served.at("/good")) else { return };
    let bad = good.beside(super::look::Look::default(), &served.at("/ran"));
    let dropped = catch_unwind(AssertUnwindSafe(|| drop(bad))).expect_err("a failure");
    assert!(dropped.downcast_ref::<String>().unwrap().contains("Ran: "), "{dropped:?}");
    good.close();
}

/// Nothing of it runs where scripts are off, and what is written there is shown as it is written.
#[test]
fn without_scripts_nothing_runs() {
    let served = served();
    let look = super::look::Look::default().without_scripts();
    let Some(mut browser) = Browser::open_as(look, &served.at("/good")) else { return };
    for path in ["/alert", "/ran", "/throw", "/leave"] {
        browser.go(&served.at(path));
    }
    assert_eq!(browser.title(), "A page");
    browser.close();
}

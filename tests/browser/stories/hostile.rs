//! Names, labels, values and addresses that want to be scripts. Whatever somebody is called, it is shown as text: the guard of the
//! browser fails a story when a script runs, or when the page's policy had to stop one.

use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Instant,
};

use reqwest::Method;
use serde_json::json;

use super::entering::{enter, sign_in};
use crate::{
    chromium::PATIENCE,
    guard::Kind,
    look::Look,
    page::Browser,
    server::{Server, Table},
};

const HOSTILE: &str = "\"><svg onload=window.__ran=1><script>window.__ran=1</script><img src=x onerror=window.__ran=1>";
/// The same for what must be short.
const SHORT: &str = "\"'><img src=x onerror=window.__ran=1>";
/// A name of a file. A quotation mark would be sent as `%22`, by the rules of forms.
const FILE: &str = "'><img src=x onerror=window.__ran=1>.csv";
/// Ends the element in which data stands for programs.
const ENDING: &str = "</script><script>window.__ran=1</script>";

/// A data set whose every text is hostile.
fn table() -> (String, String) {
    let definition = format!(
        r#"
name = "things"
title = '''Things {HOSTILE}'''
record_id = "record_id"
[about]
description = '''{ENDING}{HOSTILE}'''
licence = '''{HOSTILE}'''
publisher = '''{ENDING}'''
frequency = '''{SHORT}'''
keywords = ['''{SHORT}''', '''{ENDING}''']
access = '''{HOSTILE}'''
public = true
[key]
column = "tag"
[[column]]
name = "tag"
headers = ["Tag"]
description = '''{HOSTILE}'''
[[column]]
name = "record_id"
type = "integer"
import = true
[[column]]
name = "colour"
headers = ['''Colour {SHORT}''']
description = '''{ENDING}'''
[[column]]
name = "height"
type = "integer"
headers = ["Height"]
"#
    );
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let mut file = format!("Tag,{},Height\n", quoted(&format!("Colour {SHORT}")));
    for number in 0..20 {
        file.push_str(&format!("{},{},{number}\n", quoted(&format!("T{number}{SHORT}")), quoted(HOSTILE)));
    }
    (definition, file)
}

fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// Opens pages, on each of which this has to be read.
fn reads(browser: &mut Browser, server: &Server, paths: &[&str], shown: &str) {
    for path in paths {
        browser.go(&format!("{}{path}", server.told("url")));
        browser.sees("permitd");
        assert!(browser.text().contains(shown), "{path}: it is shown as it is: {}", browser.text());
    }
}

#[tokio::test]
async fn no_name_becomes_a_script() {
    let server = Server::start();
    let user = server.invite(&json!({ "email": "eve@example.org", "name": HOSTILE })).await;
    let key = json!({ "label": &HOSTILE[..70] });
    server.send(Method::POST, &format!("/users/{user}/keys"), &key).await;
    server.send(Method::POST, "/admin-tokens", &json!({ "name": &HOSTILE[..70], "scopes": ["data"] })).await;
    let Some(mut browser) = Browser::open(server.told("sign_in_url")) else { return };
    browser.sees("Overview");
    let person = format!("/admin/people/{user}");
    reads(&mut browser, &server, &["/admin/people", &person, "/admin/plans/default", "/admin/tokens"], "<svg onload");
    reads(&mut browser, &server, &["/admin/events", &format!("{person}?as_of=2100-01-01T00:00")], "<svg onload");
    // What is asked before something is done, and what is told of it, has the name in it.
    browser.go(&format!("{}{person}", server.told("url")));
    browser.click("Disable…");
    browser.loads(|browser| browser.click_on("form[action$='/disable'] button"));
    browser.sees("is disabled");
    reads(&mut browser, &server, &["/admin"], "Administration");
    browser.close();
}

#[tokio::test]
async fn no_list_of_people_becomes_a_script() {
    let server = Server::start();
    let Some(mut browser) = Browser::open(server.told("sign_in_url")) else { return };
    browser.sees("Overview");
    browser.go(&format!("{}/admin/people/invite", server.told("url")));
    let quoted = HOSTILE.replace('"', "\"\"");
    let list = format!("email,name\nok@example.org,\"{quoted}\"\n\"{quoted}\",x\n{FILE}@example.org,{FILE}");
    browser.fill("List", &list);
    browser.follow("Check the list");
    browser.sees("wrong");
    browser.sees("<svg onload");
    browser.loads(|browser| browser.click_on("button[name=send]"));
    browser.sees("1 invited");
    // The names of columns are repeated where there are no such columns.
    browser.expect(Kind::Failed, "400 POST");
    browser.fill("List", &format!("email,\"{quoted}\"\na@example.org,x"));
    assert_eq!(browser.follow("Check the list"), 400);
    browser.sees("<svg onload");
    browser.close();
}

#[tokio::test]
async fn what_somebody_calls_their_own_things_becomes_no_script() {
    let (definition, file) = table();
    let server = Server::with(&[Table { definition: &definition, file: &file }], &[]);
    let user = server.member(&json!({ "email": "eve@example.org", "name": HOSTILE })).await;
    let key = json!({ "label": &HOSTILE[..70] });
    let key = server.send(Method::POST, &format!("/users/{user}/keys"), &key).await;
    let key = key["id"].as_str().unwrap();
    let Some(mut browser) = enter(&server, Look::default(), "eve@example.org", "/home") else { return };
    browser.sees("Hello");
    let own = ["/home", "/", "/home/examples?dataset=things", "/things/about", "/things/explore"];
    reads(&mut browser, &server, &own, "<svg onload");
    reads(&mut browser, &server, &[&format!("/home/keys/{key}"), "/home/use", "/home/security"], "<svg onload");
    let record = format!("/things/explore/{}", encoded(&format!("T1{SHORT}")).replace('+', "%20"));
    let chosen = format!("/things/explore?colour={}", encoded(HOSTILE));
    let counted = "/things/explore?values-of=colour&chart-of=colour";
    reads(&mut browser, &server, &[&record, &chosen, counted, "/things/explore?chart-of=tag"], "onerror=");
    browser.click("The same as a table");
    browser.sees("<svg onload");
    browser.close();
    // Who is not signed in sees the page of a data set that is public, and what is told to search engines.
    let Some(mut browser) = Browser::open(&format!("{}/things/about", server.told("url"))) else { return };
    browser.sees("<svg onload");
    assert!(browser.title().contains("<svg onload"));
    browser.close();
}

#[tokio::test]
async fn no_file_becomes_a_script() {
    let (definition, file) = table();
    let server = Server::with(&[Table { definition: &definition, file: &file }], &[]);
    server.member(&json!({ "email": "max@example.org", "name": HOSTILE, "role": "manager" })).await;
    let Some(mut browser) = enter(&server, Look::default(), "max@example.org", "/admin/imports") else { return };
    let changed = file
        .replace(",5\n", ",\"<img src=x onerror=window.__ran=1>\"\n")
        .replace("window.__ran=1>\",3\n", "window.__ran=2>\",3\n");
    let named = server.file(&format!("things{FILE}"), &changed);
    browser.choose_in("select[name=dataset]", "things");
    browser.choose_file("File", &named);
    browser.follow("Look at the file");
    for seen in [&format!("things{FILE}"), &format!("Colour {SHORT}"), "<svg onload", "<img src=x"] {
        browser.sees(seen);
    }
    browser.follow("Try it out");
    browser.sees("The file was tried out.");
    for seen in [&format!("things{FILE}"), "__ran=2", "<img src=x"] {
        browser.sees(seen);
    }
    browser.loads(|browser| browser.click_within("header", "Data sets", "Imports"));
    browser.sees(&format!("things{FILE}"));
    browser.follow(&format!("things{FILE}"));
    // Held, since more rows than usual cannot be records.
    browser.follow("Import without trying");
    browser.sees("This import needs your decision");
    browser.click("Approve");
    browser.follow("Yes, import it");
    browser.sees("The file was imported");
    reads(&mut browser, &server, &["/admin", "/admin/data", "/admin/data/things", "/admin/imports"], "onerror=");
    let record = format!("/things/explore/{}", encoded(&format!("T3{SHORT}")).replace('+', "%20"));
    reads(&mut browser, &server, &[&record], "__ran=2");

    // A new data set is drafted from such headers, and from such a name.
    browser.go(&format!("{}/admin/imports", server.told("url")));
    let header = SHORT.replace('"', "\"\"");
    let new = format!("\"{header}\",\"Kind {header}\"\n\"{header}\",\"{header}\"\n<b>x</b>,{FILE}\n");
    browser.choose_in("select[name=dataset]", "");
    browser.choose_file("File", &server.file(&format!("new{FILE}"), new));
    browser.follow("Look at the file");
    browser.sees("The definition of the new data set");
    let drafted = browser.value("Definition (TOML)");
    assert!(drafted.contains("onerror"), "{drafted}: {}", browser.text());
    browser.expect(Kind::Failed, "400 POST");
    browser.fill("Definition (TOML)", &format!("</textarea>{HOSTILE} = '{HOSTILE}'"));
    browser.follow("Save and check");
    browser.sees("Something in the form is not right yet");
    browser.close();
}

/// Where a mail server refuses mail, its words are shown to administrators.
#[tokio::test]
async fn no_mail_server_puts_a_script_into_pages() {
    let mails = Refusing::start();
    let port = mails.address.port().to_string();
    let server = Server::with(
        &[],
        &[
            ("PERMITD_MAIL_TRANSPORT", "smtp"),
            ("PERMITD_MAIL_SMTP_HOST", "127.0.0.1"),
            ("PERMITD_MAIL_SMTP_PORT", &port),
            ("PERMITD_MAIL_SMTP_TLS", "none"),
        ],
    );
    let user = server.invite(&json!({ "email": "never@example.org", "name": "Ben" })).await;
    server.invite(&json!({ "email": "later@example.org", "name": "Ida" })).await;
    let Some(mut browser) = Browser::open(server.told("sign_in_url")) else { return };
    browser.sees("Overview");
    let person = format!("/admin/people/{user}");
    // Mail goes out in its time.
    browser.go(&format!("{}/admin/mail", server.told("url")));
    let deadline = Instant::now() + PATIENCE;
    while !browser.text().contains("<svg onload") {
        assert!(Instant::now() < deadline, "no words of the mail server: {}", browser.text());
        browser.reload();
    }
    reads(&mut browser, &server, &[&person], "<svg onload");
    browser.accessible("a person who was not reached");
    reads(&mut browser, &server, &["/admin/mail"], "<svg onload");
    browser.accessible("mail, somebody was not reached");
    reads(&mut browser, &server, &["/admin/people?invitation=failed"], "Ben");
    browser.close();
}

/// What stands in an address is shown again by many pages.
#[tokio::test]
async fn no_address_becomes_a_script() {
    let (definition, file) = table();
    let server = Server::with(&[Table { definition: &definition, file: &file }], &[]);
    let user = server.member(&json!({ "email": "eve@example.org", "role": "admin" })).await;
    let Some(mut browser) = Browser::open(&format!("{}/sign-in", server.told("url"))) else { return };
    browser.expect(Kind::Failed, " GET ");
    let (text, script) = (encoded(HOSTILE).replace('+', "%20"), "javascript%3Awindow.__ran%3D1");
    let before =
        ["/sign-in?return_to=", "/sign-in/code?return_to=", "/sign-in/provider?return_to=", "/sign-in/forgotten?x="];
    for path in before {
        for value in [&text, script, "%2F%2Fevil.example"] {
            browser.go(&format!("{}{path}{value}", server.told("url")));
        }
    }
    browser.go(&format!("{}/sign-in?return_to={script}", server.told("url")));
    sign_in(&mut browser, "eve@example.org");
    assert!(browser.url().ends_with("/home"), "{}", browser.url());
    let person = format!("/admin/people/{user}");
    for path in [
        "/admin/people?search=",
        "/admin/people?status=",
        "/admin/people?invitation=",
        "/admin/people?plan=",
        "/admin/people?search=a&after=",
        "/admin/people/",
        &format!("{person}?as_of="),
        &format!("{person}?before="),
        "/admin/events?type=",
        "/admin/events?since=",
        "/admin/events?until=",
        "/admin/events?person=",
        "/admin/events?after=",
        "/admin/plans/",
        "/admin/plans/default?after=",
        "/admin/data/",
        "/admin/imports/",
        "/admin/imports/files/",
        "/admin/tokens?after=",
        "/admin/invite?x=",
        "/home/use?days=",
        "/home/examples?dataset=",
        "/home/keys/",
        "/sign-in/provider/callback?error=",
        "/problems/",
        "/links/",
        "/",
        "/?x=",
        "/things/about?x=",
        "/things/explore?x=",
        "/things/explore?filter=",
        "/things/explore?select=",
        "/things/explore?sort=",
        "/things/explore?limit=",
        "/things/explore?count=",
        "/things/explore?cursor=",
        "/things/explore?colour=",
        "/things/explore?height=",
        "/things/explore?colour__contains=",
        "/things/explore?as_of=",
        "/things/explore?values-of=",
        "/things/explore?chart-of=",
        "/things/explore/",
        "/things/explore/T1/",
        "/things/",
        "/things?filter=",
    ] {
        browser.go(&format!("{}{path}{text}", server.told("url")));
        assert!(browser.url().starts_with(server.told("url")), "{path}: {}", browser.url());
    }
    // A name of a parameter, too.
    browser.go(&format!("{}/things/explore?{text}={text}&sort={text}&{text}", server.told("url")));
    browser.sees("onload=");
    browser.close();
}

/// A mail server that takes mail for nobody, and says so in words of its own: never for some, and not now for others.
struct Refusing {
    address: SocketAddr,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Refusing {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let is_over = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&is_over);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if told.load(Ordering::SeqCst) {
                    return;
                }
                // It ends with its connection.
                std::thread::spawn(move || serve(&stream.unwrap()));
            }
        });
        Self { address, is_over, thread: Some(thread) }
    }
}

/// Speaks with whoever has connected.
fn serve(mut stream: &TcpStream) -> std::io::Result<()> {
    stream.write_all(b"220 refusing\r\n")?;
    for line in BufReader::new(stream).lines() {
        let line = line?.to_ascii_uppercase();
        let answer = match line.split([' ', ':']).next().unwrap_or_default() {
            "RCPT" if line.contains("LATER@") => format!("451 4.3.0 {HOSTILE}"),
            "RCPT" => format!("550 5.1.1 {HOSTILE}"),
            "QUIT" => "221 bye".to_owned(),
            _ => "250 fine".to_owned(),
        };
        stream.write_all(format!("{answer}\r\n").as_bytes())?;
    }
    Ok(())
}

impl Drop for Refusing {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        TcpStream::connect(self.address).ok();
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

//! How a file arrives, and how it does not.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{Things, files, things};

#[tokio::test]
async fn a_file_that_is_sent_is_imported_and_told() {
    let of = Things::with(0).await;
    let accepted = of.send("&filename=all%20things.csv", things(0..40)).await.expect(202);
    let id = accepted.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(accepted.header("location"), Some(of.app.url(&format!("/imports/{id}")).as_str()));
    let done = of.settled(&id).await;
    assert_eq!((&done["status"], &done["file_name"]), (&json!("completed"), &json!("all things.csv")), "{done}");
    assert_eq!((&done["counts"]["inserted"], &done["replace"]), (&json!(40), &json!(false)));
    assert_eq!(of.state().await.0, 40);
    assert!(
        files(&of.app.data().join("imports")).iter().all(|name| name.ends_with(".json")),
        "the file itself is gone"
    );
    let listed = of.app.admin_get("/imports?dataset=things&limit=1").await.expect(200).json();
    assert_eq!(listed["data"][0]["id"], id);
    let shown = of.app.admin_get("/events?limit=1000").await;
    assert!(shown.body.contains("admin:"), "the log says who: {}", shown.body);
}

/// A form as browsers and `curl -F` send it.
fn form(parts: &[(&str, &str)]) -> String {
    let part = |(disposition, body): &(&str, &str)| {
        format!("--limit\r\nContent-Disposition: form-data; {disposition}\r\nContent-Type: text/csv\r\n\r\n{body}\r\n")
    };
    parts.iter().map(part).collect::<String>() + "--limit--\r\n"
}

async fn send_form(of: &Things, body: String) -> crate::app::Answer {
    let request = of.app.admin(Method::POST, "/imports?dataset=things");
    of.app.send(request.header("content-type", "multipart/form-data; boundary=limit").body(body)).await
}

#[tokio::test]
async fn a_form_has_one_file_and_its_name_has_no_folders() {
    let of = Things::with(0).await;
    let file = things(0..3);
    let body = form(&[("name=\"file\"; filename=\"../../etc/things.csv\"", &file)]);
    let id = send_form(&of, body).await.expect(202).json()["id"].as_str().unwrap().to_owned();
    assert_eq!(of.settled(&id).await["file_name"], "things.csv");
    let two = form(&[("name=\"a\"; filename=\"a.csv\"", &file), ("name=\"b\"; filename=\"b.csv\"", &file)]);
    for (body, said) in [
        (two, "more than one part"),
        (form(&[("name=\"mode\"", "replace")]), "stands in the query"),
        ("--limit--\r\n".to_owned(), "no part"),
        ("no form at all".to_owned(), "is no form"),
        (form(&[("name=\"file\"; filename=\"a.csv\"", &file)]).replace("--limit--", ""), "before the file did"),
        (form(&[("name=\"file\"; filename=\"a.csv\"", "")]), "empty"),
    ] {
        let refused = send_form(&of, body.clone()).await;
        assert!(refused.status == 400 && refused.body.contains(said), "{body}: {}", refused.body);
    }
    assert_eq!(files(&of.app.data().join("imports")).len(), 1, "only the first left something");
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_told_before_the_file_arrives() {
    let of = Things::set(0, &[("import.file_bytes_max", "1024")]).await;
    let app = &of.app;
    let send = async |path: &str, kind: &str, body: &str| {
        let request = app.admin(Method::POST, path).header("content-type", kind);
        app.send(request.body(body.to_owned())).await
    };
    for (path, parameter) in [
        ("/imports", "dataset"),
        ("/imports?dataset=things&mode=all", "mode"),
        ("/imports?dataset=things&dry_run=1", "dry_run"),
        ("/imports?dataset=things&delimiter=abc", "delimiter"),
        ("/imports?dataset=things&encoding=klingon", "encoding"),
        ("/imports?dataset=things&fill_down=weight", "fill_down"),
        ("/imports?dataset=things&datset=x", "datset"),
        ("/imports?dataset=things&filename=a%0Ab.csv", "filename"),
        ("/imports?dataset=things&filename=a%E2%80%AEb.csv", "filename"),
    ] {
        let refused = send(path, "text/csv", "Tag\nT1\n").await.expect(400).json();
        assert_eq!(refused["invalid_params"][0]["name"], parameter, "{refused}");
    }
    assert!(send("/imports?dataset=thing", "text/csv", "Tag\n").await.expect(404).body.contains("thing"));
    assert!(send("/imports?dataset=things", "application/json", "{}").await.expect(415).body.contains("text/csv"));
    assert!(send("/imports?dataset=things", "text/csv", "").await.expect(400).body.contains("empty"));
    let large = things(0..500);
    assert!(
        send("/imports?dataset=things", "text/csv", &large).await.expect(413).body.contains("import.file_bytes_max")
    );
    let without_token = app.request(Method::POST, "/imports?dataset=things").body("Tag\nT1\n");
    app.send(without_token).await.expect(401);
    let with_key = app.request(Method::POST, "/imports?dataset=things").header("x-api-key", &of.key).body("Tag\nT1\n");
    app.send(with_key).await.expect(401);
    assert_eq!(files(&app.data().join("imports")), Vec::<String>::new());
    assert_eq!(of.state().await.0, 0);
}

#[tokio::test]
async fn what_is_no_file_of_rows_changes_nothing_and_says_why() {
    let of = Things::with(5).await;
    for (file, said) in [(b"\x00\x01\x02\x03\xff\xfe binary".to_vec(), ""), (b"one,two\n1,2\n".to_vec(), "header")] {
        let failed = of.import("", file).await;
        let reason = failed["reason"].as_str().unwrap_or_default();
        assert!(failed["status"] == "failed" && !reason.is_empty() && reason.contains(said), "{failed}");
    }
    assert_eq!(of.state().await, (5, 1));
    // A file in another encoding is read, and that is said.
    let guessed = of.import("", b"Tag,Colour,Height\nT1,gr\xfcn,1\n".to_vec()).await;
    assert!(guessed["report"]["notes"][0].as_str().unwrap().contains("not UTF-8"), "{guessed}");
    assert_eq!(guessed["report"]["differences"][0]["new"], "grün");
}

#[tokio::test]
async fn options_are_those_of_the_command_line() {
    let of = Things::with(0).await;
    let file = b"Tag;Colour;Height\nT1;gr\xfcn;1 000\nT2;n/a;2\n".to_vec();
    let query = "&delimiter=%3B&encoding=windows-1252&thousands=space&blanks=n%2Fa&blanks=none";
    let done = of.import(query, file).await;
    assert_eq!(done["status"], "completed", "{done}");
    let records = of.app.get("/things?sort=tag", &of.key).await.expect(200).json();
    assert_eq!((&records["data"][0]["colour"], &records["data"][0]["height"]), (&json!("grün"), &json!(1000)));
    assert!(records["data"][1]["colour"].is_null());
}

#[tokio::test]
async fn a_repeated_request_is_one_import() {
    let of = Things::with(0).await;
    let send = async |file: String, query: &str| {
        let request = of.app.admin(Method::POST, &format!("/imports?dataset=things{query}"));
        let request = request.header("idempotency-key", "once").header("content-type", "text/csv");
        of.app.send(request.body(file)).await
    };
    let first = send(things(0..4), "").await.expect(202).json()["id"].clone();
    of.settled(first.as_str().unwrap()).await;
    let again = send(things(0..4), "").await.expect(202).json();
    assert_eq!((&again["id"], &again["status"]), (&first, &json!("completed")));
    for (file, query) in [(things(0..5), ""), (things(0..4), "&mode=replace")] {
        assert_eq!(send(file, query).await.expect(422).json()["type"], "/problems/idempotency-key-reused");
    }
    let imports = of.app.admin_get("/imports?dataset=things").await.json();
    assert_eq!(imports["data"].as_array().unwrap().len(), 2, "the one that began the data set, and this one");
}

/// Opens an upload that says it has more than it sends.
async fn begin(of: &Things, sends: &str) -> TcpStream {
    let address = of.app.url("").trim_start_matches("http://").to_owned();
    let mut stream = TcpStream::connect(&address).await.unwrap();
    let head = format!(
        "POST /imports?dataset=things HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {}\r\ncontent-type: text/csv\r\n\
         content-length: 100000\r\n\r\n{sends}",
        of.app.admin_token
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

async fn has_parts(of: &Things, count: usize) {
    let folder = of.app.data().join("imports");
    of.app.eventually("so many files to be arriving", async || (files(&folder).len() == count).then_some(())).await;
}

#[tokio::test]
async fn what_is_broken_off_leaves_nothing() {
    let of = Things::with(3).await;
    let stream = begin(&of, "Tag,Colour,Height\nT9,red,1\n").await;
    has_parts(&of, 1).await;
    drop(stream);
    has_parts(&of, 0).await;
    assert_eq!(of.state().await.0, 3);
}

#[tokio::test]
async fn so_many_files_arrive_at_once_and_a_slow_one_is_given_up() {
    let settings = [("import.uploads_per_caller_max", "2"), ("import.chunk_timeout_ms", "3000")];
    let of = Things::set(3, &settings).await;
    let mut slow = [begin(&of, "Tag").await, begin(&of, "Tag").await];
    has_parts(&of, 2).await;
    let refused = of.send("", things(0..3)).await.expect(503);
    assert!(
        refused.header("retry-after").is_some() && refused.body.contains("uploads_per_caller_max"),
        "{}",
        refused.body
    );
    for stream in &mut slow {
        let mut answer = vec![0; 4096];
        let read = tokio::time::timeout(Duration::from_secs(60), stream.read(&mut answer)).await.unwrap().unwrap();
        let answer = String::from_utf8_lossy(&answer[..read]).into_owned();
        assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("chunk_timeout_ms"), "{answer}");
    }
    has_parts(&of, 0).await;
    of.send("", things(0..3)).await.expect(202);
}

#[tokio::test]
async fn a_disk_without_room_takes_no_file() {
    let of = Things::set(3, &[("import.free_bytes_min", "1099511627776")]).await;
    let refused = of.send("", things(0..3)).await.expect(507);
    assert_eq!(refused.json()["type"], "/problems/insufficient-storage");
}

#[tokio::test]
async fn an_upload_that_is_under_way_is_shown_and_can_be_cancelled() {
    let of = Things::with(3).await;
    let mut stream = begin(&of, "Tag,Colour,Height\n").await;
    has_parts(&of, 1).await;
    let id = files(&of.app.data().join("imports"))[0].split_once('.').unwrap().0.to_owned();
    let shown = of.app.admin_get(&format!("/imports/{id}")).await.expect(200).json();
    assert_eq!(shown["status"], "uploading");
    assert_eq!(shown["progress"]["bytes_total"], 100_000);
    of.decide(&id, "cancel").await.expect(202);
    // It is noticed with the next bytes.
    stream.write_all(&vec![b'x'; 90_000]).await.unwrap();
    stream.write_all(&vec![b'x'; 9_982]).await.unwrap();
    let mut answer = vec![0; 4096];
    let read = tokio::time::timeout(Duration::from_secs(60), stream.read(&mut answer)).await.unwrap().unwrap();
    assert!(String::from_utf8_lossy(&answer[..read]).starts_with("HTTP/1.1 409"));
    of.app.admin_get(&format!("/imports/{id}")).await.expect(404);
    has_parts(&of, 0).await;
}

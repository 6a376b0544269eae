//! Requests are signed by this machine's clock as it is, whatever time AWS's answers tell: so AWS refuses a machine whose clock is wrong,
//! and a commit bears a time that is off by no more than AWS bears.

use std::io::{BufRead, BufReader, Read, Write};

use permitd::aws::{Access, Endpoints};

/// Answers requests one after the other, as of years ago, and tells the times by which they were signed.
fn answering_as_of_long_ago(count: usize) -> (String, std::thread::JoinHandle<Vec<String>>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answering = std::thread::spawn(move || {
        let mut signed_at = Vec::new();
        while signed_at.len() < count {
            let (mut connection, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(connection.try_clone().unwrap());
            let mut length = 0;
            for line in reader.by_ref().lines() {
                let line = line.unwrap().to_ascii_lowercase();
                match line.split_once(": ") {
                    Some(("x-amz-date", date)) => signed_at.push(date.to_owned()),
                    Some(("content-length", bytes)) => length = bytes.parse().unwrap(),
                    _ => {}
                }
                if line.is_empty() {
                    break;
                }
            }
            reader.read_exact(&mut vec![0; length]).unwrap();
            let body = r#"{"TableNames":[]}"#;
            let head =
                "HTTP/1.1 200 OK\r\ncontent-type: application/x-amz-json-1.0\r\ndate: Wed, 01 Jan 2020 00:00:00 GMT";
            write!(connection, "{head}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len()).unwrap();
        }
        signed_at
    });
    (url, answering)
}

#[tokio::test]
async fn requests_are_signed_by_this_machines_clock_as_it_is() {
    let (url, answering) = answering_as_of_long_ago(3);
    let access = Access::to_endpoints(Endpoints { dynamodb: Some(url.clone()), ..Endpoints::default() }).await;
    let config = aws_sdk_dynamodb::config::Builder::from(access.config()).endpoint_url(url).build();
    let client = aws_sdk_dynamodb::Client::from_conf(config);
    for _ in 0..3 {
        client.list_tables().send().await.unwrap();
    }
    let signed_at = answering.join().unwrap();
    assert!(signed_at.len() == 3 && signed_at.iter().all(|date| !date.starts_with("2020")), "{signed_at:?}");
}

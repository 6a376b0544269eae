use actix_codec::Decoder;
use actix_http::h1::{Codec, Message};
use bytes::BytesMut;
use proptest::prelude::*;

use super::*;

const MAX: usize = 48 * 1024;

/// The lengths of the requests that pass when the bytes arrive in pieces of this size, and the refusal after them.
fn requests(bytes: &[u8], piece: usize) -> (Vec<usize>, Option<Refusal>) {
    let mut scanner = Scanner::new(MAX);
    let (mut begun, mut arrived, mut from) = (Vec::new(), 0, 0);
    while arrived < bytes.len() {
        arrived = bytes.len().min(arrived + piece);
        loop {
            if scanner.is_ended() && !scanner.is_in_body() {
                return (begun, None);
            }
            let was_in_body = scanner.is_in_body();
            let (passed, refusal) = match scanner.scan(&bytes[from..arrived]) {
                HeadStep::Pass(passed) => (passed, None),
                HeadStep::More => (0, None),
                HeadStep::Refuse(refusal) => return (begun, Some(refusal)),
                HeadStep::Broken(passed, refusal) => (passed, Some(refusal)),
            };
            from += passed;
            match begun.last_mut() {
                Some(length) if was_in_body => *length += passed,
                _ if passed > 0 => begun.push(passed),
                _ => {}
            }
            if refusal.is_some() {
                return (begun, refusal);
            }
            if passed == 0 || from == arrived {
                break;
            }
        }
    }
    (begun, None)
}

fn refusal(head: &str) -> String {
    let (passed, refusal) = requests(head.as_bytes(), usize::MAX);
    assert!(passed.is_empty(), "{head:?}");
    let refusal = refusal.unwrap_or_else(|| panic!("passed: {head:?}"));
    // The refusal is the same when the bytes arrive one by one.
    assert_eq!(requests(head.as_bytes(), 1).1.as_ref().map(|other| other.code), Some(refusal.code), "{head:?}");
    refusal.detail.into_owned()
}

#[test]
fn requests_are_told_apart_however_their_bytes_arrive() {
    let parts = [
        "GET /a HTTP/1.1\r\nhost: x\r\n\r\n",
        "POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
        "POST /c HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nt: 1\r\n\r\n",
        "\r\nGET /d?x=%22&y={} HTTP/1.0\r\nconnection: keep-alive\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nhost: x:80\r\naccept: a\r\naccept: b\r\n\r\n",
        "GET http://x/e HTTP/1.1\r\nhost: [::1]:80\r\nconnection: x, Close\r\n\r\n",
    ];
    let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    let whole = parts.concat() + "GET /never HTTP/1.1\r\nhost: x\r\n\r\n";
    for piece in [1, 2, 3, 7, 64, usize::MAX] {
        assert_eq!(requests(whole.as_bytes(), piece), (lengths.clone(), None), "pieces of {piece}");
    }
}

#[test]
fn nothing_is_read_behind_the_last_request() {
    for last in [
        "GET /a HTTP/1.0\r\n\r\n",
        "GET /a HTTP/1.1\r\nhost: x\r\nconnection: keep-alive, close\r\n\r\n",
        "GET /a HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
        "POST /a HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}",
    ] {
        let (passed, refusal) = requests(format!("{last}GET /b HTTP/1.1\r\n").as_bytes(), usize::MAX);
        assert_eq!((passed.iter().sum::<usize>(), refusal), (last.len(), None), "{last:?}");
    }
}

#[test]
fn a_head_with_two_meanings_is_refused() {
    let head = |fields: &str| refusal(&format!("POST /a HTTP/1.1\r\nhost: x\r\n{fields}\r\n"));
    for name in ["Host", "content-LENGTH", "content-type", "authorization", "X-Api-Key", "idempotency-key", "if-match"]
    {
        let value = if name == "content-LENGTH" { "1" } else { "x" };
        let twice = match name {
            "Host" => format!("{name}: {value}\r\n"),
            _ => format!("{name}: {value}\r\n{name}: {value}\r\n"),
        };
        assert!(head(&twice).contains(&format!("{} is there more than once", name.to_lowercase())), "{name}");
    }
    assert!(head("transfer-encoding: chunked\r\ncontent-length: 3\r\n").contains("send one of them"));
    for wrong in ["gzip, chunked", "identity", "chunked, chunked", "\"chunked\"", ""] {
        assert!(head(&format!("transfer-encoding: {wrong}\r\n")).contains("only be chunked"), "{wrong}");
    }
    for wrong in ["+5", "-1", "5, 5", "0x5", "", "1 2", "99999999999999999999"] {
        assert!(head(&format!("content-length: {wrong}\r\n")).contains("content-length"), "{wrong}");
    }
    assert!(head("a: b\r\n c\r\n").contains("second line"));
    assert!(head("a : b\r\n").contains("name"));
    assert!(head(": b\r\n").contains("name"));
    assert!(head("no colon\r\n").contains("no colon"));
    assert!(head("a: b\0c\r\n").contains("control character"));
    assert!(head("a: b\rc\r\n").contains("control character"));
    assert!(head("a: b\n").contains("bare line feed"));
    assert!(refusal("GET /a HTTP/1.1\nhost: x\n\n").contains("bare line feed"));
    assert!(refusal("GET /a HTTP/1.1\r\n\r\n").contains("needs the header host"));
    assert!(refusal("GET /a HTTP/1.1\r\nhost: a, b\r\n\r\n").contains("host"));
    assert!(refusal("POST /a HTTP/1.0\r\n\r\n").contains("content-length"));
    assert!(refusal("POST /a HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n").contains("no transfer-encoding"));
    assert!(refusal("\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\n").contains("empty lines"));
}

#[test]
fn a_first_line_that_is_none_is_refused() {
    for line in
        ["", " GET / HTTP/1.1", "GET  / HTTP/1.1", "GET /", "GET / HTTP/1.1 ", "GET\t/\tHTTP/1.1", "G(T / HTTP/1.1"]
    {
        refusal(&format!("{line}\r\nhost: x\r\n\r\n\r\n\r\n\r\n"));
    }
    assert!(refusal("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").contains("HTTP/1.1"));
    assert!(refusal("GET nowhere/at:all HTTP/1.1\r\nhost: x\r\n\r\n").contains("not a path"));
}

#[test]
fn a_character_that_must_be_encoded_is_named() {
    let of = |target: &str| refusal(&format!("GET {target} HTTP/1.1\r\nhost: x\r\n\r\n"));
    for (target, character, encoded) in [
        ("/things?filter=txt=\"a\"", "20, the character \"", "%22"),
        ("/things?txt=caf\u{e9}", "16, the character \u{e9}", "%C3%A9"),
        ("/caf\u{e9}\u{e9}", "5, the character \u{e9}", "%C3%A9"),
        ("/a?b=c d", "7, a space", "%20"),
        ("/a?b<3", "5, the character <", "%3C"),
        ("/a#b", "3, the character #", "%23"),
        ("/a?b=50%", "8, a % without two hexadecimal digits behind it", "%25"),
        ("/50%/%25", "4, a % without two hexadecimal digits behind it", "%25"),
        ("/a?b=%20%2g", "9, a % without two hexadecimal digits behind it", "%25"),
        ("/a?b=%\u{e9}", "7, the character \u{e9}", "%C3%A9"),
    ] {
        let detail = of(target);
        assert!(
            detail.contains(&format!("have, as character {character} that must")) && detail.contains(encoded),
            "{target}: {detail}"
        );
    }
    assert!(of("/a\u{1}").contains("as character 3, a character that") && of("/a\u{1}").contains("%01"));
    let (_, refused) = requests(b"GET /\xff HTTP/1.1\r\nhost: x\r\n\r\n", 5);
    assert!(refused.unwrap().detail.contains("%FF"));
}

#[test]
fn heads_are_bounded() {
    let long = format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "a".repeat(65_534));
    let mut scanner = Scanner::new(128 * 1024);
    assert!(matches!(scanner.scan(long.as_bytes()), HeadStep::Refuse(Refusal { code: ProblemCode::UrlTooLong, .. })));
    let many = format!("GET / HTTP/1.1\r\nhost: x\r\n{}\r\n", "a: b\r\n".repeat(96));
    assert_eq!(requests(many.as_bytes(), usize::MAX).1.unwrap().code, ProblemCode::HeadTooLarge);
    let endless = format!("GET / HTTP/1.1\r\nhost: x\r\na: {}", "b".repeat(MAX));
    assert_eq!(requests(endless.as_bytes(), 4096).1.unwrap().code, ProblemCode::HeadTooLarge);
}

#[test]
fn a_body_that_goes_wrong_takes_its_request_with_it_or_ends_it() {
    let head = "POST /a HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n";
    for chunks in [
        "x\r\n",
        "\r\n",
        " 5\r\nhello\r\n",
        "5 \r\nhello\r\n",
        "0x5\r\nhello\r\n",
        "-1\r\n",
        "5\nhello\n",
        "5\r\nhello0\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "ffffffffffffffffff\r\n",
        "5;\u{1}\r\nhello\r\n",
        "00000000000000005\r\nhello\r\n",
        "0\r\nx: y\n\r\n",
        "0\r\nx\r\n\r\n",
        "0\r\n: y\r\n\r\n",
        "0\r\nx : y\r\n\r\n",
        "0\r\nx: y\r\n z\r\n\r\n",
        // The trailer has no end, so the next request would be taken for more of the trailer.
        "0\r\nx: y\r\nGET /next HTTP/1.1\r\nhost: x\r\n\r\n",
    ] {
        let bytes = format!("{head}{chunks}");
        let (passed, refusal) = requests(bytes.as_bytes(), usize::MAX);
        assert!(passed.is_empty() && refusal.is_some(), "{chunks:?}: {passed:?}");
        let (passed, refusal) = requests(bytes.as_bytes(), 1);
        assert!(passed[0] >= head.len() && refusal.is_some(), "{chunks:?} in pieces");
    }
}

/// How many requests the parser reads from these bytes, or why it refuses them.
fn parser(bytes: &[u8]) -> Result<usize, String> {
    actix_web::rt::System::new().block_on(async { parse(bytes) })
}

fn parse(bytes: &[u8]) -> Result<usize, String> {
    let (mut codec, mut bytes, mut requests) = (Codec::default(), BytesMut::from(bytes), 0);
    while let Some(message) = codec.decode(&mut bytes).map_err(|error| error.to_string())? {
        requests += usize::from(matches!(message, Message::Item(_)));
    }
    if bytes.is_empty() { Ok(requests) } else { Err(format!("{} bytes are left", bytes.len())) }
}

fn mangled() -> impl Strategy<Value = Vec<u8>> {
    let word = || {
        prop::sample::select(vec![
            "GET",
            "POST",
            "HEAD",
            " ",
            "  ",
            "/",
            "/a?b=\"",
            "HTTP/1.1",
            "HTTP/1.0",
            "\r\n",
            "\n",
            "\r",
            "host: x",
            "Host:y",
            "content-length: 3",
            "content-length:0",
            "transfer-encoding: chunked",
            "connection: close",
            "upgrade: websocket",
            "connection: upgrade",
            "3\r\nabc\r\n",
            "0\r\n\r\n",
            "abc",
            ":",
            "\u{e9}",
            "\t",
            "{",
            "|",
            "^",
            "[",
            "\\",
            "`",
            "#",
            "a",
            "expect: 100-continue",
            "x-api-key: k",
            "CONNECT",
            "*",
            "http://x/",
            ";",
            "\0",
        ])
    };
    let request = (prop::sample::select(vec!["GET", "POST", "HEAD", "PUT"]), prop::collection::vec(word(), 0..6))
        .prop_map(|(method, words)| format!("{method} /{} HTTP/1.1\r\nhost: x\r\n\r\n", words.concat()));
    let fields = prop::collection::vec(word(), 0..8)
        .prop_map(|words| format!("POST / HTTP/1.1\r\nhost: x\r\n{}\r\n\r\nabc", words.join("\r\n")));
    prop_oneof![request, fields, prop::collection::vec(word(), 0..30).prop_map(|words| words.concat())]
        .prop_map(String::into_bytes)
}

/// Puts each byte into each place of a head: the parser accepts every head that passes, and the others are refused with a reason.
#[test]
fn the_parser_takes_each_byte_that_passes_wherever_it_stands() {
    for byte in 0..=u8::MAX {
        for (before, behind) in [
            ("", "GET / HTTP/1.1\r\nhost: x\r\n\r\n"),
            ("GE", "T / HTTP/1.1\r\nhost: x\r\n\r\n"),
            ("A-METHOD-OF-MORE-THAN-15-BYTES", " / HTTP/1.1\r\nhost: x\r\n\r\n"),
            ("GET /", " HTTP/1.1\r\nhost: x\r\n\r\n"),
            ("GET /?a=", " HTTP/1.1\r\nhost: x\r\n\r\n"),
            ("GET ", "a HTTP/1.1\r\nhost: x\r\n\r\n"),
            ("GET / HTTP/1.", "\r\nhost: x\r\n\r\n"),
            ("GET / HTTP/1.1\r\nhost: x", "y\r\n\r\n"),
            ("GET / HTTP/1.1\r\nhost: x\r\na", "b: c\r\n\r\n"),
            ("GET / HTTP/1.1\r\nhost: x\r\n", ": c\r\n\r\n"),
            ("GET / HTTP/1.1\r\nhost: x\r\na: b", "c\r\n\r\n"),
            ("GET / HTTP/1.1\r\nhost: x\r\na:", "\r\n\r\n"),
            ("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 0", "\r\n\r\n"),
            ("POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked", "\r\n\r\n0\r\n\r\n"),
        ] {
            let request = [before.as_bytes(), &[byte], behind.as_bytes()].concat();
            let (passed, _) = requests(&request, usize::MAX);
            if let Some(length) = passed.first() {
                let parsed = parser(&request[..*length]);
                assert_eq!(parsed, Ok(1), "{:?}", String::from_utf8_lossy(&request));
            }
        }
    }
}

proptest! {
    #[test]
    fn the_parser_takes_each_request_that_passes_as_one(bytes in mangled(), piece in 1_usize..40) {
        let (passed, refusal) = requests(&bytes, usize::MAX);
        let whole = passed.iter().sum::<usize>();
        let mut from = 0;
        for length in &passed {
            let request = &bytes[from..from + length];
            from += length;
            let parsed = parser(request);
            prop_assert!(parsed == Ok(1), "{:?} in {:?}", parsed, String::from_utf8_lossy(request));
        }
        let (in_pieces, refusal_in_pieces) = requests(&bytes, piece);
        prop_assert!(in_pieces.iter().sum::<usize>() >= whole);
        prop_assert_eq!(refusal.is_some(), refusal_in_pieces.is_some());
    }

    #[test]
    fn junk_never_panics(bytes: Vec<u8>, piece in 1_usize..10) {
        requests(&bytes, piece);
    }
}

//! The first line of a request, and the host that it is sent to (RFC 9112, section 3).

use actix_web::http::{Method, Uri};

use super::refusal::Refusal;
use crate::http::ProblemCode;

/// Longest method, bytes.
const METHOD_BYTES_MAX: usize = 32;
/// Longest request target, bytes: the parser's URIs hold no longer one.
const TARGET_BYTES_MAX: usize = 65_534;

/// The parts of the first line.
pub(super) struct RequestLine<'a> {
    pub(super) method: &'a [u8],
    pub(super) is_http_1_0: bool,
}

/// Reads the first line, without its end.
///
/// # Errors
/// When the line has no single meaning, or the parser would refuse it.
pub(super) fn read(line: &[u8]) -> Result<RequestLine<'_>, Refusal> {
    let (method, rest) = split(line).ok_or_else(malformed)?;
    // The parser's own check: it accepts fewer characters than a method may have.
    if method.len() > METHOD_BYTES_MAX || Method::from_bytes(method).is_err() {
        return Err(malformed());
    }
    let end = memchr::memrchr(b' ', rest).ok_or_else(malformed)?;
    let (target, version) = (rest.get(..end).unwrap_or_default(), rest.get(end + 1..).unwrap_or_default());
    let is_http_1_0 = match version {
        b"HTTP/1.1" => false,
        b"HTTP/1.0" => true,
        [b'H', b'T', b'T', b'P', b'/', ..] => {
            return Err(Refusal::malformed("this server speaks HTTP/1.1 and HTTP/1.0 only"));
        }
        _ => return Err(malformed()),
    };
    check_target(target)?;
    Ok(RequestLine { method, is_http_1_0 })
}

fn malformed() -> Refusal {
    Refusal::malformed("the first line is not a method, a path and HTTP/1.1, with one space between each")
}

fn split(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = memchr::memchr(b' ', line)?;
    Some((line.get(..at)?, line.get(at + 1..)?))
}

/// Checks that every byte may stand in a URI unencoded, and that each `%` begins the code of a byte. Names the first wrong one.
fn check_target(target: &[u8]) -> Result<(), Refusal> {
    if target.len() > TARGET_BYTES_MAX {
        let detail = format!("path and query have {} bytes, at most {TARGET_BYTES_MAX} are read", target.len());
        return Err(Refusal::new(ProblemCode::UrlTooLong, detail));
    }
    let query = memchr::memchr(b'?', target).unwrap_or(target.len());
    let (path, query) = target.split_at_checked(query).unwrap_or((target, &[]));
    let wrong = path.iter().position(|byte| !in_path(*byte)).or_else(|| {
        let at = query.iter().position(|byte| !in_query(*byte));
        at.map(|at| path.len() + at)
    });
    if let Some(at) = wrong {
        return Err(wrong_character(target, at));
    }
    let is_code = |at: usize| target.get(at + 1..at + 3).is_some_and(|code| code.iter().all(u8::is_ascii_hexdigit));
    if let Some(at) = memchr::memchr_iter(b'%', target).find(|at| !is_code(*at)) {
        return Err(wrong_character(target, at));
    }
    // The target is no path: an address with a host, `*`, or the authority of a CONNECT.
    if target.first() != Some(&b'/') && Uri::try_from(target).is_err() {
        return Err(Refusal::malformed("the address in the first line is not a path"));
    }
    Ok(())
}

/// Whether the parser's URIs allow the byte in a path. Without `#`, after which they would drop the rest.
fn in_path(byte: u8) -> bool {
    matches!(byte, 0x21 | 0x22 | 0x24..=0x3b | 0x3d | 0x40..=0x5f | 0x61..=0x7e)
}

fn in_query(byte: u8) -> bool {
    matches!(byte, 0x21 | 0x24..=0x3b | 0x3d | 0x3f..=0x7e)
}

/// Names the character that must be percent-encoded, its place, and how it is sent.
fn wrong_character(target: &[u8], at: usize) -> Refusal {
    let (before, rest) = target.split_at_checked(at).unwrap_or_default();
    let place = String::from_utf8_lossy(before).chars().count() + 1;
    let character = rest.utf8_chunks().next().and_then(|chunk| chunk.valid().chars().next());
    let mut bytes = [0; 4];
    let (what, encoded) = match character {
        Some(' ') => ("a space".to_owned(), " ".as_bytes()),
        Some('%') => ("a % without two hexadecimal digits behind it".to_owned(), "%".as_bytes()),
        Some(shown) if !shown.is_control() => {
            (format!("the character {shown}"), shown.encode_utf8(&mut bytes).as_bytes())
        }
        Some(hidden) => ("a character".to_owned(), hidden.encode_utf8(&mut bytes).as_bytes()),
        None => ("a character".to_owned(), rest.get(..1).unwrap_or_default()),
    };
    let encoded: String = encoded.iter().map(|byte| format!("%{byte:02X}")).collect();
    Refusal::malformed(format!(
        "path and query have, as character {place}, {what} that must be percent-encoded: send it as {encoded} (curl: use -G \
         --data-urlencode)"
    ))
}

/// Checks that the host is a single one: refuses anything that could be read as a list, a path or a user.
///
/// # Errors
/// When the host has a character that no host may have.
pub(super) fn check_host(host: &[u8]) -> Result<(), Refusal> {
    let is_wrong = |byte: &u8| !byte.is_ascii_graphic() || matches!(byte, b',' | b'/' | b'?' | b'#' | b'@' | b'\\');
    match host.iter().any(is_wrong) {
        true => Err(Refusal::malformed("the header host is not the name of a host")),
        false => Ok(()),
    }
}

/// Whether a byte may stand in a field's name (RFC 9110, section 5.6.2).
pub(super) fn is_token(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'!' | b'#' | b'$' | b'%' | b'&' | b'\''
        | b'*' | b'+' | b'^' | b'`' | b'|' | b'~')
}

//! Decides which bytes of a client may reach the HTTP parser: one whole request at a time, and only if it has a single meaning
//! (RFC 9112). Pure: no I/O and no clock.
//!
//! The parser is more lenient in places (bare line feeds, repeated fields), answers refused requests without a problem document, and
//! remembers only the last request that it has read, so it mixes up two requests in its buffer. So this scanner passes a strict subset
//! of what the parser accepts.

use super::{
    body::{Body, BodyFault},
    refusal::Refusal,
    request_line,
};
use crate::http::ProblemCode;

/// Most empty lines before a request (RFC 9112, section 2.2, asks to ignore at least one).
const EMPTY_LINES_MAX: usize = 4;
/// Most fields of a head: the parser accepts no more.
const FIELDS_MAX: usize = 96;
/// Most digits of a length: enough for every body, and no overflow.
const LENGTH_DIGITS_MAX: usize = 18;

/// Fields that a request may have once at most. The index of a field is its bit in [`HeadScan::seen`].
const SINGLE: [&str; 10] = [
    "host",
    "content-length",
    "transfer-encoding",
    "content-type",
    "authorization",
    "x-api-key",
    "idempotency-key",
    "if-match",
    "x-request-id",
    "origin",
];
const HOST: u16 = 1;
const CONTENT_LENGTH: u16 = 1 << 1;
const TRANSFER_ENCODING: u16 = 1 << 2;

/// The verdict on the next bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum HeadStep {
    /// This many bytes belong to the current request and may pass.
    Pass(usize),
    /// The head is not complete yet: none of the bytes may pass.
    More,
    /// The head is refused: none of the bytes may pass, and nothing after them is read.
    Refuse(Refusal),
    /// This many bytes may pass; the body is malformed after them, and nothing further is read.
    Broken(usize, Refusal),
}

/// Follows the requests of one connection.
#[derive(Debug)]
pub(super) struct Scanner {
    head_bytes_max: usize,
    head: HeadScan,
    body: Body,
    ended: bool,
}

impl Scanner {
    /// A scanner for a new connection. `head_bytes_max` is the longest head.
    pub(super) fn new(head_bytes_max: usize) -> Self {
        Self { head_bytes_max, head: HeadScan::default(), body: Body::None, ended: false }
    }

    /// Whether the next byte belongs to a body.
    pub(super) fn is_in_body(&self) -> bool {
        !matches!(self.body, Body::None)
    }

    /// Whether no further request of this connection is read: the last request ended it, or something was refused.
    pub(super) fn is_ended(&self) -> bool {
        self.ended
    }

    /// Ends the reading of requests.
    pub(super) fn end(&mut self) {
        self.ended = true;
    }

    /// Scans all bytes that have arrived and not passed, each time from the first of them. Ignores bytes after the end of a request.
    pub(super) fn scan(&mut self, bytes: &[u8]) -> HeadStep {
        if self.is_in_body() {
            return match self.body.take(bytes) {
                Ok(passed) => HeadStep::Pass(passed),
                Err(BodyFault { at, what }) => {
                    self.ended = true;
                    HeadStep::Broken(at, Refusal::malformed(what))
                }
            };
        }
        match self.head.read(bytes) {
            Ok(None) if bytes.len() > self.head_bytes_max => {
                self.ended = true;
                let detail = format!("the request's head is longer than {} bytes", self.head_bytes_max);
                HeadStep::Refuse(Refusal::new(ProblemCode::HeadTooLarge, detail))
            }
            Ok(None) => HeadStep::More,
            Ok(Some(head_bytes)) => self.behind_head(bytes, head_bytes),
            Err(refusal) => {
                self.ended = true;
                HeadStep::Refuse(refusal)
            }
        }
    }

    /// Begins the body after a complete head. Refuses the whole request if the body is malformed within the same bytes.
    fn behind_head(&mut self, bytes: &[u8], head_bytes: usize) -> HeadStep {
        let head = std::mem::take(&mut self.head);
        self.ended = head.is_last;
        self.body = head.body;
        if !self.is_in_body() {
            return HeadStep::Pass(head_bytes);
        }
        match self.body.take(bytes.get(head_bytes..).unwrap_or_default()) {
            Ok(passed) => HeadStep::Pass(head_bytes + passed),
            Err(BodyFault { what, .. }) => {
                self.ended = true;
                HeadStep::Refuse(Refusal::malformed(what))
            }
        }
    }
}

/// A head that is being read.
#[derive(Debug, Default)]
struct HeadScan {
    /// Bytes that were searched for the end of a line.
    searched: usize,
    /// Where the current line begins.
    line: usize,
    lines: usize,
    empty_lines: usize,
    seen: u16,
    is_http_1_0: bool,
    is_post: bool,
    wants_close: bool,
    wants_to_stay: bool,
    /// No further request is read after this one.
    is_last: bool,
    has_upgrade: bool,
    is_connect: bool,
    length: u64,
    body: Body,
}

impl HeadScan {
    /// Reads the complete lines. Returns the length of the head when the head is complete.
    fn read(&mut self, bytes: &[u8]) -> Result<Option<usize>, Refusal> {
        while let Some(found) = memchr::memchr(b'\n', bytes.get(self.searched..).unwrap_or_default()) {
            let end = self.searched + found;
            let line = bytes.get(self.line..end).unwrap_or_default();
            let Some(line) = line.strip_suffix(b"\r") else {
                return Err(Refusal::malformed("a line of the head ends in a bare line feed: end it with CR LF"));
            };
            self.searched = end + 1;
            self.line = end + 1;
            if !line.is_empty() {
                self.line_is(line)?;
            } else if self.lines > 0 {
                self.complete()?;
                return Ok(Some(end + 1));
            } else {
                self.empty_lines += 1;
                if self.empty_lines > EMPTY_LINES_MAX {
                    return Err(Refusal::malformed("empty lines stand where a request is expected"));
                }
            }
        }
        self.searched = bytes.len();
        Ok(None)
    }

    fn line_is(&mut self, line: &[u8]) -> Result<(), Refusal> {
        self.lines += 1;
        if self.lines > 1 {
            return self.field_is(line);
        }
        let request = request_line::read(line)?;
        (self.is_http_1_0, self.is_post, self.is_connect) =
            (request.is_http_1_0, request.method == b"POST", request.method == b"CONNECT");
        Ok(())
    }

    fn field_is(&mut self, line: &[u8]) -> Result<(), Refusal> {
        if self.lines > FIELDS_MAX + 1 {
            let detail = format!("the request's head has more than {FIELDS_MAX} fields");
            return Err(Refusal::new(ProblemCode::HeadTooLarge, detail));
        }
        if line.first().is_some_and(|byte| matches!(byte, b' ' | b'\t')) {
            let detail = "a field of the head goes on in a second line, which HTTP/1.1 does not have any more";
            return Err(Refusal::malformed(detail));
        }
        let Some(colon) = memchr::memchr(b':', line) else {
            return Err(Refusal::malformed("a line of the head is no field: it has no colon"));
        };
        let (name, value) = (line.get(..colon).unwrap_or_default(), line.get(colon + 1..).unwrap_or_default());
        if name.is_empty() || !name.iter().all(|byte| request_line::is_token(*byte)) {
            let detail =
                "a field's name in the head has a character that no name has, such as a space before the colon";
            return Err(Refusal::malformed(detail));
        }
        // Written so that the compiler compares many bytes at once.
        let controls =
            value.iter().fold(false, |any, byte| any | ((*byte < b' ') & (*byte != b'\t')) | (*byte == 0x7f));
        if controls {
            return Err(Refusal::malformed("a field of the head has a control character in its value"));
        }
        self.known_field(name, value.trim_ascii())
    }

    /// Checks the fields that decide where a request ends, or that may occur once at most.
    fn known_field(&mut self, name: &[u8], value: &[u8]) -> Result<(), Refusal> {
        match name.len() {
            // The lengths of the names below and of `SINGLE`: other fields cost no comparison.
            4 | 6 | 7 | 8 | 9 | 10 | 12 | 13 | 14 | 15 | 17 => {}
            _ => return Ok(()),
        }
        let single = SINGLE.iter().position(|known| known.as_bytes().eq_ignore_ascii_case(name));
        let Some(single) = single else {
            if name.eq_ignore_ascii_case(b"connection") {
                self.connection_is(value);
            } else if name.eq_ignore_ascii_case(b"upgrade") {
                self.has_upgrade = true;
            }
            return Ok(());
        };
        let bit = 1 << single;
        if self.seen & bit != 0 {
            let name = SINGLE.get(single).copied().unwrap_or_default();
            return Err(Refusal::malformed(format!("the header {name} is there more than once: send it once")));
        }
        self.seen |= bit;
        match bit {
            HOST => request_line::check_host(value),
            CONTENT_LENGTH => {
                self.length = content_length(value)?;
                Ok(())
            }
            TRANSFER_ENCODING if !value.eq_ignore_ascii_case(b"chunked") => {
                Err(Refusal::malformed("transfer-encoding can only be chunked"))
            }
            _ => Ok(()),
        }
    }

    fn connection_is(&mut self, value: &[u8]) {
        for option in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            self.wants_close |= option.eq_ignore_ascii_case(b"close");
            self.wants_to_stay |= option.eq_ignore_ascii_case(b"keep-alive");
            // There is nothing to upgrade to; the parser closes after the answer.
            self.is_last |= option.eq_ignore_ascii_case(b"upgrade");
        }
    }

    /// Ends the head: decides which body follows, and whether another request may follow.
    fn complete(&mut self) -> Result<(), Refusal> {
        let has = |bit| self.seen & bit != 0;
        if !self.is_http_1_0 && !has(HOST) {
            return Err(Refusal::malformed("a request of HTTP/1.1 needs the header host"));
        }
        if has(TRANSFER_ENCODING) && has(CONTENT_LENGTH) {
            return Err(Refusal::malformed("the request has content-length and transfer-encoding: send one of them"));
        }
        if has(TRANSFER_ENCODING) && self.is_http_1_0 {
            return Err(Refusal::malformed("HTTP/1.0 has no transfer-encoding: send content-length"));
        }
        if self.is_http_1_0 && self.is_post && !has(CONTENT_LENGTH) {
            return Err(Refusal::malformed("a POST of HTTP/1.0 needs the header content-length"));
        }
        if self.is_connect || (self.has_upgrade && !has(TRANSFER_ENCODING)) {
            // The parser may take all further bytes for a body that nobody reads.
            self.is_last = true;
        }
        self.is_last |= self.wants_close || (self.is_http_1_0 && !self.wants_to_stay);
        self.body = match () {
            () if has(TRANSFER_ENCODING) => Body::chunked(),
            () => Body::of_length(self.length),
        };
        Ok(())
    }
}

fn content_length(value: &[u8]) -> Result<u64, Refusal> {
    let wrong = || Refusal::malformed("content-length is not a number of bytes");
    if value.is_empty() || value.len() > LENGTH_DIGITS_MAX || !value.iter().all(u8::is_ascii_digit) {
        return Err(wrong());
    }
    str::from_utf8(value).ok().and_then(|digits| digits.parse().ok()).ok_or_else(wrong)
}

#[cfg(test)]
mod tests;

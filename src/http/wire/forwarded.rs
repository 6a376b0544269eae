//! The client's address from `Forwarded` (RFC 7239) and `X-Forwarded-For`. Each proxy appends an entry, so anybody can forge the entries
//! before those of the operator's own proxies.

use std::{
    collections::VecDeque,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use actix_web::http::header::{self, HeaderMap, HeaderName};

use crate::config::ProxyHeader;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// Most of the operator's own proxies in a row.
const PROXIES_MAX: usize = 32;

/// Stands for a client whose address the fields contradict or garble: no key's networks contain it, and all such clients share the
/// limits of one address.
pub(super) const NOBODY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// One entry: the sender of the request that a proxy received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ForwardedEntry {
    Address(IpAddr),
    /// The proxy does not name the sender.
    Hidden,
    /// The line is malformed, so its last entry is unknown.
    Broken,
}

/// The client of a request from the proxy at `peer`: the last address that is no trusted proxy's. `None` when the two fields name
/// different clients, as they do when the client has sent the field that the proxies do not write.
pub(super) fn client(
    peer: IpAddr,
    headers: &HeaderMap,
    reads: ProxyHeader,
    is_proxy: impl Fn(IpAddr) -> bool,
) -> Option<IpAddr> {
    let from = |entries: &mut dyn Iterator<Item = ForwardedEntry>| {
        let mut client = peer;
        for entry in entries.take(PROXIES_MAX) {
            client = match entry {
                ForwardedEntry::Address(address) => address,
                ForwardedEntry::Hidden => break,
                ForwardedEntry::Broken => return NOBODY,
            };
            if !is_proxy(client) {
                break;
            }
        }
        client
    };
    // The client's part before the proxies' entries may not be UTF-8.
    let lines = |name: HeaderName| {
        let lines = headers.get_all(name).map(|line| String::from_utf8_lossy(line.as_bytes()));
        lines.collect::<Vec<_>>().into_iter().rev()
    };
    let listed = || {
        from(
            &mut lines(X_FORWARDED_FOR)
                .flat_map(|line| line.rsplit(',').take(PROXIES_MAX).map(listed_entry).collect::<Vec<_>>()),
        )
    };
    let standard = || from(&mut lines(header::FORWARDED).flat_map(|line| elements(&line).into_iter().rev()));
    let (has_listed, has_standard) = (headers.contains_key(X_FORWARDED_FOR), headers.contains_key(header::FORWARDED));
    match reads {
        ProxyHeader::XForwardedFor => Some(listed()),
        ProxyHeader::Forwarded => Some(standard()),
        ProxyHeader::Any if has_listed && has_standard => Some(listed()).filter(|client| *client == standard()),
        ProxyHeader::Any if has_standard => Some(standard()),
        ProxyHeader::Any => Some(listed()),
    }
}

/// An address, perhaps with a port.
fn address(text: &str) -> Option<IpAddr> {
    let address = text
        .parse::<IpAddr>()
        .ok()
        .or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
        .or_else(|| text.strip_prefix('[')?.strip_suffix(']')?.parse().ok())?;
    Some(address.to_canonical())
}

/// An entry of `X-Forwarded-For`.
fn listed_entry(text: &str) -> ForwardedEntry {
    address(text.trim()).map_or(ForwardedEntry::Hidden, ForwardedEntry::Address)
}

/// The last elements of a line of `Forwarded`; a single `Broken` entry if the line violates the grammar.
fn elements(line: &str) -> VecDeque<ForwardedEntry> {
    let mut rest = line;
    let mut entries = VecDeque::new();
    loop {
        match element(&mut rest) {
            Some(Some(entry)) => entries.push_back(entry),
            // The grammar of lists lets elements be empty.
            Some(None) => {}
            None => return VecDeque::from([ForwardedEntry::Broken]),
        }
        if entries.len() > PROXIES_MAX {
            entries.pop_front();
        }
        match rest.strip_prefix(',') {
            Some(behind) => rest = behind,
            None => return entries,
        }
    }
}

/// Reads an element up to the next comma, or to the end. `None` if it is malformed; `Some(None)` if it is empty.
fn element(rest: &mut &str) -> Option<Option<ForwardedEntry>> {
    let (mut is_empty, mut client) = (true, None);
    loop {
        *rest = rest.trim_start_matches([' ', '\t']);
        if !(rest.is_empty() || rest.starts_with([',', ';'])) {
            is_empty = false;
            let name = token(rest)?;
            *rest = rest.strip_prefix('=')?;
            let value = if rest.starts_with('"') { quoted(rest)? } else { unquoted(rest)?.to_owned() };
            if name.eq_ignore_ascii_case("for") && client.replace(value).is_some() {
                return None;
            }
            *rest = rest.trim_start_matches([' ', '\t']);
        }
        if rest.is_empty() || rest.starts_with(',') {
            let told =
                || client.and_then(|client| address(&client)).map_or(ForwardedEntry::Hidden, ForwardedEntry::Address);
            return Some((!is_empty).then(told));
        }
        *rest = rest.strip_prefix(';')?;
    }
}

fn token<'a>(rest: &mut &'a str) -> Option<&'a str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    taken(rest, is_part)
}

/// A value without quotes, also for ports and IPv6 addresses: the grammar requires quotes there, and some proxies omit them.
fn unquoted<'a>(rest: &mut &'a str) -> Option<&'a str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~:[]".contains(c);
    taken(rest, is_part)
}

fn taken<'a>(rest: &mut &'a str, is_part: impl Fn(char) -> bool) -> Option<&'a str> {
    let end = rest.find(|c: char| !is_part(c)).unwrap_or(rest.len());
    let (taken, behind) = rest.split_at(end);
    *rest = behind;
    Some(taken).filter(|taken| !taken.is_empty())
}

fn quoted(rest: &mut &str) -> Option<String> {
    let mut value = String::new();
    let mut chars = rest.strip_prefix('"')?.chars();
    loop {
        match chars.next()? {
            '"' => break,
            '\\' => value.push(chars.next()?),
            other => value.push(other),
        }
    }
    *rest = chars.as_str();
    Some(value)
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));

    fn read(lines: &[(&'static str, &str)], reads: ProxyHeader) -> Option<IpAddr> {
        let mut headers = HeaderMap::new();
        for (name, line) in lines {
            headers.append(HeaderName::from_static(name), HeaderValue::from_str(line).unwrap());
        }
        let is_proxy = |address: IpAddr| matches!(address, IpAddr::V4(address) if address.octets()[0] == 10);
        client(PEER, &headers, reads, is_proxy)
    }

    fn at(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn proxies_write_addresses_in_several_ways() {
        for entry in ["2001:db8::1", "[2001:db8::1]", "[2001:db8::1]:80"] {
            assert_eq!(address(entry), at("2001:db8::1"), "{entry}");
        }
        assert_eq!(address("192.0.2.1:4711"), at("192.0.2.1"));
        assert_eq!(address("::ffff:192.0.2.1"), at("192.0.2.1"));
        assert!(["unknown", "", "_hidden", "1.2.3"].iter().all(|entry| address(entry).is_none()));
    }

    #[test]
    fn the_standard_field_is_read_as_it_may_be_written() {
        for (line, client) in [
            ("for=192.0.2.1", "192.0.2.1"),
            ("For=\"192.0.2.1:4711\"", "192.0.2.1"),
            ("for=192.0.2.1:80;proto=https", "192.0.2.1"),
            ("proto=http;by=203.0.113.43;FOR=\"[2001:db8::1]:80\"", "2001:db8::1"),
            ("for=\"[2001:db8::1]\" , for=10.0.0.7", "2001:db8::1"),
            ("for=198.51.100.9, for=192.0.2.1;by=\"a,b;c\", ,for=\"1\\0.0.0.2\"", "192.0.2.1"),
            ("for=198.51.100.9,for=192.0.2.1", "192.0.2.1"),
            // The last proxy does not name its sender, so that proxy counts as the client.
            ("for=198.51.100.9, for=unknown", "10.0.0.1"),
            ("for=198.51.100.9, for=_hidden, for=10.0.0.3", "10.0.0.3"),
            ("for=198.51.100.9, proto=https", "10.0.0.1"),
            ("", "10.0.0.1"),
            // Malformed lines: nobody's address.
            ("for=192.0.2.1, for=\"", "0.0.0.0"),
            ("for=192.0.2.1 x", "0.0.0.0"),
            ("for=192.0.2.1;for=192.0.2.2", "0.0.0.0"),
            ("for=\"192.0.2.1\"x", "0.0.0.0"),
            ("for", "0.0.0.0"),
            ("=192.0.2.1", "0.0.0.0"),
        ] {
            assert_eq!(read(&[("forwarded", line)], ProxyHeader::Any), at(client), "{line}");
        }
        let several =
            [("forwarded", "for=198.51.100.1"), ("forwarded", "for=192.0.2.1"), ("forwarded", "for=10.0.0.2")];
        assert_eq!(read(&several, ProxyHeader::Any), at("192.0.2.1"));
        let behind_junk = [("forwarded", "for=\""), ("forwarded", "for=192.0.2.1")];
        assert_eq!(read(&behind_junk, ProxyHeader::Any), at("192.0.2.1"));
    }

    #[test]
    fn two_fields_must_agree_or_one_is_named() {
        let agree = [("x-forwarded-for", "192.0.2.1, 10.0.0.2"), ("forwarded", "for=192.0.2.1")];
        assert_eq!(read(&agree, ProxyHeader::Any), at("192.0.2.1"));
        let differ = [("x-forwarded-for", "192.0.2.1"), ("forwarded", "for=192.0.2.2")];
        assert_eq!(read(&differ, ProxyHeader::Any), None);
        assert_eq!(read(&differ, ProxyHeader::Forwarded), at("192.0.2.2"));
        assert_eq!(read(&differ, ProxyHeader::XForwardedFor), at("192.0.2.1"));
        assert_eq!(read(&[("x-forwarded-for", "192.0.2.1")], ProxyHeader::Forwarded), Some(PEER));
        assert_eq!(read(&[("forwarded", "for=192.0.2.1")], ProxyHeader::XForwardedFor), Some(PEER));
    }

    proptest! {
        /// Whatever a client sends, its address is the one that the proxies name, or nobody's.
        #[test]
        fn nobody_chooses_an_address(
            sent in "[ -~]{0,60}|(for=[0-9.]{1,9}|for=\"[^\"\\p{Cc}]{0,9}|x=\"|[;, ]){1,6}",
            before in 0_u8..4,
            proxies in 0_u8..3,
        ) {
            let real = "192.0.2.1";
            let own: Vec<String> = (0..proxies).map(|n| format!("10.0.0.{}", n + 2)).collect();
            let listed = [&[real.to_owned()], own.as_slice()].concat();
            let standard: Vec<String> = listed.iter().map(|address| format!("for={address};by=\"[::1]\"")).collect();
            let (listed, standard) = (listed.join(", "), standard.join(", "));
            let (listed_after, standard_after) = (format!("{sent}, {listed}"), format!("{sent}, {standard}"));
            // The proxies append to what the client sent in one of the fields. The client sends the other field, or not.
            let lines = match before {
                0 => vec![("x-forwarded-for", sent.as_str()), ("x-forwarded-for", listed.as_str())],
                1 => vec![("x-forwarded-for", listed_after.as_str())],
                2 => vec![("forwarded", sent.as_str()), ("forwarded", standard.as_str())],
                _ => vec![("forwarded", standard_after.as_str())],
            };
            let found = read(&lines, ProxyHeader::Any);
            prop_assert!(found == at(real) || (before == 3 && found == Some(NOBODY)), "{:?}: {:?}", lines, found);
            let other = if before < 2 { "forwarded" } else { "x-forwarded-for" };
            let mixed = read(&[lines, vec![(other, sent.as_str())]].concat(), ProxyHeader::Any);
            prop_assert!(mixed.is_none() || mixed == found, "{:?}", mixed);
        }
    }
}

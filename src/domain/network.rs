//! Ranges of addresses that a setting names.

use core::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};

/// Bits before the IPv4 address in IPv6's form of it.
const MAPPED_BITS: u8 = 96;

/// A range of addresses: one address, or `address/bits` (RFC 4632, RFC 4291 section 2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressRange(IpNet);

impl AddressRange {
    /// Reads one; `None` when it is neither. A range of IPv4 addresses in IPv6's form (`::ffff:10.0.0.0/104`) is that of the IPv4
    /// addresses.
    pub fn parse(text: &str) -> Option<Self> {
        let range: IpNet = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)).ok()?;
        let plain = match (range, range.addr().to_canonical()) {
            (IpNet::V6(mapped), IpAddr::V4(address)) => {
                Ipv4Net::new(address, mapped.prefix_len().checked_sub(MAPPED_BITS)?).ok()?.into()
            }
            _ => range,
        };
        Some(Self(plain))
    }

    /// Whether the range has this address. An IPv4 address in IPv6's form is the IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_have_what_their_bits_say() {
        let has = |range: &str, address: &str| AddressRange::parse(range).unwrap().contains(address.parse().unwrap());
        assert!(has("10.0.0.0/8", "10.255.1.2") && !has("10.0.0.0/8", "11.0.0.1"));
        assert!(has("127.0.0.1", "127.0.0.1") && !has("127.0.0.1", "127.0.0.2"));
        assert!(has("127.0.0.1", "::ffff:127.0.0.1"));
        assert!(has("::ffff:10.0.0.1", "10.0.0.1") && !has("::ffff:10.0.0.1", "10.0.0.2"));
        assert!(has("::ffff:10.0.0.0/104", "::ffff:10.9.9.9") && !has("::ffff:10.0.0.0/104", "11.0.0.1"));
        assert!(has("0.0.0.0/0", "8.8.8.8") && !has("0.0.0.0/0", "2001:db8::1"));
        assert!(has("2001:db8::/32", "2001:db8:9::1") && !has("2001:db8::/32", "2001:db9::1"));
        assert!(has("::/0", "2001:db8::1"));
        for wrong in
            ["", "::ffff:10.0.0.0/80", "10.0.0.0/33", "10.0.0/8", "::/129", "localhost", "10.0.0.1/", "10.0.0.1/x"]
        {
            assert_eq!(AddressRange::parse(wrong), None, "{wrong}");
        }
    }
}

//! Address ranges of settings and keys, and the networks of clients.

use core::{fmt, net::IpAddr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Bits before the IPv4 address in an IPv4-mapped IPv6 address.
const MAPPED_BITS: u8 = 96;

/// Bits of an IPv4 address that name its network.
const NETWORK_BITS_V4: u8 = 24;
const NETWORK_BITS_V6: u8 = 48;

/// The network of an address, as kept of keys and sessions: an IPv4 address's /24, an IPv6 address's /48. The exact address is not kept.
pub fn network_of(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => Ipv4Net::new_assert(address, NETWORK_BITS_V4).trunc().to_string(),
        IpAddr::V6(address) => Ipv6Net::new_assert(address, NETWORK_BITS_V6).trunc().to_string(),
    }
}

/// A range of addresses: one address, or `address/bits` (RFC 4632, RFC 4291 section 2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressRange(IpNet);

impl AddressRange {
    /// Reads an address or a range; `None` for any other text. A range of IPv4-mapped IPv6 addresses (`::ffff:10.0.0.0/104`) is that of the
    /// IPv4 addresses.
    pub fn parse(text: &str) -> Option<Self> {
        let range: IpNet = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)).ok()?;
        let plain = match (range, range.addr().to_canonical()) {
            (IpNet::V6(mapped), IpAddr::V4(address)) => {
                Ipv4Net::new(address, mapped.prefix_len().checked_sub(MAPPED_BITS)?).ok()?.into()
            }
            _ => range,
        };
        Some(Self(plain.trunc()))
    }

    /// Tells whether the range contains this address. An IPv4-mapped IPv6 address counts as the IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

/// The text form that [`AddressRange::parse`] reads: an address alone, or the first address and the number of bits.
impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let range = self.0;
        if range.prefix_len() == range.max_prefix_len() { range.addr().fmt(f) } else { range.fmt(f) }
    }
}

#[cfg(test)]
mod tests {
    use core::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;

    /// The first bits of an address, as a text of zeros and ones.
    fn first_bits(address: IpAddr, bits: u8) -> String {
        let all = match address {
            IpAddr::V4(address) => format!("{:032b}", u32::from(address)),
            IpAddr::V6(address) => format!("{:0128b}", u128::from(address)),
        };
        all[..usize::from(bits)].to_owned()
    }

    /// Addresses that are often near each other.
    fn addresses() -> impl Strategy<Value = (IpAddr, IpAddr)> {
        let v4 = (any::<u32>(), 0..=32u32, any::<u32>()).prop_map(|(one, shift, noise)| {
            let other = one ^ noise.checked_shr(shift).unwrap_or(0);
            (IpAddr::V4(Ipv4Addr::from(one)), IpAddr::V4(Ipv4Addr::from(other)))
        });
        let v6 = (any::<u128>(), 0..=128u32, any::<u128>()).prop_map(|(one, shift, noise)| {
            // Avoids IPv4-mapped IPv6 addresses, which count as IPv4 addresses.
            let (one, other) = (one | 1 << 127, one ^ noise.checked_shr(shift).unwrap_or(0) | 1 << 127);
            (IpAddr::V6(Ipv6Addr::from(one)), IpAddr::V6(Ipv6Addr::from(other)))
        });
        prop_oneof![v4, v6]
    }

    proptest! {
        #[test]
        fn a_range_has_the_addresses_that_begin_as_it_does((network, address) in addresses(), bits in 0..=128u8) {
            let bits = if network.is_ipv4() { bits.min(32) } else { bits };
            let range = AddressRange::parse(&format!("{network}/{bits}")).unwrap();
            let is_in = first_bits(network, bits) == first_bits(address, bits);
            prop_assert_eq!(range.contains(address), is_in);
            prop_assert_eq!(AddressRange::parse(&range.to_string()), Some(range), "{}", range);
            let of_the_other_kind: IpAddr = if network.is_ipv4() { Ipv6Addr::from(1u128 << 127).into() } else { Ipv4Addr::from(7).into() };
            prop_assert!(!range.contains(of_the_other_kind));
        }
    }

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

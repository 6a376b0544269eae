//! Time-based one-time codes (RFC 6238): six digits, HMAC-SHA-1, steps of 30 seconds, as every authenticator app uses them.

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use sha1::Sha1;

/// Bytes of a secret: the size of a SHA-1 hash (RFC 4226, section 4).
pub const TOTP_SECRET_BYTES: usize = 20;
/// Seconds of a step.
pub const STEP_S: i64 = 30;
/// Steps that a clock may be off in either direction.
const STEPS_OFF: u64 = 1;
const DIGITS: u32 = 1_000_000;
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// The step of a moment.
pub fn step_at(now: Timestamp) -> u64 {
    u64::try_from(now.as_second().div_euclid(STEP_S)).unwrap_or(0)
}

/// The code of a step.
pub fn code(secret: &[u8], step: u64) -> Option<String> {
    let mac = Hmac::<Sha1>::new_from_slice(secret).ok()?.chain_update(step.to_be_bytes()).finalize().into_bytes();
    let offset = usize::from(mac.last()? & 0xf);
    let word: [u8; 4] = mac.get(offset..offset + 4)?.try_into().ok()?;
    Some(format!("{:06}", (u32::from_be_bytes(word) & 0x7fff_ffff) % DIGITS))
}

/// The step of a code: at most one off, and later than `after`, so that no code is accepted twice.
pub fn accepted_step(secret: &[u8], given: &str, now: Timestamp, after: u64) -> Option<u64> {
    let step = step_at(now);
    let steps = step.saturating_sub(STEPS_OFF)..=step.saturating_add(STEPS_OFF);
    let is_it = |step: &u64| {
        code(secret, *step).is_some_and(|code| subtle::ConstantTimeEq::ct_eq(code.as_bytes(), given.as_bytes()).into())
    };
    // All are compared, so that the time taken does not reveal which matched.
    let matching: Vec<u64> = steps.filter(is_it).collect();
    matching.into_iter().find(|step| *step > after)
}

/// Base-32 (RFC 4648) without padding, as authenticator apps take secrets.
pub fn base32(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(5) * 8);
    let (mut buffer, mut bits) = (0u32, 0u32);
    let digit = |value: u32| {
        usize::try_from(value & 31).ok().and_then(|at| BASE32.get(at)).map_or('A', |&byte| char::from(byte))
    };
    for byte in bytes {
        buffer = (buffer << 8 | u32::from(*byte)) & 0xfff;
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            text.push(digit(buffer >> bits));
        }
    }
    if bits > 0 {
        text.push(digit(buffer << (5 - bits)));
    }
    text
}

/// Reads the output of [`base32`]; `None` for any other text.
pub fn unbase32(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() * 5 / 8);
    let (mut buffer, mut bits) = (0u32, 0u32);
    for char in text.bytes() {
        let value = BASE32.iter().position(|known| *known == char)?;
        buffer = (buffer << 5 | u32::try_from(value).ok()?) & 0xfff;
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from(buffer >> bits & 0xff).ok()?);
        }
    }
    Some(bytes)
}

/// The URI from which an authenticator app reads a secret (Key Uri Format).
pub fn otpauth(secret: &str, issuer: &str, account: &str) -> String {
    let plain = |text: &str| -> String {
        text.bytes()
            .map(|byte| match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
                byte => format!("%{byte:02X}"),
            })
            .collect()
    };
    let issuer = plain(&issuer.replace(':', " "));
    format!("otpauth://totp/{issuer}:{}?secret={secret}&issuer={issuer}", plain(account))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// RFC 6238, appendix B, in six digits.
    #[test]
    fn the_codes_of_the_standard() {
        let secret = b"12345678901234567890";
        for (second, expected) in
            [(59, "287082"), (1_111_111_109, "081804"), (1_234_567_890, "005924"), (20_000_000_000, "353130")]
        {
            let step = step_at(Timestamp::from_second(second).unwrap());
            assert_eq!(code(secret, step).as_deref(), Some(expected), "{second}");
        }
    }

    #[test]
    fn a_step_is_accepted_once_and_only_near_its_time() {
        let secret = b"12345678901234567890";
        let now = Timestamp::from_second(1_111_111_109).unwrap();
        let step = step_at(now);
        assert_eq!(accepted_step(secret, "081804", now, 0), Some(step));
        assert_eq!(accepted_step(secret, "081804", now, step), None, "used");
        for (off_s, expected) in [(30, Some(step)), (-30, Some(step)), (61, None), (-61, None)] {
            let then = now + jiff::SignedDuration::from_secs(off_s);
            assert_eq!(accepted_step(secret, "081804", then, 0), expected, "{off_s}");
        }
        assert_eq!(accepted_step(secret, "", now, 0), None);
    }

    #[test]
    fn an_address_for_apps() {
        let address = otpauth("JBSWY3DP", "SF Permits: open", "ana@example.org");
        assert_eq!(
            address,
            "otpauth://totp/SF%20Permits%20%20open:ana%40example.org?secret=JBSWY3DP&issuer=SF%20Permits%20%20open"
        );
    }

    proptest! {
        #[test]
        fn base32_reads_back(bytes: Vec<u8>) {
            prop_assert_eq!(unbase32(&base32(&bytes)), Some(bytes));
        }
    }
}

//! Points in the past of a stream.

use jiff::Timestamp;

/// What a position begins with where it is written beside versions and moments.
const POSITION: &str = "position:";

/// A point in the past of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AsOf {
    /// The state after the commit of this version.
    Version(u64),
    /// The state after everything up to this position of the log.
    Position(u64),
    /// The state after everything recorded up to this moment.
    Moment(Timestamp),
}

/// A text that names no point in the past.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a version such as 3, a position of the log such as position:1200, or a moment such as 2026-03-01T12:00:00Z, is expected"
)]
pub struct AsOfError;

impl AsOf {
    /// Reads a version (`3`), a position (`position:1200`) or a moment (RFC 3339).
    ///
    /// # Errors
    /// When it is none of them.
    pub fn parse(text: &str) -> Result<Self, AsOfError> {
        if let Some(position) = text.strip_prefix(POSITION) {
            return number(position).map(Self::Position).ok_or(AsOfError);
        }
        let version = number(text).map(Self::Version);
        version.or_else(|| text.parse().map(Self::Moment).ok()).ok_or(AsOfError)
    }

    /// Tells whether a commit belongs to that past.
    pub fn holds(self, version: u64, position: u64, recorded_at: Timestamp) -> bool {
        match self {
            Self::Version(last) => version <= last,
            Self::Position(last) => position <= last,
            Self::Moment(moment) => recorded_at <= moment,
        }
    }
}

/// A whole number in digits, without a sign.
fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_names_one_thing() {
        let moment: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
        for (text, expected) in [
            ("3", Some(AsOf::Version(3))),
            ("position:3", Some(AsOf::Position(3))),
            ("position:18446744073709551615", Some(AsOf::Position(u64::MAX))),
            ("2026-03-01T12:00:00Z", Some(AsOf::Moment(moment))),
            ("2026-03-01T13:00:00+01:00", Some(AsOf::Moment(moment))),
            ("position:", None),
            ("position:+3", None),
            ("position:-3", None),
            ("Position:3", None),
            ("+3", None),
            ("version:3", None),
            ("yesterday", None),
            ("", None),
        ] {
            assert_eq!(AsOf::parse(text).ok(), expected, "{text:?}");
        }
    }

    #[test]
    fn a_commit_belongs_to_the_past_up_to_its_end() {
        let at = Timestamp::UNIX_EPOCH;
        for (as_of, holds) in [
            (AsOf::Version(2), true),
            (AsOf::Version(1), false),
            (AsOf::Position(9), true),
            (AsOf::Position(8), false),
            (AsOf::Moment(at), true),
            (AsOf::Moment(Timestamp::from_microsecond(-1).unwrap()), false),
        ] {
            assert_eq!(as_of.holds(2, 9, at), holds, "{as_of:?}");
        }
    }
}

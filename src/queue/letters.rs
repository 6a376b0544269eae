//! Dead letters in bulk: which, and what to do with them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

/// A message that failed too often.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeadLetter {
    /// The message's id.
    pub id: String,
    /// The stored text.
    pub body: String,
    /// How often it was received.
    pub receives: u32,
    /// Why it failed the last time.
    pub reason: String,
    /// When it was sent.
    pub sent_at: Timestamp,
    /// When it became a dead letter.
    pub died_at: Timestamp,
}

/// Dead letters that one command looks through and works on at most.
pub const BULK_MAX: usize = 10_000;
/// The type in a summary of a letter whose message cannot be read.
pub const UNREADABLE_TYPE: &str = "unreadable";

/// Selects dead letters. Without any condition it takes all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LetterFilter {
    /// Part of the reason, as it is written.
    pub reason: Option<String>,
    /// The type of the event that the message is about, such as `UserInvited`.
    pub type_name: Option<String>,
    /// The letters' ids.
    pub ids: Option<Vec<String>>,
    /// Leaves out those that died later.
    pub died_until: Option<Timestamp>,
}

impl LetterFilter {
    /// Whether it takes every letter of every time.
    pub fn takes_all(&self) -> bool {
        *self == Self::default()
    }

    /// Whether it takes a letter.
    pub fn takes(&self, letter: &DeadLetter) -> bool {
        self.reason.as_ref().is_none_or(|part| letter.reason.contains(part))
            && self.type_name.as_ref().is_none_or(|name| type_of(letter) == *name)
            && self.ids.as_ref().is_none_or(|ids| ids.contains(&letter.id))
            && self.died_until.is_none_or(|until| letter.died_at <= until)
    }
}

/// The type of the event that a letter is about.
pub fn type_of(letter: &DeadLetter) -> String {
    let body: serde_json::Value = serde_json::from_str(&letter.body).unwrap_or_default();
    body.get("type").and_then(serde_json::Value::as_str).unwrap_or(UNREADABLE_TYPE).to_owned()
}

/// What to do with dead letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LetterAct {
    /// Sends them again, as new messages.
    Redrive,
    /// Removes them for good.
    Discard,
}

/// Dead letters that were looked for.
#[derive(Debug, Default)]
pub struct FoundLetters {
    /// Those that were found, the last first.
    pub letters: Vec<DeadLetter>,
    /// How many there are of them, as far as was looked: not all may be among `letters`.
    pub matching: u64,
    /// Whether all letters were looked through.
    pub is_whole: bool,
}

impl FoundLetters {
    /// Those of these letters that the filter takes, at most `limit`.
    pub fn among(letters: Vec<DeadLetter>, wanted: &LetterFilter, limit: usize, is_whole: bool) -> Self {
        let mut letters: Vec<DeadLetter> = letters.into_iter().filter(|letter| wanted.takes(letter)).collect();
        let matching = u64::try_from(letters.len()).unwrap_or(u64::MAX);
        letters.truncate(limit);
        Self { letters, matching, is_whole }
    }
}

/// Letters of one type that failed for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LetterGroup {
    /// The type of the event that they are about.
    #[serde(rename = "type")]
    pub type_name: String,
    /// Why they failed.
    pub reason: String,
    /// How many there are.
    pub count: u64,
}

/// The letters by type and reason, the most frequent first.
pub fn grouped(letters: &[DeadLetter]) -> Vec<LetterGroup> {
    let mut counts: BTreeMap<(String, &str), u64> = BTreeMap::new();
    for letter in letters {
        *counts.entry((type_of(letter), letter.reason.as_str())).or_default() += 1;
    }
    let group = |((type_name, reason), count): ((String, &str), u64)| LetterGroup {
        type_name,
        reason: reason.to_owned(),
        count,
    };
    let mut groups: Vec<LetterGroup> = counts.into_iter().map(group).collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.count));
    groups
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn letter(number: usize, type_name: &str, reason: &str) -> DeadLetter {
        let body = format!(
            "{{\"v\":\"1\",\"event\":\"01900000-0000-7000-8000-000000000001\",\"type\":\"{type_name}\",\"stream\":\"user#1\",\
             \"version\":1,\"correlation_id\":\"\"}}"
        );
        let at = Timestamp::UNIX_EPOCH;
        DeadLetter { id: number.to_string(), body, receives: 5, reason: reason.to_owned(), sent_at: at, died_at: at }
    }

    proptest! {
        #[test]
        fn groups_count_each_letter_once(letters in prop::collection::vec((0..3_usize, 0..3_usize), 0..50)) {
            const TYPES: [&str; 3] = ["UserInvited", "UserDeleted", "LinkIssued"];
            const REASONS: [&str; 3] = ["full", "550 refused", "away"];
            let letters: Vec<DeadLetter> =
                letters.iter().enumerate().map(|(at, (kind, why))| letter(at, TYPES[*kind], REASONS[*why])).collect();
            let groups = grouped(&letters);
            prop_assert_eq!(groups.iter().map(|group| group.count).sum::<u64>(), letters.len() as u64);
            prop_assert!(groups.windows(2).all(|two| two[0].count >= two[1].count));
            for group in &groups {
                let wanted = LetterFilter {
                    reason: Some(group.reason.clone()), type_name: Some(group.type_name.clone()), ..LetterFilter::default()
                };
                let found = FoundLetters::among(letters.clone(), &wanted, 1, true);
                prop_assert_eq!((found.matching, found.letters.len()), (group.count, 1));
            }
        }
    }

    #[test]
    fn a_message_that_cannot_be_read_has_a_type_of_its_own() {
        let mut unread = letter(1, "UserInvited", "no");
        unread.body = "?".to_owned();
        assert_eq!(type_of(&unread), UNREADABLE_TYPE);
    }
}

//! A person's usage report: by day, and within a day by key, data set or status.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use serde_json::{Map, Value, json};

use super::admission::UsageCount;

/// Days that are shown by default.
pub const DAYS_DEFAULT: u16 = 30;
/// The most days that can be shown.
pub const DAYS_MAX: u16 = 366;
const DAY_S: i64 = 86_400;
/// Statuses of refusals: answers without content.
const REFUSALS: [u16; 3] = [401, 403, 429];

/// The ways to divide a day's usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsageDivision {
    /// The key.
    Key,
    /// The data set.
    Dataset,
    /// The status of the answer.
    Status,
}

impl UsageDivision {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Key, Self::Dataset, Self::Status];

    /// The name in questions and answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Dataset => "dataset",
            Self::Status => "status",
        }
    }

    /// The division with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|division| division.as_str() == name)
    }

    fn part(self, line: &UsageCount) -> String {
        match self {
            Self::Key => line.key.map(|key| key.to_string()).unwrap_or_default(),
            Self::Dataset => line.dataset.to_string(),
            Self::Status if line.status != 0 => line.status.to_string(),
            Self::Status => String::new(),
        }
    }

    /// A part in JSON: null if it is unknown.
    fn shown(self, part: &str) -> Value {
        match part.parse::<u16>() {
            Ok(status) if self == Self::Status => json!(status),
            _ if part.is_empty() => Value::Null,
            _ => json!(part),
        }
    }
}

/// The UTC day of a moment, counted from 1970-01-01.
pub fn day_number(moment: Timestamp) -> i64 {
    moment.as_second().div_euclid(DAY_S)
}

#[derive(Default)]
struct Sums {
    requests: i64,
    refused: i64,
    used: i64,
}

/// A person's usage in a span of days.
#[derive(Debug, Clone, PartialEq)]
pub struct UsageReport {
    by: Option<UsageDivision>,
    from_day: i64,
    to_day: i64,
    rows: Vec<Map<String, Value>>,
}

impl UsageReport {
    /// The report of counts from a UTC day on. `used` is the spent part of each day's quota, shown if days are not divided.
    pub fn new(
        by: Option<UsageDivision>,
        (from_day, to_day): (i64, i64),
        counts: &[UsageCount],
        used: &BTreeMap<i64, u64>,
    ) -> Self {
        let mut sums: BTreeMap<(i64, String), Sums> = BTreeMap::new();
        for line in counts {
            let part = by.map(|by| by.part(line)).unwrap_or_default();
            let sum = sums.entry((line.day, part)).or_default();
            let requests = if REFUSALS.contains(&line.status) { &mut sum.refused } else { &mut sum.requests };
            *requests += line.requests;
            sum.used += line.counted;
        }
        if by.is_none() {
            for day in used.keys() {
                sums.entry((*day, String::new())).or_default();
            }
        }
        let row = |((number, part), sum): (&(i64, String), &Sums)| {
            let mut row = Map::new();
            row.insert("day".to_owned(), json!(day(*number)?));
            let used = match by {
                Some(by) => {
                    row.insert(by.as_str().to_owned(), by.shown(part));
                    json!(sum.used)
                }
                None => json!(used.get(number).copied().unwrap_or(0)),
            };
            row.insert("used".to_owned(), used);
            row.insert("requests".to_owned(), json!(sum.requests));
            row.insert("refused".to_owned(), json!(sum.refused));
            Some(row)
        };
        let rows = sums.iter().filter_map(row).collect();
        Self { by, from_day, to_day, rows }
    }

    /// The names of the report's columns.
    pub fn columns(&self) -> Vec<&'static str> {
        match self.by {
            Some(by) => vec!["day", by.as_str(), "used", "requests", "refused"],
            None => vec!["day", "used", "requests", "refused"],
        }
    }

    /// The rows as texts, in the order of [`Self::columns`]; unknown values are empty.
    pub fn cells(&self) -> impl Iterator<Item = Vec<String>> + '_ {
        let columns = self.columns();
        self.rows.iter().map(move |row| {
            let cell = |column: &&str| match row.get(*column) {
                Some(Value::String(cell)) => cell.clone(),
                Some(Value::Null) | None => String::new(),
                Some(cell) => cell.to_string(),
            };
            columns.iter().map(cell).collect()
        })
    }

    /// The report as a JSON document.
    pub fn document(&self) -> Value {
        json!({ "data": self.rows, "from": day(self.from_day), "to": day(self.to_day) })
    }

    /// The report as CSV. No value contains a comma or a quotation mark: all are dates, names, ids and numbers.
    pub fn csv(&self) -> String {
        let mut text = self.columns().join(",") + "\r\n";
        for cells in self.cells() {
            text.push_str(&cells.join(","));
            text.push_str("\r\n");
        }
        text
    }
}

/// The date of a UTC day counted from 1970-01-01.
fn day(number: i64) -> Option<String> {
    let moment = Timestamp::UNIX_EPOCH.checked_add(SignedDuration::from_secs(number.checked_mul(DAY_S)?)).ok()?;
    Some(moment.to_zoned(TimeZone::UTC).date().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_from_the_epoch() {
        assert_eq!(day(0).as_deref(), Some("1970-01-01"));
        assert_eq!(day(20_453).as_deref(), Some("2025-12-31"));
        assert_eq!(day(i64::MAX), None);
    }

    #[test]
    fn a_report_has_each_day_and_part_once() {
        let count = |day, dataset: &str, status, requests| UsageCount {
            day,
            key: None,
            dataset: dataset.into(),
            status,
            requests,
            counted: requests,
        };
        let counts = [count(1, "a", 200, 3), count(1, "b", 429, 2), count(1, "a", 404, 1), count(2, "", 0, 5)];
        let used = BTreeMap::from([(1, 7), (3, 9)]);
        let report = |by| UsageReport::new(by, (1, 3), &counts, &used);
        assert_eq!(
            report(None).csv(),
            "day,used,requests,refused\r\n1970-01-02,7,4,2\r\n1970-01-03,0,5,0\r\n1970-01-04,9,0,0\r\n"
        );
        assert_eq!(
            report(Some(UsageDivision::Dataset)).csv(),
            "day,dataset,used,requests,refused\r\n1970-01-02,a,4,4,0\r\n1970-01-02,b,2,0,2\r\n1970-01-03,,5,5,0\r\n"
        );
        let by_status = report(Some(UsageDivision::Status)).document();
        assert_eq!(by_status["data"][0]["status"], 200);
        assert_eq!(by_status["data"][3]["status"], Value::Null);
        assert_eq!(by_status["to"], "1970-01-04");
    }
}

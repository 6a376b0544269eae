//! The table of docs/OPERATIONS.md: for each operation, how often which call is made.
//!
//! A cell is a list such as `2 Query, K+1 UpdateItem`, or `none`. A count is a sum of products of numbers, of names for sizes
//! (`K`), and of quotients that are rounded up (`⌈W/25⌉`).

use std::{collections::BTreeMap, path::Path};

/// How often each operation of a service is called, by the service's column and the operation.
pub(crate) type Counts = BTreeMap<(String, String), u64>;
/// What the names in counts stand for.
pub(crate) type Sizes = [(&'static str, u64)];

const FILE: &str = "docs/OPERATIONS.md";
/// What the table begins with.
const HEADER: &str = "| operation | DynamoDB calls | SQS calls | SES calls |";
/// The services of the columns after the first, in their order.
const SERVICES: [&str; 3] = ["DynamoDB", "SQS", "SES"];

/// The cells of each operation, one for each service.
pub(crate) struct Table(BTreeMap<String, [String; 3]>);

impl Table {
    pub(crate) fn read() -> Self {
        let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(FILE)).unwrap();
        let mut lines = text.lines().skip_while(|line| !line.starts_with(HEADER)).skip(2);
        let mut rows = BTreeMap::new();
        while let Some(line) = lines.next().filter(|line| line.starts_with('|')) {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            let [_, operation, dynamodb, sqs, ses, ..] = cells.as_slice() else { panic!("a short row: {line}") };
            let cells = [dynamodb, sqs, ses].map(|cell| (*cell).to_owned());
            assert!(rows.insert((*operation).to_owned(), cells).is_none(), "{operation} is in the table twice");
        }
        assert!(!rows.is_empty(), "{FILE} has no table that begins with {HEADER}");
        Self(rows)
    }

    pub(crate) fn operations(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// What the table says of an operation, for these sizes.
    pub(crate) fn counts(&self, operation: &str, sizes: &Sizes) -> Option<Counts> {
        let cells = self.0.get(operation)?;
        let mut counts = Counts::new();
        for (service, cell) in SERVICES.iter().zip(cells).filter(|(_, cell)| *cell != "none") {
            for entry in cell.split(", ") {
                let (count, call) = entry.rsplit_once(' ').unwrap_or_else(|| panic!("{operation}: {entry}"));
                let count = sum(count, sizes);
                let before = counts.insert(((*service).to_owned(), call.to_owned()), count);
                assert_eq!(before, None, "{operation}: {call} is there twice");
            }
        }
        counts.retain(|_, count| *count > 0);
        Some(counts)
    }
}

fn sum(text: &str, sizes: &Sizes) -> u64 {
    text.split('+')
        .map(|product| product.split('×').map(|factor| self::factor(factor.trim(), sizes)).product::<u64>())
        .sum()
}

fn factor(text: &str, sizes: &Sizes) -> u64 {
    if let Some(quotient) = text.strip_prefix('⌈').and_then(|text| text.strip_suffix('⌉')) {
        let (over, under) = quotient.split_once('/').unwrap_or_else(|| panic!("no quotient: {text}"));
        return factor(over, sizes).div_ceil(factor(under, sizes));
    }
    let size = || sizes.iter().find(|(name, _)| *name == text).map(|(_, size)| *size);
    text.parse().ok().or_else(size).unwrap_or_else(|| panic!("what is {text}? known: {sizes:?}"))
}

#[test]
fn a_count_is_what_it_says() {
    let sizes = [("K", 3), ("W", 26)];
    for (text, expected) in [("7", 7), ("K", 3), ("K+1", 4), ("8×K+2", 26), ("⌈W/25⌉", 2), ("1+⌈K/25⌉×K", 4)]
    {
        assert_eq!(sum(text, &sizes), expected, "{text}");
    }
}

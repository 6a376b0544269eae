//! A list of people to invite, as CSV: each row is an invitation, or a report of what is wrong with it.

use std::collections::HashMap;

use csv::{ByteRecord, ReaderBuilder, Trim};
use uuid::Uuid;

use super::{
    email::{EMAIL_BYTES_MAX, Email},
    event::Role,
    text::counted,
    user::{self, Command},
};

/// The most rows of a list.
pub const ROSTER_ROWS_MAX: usize = 10_000;
/// Largest list, bytes: room for the longest address and name in every row.
pub const ROSTER_BYTES_MAX: usize = 8 * 1024 * 1024;
/// The columns. Only the first is required.
pub const ROSTER_COLUMNS: [&str; 4] = ["email", "name", "role", "plan"];

const EMAIL: usize = 0;
const NAME: usize = 1;
const ROLE: usize = 2;
const PLAN: usize = 3;

/// A person to be invited.
#[derive(Debug, Clone, PartialEq)]
pub struct Invitee {
    /// Their address.
    pub email: Email,
    /// Their name.
    pub name: Option<String>,
    /// Their role.
    pub role: Role,
    /// The plan of their keys.
    pub plan: String,
}

/// A row.
#[derive(Debug, Clone, PartialEq)]
pub struct RosterRow {
    /// The line in which the row begins, from 1.
    pub line: u64,
    /// The address as written, cut if it is longer than any address.
    pub email: String,
    /// The person to invite, or what is wrong with the row.
    pub asked: Result<Invitee, String>,
}

/// Why a whole list cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RosterError {
    /// The list is empty.
    #[error("the list is empty; its first line names its columns: email,name,role,plan")]
    Empty,
    /// There are no rows below the first line.
    #[error("the list has a first line, which names its columns, and no rows; write one person a line below it")]
    NoRows,
    /// The list is not UTF-8.
    #[error("line {line} is not UTF-8; save the list as CSV in UTF-8")]
    NotUtf8 {
        /// The line.
        line: u64,
    },
    /// The first line has no column for addresses.
    #[error(
        "the first line names no column email; the columns are: email,name,role,plan, of which email has to be there"
    )]
    NoEmail,
    /// The first line names an unknown column.
    #[error("the first line names a column {0:?}; the columns are: email,name,role,plan")]
    UnknownColumn(String),
    /// The first line names a column twice.
    #[error("the first line names the column {0} twice")]
    Twice(&'static str),
    /// The list has too many rows.
    #[error("the list has more than {ROSTER_ROWS_MAX} rows; send it in parts")]
    TooLong,
}

/// Reads a list. Its first line names its columns; if it contains an address instead, the columns are [`ROSTER_COLUMNS`] in that order.
/// Rows without text are skipped; spaces around a cell do not count. The default role is reader, the default plan `default_plan`. The
/// second row of the same person is wrong.
///
/// # Errors
/// When the header or the encoding is wrong, or the list is too long.
pub fn read(list: &[u8], default_plan: &str) -> Result<Vec<RosterRow>, RosterError> {
    let list = list.strip_prefix("\u{feff}".as_bytes()).unwrap_or(list);
    let mut reader = ReaderBuilder::new();
    reader.has_headers(false).flexible(true).trim(Trim::All).delimiter(delimiter(list));
    let mut records = reader.from_reader(list).into_byte_records();
    // Reading from memory does not fail, and rows may have any length.
    let mut next = || records.next().and_then(Result::ok);
    let first = next().ok_or(RosterError::Empty)?;
    // A pasted list of addresses has no line with column names.
    let has_names = !first.iter().any(|cell| cell.contains(&b'@'));
    let places = if has_names { columns(&first)? } else { [Some(EMAIL), Some(NAME), Some(ROLE), Some(PLAN)] };
    let mut first = Some(first).filter(|_| !has_names);
    let mut rows: Vec<RosterRow> = Vec::new();
    let mut seen: HashMap<Email, u64> = HashMap::new();
    let mut lines = Lines { list, at: 0, line: 1 };
    while let Some(record) = first.take().or_else(&mut next) {
        if record.iter().all(<[u8]>::is_empty) {
            continue;
        }
        if rows.len() == ROSTER_ROWS_MAX {
            return Err(RosterError::TooLong);
        }
        rows.push(row(&record, lines.of(&record), &places, default_plan, &mut seen)?);
    }
    if rows.is_empty() { Err(RosterError::NoRows) } else { Ok(rows) }
}

/// The message that nobody on a list is invited, as in `1 of 2 rows is wrong, and nobody was invited; mend it`.
pub fn refused(wrong: u64, rows: u64) -> String {
    let (are, them) = if wrong == 1 { ("is", "it") } else { ("are", "them") };
    format!("{wrong} of {} {are} wrong, and nobody was invited; mend {them}", counted(rows, "row"))
}

/// The separator of cells, taken from the first line; European spreadsheets save with semicolons.
fn delimiter(list: &[u8]) -> u8 {
    let first = list.split(|byte| *byte == b'\n').next().unwrap_or_default();
    [b',', b';', b'\t'].into_iter().find(|byte| first.contains(byte)).unwrap_or(b',')
}

/// Counts lines up to a record. The reader's own count is one behind if lines end in two characters.
struct Lines<'a> {
    list: &'a [u8],
    at: usize,
    line: u64,
}

impl Lines<'_> {
    fn of(&mut self, record: &ByteRecord) -> u64 {
        let begin = record.position().and_then(|position| usize::try_from(position.byte()).ok()).unwrap_or(0);
        while let Some(byte) = self.list.get(self.at) {
            let is_end = matches!(byte, b'\n' | b'\r');
            if self.at >= begin && !is_end {
                break;
            }
            self.at += 1;
            // If two characters end a line, the second counts.
            let ends_line = *byte == b'\n' || (*byte == b'\r' && self.list.get(self.at) != Some(&b'\n'));
            self.line += u64::from(ends_line);
        }
        self.line
    }
}

/// The place of each of [`ROSTER_COLUMNS`].
fn columns(header: &ByteRecord) -> Result<[Option<usize>; 4], RosterError> {
    let mut places = [None; 4];
    for (place, cell) in header.iter().enumerate() {
        let name = std::str::from_utf8(cell).map_err(|_| RosterError::NotUtf8 { line: 1 })?;
        let known = ROSTER_COLUMNS.iter().zip(&mut places).find(|(known, _)| name.eq_ignore_ascii_case(known));
        let Some((known, found)) = known else {
            return Err(RosterError::UnknownColumn(name.chars().take(80).collect()));
        };
        if found.replace(place).is_some() {
            return Err(RosterError::Twice(known));
        }
    }
    let [email, ..] = places;
    if email.is_none() { Err(RosterError::NoEmail) } else { Ok(places) }
}

fn row(
    record: &ByteRecord,
    line: u64,
    places: &[Option<usize>; 4],
    default_plan: &str,
    seen: &mut HashMap<Email, u64>,
) -> Result<RosterRow, RosterError> {
    let mut cells: [Option<&str>; 4] = [None; 4];
    for (cell, place) in cells.iter_mut().zip(places) {
        let bytes = place.and_then(|place| record.get(place)).unwrap_or_default();
        let text = std::str::from_utf8(bytes).map_err(|_| RosterError::NotUtf8 { line })?;
        *cell = Some(text).filter(|text| !text.is_empty());
    }
    let has_more = record.len() > places.iter().flatten().count();
    // Mostly an unclosed quote: the following rows became part of the cell.
    let goes_on = record.iter().any(|cell| cell.contains(&b'\n') || cell.contains(&b'\r'));
    let asked = if goes_on {
        Err("a cell of the row goes on in the next line: close the quote that begins in it, or take the line break out"
            .to_owned())
    } else if has_more {
        Err("the row has more cells than the first line".to_owned())
    } else {
        invitee(cells, default_plan)
    };
    let asked = asked.and_then(|invitee| match seen.get(&invitee.email) {
        Some(earlier) => Err(format!("line {earlier} has the same address")),
        None => {
            seen.insert(invitee.email.clone(), line);
            Ok(invitee)
        }
    });
    let [email, ..] = cells;
    Ok(RosterRow { line, email: email.unwrap_or_default().chars().take(EMAIL_BYTES_MAX).collect(), asked })
}

/// Splits an address from the name before it, as mail programs write both: `Ben Okafor <ben@example.org>`.
fn without_name(cell: &str) -> (&str, Option<&str>) {
    match cell.strip_suffix('>').and_then(|rest| rest.rsplit_once('<')) {
        Some((name, address)) => {
            (address.trim(), Some(name.trim_matches([' ', '"', '\''])).filter(|name| !name.is_empty()))
        }
        None => (cell, None),
    }
}

fn invitee(cells: [Option<&str>; 4], default_plan: &str) -> Result<Invitee, String> {
    let cell = |column: usize| cells.get(column).copied().flatten();
    let (email, called) = without_name(cell(EMAIL).ok_or("there is no address")?);
    let email = Email::parse(email).map_err(|error| error.to_string())?;
    let role = match cell(ROLE) {
        None => Role::Reader,
        Some(role) => Role::named(&role.to_ascii_lowercase()).ok_or("a role is reader, manager or admin")?,
    };
    let (name, plan) = (cell(NAME).or(called).map(ToOwned::to_owned), cell(PLAN).unwrap_or(default_plan).to_owned());
    let invitee = Invitee { email, name, role, plan };
    // Reports now what the command would refuse later.
    user::decide(None, invitee.command(Uuid::nil())).map_err(|refusal| refusal.to_string())?;
    Ok(invitee)
}

impl Invitee {
    /// The command that invites the person.
    pub fn command(&self, invitation: Uuid) -> Command {
        let Self { email, name, role, plan } = self.clone();
        Command::Invite { email, name, role, plan, invitation }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn told(list: &str) -> Vec<(u64, Result<String, String>)> {
        let rows = read(list.as_bytes(), "default").unwrap();
        rows.into_iter().map(|row| (row.line, row.asked.map(|asked| asked.email.as_str().to_owned()))).collect()
    }

    #[test]
    fn each_row_says_whom_it_invites_or_what_is_wrong_with_it() {
        let list = "\u{feff}Name,EMAIL,plan,role\r\n\"Ana, the first\", Ana@Example.org ,gold,admin\r\n,,,\r\nBob,bob,,\r\n\
                    Eve,ana@example.org,,\r\n,dan@example.org,,king\r\nCem,cem@example.org,,,more\r\n,eve@example.org\r\n,,gold,\r\n";
        let wrong = |reason: &str| Err(reason.to_owned());
        assert_eq!(
            told(list),
            [
                (2, Ok("ana@example.org".to_owned())),
                (4, wrong("not an e-mail address: it has no @")),
                (5, wrong("line 2 has the same address")),
                (6, wrong("a role is reader, manager or admin")),
                (7, wrong("the row has more cells than the first line")),
                (8, Ok("eve@example.org".to_owned())),
                (9, wrong("there is no address")),
            ]
        );
        let first = read(list.as_bytes(), "default").unwrap().remove(0).asked.unwrap();
        assert_eq!(
            (first.name.as_deref(), first.role, first.plan.as_str()),
            (Some("Ana, the first"), Role::Admin, "gold")
        );
    }

    #[test]
    fn a_quote_that_is_not_closed_is_told_and_nobody_after_it_is_passed_over_in_silence() {
        let rows = told("email,name\na@b.org,\"Ana\nc@d.org,Cem\ne@f.org,Eve\n");
        let [(2, Err(reason))] = &rows[..] else { panic!("{rows:?}") };
        assert!(reason.contains("close the quote"), "{reason}");
    }

    #[test]
    fn addresses_alone_are_a_list() {
        let list = "a@b.org,Ana\nc@d.org;x\n\ne@f.org,Eve,Reader,gold\nA@b.org\n";
        let wrong = |reason: &str| Err(reason.to_owned());
        let rows = told(list);
        assert_eq!(rows[0], (1, Ok("a@b.org".to_owned())));
        assert_eq!(rows[2..], [(4, Ok("e@f.org".to_owned())), (5, wrong("line 1 has the same address"))]);
        assert_eq!(told("a@b.org;Ana\n"), [(1, Ok("a@b.org".to_owned()))]);
    }

    #[test]
    fn addresses_are_read_as_mail_programs_write_them() {
        let list = "email,name\nBen Okafor <ben@example.org>\n<cem@example.org>\n\"Ito, Ana\" <ana@example.org>,Ana\nEve <eve>\n";
        let rows = read(list.as_bytes(), "default").unwrap();
        let names: Vec<_> = rows.iter().map(|row| row.asked.as_ref().ok().map(|asked| asked.name.as_deref())).collect();
        assert_eq!(names, [Some(Some("Ben Okafor")), Some(None), Some(Some("Ana")), None]);
        assert_eq!(told(list)[0], (2, Ok("ben@example.org".to_owned())));
    }

    #[test]
    fn other_separators_are_known_by_the_first_line() {
        for list in ["email;name\na@b.org;Ana\n", "name\temail\nAna\ta@b.org", "email\na@b.org"] {
            assert_eq!(told(list), [(2, Ok("a@b.org".to_owned()))], "{list}");
        }
    }

    #[test]
    fn what_is_no_list_is_refused() {
        let refused = |list: &[u8]| read(list, "default").unwrap_err();
        assert_eq!(refused(b""), RosterError::Empty);
        for list in [&b"email"[..], b"email,name\n", b"email,name\n,\n"] {
            assert_eq!(refused(list), RosterError::NoRows);
        }
        assert_eq!(refused(b"name\nAna\n"), RosterError::NoEmail);
        assert_eq!(refused(b"email,phone\n"), RosterError::UnknownColumn("phone".to_owned()));
        assert_eq!(refused(b"email,Email\n"), RosterError::Twice("email"));
        assert_eq!(refused(b"email,name\na@b.org,Ana\nc@d.org,\xff\n"), RosterError::NotUtf8 { line: 3 });
        let many =
            |count: usize| (0..count).fold("email\n".to_owned(), |list, number| format!("{list}{number}@b.org\n"));
        assert_eq!(read(many(ROSTER_ROWS_MAX).as_bytes(), "default").unwrap().len(), ROSTER_ROWS_MAX);
        assert_eq!(refused(many(ROSTER_ROWS_MAX + 1).as_bytes()), RosterError::TooLong);
    }

    #[test]
    fn one_wrong_row_and_several_are_told_apart() {
        for (wrong, rows, words) in [
            (1, 1, "1 of 1 row is wrong, and nobody was invited; mend it"),
            (1, 2, "1 of 2 rows is wrong, and nobody was invited; mend it"),
            (2, 2, "2 of 2 rows are wrong, and nobody was invited; mend them"),
        ] {
            assert_eq!(super::refused(wrong, rows), words);
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_or_refused(list: Vec<u8>, text in "email(,name)?\n(\"?[a-c@.,;\n]{0,9}\"?\n){0,9}") {
            for list in [list, text.into_bytes()] {
                if let Ok(rows) = read(&list, "default") {
                    prop_assert!(rows.is_sorted_by(|a, b| a.line < b.line), "each row has a line of its own");
                    let mut invited: Vec<String> =
                        rows.into_iter().filter_map(|row| Some(row.asked.ok()?.email.as_str().to_owned())).collect();
                    let count = invited.len();
                    invited.sort_unstable();
                    invited.dedup();
                    prop_assert_eq!(invited.len(), count, "nobody is invited twice");
                }
            }
        }
    }
}

//! Codes: small numbers, one for each row of a block, in one or two bytes each.

use super::mask::Mask;

/// The most states in a block: their codes fit into two bytes.
pub const BLOCK_ROWS: usize = 1 << 16;

/// Where the codes that may be marked are fewer than one in so many rows, most rows are left out at once.
const OUTSIDE_MOST: usize = 64;

/// The rows from which on a table of all codes pays.
const TABLE_ROWS: usize = 1 << 12;

/// A code for each row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Codes {
    /// None exceeds 255.
    Narrow(Vec<u8>),
    /// Some do.
    Wide(Vec<u16>),
}

/// A code in its width.
trait CodeWidth: Copy {
    fn widened(self) -> u16;
}

impl CodeWidth for u8 {
    fn widened(self) -> u16 {
        u16::from(self)
    }
}

impl CodeWidth for u16 {
    fn widened(self) -> u16 {
        self
    }
}

/// Runs an expression over the codes in their own width.
macro_rules! over {
    ($codes:expr, $list:ident => $body:expr) => {
        match $codes {
            Codes::Narrow($list) => $body,
            Codes::Wide($list) => $body,
        }
    };
}

impl Codes {
    /// The codes in the least width that holds the greatest of them.
    pub(super) fn new(codes: Vec<u16>, greatest: u16) -> Self {
        match u8::try_from(greatest) {
            // The conversion keeps every code: none exceeds the greatest.
            Ok(_) => Self::Narrow(codes.into_iter().map(|code| code.to_le_bytes()[0]).collect()),
            Err(_) => Self::Wide(codes),
        }
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        over!(self, list => list.len())
    }

    /// Tells whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn get(&self, row: usize) -> Option<u16> {
        over!(self, list => list.get(row).map(|code| code.widened()))
    }

    /// Memory, bytes.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Narrow(list) => list.len(),
            Self::Wide(list) => list.len() * 2,
        }
    }

    /// The codes of some rows.
    pub(super) fn of_rows(&self, rows: &[u16]) -> Self {
        fn of<T: Copy + Default>(list: &[T], rows: &[u16]) -> Vec<T> {
            rows.iter().map(|row| list.get(usize::from(*row)).copied().unwrap_or_default()).collect()
        }
        match self {
            Self::Narrow(list) => Self::Narrow(of(list, rows)),
            Self::Wide(list) => Self::Wide(of(list, rows)),
        }
    }

    /// The rows whose code lies between two, both included.
    pub(super) fn between(&self, least: u16, greatest: u16) -> Mask {
        if least > greatest {
            return Mask::Nothing;
        }
        match self {
            Self::Narrow(list) => {
                let (Ok(least), greatest) = (u8::try_from(least), u8::try_from(greatest).unwrap_or(u8::MAX)) else {
                    return Mask::Nothing;
                };
                let span = greatest.wrapping_sub(least);
                Mask::Rows(list.iter().map(|code| u8::from(code.wrapping_sub(least) <= span)).collect())
            }
            Self::Wide(list) => {
                let span = greatest.wrapping_sub(least);
                Mask::Rows(list.iter().map(|code| u8::from(code.wrapping_sub(least) <= span)).collect())
            }
        }
    }

    /// The rows whose code is marked with 1 in a table, which may have no mark.
    pub(super) fn marked_of(&self, table: &[u8]) -> Mask {
        if table.contains(&1) { self.marked(0, table) } else { Mask::Nothing }
    }

    /// The rows whose code is marked with 1 in a list of marks for the codes from one on.
    pub(super) fn marked_from(&self, first: usize, marks: &[u8]) -> Mask {
        let (Some(least), Some(greatest)) =
            (marks.iter().position(|mark| *mark == 1), marks.iter().rposition(|mark| *mark == 1))
        else {
            return Mask::Nothing;
        };
        let (Ok(from), Ok(to)) = (u16::try_from(first + least), u16::try_from(first + greatest)) else {
            return Mask::Nothing;
        };
        let inner = marks.get(least..=greatest).unwrap_or_default();
        if inner.len() * OUTSIDE_MOST >= self.len() && inner.contains(&0) {
            return self.marked(from, inner);
        }
        let between = self.between(from, to);
        if !inner.contains(&0) {
            return between;
        }
        let Mask::Rows(mut rows) = between else { return between };
        // Most rows are outside: eight of them at a time are left out.
        for (part, block) in rows.chunks_mut(8).enumerate() {
            if block.iter().all(|mark| *mark == 0) {
                continue;
            }
            for (nth, row) in block.iter_mut().enumerate().filter(|(_, row)| **row == 1) {
                let code = self.get(part * 8 + nth).unwrap_or_default();
                *row = inner.get(usize::from(code.wrapping_sub(from))).copied().unwrap_or(0);
            }
        }
        Mask::Rows(rows)
    }

    /// The rows whose code is marked with 1 in a table of the codes from one on.
    fn marked(&self, first: u16, table: &[u8]) -> Mask {
        fn fill(all: &mut [u8], first: u16, table: &[u8]) {
            all.iter_mut().skip(usize::from(first)).zip(table).for_each(|(to, from)| *to = *from);
        }
        // A table of fixed size needs no check for each row.
        match self {
            Self::Narrow(list) => {
                let mut all = [0_u8; 1 << 8];
                fill(&mut all, first, table);
                #[expect(clippy::indexing_slicing, reason = "a byte is always within 256 places")]
                let rows = list.iter().map(|code| all[usize::from(*code)]).collect();
                Mask::Rows(rows)
            }
            // For few rows such a table would take longer.
            Self::Wide(list) if list.len() < TABLE_ROWS => {
                let place = |code: &u16| code.checked_sub(first).map(usize::from);
                let marked = |code| place(code).and_then(|place| table.get(place)).copied().unwrap_or(0);
                Mask::Rows(list.iter().map(marked).collect())
            }
            Self::Wide(list) => {
                let mut all = [0_u8; 1 << 16];
                fill(&mut all, first, table);
                #[expect(clippy::indexing_slicing, reason = "two bytes are always within 65,536 places")]
                let rows = list.iter().map(|code| all[usize::from(*code)]).collect();
                Mask::Rows(rows)
            }
        }
    }

    /// The rows whose code passes a test.
    pub(super) fn passing(&self, test: impl Fn(u16) -> bool) -> Mask {
        Mask::Rows((0..self.len()).map(|row| u8::from(self.get(row).is_some_and(&test))).collect())
    }

    /// Joins the bits of each row's code with those that the row has.
    pub(super) fn join_bits(&self, of_code: &[u64], rows: &mut [u64]) {
        over!(self, list => {
            for (bits, code) in rows.iter_mut().zip(list) {
                *bits |= of_code.get(usize::from(*code)).copied().unwrap_or(0);
            }
        });
    }

    /// Counts the codes of the rows in a mask, by code.
    pub(super) fn tally(&self, mask: &Mask, counts: &mut [u32]) {
        fn all<T: Copy + Into<usize>>(list: &[T], counts: &mut [u32]) {
            for code in list {
                if let Some(count) = counts.get_mut((*code).into()) {
                    *count += 1;
                }
            }
        }
        fn each<T: Copy + Into<usize>>(list: &[T], marks: &[u8], counts: &mut [u32]) {
            for (code, mark) in list.iter().zip(marks) {
                if let Some(count) = counts.get_mut((*code).into()) {
                    *count += u32::from(*mark);
                }
            }
        }
        match mask {
            Mask::Nothing => {}
            Mask::Everything => over!(self, list => all(list, counts)),
            // To add every row's mark takes less time than to look for many.
            Mask::Rows(marks) if mask.count(self.len()) > self.len() as u64 / 8 => {
                over!(self, list => each(list, marks, counts));
            }
            Mask::Rows(_) => mask.each(self.len(), |row| {
                if let Some(count) = self.get(row).and_then(|code| counts.get_mut(usize::from(code))) {
                    *count += 1;
                }
            }),
        }
    }

    /// Appends the code of each row to its number as another digit, of a system of so many codes.
    pub(super) fn append_digit(&self, codes: usize, numbers: &mut [u32]) {
        fn all<T: Copy + Into<u32>>(list: &[T], codes: u32, numbers: &mut [u32]) {
            for (number, code) in numbers.iter_mut().zip(list) {
                *number = number.wrapping_mul(codes).wrapping_add((*code).into());
            }
        }
        let codes = u32::try_from(codes).unwrap_or(u32::MAX);
        over!(self, list => all(list, codes, numbers));
    }

    /// The same with the digit of each code, of which there are so many.
    pub(super) fn append_digits(&self, digits: &[u32], len: usize, numbers: &mut [u32]) {
        fn all<T: Copy + Into<usize>>(list: &[T], digits: &[u32], len: u32, numbers: &mut [u32]) {
            for (number, code) in numbers.iter_mut().zip(list) {
                let digit = digits.get((*code).into()).copied().unwrap_or(0);
                *number = number.wrapping_mul(len).wrapping_add(digit);
            }
        }
        let len = u32::try_from(len).unwrap_or(u32::MAX);
        over!(self, list => all(list, digits, len, numbers));
    }

    /// Adds each code to the sum of its row's cell.
    pub(super) fn add_up<S>(&self, cells: &[u32], sums: &mut [S], mut add: impl FnMut(u16, &mut S)) {
        over!(self, list => {
            for (code, cell) in list.iter().zip(cells) {
                if let Some(sum) = sums.get_mut(*cell as usize) {
                    add(code.widened(), sum);
                }
            }
        });
    }

    /// Hands each code to `take` with the cell of its row.
    pub(super) fn each_with(&self, cells: &[u32], mut take: impl FnMut(u16, u32)) {
        over!(self, list => list.iter().zip(cells).for_each(|(code, cell)| take(code.widened(), *cell)));
    }

    /// Appends the codes for a file: the width in bytes, then the codes, the least significant byte first.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Narrow(list) => {
                out.push(1);
                out.extend_from_slice(list);
            }
            Self::Wide(list) => {
                out.push(2);
                out.extend(list.iter().flat_map(|code| code.to_le_bytes()));
            }
        }
    }

    /// Reads so many codes back, and removes them from the bytes.
    pub fn read(bytes: &mut &[u8], rows: usize) -> Option<Self> {
        let (width, rest) = bytes.split_first()?;
        let (mine, rest) = rest.split_at_checked(rows.checked_mul(usize::from(*width))?)?;
        *bytes = rest;
        match width {
            1 => Some(Self::Narrow(mine.to_vec())),
            2 => Some(Self::Wide(mine.as_chunks().0.iter().map(|code| u16::from_le_bytes(*code)).collect())),
            _ => None,
        }
    }
}

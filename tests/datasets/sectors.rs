//! Compound files, as which an .xls is kept, whose sectors mean harm. Each is refused before much was read of it.

use permitd::dataset::reader::ReadError;

use crate::{
    excel_97::{compound_file, directory_entry, words},
    support::{builtin, import},
};

const NONE: u32 = 0xffff_ffff;
const LAST: u32 = 0xffff_fffe;
const IS_TABLE: u32 = 0xffff_fffd;
const SECTOR_BYTES: usize = 4_096;

fn refusal(file: &[u8]) -> String {
    match import(file, "some.xls", &builtin("permits")) {
        Err(error @ ReadError::Malformed { .. }) => error.to_string(),
        Err(error) => panic!("{error}"),
        Ok(imported) => panic!("it gave {} rows", imported.rows.len()),
    }
}

/// The head of a file of large sectors: how many its table takes, where its directory and the list of its table go on, and
/// where that begins.
fn head(tables: u32, directory: u32, [list, lists]: [u32; 2], listed: &[u32]) -> Vec<u8> {
    let mut file = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1".to_vec();
    file.resize(24, 0);
    file.extend([0x3e, 0, 4, 0, 0xfe, 0xff, 12, 0, 6, 0, 0, 0, 0, 0, 0, 0]);
    file.extend(words(&[0, tables, directory, 0, 4_096, LAST, 0, list, lists]));
    file.extend(words(listed));
    file.resize(512, 0xff);
    file.resize(SECTOR_BYTES, 0);
    file
}

#[test]
fn a_ring() {
    // The only sector of the directory, and the last one of the stream, are followed by themselves.
    for (place, sector) in [(516, 1), (548, 9), (548, 5)] {
        let mut file = compound_file("Workbook", vec![0; 4_096]);
        file[place..place + 4].copy_from_slice(&u32::to_le_bytes(sector));
        let error = refusal(&file);
        assert!(error.contains("sector") && error.len() < 200, "{error}");
    }
}

#[test]
fn a_table_that_is_listed_over_and_over() {
    // 1 MiB would be a table of 1 GiB.
    let lists = 256;
    let mut file = head(1, 0, [2, lists], &[1; 109]);
    file.resize(3 * SECTOR_BYTES, 0xff);
    for list in 0..lists {
        file.extend(words(&[1; SECTOR_BYTES / 4 - 1]));
        file.extend(words(&[if list + 1 == lists { LAST } else { list + 3 }]));
    }
    let error = refusal(&file);
    assert!(error.contains("its tables and its directory are too large"), "{error}");
}

#[test]
fn a_directory_of_many_names() {
    // Half a million whose hashes are the same took 88 s.
    let names = 70_000;
    let sectors = u32::try_from((names + 1) / (SECTOR_BYTES / 128) + 1).unwrap();
    let tables = sectors.div_ceil(1_024) + 1;
    let mut file = head(tables, tables, [LAST, 0], &(0..tables).collect::<Vec<u32>>());
    let mut table = vec![IS_TABLE; usize::try_from(tables).unwrap()];
    table.extend((tables + 1..tables + sectors).chain([LAST]));
    table.resize(table.len().next_multiple_of(1_024), NONE);
    table.resize(usize::try_from(tables).unwrap() * 1_024, NONE);
    file.extend(words(&table));
    let directory = file.len();
    file.extend(directory_entry("Root Entry", 5, [NONE, 1], LAST, 0));
    for name in 1..=names {
        let next = if name == names { NONE } else { u32::try_from(name).unwrap() + 1 };
        file.extend(directory_entry(&format!("{name:08}"), 2, [next, NONE], LAST, 0));
    }
    file.resize(directory + usize::try_from(sectors).unwrap() * SECTOR_BYTES, 0);
    let error = refusal(&file);
    assert!(error.contains("its tables and its directory are too large"), "{error}");
    // With fewer names it is read to its end.
    let place = directory + 128 * 5_000;
    file[place + 72..place + 76].copy_from_slice(&NONE.to_le_bytes());
    let after = usize::try_from(tables).unwrap() + 5_000 / 32;
    file[SECTOR_BYTES + 4 * after..][..4].copy_from_slice(&LAST.to_le_bytes());
    assert!(refusal(&file).contains("no workbook in it"));
}

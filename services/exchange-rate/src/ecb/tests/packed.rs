use std::io::{Cursor, Write};

use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::csv::SMALL;
use super::{check, parse, read};
use crate::ecb::{BUILT_IN, UNPACKED_LIMIT};

pub fn zipped(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in members {
        writer.start_file(*name, SimpleFileOptions::default()).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

#[test]
fn every_format_can_be_in_a_zip_under_any_file_name() {
    for file in [SMALL.as_bytes(), super::csv::DAILY, super::xml::DAILY] {
        assert_eq!(read(&zipped(&[("x.bin", file)])), read(file));
        assert!(read(file).is_ok());
    }
}

#[test]
fn a_zip_without_exactly_one_file_of_the_ecb_is_refused() {
    check(b"PK but no ZIP\n", "the ZIP is damaged or cut off: invalid Zip archive: Could not find EOCD");
    check(&zipped(&[]), "the ZIP has 0 files where one is expected");
    check(&zipped(&[("a.csv", b""), ("b.csv", b"")]), "the ZIP has 2 files where one is expected");
    check(&zipped(&[("a.csv", b"")]), "the file is empty");
    check(&zipped(&[("a.zip", b"PK\n")]), "line 1, column 1: `PK` where `Date` is expected");
}

#[test]
fn a_zip_bomb_is_unpacked_only_up_to_the_limit() {
    let bomb = |size: u64| zipped(&[("a.csv", &vec![b'\n'; usize::try_from(size).unwrap()])]);
    check(&bomb(UNPACKED_LIMIT + 1), "the ZIP unpacks to more than 33554432 bytes");
    check(&bomb(UNPACKED_LIMIT), "line 1, column 1: `` where `Date` is expected");
}

#[test]
fn a_zip_cut_off_anywhere_is_refused() {
    let zip = zipped(&[("eurofxref-hist.csv", SMALL.as_bytes())]);
    for end in 0..zip.len() {
        assert!(parse(&zip[..end]).is_err(), "cut after {end} bytes");
    }
    for end in (0..BUILT_IN.len()).step_by(9_973) {
        assert!(parse(&BUILT_IN[..end]).is_err(), "cut after {end} bytes");
    }
}

#[test]
fn a_flipped_bit_never_changes_a_number() {
    let mut zip = zipped(&[("eurofxref-hist.csv", SMALL.as_bytes())]);
    let whole = parse(&zip).unwrap();
    for place in 0..zip.len() {
        for bit in 0..8 {
            zip[place] ^= 1 << bit;
            // Some bits do not affect the content: those of the file's time and name.
            assert!(parse(&zip).is_ok_and(|read| read == whole) || parse(&zip).is_err(), "bit {bit} of byte {place}");
            zip[place] ^= 1 << bit;
        }
    }
}

//! The same few invoices in every form and packing.

use std::fs;
use std::io::{Cursor, Write};

use csv::StringRecord;
use flate2::Compression;
use flate2::write::GzEncoder;
use rust_xlsxwriter::{ExcelDateTime, Format, Workbook};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::{FileError, Progress, Selection, SourceFile, Survey};
use crate::encoding::Encoding;
use crate::form::Form;
use crate::packing::Packing;
use crate::row::Row;

const CLEAN: &str = "\
line,invoice,kind,stock_code,description,quantity,invoiced_at,unit_price_gbp,customer_id,country
1,536365,sale,85123A,WHITE HANGING HEART,6,2010-12-01T08:26:00,2.55,17850,United Kingdom
2,536365,sale,71053,\"A \"\"METAL\"\" LANTERN, £1\",6,2010-12-01T08:26:00,3.39,17850,United Kingdom
3,C536379,cancel,D,Discount,-1,2010-12-01T09:41:00,27.50,14527,United Kingdom
4,537434,sale,m,,1,2011-06-06T16:57:00,0.001,,EIRE
5,A563185,adjust,B,Adjust bad debt,1,2011-08-12T14:50:00,-11062.06,,United Kingdom
6,581587,sale,22613,PACK OF 20 SPACEBOY NAPKINS,12,2011-12-09T12:50:00,0.85,12680,France
";

const ORIGINAL: &str = "\
InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country
536365,85123A,WHITE HANGING HEART ,6,12/1/2010 8:26,2.55,17850,United Kingdom
536365,71053,\"A \"\"METAL\"\" LANTERN, £1\",6,12/1/2010 8:26,3.39,17850,United Kingdom
C536379,D,Discount,-1,12/1/2010 9:41,27.5,14527,United Kingdom
537434,m,,1,6/6/2011 16:57,0.001,,EIRE
A563185,B,Adjust bad debt,1,8/12/2011 14:50,-11062.06,,United Kingdom
581587,22613,PACK OF 20 SPACEBOY NAPKINS,12,12/9/2011 12:50,0.85,12680,France
";

/// The rows of both, without the description, which is not read.
const ROWS: [&str; 6] = [
    "2 1 Sale 536365 85123A 6 2010-12-01T08:26:00 2550000 `17850` United Kingdom",
    "3 2 Sale 536365 71053 6 2010-12-01T08:26:00 3390000 `17850` United Kingdom",
    "4 3 Cancellation C536379 D -1 2010-12-01T09:41:00 27500000 `14527` United Kingdom",
    "5 4 Sale 537434 m 1 2011-06-06T16:57:00 1000 `` EIRE",
    "6 5 Adjustment A563185 B 1 2011-08-12T14:50:00 -11062060000 `` United Kingdom",
    "7 6 Sale 581587 22613 12 2011-12-09T12:50:00 850000 `12680` France",
];

#[derive(Debug)]
struct Found {
    rows: Vec<String>,
    shape: (Form, Packing, Encoding),
}

/// Reads the content from a file whose name does not show the format.
fn read(content: &[u8]) -> Result<Found, FileError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("download");
    fs::write(&path, content).unwrap();
    let mut source = SourceFile::open(&path, Progress::hidden())?;
    let packing = source.packing();
    let mut lines = source.lines()?;
    let (mut rows, mut record) = (Vec::new(), StringRecord::new());
    while let Some(place) = lines.next(&mut record)? {
        let row = Row::read(place, &record)?;
        let (at, price, customer) = (row.invoiced_at, row.unit_price_millionths, row.customer_id);
        rows.push(format!(
            "{} {} {:?} {} {} {} {at:?} {price} `{customer}` {}",
            row.line, row.number, row.kind, row.invoice, row.stock_code, row.quantity, row.country
        ));
    }
    let encoding = lines.encoding();
    Ok(Found { rows, shape: (lines.form(), packing, encoding) })
}

fn check(content: &[u8], form: Form, packing: Packing, encoding: Encoding) {
    let found = read(content).unwrap();
    assert_eq!(found.rows, ROWS);
    assert_eq!(found.shape, (form, packing, encoding));
}

fn check_refused(content: &[u8], expected: &str) {
    assert_eq!(read(content).unwrap_err().to_string(), expected);
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn zstandard(text: &[u8]) -> Vec<u8> {
    zstd::encode_all(text, 0).unwrap()
}

/// The original as Excel stores it: numbers where there are only digits, and times as days since 1900.
fn xlsx(text: &str) -> Vec<u8> {
    let mut workbook = Workbook::new();
    let time_format = Format::new().set_num_format("m/d/yy h:mm");
    let sheet = workbook.add_worksheet().set_name("Online Retail").unwrap();
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
    for (row, record) in (0..).zip(reader.records()) {
        for (column, value) in (0..).zip(&record.unwrap()) {
            let number = value.parse::<f64>();
            match (row, column, number) {
                (_, _, _) if value.is_empty() => continue,
                (1.., 4, _) => {
                    let time = chrono::NaiveDateTime::parse_from_str(value, "%m/%d/%Y %H:%M").unwrap();
                    let time = ExcelDateTime::parse_from_str(&time.format("%FT%T").to_string()).unwrap();
                    sheet.write_datetime_with_format(row, column, &time, &time_format).unwrap()
                }
                (1.., 0 | 1 | 3 | 5 | 6, Ok(number)) => sheet.write_number(row, column, number).unwrap(),
                (_, _, _) => sheet.write_string(row, column, value).unwrap(),
            };
        }
    }
    workbook.save_to_buffer().unwrap()
}

/// A workbook of these sheets, each given as the XML of its rows.
fn xlsx_of(sheets: &[&str]) -> Vec<u8> {
    let relations = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
    let package = "http://schemas.openxmlformats.org/package/2006/relationships";
    let main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let mut add = |name: String, content: String| {
        zip.start_file(name, SimpleFileOptions::default()).unwrap();
        zip.write_all(content.as_bytes()).unwrap();
    };
    let numbers = || 1..=sheets.len();
    let names: String = numbers().map(|n| format!(r#"<sheet name="S{n}" sheetId="{n}" r:id="r{n}"/>"#)).collect();
    let targets = numbers()
        .map(|n| format!(r#"<Relationship Id="r{n}" Type="{relations}/worksheet" Target="worksheets/sheet{n}.xml"/>"#));
    add(
        "_rels/.rels".to_owned(),
        format!(
            r#"<Relationships xmlns="{package}"><Relationship Id="r" Type="{relations}/officeDocument" Target="xl/workbook.xml"/></Relationships>"#
        ),
    );
    add(
        "xl/workbook.xml".to_owned(),
        format!(r#"<workbook xmlns="{main}" xmlns:r="{relations}"><sheets>{names}</sheets></workbook>"#),
    );
    add(
        "xl/_rels/workbook.xml.rels".to_owned(),
        format!(r#"<Relationships xmlns="{package}">{}</Relationships>"#, targets.collect::<String>()),
    );
    for (number, rows) in (1..).zip(sheets) {
        let sheet = format!(r#"<worksheet xmlns="{main}"><sheetData>{rows}</sheetData></worksheet>"#);
        add(format!("xl/worksheets/sheet{number}.xml"), sheet);
    }
    zip.finish().unwrap().into_inner()
}

/// Cells of one row, each with its column, its type and its value.
fn row(number: u32, cells: &[(&str, &str, &str)]) -> String {
    let cells = cells.iter().map(|(column, of_type, value)| match *of_type {
        "inlineStr" => format!(r#"<c r="{column}{number}" t="inlineStr"><is><t>{value}</t></is></c>"#),
        of_type => format!(r#"<c r="{column}{number}" t="{of_type}"><v>{value}</v></c>"#),
    });
    format!(r#"<row r="{number}">{}</row>"#, cells.collect::<String>())
}

fn header_row() -> String {
    let names = ["A", "B", "C", "D", "E", "F", "G", "H"].into_iter().zip(Form::Original.columns().names);
    row(1, &names.map(|(column, name)| (column, "inlineStr", *name)).collect::<Vec<_>>())
}

const CELLS: [(&str, &str, &str); 8] = [
    ("A", "n", "536365"),
    ("B", "inlineStr", "85123A"),
    ("C", "inlineStr", "HEART"),
    ("D", "n", "6"),
    ("E", "d", "2010-12-01T08:26:00"),
    ("F", "n", "2.5499999999999998"),
    ("G", "n", "17850.0"),
    ("H", "inlineStr", "United Kingdom"),
];

#[test]
fn the_same_invoices_are_read_from_every_form_and_packing() {
    for (form, text) in [(Form::Clean, CLEAN), (Form::Original, ORIGINAL)] {
        let text = text.as_bytes();
        check(text, form, Packing::Plain, Encoding::Utf8);
        check(&gzip(text), form, Packing::Gzip, Encoding::Utf8);
        check(&zstandard(text), form, Packing::Zstandard, Encoding::Utf8);
    }
    check(&xlsx(ORIGINAL), Form::Original, Packing::Workbook, Encoding::Utf8);
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_make_no_difference() {
    for (form, text) in [(Form::Clean, CLEAN), (Form::Original, ORIGINAL)] {
        let text = format!("\u{feff}{}", text.replace('\n', "\r\n"));
        check(text.as_bytes(), form, Packing::Plain, Encoding::Utf8);
        check(&gzip(text.as_bytes()), form, Packing::Gzip, Encoding::Utf8);
        check(&zstandard(text.as_bytes()), form, Packing::Zstandard, Encoding::Utf8);
    }
}

#[test]
fn concatenated_packed_parts_are_one_file() {
    let (first, second) = ORIGINAL.as_bytes().split_at(200);
    check(&[gzip(first), gzip(second)].concat(), Form::Original, Packing::Gzip, Encoding::Utf8);
    check(&[zstandard(first), zstandard(second)].concat(), Form::Original, Packing::Zstandard, Encoding::Utf8);
}

#[test]
fn times_and_customers_in_copies_of_the_original_are_read_too() {
    let copy = ORIGINAL.replace("6/6/2011 16:57", "2011-06-06 16:57:00").replace("12680", "12680.0");
    check(copy.as_bytes(), Form::Original, Packing::Plain, Encoding::Utf8);
    let refused = |from: &str, to: &str, expected: &str| {
        check_refused(ORIGINAL.replacen(from, to, 1).as_bytes(), expected);
    };
    let no_time = "is not a time such as 12/1/2010 8:26 (the month first)";
    refused("6/6/2011 16:57", "6/6/11 16:57", &format!("line 5, InvoiceDate: `6/6/11 16:57` {no_time}"));
    refused("6/6/2011 16:57", "16/6/2011 16:57", &format!("line 5, InvoiceDate: `16/6/2011 16:57` {no_time}"));
    refused("537434", "B537434", "line 5, InvoiceNo: `B537434` begins with neither a digit nor C nor A");
    refused("0.001", "1e-3", "line 5, UnitPrice: `1e-3` is not a price with at most 6 decimals");
    refused(",EIRE", "", "line 5 has 7 columns where 8 are expected");
}

#[test]
fn windows_1252_is_detected_by_the_first_line_that_is_not_ascii() {
    let single = |text: &str| text.chars().map(|char| u8::try_from(u32::from(char)).unwrap()).collect::<Vec<_>>();
    check(&single(ORIGINAL), Form::Original, Packing::Plain, Encoding::Windows1252);
    check(&gzip(&single(ORIGINAL)), Form::Original, Packing::Gzip, Encoding::Windows1252);
    let line = |description: &str| format!("1,a,{description},1,6/6/2011 16:57,1,7,EIRE\n");
    let both = [single(ORIGINAL), line("£").into_bytes()].concat();
    check_refused(&both, "line 8 is not Windows-1252 (Latin-1) like the lines before it, but UTF-8; save all as UTF-8");
    let both = [ORIGINAL.as_bytes().to_vec(), single(&line("£"))].concat();
    check_refused(&both, "line 8 is not UTF-8 like the rest of the file");
    check_refused(&single(CLEAN), "line 3 is not UTF-8 like the rest of the file");
    let neither = single(&ORIGINAL.replace('£', "\u{81}"));
    check_refused(&neither, "line 3 is not UTF-8 or Windows-1252 (Latin-1); save all as UTF-8");
}

#[test]
fn a_packed_file_cut_off_anywhere_is_refused() {
    for whole in [
        gzip(CLEAN.as_bytes()),
        zstandard(CLEAN.as_bytes()),
        gzip(ORIGINAL.as_bytes()),
        zstandard(ORIGINAL.as_bytes()),
        xlsx(ORIGINAL),
    ] {
        for end in (0..whole.len()).step_by(11).chain([whole.len() - 1]) {
            assert!(read(&whole[..end]).is_err(), "cut after {end} of {} bytes", whole.len());
        }
    }
    let original: String = (0..2_000).map(|_| ORIGINAL.split_inclusive('\n').nth(1).unwrap()).collect();
    let long = ORIGINAL.to_owned() + &original;
    let cut = gzip(long.as_bytes());
    let error = read(&cut[..cut.len() - 4]).unwrap_err();
    assert_eq!(error.to_string(), "it cannot be read, or is damaged or cut off, after line 2007");
    let cut = xlsx(ORIGINAL);
    let workbook = "it is a ZIP archive, but cannot be read as a workbook (.xlsx): damaged, cut off, or something else";
    check_refused(&cut[..cut.len() / 2], workbook);
}

#[test]
fn a_damaged_file_is_refused_or_has_the_same_rows() {
    for whole in [gzip(ORIGINAL.as_bytes()), xlsx(ORIGINAL)] {
        for at in (0..whole.len()).step_by(7) {
            let mut damaged = whole.clone();
            damaged[at] ^= 1 << (at % 8);
            if let Ok(found) = read(&damaged) {
                assert_eq!(found.rows, ROWS, "damaged at {at}");
            }
        }
    }
}

#[test]
fn cells_are_read_by_their_type() {
    let check = |change: (&str, &str, &str), expected: Result<&str, &str>| {
        let cells = CELLS.map(|cell| if cell.0 == change.0 { change } else { cell });
        let found = read(&xlsx_of(&[&(header_row() + &row(2, &cells))]));
        let found = found.map(|found| found.rows.join("\n")).map_err(|error| error.to_string());
        assert_eq!(found.as_deref().map_err(String::as_str), expected);
    };
    let same = "2 1 Sale 536365 85123A 6 2010-12-01T08:26:00 2550000 `17850` United Kingdom";
    check(CELLS[0], Ok(same));
    check(("A", "inlineStr", "536365"), Ok(same));
    check(("B", "n", "85123"), Ok(&same.replace("85123A", "85123")));
    check(("B", "n", "2.2E4"), Ok(&same.replace("85123A", "22000")));
    check(("C", "e", "#N/A"), Ok(same));
    check(("E", "str", "12/1/2010 8:26"), Ok(same));
    check(("F", "n", "1E-3"), Ok(&same.replace("2550000", "1000")));
    check(("G", "n", ""), Ok(&same.replace("17850", "")));
    check(("B", "e", "#N/A"), Err("line 2, StockCode: `#N/A` is an error of the sheet where a value is expected"));
    check(("D", "n", "6.5"), Err("line 2, Quantity: `6.5` is not a whole number"));
    check(("D", "b", "1"), Err("line 2, Quantity: `TRUE` is not a whole number"));
    let no_time = "is not a time such as 12/1/2010 8:26 (the month first)";
    check(("E", "n", "40513.5"), Err(&format!("line 2, InvoiceDate: `40513.5` {no_time}")));
    check(("F", "n", "1E-9"), Err("line 2, UnitPrice: `0.000000001` is not a price with at most 6 decimals"));
}

#[test]
fn empty_rows_are_skipped_and_rows_out_of_order_are_refused() {
    let sheet = |rows: &[String]| read(&xlsx_of(&[&rows.concat()])).map(|found| found.rows.join("\n"));
    let refused = |rows: &[String]| sheet(rows).unwrap_err().to_string();
    let rows = [header_row(), row(2, &[("A", "n", "")]), row(5, &CELLS)];
    assert_eq!(sheet(&rows).unwrap(), "5 1 Sale 536365 85123A 6 2010-12-01T08:26:00 2550000 `17850` United Kingdom");
    let disorder = "line 2: the cells of the sheet are not in order";
    assert_eq!(refused(&[header_row(), row(3, &CELLS), row(2, &CELLS)]), disorder);
    assert_eq!(refused(&[header_row(), row(2, &[CELLS[1], CELLS[0]])]), disorder);
    assert_eq!(refused(&[header_row(), row(2, &[("K", "n", "1")])]), "line 2 has 11 columns where 8 are expected");
}

#[test]
fn other_files_are_refused_with_what_they_are() {
    let expected = "expected a CSV whose first line is `line,invoice,kind,…` (the clean form) or \
        `InvoiceNo,StockCode,…` (the original form), plain or packed with gzip or Zstandard, or the original as .xlsx";
    let check = |content: &[u8], found: &str| check_refused(content, &format!("it is {found}; {expected}"));
    check(b"a;b\n1;2\n", "a file whose first line is `a;b`");
    check(&gzip(b"{\"a\": 1}\n"), "a file whose first line is `{\\\"a\\\": 1}`");
    check(b"\xFF\xFEI\0n\0", "UTF-16 text (save it as CSV in UTF-8)");
    check(
        b"\xD0\xCF\x11\xE0\xA1\xB1",
        "an old workbook, or one with a password (save it as .xlsx, without a password)",
    );
    check(&xlsx("Invoice,Price\n1,2\n"), "a file whose first line is `Invoice,Price`");
    for empty in [Vec::new(), gzip(b""), zstandard(b""), xlsx("")] {
        check_refused(&empty, "it is empty");
    }
    let wrong = ORIGINAL.replacen("UnitPrice", "Price", 1);
    for content in [wrong.clone().into_bytes(), gzip(wrong.as_bytes()), xlsx(&wrong)] {
        check_refused(&content, "line 1, column 6: `Price` where `UnitPrice` is expected");
    }
    let more = xlsx("InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country,More\n");
    check_refused(&more, "line 1 has 9 columns where 8 are expected");
    check_refused(&xlsx_of(&["", ""]), "the workbook has 2 sheets where one is expected: S1, S2");
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file("Online Retail.xlsx", SimpleFileOptions::default()).unwrap();
    zip.write_all(&xlsx(ORIGINAL)).unwrap();
    check_refused(
        &zip.finish().unwrap().into_inner(),
        "it is a ZIP archive, but cannot be read as a workbook (.xlsx): damaged, cut off, or something else",
    );
}

#[test]
fn both_forms_have_the_same_survey() {
    let survey = |text: &str| {
        let survey = Survey::of(SourceFile::of_text(text.as_bytes()).lines().unwrap(), Selection::default()).unwrap();
        (survey.lines, survey.invoices, survey.offers)
    };
    assert_eq!(survey(CLEAN), survey(ORIGINAL));
}

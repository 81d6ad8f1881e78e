use money::Currency;

use super::{check, parse, read};
use crate::ecb::History;

/// XML files as the ECB published them. The first has single quotes and a line for each rate; the second has double
/// quotes and a line for each day.
pub const DAILY: &[u8] = include_bytes!("../../../data/eurofxref-daily.xml");
pub const NINETY_DAYS: &[u8] = include_bytes!("../../../data/eurofxref-hist-90d.xml");

const SMALL: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
    <gesmes:Envelope xmlns:gesmes=\"http://www.gesmes.org/xml/2002-08-01\" \
    xmlns=\"http://www.ecb.int/vocabulary/2002-08-01/eurofxref\">\n\
    \t<gesmes:subject>Reference rates</gesmes:subject>\n\
    \t<Cube>\n\
    \t\t<Cube time='2025-05-09'>\n\
    \t\t\t<Cube currency='USD' rate='1.1252'/>\n\
    \t\t\t<Cube currency='GBP' rate='0.84770'/>\n\
    \t\t</Cube>\n\
    \t\t<Cube time='2025-05-08'>\n\
    \t\t\t<Cube currency='USD' rate='1.1297'/>\n\
    \t\t</Cube>\n\
    \t</Cube>\n\
    </gesmes:Envelope>\n";

fn changed(from: &str, to: &str, refusal: &str) {
    assert!(SMALL.contains(from), "{from}");
    check(SMALL.replacen(from, to, 1).as_bytes(), refusal);
}

#[test]
fn the_daily_xml_is_read_to_the_last_number() {
    let History { days, numbers } = parse(DAILY).unwrap();
    let [day] = days.as_slice() else { panic!("{} days", days.len()) };
    assert_eq!((day.date.to_string(), numbers), ("2025-05-09".to_owned(), 30));
    assert_eq!(day.rates[&Currency::GBP].to_string(), "0.8477");
}

#[test]
fn the_xml_of_90_days_is_read_to_the_last_number() {
    let History { days, numbers } = parse(NINETY_DAYS).unwrap();
    assert_eq!((days.len(), numbers), (61, 1_830));
    assert!(days.is_sorted_by(|older, newer| older.date < newer.date));
    let (first, last) = (days.first().unwrap(), days.last().unwrap());
    assert_eq!((first.date.to_string(), last.date.to_string()), ("2024-11-28".to_owned(), "2025-02-25".to_owned()));
    assert_eq!(last.rates[&Currency::USD].to_string(), "1.0497");
}

#[test]
fn line_breaks_quotes_comments_and_the_form_of_end_tags_make_no_difference() {
    let days = ["2025-05-08 USD 1.1297", "2025-05-09 GBP 0.8477 USD 1.1252"];
    let variants = [
        SMALL.to_owned(),
        SMALL.replace(['\n', '\t'], " "),
        SMALL.replace(['\n', '\t'], "").replace("?><", "?>\n<"),
        SMALL.replace('\'', "\""),
        SMALL.replace('\n', "\r\n"),
        SMALL.replace("/>", "></Cube>"),
        SMALL.replace("<Cube time", "<!-- <Cube/> --><Cube time"),
        SMALL.replace("1.1297", "1.12&#57;7"),
        SMALL.replace("Reference rates", "<gesmes:x>Reference &amp; <Cube/> rates</gesmes:x>"),
        SMALL.replace("Reference rates", "<x xmlns='http://example.org' xmlns:gesmes='http://example.org'><Cube/></x>"),
        SMALL.replace("<gesmes:subject>Reference rates</gesmes:subject>", "<gesmes:subject/>"),
        SMALL.replace("xmlns=", "xmlns:e=").replace("<Cube", "<e:Cube").replace("</Cube", "</e:Cube"),
    ];
    for variant in variants {
        assert_eq!(read(variant.as_bytes()).unwrap(), days, "{variant}");
    }
}

#[test]
fn a_refusal_names_the_place_of_the_element() {
    let usd = "line 6, column 4";
    changed("currency='USD'", "currency='XYZ'", &format!("{usd}: not a currency: `XYZ` is not an ISO 4217 currency"));
    changed("currency='USD'", "currency=''", &format!("{usd}: not a currency: `` is not an ISO 4217 currency"));
    changed("currency='GBP'", "currency='USD'", "line 7, column 4: USD is given twice");
    let euro = "EUR has no rate: the ECB's rates count units of other currencies for one euro";
    changed("currency='USD'", "currency='EUR'", &format!("{usd}: {euro}"));
    changed(
        "2025-05-08",
        "1999-01-03",
        "line 9, column 3: 1999-01-03 is too early: the ECB's rates begin on 1999-01-04",
    );
    let not_a_rate = format!("{usd}: not a rate of USD: ");
    changed("1.1252", "0", &format!("{not_a_rate}0 is not greater than zero"));
    changed("1.1252", "-1.1252", &format!("{not_a_rate}-1.1252 is not greater than zero"));
    changed("1.1252", "N/A", &format!("{not_a_rate}`N/A` is not a plain decimal number such as 15.30"));
    changed("1.1252", "", &format!("{not_a_rate}`` is not a plain decimal number such as 15.30"));
    changed("2025-05-08", "2025-05-09", "line 9, column 3: 2025-05-09 is given twice");
    changed("2025-05-08", "8 May 2025", "line 9, column 3: `8 May 2025` is not a date such as 1999-01-04");
    changed("2025-05-08", "2025-02-30", "line 9, column 3: `2025-02-30` is not a date such as 1999-01-04");
    changed(" rate='1.1252'", "", &format!("{usd}: `<Cube currency=… rate=…/>` without `rate`"));
    changed("currency='USD' ", "", &format!("{usd}: `<Cube currency=… rate=…/>` without `currency`"));
    changed(" time='2025-05-09'", "", "line 5, column 3: `<Cube time=…>` without `time`");
    changed(
        "rate='1.1252'",
        "rate='1.1252' unit='100'",
        &format!("{usd}: the attribute `unit` where `<Cube currency=… rate=…/>` is expected"),
    );
}

#[test]
fn another_structure_is_refused() {
    changed(
        "http://www.gesmes.org/xml/2002-08-01",
        "http://example.org",
        "line 2, column 1: `<gesmes:Envelope>` of another namespace where `<gesmes:Envelope>` is expected",
    );
    changed(
        "http://www.ecb.int/vocabulary/2002-08-01/eurofxref",
        "http://example.org",
        "line 4, column 2: `<Cube>` of another namespace where `</gesmes:Envelope>` or one `<Cube>` is expected",
    );
    changed(
        "<Cube time='2025-05-09'>",
        "<Cube time='2025-05-09'>rates:",
        "line 5, column 27: `rates:` where an element is expected",
    );
    changed(
        "<Cube time='2025-05-09'>",
        "<Cube time='2025-05-09'>&lol;",
        "line 5, column 27: `&lol;` where an element is expected",
    );
    changed(
        "<Cube time='2025-05-09'>",
        "<Day><Cube time='2025-05-09'>",
        "line 5, column 3: `<Day>` where `<Cube time=…>` is expected",
    );
    changed(
        "rate='1.1252'/>",
        "rate='1.1252'><Cube/></Cube>",
        "line 6, column 39: `<Cube>` where the end of this element is expected",
    );
    let within_a_day = |content: &str| {
        format!(
            "{}{content}</Cube>{}",
            &SMALL[..before("\t\t\t<Cube cur")],
            &SMALL[before("\t\t<Cube time='2025-05-08'")..]
        )
    };
    check(within_a_day("").as_bytes(), "line 6, column 1: `<Cube time=…>` without `<Cube currency=… rate=…/>`");
    let without = |content: &str| format!("{}{content}</gesmes:Envelope>", &SMALL[..before("\t<Cube>")]);
    check(without("").as_bytes(), "line 4, column 1: `<gesmes:Envelope>` without `<Cube>`");
    check(without("<Cube/>").as_bytes(), "line 4, column 8: `<Cube>` without `<Cube time=…>`");
    let twice = SMALL.replacen("\t</Cube>\n</g", "\t</Cube><Cube/>\n</g", 1);
    check(twice.as_bytes(), "line 12, column 9: `<Cube>` where `</gesmes:Envelope>` or one `<Cube>` is expected");
    let after = format!("{SMALL}<Cube/>");
    check(after.as_bytes(), "line 14, column 1: `<Cube>` of another namespace where the end of the file is expected");
    check(format!("{SMALL}x").as_bytes(), "line 13, column 19: `x` where an element is expected");
}

fn before(text: &str) -> usize {
    SMALL.find(text).unwrap()
}

#[test]
fn a_file_that_is_not_an_xml_of_the_ecb_is_refused() {
    let page = "line 1: a web page (HTML) where an ECB file is expected";
    check(b"<html><body>404 Not Found</body></html>", page);
    check(b"\n<!DOCTYPE HTML PUBLIC \"-//IETF//DTD HTML 2.0//EN\">\n<html></html>", page);
    check(b"<!doctype html><title>Sign in</title>", page);
    check(
        b"<",
        "line 1, column 1: not well-formed XML: syntax error: tag not closed: `>` not found before end of input",
    );
    check(b"<?xml version='1.0'?>\n", "line 2, column 1: the file without `<gesmes:Envelope>`");
    check(
        b"<Error><Code>AccessDenied</Code></Error>",
        "line 1, column 1: `<Error>` where `<gesmes:Envelope>` is expected",
    );
    check(
        b"</a>",
        "line 1, column 1: not well-formed XML: ill-formed document: close tag `</a>` does not match any open tag",
    );
    changed(
        "</Cube>\n\t\t<Cube time='2025-05-08'>",
        "</Cub>",
        "line 8, column 3: not well-formed XML: ill-formed document: expected `</Cube>`, but `</Cub>` was found",
    );
    changed(
        "rate='1.1252'",
        "rate='1.1252' rate='1'",
        "line 6, column 4: not well-formed XML: error while parsing attribute: position 34: duplicated attribute, previous declaration at position 20",
    );
}

#[test]
fn an_entity_is_never_expanded() {
    let bomb = "<!DOCTYPE x [<!ENTITY a \"1\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;\">]>";
    let of_rate = SMALL.replacen("?>\n", &format!("?>\n{bomb}"), 1).replacen("1.1252", "&b;", 1);
    check(of_rate.as_bytes(), "line 2, column 1: a document type (`<!DOCTYPE`), which ECB files do not have");
    changed(
        "<Cube time",
        "<!DOCTYPE x><Cube time",
        "line 5, column 3: a document type (`<!DOCTYPE`), which ECB files do not have",
    );
    changed("1.1252", "&b;", "line 6, column 4: not well-formed XML: at 1..2: unrecognized entity `b`");
}

#[test]
fn an_xml_cut_off_anywhere_before_its_end_is_refused_with_the_place() {
    for whole in [SMALL, str::from_utf8(DAILY).unwrap()] {
        let end = whole.trim_end().len();
        for cut in 1..end {
            let refusal = read(&whole.as_bytes()[..cut]).unwrap_err();
            assert!(refusal.starts_with("line "), "cut after {cut} bytes: {refusal}");
        }
        assert_eq!(read(&whole.as_bytes()[..end]), read(whole.as_bytes()));
    }
    check(
        &SMALL.as_bytes()[..before("\t\t</Cube>")],
        "line 8, column 1: the file is cut off: it ends within `<Cube time=…>`",
    );
    for cut in (1..NINETY_DAYS.len()).step_by(97) {
        assert!(parse(&NINETY_DAYS[..cut]).is_err(), "cut after {cut} bytes");
    }
}

#[test]
fn a_changed_byte_is_refused_with_a_reason_or_changes_no_other_rate() {
    let whole = read(SMALL.as_bytes()).unwrap();
    for at in 0..SMALL.len() {
        for byte in *b"<>&'\"/!? x0\n\0\xc3" {
            let mut file = SMALL.as_bytes().to_vec();
            file[at] = byte;
            match read(&file) {
                Err(refusal) => assert!(refusal.starts_with("line "), "byte {at} is {byte}: {refusal}"),
                Ok(days) => assert_eq!(days.len(), whole.len(), "byte {at} is {byte}"),
            }
        }
    }
}

#[test]
fn a_file_of_many_attributes_or_elements_is_refused_at_the_first_that_does_not_fit() {
    let many = |what: &str, count: usize| what.repeat(count);
    let attributes = (0..500_000).map(|number| format!(" a{number}=''")).collect::<String>();
    let file = SMALL.replacen("<Cube currency='USD'", &format!("<Cube{attributes}"), 1);
    check(file.as_bytes(), "line 6, column 4: the attribute `a0` where `<Cube currency=… rate=…/>` is expected");
    let file = SMALL.replacen("<Cube currency='USD'", &many("<Cube>", 500_000), 1);
    check(file.as_bytes(), "line 6, column 4: `<Cube currency=… rate=…/>` without `currency`");
    let file = SMALL.replacen("Reference rates", &many("<a>", 500_000), 1);
    assert!(read(file.as_bytes()).is_err());
}

mod forms;

use std::path::Path;

use money::Currency;
use operator_client::Progress;

use crate::batch::{Batches, Invoices};
use crate::days::Days;
use crate::expected::Rates;
use crate::file::FileError;
use crate::form::Form;
use crate::request_kind::RequestKind;
use crate::selection::{Kinds, Selection};
use crate::source::SourceFile;
use crate::survey::Survey;

const HEADER: &str =
    "line,invoice,kind,stock_code,description,quantity,invoiced_at,unit_price_gbp,customer_id,country\n";

fn survey(text: &str) -> Result<Survey, FileError> {
    survey_of(text, Selection::default())
}

fn survey_of(text: &str, selection: Selection) -> Result<Survey, FileError> {
    Survey::of(SourceFile::of_text(text.as_bytes()).lines()?, selection)
}

/// The invoices of a file, each in one line.
fn invoices(text: &str, surveyed: &str, pay_in: Option<Currency>) -> Result<Vec<String>, FileError> {
    invoices_of(text, &survey(surveyed)?, pay_in)
}

fn invoices_of(text: &str, survey: &Survey, pay_in: Option<Currency>) -> Result<Vec<String>, FileError> {
    let mut source = SourceFile::of_text(text.as_bytes());
    let mut invoices = Invoices::of(source.lines()?, survey, pay_in);
    let mut found = Vec::new();
    while let Some(invoice) = invoices.next()? {
        let lines = invoice.lines.iter().map(|line| format!("{}x{}", line.quantity, line.sku));
        let (id, customer, pay_in, at) = (&invoice.request_id, &invoice.customer, invoice.pay_in, invoice.occurred_at);
        found.push(format!(
            "{id} {customer} {pay_in} {} {} = {}",
            at.format("%F %R"),
            lines.collect::<Vec<_>>().join(" "),
            invoice.millionths
        ));
    }
    Ok(found)
}

fn check(rows: &[&str], expected: &[&str]) {
    let text = HEADER.to_owned() + &rows.iter().map(|row| format!("{row}\n")).collect::<String>();
    assert_eq!(invoices(&text, &text, None).unwrap(), expected);
}

fn check_broken(rows: &str, expected: &str) {
    let text = format!("{HEADER}{rows}");
    assert_eq!(survey(&text).map(drop).unwrap_err().to_string(), expected);
}

const ONE: &str = "1,536365,sale,85123A,WHITE HANGING HEART,6,2010-12-01T08:26:00,2.55,17850,United Kingdom";

#[test]
fn a_sale_invoice_is_a_purchase() {
    check(&[ONE], &["retail-536365 17850 GBP 2010-12-01 08:26 6x85123A = 15300000"]);
    check(
        &[
            ONE,
            "2,536365,sale,m,\"a \"\"quoted\"\" £1, yes\",1,2010-12-01T08:27:00,0.001,17850,United Kingdom",
            "3,2,sale,M,,2,2011-06-01T00:30:00,3,,Japan",
        ],
        &[
            "retail-536365 17850 GBP 2010-12-01 08:26 6x85123A 1xm = 15301000",
            "retail-2 guest-2 JPY 2011-05-31 23:30 2xM = 6000000",
        ],
    );
}

#[test]
fn a_cancelling_invoice_is_a_return_unless_only_sales_are_sent() {
    let rows = [
        "1,1,sale,a,,1,2010-12-01T08:26:00,1,7,Germany",
        "2,C2,cancel,b,,-3,2010-12-01T08:27:00,2.5,7,Germany",
        "3,3,sale,a,,1,2010-12-01T08:28:00,1,7,Germany",
        "4,C2,cancel,a,,-1,2010-12-01T08:29:00,1,7,Germany",
        "5,C4,cancel,c,,-1,2010-12-01T08:30:00,9,,Japan",
    ];
    let sales = ["retail-1 7 EUR 2010-12-01 08:26 1xa = 1000000", "retail-3 7 EUR 2010-12-01 08:28 1xa = 1000000"];
    let returns =
        ["retail-C2 7 EUR 2010-12-01 08:27 3xb 1xa = 8500000", "retail-C4 guest-C4 JPY 2010-12-01 08:30 1xc = 9000000"];
    check(&rows, &[sales[0], returns[0], sales[1], returns[1]]);
    let text = HEADER.to_owned() + &rows.join("\n") + "\n";
    let sales_only = survey_of(&text, Selection { kinds: Kinds::SalesOnly, ..Selection::default() }).unwrap();
    assert_eq!(invoices_of(&text, &sales_only, None).unwrap(), sales);
    assert_eq!((sales_only.offers.len(), survey(&text).unwrap().offers.len()), (1, 3));
    assert_eq!(
        serde_json::to_string(&(&sales_only.lines, &sales_only.invoices)).unwrap(),
        r#"[{"read":5,"sent":2,"skipped":{"cancellation":3}},{"read":4,"sent":2,"skipped":{"cancellation":2}}]"#
    );
}

#[test]
fn purchases_and_returns_travel_in_batches_of_their_own_each_in_the_order_of_the_file() {
    let row = |line: u32| {
        let (invoice, kind, sign) = if line.is_multiple_of(3) { ("C", "cancel", "-") } else { ("", "sale", "") };
        format!("{line},{invoice}{line},{kind},a,,{sign}1,2010-12-01T08:26:00,1,7,EIRE\n")
    };
    let text = HEADER.to_owned() + &(1..=1_200).map(row).collect::<String>();
    let (surveyed, rates) = (survey(&text).unwrap(), Rates::built_in().unwrap());
    let mut source = SourceFile::of_text(text.as_bytes());
    let mut batches = Batches::of(Invoices::of(source.lines().unwrap(), &surveyed, None), &rates);
    let (mut shapes, mut sent) = (Vec::new(), Vec::new());
    while let Some(batch) = batches.next().unwrap() {
        shapes.push((batch.kind, batch.submissions.len()));
        assert_eq!(batch.body.iter().filter(|byte| **byte == b'\n').count(), batch.submissions.len());
        sent.extend(batch.submissions.iter().map(|one| (batch.kind, one.request_id.to_string())));
    }
    assert_eq!(shapes, [(RequestKind::Purchase, 500), (RequestKind::Purchase, 300), (RequestKind::Return, 400)]);
    let expected = |number: &u32| format!("retail-{}{number}", if number.is_multiple_of(3) { "C" } else { "" });
    let (returns, sales): (Vec<_>, Vec<_>) = (1..=1_200).partition(|number| number % 3 == 0);
    let all: Vec<_> = sales.iter().chain(&returns).map(expected).collect();
    assert_eq!(sent.into_iter().map(|(_, id)| id).collect::<Vec<_>>(), all);
}

#[test]
fn all_customers_can_pay_in_one_currency() {
    let text = format!("{HEADER}{ONE}\n");
    let found = invoices(&text, &text, Some(Currency::EUR)).unwrap();
    assert_eq!(found, ["retail-536365 17850 EUR 2010-12-01 08:26 6x85123A = 15300000"]);
}

#[test]
fn unsent_lines_and_invoices_are_counted_by_reason() {
    let rows = [
        "1,1,sale,a,,0,2010-12-01T08:26:00,0,7,EIRE",
        "2,1,sale,a,,-3,2010-12-01T08:26:00,2,7,EIRE",
        "3,1,sale,a,,3,2010-12-01T08:26:00,0.0,7,EIRE",
        "4,C2,cancel,a,,3,2010-12-01T08:26:00,2,7,EIRE",
        "5,A3,adjust,B,,1,2010-12-01T08:26:00,-9.5,,EIRE",
        "6,4,sale,a,,1,2010-12-01T08:26:00,-2,7,EIRE",
        "7,4,sale,b,,1,2010-12-01T08:26:00,2.5,7,EIRE",
        "8,5,sale,b,,2,2010-12-01T08:26:00,3.5,7,EIRE",
    ];
    check(&rows, &["retail-4 7 EUR 2010-12-01 08:26 1xb = 2500000", "retail-5 7 EUR 2010-12-01 08:26 2xb = 7000000"]);
    let survey = survey(&(HEADER.to_owned() + &rows.join("\n") + "\n")).unwrap();
    assert_eq!(
        serde_json::to_string(&(&survey.lines, &survey.invoices)).unwrap(),
        r#"[{"read":8,"sent":2,"skipped":{"adjustment":1,"no_quantity":3,"no_price":2}},"#.to_owned()
            + r#"{"read":5,"sent":2,"skipped":{"adjustment":1,"no_line_left":2}}]"#
    );
    let offers: Vec<_> = survey.offers.iter().map(|(sku, price)| format!("{sku} {price}")).collect();
    assert_eq!(offers, ["b 2.50 GBP"]);
}

#[test]
fn an_interrupted_invoice_is_complete_and_keeps_its_first_position() {
    check(
        &[
            "1,1,sale,a,,1,2010-12-01T08:26:00,1,7,Germany",
            "2,2,sale,b,,1,2010-12-01T08:26:00,1,8,Germany",
            "3,A3,adjust,b,,-1,2010-12-01T08:26:00,1,8,Germany",
            "4,1,sale,c,,1,2010-12-01T09:26:00,1,7,Germany",
        ],
        &["retail-1 7 EUR 2010-12-01 08:26 1xa 1xc = 2000000", "retail-2 8 EUR 2010-12-01 08:26 1xb = 1000000"],
    );
}

#[test]
fn a_broken_line_is_named() {
    let broken = |from: &str, to: &str, why: &str| {
        check_broken(&format!("{ONE}\n2{}\n", ONE[1..].replacen(from, to, 1)), &format!("line 3{why}"));
    };
    broken("sale", "sold", ", kind: `sold` is neither sale nor cancel nor adjust");
    broken(",6,", ",six,", ", quantity: `six` is not a whole number");
    broken(",6,", ",1000001,", ", quantity: `1000001` is refused: 1000001 is larger than the limit 1000000");
    broken("T08", " 08", ", invoiced_at: `2010-12-01 08:26:00` is not a time such as 2010-12-01T08:26:00");
    broken("2.55", "2,55", " has 11 columns where 10 are expected");
    broken("2.55", "2.5x", ", unit_price_gbp: `2.5x` is not a price with at most 6 decimals");
    check_broken(
        &format!("{ONE}\n{ONE}\n"),
        "line 3, line: `1` does not come after 1: a line is repeated or out of order",
    );
    broken("85123A", "", ", stock_code: `` is refused: 0 characters; 1 to 64 are allowed");
    broken("17850", "17851", ": invoice 536365 is of another customer or country than on line 2");
    broken("sale", "cancel", ": invoice 536365 is of another kind than on line 2");
    broken("536365", "53 6365", ", invoice: `53 6365` is refused: character 10 is not printable ASCII");
}

#[test]
fn a_file_that_does_not_have_the_clean_form_is_refused() {
    let check = |text: &str, why: &str| assert_eq!(survey(text).map(drop).unwrap_err().to_string(), why);
    check("", "it is empty");
    check("line,invoice,what\n", "line 1, column 3: `what` where `kind` is expected");
    check(&(HEADER.trim_end().to_owned() + ",more\n"), "line 1 has 11 columns where 10 are expected");
    check(HEADER, "it has nothing to replay: there is no line after its header");
}

#[test]
fn an_invoice_that_ends_too_late_or_has_too_many_lines_is_refused() {
    let row = |line: u32, invoice: u32| format!("{line},{invoice},sale,a,,1,2010-12-01T08:26:00,1,7,EIRE\n");
    let far: String = (1..=20_002).map(|line| row(line, if line == 20_002 { 1 } else { line })).collect();
    check_broken(&far, "line 20003: invoice 1 continues more than 20000 lines after line 2");
    let long: String = (1..=2_001).map(|line| row(line, 1)).collect();
    check_broken(
        &long,
        "line 2002: invoice 1 has more than 2000 lines, which is the most a purchase or a return may have",
    );
}

#[test]
fn a_file_cut_off_anywhere_but_at_the_end_of_a_line_is_refused() {
    let text = format!("{HEADER}{ONE}\n{}\n", ONE.replacen('1', "2", 1));
    for end in 1..text.len() {
        let goes_on = text[..end].ends_with('\n') && end > HEADER.len();
        assert_eq!(survey(&text[..end]).is_ok(), goes_on, "cut after {end} bytes");
    }
}

#[test]
fn a_file_that_changes_between_the_passes_is_refused() {
    let text = format!("{HEADER}{ONE}\n");
    let longer = text.clone() + &ONE.replacen('1', "2", 1) + "\n";
    let other = text.replace("536365", "536366");
    let again = |text: &str, surveyed: &str| invoices(text, surveyed, None).unwrap_err().to_string();
    assert_eq!(again(&longer, &text), "line 3: the file was changed while it was replayed");
    assert_eq!(again(&text, &longer), "line 2: the file was changed while it was replayed");
    assert_eq!(again(&other, &text), "line 2: the file was changed while it was replayed");
}

#[test]
fn only_invoices_of_the_requested_days_are_sent() {
    let rows = [
        "1,1,sale,a,,1,2011-01-30T23:59:00,1,7,Germany",
        "2,2,sale,b,,1,2011-01-31T00:00:00,2,7,Germany",
        "3,3,sale,c,,1,2011-01-31T23:59:00,3,7,Germany",
        "4,3,sale,d,,1,2011-02-01T00:00:00,4,7,Germany",
        "5,C4,cancel,a,,-1,2011-02-01T00:01:00,1,7,Germany",
        "6,5,sale,e,,1,2011-02-01T00:02:00,5,7,Germany",
    ];
    let text = HEADER.to_owned() + &rows.join("\n") + "\n";
    let day = |text: &str| Some(text.parse().unwrap());
    let on = |days| Selection { days, ..Selection::default() };
    let survey = survey_of(&text, on(Days::new(day("2011-01-31"), day("2011-01-31")).unwrap())).unwrap();
    assert_eq!(
        invoices_of(&text, &survey, None).unwrap(),
        ["retail-2 7 EUR 2011-01-31 00:00 1xb = 2000000", "retail-3 7 EUR 2011-01-31 23:59 1xc 1xd = 7000000"]
    );
    assert_eq!(
        serde_json::to_string(&(&survey.lines, &survey.invoices)).unwrap(),
        r#"[{"read":6,"sent":3,"skipped":{"other_day":3}},{"read":5,"sent":2,"skipped":{"other_day":3}}]"#
    );
    let offers: Vec<_> = survey.offers.keys().map(ToString::to_string).collect();
    assert_eq!(offers, ["b", "c", "d"]);
    let none = |text: &str, days: Days| survey_of(text, on(days)).map(drop).unwrap_err().to_string();
    assert_eq!(
        none(&text, Days::new(day("2011-02-02"), None).unwrap()),
        "no invoice is from 2011-02-02 on: those of the file are from 2011-01-30 to 2011-02-01"
    );
}

fn of_the_year(name: &str) -> Option<SourceFile> {
    let data = std::env::var_os("UNBUNDLED_DATA")?;
    Some(SourceFile::open(&Path::new(&data).join("retail").join(name), Progress::hidden()).unwrap())
}

#[test]
fn full_year_has_the_same_counts_and_the_same_invoices_in_both_forms() {
    let names = ["online_retail_clean.csv.zst", "online-retail-dataset.csv.zst"];
    let [Some(mut clean), Some(mut original)] = names.map(of_the_year) else { return };
    let survey = |mut source: SourceFile| Survey::of(source.lines().unwrap(), Selection::default()).unwrap();
    let [survey, same] = names.map(|name| survey(of_the_year(name).unwrap()));
    assert_eq!(
        serde_json::to_string(&(&survey.lines, &survey.invoices)).unwrap(),
        r#"[{"read":541909,"sent":539391,"skipped":{"adjustment":3,"no_quantity":1336,"no_price":1179}},"#.to_owned()
            + r#"{"read":25900,"sent":23795,"skipped":{"adjustment":3,"no_line_left":2102}}]"#
    );
    assert_eq!((survey.last_line.len(), survey.offers.len()), (25_897, 3_937));
    assert_eq!((&same.lines, &same.invoices, &same.offers), (&survey.lines, &survey.invoices, &survey.offers));
    assert_eq!(same.last_line, survey.last_line);

    let mut clean = Invoices::of(clean.lines().unwrap(), &survey, None);
    let mut original = Invoices::of(original.lines().unwrap(), &survey, None);
    let (mut count, mut lines) = (0, 0);
    while let Some(invoice) = clean.next().unwrap() {
        assert_eq!(original.next().unwrap().as_ref(), Some(&invoice));
        count += 1;
        lines += invoice.lines.len();
    }
    assert!(original.next().unwrap().is_none());
    assert_eq!((count, lines), (23_795, 539_391));
}

#[test]
fn the_header_of_these_tests_is_that_of_the_clean_form() {
    assert_eq!(HEADER.trim_end(), Form::Clean.columns().names.join(","));
}

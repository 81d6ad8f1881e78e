//! Imports of ECB files, as a whole or not at all.

use chrono::{Days, Utc};
use contracts::{Imported, RateQuote};
use reqwest::Method;

use super::harness::{Client, Namespace, Response, System};

/// The built-in file, as the ECB published it.
const HISTORY: &[u8] = include_bytes!("../../../services/exchange-rate/data/eurofxref-hist.zip");
/// Files in the other formats, as the ECB published them.
const DAILY_CSV: &[u8] = include_bytes!("../../../services/exchange-rate/data/eurofxref-daily.csv");
const DAILY_XML: &[u8] = include_bytes!("../../../services/exchange-rate/data/eurofxref-daily.xml");
const NINETY_DAYS_XML: &[u8] = include_bytes!("../../../services/exchange-rate/data/eurofxref-hist-90d.xml");

async fn import(client: &Client, file: impl Into<Vec<u8>>) -> Response {
    let url = format!("{}/rates/import", client.addresses.exchange_rate);
    client.send(client.request(Method::POST, &url).body(file.into())).await
}

fn counts(new: u64, changed: u64, unchanged: u64) -> Imported {
    Imported { read: new + changed + unchanged, new, changed, unchanged }
}

#[tokio::test]
async fn importing_the_built_in_history_again_changes_nothing() {
    let system = System::start().await;
    for _ in 0..2 {
        let imported: Imported = import(&system.client, HISTORY).await.expect_status(200).json();
        assert!(imported.read > 200_000, "{imported:?}");
        assert_eq!(imported, counts(0, 0, imported.read));
    }
    system.finish().await;
}

#[tokio::test]
async fn the_same_days_in_other_formats_change_nothing() {
    let system = System::start().await;
    for (file, rates) in [(DAILY_CSV, 29), (DAILY_XML, 30), (NINETY_DAYS_XML, 1_830)] {
        let imported: Imported = import(&system.client, file).await.expect_status(200).json();
        assert_eq!(imported, counts(0, 0, rates));
    }
    system.finish().await;
}

#[tokio::test]
async fn the_same_day_in_every_format_is_new_once() {
    let (system, namespace) = (System::start().await, Namespace::on_a_saturday(0));
    let (client, date) = (&system.client, namespace.moment.date_naive());
    // The daily files keep trailing zeros, the history strips them.
    let files = [
        str::from_utf8(DAILY_CSV).unwrap().replace("30 October 2026", &date.format("%-d %B %Y").to_string()),
        format!("Date,USD,GBP,JPY,\n{date},1.1172,0.8338,175.68,\n"),
        xml(&format!("<Cube time='{date}'><Cube currency='GBP' rate='0.83380'/></Cube>")),
        xml(&format!("<Cube time=\"{date}\">\n<Cube currency=\"GBP\" rate=\"0.8338\"/>\n</Cube>")),
    ];
    let expected = [counts(29, 0, 0), counts(0, 0, 3), counts(0, 0, 1), counts(0, 0, 1)];
    for (file, expected) in files.into_iter().zip(expected) {
        assert_eq!(import(client, file).await.expect_status(200).json::<Imported>(), expected);
    }
    let quote: RateQuote = client.rate_at("EUR/GBP", namespace.moment).await.expect_status(200).json();
    assert_eq!((quote.rate.as_str(), quote.source.to_string()), ("0.8338", "ecb".to_owned()));
    system.finish().await;
}

/// An ECB file with these days.
fn xml(days: &str) -> String {
    format!(
        "<gesmes:Envelope xmlns:gesmes='http://www.gesmes.org/xml/2002-08-01' \
         xmlns='http://www.ecb.int/vocabulary/2002-08-01/eurofxref'><Cube>{days}</Cube></gesmes:Envelope>"
    )
}

#[tokio::test]
async fn an_import_of_a_csv_counts_new_changed_and_unchanged_rates() {
    let (system, namespace) = (System::start().await, Namespace::on_a_saturday(1));
    let (client, date) = (&system.client, namespace.moment.date_naive());
    let file = |dollars: &str| format!("Date,USD,JPY,CYP,\n{date},{dollars},175.68,N/A,\n");
    assert_eq!(import(client, file("1.1172")).await.expect_status(200).json::<Imported>(), counts(2, 0, 0));
    assert_eq!(import(client, file("1.1172")).await.expect_status(200).json::<Imported>(), counts(0, 0, 2));
    assert_eq!(import(client, file("1.2")).await.expect_status(200).json::<Imported>(), counts(0, 1, 1));
    let quote: RateQuote = client.rate_at("EUR/USD", namespace.moment).await.expect_status(200).json();
    assert_eq!((quote.rate.as_str(), quote.source.to_string()), ("1.2", "ecb".to_owned()));
    assert_eq!(quote.valid_from, date.and_time(chrono::NaiveTime::MIN).and_utc());
    system.finish().await;
}

#[tokio::test]
async fn a_damaged_file_is_refused_with_the_position_and_changes_nothing() {
    let (system, namespace) = (System::start().await, Namespace::on_a_saturday(2));
    let (client, date) = (&system.client, namespace.moment.date_naive());
    let mut flipped = HISTORY.to_vec();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    let day = format!("{date},9.99,175.68,");
    let cube = format!("<Cube time='{date}'><Cube currency='USD' rate='9.99'/>");
    let whole = xml(&format!("{cube}</Cube>"));
    let after_tomorrow = Utc::now().date_naive() + Days::new(2);
    let bomb = format!("<!DOCTYPE x [<!ENTITY a '9.99'>]>{}", whole.replace("9.99", "&a;"));
    for (file, expected) in [
        (HISTORY[..HISTORY.len() / 2].to_vec(), "the ZIP is damaged or cut off"),
        (HISTORY[..HISTORY.len() - 1].to_vec(), "the ZIP is damaged or cut off"),
        (flipped, "the ZIP is damaged"),
        (b"PK".to_vec(), "the ZIP is damaged or cut off"),
        (Vec::new(), "the file is empty"),
        (b"Date,USD,JPY,\n".to_vec(), "the file has no days"),
        (format!("Date,USD,JPY,\n{day}\n2000-01-03,1.0").into(), "line 3"),
        (format!("Date,USD,JPY,\n{day}").into(), "line 2"),
        (format!("Date,USD,JPY,\n{day}\n2000-01-03,1.0,\n").into(), "line 3 has 2 columns where 3 are expected"),
        (format!("Date,USD,JPY,\n{day}\n2000-01-03,1.0,oops,\n").into(), "line 3, column 3"),
        (format!("Date,USD,JPY,\n{day}\n{day}\n").into(), "line 3, column 1"),
        (format!("Date,USD,JPY,\n{day}\n2000-13-03,1.0,1.0,\n").into(), "line 3, column 1"),
        (format!("Date,USD,XYZ,\n{day}\n").into(), "line 1, column 3"),
        (format!("Date,USD,JPY,\n{day}\n{after_tomorrow},1.0,1.0,\n").into(), "line 3, column 1"),
        (format!("Date,USD,JPY,\n{day}\n1999-01-03,1.0,1.0,\n").into(), "line 3, column 1: 1999-01-03 is too early"),
        (format!("Date,USD,EUR,\n{day}\n").into(), "line 1, column 3: EUR has no rate"),
        (xml(&format!("{cube}\n<Cube currency='EUR' rate='1'/></Cube>")).into(), "line 2, column 1: EUR has no rate"),
        (vec![0x1f, 0x8b, 8, 0], "packed with gzip"),
        (format!("Date,USD,JPY,\n{day}\n2000-01-03,\0,1.0,\n").into(), "line 3, column 2"),
        (b"<html>not found</html>\n".to_vec(), "line 1: a web page (HTML)"),
        (whole.as_bytes()[..whole.len() - 1].to_vec(), "line 1, column"),
        (whole.as_bytes()[..whole.len() / 2].to_vec(), "line 1, column"),
        (bomb.into(), "line 1, column 1: a document type"),
        (xml("").into(), "without `<Cube time=…>`"),
        (xml(&format!("{cube}</Cube>\n{cube}</Cube>")).into(), "line 2, column 1"),
        (xml(&format!("{cube}\n<Cube currency='USD' rate='1'/></Cube>")).into(), "line 2, column 1: USD"),
        (xml(&format!("{cube}\n<Cube currency='XYZ' rate='1'/></Cube>")).into(), "line 2, column 1: not a currency"),
        (xml(&format!("{cube}\n<Cube currency='JPY' rate='0'/></Cube>")).into(), "line 2, column 1: not a rate of JPY"),
        (format!("Date, USD, JPY, \n{}, 9.99, \n", date.format("%-d %B %Y")).into(), "line 2 has 2 columns"),
        (b"Date,USD,\n\xff\xfe,1,\n".to_vec(), "line 2 is not UTF-8"),
    ] {
        let problem = import(client, file).await.expect_status(422).problem();
        assert!(problem.detail.contains(expected), "{expected}: {problem:?}");
    }
    // Another scenario may have set a rate of an earlier day.
    let response = client.rate_at("EUR/USD", namespace.moment).await;
    assert!(
        response.status == 404 || response.expect_status(200).json::<RateQuote>().rate != "9.99",
        "a part of a refused file was imported"
    );
    system.finish().await;
}

#[tokio::test]
async fn a_file_may_begin_with_a_byte_order_mark_and_is_refused_with_a_content_encoding() {
    let system = System::start().await;
    let marked = ["\u{feff}".as_bytes(), DAILY_XML].concat();
    assert_eq!(import(&system.client, marked).await.expect_status(200).json::<Imported>(), counts(0, 0, 30));
    let url = format!("{}/rates/import", system.client.addresses.exchange_rate);
    let request = system.client.request(Method::POST, &url).header("Content-Encoding", "gzip").body(DAILY_XML);
    let problem = system.client.send(request).await.expect_status(415).problem();
    assert!(problem.detail.contains("Content-Encoding"), "{problem:?}");
    system.finish().await;
}

#[tokio::test]
async fn a_file_beyond_the_size_limit_is_refused() {
    let system = System::start().await;
    let problem = import(&system.client, vec![b'x'; (16 << 20) + 1]).await.expect_status(413).problem();
    assert_eq!(problem.limit, Some(16 << 20));
    system.finish().await;
}

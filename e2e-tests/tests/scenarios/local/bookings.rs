//! `unbundled replay bookings`, with few bookings.

use std::fmt::Write as _;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::scenarios::harness::{LocalSystem, run_to_end};

/// Bookings of a hotel with more guests than rooms, in a file of the same form as the real one.
///
/// Nights and lengths overlap in a fixed pattern; every third guest cancels a day after booking, and every fifth on the
/// day of the booking.
fn file(folder: &TempDir) -> String {
    let mut text = "hotel,lead_time,arrival_date_year,arrival_date_month,arrival_date_day_of_month,\
        stays_in_weekend_nights,stays_in_week_nights,adr,reservation_status,reservation_status_date\n"
        .to_owned();
    for guest in 0..120 {
        let (hotel, lead) = (if guest % 4 == 0 { "Resort" } else { "City" }, 20 - guest / 10);
        let (day, nights, price) = (10 + guest % 7, 1 + guest % 3, 40 + guest % 11);
        let made_on = chrono::NaiveDate::from_ymd_opt(2016, 3, day).unwrap() - chrono::Days::new(lead.into());
        let (status, ended_on) = match guest {
            _ if guest % 5 == 0 => ("Canceled", made_on),
            _ if guest % 3 == 0 => ("No-Show", made_on + chrono::Days::new(1)),
            _ => ("Check-Out", made_on + chrono::Days::new(30)),
        };
        writeln!(text, "{hotel} Hotel,{lead},2016,March,{day},0,{nights},{price}.75,{status},{ended_on}").unwrap();
    }
    let file = folder.path().join("bookings.csv");
    std::fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

/// Replays the bookings into a new system with one partition, twice, and returns the summary. The command compares
/// everything with its own model.
async fn replay(options: &[&str]) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let file = file(&folder);
    let local = LocalSystem::start_on(tempfile::tempdir().unwrap(), &["--partitions", "1"]).await;
    let addresses = local.client.addresses.clone();
    let command = ["replay", "bookings", &file, "--resort", "3", "--city", "5", "--one-partition", "--json"];
    let to = ["--purchase", &addresses.purchase, "--ledger", &addresses.ledger];
    let arguments = [&command, options, &to].concat();
    let mut summaries = Vec::new();
    for _ in 0..2 {
        let output = run_to_end(&arguments).await;
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{}{errors}", String::from_utf8_lossy(&output.stdout));
        let mut summary: Value = serde_json::from_slice(&output.stdout).unwrap();
        for varies in ["offers_set", "playing_ms", "checking_ms"] {
            summary.as_object_mut().unwrap().remove(varies).unwrap();
        }
        summaries.push(summary);
    }
    assert_eq!(summaries[0], summaries[1], "a second run does nothing twice");
    let other: Vec<_> = arguments.iter().map(|word| if *word == "5" { "6" } else { *word }).collect();
    let other = run_to_end(&other).await;
    let errors = String::from_utf8_lossy(&other.stderr);
    assert!(other.status.code() == Some(1) && errors.contains("already offered on other terms"), "{errors}");
    local.finish().await;
    summaries.remove(0)
}

#[tokio::test]
async fn strict_bookings_are_refused_and_never_charged_for_a_room_that_is_not_there() {
    let summary = replay(&["--constraint", "strict", "--voucher", "10"]).await;
    assert_eq!((&summary["compensated"], &summary["vouchers"]["amount"]), (&json!(0), &json!("0.00")));
    assert!(summary["refused"].as_u64() > Some(10) && summary["nights_at_limit"].as_u64() > Some(3), "{summary}");
    assert_eq!(summary["most_over_sold"], json!(0));
}

#[tokio::test]
async fn loose_and_overbooked_bookings_are_put_right() {
    let summary = replay(&["--overbooking", "40", "--voucher", "10"]).await;
    assert_eq!(summary["most_over_sold"], json!(2));
    let without_a_room = summary["refused"].as_u64().unwrap() + summary["compensated"].as_u64().unwrap();
    assert!(without_a_room > 5, "{summary}");
}

#[tokio::test]
async fn bookings_that_wait_are_served_in_their_order() {
    let summary = replay(&["--compensation", "back_order"]).await;
    assert_eq!((&summary["accepted"], &summary["refused"]), (&json!(120), &json!(0)));
    assert!(summary["waiting"].as_u64() > Some(5), "{summary}");
}

/// Each cell is a system of its own, and the command compares it with its own model.
#[tokio::test]
async fn a_sweet_spot_shows_what_each_of_the_terms_costs() {
    let folder = tempfile::tempdir().unwrap();
    let (file, chart) = (file(&folder), folder.path().join("chart.svg"));
    let rooms = ["--resort", "3", "--city", "5", "--strict", "0,100", "--overbooking", "0,40"];
    let command = ["sweetspot", &file, "--json", "--chart", chart.to_str().unwrap()];
    let output = run_to_end(&[&command[..], &rooms].concat()).await;
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{}{errors}", String::from_utf8_lossy(&output.stdout));

    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let cells = report["cells"].as_array().unwrap();
    let terms: Vec<_> = cells.iter().map(|cell| (&cell["strict_percent"], &cell["overbooking_percent"])).collect();
    let expected = [(0, 0), (0, 40), (100, 0), (100, 40)].map(|(strict, over)| (json!(strict), json!(over)));
    assert_eq!(terms, expected.iter().map(|(strict, over)| (strict, over)).collect::<Vec<_>>());
    let count = |cell: usize, name: &str| cells[cell][name].as_u64().unwrap();
    for cell in 0..4 {
        assert_eq!(["accepted", "refused", "compensated"].map(|name| count(cell, name)).iter().sum::<u64>(), 120);
    }
    // Strict and loose sell the same rooms, but only loose apologizes.
    assert_eq!((count(0, "accepted"), count(1, "accepted")), (count(2, "accepted"), count(3, "accepted")));
    assert!(count(0, "compensated") > 0 && count(2, "compensated") == 0, "{report}");
    assert!(count(0, "refused") < count(2, "refused") && count(0, "turned_away") == 0, "{report}");
    assert!(count(1, "accepted") > count(0, "accepted") && count(1, "turned_away") > 0, "{report}");
    assert!(std::fs::read_to_string(chart).unwrap().ends_with("</svg>\n"));
}

//! The table and the chart.

use clap::Parser as _;
use contracts::Constraint;

use super::*;
use crate::bookings::checks::euros;
use crate::bookings::nights::{Hotel, Night};
use crate::findings::Findings;

#[derive(clap::Parser)]
struct Command {
    #[command(flatten)]
    sweetspot: SweetspotArguments,
}

fn arguments(words: &str) -> Result<SweetspotArguments, String> {
    let words = ["sweetspot"].into_iter().chain(words.split_whitespace());
    Command::try_parse_from(words).map(|command| command.sweetspot).map_err(|error| error.to_string())
}

/// A report whose numbers are functions of the terms.
fn report() -> Report {
    let cell = |strict: StrictShare, overbooking: u32| Cell {
        strict_percent: strict.percent(),
        overbooking_percent: overbooking,
        accepted: 10_000 + u64::from(overbooking),
        refused: 1_234 * u64::from(strict.percent()) / 100,
        compensated: 300 - 3 * u64::from(strict.percent()),
        apologies_per_10_000: 150,
        refusals_per_10_000: 60,
        vouchers: euros(123_456),
        empty_rooms: 7,
        lost_to_empty_rooms: euros(2_000_000),
        turned_away: 4,
        findings: Findings::default(),
        playing_ms: 1,
    };
    let cells = StrictShare::ALL.into_iter().flat_map(|share| [0, 5, 10, 15, 20].map(|percent| cell(share, percent)));
    Report {
        bookings: 20_000,
        nights: 80_000,
        resort_rooms: 110,
        city_rooms: 220,
        voucher_percent: 10,
        cells: cells.collect(),
    }
}

#[test]
fn all_bookings_or_a_number_of_them_are_sent() {
    let load = |words: &str| arguments(words).map(|found| (found.full, found.bookings, found.at_once));
    assert_eq!(load("file.csv"), Ok((false, 20_000, 2)));
    assert_eq!(load("file.csv --bookings 50 --at-once 1"), Ok((false, 50, 1)));
    assert_eq!(load("file.csv --full"), Ok((true, 20_000, 2)));
    let terms = arguments("file.csv --strict 0,100 --overbooking 20").unwrap();
    assert_eq!((terms.strict, terms.overbooking), (vec![StrictShare::ALL[0], StrictShare::ALL[4]], vec![20]));
    for wrong in
        ["", "file.csv --strict 30", "file.csv --full --bookings 5", "file.csv --at-once 0", "file.csv --voucher 101"]
    {
        assert!(arguments(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn of_four_weeks_as_many_are_strict_as_there_are_quarters() {
    let first = chrono::NaiveDate::from_ymd_opt(2016, 1, 1).unwrap();
    for share in StrictShare::ALL {
        let nights = first.iter_days().take(28).map(|date| Night { hotel: Hotel::City, date });
        let strict = nights.filter(|night| share.constraint(*night) == Constraint::Strict).count();
        assert_eq!(strict, 28 * usize::from(share.percent()) / 100);
    }
}

#[test]
fn each_cell_is_a_line_of_the_table_and_findings_are_listed() {
    let mut report = report();
    let text = table::text(&report);
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.iter().filter(|line| line.starts_with("| ")).count(), 2 + 25, "{text}");
    assert_eq!(lines[9], "| 25 % | 10 % | 10,010 | 308 | 225 | 60 | 150 | 1234.56 | 20000.00 | 4 |");
    assert!(text.ends_with("as a program of its own computes it.\n"), "{text}");
    report.cells[3].findings.add("line 7: too late".to_owned());
    let text = table::text(&report);
    assert!(text.ends_with("\n1 findings, the first:\n  line 7: too late\n"), "{text}");
}

#[test]
fn the_chart_has_a_point_for_each_cell_and_one_line_for_empty_rooms() {
    let chart = chart::svg(&report());
    assert_eq!((chart.matches("<polyline").count(), chart.matches("<circle").count()), (5 + 5 + 6, 16 * 5));
    assert_eq!(chart.matches("stroke-dasharray").count(), 1);
    // The highest value is 20,000, which is the top of its axis: its points are at the top of their panel.
    assert_eq!(chart.matches("cy=\"110.0\" r=\"3\" fill=\"#c0392b\"").count(), 5, "{chart}");
    for label in [">20 %<", ">20000<", ">Apologies per 10,000 bookings<", ">100 % of the offers strict<"] {
        assert!(chart.contains(label), "{label}");
    }
    assert_eq!(chart.matches("<text").count(), chart.matches("</text>").count());
}

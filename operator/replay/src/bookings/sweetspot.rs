//! `unbundled sweetspot`: the same bookings under different terms, to find those that cost least.
//!
//! Each cell is a share of strict offers and a percentage of overbooking. A cell is a replay of the bookings
//! into a new system with one partition, so that every booking, each cent and each night must equal the sequential
//! model. Whoever runs the cells starts these systems ([`Sweetspot::measure`]).

mod chart;
mod report;
mod table;
#[cfg(test)]
mod tests;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use operator_client::{Progress, Services};

use self::report::Report;
use super::command::{Input, play};
use super::model::Limits;
use super::rules::{Rules, StrictShare};
use crate::arguments::WhenSoldOut;

pub use self::report::Cell;

/// The number of bookings that are sent unless all of them are asked for.
const BOOKINGS: usize = 20_000;
/// `unbundled sweetspot`.
///
/// Plays the same bookings 25 times, each time into a new system on a temporary folder (in TMPDIR): 0, 25, 50, 75 and
/// 100 percent of the offers strict, and 0, 5, 10, 15 and 20 percent overbooked. Prints what each costs. Exits with 1 if
/// anything differs from the sequential model.
#[derive(Debug, Args)]
pub struct SweetspotArguments {
    /// The file hotel_bookings.csv, with any name: plain or compressed with gzip or Zstandard
    file: PathBuf,
    /// Send all bookings of the file
    #[arg(long, conflicts_with = "bookings")]
    full: bool,
    /// Only so many bookings, from the first one of the file on
    #[arg(long, value_name = "N", default_value_t = BOOKINGS)]
    bookings: usize,
    /// The number of rooms of the resort hotel
    #[arg(long, value_name = "N", default_value_t = 110, value_parser = clap::value_parser!(u64).range(..=1_000_000))]
    resort: u64,
    /// The number of rooms of the city hotel
    #[arg(long, value_name = "N", default_value_t = 220, value_parser = clap::value_parser!(u64).range(..=1_000_000))]
    city: u64,
    /// The percentages of offers that are strict: whole weeks of nights
    #[arg(long, value_name = "PERCENT", value_delimiter = ',', default_value = "0,25,50,75,100", value_parser = share)]
    strict: Vec<StrictShare>,
    /// The percentages of rooms that are sold above those that the hotels have
    #[arg(long, value_name = "PERCENT", value_delimiter = ',', default_value = "0,5,10,15,20",
        value_parser = clap::value_parser!(u32).range(..=1_000))]
    overbooking: Vec<u32>,
    /// The voucher of a guest who was charged for a room that is not there, as a percentage of the price
    #[arg(long, value_name = "PERCENT", default_value_t = 10, value_parser = clap::value_parser!(u8).range(..=100))]
    voucher: u8,
    /// How many cells are measured at once
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=25))]
    at_once: u8,
    /// Write the chart to this file (SVG)
    #[arg(long, value_name = "FILE")]
    chart: Option<PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Parses a share of strict offers.
fn share(text: &str) -> Result<StrictShare, String> {
    let is_it = |share: &StrictShare| share.percent().to_string() == text;
    StrictShare::ALL.into_iter().find(is_it).ok_or_else(|| "expected 0, 25, 50, 75 or 100".to_owned())
}

impl SweetspotArguments {
    /// How many cells are measured at once.
    pub fn at_once(&self) -> usize {
        self.at_once.into()
    }
}

/// The terms of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    strict: StrictShare,
    overbooking_percent: u32,
}

/// The bookings, and how they are to be measured.
pub struct Sweetspot {
    arguments: SweetspotArguments,
    input: Input,
}

impl Sweetspot {
    /// Reads the bookings.
    ///
    /// # Errors
    /// When the file is broken.
    pub async fn read(arguments: SweetspotArguments) -> anyhow::Result<Self> {
        let at_most = (!arguments.full).then_some(arguments.bookings);
        let input = Input::read(&arguments.file, at_most).await?;
        Ok(Self { arguments, input })
    }

    /// The terms of all cells, in their order.
    pub fn cells(&self) -> Vec<Terms> {
        let SweetspotArguments { strict, overbooking, .. } = &self.arguments;
        let of = |strict: &StrictShare| {
            let strict = *strict;
            overbooking.iter().map(move |percent| Terms { strict, overbooking_percent: *percent })
        };
        strict.iter().flat_map(of).collect()
    }

    /// How many cells are measured at once.
    pub fn at_once(&self) -> usize {
        self.arguments.at_once()
    }

    /// Plays all bookings under these terms into a new system with one partition.
    ///
    /// # Errors
    /// When it cannot finish: a service is unavailable or refuses a request.
    pub async fn measure(&self, terms: Terms, services: &Services) -> anyhow::Result<Cell> {
        let SweetspotArguments { resort, city, voucher, .. } = self.arguments;
        let rules = Rules {
            rooms: Limits { resort, city },
            strict: terms.strict,
            overbooking: terms.overbooking_percent,
            voucher,
            compensation: vec![WhenSoldOut::Refund],
        };
        let Terms { strict, overbooking_percent } = terms;
        let summary = play(&self.input, &rules, true, services, Progress::hidden()).await?;
        let cell = Cell::of(strict.percent(), overbooking_percent, summary);
        let (strict, seconds, found) = (strict.percent(), cell.playing_ms / 1_000, cell.findings.count);
        eprintln!("{strict} % strict, {overbooking_percent} % overbooked: played in {seconds} s, {found} findings");
        Ok(cell)
    }

    /// Prints the result and writes the chart. The exit code is 0, or 1 if anything differs from the model.
    ///
    /// # Errors
    /// When the result cannot be written.
    pub fn finish(self, cells: Vec<Cell>) -> anyhow::Result<ExitCode> {
        let SweetspotArguments { resort: resort_rooms, city: city_rooms, voucher: voucher_percent, .. } =
            self.arguments;
        let (bookings, nights) = (self.input.all.len() as u64, self.input.nights());
        let report = Report { bookings, nights, resort_rooms, city_rooms, voucher_percent, cells };
        let text =
            if self.arguments.json { serde_json::to_string_pretty(&report)? + "\n" } else { table::text(&report) };
        std::io::stdout().write_all(text.as_bytes()).context("the result cannot be written")?;
        if let Some(chart) = self.arguments.chart {
            std::fs::write(&chart, chart::svg(&report))
                .with_context(|| format!("{} cannot be written", chart.display()))?;
        }
        let is_clean = report.cells.iter().all(|cell| cell.findings.count == 0);
        Ok(if is_clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

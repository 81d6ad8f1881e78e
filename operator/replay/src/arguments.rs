//! The arguments of `unbundled replay`.

use std::path::PathBuf;

use chrono::NaiveDate;
use clap::{Args, Subcommand, ValueEnum};
use contracts::Constraint;
use money::Currency;
use operator_client::constraint_parser;

/// The data to replay.
#[derive(Debug, Subcommand)]
pub enum Replay {
    /// A year of a British online shop (UCI Online Retail, in its original or its clean form)
    Retail(Retail),
    /// Two years of bookings of two hotels, with more guests than rooms (Hotel booking demand)
    Bookings(Bookings),
}

/// `unbundled replay retail`.
#[derive(Debug, Args)]
pub struct Retail {
    /// The file, with any name: a CSV, plain or compressed with gzip or Zstandard, or an Excel workbook (.xlsx)
    pub(crate) file: PathBuf,
    /// The first day whose invoices are sent (such as 2011-01-31, in London time)
    #[arg(long, value_name = "DATE")]
    pub(crate) from: Option<NaiveDate>,
    /// The last day whose invoices are sent
    #[arg(long, value_name = "DATE")]
    pub(crate) to: Option<NaiveDate>,
    /// The currency in which all customers pay, instead of that of their country
    #[arg(long, value_name = "CURRENCY")]
    pub(crate) pay_in: Option<Currency>,
    /// Send no cancelling invoices, which are otherwise returns
    #[arg(long)]
    pub(crate) sales_only: bool,
    /// Read the file to its end and print its contents, but send nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Print the summary as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `unbundled replay bookings`.
#[derive(Debug, Args)]
pub struct Bookings {
    /// The file hotel_bookings.csv, with any name: plain or compressed with gzip or Zstandard
    pub(crate) file: PathBuf,
    /// The number of rooms of the resort hotel
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(..=1_000_000))]
    pub(crate) resort: u64,
    /// The number of rooms of the city hotel
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(..=1_000_000))]
    pub(crate) city: u64,
    /// Whether guests are charged before a room is theirs (loose) or after that (strict)
    #[arg(long, default_value_t, value_parser = constraint_parser())]
    pub(crate) constraint: Constraint,
    /// The percentage of rooms that are sold above those that the hotel has
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=1_000))]
    pub(crate) overbooking: u32,
    /// The voucher of a guest who was charged for a room that is not there, as a percentage of the price
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u8).range(..=100))]
    pub(crate) voucher: u8,
    /// What is done for a guest without a room, in this order
    #[arg(long, value_enum, value_delimiter = ',', default_value = "refund")]
    pub(crate) compensation: Vec<WhenSoldOut>,
    /// Only so many bookings, from the first one of the file on
    #[arg(long, value_name = "N")]
    pub(crate) bookings: Option<usize>,
    /// The system has one partition: which guest gets the last room must follow the order of the file, too
    #[arg(long)]
    pub(crate) one_partition: bool,
    /// Print the summary as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// What is done for a guest without a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum WhenSoldOut {
    /// The guest waits until somebody cancels.
    #[value(name = "back_order")]
    BackOrder,
    /// The guest gets the money back.
    Refund,
}

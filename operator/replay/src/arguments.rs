//! The arguments of `unbundled replay`.

use std::path::PathBuf;

use chrono::NaiveDate;
use clap::{Args, Subcommand};
use money::Currency;

/// The data to replay.
#[derive(Debug, Subcommand)]
pub enum Replay {
    /// A year of a British online shop (UCI Online Retail, in its original or its clean form)
    Retail(Retail),
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
    /// Read the file to its end and print its contents, but send nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Print the summary as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

//! The arguments of `unbundled load`.

use clap::{Args, ValueEnum};
use contracts::Constraint;
use money::Currency;
use operator_client::constraint_parser;
use serde::Serialize;

/// The number of products over which the purchases are spread.
const PRODUCTS: u64 = 100;

/// How purchases are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// One by one: POST /purchases
    Single,
    /// Many at a time: POST /purchases/batch
    Batch,
}

/// `unbundled load`.
///
/// Each client sends its next request when the purchases of the previous one have their outcome. Most requests wait for
/// the outcome (`Prefer: wait`) and measure the time to settled; every eighth request of a client does not wait and
/// measures the time to accepted. Exits with 1 if any response was not as expected, or the books' difference is not 0.
/// With `--capacity`, a purchase for which there is no stock may be refused or paid back.
#[derive(Debug, Args)]
pub struct LoadArguments {
    /// How purchases are sent
    #[arg(value_enum)]
    pub(crate) mode: Mode,
    /// How long to measure
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) seconds: u64,
    /// How long to send before the measurement
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u64).range(0..=3_600))]
    pub(crate) warm_up: u64,
    /// Number of concurrent clients [default: 1, or 4 with batches]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub(crate) clients: Option<u64>,
    /// Purchases per batch [default: 1000]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..=1_000))]
    pub(crate) batch: Option<u64>,
    /// Lines per purchase, each of another offer
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=2_000))]
    pub(crate) lines: u64,
    /// Number of customers over whom the purchases, and so the partitions, are spread
    #[arg(long, value_name = "COUNT", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) customers: u64,
    /// The currency to pay in. The offers are in GBP; another currency is converted at the ECB's rate of 2011-12-09
    #[arg(long, value_name = "CURRENCY", default_value = "GBP")]
    pub(crate) pay_in: Currency,
    /// The capacity of each offer; without it, stock is unlimited and nothing is allocated
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(..=1_000_000_000))]
    pub(crate) capacity: Option<u64>,
    /// When the stock is allocated
    #[arg(long, default_value_t, value_parser = constraint_parser(), requires = "capacity")]
    pub(crate) constraint: Constraint,
    /// Number of lines per purchase whose offers have the capacity [default: all]
    #[arg(long, value_name = "COUNT", requires = "capacity", value_parser = clap::value_parser!(u64).range(1..=200))]
    pub(crate) capacity_lines: Option<u64>,
    /// All purchases buy the same products; otherwise those with a capacity are spread over 100 products for each line
    #[arg(long, requires = "capacity")]
    pub(crate) hot: bool,
    /// Each client sends its next request as soon as the previous one is accepted, and waits for all outcomes at the end
    #[arg(long)]
    pub(crate) no_wait: bool,
    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

impl LoadArguments {
    /// The number of clients.
    pub(crate) fn clients(&self) -> u64 {
        self.clients.unwrap_or(match self.mode {
            Mode::Single => 1,
            Mode::Batch => 4,
        })
    }

    /// The number of products among which each line of a purchase chooses.
    pub(crate) fn products(&self) -> u64 {
        if self.capacity.is_some() && !self.hot { PRODUCTS } else { 1 }
    }

    /// Whether the offer of this line of a purchase has the capacity.
    pub(crate) fn is_limited(&self, line: u64) -> bool {
        self.capacity.is_some() && self.capacity_lines.is_none_or(|limited| line < limited)
    }

    /// The number of purchases per request.
    pub(crate) fn purchases(&self) -> u64 {
        match self.mode {
            Mode::Single => 1,
            Mode::Batch => self.batch.unwrap_or(1_000),
        }
    }
}

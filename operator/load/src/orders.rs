//! The requests: purchases that differ only in their ids and customers.

use std::cell::Cell;
use std::fmt::Write;
use std::hash::{BuildHasher, Hasher, RandomState};

use actix_web::web::Bytes;
use anyhow::bail;
use money::Currency;

use crate::arguments::{LoadArguments, Mode};

/// The time of all purchases: a day for which the built-in history of the ECB has a rate of each currency that it had
/// then.
pub const OCCURRED_AT: &str = "2011-12-09T12:00:00Z";

/// The currency of the offers.
pub const PRICED_IN: Currency = Currency::GBP;

/// The maximum size of a body, in bytes: of a purchase, of a batch.
const BYTES_MAX: [usize; 2] = [1 << 20, 8 << 20];

/// One request.
#[derive(Clone, Debug)]
pub struct Order {
    /// The number of its first purchase.
    pub first: u64,
    /// The number of its purchases.
    pub purchases: u64,
    /// JSON; in a batch, one line per purchase.
    pub body: Bytes,
}

/// All requests of a run.
pub struct Orders {
    /// How they are sent.
    pub mode: Mode,
    run: String,
    purchases: u64,
    lines: u64,
    customers: u64,
    // The part of a purchase after its customer, for each product that its lines choose.
    rests: Vec<String>,
    next: Cell<u64>,
}

impl Orders {
    /// The requests of a run with these arguments, with names that no other run uses.
    ///
    /// # Errors
    /// When a request would be larger than the service accepts.
    pub fn new(arguments: &LoadArguments) -> anyhow::Result<Self> {
        let run = format!("load-{:016x}", RandomState::new().build_hasher().finish());
        let LoadArguments { mode, lines, customers, pay_in, .. } = *arguments;
        let purchases = arguments.purchases();
        let mut orders = Self { mode, run, purchases, lines, customers, rests: Vec::new(), next: Cell::new(0) };
        for product in 0..arguments.products() {
            let wanted = (0..lines).map(|line| format!(r#"{{"sku":"{}","quantity":1}}"#, orders.sku(line, product)));
            let wanted = wanted.collect::<Vec<_>>().join(",");
            let rest = format!(r#""pay_in":"{pay_in}","lines":[{wanted}],"occurred_at":"{OCCURRED_AT}"}}"#);
            orders.rests.push(rest);
        }
        let (bytes, most) = (orders.body(0).len(), BYTES_MAX[usize::from(mode == Mode::Batch)]);
        if bytes > most {
            bail!("a request would have {bytes} bytes, but the service accepts {most}: use fewer purchases or lines");
        }
        Ok(orders)
    }

    /// All products that are bought, each with the line of a purchase that buys it.
    pub fn skus(&self) -> impl Iterator<Item = (u64, String)> {
        let products = self.rests.len() as u64;
        (0..self.lines).flat_map(move |line| (0..products).map(move |product| (line, self.sku(line, product))))
    }

    fn sku(&self, line: u64, product: u64) -> String {
        format!("{}-{line}-{product}", self.run)
    }

    /// The id of a purchase.
    pub fn request_id(&self, number: u64) -> String {
        format!("{}-{number}", self.run)
    }

    /// The next request.
    pub fn next(&self) -> Order {
        let first = self.next.replace(self.next.get() + self.purchases);
        Order { first, purchases: self.purchases, body: self.body(first).into() }
    }

    fn body(&self, first: u64) -> String {
        let (run, customers) = (&self.run, self.customers);
        let rest_bytes = self.rests.first().map_or(0, String::len);
        let mut body = String::with_capacity(usize::try_from(self.purchases).unwrap_or(1) * (rest_bytes + 100));
        for number in first..first + self.purchases {
            let product = usize::try_from(number).unwrap_or_default() % self.rests.len();
            let rest = &self.rests[product];
            let id = match self.mode {
                Mode::Single => String::new(),
                Mode::Batch => format!(r#""request_id":"{}","#, self.request_id(number)),
            };
            let written = writeln!(body, r#"{{{id}"customer":"{run}-{}",{rest}"#, number % customers);
            assert!(written.is_ok(), "text can always be written to memory");
        }
        body
    }
}

//! The counts and times of a running load.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Instant;

use hdrhistogram::Histogram;
use reqwest::StatusCode;
use serde::Serialize;

use crate::outcomes::Outcomes;

/// Times have three significant digits, up to two minutes: no request waits that long.
const DIGITS: u8 = 3;
const MICROS_MAX: u64 = 120_000_000;

/// The purchases of the whole run, including the warm-up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Sent, once or several times.
    pub attempted: u64,
    /// Accepted, and so durable.
    pub acknowledged: u64,
    /// Paid.
    pub settled: u64,
    /// Accepted, and then rejected for a business reason other than the stock. Should be 0.
    pub rejected: u64,
    /// Refused because the stock was gone, and never charged.
    pub sold_out: u64,
    /// Charged, and paid back because the stock was gone.
    pub compensated: u64,
    /// Responses that were not as expected, even if the same request succeeded later. Should be 0.
    pub failed: u64,
    /// Responses to purchases by HTTP status, including those to repetitions. `none` counts broken connections and
    /// timeouts.
    pub responses: BTreeMap<String, u64>,
    /// The first response that was not as expected.
    pub first_failure: Option<String>,
}

impl Counts {
    /// The number of purchases with an outcome that the load expects: paid, or without stock.
    pub fn ended(&self) -> u64 {
        self.settled + self.sold_out + self.compensated
    }

    /// Counts the status of each purchase of a response.
    pub fn responses(&mut self, statuses: &[u16]) {
        for statuses in statuses.chunk_by(|a, b| a == b) {
            *self.responses.entry(statuses[0].to_string()).or_default() += statuses.len() as u64;
        }
    }

    /// Counts an attempt that has to be repeated.
    pub fn retried(&mut self, status: Option<StatusCode>, why: &str) {
        let status = status.map_or_else(|| "none".to_owned(), |status| status.as_u16().to_string());
        *self.responses.entry(status).or_default() += 1;
        self.failed += 1;
        self.first_failure.get_or_insert_with(|| why.to_owned());
    }
}

/// The counts of the whole run, and the rates and times of the measured interval.
pub struct Tally {
    /// The counts of the whole run.
    pub counts: Counts,
    /// Purchases accepted within the interval.
    pub accepted: u64,
    /// Purchases settled within the interval.
    pub settled: u64,
    /// Times from sending to acceptance, in microseconds.
    pub to_accepted_us: Histogram<u64>,
    /// Times from sending to the outcome, in microseconds.
    pub to_settled_us: Histogram<u64>,
    interval: Range<Instant>,
}

impl Tally {
    /// An empty tally for this interval.
    ///
    /// # Errors
    /// Never: the bounds of the histograms are valid.
    pub fn new(interval: Range<Instant>) -> Result<Self, hdrhistogram::CreationError> {
        Ok(Self {
            counts: Counts::default(),
            accepted: 0,
            settled: 0,
            to_accepted_us: Histogram::new_with_bounds(1, MICROS_MAX, DIGITS)?,
            to_settled_us: Histogram::new_with_bounds(1, MICROS_MAX, DIGITS)?,
            interval,
        })
    }

    /// Counts purchases that were accepted at this moment.
    pub fn acknowledged(&mut self, at: Instant, purchases: u64) {
        self.counts.acknowledged += purchases;
        if self.interval.contains(&at) {
            self.accepted += purchases;
        }
    }

    /// Records a time to acceptance.
    pub fn accepted_after(&mut self, sent: Instant, answered: Instant) {
        if self.interval.contains(&sent) {
            self.to_accepted_us.saturating_record(micros(sent, answered));
        }
    }

    /// Records a time to the outcome.
    pub fn settled_after(&mut self, sent: Instant, answered: Instant) {
        if self.interval.contains(&sent) {
            self.to_settled_us.saturating_record(micros(sent, answered));
        }
    }

    /// Counts the final results of a request.
    pub fn ended(&mut self, at: Instant, outcomes: Outcomes) {
        let counts = &mut self.counts;
        counts.settled += outcomes.settled;
        counts.rejected += outcomes.rejected;
        counts.sold_out += outcomes.sold_out;
        counts.compensated += outcomes.compensated;
        counts.failed += outcomes.rejected + outcomes.failed;
        if outcomes.rejected > 0 {
            counts.first_failure.get_or_insert_with(|| "a purchase was rejected".to_owned());
        }
        if let Some(why) = outcomes.why {
            counts.first_failure.get_or_insert(why);
        }
        if self.interval.contains(&at) {
            self.settled += outcomes.settled;
        }
    }
}

fn micros(from: Instant, to: Instant) -> u64 {
    u64::try_from((to - from).as_micros()).unwrap_or(u64::MAX)
}

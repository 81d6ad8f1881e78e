//! What is counted while the load runs.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Instant;

use hdrhistogram::Histogram;
use reqwest::StatusCode;
use serde::Serialize;

use super::client::Became;

/// Times are kept to three digits, up to two minutes: no request is waited for so long.
const DIGITS: u8 = 3;
const MICROS_MAX: u64 = 120_000_000;

/// Purchases over the whole run, the warm-up too.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Sent, however often.
    pub attempted: u64,
    /// Taken in: durable.
    pub acknowledged: u64,
    /// Paid.
    pub settled: u64,
    /// Taken in, and refused for a reason of the business: none should be.
    pub rejected: u64,
    /// Answers that were not as expected, whatever came of the same request later: none should be.
    pub failed: u64,
    /// Answers to purchases by HTTP status, those to repetitions too; `none`: the connection broke, or no answer in time.
    pub answers: BTreeMap<String, u64>,
    /// The first that was not as expected.
    pub first_failure: Option<String>,
}

impl Counts {
    /// Notes the status of each purchase of an answer.
    pub fn answers(&mut self, statuses: &[u16]) {
        for statuses in statuses.chunk_by(|a, b| a == b) {
            *self.answers.entry(statuses[0].to_string()).or_default() += statuses.len() as u64;
        }
    }

    /// Notes an attempt that has to be repeated.
    pub fn away(&mut self, status: Option<StatusCode>, why: &str) {
        let status = status.map_or_else(|| "none".to_owned(), |status| status.as_u16().to_string());
        *self.answers.entry(status).or_default() += 1;
        self.failed += 1;
        self.first_failure.get_or_insert_with(|| why.to_owned());
    }
}

/// What is counted, and within which interval times and rates are taken.
pub struct Tally {
    /// Of the whole run.
    pub counts: Counts,
    /// Taken in within the interval.
    pub accepted: u64,
    /// Paid within the interval.
    pub settled: u64,
    /// From sending to acceptance.
    pub to_accepted_us: Histogram<u64>,
    /// From sending to the outcome.
    pub to_settled_us: Histogram<u64>,
    interval: Range<Instant>,
}

impl Tally {
    /// Nothing so far.
    ///
    /// # Errors
    /// When there can be no histogram of these bounds, which is not so.
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

    /// So many were taken in, as was seen at this moment.
    pub fn acknowledged(&mut self, at: Instant, purchases: u64) {
        self.counts.acknowledged += purchases;
        if self.interval.contains(&at) {
            self.accepted += purchases;
        }
    }

    /// Notes a time to acceptance.
    pub fn accepted_after(&mut self, sent: Instant, answered: Instant) {
        if self.interval.contains(&sent) {
            self.to_accepted_us.saturating_record(micros(sent, answered));
        }
    }

    /// Notes a time to the outcome.
    pub fn settled_after(&mut self, sent: Instant, answered: Instant) {
        if self.interval.contains(&sent) {
            self.to_settled_us.saturating_record(micros(sent, answered));
        }
    }

    /// Notes what became of a request in the end.
    pub fn ended(&mut self, at: Instant, became: Became) {
        let counts = &mut self.counts;
        counts.settled += became.settled;
        counts.rejected += became.rejected;
        counts.failed += became.rejected + became.failed;
        if became.rejected > 0 {
            counts.first_failure.get_or_insert_with(|| "a purchase was rejected".to_owned());
        }
        if let Some(why) = became.why {
            counts.first_failure.get_or_insert(why);
        }
        if self.interval.contains(&at) {
            self.settled += became.settled;
        }
    }
}

fn micros(from: Instant, to: Instant) -> u64 {
    u64::try_from((to - from).as_micros()).unwrap_or(u64::MAX)
}

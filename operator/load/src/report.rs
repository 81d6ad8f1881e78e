//! The result of a load, as JSON with stable names or as text.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use contracts::{RateQuote, TrialBalance};
use hdrhistogram::Histogram;
use money::{Amount, Currency};
use operator_client::per_second;
use operator_client::trial_balance::is_quiet;
use serde::Serialize;

use crate::arguments::{LoadArguments, Mode};
use crate::metrics::{Memory, Stage};
use crate::orders::OCCURRED_AT;
use crate::tally::{Counts, Tally};

/// Times in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Times {
    /// The number of measured requests.
    pub requests: u64,
    /// The median.
    pub p50: f64,
    /// The 99th percentile.
    pub p99: f64,
    /// The maximum.
    pub max: f64,
}

impl Times {
    /// The summary of times in microseconds; `None` if there are none.
    pub fn of(micros: &Histogram<u64>) -> Option<Self> {
        let at = |quantile| milliseconds(micros.value_at_quantile(quantile));
        let requests = micros.len();
        (requests > 0).then(|| Self { requests, p50: at(0.5), p99: at(0.99), max: milliseconds(micros.max()) })
    }
}

fn milliseconds(micros: u64) -> f64 {
    Duration::from_micros(micros).as_secs_f64() * 1_000.0
}

/// The work of a stage within the interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct StageReport {
    /// The number of commits.
    pub commits: f64,
    /// The mean number of facts or requests per commit.
    pub facts_per_commit: Option<f64>,
    /// The mean time to load, apply and commit a batch, in milliseconds.
    pub ms_per_commit: Option<f64>,
    /// The number of emitted frames.
    pub frames: f64,
    /// The mean number of facts per frame.
    pub facts_per_frame: Option<f64>,
}

impl From<Stage> for StageReport {
    fn from(stage: Stage) -> Self {
        Self {
            commits: stage.batch_facts.count(),
            facts_per_commit: stage.batch_facts.mean(),
            ms_per_commit: stage.batch_seconds.mean().map(|seconds| seconds * 1_000.0),
            frames: stage.frame_facts.count(),
            facts_per_frame: stage.frame_facts.mean(),
        }
    }
}

/// The result of a load.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// How purchases were sent.
    pub mode: Mode,
    /// The number of clients.
    pub clients: u64,
    /// The number of purchases per request.
    pub purchases_per_request: u64,
    /// The number of lines per purchase.
    pub lines: u64,
    /// The capacity of each offer that has one.
    pub capacity: Option<u64>,
    /// The currency of the payments.
    pub pay_in: Currency,
    /// When the purchases happened.
    pub occurred_at: &'static str,
    /// The rate at which they were converted; `None` without conversion.
    pub rate: Option<RateQuote>,
    /// The length of the measured interval, in seconds.
    pub seconds: u64,
    /// Purchases accepted within the interval.
    pub accepted_per_second: u64,
    /// Purchases paid within the interval.
    pub settled_per_second: u64,
    /// Times from sending a request without `Prefer` to its response; `None` if none was measured.
    pub to_accepted_ms: Option<Times>,
    /// Times from sending a request with `Prefer: wait` to its response; `None` if none was measured.
    pub to_settled_ms: Option<Times>,
    /// The purchases of the whole run.
    pub purchases: Counts,
    /// Purchases that were charged and paid back because the stock was gone, of 10,000.
    pub apologies_per_10_000: u64,
    /// Purchases that were refused because the stock was gone, of 10,000.
    pub refusals_per_10_000: u64,
    /// The work of the stages within the interval, including that for other clients.
    pub stages: BTreeMap<String, StageReport>,
    /// The memory of each service's process at the end of the interval. Services in one process show the same.
    pub memory: BTreeMap<&'static str, Memory>,
    /// Debits minus credits, by currency; must be 0.
    pub differences: BTreeMap<Currency, Amount>,
    /// Whether no leg was in transit at the end.
    pub at_rest: bool,
}

impl Report {
    /// Assembles the report.
    pub fn of(
        arguments: &LoadArguments,
        rate: Option<RateQuote>,
        tally: Tally,
        (stages, memory): (BTreeMap<String, Stage>, BTreeMap<&'static str, Memory>),
        books: &TrialBalance,
    ) -> Self {
        let interval = Duration::from_secs(arguments.seconds);
        let per_10_000 = |count: u64| count * 10_000 / tally.counts.attempted.max(1);
        Self {
            mode: arguments.mode,
            clients: arguments.clients(),
            purchases_per_request: arguments.purchases(),
            lines: arguments.lines,
            capacity: arguments.capacity,
            pay_in: arguments.pay_in,
            occurred_at: OCCURRED_AT,
            rate,
            seconds: arguments.seconds,
            accepted_per_second: per_second(tally.accepted, interval),
            settled_per_second: per_second(tally.settled, interval),
            to_accepted_ms: Times::of(&tally.to_accepted_us),
            to_settled_ms: Times::of(&tally.to_settled_us),
            apologies_per_10_000: per_10_000(tally.counts.compensated),
            refusals_per_10_000: per_10_000(tally.counts.sold_out),
            purchases: tally.counts,
            stages: stages.into_iter().map(|(name, stage)| (name, stage.into())).collect(),
            memory,
            differences: books.iter().map(|(currency, line)| (*currency, line.difference)).collect(),
            at_rest: books.values().all(is_quiet),
        }
    }

    /// Whether all purchases are settled, unless there was no stock for them, and the books balance.
    pub fn is_clean(&self) -> bool {
        let Counts { attempted, failed, .. } = self.purchases;
        failed == 0
            && self.purchases.ended() == attempted
            && self.at_rest
            && self.differences.values().all(|sum| sum.is_zero())
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { clients, purchases_per_request, lines, pay_in, occurred_at, seconds, .. } = self;
        write!(f, "clients: {clients}, purchases per request: {purchases_per_request}, lines per purchase: {lines}; ")?;
        write!(f, "paid in {pay_in} as of {occurred_at}")?;
        match &self.rate {
            Some(rate) => writeln!(f, " (1 {} = {} {}, {})", rate.base, rate.rate, rate.quote, rate.source)?,
            None => writeln!(f, " (no conversion)")?,
        }
        writeln!(f, "  measured for {seconds} s")?;
        speed(f, "accepted", self.accepted_per_second, self.to_accepted_ms)?;
        speed(f, "settled", self.settled_per_second, self.to_settled_ms)?;
        let Counts { attempted, acknowledged, settled, rejected, failed, .. } = &self.purchases;
        writeln!(
            f,
            "  {attempted} attempted, {acknowledged} acknowledged, {settled} settled, {rejected} rejected, {failed} failed"
        )?;
        let Counts { sold_out, compensated, responses, first_failure, .. } = &self.purchases;
        if let Some(capacity) = self.capacity {
            let (refusals, apologies) = (self.refusals_per_10_000, self.apologies_per_10_000);
            writeln!(f, "  with a capacity of {capacity} each: {sold_out} refused, {compensated} paid back")?;
            writeln!(f, "  {refusals} refusals and {apologies} apologies per 10,000")?;
        }
        let responses: Vec<_> = responses.iter().map(|(status, count)| format!("{status}: {count}")).collect();
        writeln!(f, "  responses by HTTP status: {}", responses.join(", "))?;
        for (name, stage) in &self.stages {
            self.stage(f, name, stage)?;
        }
        for (name, memory) in &self.memory {
            let [now, peak] = [memory.resident_bytes, memory.peak_bytes].map(|bytes| bytes / 1e6);
            writeln!(f, "  {name:<14} {now:>9.1} MB resident, {peak:.1} MB at peak")?;
        }
        if let Some(why) = first_failure {
            writeln!(f, "  first failure: {why}")?;
        }
        self.books(f)
    }
}

impl Report {
    fn stage(&self, f: &mut Formatter<'_>, name: &str, stage: &StageReport) -> fmt::Result {
        let StageReport { commits, facts_per_commit, ms_per_commit, frames, facts_per_frame } = stage;
        let (Some(facts), Some(ms)) = (facts_per_commit, ms_per_commit) else { return Ok(()) };
        write!(f, "  {name:<14} {commits:>9} commits of {facts:.1} facts, {ms:.2} ms each")?;
        match facts_per_frame {
            Some(facts) => writeln!(f, "; {frames} frames of {facts:.1} facts"),
            None => writeln!(f),
        }
    }

    fn books(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (currency, difference) in self.differences.iter().filter(|(_, sum)| !sum.is_zero()) {
            writeln!(f, "  the books do not balance: the difference is {difference} {currency}")?;
        }
        match (self.at_rest, self.is_clean()) {
            (false, _) => writeln!(f, "  some legs are still in transit"),
            (true, true) => writeln!(f, "  every purchase has its outcome, and the books balance"),
            (true, false) => Ok(()),
        }
    }
}

fn speed(f: &mut Formatter<'_>, what: &str, per_second: u64, times: Option<Times>) -> fmt::Result {
    write!(f, "  {what:<14} {per_second:>9}/s")?;
    match times {
        None => writeln!(f, ", no request was measured"),
        Some(Times { p50, p99, max, requests }) => {
            writeln!(f, ", p50 {p50:.2} ms, p99 {p99:.2} ms, max {max:.2} ms ({requests} requests)")
        }
    }
}

//! What a load came to, as JSON with stable names or as text.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use contracts::{ShownRate, TrialBalance};
use hdrhistogram::Histogram;
use money::{Amount, Currency};
use serde::Serialize;

use super::metrics::{Memory, Stage};
use super::orders::OCCURRED_AT;
use super::tally::{Counts, Tally};
use super::{LoadArguments, Mode};
use crate::replay::per_second;
use crate::trial_balance::is_quiet;

/// Times in milliseconds; none where nothing was measured.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Times {
    /// How many requests were measured.
    pub requests: u64,
    /// Half of them took at most this.
    pub p50: f64,
    /// 99 of 100 took at most this.
    pub p99: f64,
    /// None took longer.
    pub max: f64,
}

impl Times {
    /// Of times in microseconds.
    pub fn of(micros: &Histogram<u64>) -> Option<Self> {
        let at = |quantile| milliseconds(micros.value_at_quantile(quantile));
        let requests = micros.len();
        (requests > 0).then(|| Self { requests, p50: at(0.5), p99: at(0.99), max: milliseconds(micros.max()) })
    }
}

fn milliseconds(micros: u64) -> f64 {
    Duration::from_micros(micros).as_secs_f64() * 1_000.0
}

/// What a stage has done within the interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct StageReport {
    /// Commits.
    pub commits: f64,
    /// Facts or requests of a commit, on average.
    pub facts_per_commit: Option<f64>,
    /// To load, apply and commit, on average.
    pub ms_per_commit: Option<f64>,
    /// Frames said.
    pub frames: f64,
    /// Facts of a frame, on average.
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

/// All of it.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// How purchases were sent.
    pub mode: Mode,
    /// How many clients sent.
    pub clients: u64,
    /// Purchases of a request.
    pub purchases_per_request: u64,
    /// Lines of a purchase.
    pub lines: u64,
    /// The currency paid in.
    pub pay_in: Currency,
    /// When the purchases happened.
    pub occurred_at: &'static str,
    /// The rate they were converted by; none without conversion.
    pub rate: Option<ShownRate>,
    /// How long it was measured.
    pub seconds: u64,
    /// Purchases taken in within the interval.
    pub accepted_per_second: u64,
    /// Purchases paid within the interval.
    pub settled_per_second: u64,
    /// From sending a request without `Prefer` to its answer.
    pub to_accepted_ms: Option<Times>,
    /// From sending a request with `Prefer: wait` to its answer.
    pub to_settled_ms: Option<Times>,
    /// Purchases of the whole run.
    pub purchases: Counts,
    /// What the stages have done within the interval, whoever asked.
    pub stages: BTreeMap<String, StageReport>,
    /// The memory of each service's process at the end of the interval; the same where they share one.
    pub memory: BTreeMap<&'static str, Memory>,
    /// Debits less credits, by currency: 0.
    pub differences: BTreeMap<Currency, Amount>,
    /// Whether nothing was in transit any more.
    pub at_rest: bool,
}

impl Report {
    /// Puts it together.
    pub fn of(
        arguments: &LoadArguments,
        rate: Option<ShownRate>,
        tally: Tally,
        (stages, memory): (BTreeMap<String, Stage>, BTreeMap<&'static str, Memory>),
        books: &TrialBalance,
    ) -> Self {
        let interval = Duration::from_secs(arguments.seconds);
        Self {
            mode: arguments.mode,
            clients: arguments.clients(),
            purchases_per_request: arguments.purchases(),
            lines: arguments.lines,
            pay_in: arguments.pay_in,
            occurred_at: OCCURRED_AT,
            rate,
            seconds: arguments.seconds,
            accepted_per_second: per_second(tally.accepted, interval),
            settled_per_second: per_second(tally.settled, interval),
            to_accepted_ms: Times::of(&tally.to_accepted_us),
            to_settled_ms: Times::of(&tally.to_settled_us),
            purchases: tally.counts,
            stages: stages.into_iter().map(|(name, stage)| (name, stage.into())).collect(),
            memory,
            differences: books.iter().map(|(currency, line)| (*currency, line.difference)).collect(),
            at_rest: books.values().all(is_quiet),
        }
    }

    /// Whether all is as it must be.
    pub fn is_clean(&self) -> bool {
        let Counts { attempted, settled, failed, .. } = self.purchases;
        failed == 0 && settled == attempted && self.at_rest && self.differences.values().all(|sum| sum.is_zero())
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { clients, purchases_per_request, lines, pay_in, occurred_at, seconds, .. } = self;
        write!(
            f,
            "clients: {clients}, purchases of a request: {purchases_per_request}, lines of a purchase: {lines}; "
        )?;
        write!(f, "paid in {pay_in} as of {occurred_at}")?;
        match &self.rate {
            Some(rate) => writeln!(f, " (1 {} = {} {}, {})", rate.base, rate.rate, rate.quote, rate.source)?,
            None => writeln!(f, " (no conversion)")?,
        }
        writeln!(f, "  measured for {seconds} s")?;
        speed(f, "accepted", self.accepted_per_second, self.to_accepted_ms)?;
        speed(f, "settled", self.settled_per_second, self.to_settled_ms)?;
        let Counts { attempted, acknowledged, settled, rejected, failed, answers, first_failure } = &self.purchases;
        writeln!(
            f,
            "  {attempted} attempted, {acknowledged} acknowledged, {settled} settled, {rejected} rejected, {failed} failed"
        )?;
        let answers: Vec<_> = answers.iter().map(|(status, count)| format!("{status}: {count}")).collect();
        writeln!(f, "  answers by HTTP status: {}", answers.join(", "))?;
        for (name, stage) in &self.stages {
            self.stage(f, name, stage)?;
        }
        for (name, memory) in &self.memory {
            let [now, peak] = [memory.resident_bytes, memory.peak_bytes].map(|bytes| bytes / 1e6);
            writeln!(f, "  {name:<14} {now:>9.1} MB resident, {peak:.1} MB at its peak")?;
        }
        if let Some(why) = first_failure {
            writeln!(f, "  the first failure: {why}")?;
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
            (false, _) => writeln!(f, "  the books have not come to rest"),
            (true, true) => writeln!(f, "  all is settled, and the books balance"),
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

//! What a replay came to, as JSON with stable names or as text.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use contracts::{ReasonCode, Status};
use money::{Amount, Currency, Money};
use serde::Serialize;

use super::books::Sums;
use super::days::Days;
use super::findings::Findings;
use super::row::Unsent;
use super::sending::Taken;
use super::source::Shape;
use super::survey::{Counts, UnsentInvoice};

/// What the purchases came to, as the services answered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Outcomes {
    /// Paid.
    pub settled: u64,
    /// Refused, by reason.
    pub rejected: BTreeMap<ReasonCode, u64>,
    /// Without an outcome: never, once all is settled.
    pub waiting: u64,
}

/// How long it took, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Milliseconds {
    /// Reading the whole file once.
    pub reading: u64,
    /// Setting offers.
    pub offers: u64,
    /// From the first purchase sent to the last one answered.
    pub sending: u64,
    /// From there to the last outcome.
    pub settling: u64,
    /// Comparing with the ledger.
    pub checking: u64,
}

/// What is in a file, and what is sent of it.
#[derive(Clone, Debug, Serialize)]
pub struct Contents {
    /// The file.
    pub file: String,
    /// What it turned out to be.
    #[serde(flatten)]
    pub shape: Shape,
    /// The days that are sent.
    pub days: Days,
    /// Its lines.
    pub lines: Counts<Unsent>,
    /// Its invoices; one that is sent is a purchase.
    pub invoices: Counts<UnsentInvoice>,
    /// What is offered for them.
    pub offers: u64,
}

/// What a replay came to. Of a second run of the same file all but `offers_set`, the times and the speed are the same.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// What was sent.
    #[serde(flatten)]
    pub contents: Contents,
    /// Offers that had to be set.
    pub offers_set: u64,
    /// What became of the purchases.
    pub outcomes: Outcomes,
    /// What customers were charged, by currency.
    pub charged: BTreeMap<Currency, Amount>,
    /// What the seller got for it.
    pub total: BTreeMap<Currency, Amount>,
    /// What the ledger holds of these purchases, by place and currency.
    pub ledger: Sums,
    /// Purchases that could not be taken.
    pub problems: Findings,
    /// What is not as the file and the rates say.
    pub differences: Findings,
    /// How long it took.
    pub milliseconds: Milliseconds,
    /// From the first purchase sent to the last outcome.
    pub purchases_per_second: u64,
    /// In the same time.
    pub lines_per_second: u64,
}

impl Outcomes {
    /// Counts them.
    pub fn of(all: &[Taken]) -> Self {
        let mut outcomes = Self::default();
        for answer in all.iter().map(|taken| &taken.answer) {
            match (answer.status, &answer.reason) {
                (Status::Settled, _) => outcomes.settled += 1,
                (Status::Rejected, Some(reason)) => *outcomes.rejected.entry(reason.code).or_default() += 1,
                (Status::Rejected, None) | (Status::Confirmed, _) => outcomes.waiting += 1,
            }
        }
        outcomes
    }
}

/// Sums of money, by currency.
pub fn by_currency(sums: impl IntoIterator<Item = Money>) -> BTreeMap<Currency, Amount> {
    let mut all = BTreeMap::new();
    for sum in sums {
        let currency = sum.currency();
        *all.entry(currency).or_insert_with(|| Amount::zero(currency)) += sum.amount();
    }
    all
}

/// So many in a second.
pub fn per_second(count: u64, time: Duration) -> u64 {
    let milliseconds = time.as_millis().max(1);
    u64::try_from(u128::from(count) * 1_000 / milliseconds).unwrap_or(u64::MAX)
}

impl Summary {
    /// Whether all is as it must be.
    pub fn is_clean(&self) -> bool {
        self.problems.count == 0 && self.differences.count == 0
    }
}

impl Display for Contents {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} ({})", self.file, self.shape)?;
        if !self.days.are_all() {
            writeln!(f, "  only invoices {}", self.days)?;
        }
        counts(f, "lines", &self.lines)?;
        counts(f, "invoices", &self.invoices)?;
        writeln!(f, "  {:<10}{:>9} needed", "offers", self.offers)
    }
}

impl Display for Summary {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.contents)?;
        writeln!(f, "  {:<10}{:>9} set", "", self.offers_set)?;
        write!(f, "  {:<10}{:>9} settled", "purchases", self.outcomes.settled)?;
        for (reason, count) in &self.outcomes.rejected {
            write!(f, ", {count} rejected: {}", name(reason))?;
        }
        writeln!(f)?;
        amounts(f, "charged", &self.charged)?;
        amounts(f, "seller got", &self.total)?;
        let Milliseconds { reading, offers, sending, settling, checking } = self.milliseconds;
        writeln!(f, "  {:<10}{:>9} ms", "took", reading + offers + sending + settling + checking)?;
        writeln!(
            f,
            "    reading {reading}, offers {offers}, sending {sending}, settling {settling}, checking {checking}"
        )?;
        writeln!(
            f,
            "  {:<10}{:>9} purchases/s, {} lines/s",
            "speed", self.purchases_per_second, self.lines_per_second
        )?;
        findings(f, "could not be taken", &self.problems)?;
        findings(f, "differ from the file and the rates", &self.differences)?;
        if self.is_clean() {
            writeln!(f, "  the ledger holds what the file and the rates out, to the last penny")?;
        }
        Ok(())
    }
}

fn counts<R: Ord + Serialize>(f: &mut Formatter<'_>, what: &str, counts: &Counts<R>) -> fmt::Result {
    write!(f, "  {what:<10}{:>9} read, {} sent", counts.read, counts.sent)?;
    for (reason, count) in &counts.skipped {
        write!(f, ", {count} not: {}", name(reason))?;
    }
    writeln!(f)
}

fn amounts(f: &mut Formatter<'_>, what: &str, sums: &BTreeMap<Currency, Amount>) -> fmt::Result {
    for (place, (currency, amount)) in sums.iter().enumerate() {
        let what = if place == 0 { what } else { "" };
        writeln!(f, "  {what:<10}{:>16} {currency}", amount.to_string())?;
    }
    Ok(())
}

fn findings(f: &mut Formatter<'_>, what: &str, findings: &Findings) -> fmt::Result {
    if findings.count > 0 {
        writeln!(f, "  {} {what}, the first:", findings.count)?;
    }
    findings.first.iter().try_for_each(|finding| writeln!(f, "    {finding}"))
}

/// The name a reason has in JSON, in words.
fn name(reason: &impl Serialize) -> String {
    let name = serde_json::to_value(reason).ok();
    name.as_ref().and_then(|name| name.as_str()).unwrap_or_default().replace('_', " ")
}

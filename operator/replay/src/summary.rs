//! The result of a replay, as JSON with stable names or as text.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

use contracts::{ReasonCode, Status};
use money::{Amount, Currency, Money};
use serde::Serialize;

use crate::books::Sums;
use crate::days::Days;
use crate::findings::Findings;
use crate::purchase::Response;
use crate::row::Unsent;
use crate::shape::Shape;
use crate::survey::{Counts, UnsentInvoice};

/// The outcomes of the purchases or of the returns, as the services returned them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Outcomes {
    /// Paid, or refunded.
    pub settled: u64,
    /// Rejected, by reason.
    pub rejected: BTreeMap<ReasonCode, u64>,
    /// Without an outcome; 0 once everything is settled.
    pub waiting: u64,
}

/// The durations of the steps, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Milliseconds {
    /// Reading the whole file once.
    pub reading: u64,
    /// Setting offers.
    pub offers: u64,
    /// From the first invoice sent to the last response.
    pub sending: u64,
    /// From then to the last outcome.
    pub settling: u64,
    /// Comparing with the ledger.
    pub checking: u64,
}

/// The contents of a file, and what is sent of it.
#[derive(Clone, Debug, Serialize)]
pub struct Contents {
    /// The file.
    pub file: String,
    /// Its detected format.
    #[serde(flatten)]
    pub shape: Shape,
    /// The days that are sent.
    pub days: Days,
    /// Its lines.
    pub lines: Counts<Unsent>,
    /// Its invoices; one that is sent is a purchase or a return.
    pub invoices: Counts<UnsentInvoice>,
    /// The number of offers that they need.
    pub offers: u64,
}

/// The result of a replay. A second run of the same file has the same result, except `offers_set`, times and speed.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// The contents of the file.
    #[serde(flatten)]
    pub contents: Contents,
    /// The number of offers that had to be set.
    pub offers_set: u64,
    /// The outcomes of the purchases.
    pub outcomes: Outcomes,
    /// The amounts charged to customers, by currency.
    pub charged: BTreeMap<Currency, Amount>,
    /// The amounts that the seller got, by currency.
    pub total: BTreeMap<Currency, Amount>,
    /// The outcomes of the returns.
    pub returns: Outcomes,
    /// The amounts refunded to customers, by currency.
    pub refunded: BTreeMap<Currency, Amount>,
    /// The amounts that the seller gave back, by currency.
    pub returned: BTreeMap<Currency, Amount>,
    /// The ledger's postings of these purchases and returns, by place and currency.
    pub ledger: Sums,
    /// Invoices that were not accepted.
    pub problems: Findings,
    /// Differences from the results expected by the file and the rates.
    pub differences: Findings,
    /// The durations of the steps.
    pub milliseconds: Milliseconds,
    /// Invoices per second, from the first one sent to the last outcome.
    pub invoices_per_second: u64,
    /// Lines per second, in the same time.
    pub lines_per_second: u64,
}

impl Outcomes {
    /// Counts the outcomes.
    pub fn of<'a>(all: impl Iterator<Item = &'a Response>) -> Self {
        let mut outcomes = Self::default();
        for response in all {
            match (response.status, &response.reason) {
                (Status::Settled, _) => outcomes.settled += 1,
                (Status::Rejected, Some(reason)) => *outcomes.rejected.entry(reason.code).or_default() += 1,
                (Status::Rejected, None) | (Status::Accepted | Status::Confirmed | Status::Compensated, _) => {
                    outcomes.waiting += 1
                }
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

impl Summary {
    /// Whether everything was accepted and nothing differs.
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
        outcomes(f, "purchases", &self.outcomes)?;
        amounts(f, "charged", &self.charged)?;
        amounts(f, "seller got", &self.total)?;
        if self.returns != Outcomes::default() {
            outcomes(f, "returns", &self.returns)?;
            amounts(f, "refunded", &self.refunded)?;
            amounts(f, "given back", &self.returned)?;
        }
        let Milliseconds { reading, offers, sending, settling, checking } = self.milliseconds;
        writeln!(f, "  {:<10}{:>9} ms", "took", reading + offers + sending + settling + checking)?;
        writeln!(
            f,
            "    reading {reading}, offers {offers}, sending {sending}, settling {settling}, checking {checking}"
        )?;
        writeln!(f, "  {:<10}{:>9} invoices/s, {} lines/s", "speed", self.invoices_per_second, self.lines_per_second)?;
        findings(f, "were not accepted", &self.problems)?;
        findings(f, "differ from the file and the rates", &self.differences)?;
        if self.is_clean() {
            writeln!(f, "  the ledger matches the file and the rates, to the last penny")?;
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

fn outcomes(f: &mut Formatter<'_>, what: &str, outcomes: &Outcomes) -> fmt::Result {
    write!(f, "  {what:<10}{:>9} settled", outcomes.settled)?;
    for (reason, count) in &outcomes.rejected {
        write!(f, ", {count} rejected: {}", name(reason))?;
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

/// Writes the number of findings, and the first ones.
pub fn findings(f: &mut Formatter<'_>, what: &str, findings: &Findings) -> fmt::Result {
    if findings.count > 0 {
        writeln!(f, "  {} {what}, the first:", findings.count)?;
    }
    findings.first.iter().try_for_each(|finding| writeln!(f, "    {finding}"))
}

/// The name of a reason in JSON, with spaces between its words.
fn name(reason: &impl Serialize) -> String {
    let name = serde_json::to_value(reason).ok();
    name.as_ref().and_then(|name| name.as_str()).unwrap_or_default().replace('_', " ")
}

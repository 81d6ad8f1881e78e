//! The trial balance: debits and credits in each currency, including the legs in transit.

use std::collections::BTreeMap;

use contracts::{TrialBalance, TrialLine};
use money::{Amount, Currency};

use crate::post::TotalsRow;

/// Adds up the trial balance from the running totals of all partitions.
pub(crate) fn add_up<'a>(rows: impl IntoIterator<Item = &'a TotalsRow>) -> TrialBalance {
    let mut balance: BTreeMap<Currency, TrialLine> = BTreeMap::new();
    for row in rows {
        let zero = Amount::zero(row.currency);
        let line = balance.entry(row.currency).or_insert(TrialLine {
            debits: zero,
            credits: zero,
            in_transit_debits: zero,
            in_transit_credits: zero,
            difference: zero,
        });
        line.debits += row.debits;
        line.credits += row.credits;
        line.in_transit_debits += row.requested_debits - row.completed_debits;
        line.in_transit_credits += row.requested_credits - row.completed_credits;
        line.difference = line.debits + line.in_transit_debits - line.credits - line.in_transit_credits;
    }
    TrialBalance(balance)
}

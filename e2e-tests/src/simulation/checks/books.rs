//! Checks of the ledger: every posting is due exactly once, balances are sums of postings, and nothing is lost.

use std::collections::BTreeMap;

use dataflow::Store;
use ledger::post::{AccountRow, BalanceRow, EntryRow, TotalsRow};
use money::{Amount, Currency};
use stage::{Partition, PartitionCount, Row, partition_of};

use crate::simulation::model::{Model, minor_units, units};
use crate::simulation::scene::now;
use crate::simulation::violation::{Checked, Violation, ensure, stopped};

/// The postings so far, in minor units.
#[derive(Debug, Default)]
pub(super) struct Books {
    entries: BTreeMap<String, u64>,
    balances: BTreeMap<(String, String), i128>,
    /// Posted debits and credits by partition and currency.
    posted: BTreeMap<(Partition, String), (i128, i128)>,
    /// What each purchase moved on each account, credits less debits: its payment and refunds, and its vouchers.
    of_purchases: BTreeMap<(String, String, String), (i128, i128)>,
}

impl Books {
    /// Checks what a batch of `post` wrote.
    pub(super) fn posted(&mut self, store: &Store, model: &mut Model) -> Checked {
        for AccountRow { account, entries, .. } in all::<AccountRow>(store)? {
            let name = account.to_string();
            let known = self.entries.get(&name).copied().unwrap_or_default();
            ensure!(entries >= known, Money, "{name} lost entries");
            if entries == known {
                continue;
            }
            let prefix = &AccountRow::key_cells(&(account.clone(),));
            let after = [stage::Cell::Integer(i64::try_from(known).unwrap_or(i64::MAX))];
            let rows =
                now(store.rows::<EntryRow>(prefix, Some(&after), usize::MAX)).map_err(|error| stopped(&error))?;
            ensure!(rows.len() as u64 == entries - known, Money, "{name} counts more or fewer entries than it has");
            for (number, row) in (known + 1..).zip(rows) {
                ensure!(row.number == number, Money, "{name} has entry {} where {number} is next", row.number);
                self.entry(&row, store.meta().partitions, model)?;
            }
            self.entries.insert(name, entries);
        }
        self.balances_are_sums(store)?;
        self.nothing_is_lost(store)
    }

    /// What a purchase moved on an account, credits less debits: its payment and refunds, and its vouchers.
    pub(super) fn of_purchase(&self, purchase: &str, account: &str, currency: &str) -> (i128, i128) {
        let key = (purchase.to_owned(), account.to_owned(), currency.to_owned());
        self.of_purchases.get(&key).copied().unwrap_or_default()
    }

    fn entry(&mut self, row: &EntryRow, partitions: PartitionCount, model: &mut Model) -> Checked {
        let (account, currency) = (row.account.to_string(), row.currency.to_string());
        let amount = minor(row.amount, row.currency)?;
        let side = match row.side {
            contracts::Side::Debit => "debit",
            contracts::Side::Credit => "credit",
        };
        let purpose = match row.purpose {
            contracts::Purpose::Purchase => "purchase",
            contracts::Purpose::Refund => "refund",
            contracts::Purpose::Return => "return",
            contracts::Purpose::Voucher => "voucher",
            contracts::Purpose::Transfer => "transfer",
            contracts::Purpose::OverdraftFee => "overdraft_fee",
        };
        let due = (account.clone(), row.request_id.0.clone(), purpose, side, currency.clone(), amount);
        ensure!(model.ledger.posted(&due), Money, "{due:?} was posted and is not due (any more)");
        if matches!(purpose, "purchase" | "refund" | "voucher") {
            let of_purchase = self.of_purchases.entry((row.request_id.0.clone(), account.clone(), currency.clone()));
            let sums = of_purchase.or_default();
            let sum = if purpose == "voucher" { &mut sums.1 } else { &mut sums.0 };
            *sum += if side == "credit" { amount } else { -amount };
        }
        let balance = self.balances.entry((account.clone(), currency.clone())).or_default();
        let posted = self.posted.entry((partition_of(&account, partitions), currency)).or_default();
        match row.side {
            contracts::Side::Debit => (*balance -= amount, posted.0 += amount),
            contracts::Side::Credit => (*balance += amount, posted.1 += amount),
        };
        Ok(())
    }

    fn balances_are_sums(&self, store: &Store) -> Checked {
        let mut stored = BTreeMap::new();
        for BalanceRow { account, currency, amount } in all::<BalanceRow>(store)? {
            stored.insert((account.to_string(), currency.to_string()), minor(amount, currency)?);
        }
        ensure!(stored == self.balances, Money, "balances are {stored:?}, postings sum to {:?}", self.balances);
        Ok(())
    }

    /// Checks that posted plus in transit is zero per currency, and that the totals are those of the postings.
    fn nothing_is_lost(&self, store: &Store) -> Checked {
        let mut differences: BTreeMap<Currency, i128> = BTreeMap::new();
        let mut stored = BTreeMap::new();
        for row in all::<TotalsRow>(store)? {
            let of = |amount: Amount| minor(amount, row.currency);
            let (debits, credits) = (of(row.debits)?, of(row.credits)?);
            let in_transit = (
                of(row.requested_debits)? - of(row.completed_debits)?,
                of(row.requested_credits)? - of(row.completed_credits)?,
            );
            *differences.entry(row.currency).or_default() += debits + in_transit.0 - credits - in_transit.1;
            if (debits, credits) != (0, 0) {
                stored.insert((row.partition, row.currency.to_string()), (debits, credits));
            }
        }
        let posted = self.posted.iter().filter(|(_, sums)| **sums != (0, 0));
        let posted: BTreeMap<_, _> = posted.map(|(key, sums)| (key.clone(), *sums)).collect();
        ensure!(stored == posted, Money, "totals are {stored:?}, postings sum to {posted:?}");
        ensure!(differences.values().all(|difference| *difference == 0), Money, "the books differ by {differences:?}");
        Ok(())
    }

    /// Checks that nothing is in transit, and that every account has its expected balance.
    pub(super) fn at_the_end(&self, store: &Store, model: &Model) -> Checked {
        let model = &model.ledger;
        let due: Vec<_> = model.due().collect();
        ensure!(due.is_empty(), Money, "these were never posted: {due:?}");
        ensure!(self.balances == model.balances, Money, "accounts hold {:?}, not {:?}", self.balances, model.balances);
        let mut in_transit: BTreeMap<Currency, (i128, i128)> = BTreeMap::new();
        for row in all::<TotalsRow>(store)? {
            let of = |amount: Amount| minor(amount, row.currency);
            let (debits, credits) = in_transit.entry(row.currency).or_default();
            *debits += of(row.requested_debits)? - of(row.completed_debits)?;
            *credits += of(row.requested_credits)? - of(row.completed_credits)?;
        }
        ensure!(in_transit.values().all(|sums| *sums == (0, 0)), Money, "still in transit: {in_transit:?}");
        let mut sums: BTreeMap<&str, i128> = BTreeMap::new();
        for ((_, currency), balance) in &self.balances {
            *sums.entry(currency).or_default() += balance;
        }
        ensure!(sums.values().all(|sum| *sum == 0), Money, "balances do not sum to zero: {sums:?}");
        Ok(())
    }
}

fn all<R: Row>(store: &Store) -> Checked<Vec<R>> {
    now(store.rows::<R>(&[], None, usize::MAX)).map_err(|error| stopped(&error))
}

fn minor(amount: Amount, currency: Currency) -> Checked<i128> {
    let text = amount.to_string();
    let value = units(&text, minor_units(currency.code()));
    let invariant = crate::simulation::violation::Invariant::Money;
    value.ok_or_else(|| Violation { invariant, what: format!("{text} is not an amount of {currency}") })
}

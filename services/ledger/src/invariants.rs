//! What must hold of the rows of the whole ledger, whoever wrote them.
//!
//! Every balance is the sum of its entries, the entries of an account are numbered without holes, the
//! running totals are the sums of what was posted, and in every currency debits equal credits once what is
//! in transit is counted.

use std::collections::{BTreeMap, BTreeSet};

use contracts::{AccountId, Side};
use money::{Amount, Currency};
use stage::{Reading, Violation};

use crate::post::{AccountRow, BalanceRow, EntryRow, TotalsRow};

/// Both sides in one currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sides {
    debits: Amount,
    credits: Amount,
}

impl Sides {
    fn zero(currency: Currency) -> Self {
        Self { debits: Amount::zero(currency), credits: Amount::zero(currency) }
    }

    fn post(&mut self, side: Side, amount: Amount) {
        match side {
            Side::Debit => self.debits += amount,
            Side::Credit => self.credits += amount,
        }
    }
}

/// Adds up a ledger: first all entries, in the order of their key, then all other rows.
#[derive(Debug, Default)]
pub struct Books {
    entries: BTreeMap<AccountId, u64>,
    balances: BTreeMap<(AccountId, Currency), Amount>,
    posted: BTreeMap<Currency, Sides>,
    totals: BTreeMap<Currency, Sides>,
    in_transit: BTreeMap<Currency, Sides>,
    violations: Vec<Violation>,
}

impl Books {
    /// Takes in an entry.
    pub fn entry(&mut self, row: &EntryRow) {
        let number = self.entries.entry(row.account.clone()).or_default();
        *number += 1;
        if *number != row.number {
            let what = format!("is number {}, and {number} is due", row.number);
            self.violations.push(Violation { place: format!("entry {} {}", row.account, row.number), what });
        }
        let balance = self.balances.entry((row.account.clone(), row.currency));
        let balance = balance.or_insert(Amount::zero(row.currency));
        match row.side {
            Side::Debit => *balance -= row.amount,
            Side::Credit => *balance += row.amount,
        }
        let posted = self.posted.entry(row.currency).or_insert(Sides::zero(row.currency));
        posted.post(row.side, row.amount);
    }

    /// Takes in an account.
    pub fn account(&mut self, row: &AccountRow) {
        let entries = self.entries.remove(&row.account).unwrap_or_default();
        self.same(format!("account {}", row.account), "entries", row.entries, entries);
    }

    /// Takes in a balance.
    pub fn balance(&mut self, row: &BalanceRow) {
        let sum = self.balances.remove(&(row.account.clone(), row.currency));
        let sum = sum.unwrap_or(Amount::zero(row.currency));
        self.same(format!("balance {} {}", row.account, row.currency), "the sum of its entries", row.amount, sum);
    }

    /// Takes in the totals of a partition.
    pub fn totals(&mut self, row: &TotalsRow) {
        let zero = Sides::zero(row.currency);
        let totals = self.totals.entry(row.currency).or_insert(zero);
        totals.debits += row.debits;
        totals.credits += row.credits;
        let in_transit = self.in_transit.entry(row.currency).or_insert(zero);
        in_transit.debits += row.said_debits - row.applied_debits;
        in_transit.credits += row.said_credits - row.applied_credits;
    }

    /// What does not hold of all of it. Once everything is read, nothing is in transit.
    pub fn close(mut self, reading: Reading) -> Vec<Violation> {
        for account in std::mem::take(&mut self.entries).into_keys() {
            self.wrong(format!("account {account}"), "has entries and is not there".to_owned());
        }
        for (account, currency) in std::mem::take(&mut self.balances).into_keys() {
            self.wrong(format!("balance {account} {currency}"), "has entries and is not there".to_owned());
        }
        let currencies: BTreeSet<_> = self.posted.keys().chain(self.totals.keys()).copied().collect();
        for currency in currencies {
            let of = |sides: &BTreeMap<Currency, Sides>| *sides.get(&currency).unwrap_or(&Sides::zero(currency));
            let (posted, totals, in_transit) = (of(&self.posted), of(&self.totals), of(&self.in_transit));
            self.same(format!("totals {currency} debits"), "the sum of the entries", totals.debits, posted.debits);
            self.same(format!("totals {currency} credits"), "the sum of the entries", totals.credits, posted.credits);
            let (debits, credits) = (posted.debits + in_transit.debits, posted.credits + in_transit.credits);
            self.same(format!("trial balance {currency}"), "what is debited", credits, debits);
            if reading == Reading::Done && in_transit != Sides::zero(currency) {
                self.wrong(
                    format!("trial balance {currency}"),
                    format!("{} and {} are in transit for ever", in_transit.debits, in_transit.credits),
                );
            }
        }
        self.violations
    }

    fn same<T: Copy + PartialEq + std::fmt::Display>(&mut self, place: String, of: &str, stands: T, counted: T) {
        if stands != counted {
            self.wrong(place, format!("says {stands}, but {of}: {counted}"));
        }
    }

    fn wrong(&mut self, place: String, what: String) {
        self.violations.push(Violation { place, what });
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use stage::RequestId;

    use super::*;

    fn eur() -> Currency {
        "EUR".parse().unwrap()
    }

    fn amount(text: &str) -> Amount {
        text.parse().unwrap()
    }

    fn entry(account: &str, number: u64, side: Side, text: &str) -> EntryRow {
        EntryRow {
            account: account.parse().unwrap(),
            number,
            transfer: RequestId("t".into()),
            side,
            currency: eur(),
            amount: amount(text),
            time: DateTime::UNIX_EPOCH,
        }
    }

    fn balance(account: &str, text: &str) -> BalanceRow {
        BalanceRow { account: account.parse().unwrap(), currency: eur(), amount: amount(text) }
    }

    fn totals(debits: &str, credits: &str, said_credits: &str, applied_credits: &str) -> TotalsRow {
        TotalsRow {
            partition: 0,
            currency: eur(),
            debits: amount(debits),
            credits: amount(credits),
            said_debits: amount("0.00"),
            said_credits: amount(said_credits),
            applied_debits: amount("0.00"),
            applied_credits: amount(applied_credits),
        }
    }

    /// `customer:a` has paid 5.00; whether the merchant has got it, the rest says.
    fn check(rows: &[EntryRow], balances: &[BalanceRow], totals: &TotalsRow, reading: Reading, expected: &[&str]) {
        let mut books = Books::default();
        rows.iter().for_each(|row| books.entry(row));
        let mut accounts: Vec<_> = rows.iter().map(|row| row.account.clone()).collect();
        accounts.dedup();
        for account in accounts {
            let entries = rows.iter().filter(|row| row.account == account).count() as u64;
            books.account(&AccountRow { account, entries });
        }
        balances.iter().for_each(|row| books.balance(row));
        books.totals(totals);
        let places: Vec<_> = books.close(reading).into_iter().map(|violation| violation.place).collect();
        assert_eq!(places, expected);
    }

    #[test]
    fn what_is_in_transit_counts_until_it_is_posted() {
        let paid = [entry("customer:a", 1, Side::Debit, "5.00")];
        let both = [paid[0].clone(), entry("merchant", 1, Side::Credit, "5.00")];
        let after = [balance("customer:a", "-5.00"), balance("merchant", "5.00")];
        check(&paid, &after[..1], &totals("5.00", "0.00", "5.00", "0.00"), Reading::UnderWay, &[]);
        check(&both, &after, &totals("5.00", "5.00", "5.00", "5.00"), Reading::Done, &[]);
        let lost = totals("5.00", "0.00", "5.00", "0.00");
        check(&paid, &after[..1], &lost, Reading::Done, &["trial balance EUR"]);
        let never_said = totals("5.00", "0.00", "0.00", "0.00");
        check(&paid, &after[..1], &never_said, Reading::UnderWay, &["trial balance EUR"]);
    }

    #[test]
    fn every_sum_is_the_sum_of_its_entries() {
        let paid = [entry("customer:a", 1, Side::Debit, "2.00"), entry("customer:a", 3, Side::Debit, "3.00")];
        let sums = totals("5.00", "0.00", "5.00", "0.00");
        let wrong = [balance("customer:a", "-5.01"), balance("customer:b", "1.00")];
        let places = ["entry customer:a 3", "balance customer:a EUR", "balance customer:b EUR"];
        check(&paid, &wrong, &sums, Reading::UnderWay, &places);
        let sums = totals("6.00", "0.00", "6.00", "0.00");
        let places = ["entry customer:a 3", "totals EUR debits", "trial balance EUR"];
        check(&paid, &[balance("customer:a", "-5.00")], &sums, Reading::UnderWay, &places);
        let sums = totals("5.00", "0.00", "5.00", "0.00");
        check(
            &paid[..1],
            &[],
            &sums,
            Reading::UnderWay,
            &["balance customer:a EUR", "totals EUR debits", "trial balance EUR"],
        );
    }
}

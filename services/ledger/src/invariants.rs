//! Invariants over all rows of the ledger, no matter who wrote them.
//!
//! Every balance is the sum of its entries, the entries of an account are numbered without gaps, no account ever went
//! below its limit, a fee was paid once for each crossing of a limit, the running totals are the sums of the postings,
//! and in every currency debits equal credits, including those in transit. Every claim and every accepted transfer has
//! at most one decision (exactly one, once all facts are read), and there is no decision without a request. The payments
//! of a day are the sum of their entries, and no account paid more than its daily limit.

mod decisions;

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use contracts::{AccountId, Purpose, Side};
use money::{Amount, Currency};
use rules::{Allowance, Authorization, is_daily_payment};
use stage::{Quiescence, RequestId, Violation};

use crate::post::{AccountRow, BalanceRow, DailyPaymentsRow, EntryRow, TotalsRow};

pub use self::decisions::Decisions;

/// The debits and credits in one currency.
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

/// The state of an account while its entries are added.
#[derive(Debug)]
struct Known {
    row: AccountRow,
    entries: u64,
    /// Fees that are due and not charged yet, each with the request that crossed the limit.
    owes: Vec<(RequestId, Amount)>,
    /// The payments of each day that count against its daily limit.
    daily_payments: BTreeMap<NaiveDate, Amount>,
}

/// Adds up a ledger. Add all accounts first, then all entries in the order of their keys, then all other rows.
#[derive(Debug, Default)]
pub struct Books {
    accounts: BTreeMap<AccountId, Known>,
    balances: BTreeMap<(AccountId, Currency), Amount>,
    posted: BTreeMap<Currency, Sides>,
    totals: BTreeMap<Currency, Sides>,
    in_transit: BTreeMap<Currency, Sides>,
    violations: Vec<Violation>,
}

impl Books {
    /// Adds an account.
    pub fn account(&mut self, row: &AccountRow) {
        let (owes, daily_payments) = Default::default();
        self.accounts.insert(row.account.clone(), Known { row: row.clone(), entries: 0, owes, daily_payments });
    }

    /// Adds an entry.
    pub fn entry(&mut self, row: &EntryRow) {
        let balance = self.balances.entry((row.account.clone(), row.currency));
        let balance = balance.or_insert(Amount::zero(row.currency));
        let before = *balance;
        match row.side {
            Side::Debit => *balance -= row.amount,
            Side::Credit => *balance += row.amount,
        }
        let after = *balance;
        let posted = self.posted.entry(row.currency).or_insert(Sides::zero(row.currency));
        posted.post(row.side, row.amount);
        let wrong = match self.accounts.get_mut(&row.account) {
            None => Some("belongs to an account that does not exist".to_owned()),
            Some(account) => account.post(row, before, after),
        };
        if let Some(what) = wrong {
            self.wrong(format!("entry {} {}", row.account, row.number), what);
        }
    }

    /// Adds a balance.
    pub fn balance(&mut self, row: &BalanceRow) {
        let sum = self.balances.remove(&(row.account.clone(), row.currency));
        let sum = sum.unwrap_or(Amount::zero(row.currency));
        self.same(format!("balance {} {}", row.account, row.currency), "the sum of its entries", row.amount, sum);
    }

    /// Adds the payments of an account on one day.
    pub fn daily_payments(&mut self, row: &DailyPaymentsRow) {
        let place = format!("payments of {} on {}", row.account, row.day);
        let account = self.accounts.get_mut(&row.account);
        let limit = account.as_ref().and_then(|account| account.row.daily_limit);
        let Some((account, limit)) = account.zip(limit) else {
            return self.wrong(place, "belong to no account with a daily limit".to_owned());
        };
        let sum = account.daily_payments.remove(&row.day).unwrap_or(Amount::zero(limit.currency()));
        self.same(place.clone(), "the sum of their entries", row.amount, sum);
        if sum > limit.amount() {
            self.wrong(place, format!("are {sum}, above the daily limit of {limit}"));
        }
    }

    /// Adds the totals of a partition.
    pub fn totals(&mut self, row: &TotalsRow) {
        let zero = Sides::zero(row.currency);
        let totals = self.totals.entry(row.currency).or_insert(zero);
        totals.debits += row.debits;
        totals.credits += row.credits;
        let in_transit = self.in_transit.entry(row.currency).or_insert(zero);
        in_transit.debits += row.requested_debits - row.completed_debits;
        in_transit.credits += row.requested_credits - row.completed_credits;
    }

    /// The violations, once all rows are added. Once all facts are read, nothing may be in transit.
    pub fn close(mut self, quiescence: Quiescence) -> Vec<Violation> {
        for (account, Known { row, entries, owes, daily_payments }) in std::mem::take(&mut self.accounts) {
            self.same(format!("account {account}"), "the number of its entries", row.entries, entries);
            for (request, fee) in owes {
                self.wrong(format!("account {account}"), format!("was not charged the fee {fee} of {request}"));
            }
            for (day, amount) in daily_payments {
                self.wrong(format!("payments of {account} on {day}"), format!("come to {amount}, but have no row"));
            }
        }
        for (account, currency) in std::mem::take(&mut self.balances).into_keys() {
            self.wrong(format!("balance {account} {currency}"), "has entries but no row".to_owned());
        }
        let currencies: BTreeSet<_> = self.posted.keys().chain(self.totals.keys()).copied().collect();
        for currency in currencies {
            let of = |sides: &BTreeMap<Currency, Sides>| *sides.get(&currency).unwrap_or(&Sides::zero(currency));
            let (posted, totals, in_transit) = (of(&self.posted), of(&self.totals), of(&self.in_transit));
            self.same(format!("totals {currency} debits"), "the sum of the entries", totals.debits, posted.debits);
            self.same(format!("totals {currency} credits"), "the sum of the entries", totals.credits, posted.credits);
            let (debits, credits) = (posted.debits + in_transit.debits, posted.credits + in_transit.credits);
            self.same(format!("trial balance {currency}"), "the sum of the debits", credits, debits);
            if quiescence == Quiescence::Reached && in_transit != Sides::zero(currency) {
                self.wrong(
                    format!("trial balance {currency}"),
                    format!("debits of {} and credits of {} stay in transit", in_transit.debits, in_transit.credits),
                );
            }
        }
        self.violations
    }

    fn same<T: Copy + PartialEq + std::fmt::Display>(&mut self, place: String, of: &str, stands: T, counted: T) {
        if stands != counted {
            self.wrong(place, format!("shows {stands}, but {of} is {counted}"));
        }
    }

    fn wrong(&mut self, place: String, what: String) {
        self.violations.push(Violation { place, what });
    }
}

impl Known {
    /// The violation of an entry that takes the balance from `before` to `after`, if any.
    fn post(&mut self, entry: &EntryRow, before: Amount, after: Amount) -> Option<String> {
        self.entries += 1;
        if self.entries != entry.number {
            return Some(format!("is number {}, but {} is expected", entry.number, self.entries));
        }
        let limit = self.row.daily_limit.filter(|limit| limit.currency() == entry.currency);
        if let Some(limit) = limit.filter(|_| is_daily_payment(entry.purpose, entry.side)) {
            let sum = self.daily_payments.entry(entry.time.date_naive());
            *sum.or_insert(Amount::zero(limit.currency())) += entry.amount;
        }
        if entry.purpose == Purpose::OverdraftFee && entry.side == Side::Debit {
            let due = (entry.request_id.clone(), entry.amount);
            let at = self.owes.iter().position(|owed| *owed == due);
            return match at {
                Some(at) => {
                    self.owes.remove(at);
                    None
                }
                None => Some(format!("is a fee of {} that is not due", entry.amount)),
            };
        }
        if entry.side == Side::Debit {
            match Allowance::of(self.row.terms().as_ref(), entry.currency).authorize(before, after) {
                Authorization::Approved => {}
                Authorization::ApprovedWithFee(fee) => self.owes.push((entry.request_id.clone(), fee.amount())),
                Authorization::Declined(floor) => return Some(format!("takes the account to {after}, below {floor}")),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use money::Money;
    use stage::{Partition, RequestId};

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
            request_id: RequestId("t".into()),
            purpose: Purpose::Transfer,
            side,
            currency: eur(),
            amount: amount(text),
            time: DateTime::UNIX_EPOCH,
        }
    }

    fn balance(account: &str, text: &str) -> BalanceRow {
        BalanceRow { account: account.parse().unwrap(), currency: eur(), amount: amount(text) }
    }

    fn totals(debits: &str, credits: &str, requested_credits: &str, completed_credits: &str) -> TotalsRow {
        TotalsRow {
            partition: Partition(0),
            currency: eur(),
            debits: amount(debits),
            credits: amount(credits),
            requested_debits: amount("0.00"),
            requested_credits: amount(requested_credits),
            completed_debits: amount("0.00"),
            completed_credits: amount(completed_credits),
        }
    }

    /// Expects violations at these places.
    fn check(
        rows: &[EntryRow],
        balances: &[BalanceRow],
        totals: &TotalsRow,
        quiescence: Quiescence,
        expected: &[&str],
    ) {
        let mut books = Books::default();
        let mut accounts: Vec<_> = rows.iter().map(|row| row.account.clone()).collect();
        accounts.dedup();
        for account in accounts {
            let entries = rows.iter().filter(|row| row.account == account).count() as u64;
            books.account(&AccountRow { account, entries, opened_by: None, overdraft: None, daily_limit: None });
        }
        rows.iter().for_each(|row| books.entry(row));
        balances.iter().for_each(|row| books.balance(row));
        books.totals(totals);
        let places: Vec<_> = books.close(quiescence).into_iter().map(|violation| violation.place).collect();
        assert_eq!(places, expected);
    }

    #[test]
    fn a_leg_counts_as_in_transit_until_it_is_posted() {
        let paid = [entry("customer:a", 1, Side::Debit, "5.00")];
        let both = [paid[0].clone(), entry("merchant", 1, Side::Credit, "5.00")];
        let after = [balance("customer:a", "-5.00"), balance("merchant", "5.00")];
        check(&paid, &after[..1], &totals("5.00", "0.00", "5.00", "0.00"), Quiescence::Pending, &[]);
        check(&both, &after, &totals("5.00", "5.00", "5.00", "5.00"), Quiescence::Reached, &[]);
        let lost = totals("5.00", "0.00", "5.00", "0.00");
        check(&paid, &after[..1], &lost, Quiescence::Reached, &["trial balance EUR"]);
        let never_said = totals("5.00", "0.00", "0.00", "0.00");
        check(&paid, &after[..1], &never_said, Quiescence::Pending, &["trial balance EUR"]);
    }

    #[test]
    fn balances_and_totals_are_sums_of_entries() {
        let paid = [entry("customer:a", 1, Side::Debit, "2.00"), entry("customer:a", 3, Side::Debit, "3.00")];
        let sums = totals("5.00", "0.00", "5.00", "0.00");
        let wrong = [balance("customer:a", "-5.01"), balance("customer:b", "1.00")];
        let places = ["entry customer:a 3", "balance customer:a EUR", "balance customer:b EUR"];
        check(&paid, &wrong, &sums, Quiescence::Pending, &places);
        let sums = totals("6.00", "0.00", "6.00", "0.00");
        let places = ["entry customer:a 3", "totals EUR debits", "trial balance EUR"];
        check(&paid, &[balance("customer:a", "-5.00")], &sums, Quiescence::Pending, &places);
        let sums = totals("5.00", "0.00", "5.00", "0.00");
        check(
            &paid[..1],
            &[],
            &sums,
            Quiescence::Pending,
            &["balance customer:a EUR", "totals EUR debits", "trial balance EUR"],
        );
    }

    /// Expects violations of an account with these overdraft terms. Entries are `debit|credit amount`; `!` marks a fee.
    fn limited(overdraft: &str, entries: &[&str], expected: &[&str]) {
        let mut books = Books::default();
        let (opened_by, overdraft) = (Some(RequestId("c".into())), serde_json::from_str(overdraft).unwrap());
        let count = entries.len() as u64;
        let (account, daily_limit) = ("alice".parse().unwrap(), None);
        books.account(&AccountRow { account, entries: count, opened_by, overdraft, daily_limit });
        for (number, text) in (1..).zip(entries) {
            let (side, text) = text.split_once(' ').unwrap();
            let mut row = entry("alice", number, side.parse().unwrap(), text.trim_end_matches('!'));
            if text.ends_with('!') {
                row.purpose = Purpose::OverdraftFee;
            }
            books.entry(&row);
        }
        let violations = books.close(Quiescence::Pending).into_iter().map(|violation| violation.place);
        let of_alice: Vec<_> =
            violations.filter(|place| place.contains("alice") && !place.contains("balance")).collect();
        assert_eq!(of_alice, expected, "{entries:?}");
    }

    #[test]
    fn no_account_goes_below_its_limit() {
        let refuse = r#"{"limit":"10.00","currency":"EUR","policy":"refuse"}"#;
        limited(refuse, &["debit 10.00", "credit 1.00", "debit 1.00"], &[]);
        limited(refuse, &["debit 10.00", "debit 0.01", "credit 1.00"], &["entry alice 2"]);
        limited("null", &["credit 1.00", "debit 1.01"], &["entry alice 2"]);
    }

    #[test]
    fn no_account_pays_more_than_its_daily_limit() {
        let check = |payments: &[&str], row: Option<&str>, expected: &[&str]| {
            let mut books = Books::default();
            let (account, opened_by) = ("alice".parse().unwrap(), Some(RequestId("c".into())));
            let overdraft = Some(serde_json::from_str(r#"{"limit":"99","currency":"EUR","policy":"refuse"}"#).unwrap());
            let daily_limit = Some(Money::parse("10.00", eur()).unwrap());
            books.account(&AccountRow { account, entries: payments.len() as u64, opened_by, overdraft, daily_limit });
            for (number, text) in (1..).zip(payments) {
                books.entry(&entry("alice", number, Side::Debit, text));
            }
            let day = entry("alice", 1, Side::Debit, "1.00").time.date_naive();
            if let Some(text) = row {
                let account = "alice".parse().unwrap();
                books.daily_payments(&DailyPaymentsRow { account, day, amount: amount(text) });
            }
            let violations = books.close(Quiescence::Pending).into_iter().map(|violation| violation.what);
            let of_the_day: Vec<_> =
                violations.filter(|what| what.contains("come to") || what.contains("are ")).collect();
            assert_eq!(of_the_day, expected, "{payments:?}");
        };
        check(&["4.00", "6.00"], Some("10.00"), &[]);
        check(&["4.00", "6.01"], Some("10.01"), &["are 10.01, above the daily limit of 10.00 EUR"]);
        check(&["4.00"], None, &["come to 4.00, but have no row"]);
        let violations = {
            let mut books = Books::default();
            let (account, day) = ("bob".parse().unwrap(), chrono::NaiveDate::default());
            books.daily_payments(&DailyPaymentsRow { account, day, amount: amount("1.00") });
            books.close(Quiescence::Pending)
        };
        assert_eq!(violations[0].what, "belong to no account with a daily limit");
    }

    #[test]
    fn each_crossing_of_a_limit_costs_one_fee() {
        let fee = r#"{"limit":"10.00","currency":"EUR","policy":"fee"}"#;
        limited(fee, &["debit 11.00", "debit 5.00!", "debit 1.00", "credit 20.00", "debit 20.00", "debit 5.00!"], &[]);
        limited(fee, &["debit 11.00", "debit 1.00"], &["account alice"]);
        limited(fee, &["debit 11.00", "debit 5.00!", "debit 5.00!"], &["entry alice 3"]);
        limited(fee, &["debit 9.00", "debit 5.00!"], &["entry alice 2"]);
    }
}

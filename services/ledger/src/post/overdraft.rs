//! How far below zero an account may go, and whether it may pay a certain amount.

use contracts::AccountId;
use money::{Amount, Currency, Money};

use super::AccountRow;

/// How far below zero an account may go in one currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowance {
    /// No limit: system accounts, and unclaimed accounts, which stand for what a customer's card would pay.
    Unlimited,
    /// Down to this balance.
    DownTo(Amount),
    /// Also below this balance, for a fee each time it is crossed.
    FeeBelow(Amount, Money),
}

/// The decision about a debit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authorization {
    /// The debit is posted.
    Approved,
    /// The debit is posted. It crosses the limit, for which this fee is due.
    ApprovedWithFee(Money),
    /// The debit would take the account below this balance.
    Declined(Amount),
}

impl Allowance {
    /// The allowance of an account that may not exist yet.
    pub fn of(account: &AccountId, row: Option<&AccountRow>, currency: Currency) -> Self {
        let Some(row) = row.filter(|row| !account.is_system() && row.opened_by.is_some()) else {
            return Allowance::Unlimited;
        };
        let zero = Amount::zero(currency);
        match row.overdraft.filter(|overdraft| overdraft.limit().currency() == currency) {
            None => Allowance::DownTo(zero),
            Some(overdraft) => {
                let floor = zero - overdraft.limit().amount();
                overdraft.fee().map_or(Allowance::DownTo(floor), |fee| Allowance::FeeBelow(floor, fee))
            }
        }
    }

    /// Decides about a debit that takes the balance from `before` to `after`. The debit of a fee needs no decision.
    pub fn authorize(self, before: Amount, after: Amount) -> Authorization {
        match self {
            Allowance::DownTo(floor) if after < floor && after < before => Authorization::Declined(floor),
            Allowance::FeeBelow(floor, fee) if after < floor && before >= floor => Authorization::ApprovedWithFee(fee),
            Allowance::Unlimited | Allowance::DownTo(_) | Allowance::FeeBelow(_, _) => Authorization::Approved,
        }
    }
}

#[cfg(test)]
mod tests {
    use stage::RequestId;

    use super::*;

    fn row(account: &str, opened_by: Option<&str>, overdraft: Option<&str>) -> AccountRow {
        AccountRow {
            account: account.parse().unwrap(),
            entries: 0,
            opened_by: opened_by.map(|id| RequestId(id.to_owned())),
            overdraft: overdraft.map(|json| serde_json::from_str(json).unwrap()),
            daily_limit: None,
        }
    }

    const REFUSE: &str = r#"{"limit":"100.00","currency":"EUR","policy":"refuse"}"#;
    const FEE: &str = r#"{"limit":"100.00","currency":"EUR","policy":"fee","fee":"7.50"}"#;

    fn check(row: &AccountRow, currency: Currency, before: &str, after: &str, expected: Authorization) {
        let allowance = Allowance::of(&row.account, Some(row), currency);
        let authorization = allowance.authorize(before.parse().unwrap(), after.parse().unwrap());
        assert_eq!(authorization, expected, "{row:?} {before} {after}");
    }

    fn down_to(floor: &str) -> Authorization {
        Authorization::Declined(floor.parse().unwrap())
    }

    #[test]
    fn an_unclaimed_account_has_no_limit() {
        let customer = row("customer:1", None, None);
        check(&customer, Currency::EUR, "0.00", "-1000000.00", Authorization::Approved);
        assert_eq!(Allowance::of(&customer.account, None, Currency::EUR), Allowance::Unlimited);
        check(&row("merchant", None, None), Currency::GBP, "0.00", "-5.00", Authorization::Approved);
    }

    #[test]
    fn a_claimed_account_goes_down_to_its_limit_and_to_zero_in_other_currencies() {
        let (plain, alice) = (row("bob", Some("c1"), None), row("alice", Some("c2"), Some(REFUSE)));
        check(&plain, Currency::EUR, "5.00", "0.00", Authorization::Approved);
        check(&plain, Currency::EUR, "5.00", "-0.01", down_to("0.00"));
        check(&alice, Currency::EUR, "0.00", "-100.00", Authorization::Approved);
        check(&alice, Currency::EUR, "0.00", "-100.01", down_to("-100.00"));
        check(&alice, Currency::JPY, "0", "-1", down_to("0"));
        check(&alice, Currency::EUR, "-100.00", "-100.00", Authorization::Approved);
    }

    #[test]
    fn a_fee_is_due_once_for_each_crossing() {
        let alice = row("alice", Some("c1"), Some(FEE));
        let fee = Money::parse("7.50", Currency::EUR).unwrap();
        check(&alice, Currency::EUR, "0.00", "-100.00", Authorization::Approved);
        check(&alice, Currency::EUR, "-100.00", "-100.01", Authorization::ApprovedWithFee(fee));
        check(&alice, Currency::EUR, "-100.01", "-500.00", Authorization::Approved);
        check(&alice, Currency::EUR, "20.00", "-300.00", Authorization::ApprovedWithFee(fee));
        check(&alice, Currency::GBP, "0.00", "-0.01", down_to("0.00"));
    }
}

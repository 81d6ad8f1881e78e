//! What an account may pay: how far below zero it may go, and how much it may pay in a day.

use contracts::{Leg, Overdraft, Purpose, Reason, ReasonCode, Side};
use money::{Amount, Currency, Money};

/// The terms of a claimed account. System accounts and unclaimed accounts have none: they stand for what a customer's
/// card would pay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AccountTerms {
    /// How far below zero it may go in one currency; if none, not at all.
    pub overdraft: Option<Overdraft>,
    /// How much it may pay in a UTC day; if none, its overdraft alone decides.
    pub daily_limit: Option<Money>,
}

/// How far below zero an account may go in one currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowance {
    /// No limit.
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

impl AccountTerms {
    /// The daily limit, if it is in this currency.
    pub fn daily_limit_in(&self, currency: Currency) -> Option<Money> {
        self.daily_limit.filter(|limit| limit.currency() == currency)
    }
}

/// Decides about the payer's leg of a payment: approved with the fee that is due, if any, or refused for a reason.
///
/// `paid_today` is what the account has paid on the same day, without it, in the currency of its daily limit.
pub fn authorize(
    terms: Option<&AccountTerms>,
    payer: &Leg,
    balance: Amount,
    paid_today: Amount,
) -> Result<Option<Money>, Reason> {
    let (currency, amount) = (payer.amount.currency(), payer.amount.amount());
    if let Some(limit) = terms.and_then(|terms| terms.daily_limit_in(currency))
        && paid_today + amount > limit.amount()
    {
        return Err(above_daily_limit(payer, paid_today + amount, limit));
    }
    match Allowance::of(terms, currency).authorize(balance, payer.after(balance)) {
        Authorization::Approved => Ok(None),
        Authorization::ApprovedWithFee(fee) => Ok(Some(fee)),
        Authorization::Declined(floor) => Err(overdrawn(payer, floor)),
    }
}

impl Allowance {
    /// The allowance that follows from the terms of an account.
    pub fn of(terms: Option<&AccountTerms>, currency: Currency) -> Self {
        let Some(terms) = terms else { return Allowance::Unlimited };
        let zero = Amount::zero(currency);
        match terms.overdraft.filter(|overdraft| overdraft.limit().currency() == currency) {
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

/// Whether an entry counts against the daily limit of its account: what it pays does, but no fee, and refunds do not
/// restore it.
pub fn is_daily_payment(purpose: Purpose, side: Side) -> bool {
    match purpose {
        Purpose::Purchase | Purpose::Transfer => side == Side::Debit,
        Purpose::Refund | Purpose::Return | Purpose::Voucher | Purpose::OverdraftFee => false,
    }
}

fn overdrawn(payer: &Leg, floor: Amount) -> Reason {
    let Leg { account, amount, .. } = payer;
    let detail = format!("a payment of {amount} would take {account} below {floor} {}", amount.currency());
    Reason { code: ReasonCode::Overdrawn, detail }
}

fn above_daily_limit(payer: &Leg, sum: Amount, limit: Money) -> Reason {
    let (Leg { account, amount, .. }, currency) = (payer, limit.currency());
    let detail = format!(
        "with a payment of {amount}, {account} would pay {sum} {currency} on this day: its daily limit is {limit}"
    );
    Reason { code: ReasonCode::DailyLimit, detail }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFUSE: &str = r#"{"limit":"100.00","currency":"EUR","policy":"refuse"}"#;
    const FEE: &str = r#"{"limit":"100.00","currency":"EUR","policy":"fee","fee":"7.50"}"#;

    fn terms(overdraft: Option<&str>) -> Option<AccountTerms> {
        let overdraft = overdraft.map(|json| serde_json::from_str(json).unwrap());
        Some(AccountTerms { overdraft, daily_limit: None })
    }

    fn check(terms: Option<AccountTerms>, currency: Currency, before: &str, after: &str, expected: Authorization) {
        let allowance = Allowance::of(terms.as_ref(), currency);
        let authorization = allowance.authorize(before.parse().unwrap(), after.parse().unwrap());
        assert_eq!(authorization, expected, "{terms:?} {before} {after}");
    }

    fn down_to(floor: &str) -> Authorization {
        Authorization::Declined(floor.parse().unwrap())
    }

    #[test]
    fn an_account_without_terms_has_no_limit() {
        check(None, Currency::EUR, "0.00", "-1000000.00", Authorization::Approved);
        check(None, Currency::GBP, "0.00", "-5.00", Authorization::Approved);
    }

    #[test]
    fn a_claimed_account_goes_down_to_its_limit_and_to_zero_in_other_currencies() {
        let (plain, alice) = (terms(None), terms(Some(REFUSE)));
        check(plain, Currency::EUR, "5.00", "0.00", Authorization::Approved);
        check(plain, Currency::EUR, "5.00", "-0.01", down_to("0.00"));
        check(alice, Currency::EUR, "0.00", "-100.00", Authorization::Approved);
        check(alice, Currency::EUR, "0.00", "-100.01", down_to("-100.00"));
        check(alice, Currency::JPY, "0", "-1", down_to("0"));
        check(alice, Currency::EUR, "-100.00", "-100.00", Authorization::Approved);
    }

    #[test]
    fn a_fee_is_due_once_for_each_crossing() {
        let alice = terms(Some(FEE));
        let fee = Money::parse("7.50", Currency::EUR).unwrap();
        check(alice, Currency::EUR, "0.00", "-100.00", Authorization::Approved);
        check(alice, Currency::EUR, "-100.00", "-100.01", Authorization::ApprovedWithFee(fee));
        check(alice, Currency::EUR, "-100.01", "-500.00", Authorization::Approved);
        check(alice, Currency::EUR, "20.00", "-300.00", Authorization::ApprovedWithFee(fee));
        check(alice, Currency::GBP, "0.00", "-0.01", down_to("0.00"));
    }

    #[test]
    fn a_payment_is_refused_above_the_daily_limit_and_then_below_the_floor() {
        let eur = |amount| Money::parse(amount, Currency::EUR).unwrap();
        let limited = AccountTerms { daily_limit: Some(eur("50.00")), ..terms(Some(FEE)).unwrap() };
        let decided = |amount, balance: &str, paid: &str| {
            let payer = Leg { account: "alice".parse().unwrap(), side: Side::Debit, amount };
            let decided = authorize(Some(&limited), &payer, balance.parse().unwrap(), paid.parse().unwrap());
            decided.map_err(|reason| reason.code)
        };
        assert_eq!(decided(eur("10.00"), "0.00", "40.00"), Ok(None));
        assert_eq!(decided(eur("10.01"), "0.00", "40.00"), Err(ReasonCode::DailyLimit));
        assert_eq!(decided(eur("10.00"), "-95.00", "0.00"), Ok(Some(eur("7.50"))));
        let gbp = Money::parse("60.00", Currency::GBP).unwrap();
        assert_eq!(decided(gbp, "70.00", "0.00"), Ok(None), "the limit is in another currency");
        assert_eq!(decided(gbp, "50.00", "0.00"), Err(ReasonCode::Overdrawn));
    }
}

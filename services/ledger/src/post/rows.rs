//! The tables of `post`.

use chrono::{DateTime, NaiveDate, Utc};
use contracts::{AccountId, LedgerCommand, Overdraft, Purpose, Reason, ReasonCode, Side};
use money::{Amount, Currency, Money};
use rules::AccountTerms;
use stage::{BatchNumber, Decimal, Integer, Json, Nullable, Partition, RequestId, Text, Time};

stage::row! {
    /// An account: opened by a claim, or by its first entry.
    pub struct AccountRow: "accounts" {
        key {
            /// The name of the account.
            account: AccountId => Text,
        }
        value {
            /// The number of its entries.
            entries: u64 => Integer,
            /// The claim that opened it; none if its first entry opened it, in which case it has no limit.
            opened_by: Option<RequestId> => Nullable<Text>,
            /// How far below zero a claimed account may go; if none, not at all.
            overdraft: Option<Overdraft> => Nullable<Json>,
            /// How much a claimed account may pay in a day; if none, its overdraft alone decides.
            daily_limit: Option<Money> => Nullable<Json>,
        }
    }
}

stage::row! {
    /// The payments of one UTC day that count against an account's daily limit.
    pub struct DailyPaymentsRow: "daily_payments" {
        key {
            /// The account.
            account: AccountId => Text,
            /// The day on which the requests arrived.
            day: NaiveDate => Text,
        }
        value {
            /// The sum of the payments in the currency of the limit.
            amount: Amount => Decimal,
        }
    }
}

stage::row! {
    /// The balance of an account in one currency: credits minus debits.
    pub struct BalanceRow: "balances" {
        key {
            /// The account.
            account: AccountId => Text,
            /// The currency.
            currency: Currency => Text,
        }
        value {
            /// Credits minus debits.
            amount: Amount => Decimal,
        }
    }
}

stage::row! {
    /// One posting. Never changed.
    pub struct EntryRow: "entries" {
        key {
            /// The account.
            account: AccountId => Text,
            /// The number within the account: 1, 2, 3 …
            number: u64 => Integer,
        }
        value {
            /// The request that caused it.
            request_id: RequestId => Text,
            /// What was paid, or paid back.
            purpose: Purpose => Text,
            /// Debit or credit.
            side: Side => Text,
            /// The currency of the amount.
            currency: Currency => Text,
            /// The amount; never negative.
            amount: Amount => Decimal,
            /// When the request arrived.
            time: DateTime<Utc> => Time,
        }
    }
}

stage::row! {
    /// Running totals of one partition in one currency. The trial balance adds them up. Over all partitions, the
    /// requested legs minus the completed ones are in transit.
    pub struct TotalsRow: "totals" {
        key {
            /// The partition.
            partition: Partition => Integer,
            /// The currency.
            currency: Currency => Text,
        }
        value {
            /// Debits posted here.
            debits: Amount => Decimal,
            /// Credits posted here.
            credits: Amount => Decimal,
            /// Debits requested from here for other accounts.
            requested_debits: Amount => Decimal,
            /// Credits requested from here for other accounts.
            requested_credits: Amount => Decimal,
            /// Those of the debits posted here that a partition had requested.
            completed_debits: Amount => Decimal,
            /// Those of the credits posted here that a partition had requested.
            completed_credits: Amount => Decimal,
        }
    }
}

stage::row! {
    /// The decision about a claim or a transfer. Each gets exactly one, which is never changed.
    pub struct DecisionRow: "decisions" {
        key {
            /// The kind of the request. Each kind has its own ids.
            kind: LedgerCommand => Text,
            /// The id of the request.
            request_id: RequestId => Text,
        }
        value {
            /// Why it was refused; none if it was executed.
            reason_code: Option<ReasonCode> => Nullable<Text>,
            /// The same reason, for people.
            reason_detail: Option<String> => Nullable<Text>,
            /// The partition of `post` that wrote this row.
            partition: Partition => Integer,
            /// The batch that wrote this row. Its batch record contains the time.
            batch: BatchNumber => Integer,
        }
    }
}

impl DecisionRow {
    /// Why it was refused, if it was.
    pub fn reason(&self) -> Option<Reason> {
        Reason::of_columns(self.reason_code, self.reason_detail.as_deref())
    }
}

impl AccountRow {
    /// What it may pay, if it is claimed.
    pub fn terms(&self) -> Option<AccountTerms> {
        let (overdraft, daily_limit) = (self.overdraft, self.daily_limit);
        self.opened_by.as_ref().map(|_| AccountTerms { overdraft, daily_limit })
    }

    /// An account that its first entry opens, without a claim.
    pub(crate) fn on_first_use(account: AccountId) -> Self {
        Self { account, entries: 0, opened_by: None, overdraft: None, daily_limit: None }
    }
}

impl TotalsRow {
    /// Totals of zero.
    pub(crate) fn zero(partition: Partition, currency: Currency) -> Self {
        let zero = Amount::zero(currency);
        Self {
            partition,
            currency,
            debits: zero,
            credits: zero,
            requested_debits: zero,
            requested_credits: zero,
            completed_debits: zero,
            completed_credits: zero,
        }
    }
}

//! The tables of `post`.

use chrono::{DateTime, Utc};
use contracts::{AccountId, LedgerCommand, Overdraft, Purpose, Reason, ReasonCode, Side};
use money::{Amount, Currency};
use stage::{BatchNumber, Decimal, Integer, Json, Nullable, Partition, RequestId, Text, Time};

stage::row! {
    /// An account: opened by a claim, or by its first entry.
    pub struct AccountRow: "accounts" {
        key {
            /// Its name.
            account: AccountId => Text,
        }
        value {
            /// How many entries it has.
            entries: u64 => Integer,
            /// The claim that opened it; none: it opened with its first entry, and has no limit.
            opened_by: Option<RequestId> => Nullable<Text>,
            /// How far below zero a claimed account may go; none: not at all.
            overdraft: Option<Overdraft> => Nullable<Json>,
        }
    }
}

stage::row! {
    /// What an account holds in one currency: credits less debits.
    pub struct BalanceRow: "balances" {
        key {
            /// Whose.
            account: AccountId => Text,
            /// Of which currency.
            currency: Currency => Text,
        }
        value {
            /// How much.
            amount: Amount => Decimal,
        }
    }
}

stage::row! {
    /// One posting. Never changed.
    pub struct EntryRow: "entries" {
        key {
            /// To which account.
            account: AccountId => Text,
            /// 1, 2, 3 … of the account's.
            number: u64 => Integer,
        }
        value {
            /// The request it belongs to.
            request_id: RequestId => Text,
            /// What it was paid for.
            purpose: Purpose => Text,
            /// Which side.
            side: Side => Text,
            /// Of which currency.
            currency: Currency => Text,
            /// How much; never negative.
            amount: Amount => Decimal,
            /// When the request came in.
            time: DateTime<Utc> => Time,
        }
    }
}

stage::row! {
    /// Running totals of one partition in one currency: what the trial balance adds up. Over all partitions, what
    /// was said less what of it was applied is in transit.
    pub struct TotalsRow: "totals" {
        key {
            /// Of which partition.
            partition: Partition => Integer,
            /// Of which currency.
            currency: Currency => Text,
        }
        value {
            /// Debits posted here.
            debits: Amount => Decimal,
            /// Credits posted here.
            credits: Amount => Decimal,
            /// Debits said from here to other accounts.
            requested_debits: Amount => Decimal,
            /// Credits said from here to other accounts.
            requested_credits: Amount => Decimal,
            /// Of the debits posted here, such as were said before, anywhere.
            completed_debits: Amount => Decimal,
            /// Of the credits posted here, such as were said before, anywhere.
            completed_credits: Amount => Decimal,
        }
    }
}

stage::row! {
    /// What became of a claim or a transfer. Exactly one each, never changed.
    pub struct DecisionRow: "decisions" {
        key {
            /// Of which kind the request is: each has its own ids.
            kind: LedgerCommand => Text,
            /// The request.
            request_id: RequestId => Text,
        }
        value {
            /// Why it was refused; none: it was done.
            reason_code: Option<ReasonCode> => Nullable<Text>,
            /// The same for people.
            reason_detail: Option<String> => Nullable<Text>,
            /// The partition of `post` that wrote this
            partition: Partition => Integer,
            /// and in which of its batches: the batch record knows when.
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
    /// One that nobody has claimed.
    pub(crate) fn on_first_use(account: AccountId) -> Self {
        Self { account, entries: 0, opened_by: None, overdraft: None }
    }
}

impl TotalsRow {
    /// Nothing yet.
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

//! The JSON of the ledger.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use money::{Amount, Currency, Money};
use serde::{Deserialize, Serialize};
use stage::RequestId;

use crate::AccountId;
use crate::words::words;

words!(
    /// The two sides of double entry.
    pub enum Side {
        /// Takes from the account.
        Debit = "debit",
        /// Gives to the account.
        Credit = "credit",
    }
);

/// An account as `GET /accounts/{id}` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Its name.
    pub id: AccountId,
    /// Credits less debits, by currency.
    pub balances: BTreeMap<Currency, Amount>,
}

/// One posting to an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its place among the account's: 1, 2, 3 …
    pub number: u64,
    /// The request it belongs to.
    pub transfer: RequestId,
    /// Which side.
    pub side: Side,
    /// How much; never negative.
    pub amount: Money,
    /// When the request came in.
    pub time: DateTime<Utc>,
}

/// A page of an account's entries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entries {
    /// In order.
    pub entries: Vec<Entry>,
    /// What to ask `after` for the next page; none: that was all.
    pub next: Option<u64>,
}

/// The books in one currency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrialLine {
    /// Posted debits.
    pub debits: Amount,
    /// Posted credits.
    pub credits: Amount,
    /// Debits said and not yet posted.
    pub in_transit_debits: Amount,
    /// Credits said and not yet posted.
    pub in_transit_credits: Amount,
    /// All debits less all credits: always 0.
    pub difference: Amount,
}

/// The books, by currency: `GET /trial-balance`.
pub type TrialBalance = BTreeMap<Currency, TrialLine>;

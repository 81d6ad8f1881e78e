//! Invariants that every scenario checks, and waiting with a timeout.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use contracts::TrialBalance;
use money::{Amount, Money};
use serde_json::json;

use super::Client;

/// The longest that anything takes on a system without faults, and after the last fault (I16).
pub const WAIT_TIMEOUT: Duration = Duration::from_secs(30);
/// Time between two polls.
const INTERVAL: Duration = Duration::from_millis(10);

/// Polls until `poll` returns a value, and returns that value. `what` describes the condition.
///
/// # Panics
/// If `poll` returns nothing within [`WAIT_TIMEOUT`].
pub async fn wait_until<T>(what: &str, mut poll: impl AsyncFnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = poll().await {
            return found;
        }
        assert!(started.elapsed() < WAIT_TIMEOUT, "timed out after {WAIT_TIMEOUT:?} waiting until {what}");
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Parses an amount with its currency, such as `15.30 GBP`.
pub fn money(text: &str) -> Money {
    let (amount, currency) = text.split_once(' ').unwrap();
    serde_json::from_value(json!({"amount": amount, "currency": currency})).unwrap()
}

/// Parses an amount, such as `-15.30`.
pub fn amount(text: &str) -> Amount {
    text.parse().unwrap()
}

/// Asserts that debits equal credits in every currency, including what is in transit (I1).
pub fn assert_books_balance(books: &TrialBalance) {
    let wrong: Vec<_> = books.iter().filter(|(_, line)| !line.difference.is_zero()).collect();
    assert!(wrong.is_empty(), "the books do not balance: {wrong:?}");
}

/// Polls the trial balance until nothing is in transit. The difference has to be 0 at every read.
pub async fn wait_until_books_settle(client: &Client) {
    let settled = async || {
        let books = client.trial_balance().await;
        assert_books_balance(&books);
        let is_settled =
            books.values().all(|line| line.in_transit_debits.is_zero() && line.in_transit_credits.is_zero());
        is_settled.then_some(())
    };
    wait_until("nothing is in transit", settled).await;
}

/// Asserts a customer's balances, such as `[("EUR", "-46.88")]`. An account that was never used has none.
pub async fn assert_balances(client: &Client, customer: &str, expected: &[(&str, &str)]) {
    let found = client.customer_account(customer).await.map(|account| account.balances).unwrap_or_default();
    let expected = expected.iter().map(|(currency, sum)| (currency.parse().unwrap(), amount(sum)));
    assert_eq!(found, expected.collect::<BTreeMap<_, _>>(), "{customer}");
}

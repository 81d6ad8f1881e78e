//! What has to hold at the end of every scenario, and at every moment.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use contracts::TrialBalance;
use money::{Amount, Money};
use serde_json::json;

use super::Client;

/// Nothing takes longer on a system without faults; after the last fault neither (I16).
pub const PATIENCE: Duration = Duration::from_secs(30);
/// How often to look.
const INTERVAL: Duration = Duration::from_millis(10);

/// What a look gives, once it gives something.
///
/// # Panics
/// When it gives nothing for [`PATIENCE`].
pub async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "for {PATIENCE:?} it has not been so that {what}");
        tokio::time::sleep(INTERVAL).await;
    }
}

/// `15.30 GBP`.
pub fn money(text: &str) -> Money {
    let (amount, currency) = text.split_once(' ').unwrap();
    serde_json::from_value(json!({"amount": amount, "currency": currency})).unwrap()
}

/// `-15.30`.
pub fn amount(text: &str) -> Amount {
    text.parse().unwrap()
}

/// Debits and credits are the same in every currency, counting what is in transit (I1).
pub fn books_balance(books: &TrialBalance) {
    let wrong: Vec<_> = books.iter().filter(|(_, line)| !line.difference.is_zero()).collect();
    assert!(wrong.is_empty(), "the books do not balance: {wrong:?}");
}

/// The difference is always 0, and in the end nothing is in transit.
pub async fn books_are_quiet(client: &Client) {
    let look = async || {
        let books = client.trial_balance().await;
        books_balance(&books);
        let quiet = books.values().all(|line| line.in_transit_debits.is_zero() && line.in_transit_credits.is_zero());
        quiet.then_some(())
    };
    until("nothing is in transit", look).await;
}

/// A customer's balances, such as `[("EUR", "-46.88")]`; none when the account was never used.
pub async fn balances_are(client: &Client, customer: &str, expected: &[(&str, &str)]) {
    let found = client.account_of(customer).await.map(|account| account.balances).unwrap_or_default();
    let expected = expected.iter().map(|(currency, sum)| (currency.parse().unwrap(), amount(sum)));
    assert_eq!(found, expected.collect::<BTreeMap<_, _>>(), "{customer}");
}

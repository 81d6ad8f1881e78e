//! Limited stock: overbooking and what puts it right, strict offers, recalls, cancellations.

mod cancellations;
mod compensations;
mod limits;
mod recalls;

use contracts::Purchase;

use super::harness::{Client, describe, wait_until};

/// Waits until this many pieces are allocated. Stock that a purchase gives back is free a moment after its outcome.
async fn wait_for_stock(client: &Client, sku: &str, allocated: u64) {
    let is_there = async || (client.stock(sku).await.0 == allocated).then_some(());
    wait_until(&format!("{allocated} of {sku} are allocated"), is_there).await;
}

/// Waits until a purchase is described like this.
async fn wait_for_description(client: &Client, purchase: &Purchase, expected: &str) {
    let is_so = async || (describe(&client.get_purchase(&purchase.id).await) == expected).then_some(());
    wait_until(&format!("{} is {expected}", purchase.id), is_so).await;
}

/// Waits until a customer's only balance is this amount of euros. A refund is posted a moment after its fact.
async fn wait_for_balance(client: &Client, customer: &str, expected: &str) {
    let is_so = async || {
        let balances = client.customer_account(customer).await?.balances;
        let shown: Vec<_> = balances.iter().map(|(currency, amount)| format!("{amount} {currency}")).collect();
        (shown == [format!("{expected} EUR")]).then_some(())
    };
    wait_until(&format!("{customer} has {expected} EUR"), is_so).await;
}

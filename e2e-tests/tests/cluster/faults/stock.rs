//! Limited stock while a part of the system stands still: customers are charged at once, and what was over-sold is put
//! right afterwards.

use contracts::Purchase;
use serde_json::json;

use crate::cluster::harness::{Cluster, Database};
use crate::scenarios::harness::{Client, Namespace, describe, wait_until};

const GUESTS: [&str; 4] = ["alice", "bob", "carol", "dave"];

/// Stops the stage `allocate` by a lock on its table, which others may still read. Returns the session with the lock.
async fn stop_allocate(cluster: &Cluster) -> Database {
    let mut database = cluster.database("purchase").await;
    database.run("BEGIN; LOCK TABLE stocks IN EXCLUSIVE MODE").await;
    database
}

/// Buys a room for each guest. Each is charged, and none of them knows whether there is a room.
async fn buy_unseen(client: &Client, namespace: &Namespace, room: &str) -> Vec<Purchase> {
    let mut bought = Vec::new();
    for guest in GUESTS {
        let customer = namespace.name(guest);
        let order = namespace.order(&customer, "EUR", &[room]);
        bought.push(client.send(client.purchase_request(&customer, &order)).await.expect_status(202).purchase());
        wait_for_euros(client, &customer, "-10.00").await;
    }
    for purchase in &bought {
        assert_eq!(describe(&client.get_purchase(&purchase.id).await), "confirmed open");
    }
    bought
}

async fn wait_for_euros(client: &Client, customer: &str, expected: &str) {
    let is_so = async || {
        let balances = client.customer_account(customer).await?.balances;
        let euros = balances.iter().find(|(currency, _)| currency.to_string() == "EUR");
        (euros?.1.to_string() == expected).then_some(())
    };
    wait_until(&format!("{customer} has {expected} EUR"), is_so).await;
}

/// The descriptions of all purchases, once they have outcomes.
async fn outcomes(client: &Client, bought: &[Purchase]) -> Vec<String> {
    let mut described = Vec::new();
    for purchase in bought {
        let outcome = async || {
            let read = client.get_purchase(&purchase.id).await;
            read.status.is_outcome().then(|| describe(&read))
        };
        described.push(wait_until(&format!("{} has its outcome", purchase.id), outcome).await);
    }
    described.sort();
    described
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_charged_while_allocate_stood_still_gets_a_room_or_the_money_back() {
    let (cluster, namespace) = (Cluster::start_on_shared_servers().await, Namespace::new());
    let (client, room, lamp) = (&cluster.client, namespace.name("room"), namespace.name("lamp"));
    client.put_limited_offer(&room, json!({"capacity": 1})).await;
    client.put_priced_offer(&lamp, "1.00", "EUR").await;
    let mut lock = stop_allocate(&cluster).await;
    let bought = buy_unseen(client, &namespace, &room).await;
    // Goods without a limit do not pass through `allocate`.
    assert_eq!(describe(&client.buy_one(&namespace, "erin", &[&lamp]).await), "settled");

    lock.run("ROLLBACK").await;

    let back = "compensated sold_out refused, back 10.00 EUR";
    assert_eq!(outcomes(client, &bought).await, [back, back, back, "settled held"]);
    for (guest, purchase) in GUESTS.iter().zip(&bought) {
        let has_room = client.get_purchase(&purchase.id).await.refunded.is_none();
        wait_for_euros(client, &namespace.name(guest), if has_room { "-10.00" } else { "0.00" }).await;
    }
    assert_eq!(client.stock(&room).await.0, 1);
    cluster.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refunds_and_vouchers_arrive_once_although_the_ledger_was_down() {
    let (mut cluster, namespace) = (Cluster::start_on_shared_servers().await, Namespace::new());
    let (client, room) = (cluster.client.clone(), namespace.name("room"));
    client.put_limited_offer(&room, json!({"capacity": 1, "voucher_percent": 10})).await;
    let mut lock = stop_allocate(&cluster).await;
    let bought = buy_unseen(&client, &namespace, &room).await;
    cluster.instance("ledger").kill().await;

    lock.run("ROLLBACK").await;

    // The customer is told at once; the money follows when the ledger is back.
    let back = "compensated sold_out refused, back 10.00 EUR, voucher 1.00 EUR";
    assert_eq!(outcomes(&client, &bought).await, [back, back, back, "settled held"]);
    cluster.launch("ledger", &[]);
    cluster.wait_until_ready().await;
    for (guest, purchase) in GUESTS.iter().zip(&bought) {
        let has_room = client.get_purchase(&purchase.id).await.refunded.is_none();
        let (customer, entries) = (namespace.name(guest), if has_room { 1 } else { 3 });
        wait_for_euros(&client, &customer, if has_room { "-10.00" } else { "1.00" }).await;
        assert_eq!(client.customer_entries(&customer).await.len(), entries, "{customer}");
    }
    cluster.finish().await;
}

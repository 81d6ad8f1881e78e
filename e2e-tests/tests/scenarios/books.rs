//! The books balance at every read, also under load.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use contracts::{AccountId, Status};
use serde_json::{Value, json};

use super::harness::{Client, Namespace, System, assert_balances, assert_books_balance};

const WRITERS: usize = 4;
const BATCHES: usize = 15;
const LINES: usize = 100;

/// The purchases of one batch of a writer. Every second one is paid in another currency than the price's.
fn lines(namespace: &Namespace, writer: usize, batch: usize, sku: &str) -> Vec<Value> {
    let line = |at: usize| {
        let pay_in = if at.is_multiple_of(2) { "GBP" } else { "EUR" };
        let mut line = namespace.order(&namespace.name(format!("c{writer}-{}", at % 10)), pay_in, &[sku]);
        line["request_id"] = json!(namespace.name(format!("{writer}-{batch}-{at}")));
        line
    };
    (0..LINES).map(line).collect()
}

async fn write(client: Client, batches: Vec<Vec<Value>>, busy: Arc<AtomicUsize>) {
    for batch in batches {
        let results = client.buy_batch(&batch, 0).await;
        assert!(results.iter().all(|result| result.purchase.is_some()), "{results:?}");
    }
    busy.fetch_sub(1, Ordering::Release);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_difference_is_zero_at_every_read_under_load_and_in_the_end_nothing_is_in_transit() {
    let (system, namespace) = (System::start().await, Namespace::new());
    let (client, sku) = (&system.client, namespace.name("lantern"));
    client.put_priced_offer(&sku, "10.00", "GBP").await;
    client.set_rate("GBP/EUR", "1.5", namespace.moment).await;
    client.wait_for_rate_copy(&namespace, "GBP/EUR", "1.5", namespace.moment).await;

    let busy = Arc::new(AtomicUsize::new(WRITERS));
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let batches = (0..BATCHES).map(|batch| lines(&namespace, writer, batch, &sku)).collect();
            tokio::spawn(write(client.clone(), batches, busy.clone()))
        })
        .collect();
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let (client, busy) = (client.clone(), busy.clone());
            tokio::spawn(async move {
                let (mut reads, mut seen_in_transit) = (0, 0);
                while busy.load(Ordering::Acquire) > 0 {
                    let books = client.trial_balance().await;
                    assert_books_balance(&books);
                    seen_in_transit += usize::from(books.values().any(|line| !line.in_transit_credits.is_zero()));
                    reads += 1;
                }
                (reads, seen_in_transit)
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    for reader in readers {
        let (reads, seen_in_transit) = reader.await.unwrap();
        eprintln!("{reads} reads, {seen_in_transit} of them with something in transit");
        assert!(reads > 0);
    }
    let last = namespace.name(format!("{}-{}-{}", WRITERS - 1, BATCHES - 1, LINES - 1));
    let bought =
        client.buy(&last, &namespace.order(&namespace.name(format!("c{}-9", WRITERS - 1)), "EUR", &[&sku])).await;
    assert_eq!(bought.expect_status(201).purchase().status, Status::Settled);
    for writer in 0..WRITERS {
        for customer in 0..10 {
            let name = namespace.name(format!("c{writer}-{customer}"));
            let expected = if customer % 2 == 0 { [("GBP", "-1500.00")] } else { [("EUR", "-2250.00")] };
            let account = AccountId::of_customer(&name.parse().unwrap());
            super::harness::wait_until(&format!("{name} has paid for all"), async || {
                (client.entries(&account).await.len() == BATCHES * LINES / 10).then_some(())
            })
            .await;
            assert_balances(client, &name, &expected).await;
        }
    }
    system.finish().await;
}

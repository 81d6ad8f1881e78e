//! The books balance at every moment they are read, whatever goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use contracts::{AccountId, Status};
use serde_json::{Value, json};

use super::harness::{Client, Corner, System, balances_are, books_balance};

const WRITERS: usize = 4;
const BATCHES: usize = 15;
const LINES: usize = 100;

/// Purchases of one writer's batch, every second one in another currency.
fn lines(corner: &Corner, writer: usize, batch: usize, sku: &str) -> Vec<Value> {
    let line = |at: usize| {
        let pay_in = if at.is_multiple_of(2) { "GBP" } else { "EUR" };
        let mut line = corner.order(&corner.name(format!("c{writer}-{}", at % 10)), pay_in, &[sku]);
        line["request_id"] = json!(corner.name(format!("{writer}-{batch}-{at}")));
        line
    };
    (0..LINES).map(line).collect()
}

async fn write(client: Client, batches: Vec<Vec<Value>>, busy: Arc<AtomicUsize>) {
    for batch in batches {
        let answers = client.batch(&batch, 0).await;
        assert!(answers.iter().all(|answer| answer.purchase.is_some()), "{answers:?}");
    }
    busy.fetch_sub(1, Ordering::Release);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_difference_is_zero_at_every_read_under_load_and_in_the_end_nothing_is_in_transit() {
    let (system, corner) = (System::start().await, Corner::new());
    let (client, sku) = (&system.client, corner.name("lantern"));
    client.offer_for(&sku, "10.00", "GBP").await;
    client.set_rate("GBP/EUR", "1.5", corner.moment).await;
    client.rate_is_copied(&corner, "GBP/EUR", "1.5", corner.moment).await;

    let busy = Arc::new(AtomicUsize::new(WRITERS));
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let batches = (0..BATCHES).map(|batch| lines(&corner, writer, batch, &sku)).collect();
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
                    books_balance(&books);
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
        eprintln!("{reads} reads, something in transit in {seen_in_transit}");
        assert!(reads > 0);
    }
    let last = corner.name(format!("{}-{}-{}", WRITERS - 1, BATCHES - 1, LINES - 1));
    let id = client.buy(&last, &corner.order(&corner.name(format!("c{}-9", WRITERS - 1)), "EUR", &[&sku])).await;
    assert_eq!(id.is(201).purchase().status, Status::Settled);
    for writer in 0..WRITERS {
        for customer in 0..10 {
            let name = corner.name(format!("c{writer}-{customer}"));
            let expected = if customer % 2 == 0 { [("GBP", "-1500.00")] } else { [("EUR", "-2250.00")] };
            let account = AccountId::of_customer(&name.parse().unwrap());
            super::harness::until(&format!("{name} has paid for all"), async || {
                (client.entries(&account).await.len() == BATCHES * LINES / 10).then_some(())
            })
            .await;
            balances_are(client, &name, &expected).await;
        }
    }
    system.finish().await;
}

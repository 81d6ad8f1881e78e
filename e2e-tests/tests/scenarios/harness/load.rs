//! A load of purchase batches that may be interrupted at any moment, with all purchases from the responses so far.

mod steady;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use contracts::{Purchase, Status};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{Client, Namespace, assert_balances, wait_until};

pub use self::steady::SteadyLoad;

/// The number of concurrent senders.
const SENDERS: u32 = 3;
/// Lines per batch.
const LINES: usize = 20;
/// The number of customers among whom the purchases are spread.
const CUSTOMERS: usize = 10;
/// The timeout of a request, longer than any wait for outcomes.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(60);
/// Seconds to wait for the outcomes of purchases that were already accepted.
const WAIT_S: u32 = 30;

/// The purchases of a scenario, in numbered batches. A batch that is sent again has the same content.
pub struct Load {
    generator: Arc<BatchGenerator>,
    /// The number of batches.
    batches: usize,
    /// The latest response for each request id.
    answered: BTreeMap<String, Purchase>,
}

/// Generates the batch of any number.
struct BatchGenerator {
    namespace: Namespace,
    sku: String,
}

impl BatchGenerator {
    fn batch(&self, number: usize) -> Vec<Value> {
        let first = number * LINES;
        (first..first + LINES).map(|number| self.line(number)).collect()
    }

    fn line(&self, number: usize) -> Value {
        let (customer, pay_in) = (number % CUSTOMERS, ["GBP", "EUR"][number % 2]);
        let mut line = self.namespace.order(&self.namespace.name(customer), pay_in, &[&self.sku]);
        line["request_id"] = json!(self.namespace.name(format!("r{number}")));
        line
    }
}

/// A load that is being sent.
pub struct Sending {
    senders: Vec<JoinHandle<Vec<Purchase>>>,
    /// The number of batches that have a response.
    answered: watch::Receiver<usize>,
}

impl Load {
    /// Creates the offer and the rate that the load needs.
    pub async fn prepare(client: &Client, batches: usize) -> Self {
        let namespace = Namespace::new();
        let sku = namespace.name("lantern");
        client.put_priced_offer(&sku, "10.00", "GBP").await;
        client.set_rate("GBP/EUR", "1.5", namespace.moment).await;
        client.wait_for_rate_copy(&namespace, "GBP/EUR", "1.5", namespace.moment).await;
        Self { generator: Arc::new(BatchGenerator { namespace, sku }), batches, answered: BTreeMap::new() }
    }

    /// Sends all batches concurrently, until each has a response or the service does not respond any more.
    pub fn send(&self, client: &Client) -> Sending {
        self.send_from(client, 0)
    }

    /// Like [`Load::send`], but starts with batch `first` and wraps around.
    pub fn send_from(&self, client: &Client, first: usize) -> Sending {
        let next = Arc::new(AtomicUsize::new(0));
        let (count, answered) = watch::channel(0);
        let count = Arc::new(count);
        let sender = |wait_s: u32| {
            let (client, generator, batches) = (client.clone(), self.generator.clone(), self.batches);
            let (next, count) = (next.clone(), count.clone());
            tokio::spawn(async move {
                let mut received = Vec::new();
                let mut offsets = std::iter::repeat_with(|| next.fetch_add(1, Ordering::Relaxed));
                while let Some(offset) = offsets.next().filter(|offset| *offset < batches) {
                    let batch = generator.batch((first + offset) % batches);
                    // The first sender does not wait for outcomes, the others do: both kinds must not get lost.
                    let Some(purchases) = send(&client, &batch, wait_s, RESPONSE_TIMEOUT).await else {
                        break;
                    };
                    received.extend(purchases);
                    count.send_modify(|count| *count += 1);
                }
                received
            })
        };
        Sending { senders: (0..SENDERS).map(sender).collect(), answered }
    }

    /// Records purchases from responses, and asserts that they are consistent with earlier responses.
    pub fn record(&mut self, received: Vec<Purchase>) {
        for purchase in received {
            if let Some(before) = self.answered.insert(purchase.request_id.0.clone(), purchase.clone()) {
                assert_consistent(&before, &purchase);
            }
        }
    }

    /// The number of purchases that have at least one response.
    pub fn answered_count(&self) -> usize {
        self.answered.len()
    }

    /// The number of purchases.
    pub fn len(&self) -> usize {
        self.batches * LINES
    }

    /// Sends all batches again, and asserts that every purchase has an outcome, consistent with earlier responses.
    pub async fn assert_all_have_outcomes(&mut self, client: &Client) {
        for number in 0..self.batches {
            let lines = client.buy_batch(&self.generator.batch(number), WAIT_S).await;
            let received: Vec<_> = lines.into_iter().map(|line| line.purchase.expect("a purchase")).collect();
            let open: Vec<_> = received.iter().filter(|purchase| !purchase.status.is_outcome()).collect();
            assert!(open.is_empty(), "no outcome after {WAIT_S} s: {open:?}");
            self.record(received);
        }
    }

    /// Asserts that every purchase with a response still exists and is consistent with it.
    pub async fn assert_nothing_lost(&self, client: &Client) {
        for purchase in self.answered.values() {
            assert_consistent(purchase, &client.wait_for_outcome(&purchase.id).await);
        }
    }

    /// Asserts that the ledger has exactly one entry for each purchase, and that the balances are right.
    pub async fn assert_one_effect_each(&self, client: &Client) {
        let count = self.len() / CUSTOMERS;
        for customer in 0..CUSTOMERS {
            let name = self.generator.namespace.name(customer);
            let all = async || Some(client.customer_entries(&name).await).filter(|entries| entries.len() >= count);
            let entries = wait_until(&format!("customer {customer} has paid for all"), all).await;
            let mut transfers: Vec<_> = entries.iter().map(|entry| &entry.request_id.0).collect();
            transfers.sort();
            transfers.dedup();
            assert_eq!((entries.len(), transfers.len()), (count, count), "customer {customer}");
            let (currency, price) = [("GBP", 10), ("EUR", 15)][customer % 2];
            let balance = format!("-{}.00", count * price);
            assert_balances(client, &name, &[(currency, &balance)]).await;
        }
    }
}

impl Sending {
    /// Returns once this many batches have a response.
    pub async fn wait_for_batches(&mut self, batches: usize) {
        self.answered.wait_for(|count| *count >= batches).await.expect("the load ended before");
    }

    /// Waits for all senders, and returns the purchases from their responses.
    pub async fn finish(self) -> Vec<Purchase> {
        let mut received = Vec::new();
        for sender in self.senders {
            received.extend(sender.await.unwrap());
        }
        received
    }
}

/// Sends a batch, and returns the purchases of the response; `None` if the connection broke or the status is 503.
async fn send(client: &Client, batch: &[Value], wait_s: u32, timeout: Duration) -> Option<Vec<Purchase>> {
    let body = batch.iter().map(|line| format!("{line}\n")).collect::<String>();
    let response = client.try_send(client.batch_request(body.into_bytes(), wait_s).timeout(timeout)).await.ok()?;
    if response.status == 503 {
        return None;
    }
    let lines = response.expect_status(200).lines().into_iter();
    Some(lines.map(|line| line.purchase.unwrap_or_else(|| panic!("{:?}", line.problem))).collect())
}

/// Asserts that a later response for a purchase differs from an earlier one only in its status and in more history.
fn assert_consistent(before: &Purchase, now: &Purchase) {
    let common = before.history.len().min(now.history.len());
    assert_eq!(before.history[..common], now.history[..common], "a purchase has changed");
    assert!(!before.status.is_outcome() || before.status == now.status || now.status == Status::Confirmed);
    let without = |purchase: &Purchase| Purchase { status: Status::Confirmed, history: Vec::new(), ..purchase.clone() };
    assert_eq!(without(before), without(now), "a purchase has changed");
}

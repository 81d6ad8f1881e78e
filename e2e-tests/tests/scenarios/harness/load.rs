//! A load that may be cut off at any moment, and what it was told until then.

mod steady;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use contracts::{Purchase, Status};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{Client, Corner, balances_are, until};

pub use self::steady::Steady;

/// Connections that send at the same time.
const SENDERS: u32 = 3;
/// Lines of a batch.
const LINES: usize = 20;
/// Customers among whom the purchases are spread.
const CUSTOMERS: usize = 10;
/// Longer than any wait for outcomes: an answer that takes longer is none.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// How long to wait for outcomes of what has been settled, or nearly.
const WAIT_S: u32 = 30;

/// The purchases of a scenario, in batches. Sent again they are the same.
pub struct Load {
    recipe: Arc<Recipe>,
    /// How many batches.
    batches: usize,
    /// What was answered so far, by request.
    answered: BTreeMap<String, Purchase>,
}

/// How to write any batch.
struct Recipe {
    corner: Corner,
    sku: String,
}

impl Recipe {
    fn batch(&self, number: usize) -> Vec<Value> {
        let first = number * LINES;
        (first..first + LINES).map(|number| self.line(number)).collect()
    }

    fn line(&self, number: usize) -> Value {
        let (customer, pay_in) = (number % CUSTOMERS, ["GBP", "EUR"][number % 2]);
        let mut line = self.corner.order(&self.corner.name(customer), pay_in, &[&self.sku]);
        line["request_id"] = json!(self.corner.name(format!("r{number}")));
        line
    }
}

/// A load that is being sent.
pub struct Sending {
    senders: Vec<JoinHandle<Vec<Purchase>>>,
    answers: watch::Receiver<usize>,
}

impl Load {
    /// Sets the offer and the rate for so many batches.
    pub async fn prepare(client: &Client, batches: usize) -> Self {
        let corner = Corner::new();
        let sku = corner.name("lantern");
        client.offer_for(&sku, "10.00", "GBP").await;
        client.set_rate("GBP/EUR", "1.5", corner.moment).await;
        client.rate_is_copied(&corner, "GBP/EUR", "1.5", corner.moment).await;
        Self { recipe: Arc::new(Recipe { corner, sku }), batches, answered: BTreeMap::new() }
    }

    /// Sends all batches from several connections, until all are answered or nobody answers any more.
    pub fn send(&self, client: &Client) -> Sending {
        self.send_from(client, 0)
    }

    /// The same, but begins with another batch and ends with those before it.
    pub fn send_from(&self, client: &Client, first: usize) -> Sending {
        let next = Arc::new(AtomicUsize::new(0));
        let (count, answers) = watch::channel(0);
        let count = Arc::new(count);
        let sender = |wait_s: u32| {
            let (client, recipe, batches) = (client.clone(), self.recipe.clone(), self.batches);
            let (next, count) = (next.clone(), count.clone());
            tokio::spawn(async move {
                let mut told = Vec::new();
                let mut places = std::iter::repeat_with(|| next.fetch_add(1, Ordering::Relaxed));
                while let Some(place) = places.next().filter(|place| *place < batches) {
                    let batch = recipe.batch((first + place) % batches);
                    // Some wait for the outcome, some do not: both have to be kept.
                    let Some(purchases) = send(&client, &batch, wait_s, ANSWER_TIMEOUT).await else {
                        break;
                    };
                    told.extend(purchases);
                    count.send_modify(|count| *count += 1);
                }
                told
            })
        };
        Sending { senders: (0..SENDERS).map(sender).collect(), answers }
    }

    /// Notes what was told; it never contradicts what was told before.
    pub fn note(&mut self, told: Vec<Purchase>) {
        for purchase in told {
            if let Some(before) = self.answered.insert(purchase.request_id.0.clone(), purchase.clone()) {
                agrees(&before, &purchase);
            }
        }
    }

    /// How many purchases have been answered at least once.
    pub fn answered(&self) -> usize {
        self.answered.len()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.batches * LINES
    }

    /// Sends all of it again: every purchase has its outcome, the same as ever.
    pub async fn all_have_their_outcome(&mut self, client: &Client) {
        for number in 0..self.batches {
            let told = client.batch(&self.recipe.batch(number), WAIT_S).await;
            let told: Vec<_> = told.into_iter().map(|line| line.purchase.expect("a purchase")).collect();
            let open: Vec<_> = told.iter().filter(|purchase| !purchase.status.is_outcome()).collect();
            assert!(open.is_empty(), "without an outcome after {WAIT_S} s: {open:?}");
            self.note(told);
        }
    }

    /// Nothing that was ever answered is missing or different.
    pub async fn nothing_answered_is_lost(&self, client: &Client) {
        for told in self.answered.values() {
            agrees(told, &client.outcome(&told.id).await);
        }
    }

    /// Each purchase has had its one effect.
    pub async fn each_had_one_effect(&self, client: &Client) {
        let count = self.len() / CUSTOMERS;
        for customer in 0..CUSTOMERS {
            let name = self.recipe.corner.name(customer);
            let look = async || Some(client.entries_of(&name).await).filter(|entries| entries.len() >= count);
            let entries = until(&format!("customer {customer} has paid for all"), look).await;
            let mut transfers: Vec<_> = entries.iter().map(|entry| &entry.request_id.0).collect();
            transfers.sort();
            transfers.dedup();
            assert_eq!((entries.len(), transfers.len()), (count, count), "customer {customer}");
            let (currency, price) = [("GBP", 10), ("EUR", 15)][customer % 2];
            let balance = format!("-{}.00", count * price);
            balances_are(client, &name, &[(currency, &balance)]).await;
        }
    }
}

impl Sending {
    /// Returns once so many batches are answered.
    pub async fn answered(&mut self, batches: usize) {
        self.answers.wait_for(|count| *count >= batches).await.expect("the load ended before");
    }

    /// Everything that was told, once nobody sends any more.
    pub async fn end(self) -> Vec<Purchase> {
        let mut told = Vec::new();
        for sender in self.senders {
            told.extend(sender.await.unwrap());
        }
        told
    }
}

/// What a batch was answered; none when the connection broke or the service stops.
async fn send(client: &Client, batch: &[Value], wait_s: u32, at_most: Duration) -> Option<Vec<Purchase>> {
    let body = batch.iter().map(|line| format!("{line}\n")).collect::<String>();
    let answer = client.try_send(client.batch_of(body.into_bytes(), wait_s).timeout(at_most)).await.ok()?;
    if answer.status == 503 {
        return None;
    }
    let answers = answer.is(200).lines().into_iter();
    Some(answers.map(|line| line.purchase.unwrap_or_else(|| panic!("{:?}", line.problem))).collect())
}

/// A later answer may only know more steps.
fn agrees(before: &Purchase, now: &Purchase) {
    let common = before.history.len().min(now.history.len());
    assert_eq!(before.history[..common], now.history[..common], "an answer has changed");
    assert!(!before.status.is_outcome() || before.status == now.status || now.status == Status::Confirmed);
    let without = |purchase: &Purchase| Purchase { status: Status::Confirmed, history: Vec::new(), ..purchase.clone() };
    assert_eq!(without(before), without(now), "an answer has changed");
}

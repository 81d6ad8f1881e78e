//! A load that continues through a fault: a sender without a response retries the same batch.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use contracts::Purchase;
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::{Load, SENDERS, send};
use crate::scenarios::harness::{Client, WAIT_TIMEOUT};

/// The pause between two batches of a sender. All senders together send a few hundred purchases a second, so that the
/// purchases of half a minute can still be checked one by one.
const PACE: Duration = Duration::from_millis(100);
/// The pause before a retry.
const RETRY_DELAY: Duration = Duration::from_millis(100);
/// The timeout of a request, after which a sender tries the next client. It is longer than these senders wait for
/// outcomes.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(4);
/// The longest time without a response to a batch: longer than any fault and the recovery from it.
const UNANSWERED_MAX: Duration = Duration::from_secs(90);

/// A load that continues until [`Load::stop`].
pub struct SteadyLoad {
    senders: Vec<JoinHandle<Vec<Purchase>>>,
    /// The number of batches that have a response.
    answered: watch::Receiver<usize>,
    stop: watch::Sender<bool>,
    next: Arc<AtomicUsize>,
}

/// One of several concurrent senders.
struct Sender {
    generator: Arc<super::BatchGenerator>,
    clients: Vec<Client>,
    wait_s: u32,
    next: Arc<AtomicUsize>,
    count: Arc<watch::Sender<usize>>,
    stopped: watch::Receiver<bool>,
}

impl Load {
    /// Sends batch after batch. Each batch is retried, with one client after the other, until it has a response.
    pub fn keep_sending(&self, clients: &[Client]) -> SteadyLoad {
        let next = Arc::new(AtomicUsize::new(self.batches));
        let (count, answered) = watch::channel(0);
        let (stop, stopped) = watch::channel(false);
        let count = Arc::new(count);
        let sender = |wait_s| {
            let (generator, clients, next) = (self.generator.clone(), clients.to_vec(), next.clone());
            let sender = Sender { generator, clients, wait_s, next, count: count.clone(), stopped: stopped.clone() };
            tokio::spawn(sender.run())
        };
        SteadyLoad { senders: (0..SENDERS).map(sender).collect(), answered, stop, next }
    }

    /// Stops the senders. Every batch that they sent has a response and belongs to this load from now on.
    pub async fn stop(&mut self, steady: SteadyLoad) {
        steady.stop.send_replace(true);
        for sender in steady.senders {
            self.record(sender.await.unwrap());
        }
        self.batches = steady.next.load(Ordering::Relaxed);
        assert_eq!(self.answered_count(), self.len());
    }
}

impl SteadyLoad {
    /// The number of batches that have a response.
    pub fn answered_batches(&self) -> usize {
        *self.answered.borrow()
    }

    /// Returns once this many more batches have a response.
    pub async fn wait_for_batches(&mut self, batches: usize) {
        let expected = self.answered_batches() + batches;
        let answered = self.answered.wait_for(|count| *count >= expected);
        let answered = tokio::time::timeout(WAIT_TIMEOUT, answered).await;
        answered.unwrap_or_else(|_| panic!("{batches} batches got no response")).expect("the senders have ended");
    }
}

impl Sender {
    async fn run(self) -> Vec<Purchase> {
        let mut received = Vec::new();
        while !*self.stopped.borrow() {
            let batch = self.generator.batch(self.next.fetch_add(1, Ordering::Relaxed));
            received.extend(self.send_until_answered(&batch).await);
            self.count.send_modify(|count| *count += 1);
            sleep(PACE).await;
        }
        received
    }

    async fn send_until_answered(&self, batch: &[Value]) -> Vec<Purchase> {
        let started = Instant::now();
        for client in self.clients.iter().cycle() {
            if let Some(purchases) = send(client, batch, self.wait_s, RESPONSE_TIMEOUT).await {
                return purchases;
            }
            assert!(started.elapsed() < UNANSWERED_MAX, "a batch got no response for {UNANSWERED_MAX:?}");
            sleep(RETRY_DELAY).await;
        }
        Vec::new()
    }
}

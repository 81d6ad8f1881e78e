//! A load that goes on through a fault: whoever got no answer asks again, the same.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use contracts::Purchase;
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::{Load, SENDERS, send};
use crate::scenarios::harness::{Client, PATIENCE};

/// Between two batches of a sender: a few hundred purchases a second in all, so that a fault of half a minute
/// leaves something that can still be looked at one by one.
const PACE: Duration = Duration::from_millis(100);
/// Who got no answer asks again after this time.
const AGAIN: Duration = Duration::from_millis(100);
/// Who hears nothing for so long asks somebody else. Longer than these senders wait for outcomes.
const SILENCE: Duration = Duration::from_secs(4);
/// No fault lasts longer than its scenario and the time to get over it.
const UNANSWERED_MAX: Duration = Duration::from_secs(90);

/// A load that goes on until it is told to end.
pub struct Steady {
    senders: Vec<JoinHandle<Vec<Purchase>>>,
    answers: watch::Receiver<usize>,
    stop: watch::Sender<bool>,
    next: Arc<AtomicUsize>,
}

/// One of several that send at the same time.
struct Sender {
    load: Arc<super::Recipe>,
    clients: Vec<Client>,
    wait_s: u32,
    next: Arc<AtomicUsize>,
    count: Arc<watch::Sender<usize>>,
    stopped: watch::Receiver<bool>,
}

impl Load {
    /// Sends batch after batch, each until one of these answers it.
    pub fn keep_sending(&self, clients: &[Client]) -> Steady {
        let next = Arc::new(AtomicUsize::new(self.batches));
        let (count, answers) = watch::channel(0);
        let (stop, stopped) = watch::channel(false);
        let count = Arc::new(count);
        let sender = |wait_s| {
            let (load, clients, next) = (self.recipe.clone(), clients.to_vec(), next.clone());
            let sender = Sender { load, clients, wait_s, next, count: count.clone(), stopped: stopped.clone() };
            tokio::spawn(sender.run())
        };
        Steady { senders: (0..SENDERS).map(sender).collect(), answers, stop, next }
    }

    /// Ends the sending: all that was sent has been answered, and is the load from now on.
    pub async fn ends(&mut self, steady: Steady) {
        steady.stop.send_replace(true);
        for sender in steady.senders {
            self.note(sender.await.unwrap());
        }
        self.batches = steady.next.load(Ordering::Relaxed);
        assert_eq!(self.answered(), self.len());
    }
}

impl Steady {
    /// How many batches were answered so far.
    pub fn count(&self) -> usize {
        *self.answers.borrow()
    }

    /// Returns once so many more batches are answered.
    pub async fn goes_on(&mut self, batches: usize) {
        let until = self.count() + batches;
        let answered = self.answers.wait_for(|count| *count >= until);
        let answered = tokio::time::timeout(PATIENCE, answered).await;
        answered.unwrap_or_else(|_| panic!("{batches} batches were not answered")).expect("the senders have ended");
    }
}

impl Sender {
    async fn run(self) -> Vec<Purchase> {
        let mut told = Vec::new();
        while !*self.stopped.borrow() {
            let batch = self.load.batch(self.next.fetch_add(1, Ordering::Relaxed));
            told.extend(self.until_answered(&batch).await);
            self.count.send_modify(|count| *count += 1);
            sleep(PACE).await;
        }
        told
    }

    async fn until_answered(&self, batch: &[Value]) -> Vec<Purchase> {
        let begun = Instant::now();
        for client in self.clients.iter().cycle() {
            if let Some(told) = send(client, batch, self.wait_s, SILENCE).await {
                return told;
            }
            assert!(begun.elapsed() < UNANSWERED_MAX, "a batch was not answered for {UNANSWERED_MAX:?}");
            sleep(AGAIN).await;
        }
        Vec::new()
    }
}

//! What comes to one reader from the broker's streams.
//!
//! A task for each stream reads ahead into the one queue, of bounded length, and rings for the reader. It begins some
//! messages before the place it is to go on from: a broker that lost its newest messages gives their offsets
//! to new ones. Broken off, it begins there again, by itself. What the reader has seen already it drops.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use stage::{Checkpoint, Hint, Producer, REPUBLISH_ON_ATTACH, Target};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::{Delivery, READ_BYTES_MAX, READ_FACTS_MAX};
use crate::broker_metrics::BrokerMetrics;
use crate::hooks::Backoff;
use crate::links::Link;
use crate::message::Message;
use crate::rabbitmq::RabbitMq;
use crate::store::Quarantined;
use crate::{Bells, BrokerError, Postgres, StoreError};

/// Messages in the queue for each of the streams that share it, and any of which may fill it: with those that the
/// client holds, enough for the next batch.
const QUEUE_MAX: usize = 64;

/// A message as it came.
#[derive(Debug)]
struct Arrival {
    target: Target,
    message: Message,
}

impl Arrival {
    /// Where the stream goes on after it: in the life that the message says, so that a wrong one leads to the
    /// stream's beginning.
    fn hint(&self) -> Hint {
        let incarnation = self.message.incarnation().unwrap_or_default().to_owned();
        Hint { incarnation, offset: self.message.offset + 1 }
    }
}

/// Where in each of its streams a reader is: how many messages are before that.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places(Arc<Mutex<BTreeMap<Target, u64>>>);

impl Places {
    fn at(&self) -> MutexGuard<'_, BTreeMap<Target, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All of them, as they are now.
    pub fn all(&self) -> BTreeMap<Target, u64> {
        self.at().clone()
    }
}

/// What comes to one reader from the broker's streams.
#[derive(Debug)]
pub struct Subscription {
    arrivals: mpsc::Receiver<Arrival>,
    /// Given out with the last batch, in case it has to be given again.
    given: Vec<Arrival>,
    /// To be given again.
    again: VecDeque<Arrival>,
    /// No frames, and not yet put away.
    unread: Vec<Quarantined>,
    quarantine: Arc<Postgres>,
    metrics: BrokerMetrics,
    places: Places,
    tasks: Vec<JoinHandle<()>>,
}

/// One stream to read, who says something there, and how it goes is told to.
pub(crate) struct Wanted {
    pub target: Target,
    pub producers: Vec<Producer>,
    pub link: Link,
}

impl Subscription {
    /// Reads these streams from where the checkpoint says.
    pub(crate) fn start(
        broker: &RabbitMq,
        wanted: Vec<Wanted>,
        checkpoint: &Checkpoint,
        bells: &Bells,
        quarantine: Arc<Postgres>,
        metrics: BrokerMetrics,
    ) -> Self {
        let (queue, arrivals) = mpsc::channel(QUEUE_MAX * wanted.len().max(1));
        let start = |wanted: Wanted| {
            let place = checkpoint.hints.get(&wanted.target).cloned();
            let (broker, bells, queue) = (broker.clone(), bells.clone(), queue.clone());
            tokio::spawn(Source { broker, wanted, place, queue, bells }.run())
        };
        let places = Places::default();
        places.at().extend(wanted.iter().map(|wanted| (wanted.target.clone(), 0)));
        let tasks = wanted.into_iter().map(start).collect();
        let (given, again, unread) = (Vec::new(), VecDeque::new(), Vec::new());
        Self { arrivals, given, again, unread, quarantine, metrics, places, tasks }
    }

    /// What has come, up to the limits. What is no frame is put away first, with where it was found.
    pub(super) async fn ready(&mut self) -> Result<Vec<Delivery>, StoreError> {
        self.put_away().await?;
        self.given.clear();
        let (mut ready, mut facts, mut bytes) = (Vec::new(), 0, 0);
        while facts < READ_FACTS_MAX && bytes < READ_BYTES_MAX {
            let Some(arrival) = self.again.pop_front().or_else(|| self.arrivals.try_recv().ok()) else { break };
            self.places.at().insert(arrival.target.clone(), arrival.message.offset + 1);
            bytes += arrival.message.body.len();
            let Some(delivery) = self.delivery(&arrival) else { continue };
            facts += delivery.frame.facts;
            bytes += delivery.frame.body.len();
            ready.push(delivery);
            self.given.push(arrival);
        }
        self.put_away().await?;
        Ok(ready)
    }

    async fn put_away(&mut self) -> Result<(), StoreError> {
        if !self.unread.is_empty() {
            self.metrics.quarantined(self.quarantine.quarantine(&self.unread).await?);
            self.unread.clear();
        }
        Ok(())
    }

    /// Where it is, from now on.
    pub(crate) fn places(&self) -> Places {
        self.places.clone()
    }

    /// The frame in a message. What is none is kept aside.
    fn delivery(&mut self, arrival: &Arrival) -> Option<Delivery> {
        let Arrival { target, message } = arrival;
        if message.is_marker() {
            return None;
        }
        match message.frame(target) {
            Ok(frame) => Some(Delivery { frame, hint: Some(arrival.hint()) }),
            Err(no_frame) => {
                let (offset, reason) = (message.offset, no_frame.to_string());
                tracing::error!(stream = %target, offset, reason, "a message that is no frame is put into quarantine");
                let (target, bytes) = (target.clone(), message.body.clone());
                self.unread.push(Quarantined {
                    target,
                    incarnation: arrival.hint().incarnation,
                    offset,
                    reason,
                    bytes,
                });
                None
            }
        }
    }

    /// Whether more has come than was given.
    pub(super) fn has_more(&self) -> bool {
        !self.again.is_empty() || !self.arrivals.is_empty()
    }

    /// Gives the last batch again: it was not committed.
    pub(super) fn rewind(&mut self) {
        for arrival in self.given.drain(..).rev() {
            self.places.at().insert(arrival.target.clone(), arrival.message.offset);
            self.again.push_front(arrival);
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Reads one stream, again and again.
struct Source {
    broker: RabbitMq,
    wanted: Wanted,
    /// Where to go on.
    place: Option<Hint>,
    queue: mpsc::Sender<Arrival>,
    bells: Bells,
}

impl Source {
    async fn run(mut self) {
        let mut backoff = Backoff::default();
        loop {
            let error = match self.read(&mut backoff).await {
                Ok(()) => return,
                Err(error) => error,
            };
            let (wait, why) = (backoff.next(), telemetry::chain(&error));
            self.wanted.link.fails(format!("{} cannot be read: {why}", self.wanted.target));
            tracing::warn!(stream = %self.wanted.target, why, wait_ms = wait.as_millis(), "a stream is read again");
            tokio::time::sleep(wait).await;
        }
    }

    /// Reads until it is broken off, or nobody wants it any more.
    async fn read(&mut self, backoff: &mut Backoff) -> Result<(), BrokerError> {
        let back = REPUBLISH_ON_ATTACH * self.wanted.producers.len() as u64;
        let from = self.place.clone().map(|Hint { incarnation, offset }| {
            let offset = offset.saturating_sub(back);
            Hint { incarnation, offset }
        });
        let target = &self.wanted.target;
        let mut reading = self.broker.read(target, from.as_ref()).await?;
        tracing::info!(stream = %target, from = from.map_or(0, |hint| hint.offset), "reading");
        self.wanted.link.works();
        loop {
            let message = reading.next().await?;
            *backoff = Backoff::default();
            let arrival = Arrival { target: target.clone(), message };
            let place = arrival.hint();
            if self.queue.send(arrival).await.is_err() {
                return Ok(());
            }
            self.place = Some(place);
            self.bells.wake(target);
        }
    }
}

//! The subscription of one reader to the broker's streams.
//!
//! One task for each stream reads ahead into a shared bounded queue and wakes the reader. It starts after the last
//! known message, if that is still at its offset: a broker that lost its newest messages gives their offsets to new
//! ones. Otherwise, and when a frame is missing, it starts with the stream's first message. When it is interrupted, it
//! resumes by itself. The reader drops frames that it has already seen.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::LocalBoxFuture;
use stage::{Checkpoint, Positions, ResumePoint, StreamPartition};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;

use super::{Delivery, READ_BYTES_MAX, READ_FACTS_MAX, Subscription};
use crate::backoff::Backoff;
use crate::broker_metrics::BrokerMetrics;
use crate::connection_status::ConnectionStatus;
use crate::message::BrokerMessage;
use crate::rabbitmq::RabbitMq;
use crate::store::Quarantined;
use crate::{BrokerError, Postgres, StoreError, StreamBroker as _, Wakeups};

/// The capacity of the queue in messages for each stream that shares it. One stream may fill the whole queue. Together
/// with the messages held by the client this is enough for the next batch.
const QUEUE_MAX: usize = 64;

/// A received message.
#[derive(Debug)]
struct Arrival {
    target: StreamPartition,
    message: BrokerMessage,
}

/// The progress of a reader: for each stream, how many messages were given to it, and up to which all are applied.
#[derive(Clone, Debug, Default)]
pub(crate) struct ReadProgress(Arc<Mutex<BTreeMap<StreamPartition, StreamProgress>>>);

#[derive(Clone, Copy, Debug, Default)]
struct StreamProgress {
    given: u64,
    applied: u64,
    /// While the stream is read again from its first message: the number of messages that had been given before; else
    /// 0.
    again_until: u64,
}

impl ReadProgress {
    fn at(&self) -> MutexGuard<'_, BTreeMap<StreamPartition, StreamProgress>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A snapshot for each stream: the number of messages given, and up to which all are applied.
    pub fn all(&self) -> Vec<(StreamPartition, u64, u64)> {
        self.at().iter().map(|(target, progress)| (target.clone(), progress.given, progress.applied)).collect()
    }

    fn given(&self, target: &StreamPartition, messages: u64) {
        let mut progress = self.at();
        let progress = progress.entry(target.clone()).or_default();
        progress.given = messages;
        if messages >= progress.again_until {
            progress.again_until = 0;
        }
    }
}

/// The subscription of one reader to the broker's streams.
#[derive(Debug)]
pub struct StreamSubscription {
    arrivals: mpsc::Receiver<Arrival>,
    /// The messages of the last batch, in case they must be given again.
    given: Vec<Arrival>,
    /// Messages to give again.
    again: VecDeque<Arrival>,
    /// Messages that are not frames and are not in quarantine yet.
    unread: Vec<Quarantined>,
    quarantine: Arc<Postgres>,
    metrics: BrokerMetrics,
    progress: ReadProgress,
    /// Tells the tasks to start again with their stream's first message.
    again_from_first: BTreeMap<StreamPartition, Arc<Notify>>,
    tasks: Vec<JoinHandle<()>>,
}

/// One stream to read, with the status to report.
pub struct SubscriptionSpec {
    /// The stream partition.
    pub target: StreamPartition,
    /// The status of its connection.
    pub status: ConnectionStatus,
}

impl StreamSubscription {
    /// Reads these streams from the checkpoint on.
    pub fn start(
        broker: &RabbitMq,
        wanted: Vec<SubscriptionSpec>,
        checkpoint: &Checkpoint,
        wakeups: &Wakeups,
        quarantine: Arc<Postgres>,
        metrics: BrokerMetrics,
    ) -> Self {
        let (queue, arrivals) = mpsc::channel(QUEUE_MAX * wanted.len().max(1));
        let (progress, mut again_from_first, mut tasks) = (ReadProgress::default(), BTreeMap::new(), Vec::new());
        for wanted in wanted {
            let behind = checkpoint.resume_points.get(&wanted.target).cloned();
            let messages = behind.as_ref().map_or(0, |point| point.offset + 1);
            progress
                .at()
                .insert(wanted.target.clone(), StreamProgress { given: messages, applied: messages, again_until: 0 });
            let from_first: Arc<Notify> = Arc::default();
            again_from_first.insert(wanted.target.clone(), from_first.clone());
            let (broker, wakeups, queue) = (broker.clone(), wakeups.clone(), queue.clone());
            tasks.push(tokio::spawn(StreamReader { broker, wanted, behind, queue, wakeups, from_first }.run()));
        }
        let (given, again, unread) = (Vec::new(), VecDeque::new(), Vec::new());
        Self { arrivals, given, again, unread, quarantine, metrics, progress, again_from_first, tasks }
    }

    /// Returns what has arrived, up to the limits. Messages that are not frames are first put into quarantine, with
    /// their offsets.
    async fn arrived(&mut self) -> Result<Vec<Delivery>, StoreError> {
        self.put_away().await?;
        self.given.clear();
        let (mut ready, mut facts, mut bytes, mut messages) = (Vec::new(), 0, 0, 0);
        while facts < READ_FACTS_MAX && bytes < READ_BYTES_MAX {
            let Some(arrival) = self.again.pop_front().or_else(|| self.arrivals.try_recv().ok()) else { break };
            self.progress.given(&arrival.target, arrival.message.offset + 1);
            messages += 1;
            bytes += arrival.message.body.len();
            let Some(delivery) = self.delivery(&arrival) else { continue };
            facts += delivery.frame.facts;
            bytes += delivery.frame.body.len();
            ready.push(delivery);
            self.given.push(arrival);
        }
        self.metrics.read(messages);
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

    /// The progress, which is updated from now on.
    pub(crate) fn progress(&self) -> ReadProgress {
        self.progress.clone()
    }

    /// The frame in a message. A message that is not a frame is set aside.
    fn delivery(&mut self, arrival: &Arrival) -> Option<Delivery> {
        let Arrival { target, message } = arrival;
        if message.is_marker() {
            return None;
        }
        match message.frame(target) {
            Ok(frame) => Some(Delivery { frame, resume_point: message.resume_point() }),
            Err(no_frame) => {
                let (offset, reason) = (message.offset, no_frame.to_string());
                tracing::error!(stream = %target, offset, reason, "quarantined a message that is not a frame");
                let (target, bytes) = (target.clone(), message.body.clone());
                let incarnation = message.incarnation().unwrap_or_default().to_owned();
                self.unread.push(Quarantined { target, incarnation, offset, reason, bytes });
                None
            }
        }
    }
}

impl Subscription for StreamSubscription {
    fn ready<'a>(&'a mut self, _: &'a Positions) -> LocalBoxFuture<'a, Result<Vec<Delivery>, StoreError>> {
        Box::pin(self.arrived())
    }

    fn has_more(&self) -> bool {
        !self.again.is_empty() || !self.arrivals.is_empty()
    }

    fn applied(&self, missing: &BTreeSet<StreamPartition>) {
        for (_, progress) in self.progress.at().iter_mut().filter(|(target, _)| !missing.contains(target)) {
            progress.applied = progress.given;
        }
    }

    fn seek_to_start(&mut self, target: &StreamPartition) {
        if let Some(progress) = self.progress.at().get_mut(target)
            && progress.again_until == 0
            && let Some(from_first) = self.again_from_first.get(target)
        {
            progress.again_until = progress.given;
            from_first.notify_one();
        }
    }

    fn rewind(&mut self, _: &Checkpoint) {
        for arrival in self.given.drain(..).rev() {
            self.progress.given(&arrival.target, arrival.message.offset);
            self.again.push_front(arrival);
        }
    }
}

impl Drop for StreamSubscription {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Reads one stream, again after each failure.
struct StreamReader {
    broker: RabbitMq,
    wanted: SubscriptionSpec,
    /// The last message that was put into the queue, after which to resume.
    behind: Option<ResumePoint>,
    queue: mpsc::Sender<Arrival>,
    wakeups: Wakeups,
    /// Is notified when the stream must be read from its first message.
    from_first: Arc<Notify>,
}

/// The reason why reading ended without an error.
enum Ended {
    /// The subscription was dropped.
    Unwanted,
    /// The stream must be read from its first message.
    FromFirst,
}

impl StreamReader {
    async fn run(mut self) {
        let mut backoff = Backoff::default();
        loop {
            let error = match self.read(&mut backoff).await {
                Ok(Ended::Unwanted) => return,
                Ok(Ended::FromFirst) => {
                    self.behind = None;
                    continue;
                }
                Err(error) => error,
            };
            let (wait, why) = (backoff.next(), telemetry::error_chain(&error));
            self.wanted.status.fails(format!("{} cannot be read: {why}", self.wanted.target));
            tracing::warn!(stream = %self.wanted.target, why, wait_ms = wait.as_millis(), "reading will be retried");
            tokio::time::sleep(wait).await;
        }
    }

    /// Reads until an error or until the subscription is dropped. Reading works once a message has arrived, or once the
    /// last known message was found at its offset.
    async fn read(&mut self, backoff: &mut Backoff) -> Result<Ended, BrokerError> {
        let target = &self.wanted.target;
        let mut reading = self.broker.read(target, self.behind.as_ref()).await?;
        let mut works = reading.is_resumed;
        if works {
            self.wanted.status.works();
        } else {
            self.behind = None;
        }
        tracing::info!(stream = %target, from = self.behind.as_ref().map_or(0, |point| point.offset + 1), "reading");
        loop {
            let message = tokio::select! {
                message = reading.next() => message?,
                () = self.from_first.notified() => return Ok(Ended::FromFirst),
            };
            *backoff = Backoff::default();
            if !std::mem::replace(&mut works, true) {
                self.wanted.status.works();
            }
            self.behind = message.resume_point().or(self.behind.take());
            if self.queue.send(Arrival { target: target.clone(), message }).await.is_err() {
                return Ok(Ended::Unwanted);
            }
            self.wakeups.wake(target);
        }
    }
}

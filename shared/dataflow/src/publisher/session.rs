//! A publishing session: publishing over one channel, until an error.
//!
//! [`Session::run`] decides nothing but when to take which step. The steps wait for the broker and the database alone,
//! never for time, so that the simulation can take them in any order.

mod attach;
mod look;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use futures_util::FutureExt as _;
use stage::{Frame, Hash, PUBLISH_WINDOW, Producer, PublishPosition, PublishWindow, ResumePoint, Seq};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use super::{Publication, PublishError};
use crate::connection_status::ConnectionStatus;
use crate::stream_broker::{Confirm, PublishChannel};
use crate::{BrokerError, StoreError};

/// The maximum number of bytes in flight to the broker. Unconfirmed frames are kept in our memory too.
const IN_FLIGHT_BYTES_MAX: usize = 16 << 20;
/// The maximum number of bytes per read of the journal.
const READ_BYTES_MAX: usize = 4 << 20;
/// A broker that confirms nothing for this long is blocked or gone.
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(15);
/// How often to note the publish position, and to check for a rewind. Frames published since the last note are read once
/// more by the next session.
const NOTE_INTERVAL: Duration = Duration::from_secs(2);
/// How often to check a stream that nothing was sent to. Most streams of many partitions are idle, and a check is work
/// for the broker.
const CHECK_INTERVAL: Duration = Duration::from_secs(10);

/// One producer's window of the stream.
struct ProducerWindow {
    producer: Producer,
    window: PublishWindow,
}

/// A frame that the broker has not confirmed yet.
struct InFlight {
    window: usize,
    seq: Seq,
    bytes: usize,
    sent: Instant,
    confirm: Confirm,
}

/// The first message of the last chunk: its offset, and the hash of its body if it is foreign.
#[derive(Debug, PartialEq, Eq)]
enum LastChunk {
    Ours(ResumePoint),
    Foreign(u64, Hash),
}

/// Publishing over one channel.
pub struct Session {
    publication: Publication,
    publishing: PublishChannel,
    windows: Vec<ProducerWindow>,
    /// The index of the producer that is served first.
    first: usize,
    in_flight: VecDeque<InFlight>,
    bytes_in_flight: usize,
    /// The last message of this session that the broker has confirmed: the marker, or a frame.
    confirmed: Option<(Producer, Seq)>,
    /// The result of the last look: a message of the stream, and the frames at or before it.
    noted: PublishPosition,
    /// Whether it is not in the database yet.
    is_to_note: bool,
    /// The first message of the stream's last chunk, if nothing was sent since it was read.
    end: Option<LastChunk>,
    status: ConnectionStatus,
    /// Whether the session was reported as working.
    works: bool,
}

impl Session {
    /// Publishes until it is stopped and nothing is left to publish.
    ///
    /// # Errors
    /// [`PublishError`] when publishing must start again with another session.
    pub async fn run(&mut self, wakeup: &Notify, stopped: &mut watch::Receiver<bool>) -> Result<(), PublishError> {
        let (mut ticks, mut checks) = (later(NOTE_INTERVAL), later(CHECK_INTERVAL));
        loop {
            self.fill().await?;
            if self.in_flight.is_empty() && *stopped.borrow() {
                self.look().await?;
                return self.note().await;
            }
            tokio::select! {
                confirmed = self.confirm() => confirmed?,
                () = wakeup.notified() => {}
                _ = stopped.changed() => {}
                _ = ticks.tick() => self.tick().await?,
                _ = checks.tick() => self.check().await?,
            }
        }
    }

    /// How far the stream holds the journal of each producer.
    pub fn held(&self) -> BTreeMap<Producer, Seq> {
        self.windows.iter().map(|window| (window.producer.clone(), window.window.held())).collect()
    }

    /// Checks the channel, looks at the end of the stream if something was sent since the last look, and notes the
    /// publish position.
    ///
    /// # Errors
    /// [`PublishError`].
    pub async fn tick(&mut self) -> Result<(), PublishError> {
        self.publishing.check().map_err(|source| self.broken(source))?;
        if self.publication.broker.is_blocked() {
            self.is_blocked();
        } else if self.in_flight.front().is_some_and(|first| first.sent.elapsed() > CONFIRM_TIMEOUT) {
            return Err(self.broken(BrokerError::Silent(CONFIRM_TIMEOUT)));
        }
        if self.end.is_none() {
            self.look().await?;
        }
        self.try_to_note().await
    }

    /// Checks that the stream still ends as before, and that it is the incarnation that was attached to.
    ///
    /// When somebody else deletes a stream and creates it again, this channel goes on in the new one, which lacks what
    /// was confirmed before. A look does not notice that, and need not: its result counts only for the incarnation that
    /// was attached to.
    ///
    /// # Errors
    /// [`PublishError`].
    pub async fn check(&mut self) -> Result<(), PublishError> {
        self.look().await?;
        let incarnation = self.publication.broker.incarnation(&self.publication.target).await;
        self.or_lost(incarnation.map(|incarnation| incarnation.as_ref() == Some(&self.publishing.incarnation)))
    }

    fn works(&mut self) {
        if !self.works {
            self.works = true;
            self.status.works();
        }
    }

    /// Keeps the frames in flight: a blocked broker accepts them as soon as it can, and would not accept more over a
    /// new connection. If the broker is gone, missing heartbeats reveal it.
    fn is_blocked(&mut self) {
        self.in_flight.iter_mut().for_each(|frame| frame.sent = Instant::now());
        self.works = false;
        let target = &self.publication.target;
        self.status.fails(format!("{target}: the broker accepts no messages: it is short of memory or disk space"));
    }

    /// Sends as many frames of the journals as the window allows.
    ///
    /// # Errors
    /// [`PublishError`].
    pub async fn fill(&mut self) -> Result<(), PublishError> {
        // Another producer comes first each time, so that a busy one does not keep the others waiting.
        self.first = (self.first + 1) % self.windows.len().max(1);
        for at in (self.first..self.windows.len()).chain(0..self.first) {
            while let Some(frames) = self.wanted(at).await? {
                for frame in &frames {
                    self.send(at, frame).await?;
                }
            }
        }
        if self.in_flight.is_empty() && !self.publication.broker.is_blocked() {
            self.works();
        }
        Ok(())
    }

    /// The next frames of a producer, as many as there is room for.
    async fn wanted(&self, at: usize) -> Result<Option<Vec<Frame>>, PublishError> {
        let Publication { target, journal, backlog, .. } = &self.publication;
        let window = &self.windows[at];
        let room = usize::try_from(PUBLISH_WINDOW).unwrap_or(usize::MAX).saturating_sub(self.in_flight.len());
        let room_bytes = IN_FLIGHT_BYTES_MAX.saturating_sub(self.bytes_in_flight);
        let Some(from) = window.window.wants() else { return Ok(None) };
        if room == 0 || room_bytes == 0 || from > backlog.last(target, &window.producer) {
            return Ok(None);
        }
        let frames = journal.journal(&window.producer, target, from, room, room_bytes.min(READ_BYTES_MAX)).await;
        let frames = frames.map_err(|source| self.unreadable(source))?;
        match frames.first() {
            Some(first) if first.seq == from => Ok(Some(frames)),
            _ => {
                let what = format!("the journal of {} for {target} lacks frame {from}", window.producer);
                Err(self.unreadable(StoreError::Damaged(what)))
            }
        }
    }

    async fn send(&mut self, window: usize, frame: &Frame) -> Result<(), PublishError> {
        let confirm = self.publishing.publish(frame).await.map_err(|source| self.broken(source))?;
        let (seq, bytes) = (frame.seq, frame.body.len());
        self.publication.metrics.published();
        self.windows[window].window.sent();
        self.end = None;
        self.bytes_in_flight += bytes;
        self.in_flight.push_back(InFlight { window, seq, bytes, sent: Instant::now(), confirm });
        Ok(())
    }

    /// Waits for the confirm of the first frame in flight, forever while there is none. Then processes it and those of
    /// the next frames that have already arrived. The wait can be canceled and repeated.
    ///
    /// # Errors
    /// [`PublishError`] when a frame was not stored, or that is unknown.
    pub async fn confirm(&mut self) -> Result<(), PublishError> {
        let Some(first) = self.in_flight.front_mut() else { return std::future::pending().await };
        let mut next_answer = Some(first.confirm.confirmed().await);
        while let Some(confirmed) = next_answer {
            confirmed.map_err(|source| self.broken(source))?;
            let Some(InFlight { window, seq, bytes, .. }) = self.in_flight.pop_front() else { break };
            self.bytes_in_flight -= bytes;
            self.works();
            let window = &mut self.windows[window];
            window.window.confirmed(seq);
            self.confirmed = Some((window.producer.clone(), seq));
            self.publication.backlog.confirmed(&self.publication.target, &window.producer, window.window.held());
            next_answer = self.in_flight.front_mut().and_then(|next| next.confirm.confirmed().now_or_never());
        }
        Ok(())
    }

    /// Like [`Session::note`], but a database that does not answer is tried again at the next tick. Publishing
    /// continues unharmed meanwhile.
    async fn try_to_note(&mut self) -> Result<(), PublishError> {
        match self.note().await {
            Err(error @ PublishError::Journal { .. }) => {
                tracing::debug!(why = telemetry::error_chain(&error), "the publish position will be stored later");
                Ok(())
            }
            noted => noted,
        }
    }

    /// Stores the publish position, and checks whether an operator has requested a rewind.
    async fn note(&mut self) -> Result<(), PublishError> {
        let Publication { target, positions, .. } = &self.publication;
        let is_rewound = if self.is_to_note {
            !positions.store_publish_position(target, &self.noted).await.map_err(|source| self.unreadable(source))?
        } else {
            let position = positions.publish_position(target).await.map_err(|source| self.unreadable(source))?;
            position.rewinds != self.noted.rewinds
        };
        if is_rewound {
            return Err(PublishError::Rewound(target.clone()));
        }
        self.is_to_note = false;
        Ok(())
    }

    /// Closes the channel, so that nothing sent over it can still be confirmed or stored.
    pub async fn end(self) {
        self.publishing.close().await;
    }

    fn broken(&self, source: BrokerError) -> PublishError {
        PublishError::Broker { target: self.publication.target.clone(), source }
    }

    fn unreadable(&self, source: StoreError) -> PublishError {
        PublishError::Journal { target: self.publication.target.clone(), source }
    }
}

/// Ticks from one period on: attaching has just shown what a tick would.
fn later(period: Duration) -> Interval {
    let mut interval = interval_at(Instant::now() + period, period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

//! Publishing over one channel, until something goes wrong with it.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::FutureExt as _;
use stage::{Frame, Outbox, PUBLISH_WINDOW, Producer, Seq};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::{Interrupted, Publication};
use crate::links::Link;
use crate::rabbitmq::{Confirm, Publishing};
use crate::store::Noted;
use crate::{BrokerError, StoreError};

/// Bytes on their way to the broker at most: what it has not confirmed is in our memory too.
const IN_FLIGHT_BYTES_MAX: usize = 16 << 20;
/// Bytes read from the journal at a time.
const READ_BYTES_MAX: usize = 4 << 20;
/// A broker that confirms nothing for so long is blocked, or gone.
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(15);
/// How often to note what was confirmed, and to look for a rewound mark.
const MARK_INTERVAL: Duration = Duration::from_secs(1);
/// Looks at the marks between two looks at the stream's first message.
const MARKS_PER_LOOK: u32 = 2;

/// One producer's way to the stream.
struct Line {
    producer: Producer,
    outbox: Outbox,
    /// How often it had been rewound when this began.
    rewinds: u64,
    /// Whether something was confirmed since the last note.
    is_to_note: bool,
}

/// A frame that the broker has not confirmed yet.
struct InFlight {
    line: usize,
    seq: Seq,
    bytes: usize,
    sent: Instant,
    confirm: Confirm,
}

/// Publishing over one channel.
pub struct Session {
    publication: Publication,
    publishing: Publishing,
    lines: Vec<Line>,
    /// The line that is looked at first.
    first: usize,
    in_flight: VecDeque<InFlight>,
    bytes_in_flight: usize,
    link: Link,
    /// Whether the link was told that it works.
    works: bool,
}

impl Session {
    /// Attaches to the stream, in whatever life it is. That it works, the link is told later: a broker that is
    /// short of memory or disk space does all this, and then confirms nothing.
    pub(crate) async fn attach(publication: Publication, link: Link) -> Result<Self, Interrupted> {
        let target = &publication.target;
        let unreadable = |source| Interrupted::Journal { target: target.clone(), source };
        let noted = publication.marks.marks(target).await.map_err(unreadable)?;
        for producer in publication.producers.iter().filter(|producer| !publication.backlog.knows(target, producer)) {
            let confirmed = noted.iter().find(|noted| noted.producer == *producer).map(|noted| noted.mark.confirmed);
            let confirmed = confirmed.unwrap_or(Seq(0));
            let unpublished = publication.marks.unpublished(target, producer, confirmed).await;
            let (last, bytes) = unpublished.map_err(unreadable)?;
            publication.backlog.begin(target, producer, confirmed, last, bytes);
        }
        let publishing = publication.broker.attach(target).await;
        let publishing = publishing.map_err(|source| Interrupted::Broker { target: target.clone(), source })?;
        let line = |producer: &Producer| {
            let noted = noted.iter().find(|noted| noted.producer == *producer);
            let outbox = Outbox::attach(noted.map(|noted| &noted.mark), &publishing.incarnation);
            let rewinds = noted.map_or(0, |noted| noted.rewinds);
            Line { producer: producer.clone(), outbox, rewinds, is_to_note: false }
        };
        let lines = publication.producers.iter().map(line).collect();
        tracing::info!(stream = %target, incarnation = publishing.incarnation, "publishing");
        let (first, in_flight, bytes_in_flight) = (0, VecDeque::new(), 0);
        Ok(Self { publication, publishing, lines, first, in_flight, bytes_in_flight, link, works: false })
    }

    /// Publishes until it is stopped and nothing is left.
    pub(crate) async fn run(&mut self, bell: &Notify, stopped: &mut watch::Receiver<bool>) -> Result<(), Interrupted> {
        let mut ticks = interval(MARK_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut looks: u32 = 0;
        loop {
            self.fill().await?;
            if self.in_flight.is_empty() {
                if *stopped.borrow() {
                    return self.note_marks().await;
                }
                if !self.publication.broker.is_blocked() {
                    self.works();
                }
            }
            tokio::select! {
                confirmed = next_confirm(&mut self.in_flight) => self.confirmed(confirmed)?,
                () = bell.notified() => {}
                _ = stopped.changed() => {}
                _ = ticks.tick() => {
                    if self.publication.broker.is_blocked() {
                        self.is_blocked();
                    } else if self.in_flight.front().is_some_and(|first| first.sent.elapsed() > CONFIRM_TIMEOUT) {
                        return Err(self.broken(BrokerError::Silent(CONFIRM_TIMEOUT)));
                    }
                    self.try_to_note_marks().await?;
                    looks += 1;
                    if looks.is_multiple_of(MARKS_PER_LOOK) {
                        self.look().await?;
                    }
                }
            }
        }
    }

    fn works(&mut self) {
        if !self.works {
            self.works = true;
            self.link.works();
        }
    }

    /// What is on its way stays there: a blocked broker takes it as soon as it can, and over a new connection it
    /// would take no more. One that is gone is found by its heartbeats.
    fn is_blocked(&mut self) {
        self.in_flight.iter_mut().for_each(|frame| frame.sent = Instant::now());
        self.works = false;
        let target = &self.publication.target;
        self.link.fails(format!("{target}: the broker takes nothing just now: it is short of memory or disk space"));
    }

    /// Hands over what the journal holds and the window allows.
    async fn fill(&mut self) -> Result<(), Interrupted> {
        // Another line comes first each time, so that one with much to say does not keep the others waiting.
        self.first = (self.first + 1) % self.lines.len().max(1);
        for at in (self.first..self.lines.len()).chain(0..self.first) {
            while let Some(frames) = self.wanted(at).await? {
                for frame in &frames {
                    self.send(at, frame).await?;
                }
            }
        }
        Ok(())
    }

    /// The next frames of a producer, as many as have room.
    async fn wanted(&self, at: usize) -> Result<Option<Vec<Frame>>, Interrupted> {
        let Publication { target, journal, backlog, .. } = &self.publication;
        let line = &self.lines[at];
        let room = usize::try_from(PUBLISH_WINDOW).unwrap_or(usize::MAX).saturating_sub(self.in_flight.len());
        let room_bytes = IN_FLIGHT_BYTES_MAX.saturating_sub(self.bytes_in_flight);
        let Some(from) = line.outbox.wants() else { return Ok(None) };
        if room == 0 || room_bytes == 0 || from > backlog.last(target, &line.producer) {
            return Ok(None);
        }
        let frames = journal.journal(&line.producer, target, from, room, room_bytes.min(READ_BYTES_MAX)).await;
        let frames = frames.map_err(|source| self.unreadable(source))?;
        match frames.first() {
            Some(first) if first.seq == from => Ok(Some(frames)),
            _ => {
                let what = format!("the journal of {} for {target} lacks frame {from}", line.producer);
                Err(self.unreadable(StoreError::Damaged(what)))
            }
        }
    }

    async fn send(&mut self, line: usize, frame: &Frame) -> Result<(), Interrupted> {
        let confirm = self.publishing.publish(frame).await.map_err(|source| self.broken(source))?;
        let (seq, bytes) = (frame.seq, frame.body.len());
        self.lines[line].outbox.sent();
        self.bytes_in_flight += bytes;
        self.in_flight.push_back(InFlight { line, seq, bytes, sent: Instant::now(), confirm });
        Ok(())
    }

    /// Takes the answer to the first frame in flight, and those that are there already for the next.
    fn confirmed(&mut self, first: Result<(), BrokerError>) -> Result<(), Interrupted> {
        let mut answer = Some(first);
        while let Some(confirmed) = answer {
            confirmed.map_err(|source| self.broken(source))?;
            let Some(InFlight { line, seq, bytes, .. }) = self.in_flight.pop_front() else { break };
            self.bytes_in_flight -= bytes;
            self.works();
            let line = &mut self.lines[line];
            line.outbox.confirmed(seq);
            line.is_to_note = true;
            self.publication.backlog.confirmed(&self.publication.target, &line.producer, line.outbox.mark().confirmed);
            answer = self.in_flight.front_mut().and_then(|next| next.confirm.confirmed().now_or_never());
        }
        Ok(())
    }

    /// The same, but a database that does not answer is asked the next time: what is published meanwhile is none the
    /// worse, and may only be published once more.
    async fn try_to_note_marks(&mut self) -> Result<(), Interrupted> {
        match self.note_marks().await {
            Err(error @ Interrupted::Journal { .. }) => {
                tracing::debug!(why = telemetry::chain(&error), "marks are noted later");
                Ok(())
            }
            noted => noted,
        }
    }

    /// Notes what was confirmed, and learns whether an operator wants it published again.
    async fn note_marks(&mut self) -> Result<(), Interrupted> {
        let Publication { target, marks, .. } = &self.publication;
        let note = |line: &Line| {
            let (producer, mark) = (line.producer.clone(), line.outbox.mark());
            Noted { producer, mark, rewinds: line.rewinds }
        };
        let changed: Vec<_> = self.lines.iter().filter(|line| line.is_to_note).map(note).collect();
        if !changed.is_empty() {
            let noted = marks.note_marks(target, &changed).await.map_err(|source| self.unreadable(source))?;
            if !noted {
                return Err(Interrupted::Rewound(target.clone()));
            }
            self.lines.iter_mut().for_each(|line| line.is_to_note = false);
        }
        let noted = marks.marks(target).await.map_err(|source| self.unreadable(source))?;
        let is_rewound =
            |line: &Line| noted.iter().any(|noted| noted.producer == line.producer && noted.rewinds != line.rewinds);
        if self.lines.iter().any(is_rewound) { Err(Interrupted::Rewound(target.clone())) } else { Ok(()) }
    }

    /// Looks whether the stream is still the one that was attached to, also while there is nothing to say.
    async fn look(&self) -> Result<(), Interrupted> {
        let Publication { target, broker, .. } = &self.publication;
        match broker.incarnation(target).await {
            Ok(Some(incarnation)) if incarnation == self.publishing.incarnation => Ok(()),
            Ok(_) | Err(BrokerError::NoStream(_)) => Err(Interrupted::NewLife(target.clone())),
            Err(error) => Err(self.broken(error)),
        }
    }

    /// Notes what is sure, and closes the channel, so that nothing sent over it can still be confirmed or kept.
    pub(crate) async fn end(mut self) {
        if let Err(error) = self.note_marks().await {
            tracing::debug!(why = telemetry::chain(&error), "a mark was not noted: more will be published again");
        }
        self.publishing.close().await;
    }

    fn broken(&self, source: BrokerError) -> Interrupted {
        Interrupted::Broker { target: self.publication.target.clone(), source }
    }

    fn unreadable(&self, source: StoreError) -> Interrupted {
        Interrupted::Journal { target: self.publication.target.clone(), source }
    }
}

/// The answer to the first frame in flight; none ever while there is no such frame.
async fn next_confirm(in_flight: &mut VecDeque<InFlight>) -> Result<(), BrokerError> {
    match in_flight.front_mut() {
        Some(first) => first.confirm.confirmed().await,
        None => std::future::pending().await,
    }
}

//! Checking the end of the stream that is being published to: whether it is still the stream that was attached to, and
//! up to which frame it certainly holds the journals.

use std::collections::BTreeMap;
use std::time::Instant;

use stage::{Digest, Producer, ResumePoint, Seq};

use super::{LastChunk, Session};
use crate::BrokerError;
use crate::message::BrokerMessage;
use crate::publisher::PublishError;
use crate::rabbitmq::{ANSWER_TIMEOUT, TOGETHER};

/// The prefetch of a read of the stream's end.
const MANY: u16 = 64;

impl LastChunk {
    fn of(message: &BrokerMessage) -> Self {
        match message.resume_point() {
            Some(point) => Self::Ours(point),
            None => Self::Foreign(message.offset, Digest::default().part(&message.body).finish()),
        }
    }
}

impl Session {
    /// Finds a message at the end of the stream that lies at or after everything confirmed. If nothing was sent since
    /// the last look, it suffices that the stream still ends the same way.
    pub(super) async fn look(&mut self) -> Result<(), PublishError> {
        match self.find_end().await {
            Ok(true) => Ok(()),
            Ok(false) | Err(BrokerError::NoStream(_)) => Err(PublishError::Lost(self.publication.target.clone())),
            Err(error) => Err(self.broken(error)),
        }
    }

    async fn find_end(&mut self) -> Result<bool, BrokerError> {
        let (target, broker) = (self.publication.target.clone(), self.publication.broker.clone());
        if self.end.is_some() {
            let first = broker.read_last(&target, 1).await?.next_within(ANSWER_TIMEOUT).await?;
            if self.end == first.as_ref().map(LastChunk::of) {
                return Ok(true);
            }
        }
        let confirmed = self.windows.iter().map(|window| (window.producer.clone(), window.window.held()));
        let confirmed: BTreeMap<_, _> = confirmed.collect();
        let mut reading = broker.read_last(&target, MANY).await?;
        let mut next = reading.next_within(ANSWER_TIMEOUT).await?;
        let first = next.as_ref().map(LastChunk::of);
        let end = Instant::now() + TOGETHER;
        while let Some(message) = next {
            if let Some(point) = message.resume_point().filter(|point| self.is_behind_confirmed(point, &confirmed)) {
                self.end = first.filter(|_| self.in_flight.is_empty());
                (self.noted.resume, self.noted.confirmed, self.is_to_note) = (Some(point), confirmed, true);
                return Ok(true);
            }
            next = reading.next_within(end.saturating_duration_since(Instant::now())).await?;
        }
        // All of the last messages may be foreign. That everything confirmed still exists is certain only if it all
        // lies before the noted message.
        let Some(noted) = self.noted.resume.clone().filter(|_| self.noted.confirmed == confirmed) else {
            return Ok(false);
        };
        let is_there = broker.find(&target, &noted).await?.is_some();
        if is_there && self.in_flight.is_empty() {
            if let Some(LastChunk::Ours(later)) = &first
                && later.offset > noted.offset
            {
                (self.noted.resume, self.is_to_note) = (Some(later.clone()), true);
            }
            self.end = first;
        }
        Ok(is_there)
    }

    /// Whether everything confirmed lies at or before a message: it is the last confirmed message, or one still in
    /// flight.
    fn is_behind_confirmed(&self, point: &ResumePoint, confirmed: &BTreeMap<Producer, Seq>) -> bool {
        let is_ours = point.session == self.publishing.session;
        is_ours
            && match (&self.confirmed, &point.frame) {
                (None, _) => true,
                (Some(_), None) => false,
                (Some(last), Some(frame)) => {
                    last == frame || confirmed.get(&frame.0).is_some_and(|confirmed| frame.1 > *confirmed)
                }
            }
    }
}

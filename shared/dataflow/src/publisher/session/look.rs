//! Checking the end of the stream that is being published to: whether it is still the stream that was attached to, and
//! up to which frame it certainly holds the journals.

use std::collections::BTreeMap;
use std::time::Instant;

use stage::{Digest, Producer, ResumePoint, Seq};

use super::{LastChunk, Session};
use crate::BrokerError;
use crate::message::BrokerMessage;
use crate::publisher::{Publication, PublishError};
use crate::stream_broker::{ANSWER_TIMEOUT, StartAt, TOGETHER};

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

/// What a look has found at the end of the stream.
struct StreamEnd {
    /// The first message of the last chunk.
    last_chunk: Option<LastChunk>,
    /// A message at or after everything confirmed; `None` if the noted one is still the last that is known.
    resume: Option<ResumePoint>,
    /// What was confirmed.
    confirmed: BTreeMap<Producer, Seq>,
}

impl Session {
    /// Finds a message at the end of the stream that lies at or after everything confirmed. If nothing was sent since
    /// the last look, it suffices that the stream still ends the same way.
    pub(super) async fn look(&mut self) -> Result<(), PublishError> {
        let is_in_place = self.is_in_place().await;
        self.or_lost(is_in_place)
    }

    pub(super) fn or_lost(&self, is_in_place: Result<bool, BrokerError>) -> Result<(), PublishError> {
        match is_in_place {
            Ok(true) => Ok(()),
            Ok(false) | Err(BrokerError::NoStream(_)) => Err(PublishError::Lost(self.publication.target.clone())),
            Err(error) => Err(self.broken(error)),
        }
    }

    /// Whether the stream holds everything confirmed. If so, its end is remembered.
    async fn is_in_place(&mut self) -> Result<bool, BrokerError> {
        if self.end.is_some() && self.end == self.last_chunk().await? {
            return Ok(true);
        }
        let Some(StreamEnd { last_chunk, resume, confirmed }) = self.find_end().await? else { return Ok(false) };
        if let Some(point) = resume {
            (self.noted.resume, self.noted.confirmed, self.is_to_note) = (Some(point), confirmed, true);
        }
        if self.in_flight.is_empty() {
            self.end = last_chunk;
        }
        Ok(true)
    }

    /// The first message of the stream's last chunk.
    async fn last_chunk(&self) -> Result<Option<LastChunk>, BrokerError> {
        let Publication { target, broker, .. } = &self.publication;
        let mut reading = broker.consume(target, StartAt::LastChunk, 1).await?;
        Ok(reading.next_within(ANSWER_TIMEOUT).await?.as_ref().map(LastChunk::of))
    }

    /// Looks for a message at or after everything confirmed. `None` if the stream has lost some of it.
    async fn find_end(&self) -> Result<Option<StreamEnd>, BrokerError> {
        let Publication { target, broker, .. } = &self.publication;
        let confirmed = self.held();
        let mut reading = broker.consume(target, StartAt::LastChunk, MANY).await?;
        let mut next = reading.next_within(ANSWER_TIMEOUT).await?;
        let last_chunk = next.as_ref().map(LastChunk::of);
        let end = Instant::now() + TOGETHER;
        while let Some(message) = next {
            if let Some(point) = message.resume_point().filter(|point| self.is_behind_confirmed(point, &confirmed)) {
                return Ok(Some(StreamEnd { last_chunk, resume: Some(point), confirmed }));
            }
            next = reading.next_within(end.saturating_duration_since(Instant::now())).await?;
        }
        // All of the last messages may be foreign. That everything confirmed still exists is certain only if it all
        // lies before the noted message.
        let Some(noted) = self.noted.resume.as_ref().filter(|_| self.noted.confirmed == confirmed) else {
            return Ok(None);
        };
        if broker.find(target, noted).await?.is_none() {
            return Ok(None);
        }
        let resume = match &last_chunk {
            Some(LastChunk::Ours(later)) if self.in_flight.is_empty() && later.offset > noted.offset => {
                Some(later.clone())
            }
            Some(LastChunk::Ours(_) | LastChunk::Foreign(..)) | None => None,
        };
        Ok(Some(StreamEnd { last_chunk, resume, confirmed }))
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

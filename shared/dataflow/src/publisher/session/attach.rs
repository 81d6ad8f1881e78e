//! Attaching to a stream: frames that it already holds are not published again.

use std::collections::VecDeque;

use stage::{Producer, PublishPosition, PublishWindow, ResumePoint, Seq, StreamScan};

use super::{ProducerWindow, Session};
use crate::connection_status::ConnectionStatus;
use crate::publisher::{Publication, PublishError};
use crate::stream_broker::{ANSWER_TIMEOUT, PublishChannel};
use crate::{BrokerError, StoreError};

impl Session {
    /// Attaches to the stream, of any incarnation, and reads what was published since the last note. Writing the marker
    /// and reading it back shows that both directions work.
    ///
    /// # Errors
    /// [`PublishError`].
    pub async fn attach(publication: Publication, status: ConnectionStatus) -> Result<Self, PublishError> {
        let target = &publication.target;
        let unreadable = |source| PublishError::Journal { target: target.clone(), source };
        let broken = |source| PublishError::Broker { target: target.clone(), source };
        let mut noted = publication.positions.publish_position(target).await.map_err(unreadable)?;
        begin_backlog(&publication, &noted).await.map_err(unreadable)?;
        let publishing = publication.broker.attach(target).await.map_err(broken)?;
        if noted.incarnation.as_ref() != Some(&publishing.incarnation) {
            noted.resume = None;
        }
        let (scan, marker) = scan(&publication, &publishing, &noted).await.map_err(broken)?;
        let mut windows = Vec::new();
        for producer in &publication.producers {
            let is_rewound = noted.republish.contains(producer);
            let held = if is_rewound { Seq(0) } else { scan.held(producer) };
            check_held(&publication, producer, held).await.map_err(unreadable)?;
            publication.backlog.confirmed(target, producer, held);
            windows.push(ProducerWindow { producer: producer.clone(), window: PublishWindow::behind(held) });
        }
        noted.republish.clear();
        noted.incarnation = Some(publishing.incarnation.clone());
        noted.resume = Some(marker);
        tracing::info!(stream = %target, incarnation = publishing.incarnation, "publishing");
        status.works();
        let mut session = Self {
            publication,
            publishing,
            windows,
            first: 0,
            in_flight: VecDeque::new(),
            bytes_in_flight: 0,
            confirmed: None,
            noted,
            is_to_note: true,
            end: None,
            status,
            works: true,
        };
        session.noted.confirmed = session.held();
        Ok(session)
    }
}

/// Counts the unconfirmed frames of the journals from now on, even while the broker is unavailable.
async fn begin_backlog(publication: &Publication, noted: &PublishPosition) -> Result<(), StoreError> {
    let Publication { target, producers, positions, backlog, .. } = publication;
    if producers.iter().all(|producer| backlog.knows(target, producer)) {
        return Ok(());
    }
    for (producer, end) in producers.iter().zip(positions.ends(target, producers).await?) {
        let confirmed = noted.confirmed.get(producer).copied().unwrap_or(Seq(0));
        let unpublished =
            if end > confirmed { positions.unpublished(target, producer, confirmed).await? } else { Vec::new() };
        if !backlog.knows(target, producer) {
            backlog.begin(target, producer, confirmed, unpublished);
        }
    }
    Ok(())
}

/// Scans what the stream holds, up to the marker of this session.
async fn scan(
    publication: &Publication,
    publishing: &PublishChannel,
    noted: &PublishPosition,
) -> Result<(StreamScan, ResumePoint), BrokerError> {
    let Publication { target, broker, metrics, .. } = publication;
    let mut reading = broker.read(target, noted.resume.as_ref()).await?;
    let mut scan = if reading.is_resumed { StreamScan::behind(noted) } else { StreamScan::from_first() };
    loop {
        let message = reading.next_within(ANSWER_TIMEOUT).await?.ok_or(BrokerError::Silent(ANSWER_TIMEOUT))?;
        metrics.read_back();
        let point = message.resume_point();
        if let Some(marker) = point.filter(|point| point.frame.is_none() && point.session == publishing.session) {
            return Ok((scan, marker));
        }
        scan.see(message.offset, message.frame(target).ok().as_ref());
    }
}

/// Checks that the journal reaches the frames that were published from it. A journal that ends before them has lost its
/// end: continuing would publish other content under numbers that readers know.
async fn check_held(publication: &Publication, producer: &Producer, held: Seq) -> Result<(), StoreError> {
    let Publication { target, journal, backlog, .. } = publication;
    if held <= backlog.last(target, producer) {
        return Ok(());
    }
    let last = journal.last_seq(producer, target).await?;
    if held <= last {
        return Ok(());
    }
    let what = format!(
        "the stream {target} holds frame {held} of {producer}, and its journal ends at {last}: the database is older than \
         what was published from it; restore a newer one"
    );
    Err(StoreError::Damaged(what))
}

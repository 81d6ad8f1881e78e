//! The journal by itself: per producer and target dense from 1, chained, intact.

use serde::de::IgnoredAny;
use stage::{Frame, Hash, Producer, Seq, Stream, StreamPartition};

use super::pages::Journal;
use super::{AuditedService, End, Watch, at, frame_place, wrong};

/// Everything wrong with a service's journal: the first of each producer and target.
pub(super) async fn check(service: &AuditedService, streams: &[&'static Stream], watch: &Watch) -> Vec<End> {
    let mut ends = Vec::new();
    for (producer, target, frames) in &service.inventory.frames {
        match known(service, streams, producer, target) {
            Some((by, to)) => ends.extend(chain(service, &by, &to, *frames, watch).await.err()),
            None => {
                let what = format!("{frames} frames that nobody who says so here could have said");
                ends.push(wrong(service.name, format!("journal {producer}>{target}"), what));
            }
        }
    }
    ends
}

/// Whether such a producer says such a thing in this service.
fn known(
    service: &AuditedService,
    streams: &[&'static Stream],
    by: &str,
    to: &str,
) -> Option<(Producer, StreamPartition)> {
    let (by, to): (Producer, StreamPartition) = (by.parse().ok()?, to.parse().ok()?);
    let partitions = service.store.meta().partitions;
    let stream = streams.iter().find(|stream| stream.name == to.stream && stream.service == service.name)?;
    let is_known = to.partition.0 < partitions.get() && stream.known_producers(to.partition, partitions).contains(&by);
    is_known.then_some((by, to))
}

async fn chain(
    service: &AuditedService,
    by: &Producer,
    to: &StreamPartition,
    frames: u64,
    watch: &Watch,
) -> Result<(), End> {
    let (mut next, mut previous, mut journal) = (Seq::FIRST, Hash::ZERO, Journal::new());
    loop {
        let frame = journal.next(&service.store, by, to, next).await;
        let Some(frame) = frame.map_err(at(service.name, frame_place(by, to, next)))? else { break };
        status(&frame, next, previous).map_err(|what| wrong(service.name, frame_place(by, to, next), what))?;
        (next, previous) = (next.next(), frame.hash);
        watch.step("journals", 0);
    }
    if next.0 - 1 == frames {
        return Ok(());
    }
    let what = format!("{frames} frames, of which only {} follow each other from the first", next.0 - 1);
    Err(wrong(service.name, format!("journal {by}>{to}"), what))
}

fn status(frame: &Frame, expected: Seq, previous: Hash) -> Result<(), String> {
    if frame.seq != expected {
        return Err(format!("is missing; the next one there is #{}", frame.seq));
    }
    if frame.previous != previous {
        return Err("does not follow the one before it".to_owned());
    }
    if !frame.is_intact() {
        return Err("was changed: its hash does not fit".to_owned());
    }
    let facts = serde_json::from_str::<Vec<IgnoredAny>>(&frame.body);
    let facts = facts.map_err(|error| format!("is no batch of facts: {error}"))?.len();
    if facts == frame.facts { Ok(()) } else { Err(format!("holds {facts} facts and says {}", frame.facts)) }
}

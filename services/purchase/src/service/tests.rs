//! The service starts while another instance is ending.

use std::net::TcpListener;
use std::task::Poll;

use conformance::{CommitFault, Faults, MemoryStore};
use contracts::{RATES_KEY, RateRow};
use dataflow::{Commit, Meta, Store, Transport, Wakeups};
use stage::{Checkpoint, Consumed, PartitionCount, Producer, Record, Row as _, Stage as _, Write, partition_of};
use telemetry::Traces;

use super::*;

/// Commits the end of the history, as the owner of the copy would.
async fn complete_copy(store: &Store) {
    let id = Producer::new(CopyRates::NAME, partition_of(RATES_KEY, store.meta().partitions));
    let last = store.newest(&id).await.unwrap();
    let (read, now) = (Consumed::Frames(Vec::new()), Utc::now());
    let record = Record::following(last.as_ref(), &id, &read, &Checkpoint::default(), now).unwrap();
    let row = RateRow { version: 1, valid_from: now, source: "ecb".parse().unwrap(), rates: [].into(), complete: true };
    let change = Change { table: RateRow::TABLE, write: Write::Insert, cells: row.to_cells() };
    store.commit(&Commit { record, changes: vec![change], frames: Vec::new() }).await.unwrap();
}

#[actix::test]
async fn the_last_commit_of_another_instance_is_seen() {
    ::web::use_ring();
    let meta = Meta { service: SERVICE, partitions: PartitionCount::new(2).unwrap() };
    let (store, faults) = (Store::from(MemoryStore::new(meta)), Faults::default());
    faults.push(Some(CommitFault::Refused));
    let transport = Transport::Journals([(SERVICE, store.clone())].into(), Wakeups::default());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let refusing = faults.inject(&store);
    let setup = ServiceSetup { store: refusing, transport, listener, workers: 1, traces: Traces::default() };
    let mut starting = Box::pin(start(setup));
    let is_waiting = std::future::poll_fn(|cx| Poll::Ready(starting.as_mut().poll(cx).is_pending())).await;
    assert!(is_waiting, "its first claim is refused, so it waits before it claims again");
    complete_copy(&store).await;
    let running = starting.await.unwrap();
    assert_eq!(running.readiness().missing(), []);
    RunningService::stop(vec![running]).await;
}

//! Tests of the reader actor.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use prometheus::Registry;
use stage::{Change, Frame, Hash, Partition, Positions, Producer, Seq, Stage as _};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::memory::Maps;
use super::panics::Panics;
use super::sqlite::Files;
use crate::StoreFactory as _;
use crate::fixture::{ADDED, BACK, Collect, FRONT, Tally, TallyUp, add, claim, claim_tally, meta, now, of, submit};
use crate::{CommitFault, Faults, MemoryBroker, MemorySubscription};
use dataflow::message::BrokerMessage;
use dataflow::{Drain, Reader};
use dataflow::{
    Health, JournalReader, JournalSource, Metrics, Observer, Owner, RecentCommits, Spans, Store, Subscription, Wakeups,
};

/// Longer than anything here takes. A test that waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(20);

struct StageHarness {
    _files: Files,
    front: Store,
    back: Store,
    collect: Owner<Collect>,
    wakeups: Wakeups,
    sums: UnboundedReceiver<u64>,
    input: Arc<Mutex<Vec<Health>>>,
    registry: Registry,
    reader: actix::Addr<Reader<TallyUp>>,
}

fn sums(changes: &[Change]) -> Vec<u64> {
    Change::rows::<Tally>(changes).map(|tally| tally.sum).collect()
}

/// An observer that only reports the owner's health.
fn observer(
    id: &Producer,
    wakeups: &Wakeups,
    registry: &Registry,
    on_health: impl Fn(Health) + Send + Sync + 'static,
) -> Observer {
    Observer {
        wakeups: wakeups.clone(),
        backlog: None,
        metrics: Metrics::register(registry, id).unwrap(),
        spans: Spans::default(),
        on_rows: Arc::new(|_| {}),
        recent_commits: RecentCommits::default(),
        owner: id.clone(),
        on_health: Arc::new(on_health),
    }
}

/// A subscription to the facts for the partition of `a`.
fn tail(front: &Store, wakeups: &Wakeups) -> JournalReader {
    let producers = ADDED.known_producers(of("a"), front.meta().partitions);
    let source = JournalSource { target: ADDED.target(of("a")), producers, journal: front.clone() };
    JournalReader::of_this_process(vec![source], wakeups.clone())
}

impl StageHarness {
    /// A reader that starts with a backlog of this many frames.
    async fn new(backlog: u64, faults: Faults) -> Self {
        let files = Files::new();
        let front = files.open(meta("front").unwrap(), FRONT).await.unwrap();
        let back = files.open(meta("back").unwrap(), BACK).await.unwrap();
        let mut collect = claim(&front, Collect::default()).await.unwrap();
        for id in 0..backlog {
            submit(&mut collect, vec![add(&id.to_string(), "a", 1)]).await.unwrap();
        }
        let owner = claim_tally(&faults.inject(&back), "a").await.unwrap();
        let (told, sums_told) = unbounded_channel();
        let (wakeups, registry, input) = (Wakeups::default(), Registry::new(), Arc::new(Mutex::new(Vec::new())));
        let noted = input.clone();
        let observer = Observer {
            on_rows: Arc::new(move |changes| sums(changes).into_iter().for_each(|sum| told.send(sum).unwrap())),
            ..observer(owner.id(), &wakeups, &registry, move |health| noted.lock().unwrap().push(health))
        };
        let reader = Reader::start(owner, Box::new(tail(&front, &wakeups)), observer);
        Self { _files: files, front, back, collect, wakeups, sums: sums_told, input, registry, reader }
    }

    /// Waits until the sum has this value. Returns the number of commits it took.
    async fn until(&mut self, sum: u64) -> usize {
        for commits in 1.. {
            let told = tokio::time::timeout(PATIENCE, self.sums.recv()).await.unwrap().unwrap();
            if told == sum {
                return commits;
            }
        }
        0
    }
}

#[actix::test]
async fn a_backlog_is_drained_in_few_batches_and_new_frames_wake_the_reader() {
    let mut harness = StageHarness::new(600, Faults::default()).await;
    assert!(harness.until(600).await <= 3, "256 frames are read at a time");
    for (id, sum) in [("more", 601), ("and more", 602)] {
        let (committed, _) = submit(&mut harness.collect, vec![add(id, "a", 1)]).await.unwrap();
        harness.wakeups.notify(&committed.frames);
        assert_eq!(harness.until(sum).await, 1);
    }
}

#[tokio::test]
async fn a_journal_is_read_only_if_its_producer_may_have_emitted_more() {
    let (files, wakeups) = (Files::new(), Wakeups::default());
    let front = files.open(meta("front").unwrap(), FRONT).await.unwrap();
    let mut collect = claim(&front, Collect::default()).await.unwrap();
    let mut journal = tail(&front, &wakeups);
    let mut positions = Positions::default();

    let (first, _) = submit(&mut collect, vec![add("1", "a", 1)]).await.unwrap();
    assert_eq!(journal.ready(&positions).await.unwrap().len(), 1, "nothing is known of the producer");
    wakeups.notify(&first.frames);
    assert_eq!(journal.ready(&positions).await.unwrap().len(), 1);
    positions.advance(&first.frames[0]);

    let (second, _) = submit(&mut collect, vec![add("2", "a", 1)]).await.unwrap();
    assert_eq!(journal.ready(&positions).await.unwrap().len(), 0, "its owner has not notified yet");
    wakeups.notify(&second.frames);
    assert_eq!(journal.ready(&positions).await.unwrap().len(), 1);
}

#[actix::test]
async fn transient_failures_of_the_store_lead_to_exactly_one_effect() {
    for fault in [CommitFault::Refused, CommitFault::LostBefore, CommitFault::LostAfter] {
        let faults = Faults::default();
        let mut harness = StageHarness::new(0, faults.clone()).await;
        faults.push(Some(fault));
        let (committed, _) = submit(&mut harness.collect, vec![add("1", "a", 1)]).await.unwrap();
        harness.wakeups.notify(&committed.frames);
        harness.until(1).await;
        let (committed, _) = submit(&mut harness.collect, vec![add("2", "a", 1)]).await.unwrap();
        harness.wakeups.notify(&committed.frames);
        harness.until(2).await;
    }
}

#[actix::test]
async fn a_drained_reader_reads_nothing_more() {
    let mut harness = StageHarness::new(3, Faults::default()).await;
    harness.until(3).await;
    harness.reader.send(Drain).await.unwrap();
    let (committed, _) = submit(&mut harness.collect, vec![add("late", "a", 1)]).await.unwrap();
    harness.wakeups.notify(&committed.frames);
    assert!(harness.reader.send(Drain).await.is_err(), "it is gone");
    assert_eq!(harness.front.emitted().await.unwrap()[0].2, Seq(4), "and what it has not read stays in the journal");
}

#[actix::test]
async fn a_fork_stops_the_reader_permanently() {
    let maps = Maps::default();
    let back = maps.open(meta("back").unwrap(), BACK).await.unwrap();
    let (broker, target) = (MemoryBroker::default(), ADDED.target(of("a")));
    broker.declare(&target);
    let publish = |frame: &Frame| broker.append(&target, BrokerMessage::of_frame(frame, "one", "session"));
    let frame = |seq, previous| {
        Frame::seal(Producer::new(Collect::NAME, Partition(0)), target.clone(), seq, previous, 0, "[]".to_owned())
    };
    let first = frame(Seq(1), Hash::ZERO);
    assert!(broker.append(&target, BrokerMessage::marker("one", "session")));
    assert!(publish(&first) && publish(&frame(Seq(2), Hash::ZERO)));
    let owner = claim_tally(&back, "a").await.unwrap();
    let subscription = Box::new(MemorySubscription::attach(broker, std::slice::from_ref(&target), owner.checkpoint()));
    let (stopped, mut stops) = unbounded_channel();
    let id = owner.id().clone();
    let observer = observer(&id, &Wakeups::default(), &Registry::new(), move |health| stopped.send(health).unwrap());
    let reader: actix::Addr<Reader<TallyUp>> = Reader::start(owner, subscription, observer);
    let why = tokio::time::timeout(PATIENCE, stops.recv()).await.unwrap().unwrap();
    let expected = format!("{id} stops at collect/0>{target}#2: its producer published other content there before");
    assert_eq!(why, Health::Stopped(expected));
    let drained = tokio::time::timeout(PATIENCE, reader.send(Drain)).await;
    assert!(drained.is_ok(), "whoever stops the service does not wait for it");
}

#[actix::test]
async fn a_panic_stops_one_reader_permanently_and_no_other() {
    let mut harness = StageHarness::new(1, Faults::default()).await;
    let id = Producer::new(Panics::NAME, of("a"));
    let owner = Owner::claim(Panics, id.clone(), harness.back.clone(), now()).await.unwrap();
    let (stopped, mut stops) = unbounded_channel();
    let observer = observer(&id, &harness.wakeups, &Registry::new(), move |health| stopped.send(health).unwrap());
    let reader = Reader::start(owner, Box::new(tail(&harness.front, &harness.wakeups)), observer);
    let why = tokio::time::timeout(PATIENCE, stops.recv()).await.unwrap().unwrap();
    assert_eq!(why, Health::Stopped(format!("{id} panicked: a is too much")));
    let drained = tokio::time::timeout(PATIENCE, reader.send(Drain)).await;
    assert!(drained.is_ok(), "whoever stops the service does not wait for it");
    let (committed, _) = submit(&mut harness.collect, vec![add("more", "a", 1)]).await.unwrap();
    harness.wakeups.notify(&committed.frames);
    harness.until(2).await;
}

#[actix::test]
async fn wakeups_during_an_outage_add_no_retries_and_its_end_is_reported() {
    let faults = Faults::default();
    let mut harness = StageHarness::new(0, faults.clone()).await;
    (0..4).for_each(|_| faults.push(Some(CommitFault::Refused)));
    let (committed, _) = submit(&mut harness.collect, vec![add("1", "a", 1)]).await.unwrap();
    let told = tokio::time::timeout(PATIENCE, async {
        loop {
            harness.wakeups.notify(&committed.frames);
            if let Ok(sum) = tokio::time::timeout(Duration::from_millis(1), harness.sums.recv()).await {
                return sum;
            }
        }
    });
    assert_eq!(told.await.unwrap(), Some(1));
    let families = harness.registry.gather();
    let retries = families.iter().find(|family| family.name() == "stage_retries_total").unwrap();
    assert!((retries.get_metric()[0].get_counter().get_value() - 4.0).abs() < 0.5, "{retries:?}");
    // The turn reports its rows before it ends.
    harness.reader.send(Drain).await.unwrap();
    let input = harness.input.lock().unwrap();
    assert!(matches!(input.as_slice(), [Health::Failing(_), Health::Well]), "{input:?}");
}

//! Tests of the ingress actor, on a real `SQLite` file.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use prometheus::Registry;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection as _, SqliteConnection};
use stage::{BatchNumber, IngressStage, Partition, Producer, Seq};

use super::panics::Panics;
use super::sqlite::Files;
use crate::StoreFactory as _;
use crate::fixture::{ADDED, Collect, FRONT, Fact, Reply, add, claim, emitted, meta, of};
use crate::{CommitFault, Faults};
use dataflow::{Backlog, Health, Metrics, Observer, RecentCommits, Spans, Store, Wakeups};
use dataflow::{Drain, Ingress, Submit, SubmitError, WAITING_BYTES_MAX, WAITING_REQUESTS_MAX};

struct Harness<S: IngressStage = Collect> {
    files: Files,
    front: Store,
    ingress: actix::Addr<Ingress<S>>,
    registry: Registry,
    input: Arc<Mutex<Vec<Health>>>,
}

impl Harness {
    async fn new(faults: Faults) -> Self {
        Self::with(Collect::default(), faults, None).await
    }
}

impl<S: IngressStage<Input = Fact>> Harness<S> {
    async fn with(stage: S, faults: Faults, backlog: Option<Backlog>) -> Self {
        let files = Files::new();
        let front = files.open(meta("front").unwrap(), FRONT).await.unwrap();
        let owner = claim(&faults.inject(&front), stage).await.unwrap();
        let (registry, input) = (Registry::new(), Arc::new(Mutex::new(Vec::new())));
        let noted = input.clone();
        let observer = Observer {
            wakeups: Wakeups::default(),
            backlog,
            metrics: Metrics::register(&registry, owner.id()).unwrap(),
            spans: Spans::default(),
            on_rows: Arc::new(|_| {}),
            recent_commits: RecentCommits::default(),
            owner: owner.id().clone(),
            on_health: Arc::new(move |health| noted.lock().unwrap().push(health)),
        };
        Self { files, front, ingress: Ingress::start(owner, observer), registry, input }
    }

    async fn ask(&self, id: &str) -> Result<Vec<S::Reply>, SubmitError> {
        self.ingress.send(Submit { requests: vec![add(id, "a", 1)], bytes: 100 }).await.unwrap()
    }

    fn waiting(&self) -> f64 {
        let families = self.registry.gather();
        let waiting = families.iter().find(|family| family.name() == "stage_requests_waiting").unwrap();
        waiting.get_metric()[0].get_gauge().get_value()
    }

    async fn batches(&self) -> usize {
        let id = Producer::new("collect", Partition(0));
        self.front.records(&id, BatchNumber(1), usize::from(u16::MAX)).await.unwrap().len()
    }

    /// A connection that blocks the writer until it is closed.
    async fn blocked(&self) -> SqliteConnection {
        let options = SqliteConnectOptions::new().filename(self.files.path("front"));
        let mut other = SqliteConnection::connect_with(&options).await.unwrap();
        sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
        other
    }
}

#[actix::test]
async fn requests_that_arrive_during_a_commit_share_the_next_one() {
    let harness = Harness::new(Faults::default()).await;
    let blocked = harness.blocked().await;
    let ids: Vec<_> = (0..100).map(|id| id.to_string()).collect();
    let open = async {
        while harness.waiting() < 99.0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        blocked.close().await.unwrap();
    };
    let (replies, ()) = tokio::join!(join_all(ids.iter().map(|id| harness.ask(id))), open);
    assert!(replies.iter().all(|reply| *reply == Ok(vec![Reply::New])), "{replies:?}");
    assert_eq!(harness.batches().await, 3, "the claim, the first request, all other requests");
    assert_eq!(harness.ask("7").await, Ok(vec![Reply::Known]));
    assert_eq!(harness.batches().await, 3, "a request without effect is not recorded");
}

#[actix::test]
async fn beyond_the_limits_requests_are_refused_at_once() {
    let harness = Harness::new(Faults::default()).await;
    let many = vec![add("1", "a", 0); WAITING_REQUESTS_MAX + 1];
    assert_eq!(harness.ingress.send(Submit { requests: many, bytes: 1 }).await.unwrap(), Err(SubmitError::Overloaded));
    let big = Submit { requests: vec![add("1", "a", 1)], bytes: WAITING_BYTES_MAX + 1 };
    assert_eq!(harness.ingress.send(big).await.unwrap(), Err(SubmitError::Overloaded));
    let blocked = harness.blocked().await;
    let first = harness.ingress.send(Submit { requests: vec![add("1", "a", 1)], bytes: WAITING_BYTES_MAX });
    let second = harness.ingress.send(Submit { requests: vec![add("2", "a", 1)], bytes: WAITING_BYTES_MAX });
    let third = harness.ingress.send(Submit { requests: vec![add("3", "a", 1)], bytes: 1 });
    let open = async {
        // The third is refused while the first two still wait. Only then may the writer continue.
        let third = third.await.unwrap();
        blocked.close().await.unwrap();
        third
    };
    let (first, second, third) = tokio::join!(first, second, open);
    assert_eq!((first.unwrap(), second.unwrap()), (Ok(vec![Reply::New]), Ok(vec![Reply::New])));
    assert_eq!(third, Err(SubmitError::Overloaded));
    assert_eq!(harness.ask("3").await, Ok(vec![Reply::New]), "later there is room again");
}

#[actix::test]
async fn a_request_whose_commit_is_in_doubt_gets_the_resolved_result() {
    for fault in [CommitFault::LostAfter, CommitFault::LostBefore] {
        let faults = Faults::default();
        let harness = Harness::new(faults.clone()).await;
        faults.push(Some(fault));
        assert_eq!(harness.ask("1").await, Ok(vec![Reply::New]), "{fault:?}");
        assert_eq!(harness.ask("1").await, Ok(vec![Reply::Known]));
        assert_eq!(emitted(&harness.front, "a").await.unwrap().len(), 1);
    }
}

#[actix::test]
async fn a_commit_that_stays_in_doubt_is_reported_as_unavailable() {
    let faults = Faults::default();
    let harness = Harness::new(faults.clone()).await;
    faults.push(Some(CommitFault::LostAfter));
    (0..3).for_each(|_| faults.push(Some(CommitFault::LostBefore)));
    assert_eq!(harness.ask("1").await, Err(SubmitError::Unavailable));
    assert_eq!(harness.ask("1").await, Ok(vec![Reply::Known]), "it was done, once");
    assert_eq!(emitted(&harness.front, "a").await.unwrap().len(), 1);
    assert_eq!(*harness.input.lock().unwrap(), []);
}

#[actix::test]
async fn a_fenced_owner_stops_and_reports_it() {
    let harness = Harness::new(Faults::default()).await;
    let _new = claim(&harness.front, Collect::default()).await.unwrap();
    assert_eq!(harness.ask("1").await, Err(SubmitError::Stopped));
    assert_eq!(*harness.input.lock().unwrap(), [Health::Fenced]);
}

#[actix::test]
async fn a_panic_stops_the_ingress_permanently_and_waiting_requests_get_a_reply() {
    let harness = Harness::with(Panics, Faults::default(), None).await;
    assert_eq!(harness.ask("1").await, Err(SubmitError::Stopped));
    assert_eq!(*harness.input.lock().unwrap(), [Health::Stopped("panics/0 panicked: a is too much".to_owned())]);
    let late = harness.ingress.send(Submit { requests: vec![add("late", "a", 1)], bytes: 1 }).await;
    assert!(late.is_err(), "it is gone");
}

#[actix::test]
async fn draining_finishes_accepted_requests_and_refuses_new_ones() {
    let harness = Harness::new(Faults::default()).await;
    let asked: Vec<_> = (0..50)
        .map(|id| harness.ingress.send(Submit { requests: vec![add(&id.to_string(), "a", 1)], bytes: 1 }))
        .collect();
    let (replies, drained) = tokio::join!(join_all(asked), harness.ingress.send(Drain));
    drained.unwrap();
    let answered = replies.into_iter().filter(|reply| matches!(reply, Ok(Ok(_)))).count();
    assert_eq!(emitted(&harness.front, "a").await.unwrap().iter().map(|d| d.frame.facts).sum::<usize>(), answered);
    let late = harness.ingress.send(Submit { requests: vec![add("late", "a", 1)], bytes: 1 }).await;
    assert!(!matches!(late, Ok(Ok(_))), "{late:?}");
}

#[actix::test]
async fn a_commit_that_stays_in_doubt_does_not_prevent_draining() {
    let faults = Faults::default();
    let harness = Harness::new(faults.clone()).await;
    faults.push(Some(CommitFault::LostAfter));
    (0..1_000).for_each(|_| faults.push(Some(CommitFault::LostBefore)));
    assert_eq!(harness.ask("1").await, Err(SubmitError::Unavailable));
    let drained = tokio::time::timeout(Duration::from_secs(20), harness.ingress.send(Drain)).await;
    drained.unwrap().unwrap();
    let _next = claim(&harness.front, Collect::default()).await.unwrap();
    assert_eq!(emitted(&harness.front, "a").await.unwrap().len(), 1, "the next owner finds the committed batch");
}

#[actix::test]
async fn requests_are_refused_while_the_publish_backlog_is_full() {
    let target = ADDED.target(of("a"));
    let backlog = Backlog::new([target.clone()], 1);
    let harness = Harness::with(Collect::default(), Faults::default(), Some(backlog.clone())).await;
    assert_eq!(harness.ask("1").await, Ok(vec![Reply::New]));
    assert!(backlog.bytes() > 0);
    assert_eq!(harness.ask("2").await, Err(SubmitError::Backlog));
    assert_eq!(harness.batches().await, 2, "the claim and the first request");
    backlog.confirmed(&target, &Producer::new("collect", Partition(0)), Seq(1));
    assert_eq!(harness.ask("2").await, Ok(vec![Reply::New]));
}

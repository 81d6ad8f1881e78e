//! The spans of two small services: their parents and links.

use std::time::SystemTime;

use stage::{Event, Stage};
use telemetry::{SpanContext, SpanData, SpanId, SpanKind, Traces, attribute, context};

use super::memory::Maps;
use crate::StoreFactory as _;
use crate::fixture::{BACK, Collect, FRONT, Fact, TallyUp, add, claim, claim_tally, emitted, meta, now, submit, take};
use crate::{CommitFault, Faults};
use dataflow::{BatchTrace, LINKS_MAX, Spans};
use dataflow::{Owner, OwnerError, Store};

/// The span id in [`add`]'s traceparent, which is the parent of everything.
const CALLER: &str = "b7ad6b7169203331";

struct StageHarness {
    front: Store,
    collect: Owner<Collect>,
    tally: Owner<TallyUp>,
}

impl StageHarness {
    async fn new() -> Self {
        Self::with(Faults::default()).await
    }

    async fn with(faults: Faults) -> Self {
        let maps = Maps::default();
        let front = maps.open(meta("front").unwrap(), FRONT).await.unwrap();
        let back = maps.open(meta("back").unwrap(), BACK).await.unwrap();
        let collect = claim(&faults.inject(&front), Collect::default()).await.unwrap().traced();
        let tally = claim_tally(&back, "a").await.unwrap().traced();
        Self { front, collect, tally }
    }

    async fn asked(&mut self, requests: Vec<Event<Fact>>) -> Vec<SpanData> {
        spans(submit(&mut self.collect, requests).await.unwrap().0.batch_trace.as_deref())
    }

    async fn tallied(&mut self) -> Vec<SpanData> {
        let frames = emitted(&self.front, "a").await.unwrap();
        let committed = self.tally.process(frames, now(), |_| {}).await.unwrap();
        spans(committed.and_then(|committed| committed.batch_trace).as_deref())
    }
}

fn spans(batch_trace: Option<&BatchTrace>) -> Vec<SpanData> {
    let mut all = Vec::new();
    if let Some(batch_trace) = batch_trace {
        Spans::new(Traces::off(), "journal").each(batch_trace, SystemTime::now(), |span| all.push(span()));
    }
    all
}

/// `name kind` of each span.
fn names(spans: &[SpanData]) -> Vec<String> {
    spans.iter().map(|span| format!("{} {:?}", span.name, span.span_kind)).collect()
}

fn one<'a>(spans: &'a [SpanData], name: &str) -> &'a SpanData {
    spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("no {name} in {:?}", names(spans)))
}

fn text(span: &SpanData, name: &str) -> String {
    let found = span.attributes.iter().find(|attribute| attribute.key.as_str() == name);
    found.map_or_else(String::new, |attribute| attribute.value.to_string())
}

fn unsampled(mut request: Event<Fact>) -> Event<Fact> {
    let parent = &mut request.cause.traceparent.0;
    parent.replace_range(53.., "00");
    request
}

#[actix::test]
async fn each_step_is_the_child_of_the_step_before() {
    let mut harness = StageHarness::new().await;
    let asked = harness.asked(vec![add("1", "a", 1)]).await;
    assert_eq!(names(&asked), ["collect Internal", "send added Producer", "batch collect Internal"]);
    let (collect, sent) = (one(&asked, "collect"), one(&asked, "send added"));
    assert_eq!(collect.parent_span_id, SpanId::from_hex(CALLER).unwrap());
    assert_eq!(sent.parent_span_id, collect.span_context.span_id());
    let told = &emitted(&harness.front, "a").await.unwrap()[0].frame;
    let fact = &stage::read_events::<Fact>(&told.body).unwrap()[0];
    assert_eq!(context(&fact.cause.traceparent.0, false), Some(sent.span_context.clone()), "the fact carries its id");

    let tallied = harness.tallied().await;
    assert_eq!(names(&tallied), ["process added Consumer", "send tallied Producer", "batch tally Consumer"]);
    let (process, sent_on) = (one(&tallied, "process added"), one(&tallied, "send tallied"));
    assert_eq!((process.parent_span_id, process.parent_span_is_remote), (sent.span_context.span_id(), true));
    assert_eq!(sent_on.parent_span_id, process.span_context.span_id());
    let in_trace = [collect, sent, process, sent_on].map(|span| span.span_context.trace_id().to_string());
    assert_eq!(in_trace, ["0af7651916cd43dd8448eb211c80319c"; 4]);
}

#[actix::test]
async fn a_batch_and_its_facts_are_linked_both_ways() {
    let mut harness = StageHarness::new().await;
    let asked = harness.asked(vec![add("1", "a", 1), add("2", "a", 1)]).await;
    let batch = one(&asked, "batch collect");
    assert_eq!(batch.parent_span_id, SpanId::INVALID);
    let record = harness.front.records(harness.collect.id(), stage::BatchNumber(2), 1).await.unwrap().remove(0);
    assert!(record.hash.to_string().starts_with(&batch.span_context.trace_id().to_string()), "the record's hash");
    let applied: Vec<_> = asked.iter().filter(|span| span.name == Collect::NAME).collect();
    let contexts: Vec<SpanContext> = applied.iter().map(|span| span.span_context.clone()).collect();
    assert_eq!(batch.links.iter().map(|link| link.span_context.clone()).collect::<Vec<_>>(), contexts);
    assert!(applied.iter().all(|span| span.links[0].span_context == batch.span_context));
    let requests: Vec<_> = batch.links.iter().map(|link| link.attributes[0].value.to_string()).collect();
    assert_eq!(requests, ["1", "2"]);

    let many = harness.asked((3..3 + LINKS_MAX + 2).map(|id| add(&id.to_string(), "a", 1)).collect()).await;
    let links = &one(&many, "batch collect").links;
    assert_eq!((links.len(), links.dropped_count), (LINKS_MAX, 2));
    assert_eq!(text(one(&many, "batch collect"), attribute::MESSAGING_BATCH_MESSAGE_COUNT), "130");
}

#[actix::test]
async fn every_span_names_its_request_stage_and_message() {
    let mut harness = StageHarness::new().await;
    harness.asked(vec![add("r-1", "a", 1)]).await;
    let tallied = harness.tallied().await;
    let process = one(&tallied, "process added");
    let partition = harness.tally.id().partition.0.to_string();
    for (name, expected) in [
        (attribute::REQUEST_ID, "r-1"),
        (attribute::STAGE, "tally"),
        (attribute::PARTITION, partition.as_str()),
        (attribute::CLOUDEVENTS_EVENT_TYPE, "Added"),
        (attribute::MESSAGING_SYSTEM, "journal"),
        (attribute::MESSAGING_DESTINATION_NAME, "added"),
        (attribute::MESSAGING_DESTINATION_PARTITION_ID, partition.as_str()),
        (attribute::MESSAGING_OPERATION_TYPE, "process"),
        (attribute::MESSAGING_OPERATION_NAME, "tally"),
        (attribute::MESSAGING_MESSAGE_ID, format!("collect/0>added/{partition}#1.0").as_str()),
    ] {
        assert_eq!(text(process, name), expected, "{name}");
    }
    assert_eq!(text(one(&tallied, "send tallied"), attribute::CLOUDEVENTS_EVENT_TYPE), "Tallied");
    assert_eq!(text(one(&tallied, "send tallied"), attribute::REQUEST_ID), "r-1");
}

#[actix::test]
async fn only_sampled_inputs_with_an_effect_have_spans() {
    let mut harness = StageHarness::new().await;
    let requests = vec![unsampled(add("1", "a", 1)), add("2", "a", 0), add("3", "a", 1), unsampled(add("4", "a", 1))];
    let asked = harness.asked(requests).await;
    assert_eq!(names(&asked), ["collect Internal", "send added Producer", "batch collect Internal"]);
    assert!(asked[..2].iter().all(|span| text(span, attribute::REQUEST_ID) == "3"));
    assert_eq!(harness.asked(vec![unsampled(add("5", "a", 1)), add("3", "a", 1)]).await, []);
    let mut strange = add("6", "b", 1);
    strange.cause.traceparent = stage::Traceparent("00-1-2-01".to_owned());
    assert_eq!(harness.asked(vec![strange]).await, []);
    let tallied = harness.tallied().await;
    assert_eq!(tallied.iter().filter(|span| span.span_kind == SpanKind::Consumer).count(), 2, "one, and its batch");
    assert_eq!(harness.tallied().await, [], "a frame delivered again has no second span");
}

#[actix::test]
async fn tracing_does_not_change_the_output() {
    let mut bodies = Vec::new();
    for is_traced in [false, true] {
        let front = Maps::default().open(meta("front").unwrap(), FRONT).await.unwrap();
        let mut collect = claim(&front, Collect::default()).await.unwrap();
        if is_traced {
            collect = collect.traced();
        }
        let (committed, _) = submit(&mut collect, vec![add("1", "a", 1), add("2", "b", 2)]).await.unwrap();
        assert_eq!(committed.batch_trace.is_some(), is_traced);
        let record = front.records(collect.id(), stage::BatchNumber(2), 1).await.unwrap().remove(0);
        bodies.push((record.hash, committed.frames));
    }
    assert_eq!(bodies[0], bodies[1]);
}

#[actix::test]
async fn a_batch_span_lists_the_failed_commits_before_it() {
    let faults = Faults::default();
    let mut harness = StageHarness::with(faults.clone()).await;
    (0..10).for_each(|_| faults.push(Some(CommitFault::Refused)));
    for _ in 0..10 {
        let refused = submit(&mut harness.collect, vec![add("1", "a", 1)]).await;
        assert!(matches!(refused, Err(OwnerError::Unavailable { .. })), "{refused:?}");
    }
    let asked = harness.asked(vec![add("1", "a", 1)]).await;
    let events = &one(&asked, "batch collect").events;
    assert_eq!((events.len(), events.dropped_count), (8, 2));
    assert!(events.iter().all(|event| event.name == "not committed" && !event.attributes.is_empty()));
    let asked = harness.asked(vec![add("2", "a", 1)]).await;
    assert!(one(&asked, "batch collect").events.is_empty(), "reported once");
}

#[actix::test]
async fn a_commit_in_doubt_has_spans_once_it_is_resolved_as_written() {
    let faults = Faults::default();
    let mut harness = StageHarness::with(faults.clone()).await;
    faults.push(Some(CommitFault::LostAfter));
    let in_doubt = submit(&mut harness.collect, vec![add("1", "a", 1)]).await;
    assert!(matches!(in_doubt, Err(OwnerError::InDoubt { .. })), "{in_doubt:?}");
    let committed = harness.collect.resolve(now()).await.unwrap().unwrap();
    let resolved = spans(committed.batch_trace.as_deref());
    assert_eq!(names(&resolved), ["collect Internal", "send added Producer", "batch collect Internal"]);
    assert_eq!(one(&resolved, "batch collect").events.len(), 1);
    let frames = emitted(&harness.front, "a").await.unwrap();
    assert!(take(&mut harness.tally, frames).await.unwrap());
}

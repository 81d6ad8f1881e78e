//! Two small services that count, with every kind of stage, for the suite to run.
//!
//! ```text
//! collect (ingress stage) ──added──► tally (by name) ──tallied──► copy
//!     └──────── follows the rows of ◄────────────────────────┘
//! ```

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use stage::{
    BatchNumber, Cause, Cell, Event, EventId, IngressStage, Integer, Key, Nullable, Outputs, Partition, PartitionCount,
    Partitioning, Producer, Producers, ReadSet, RequestId, Row as _, Seq, Stage, StageError, Stream, Table, Text,
    Traceparent, WorkingSet,
};

use dataflow::{
    Committed, Delivery, JournalReader, JournalSource, Meta, Owner, OwnerError, Store, StoreError, Subscription,
};

/// The key of everything that `tally` emits.
const ALL: &str = "all";

/// From `collect` to `tally`, by name.
pub const ADDED: Stream = Stream {
    name: "added",
    service: "front",
    producers: &[("collect", Producers::All(Partitioning::Unkeyed))],
    facts: &["Added"],
};
/// From `tally` to `copy`.
pub const TALLIED: Stream = Stream {
    name: "tallied",
    service: "back",
    producers: &[("tally", Producers::All(Partitioning::Copartitioned))],
    facts: &["Tallied"],
};

/// The tables of `collect` and `copy`.
pub const FRONT: &[&Table] = &[Collected::TABLE, Copied::TABLE, Newest::TABLE];
/// The tables of `tally`.
pub const BACK: &[&Table] = &[Tally::TABLE, Tick::TABLE];

/// The metadata of a store of one of the two services, with two partitions.
pub fn meta(service: &'static str) -> Option<Meta> {
    Some(Meta { service, partitions: PartitionCount::new(2)? })
}

/// A request to add to the sum of a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Added {
    /// The name.
    pub name: String,
    /// The amount to add.
    pub by: u64,
    /// The captured version of the copy.
    pub version: Option<u64>,
}

/// The new sum of a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tallied {
    /// The name.
    pub name: String,
    /// The sum.
    pub sum: u64,
}

stage::payload! {
    /// The facts of both services.
    pub enum Fact {
        /// A request to `collect`, and the fact that it emits.
        Added(Added),
        /// Emitted by `tally`.
        Tallied(Tallied),
    }
}

stage::row! {
    /// A request.
    pub struct Collected: "collected" {
        key {
            /// Its id.
            request_id: RequestId => Text,
        }
        value {
            /// The name.
            name: String => Text,
            /// The amount to add.
            by: u64 => Integer,
            /// The sum of the name that was known at that time.
            known: Option<u64> => Nullable<Integer>,
        }
    }
}

stage::row! {
    /// A sum.
    pub struct Tally: "tallies" {
        key {
            /// The name.
            name: String => Text,
        }
        value {
            /// The sum.
            sum: u64 => Integer,
            /// The number of additions.
            ticks: u64 => Integer,
        }
    }
}

stage::row! {
    /// One addition.
    pub struct Tick: "ticks" {
        key {
            /// The name.
            name: String => Text,
            /// The number of the addition.
            number: u64 => Integer,
        }
        value {
            /// The amount.
            by: u64 => Integer,
            /// The batch that applied it.
            batch: BatchNumber => Integer,
        }
    }
}

stage::row! {
    /// A sum as it was received.
    pub struct Copied: "copied" {
        key {
            /// Its number among all received sums.
            version: u64 => Integer,
        }
        value {
            /// The name.
            name: String => Text,
            /// The sum.
            sum: u64 => Integer,
        }
    }
}

stage::row! {
    /// The newest version.
    pub struct Newest: "newest" {
        key {
            /// Always `all`.
            name: String => Text,
        }
        value {
            /// The version.
            version: u64 => Integer,
        }
    }
}

/// The reply of the ingress stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The request is new.
    New,
    /// The request is known already.
    Known,
    /// The request adds nothing.
    Nothing,
}

/// The ingress stage. It keeps the versions, names and sums from its side input.
#[derive(Default)]
pub struct Collect(Vec<Copied>);

impl Stage for Collect {
    type Input = Fact;
    type Output = Fact;
    const NAME: &'static str = "collect";
    const PARTITIONING: Partitioning = Partitioning::Unkeyed;
    const TABLES: &'static [&'static Table] = &[Collected::TABLE];

    fn read_set(&self, event: &Event<Fact>, _: &WorkingSet, reads: &mut ReadSet) -> Result<(), StageError> {
        reads.row::<Collected>(&(event.cause.request_id.clone(),));
        Ok(())
    }

    fn apply(&self, event: &Event<Fact>, rows: &mut WorkingSet, out: &mut Outputs<Fact>) -> Result<(), StageError> {
        self.submit(event, rows, out).map(drop)
    }
}

impl IngressStage for Collect {
    type Reply = Reply;
    const SIDE_INPUT: Option<&'static Table> = Some(Copied::TABLE);

    fn capture(&self, event: &mut Event<Fact>, _: &WorkingSet) -> Result<(), StageError> {
        if let Fact::Added(added) = &mut event.fact {
            added.version = Some(self.0.last().map_or(0, |copied| copied.version));
        }
        Ok(())
    }

    fn submit(&self, event: &Event<Fact>, rows: &mut WorkingSet, out: &mut Outputs<Fact>) -> Result<Reply, StageError> {
        let Fact::Added(Added { name, by, version }) = &event.fact else {
            return Err(StageError::Rule("only additions can be requested".to_owned()));
        };
        let request_id = event.cause.request_id.clone();
        if rows.get::<Collected>(&(request_id.clone(),))?.is_some() {
            return Ok(Reply::Known);
        }
        if *by == 0 {
            return Ok(Reply::Nothing);
        }
        let seen = self.0.iter().rev().find(|copied| Some(copied.version) <= *version && copied.name == *name);
        let known = seen.map(|copied| copied.sum);
        rows.put(&Collected { request_id, name: name.clone(), by: *by, known })?;
        out.emit(&ADDED, Key(name.clone()), event.fact.clone())?;
        Ok(Reply::New)
    }

    fn on_side_input(&mut self, row: &[Cell]) -> Result<(), StageError> {
        self.0.push(Copied::from_cells(row)?);
        Ok(())
    }
}

/// Adds up the sums.
pub struct TallyUp;

impl Stage for TallyUp {
    type Input = Fact;
    type Output = Fact;
    const NAME: &'static str = "tally";
    const PARTITIONING: Partitioning = Partitioning::Copartitioned;
    const READS: &'static [&'static Stream] = &[&ADDED];
    const TABLES: &'static [&'static Table] = &[Tally::TABLE, Tick::TABLE];

    fn read_set(&self, event: &Event<Fact>, _: &WorkingSet, reads: &mut ReadSet) -> Result<(), StageError> {
        if let Fact::Added(added) = &event.fact {
            reads.row::<Tally>(&(added.name.clone(),));
        }
        Ok(())
    }

    fn apply(&self, event: &Event<Fact>, rows: &mut WorkingSet, out: &mut Outputs<Fact>) -> Result<(), StageError> {
        let Fact::Added(Added { name, by, .. }) = &event.fact else {
            return Ok(());
        };
        let tally = rows.get::<Tally>(&(name.clone(),))?;
        let (sum, ticks) = tally.map_or((0, 0), |tally| (tally.sum, tally.ticks));
        let (name, sum, number) = (name.clone(), sum + by, ticks + 1);
        rows.put(&Tally { name: name.clone(), sum, ticks: number })?;
        rows.insert(&Tick { name: name.clone(), number, by: *by, batch: out.batch() })?;
        out.emit(&TALLIED, Key(ALL.to_owned()), Fact::Tallied(Tallied { name, sum }))
    }
}

/// Keeps every received sum.
pub struct Copy;

impl Stage for Copy {
    type Input = Fact;
    type Output = Fact;
    const NAME: &'static str = "copy";
    const PARTITIONING: Partitioning = Partitioning::SingleKey(ALL);
    const READS: &'static [&'static Stream] = &[&TALLIED];
    const TABLES: &'static [&'static Table] = &[Copied::TABLE, Newest::TABLE];

    fn read_set(&self, _: &Event<Fact>, _: &WorkingSet, reads: &mut ReadSet) -> Result<(), StageError> {
        reads.row::<Newest>(&(ALL.to_owned(),));
        Ok(())
    }

    fn apply(&self, event: &Event<Fact>, rows: &mut WorkingSet, _: &mut Outputs<Fact>) -> Result<(), StageError> {
        let Fact::Tallied(Tallied { name, sum }) = &event.fact else {
            return Ok(());
        };
        let newest = rows.get::<Newest>(&(ALL.to_owned(),))?.map_or(0, |newest| newest.version);
        rows.put(&Newest { name: ALL.to_owned(), version: newest + 1 })?;
        rows.insert(&Copied { version: newest + 1, name: name.clone(), sum: *sum })
    }
}

/// A request to add to a name.
pub fn add(request_id: &str, name: &str, by: u64) -> Event<Fact> {
    Event {
        id: EventId(format!("request {request_id}")),
        cause: Cause {
            time: now(),
            request_id: RequestId(request_id.to_owned()),
            traceparent: Traceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
        },
        key: Key(name.to_owned()),
        fact: Fact::Added(Added { name: name.to_owned(), by, version: None }),
    }
}

/// Always returns the same time, because nothing may depend on the clock.
pub fn now() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH
}

/// The partition of a name.
pub fn of(name: &str) -> Partition {
    PartitionCount::new(2).map_or(Partition(0), |count| stage::partition_of(name, count))
}

/// Claims the first partition of a stage.
pub async fn claim<S: Stage>(store: &Store, stage: S) -> Result<Owner<S>, OwnerError> {
    Owner::claim(stage, Producer::new(S::NAME, Partition(0)), store.clone(), now()).await
}

/// Claims the partition of `tally` that a name belongs to.
pub async fn claim_tally(store: &Store, name: &str) -> Result<Owner<TallyUp>, OwnerError> {
    Owner::claim(TallyUp, Producer::new(TallyUp::NAME, of(name)), store.clone(), now()).await
}

/// Commits requests as one batch, and returns the replies.
pub async fn submit(
    collect: &mut Owner<Collect>,
    requests: Vec<Event<Fact>>,
) -> Result<(Committed, Vec<Reply>), OwnerError> {
    let (prepared, replies) = collect.prepare_requests(requests, now()).await?;
    Ok((collect.commit(prepared).await?, replies))
}

/// All frames emitted to the partition of `tally` that this name belongs to.
pub async fn emitted(front: &Store, name: &str) -> Result<Vec<Delivery>, StoreError> {
    let (by, to) = (Producer::new(Collect::NAME, Partition(0)), ADDED.target(of(name)));
    let frames = front.journal(&by, &to, Seq::FIRST, usize::from(u16::MAX), usize::MAX).await?;
    Ok(frames.into_iter().map(|frame| Delivery { frame, resume_point: None }).collect())
}

/// Processes and commits deliveries. Returns whether there was anything to commit.
pub async fn take<S: Stage>(owner: &mut Owner<S>, deliveries: Vec<Delivery>) -> Result<bool, OwnerError> {
    let committed = owner.process(deliveries, now(), |_| {}).await?;
    Ok(committed.is_some())
}

/// Claims a partition of a stage and reads everything that is available.
pub async fn catch_up<S: Stage>(
    stage: S,
    partition: Partition,
    store: &Store,
    from: &Stream,
    journal: &Store,
) -> super::Outcome {
    let id = Producer::new(S::NAME, partition);
    let mut owner = Owner::claim(stage, id, store.clone(), now()).await?;
    let producers = from.known_producers(partition, store.meta().partitions);
    let source = JournalSource { target: from.target(partition), producers, journal: journal.clone() };
    let mut subscription = JournalReader::new(vec![source]);
    loop {
        let ready = subscription.ready(&owner.checkpoint().positions).await?;
        if ready.is_empty() {
            return Ok(());
        }
        owner.process(ready, now(), |_| {}).await?;
    }
}

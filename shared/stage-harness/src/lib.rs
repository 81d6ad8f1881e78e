//! A test harness for stages: facts go in; rows, frames and replies come out. Maps replace the database.
//!
//! The harness drives the production [`derive()`] and [`admit()`] and keeps production
//! batch records. It replaces only the store: rows are kept as cells between batches, an insert of an existing row is
//! rejected, and a batch that fails leaves no trace.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use stage::{
    Admission, BatchContext, BatchInput, BatchNumber, Cause, Cell, Change, Checkpoint, Consumed, Derived, Event,
    EventId, Frame, IngressStage, Key, LOAD_ROUNDS_MAX, Partition, PartitionCount, Payload as _, Position, Producer,
    ReadSet, Record, RequestId, Row, Seq, Stage, StageError, Stream, StreamPartition, Traceparent, WorkingSet, Write,
    admit, derive, derive_requests, read_events, write_events,
};

/// The durable state of one partition. Deriving it again must give an equal one.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct State {
    /// The rows of each table, by key.
    pub tables: BTreeMap<&'static str, BTreeMap<Vec<Cell>, Vec<Cell>>>,
    /// One record for each batch that had an effect; all with the same commit time.
    pub records: Vec<Record>,
    /// All emitted frames, in order.
    pub frames: Vec<Frame>,
}

impl State {
    fn holds(&self, change: &Change) -> bool {
        let key = &change.cells[..change.table.key_columns];
        self.tables.get(change.table.name).is_some_and(|rows| rows.contains_key(key))
    }

    fn write(&mut self, changes: Vec<Change>) -> Result<(), StageError> {
        for change in &changes {
            let (table, key) = (change.table.name, change.cells[..change.table.key_columns].to_vec());
            match (change.write, self.holds(change)) {
                (Write::Insert, false) | (Write::Update, true) => {}
                (Write::Insert, true) => return Err(StageError::Exists { table, key }),
                (Write::Update, false) => return Err(StageError::Rule(format!("no row {key:?} of {table} to update"))),
            }
        }
        for Change { table, cells, .. } in changes {
            self.tables.entry(table.name).or_default().insert(cells[..table.key_columns].to_vec(), cells);
        }
        Ok(())
    }
}

/// One partition of a stage with everything it has read, written and emitted.
pub struct StageHarness<S: Stage> {
    stage: S,
    owner: Producer,
    partitions: PartitionCount,
    checkpoint: Checkpoint,
    inbox: BTreeMap<(StreamPartition, Producer, Seq), Frame>,
    state: State,
    foreign_rows: BTreeMap<&'static str, BTreeMap<Vec<Cell>, Vec<Cell>>>,
}

impl<S: Stage> StageHarness<S> {
    /// A harness that has read nothing yet.
    ///
    /// # Panics
    /// When the stage does not know every fact of the streams it reads: it would stop at the first unknown one.
    pub fn new(stage: S, partition: Partition, partitions: PartitionCount) -> Self {
        for (stream, fact) in S::READS.iter().flat_map(|stream| stream.facts.iter().map(|fact| (stream.name, fact))) {
            assert!(
                S::Input::ACCEPTS_OTHERS || S::Input::KINDS.contains(fact),
                "{} reads {stream} and does not know {fact}",
                S::NAME
            );
        }
        let owner = Producer::new(S::NAME, partition);
        let (checkpoint, inbox, state) = (Checkpoint::default(), BTreeMap::new(), State::default());
        Self { stage, owner, partitions, checkpoint, inbox, state, foreign_rows: BTreeMap::new() }
    }

    /// Applies recorded requests as one batch.
    ///
    /// # Errors
    /// Any error of `derive` or of the store. Nothing has changed then.
    pub fn apply_recorded(&mut self, requests: Vec<Event<S::Input>>) -> Result<(), StageError> {
        self.derive(BatchInput::Requests(requests))
    }

    /// Reads these frames as one batch. Frames that were already read are dropped.
    ///
    /// # Errors
    /// As for [`StageHarness::apply_recorded`], and for any frame that is neither the next one nor a duplicate.
    pub fn read(&mut self, frames: Vec<Frame>) -> Result<(), StageError> {
        let (mut ahead, mut admitted) = (self.checkpoint.positions.clone(), Vec::new());
        for frame in frames {
            let admission = admit(&ahead, &self.known(&frame.target), &frame);
            match admission {
                Admission::Next => {
                    ahead.advance(&frame);
                    let events = read_events(&frame.body)?;
                    admitted.push((frame, events));
                }
                Admission::Duplicate => {}
                Admission::Gap { .. } | Admission::Damaged | Admission::Fork | Admission::UnknownProducer => {
                    return Err(StageError::Rule(format!("{admission:?}")));
                }
            }
        }
        let read: Vec<_> = admitted.iter().map(|(frame, _)| frame.clone()).collect();
        self.derive(BatchInput::Frames(admitted))?;
        let named = |frame: Frame| ((frame.target.clone(), frame.producer.clone(), frame.seq), frame);
        self.inbox.extend(read.into_iter().map(named));
        Ok(())
    }

    /// Reads these facts as one batch of one frame, emitted by the stream's first producer.
    ///
    /// # Errors
    /// As for [`StageHarness::read`].
    pub fn read_facts(&mut self, stream: &Stream, facts: &[Event<S::Input>]) -> Result<(), StageError> {
        let producer = stream.known_producers(self.owner.partition, self.partitions).into_iter().next();
        let producer = producer.ok_or_else(|| StageError::Rule(format!("stream {} has no producer", stream.name)))?;
        let target = stream.target(self.owner.partition);
        let Position { next, previous } = self.position(&target, &producer);
        let body = write_events(facts, &producer)?;
        self.read(vec![Frame::seal(producer, target, next, previous, facts.len(), body)])
    }

    /// Puts a row into the table of another stage of the same service, for this stage to read.
    pub fn put_foreign<R: Row>(&mut self, row: &R) {
        let cells = row.to_cells();
        let key = cells[..R::TABLE.key_columns].to_vec();
        self.foreign_rows.entry(R::TABLE.name).or_default().insert(key, cells);
    }

    /// The read position in the frames of one producer.
    pub fn position(&self, target: &StreamPartition, producer: &Producer) -> Position {
        self.checkpoint.positions.of(target, producer)
    }

    /// The rows of one type, by key.
    ///
    /// # Errors
    /// When a row cannot be decoded.
    pub fn rows<R: Row>(&self) -> Result<Vec<R>, StageError> {
        let rows = self.state.tables.get(R::TABLE.name).into_iter().flat_map(BTreeMap::values);
        Ok(rows.map(|cells| R::from_cells(cells)).collect::<Result<_, _>>()?)
    }

    /// All facts emitted to a stream, over all partitions, in the order of the frames.
    ///
    /// # Errors
    /// When an emitted frame cannot be decoded.
    pub fn emitted(&self, stream: &Stream) -> Result<Vec<Event<S::Output>>, StageError> {
        let mut emitted = Vec::new();
        for frame in self.state.frames.iter().filter(|frame| frame.target.stream == stream.name) {
            emitted.extend(read_events::<S::Output>(&frame.body)?);
        }
        Ok(emitted)
    }

    /// The durable state.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The state that another instance of the stage derives from the batch records. An ingress stage must have its
    /// whole side input beforehand.
    ///
    /// # Errors
    /// As for [`StageHarness::apply_recorded`] and [`StageHarness::read`].
    pub fn replay(&self, stage: S) -> Result<State, StageError> {
        let mut replayed = Self::new(stage, self.owner.partition, self.partitions);
        for record in &self.state.records {
            let input = match record.parse_consumed()? {
                Consumed::Claim => continue,
                Consumed::Requests(requests) => BatchInput::Requests(read_events(requests.get())?),
                Consumed::Frames(ranges) => {
                    let frames = ranges.iter().flat_map(|run| {
                        let seqs = (run.from.0..run.from.0 + run.frames).map(Seq);
                        seqs.filter_map(|seq| self.inbox.get(&(run.target.clone(), run.producer.clone(), seq)))
                    });
                    let read = |frame: &Frame| Ok((frame.clone(), read_events(&frame.body)?));
                    BatchInput::Frames(frames.map(read).collect::<Result<_, StageError>>()?)
                }
            };
            replayed.derive(input)?;
        }
        Ok(replayed.state)
    }

    fn known(&self, target: &StreamPartition) -> Vec<Producer> {
        let stream = S::READS.iter().find(|stream| stream.target(self.owner.partition) == *target);
        stream.map(|stream| stream.known_producers(self.owner.partition, self.partitions)).unwrap_or_default()
    }

    fn load<'a>(&self, events: &(impl Iterator<Item = &'a Event<S::Input>> + Clone)) -> Result<WorkingSet, StageError> {
        let mut rows = WorkingSet::default();
        for _ in 0..LOAD_ROUNDS_MAX {
            let mut reads = ReadSet::default();
            events.clone().try_for_each(|event| self.stage.read_set(event, &rows, &mut reads))?;
            let missing = rows.missing(reads);
            if missing.is_empty() {
                return Ok(rows);
            }
            for (table, wanted) in missing.iter() {
                let stored = self.state.tables.get(table.name).or_else(|| self.foreign_rows.get(table.name));
                let found = wanted.iter().filter_map(|key| stored?.get(key).cloned());
                rows.fill(table, wanted, found.collect());
            }
        }
        Err(StageError::Rule(format!("more than {LOAD_ROUNDS_MAX} rounds of loading rows")))
    }

    fn context(&self) -> BatchContext<'_> {
        let number = self.state.records.last().map_or(BatchNumber(0), |last| last.number).next();
        BatchContext { owner: &self.owner, number, partitions: self.partitions, before: &self.checkpoint }
    }

    fn derive(&mut self, input: BatchInput<S::Input>) -> Result<(), StageError> {
        let rows = self.load(&input.events())?;
        let derived = derive(&self.stage, &self.context(), input, rows)?;
        self.commit(derived)
    }

    fn commit(&mut self, derived: Derived) -> Result<(), StageError> {
        if derived.has_effect {
            let (consumed, checkpoint, last) = (&derived.consumed, &derived.checkpoint, self.state.records.last());
            let record = Record::following(last, &self.owner, consumed, checkpoint, DateTime::UNIX_EPOCH)?;
            self.state.write(derived.changes)?;
            self.state.records.push(record);
            self.state.frames.extend(derived.frames);
            self.checkpoint = derived.checkpoint;
        }
        Ok(())
    }
}

impl<S: IngressStage> StageHarness<S> {
    /// Submits live requests as one batch. Returns one reply for each, in order.
    ///
    /// # Errors
    /// Any error of `derive_requests` or of the store. Nothing has changed then.
    pub fn submit(&mut self, requests: Vec<Event<S::Input>>) -> Result<Vec<S::Reply>, StageError> {
        let rows = self.load(&requests.iter())?;
        let (derived, replies) = derive_requests(&self.stage, &self.context(), requests, rows)?;
        self.commit(derived)?;
        Ok(replies)
    }

    /// Gives the stage one row of its side input.
    ///
    /// # Errors
    /// Any error of the stage.
    pub fn side_input<R: Row>(&mut self, row: &R) -> Result<(), StageError> {
        self.stage.on_side_input(&row.to_cells())
    }
}

/// A fact or request with this request id.
pub fn event<F>(request_id: &str, time: DateTime<Utc>, fact: F) -> Event<F> {
    let traceparent = Traceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned());
    Event {
        id: EventId(request_id.to_owned()),
        cause: Cause { time, request_id: RequestId(request_id.to_owned()), traceparent },
        key: Key(request_id.to_owned()),
        fact,
    }
}

/// Splits a list into batches, repeating the given sizes in turn. A size of 0 counts as 1.
pub fn cut<T>(list: Vec<T>, sizes: &[usize]) -> Vec<Vec<T>> {
    let (mut batches, mut list) = (Vec::new(), list.into_iter().peekable());
    let mut sizes = sizes.iter().copied().cycle();
    while list.peek().is_some() {
        batches.push(list.by_ref().take(sizes.next().unwrap_or(1).max(1)).collect());
    }
    batches
}

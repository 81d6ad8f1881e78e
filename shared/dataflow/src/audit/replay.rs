//! One partition of a stage, derived again along its batch records.

use std::collections::BTreeMap;

use stage::{
    Admission, BatchContext, BatchNumber, Checkpoint, Consumed, Derived, Frame, FrameRange, Partition, Positions,
    Producer, Record, Seq, StreamPartition,
};

use super::any_stage::{AnyStage, NotDerived, RecordedInput, StageMaker};
use super::derived::NotWritten;
use super::pages::{Journal, Records, bytes_of_record};
use super::tables::excerpts;
use super::{AuditedService, Checked, End, Services, Watch, at, batch_place, frame_place, wrong};
use crate::StoreError;
use crate::owner::{LoadError, reads};

/// Derives one partition again.
pub(super) struct Replay<'a> {
    maker: &'a StageMaker,
    stage: Box<dyn AnyStage>,
    owner: Producer,
    service: Option<&'a AuditedService>,
    services: &'a Services,
    watch: &'a Watch,
    last: Option<Record>,
    checkpoint: Checkpoint,
    /// What it reads, and what it has said.
    read: BTreeMap<(Producer, StreamPartition), Journal>,
    emitted: BTreeMap<StreamPartition, Journal>,
}

impl<'a> Replay<'a> {
    pub(super) fn new(
        maker: &'a StageMaker,
        partition: Partition,
        service: &'static str,
        services: &'a Services,
        watch: &'a Watch,
    ) -> Self {
        let (service, checkpoint) = (services.get(service), Checkpoint::default());
        let (read, emitted) = (BTreeMap::new(), BTreeMap::new());
        let (stage, owner) = ((maker.make)(partition), Producer::new(maker.name, partition));
        Self { maker, stage, owner, service, services, watch, last: None, checkpoint, read, emitted }
    }

    /// Reads the side input, which is derived already.
    pub(super) async fn read_side_input(&mut self) -> Result<(), End> {
        let Some(service) = self.service else { return Ok(()) };
        let read = self.stage.read_side_input(&service.derived).await;
        read.map_err(|error| self.load_failed(error, BatchNumber(1)))
    }

    pub(super) fn owner(&self) -> &Producer {
        &self.owner
    }

    /// How far it has said.
    pub(super) fn emitted(&self) -> Vec<(StreamPartition, Seq)> {
        self.checkpoint.last_frames.iter().map(|(target, head)| (target.clone(), head.seq)).collect()
    }

    /// Runs through all records. How many there are.
    pub(super) async fn run(&mut self, checked: &mut Checked) -> Result<u64, End> {
        let Some(service) = self.service else { return Ok(0) };
        let mut records = Records::new();
        loop {
            let next = self.next();
            let record = records.next(&service.store, &self.owner, next).await;
            let record = record.map_err(at(service.name, batch_place(&self.owner, next)))?;
            let Some(record) = record else { break };
            let facts = checked.facts;
            self.batch(service, record, checked).await?;
            self.watch.step(self.maker.name, checked.facts - facts);
        }
        self.newest(service).await?;
        self.unread(checked);
        Ok(self.last.as_ref().map_or(0, |record| record.number.0))
    }

    fn next(&self) -> BatchNumber {
        self.last.as_ref().map_or(BatchNumber(0), |last| last.number).next()
    }

    async fn batch(&mut self, service: &AuditedService, record: Record, checked: &mut Checked) -> Result<(), End> {
        let number = self.next();
        let place = batch_place(&self.owner, number);
        let wrong_here = |what: String| wrong(service.name, place.clone(), what);
        status(self.last.as_ref(), &self.owner, &record).map_err(wrong_here)?;
        let read = record.parse_consumed().map_err(|error| wrong_here(format!("read {error}")))?;
        let recorded = record.parse_checkpoint().map_err(|error| wrong_here(format!("checkpoint {error}")))?;
        checked.batches += 1;
        checked.bytes += bytes_of_record(&record) as u64;
        let input = match read {
            Consumed::Claim => {
                if (&recorded.positions, &recorded.last_frames)
                    != (&self.checkpoint.positions, &self.checkpoint.last_frames)
                {
                    return Err(wrong_here("claims another checkpoint than the batch before left".to_owned()));
                }
                (self.last, self.checkpoint) = (Some(record), recorded);
                return Ok(());
            }
            Consumed::Frames(ranges) => RecordedInput::Frames(self.frames(&ranges, number).await?),
            Consumed::Requests(requests) => RecordedInput::Requests(requests),
        };
        let (facts, derived) = self.derive(service, input, number).await?;
        checked.facts += facts;
        let Derived { consumed, mut checkpoint, frames, changes, has_effect: _, .. } = derived;
        checkpoint.resume_points.clone_from(&recorded.resume_points);
        let texts = serde_json::to_string(&consumed).and_then(|read| Ok((read, serde_json::to_string(&checkpoint)?)));
        let (read, head) = texts.map_err(|error| wrong_here(error.to_string()))?;
        for (name, stored, again) in [("consumed", &record.consumed, read), ("checkpoint", &record.checkpoint, head)] {
            if *stored != again {
                let (stored, again) = excerpts(stored, &again);
                return Err(wrong_here(format!("{name} holds {stored}, derived is {again}")));
            }
        }
        checked.frames += frames.len() as u64;
        checked.bytes += frames.iter().map(|frame| frame.body.len() as u64).sum::<u64>();
        self.compare(service, &frames, number).await?;
        service.derived.apply(changes).await.map_err(|error| match error {
            NotWritten::Conflict(table) => {
                wrong_here(format!("writes a row of {table} that another batch has written"))
            }
            NotWritten::Store(error) => at(service.name, place.clone())(error),
        })?;
        (self.last, self.checkpoint) = (Some(record), checkpoint);
        Ok(())
    }

    /// The frames a batch read, from the journals of those who said them.
    async fn frames(&mut self, ranges: &[FrameRange], number: BatchNumber) -> Result<Vec<Frame>, End> {
        let mut admitted = Vec::new();
        let mut positions = self.checkpoint.positions.clone();
        for run in ranges {
            let (source, known) = self.source(run, number)?;
            let FrameRange { target, producer, from, frames } = run;
            let journal = self.read.entry((producer.clone(), target.clone())).or_insert_with(Journal::new);
            let mut next = *from;
            for _ in 0..*frames {
                let (place, batch) = (|| frame_place(producer, target, next), || batch_place(&self.owner, number));
                let frame = journal.next(&source.store, producer, target, next).await;
                let frame = frame.map_err(at(source.name, place()))?;
                let frame =
                    frame.ok_or_else(|| wrong(source.name, place(), format!("is missing; {} read it", batch())))?;
                let next_one = admit(&mut positions, &known, &frame, next);
                next_one.map_err(|what| wrong(source.name, place(), format!("{what} {}", batch())))?;
                admitted.push(frame);
                next = next.next();
            }
        }
        Ok(admitted)
    }

    /// Whose journal a run was read from, and who may say something there.
    fn source(&self, run: &FrameRange, number: BatchNumber) -> Result<(&'a AuditedService, Vec<Producer>), End> {
        let streams = self.maker.reads.iter().find(|stream| stream.name == run.target.stream);
        let source = streams.and_then(|stream| self.services.get(stream.service));
        let partitions = self.service.map(|service| service.store.meta().partitions);
        let known = partitions.into_iter().flat_map(|count| reads(self.maker.reads, &self.owner, count));
        let known = known.filter(|(target, _)| *target == run.target).flat_map(|(_, producers)| producers);
        let known: Vec<_> = known.collect();
        match source {
            Some(source) if known.contains(&run.producer) => Ok((source, known)),
            Some(_) | None => {
                let what = format!("read {}>{}, which is not among what it reads", run.producer, run.target);
                Err(self.wrong_batch(number, what))
            }
        }
    }

    async fn derive(
        &self,
        service: &AuditedService,
        input: RecordedInput,
        number: BatchNumber,
    ) -> Result<(u64, Derived), End> {
        let partitions = service.store.meta().partitions;
        let context = BatchContext { owner: &self.owner, number, partitions, before: &self.checkpoint };
        let (facts, derived) = match self.stage.derive(&service.derived, context, input).await {
            Ok(derived) => derived,
            Err(NotDerived::Load(error)) => return Err(self.load_failed(error, number)),
            Err(NotDerived::Requests(error)) => return Err(self.wrong_batch(number, chain_of(&error))),
            Err(NotDerived::Frame(frame, error)) => return Err(self.unreadable(&frame, &error, number)),
        };
        if derived.has_effect {
            Ok((facts, derived))
        } else {
            Err(self.wrong_batch(number, "has no effect".to_owned()))
        }
    }

    /// A frame that this batch read and that cannot be decoded.
    fn unreadable(&self, frame: &Frame, error: &stage::Unreadable, number: BatchNumber) -> End {
        let stream = self.maker.reads.iter().find(|stream| stream.name == frame.target.stream);
        let place = frame_place(&frame.producer, &frame.target, frame.seq);
        let batch = batch_place(&self.owner, number);
        let what = format!("cannot be understood ({}), and is read by {batch}", chain_of(error));
        wrong(stream.map_or("", |stream| stream.service), place, what)
    }

    /// The frames a batch came to, against those in the journal.
    async fn compare(&mut self, service: &AuditedService, derived: &[Frame], number: BatchNumber) -> Result<(), End> {
        for frame in derived {
            let Frame { producer, target, seq, .. } = frame;
            let place = || frame_place(producer, target, *seq);
            let journal = self.emitted.entry(target.clone()).or_insert_with(Journal::new);
            let stored = journal.next(&service.store, producer, target, *seq).await;
            let stored = stored.map_err(at(service.name, place()))?;
            let what = match stored.filter(|stored| stored.seq == *seq) {
                Some(stored) if stored == *frame => continue,
                Some(stored) => difference(&stored, frame),
                None => "is missing".to_owned(),
            };
            let what = format!("{what}; {} said it", batch_place(&self.owner, number));
            return Err(wrong(service.name, place(), what));
        }
        Ok(())
    }

    /// What the store noted as the newest record, so that a deleted one is missed.
    async fn newest(&self, service: &AuditedService) -> Result<(), End> {
        let noted = service.store.chain_ends().await.map_err(at(service.name, "owners"))?;
        let noted = noted.into_iter().find(|(owner, _, _)| *owner == self.owner);
        let newest = self.last.as_ref().map(|last| (last.number, last.hash.to_string()));
        let (place, what) = match (noted, newest) {
            (noted, newest) if noted.as_ref().map(|(_, number, hash)| (*number, hash.clone())) == newest => {
                return Ok(());
            }
            (None, newest) => (newest.map_or(BatchNumber(0), |(number, _)| number), "is not noted as the newest"),
            (Some((_, number, _)), Some((newest, _))) if number <= newest => {
                (newest, "is the newest, but another one is noted so")
            }
            (Some((_, number, _)), _) => (number, "is noted as the newest and missing"),
        };
        Err(self.wrong_batch(place, what.to_owned()))
    }

    /// How much was said for it that it has not read.
    fn unread(&self, checked: &mut Checked) {
        let Some(service) = self.service else { return };
        for (target, producers) in reads(self.maker.reads, &self.owner, service.store.meta().partitions) {
            for producer in producers {
                let (by, to) = (producer.to_string(), target.to_string());
                let emitted = self.services.values().flat_map(|service| &service.inventory.frames);
                let emitted = emitted.filter(|(producer, target, _)| *producer == by && *target == to);
                let emitted: u64 = emitted.map(|(_, _, frames)| frames).sum();
                let read = self.checkpoint.positions.of(&target, &producer).next.0.saturating_sub(1);
                checked.unread += emitted.saturating_sub(read);
            }
        }
    }

    fn wrong_batch(&self, number: BatchNumber, what: String) -> End {
        wrong(self.service.map_or("", |service| service.name), batch_place(&self.owner, number), what)
    }

    fn load_failed(&self, error: LoadError, number: BatchNumber) -> End {
        match error {
            LoadError::Stage(broken) => self.wrong_batch(number, format!("cannot be applied: {}", chain_of(&broken))),
            LoadError::Store(StoreError::Damaged(what)) => {
                self.wrong_batch(number, format!("cannot be applied: {what}"))
            }
            LoadError::Store(error @ StoreError::Unavailable(_)) => End::Unavailable(error),
        }
    }
}

fn status(last: Option<&Record>, owner: &Producer, record: &Record) -> Result<(), String> {
    let expected = last.map_or(BatchNumber(0), |last| last.number).next();
    let (epoch, previous) = last.map_or((0, stage::Hash::ZERO), |last| (last.epoch.0, last.hash));
    if record.number != expected {
        return Err(format!("is missing; the next one there is {}", record.number));
    }
    if record.owner != *owner {
        return Err(format!("says that it is of {}", record.owner));
    }
    if record.previous != previous {
        return Err("does not follow the one before it".to_owned());
    }
    if !record.is_intact() {
        return Err("was changed: its hash does not fit".to_owned());
    }
    let is_claim = matches!(record.parse_consumed(), Ok(Consumed::Claim));
    let expected = epoch + u64::from(is_claim);
    if record.epoch.0 == expected && expected > 0 {
        return Ok(());
    }
    Err(format!("has epoch {}, and {expected} is due", record.epoch))
}

/// Admits a frame, if it is the one that was read then.
fn admit(positions: &mut Positions, known: &[Producer], frame: &Frame, expected: Seq) -> Result<(), String> {
    match stage::admit(positions, known, frame) {
        Admission::Next if frame.seq == expected => {}
        Admission::Damaged => return Err("was changed, and is read by".to_owned()),
        Admission::Fork => return Err("is not the one that followed when it was read by".to_owned()),
        Admission::Gap { .. } | Admission::Next => return Err("is missing, and is read by".to_owned()),
        Admission::Duplicate | Admission::UnknownProducer => return Err("is read out of its turn by".to_owned()),
    }
    positions.advance(frame);
    Ok(())
}

fn difference(stored: &Frame, derived: &Frame) -> String {
    let shown = |name: &str, stored: &str, derived: &str| {
        let (stored, derived) = excerpts(stored, derived);
        format!("{name} holds {stored}, derived is {derived}")
    };
    if stored.body != derived.body {
        return shown("body", &stored.body, &derived.body);
    }
    if stored.facts != derived.facts {
        return shown("facts", &stored.facts.to_string(), &derived.facts.to_string());
    }
    if stored.previous != derived.previous {
        return shown("previous", &stored.previous.to_string(), &derived.previous.to_string());
    }
    shown("hash", &stored.hash.to_string(), &derived.hash.to_string())
}

/// An error with all its causes.
fn chain_of(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

//! One partition of a stage and its owners: at most one that is active, and frozen ones that have not noticed that they
//! may have been replaced.
//!
//! It does what the actors `Reader` and `Ingress` do around an [`Owner`], but may crash or freeze between any two of
//! these steps.

mod batch;
mod settled;
mod zombie;

use std::collections::{BTreeSet, VecDeque};

use chrono::{DateTime, Utc};
use conformance::{CommitFault, Faults, MemoryBroker, MemorySubscription};
use dataflow::{Delivery, MissingFrame, Owner, OwnerError, Prepared, Store, Subscription};
use stage::{Checkpoint, Epoch, Event, IngressStage, Partition, Producer, Record, Stage, StreamPartition};

use super::coverage::Hit;
use super::scene::{Mutant, Scene, now};
use super::violation::{Checked, ensure, stopped};

/// Requests, each with a number that tells equal ones apart.
type Asked<F> = Vec<(u64, Event<F>)>;

/// A batch between `prepare` and `commit`.
struct Open<F, R> {
    prepared: Prepared,
    asked: Asked<F>,
    replies: Vec<R>,
    frames: u64,
}

/// A process that owns the partition, or believes that it does.
struct Held<S: Stage, R> {
    /// Number of the process, counted for each partition.
    serial: u64,
    owner: Owner<S>,
    subscription: Option<Box<dyn Subscription>>,
    inbox: VecDeque<Delivery>,
    faults: Faults,
    /// The fault of its next commit.
    fault: Option<CommitFault>,
    epoch: Epoch,
    /// Its epoch when its last in-doubt commit failed.
    doubt_epoch: Epoch,
    /// The batch that was prepared when it froze.
    open: Option<Open<S::Input, R>>,
    /// The requests of its in-doubt batch.
    in_doubt: Asked<S::Input>,
    /// The replies to them if the batch was written.
    in_doubt_replies: Vec<R>,
    /// Whether it has to read again from the checkpoint, because its input differed from the stream or was cut off.
    cut: bool,
    /// Whether it has read frames without a commit, such as duplicates.
    read_only: bool,
    /// The frames that were missing when it last went back to the first messages of its streams.
    looked_for: BTreeSet<MissingFrame>,
}

/// Submits requests to an owner; for ingress stages only.
type Submit<S, R> =
    fn(&mut Owner<S>, Vec<Event<<S as Stage>::Input>>, DateTime<Utc>) -> Result<(Prepared, Vec<R>), OwnerError>;

/// A partition of a stage: either an ingress stage with replies `R`, or a stage that reads streams.
pub struct Seat<S: Stage, R = ()> {
    id: Producer,
    store: Store,
    broker: MemoryBroker,
    make: Box<dyn Fn(Partition) -> S>,
    submit: Option<Submit<S, R>>,
    reads: Vec<StreamPartition>,
    held: Option<Held<S, R>>,
    zombies: Vec<Held<S, R>>,
    /// Stores that may have delayed commits, with the serial numbers of their processes.
    late: Vec<(u64, Faults)>,
    serials: u64,
    /// Requests without a reply; for ingress stages only.
    pending: Asked<S::Input>,
    tickets: u64,
    /// Requests and their replies, until these are checked.
    pub answered: Vec<(Event<S::Input>, R)>,
}

/// The result of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// There was nothing to do.
    Idle,
    /// Something was done.
    Worked,
    /// The owner crashed or was fenced.
    Died,
}

/// The operations on a partition of any stage.
pub trait Chair {
    /// The partition as a producer.
    fn id(&self) -> &Producer;
    /// The store of its service.
    fn store(&self) -> &Store;
    /// The stream partitions it reads.
    fn reads(&self) -> &[StreamPartition];
    /// Its owner does one step; if it has no owner, a new one claims it.
    fn turn(&mut self, scene: &mut Scene<'_>) -> Checked<Turn>;
    /// Its owner crashes. Returns `false` if there was none.
    fn crash(&mut self, scene: &mut Scene<'_>) -> bool;
    /// Its owner freezes. Returns `false` if there was none.
    fn freeze(&mut self, scene: &mut Scene<'_>) -> bool;
    /// A frozen owner wakes up and continues where it was. Returns `false` if there was none.
    fn wake(&mut self, scene: &mut Scene<'_>) -> Checked<bool>;
    /// A delayed commit arrives. Returns `false` if there was none.
    fn land(&mut self, scene: &mut Scene<'_>) -> Checked<bool>;
    /// Its connections to the broker break.
    fn cut(&mut self);
    /// The number of requests without a reply.
    fn waiting(&self) -> usize;
}

impl<S: Stage> Seat<S> {
    /// A partition of a stage that reads streams. It has no owner yet.
    pub fn reader(
        partition: Partition,
        store: &Store,
        broker: &MemoryBroker,
        make: impl Fn(Partition) -> S + 'static,
    ) -> Self {
        Self::new(partition, store, broker, Box::new(make), None)
    }
}

impl<S: IngressStage<Reply: Clone>> Seat<S, S::Reply> {
    /// The partition of an ingress stage. It has no owner yet.
    pub fn ingress(store: &Store, broker: &MemoryBroker, make: fn(Partition) -> S) -> Self {
        let submit: Submit<S, S::Reply> = |owner, requests, time| now(owner.prepare_requests(requests, time));
        Self::new(Partition(0), store, broker, Box::new(make), Some(submit))
    }
}

impl<S: Stage, R: Clone> Seat<S, R> {
    fn new(
        partition: Partition,
        store: &Store,
        broker: &MemoryBroker,
        make: Box<dyn Fn(Partition) -> S>,
        submit: Option<Submit<S, R>>,
    ) -> Self {
        let id = Producer::new(S::NAME, partition);
        let reads = Owner::<S>::reads(&id, store.meta().partitions);
        Self {
            id,
            store: store.clone(),
            broker: broker.clone(),
            make,
            submit,
            reads: reads.into_iter().map(|(target, _)| target).collect(),
            held: None,
            zombies: Vec::new(),
            late: Vec::new(),
            serials: 0,
            pending: Vec::new(),
            tickets: 0,
            answered: Vec::new(),
        }
    }

    /// Adds a request of a client, which is sent again until it gets a reply.
    pub fn ask(&mut self, request: Event<S::Input>) {
        self.tickets += 1;
        self.pending.push((self.tickets, request));
    }

    fn newest(&self) -> Checked<Option<Record>> {
        now(self.store.newest(&self.id)).map_err(|error| stopped(&error))
    }

    fn epoch(&self) -> Checked<Epoch> {
        Ok(self.newest()?.map_or(Epoch(0), |newest| newest.epoch))
    }

    /// A new process claims the partition.
    fn claim(&mut self, scene: &mut Scene<'_>) -> Checked<Turn> {
        let faults = Faults::default();
        let store = faults.inject(&self.store);
        while let Some(fault) = scene.commit_fault() {
            faults.push(Some(fault));
        }
        let stage = (self.make)(self.id.partition);
        self.serials += 1;
        self.late.push((self.serials, faults.clone()));
        if scene.read_fails() {
            faults.fail_read(scene.reads_before_fault());
        }
        match now(Owner::claim(stage, self.id.clone(), store, scene.now)) {
            Ok(owner) => {
                let (subscription, epoch) = (self.subscription(owner.checkpoint(), scene), self.epoch()?);
                scene.backlog(self.store.meta().service).claimed(&self.id, &owner.checkpoint().last_frames);
                scene.say(&format!("{} claimed, epoch {epoch}", self.id));
                self.held = Some(Held {
                    serial: self.serials,
                    owner,
                    subscription,
                    inbox: VecDeque::new(),
                    faults,
                    fault: None,
                    epoch,
                    doubt_epoch: epoch,
                    open: None,
                    in_doubt: Vec::new(),
                    in_doubt_replies: Vec::new(),
                    cut: false,
                    read_only: false,
                    looked_for: BTreeSet::new(),
                });
            }
            Err(stop) => {
                ensure!(stop.is_transient(), Stopped, "a claim failed for good: {stop:?}");
                scene.hit(Hit::ClaimFailed);
                scene.say(&format!("{} could not claim: {stop}", self.id));
            }
        }
        Ok(Turn::Worked)
    }

    fn subscription(&self, checkpoint: &Checkpoint, scene: &Scene<'_>) -> Option<Box<dyn Subscription>> {
        if self.reads.is_empty() {
            return None;
        }
        let mut checkpoint = checkpoint.clone();
        if scene.mutant == Some(Mutant::ResumePastHole) {
            let ends = self.reads.iter().filter_map(|target| Some((target.clone(), self.broker.end(target)?)));
            checkpoint.resume_points = ends.collect();
        }
        Some(Box::new(MemorySubscription::attach(self.broker.clone(), &self.reads, &checkpoint)))
    }

    fn note_death(&self, held: &Held<S, R>, scene: &mut Scene<'_>) {
        if held.owner.is_in_doubt() {
            scene.hit(Hit::CrashInDoubt);
        }
        if held.read_only {
            scene.hit(Hit::CrashReadOnly);
        }
    }
}

impl<S: Stage, R: Clone> Chair for Seat<S, R> {
    fn id(&self) -> &Producer {
        &self.id
    }

    fn store(&self) -> &Store {
        &self.store
    }

    fn reads(&self) -> &[StreamPartition] {
        &self.reads
    }

    fn turn(&mut self, scene: &mut Scene<'_>) -> Checked<Turn> {
        match self.held.take() {
            None => self.claim(scene),
            Some(held) if held.owner.is_in_doubt() => self.resolve(held, scene),
            Some(held) => self.work(held, scene),
        }
    }

    fn crash(&mut self, scene: &mut Scene<'_>) -> bool {
        let Some(held) = self.held.take() else { return false };
        scene.say(&format!("{} crashes", self.id));
        self.note_death(&held, scene);
        true
    }

    fn freeze(&mut self, scene: &mut Scene<'_>) -> bool {
        let Some(held) = self.held.take() else { return false };
        scene.hit(Hit::Frozen);
        scene.say(&format!("{} freezes{}", self.id, if held.owner.is_in_doubt() { " in doubt" } else { "" }));
        self.zombies.push(held);
        true
    }

    fn wake(&mut self, scene: &mut Scene<'_>) -> Checked<bool> {
        self.wake_one(scene)
    }

    fn land(&mut self, scene: &mut Scene<'_>) -> Checked<bool> {
        self.land_one(scene)
    }

    fn cut(&mut self) {
        if let Some(held) = &mut self.held {
            held.cut = true;
        }
        self.zombies.iter_mut().for_each(|held| held.cut = true);
    }

    fn waiting(&self) -> usize {
        self.pending.len()
    }
}

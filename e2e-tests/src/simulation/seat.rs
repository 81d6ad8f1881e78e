//! One partition of a stage, and whoever owns it: nobody, one, or one and some who have not noticed
//! that they do not any more.
//!
//! It does what the actors `Reader` and `Ingress` do around an [`Owner`], with a chance to die or to
//! freeze between any two steps of it.

mod batch;
mod settled;
mod zombie;

use std::collections::{BTreeSet, VecDeque};

use chrono::{DateTime, Utc};
use dataflow::{
    Broker, CommitFault, Delivery, Faults, MemorySubscription, MissingFrame, Owner, OwnerError, Prepared, Store,
    Subscription,
};
use stage::{Checkpoint, Epoch, Event, IngressStage, Partition, Producer, Record, Stage, StreamPartition};

use super::coverage::Hit;
use super::scene::{Scene, now};
use super::violation::{Checked, ensure, stopped};

/// Who has asked for what; the number tells equal requests apart.
type Asked<F> = Vec<(u64, Event<F>)>;

/// A batch between `prepare` and `commit`.
struct Open<F, R> {
    prepared: Prepared,
    asked: Asked<F>,
    replies: Vec<R>,
    frames: u64,
}

/// A process that owns the partition, or believes so.
struct Held<S: Stage, R> {
    /// Which process of all there were.
    serial: u64,
    owner: Owner<S>,
    subscription: Option<Subscription>,
    inbox: VecDeque<Delivery>,
    store: Store,
    faults: Faults,
    /// What goes wrong with its next commit.
    fault: Option<CommitFault>,
    epoch: Epoch,
    /// Its epoch when its last doubt began.
    doubt_epoch: Epoch,
    /// Prepared when it froze.
    open: Option<Open<S::Input, R>>,
    /// Who waits for the batch that it is in doubt about.
    in_doubt: Asked<S::Input>,
    /// The replies they get if it was written.
    in_doubt_replies: Vec<R>,
    /// What reached it was not what was in the stream: read again from the checkpoint.
    cut: bool,
    /// It has read what it has not committed, such as duplicates.
    read_only: bool,
    /// What was missing when it went back to its streams' first messages.
    looked_for: BTreeSet<MissingFrame>,
}

/// Submits requests to an owner: only an owner of an ingress stage can.
type Submit<S, R> =
    fn(&mut Owner<S>, Vec<Event<<S as Stage>::Input>>, DateTime<Utc>) -> Result<(Prepared, Vec<R>), OwnerError>;

/// A partition of a stage: of an ingress stage with its replies `R`, or of one that reads streams.
pub struct Seat<S: Stage, R = ()> {
    id: Producer,
    store: Store,
    broker: Broker,
    make: fn(Partition) -> S,
    submit: Option<Submit<S, R>>,
    reads: Vec<StreamPartition>,
    held: Option<Held<S, R>>,
    zombies: Vec<Held<S, R>>,
    /// Stores with commits that are still on their way, and whose they are.
    late: Vec<(u64, Store)>,
    serials: u64,
    /// What clients have asked for and nobody has answered; ingress stage only.
    pending: Asked<S::Input>,
    tickets: u64,
    /// What was answered, until it is checked.
    pub answered: Vec<(Event<S::Input>, R)>,
}

/// What a turn came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// There was nothing to do.
    Idle,
    /// Something was done.
    Worked,
    /// The owner died.
    Died,
}

/// What can be done with a partition, of whatever stage.
pub trait Chair {
    /// Which.
    fn id(&self) -> &Producer;
    /// Its service's store.
    fn store(&self) -> &Store;
    /// The streams it reads.
    fn reads(&self) -> &[StreamPartition];
    /// Its owner does one thing; if there is none, a new one claims.
    fn turn(&mut self, scene: &mut Scene<'_>) -> Checked<Turn>;
    /// Its owner dies. `false`: there was none.
    fn crash(&mut self, scene: &mut Scene<'_>) -> bool;
    /// Its owner freezes. `false`: there was none.
    fn freeze(&mut self, scene: &mut Scene<'_>) -> bool;
    /// One that froze wakes, and goes on where it was. `false`: there was none.
    fn wake(&mut self, scene: &mut Scene<'_>) -> Checked<bool>;
    /// A commit that was on its way arrives. `false`: there was none.
    fn land(&mut self, scene: &mut Scene<'_>) -> Checked<bool>;
    /// Its connection to the broker breaks.
    fn cut(&mut self);
    /// Requests that nobody has answered.
    fn waiting(&self) -> usize;
}

impl<S: Stage> Seat<S> {
    /// A partition of a stage that reads streams. It has no owner yet.
    pub fn reader(partition: Partition, store: &Store, broker: &Broker, make: fn(Partition) -> S) -> Self {
        Self::new(partition, store, broker, make, None)
    }
}

impl<S: IngressStage<Reply: Clone>> Seat<S, S::Reply> {
    /// The partition of an ingress stage. It has no owner yet.
    pub fn ingress(store: &Store, broker: &Broker, make: fn(Partition) -> S) -> Self {
        let submit: Submit<S, S::Reply> = |owner, requests, time| now(owner.prepare_requests(requests, time));
        Self::new(Partition(0), store, broker, make, Some(submit))
    }
}

impl<S: Stage, R: Clone> Seat<S, R> {
    fn new(
        partition: Partition,
        store: &Store,
        broker: &Broker,
        make: fn(Partition) -> S,
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

    /// A client asks; it asks again until it is answered.
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

    /// A new process takes over.
    fn claim(&mut self, scene: &mut Scene<'_>) -> Checked<Turn> {
        let faults = Faults::default();
        let store = self.store.clone().with_faults(faults.clone());
        while let Some(fault) = scene.commit_fault() {
            faults.push(Some(fault));
        }
        let stage = (self.make)(self.id.partition);
        self.serials += 1;
        self.late.push((self.serials, store.clone()));
        if scene.read_fails() {
            faults.fail_read(scene.reads_before_fault());
        }
        match now(Owner::claim(stage, self.id.clone(), store.clone(), scene.now)) {
            Ok(owner) => {
                let (subscription, epoch) = (self.subscription(owner.checkpoint()), self.epoch()?);
                scene.say(&format!("{} claimed, epoch {epoch}", self.id));
                self.held = Some(Held {
                    serial: self.serials,
                    owner,
                    subscription,
                    inbox: VecDeque::new(),
                    store,
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

    fn subscription(&self, checkpoint: &Checkpoint) -> Option<Subscription> {
        let attach = || Subscription::Memory(MemorySubscription::attach(self.broker.clone(), &self.reads, checkpoint));
        (!self.reads.is_empty()).then(attach)
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
        scene.say(&format!("{} dies", self.id));
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

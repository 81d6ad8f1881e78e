//! The state that all parts of a run share: random numbers, time, the broker and the notes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use chrono::{DateTime, TimeDelta, Utc};
use conformance::CommitFault;
use dataflow::Backlog;
use stage::{BatchNumber, Epoch, Producer, StreamPartition};

use super::broker::Broker;
use super::coverage::{Coverage, Hit};
use super::random::Random;
use super::violation::{Checked, ensure};

/// The number of lines of a run that are kept to explain a failure.
const LINES_MAX: usize = 40;

/// The number of steps of a long run: enough to emit more frames than a publish window holds.
const LONG: usize = 24_000;

/// A deliberate bug, outside the production code, that the simulation has to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// A frame that was already applied is put into a batch again.
    NoDuplicateCheck,
    /// Frames are published before their batch is committed.
    PublishBeforeCommit,
    /// The store lets two owners write the same batch number.
    NoFence,
    /// A publisher continues after its stored position although the stream was recreated, or has lost its end.
    NoScan,
    /// A publisher does not notice that its stream was deleted and created again by somebody else.
    NoIncarnation,
    /// A commit in doubt is read back without a claim before, so it can still arrive afterwards.
    ResolveWithoutClaim,
    /// A new owner subscribes at the end of its streams, although its checkpoint is before it.
    ResumePastHole,
    /// A frame that arrives before the expected one is applied.
    ApplyPastGap,
    /// Requests are applied without the versions that they depend on.
    SkippedCapture,
    /// A client gets its reply before the batch is committed.
    ReplyBeforeCommit,
    /// An allocation that is gone is given back again.
    ReleaseTwice,
    /// A claim does not count one of the allocated pieces.
    AllocatePastLimit,
    /// Pieces that are given back are not offered to who waits.
    ForgetWaiting,
    /// A refund is converted by the rates of a later purchase.
    TodaysRate,
    /// A purchase that loses stock after its outcome gets another outcome in its place.
    SecondOutcome,
}

impl Mutant {
    /// Whether it is a bug of a stage of limited stock. The audit derives with the stages as they are, so it would find
    /// each such bug by that.
    pub fn is_of_stock(self) -> bool {
        match self {
            Self::NoDuplicateCheck
            | Self::PublishBeforeCommit
            | Self::NoFence
            | Self::NoScan
            | Self::NoIncarnation
            | Self::ResolveWithoutClaim
            | Self::ResumePastHole
            | Self::ApplyPastGap
            | Self::SkippedCapture
            | Self::ReplyBeforeCommit => false,
            Self::ReleaseTwice
            | Self::AllocatePastLimit
            | Self::ForgetWaiting
            | Self::TodaysRate
            | Self::SecondOutcome => true,
        }
    }
}

/// The parameters of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Seed of the random numbers.
    pub seed: u64,
    /// Deliberate bug, if any.
    pub mutant: Option<Mutant>,
    /// Whether the run is longer than usual, with one partition and fewer faults.
    pub is_long: bool,
    /// Whether to print each step.
    pub aloud: bool,
}

/// The notes of a run, for its report or to explain a failure.
#[derive(Debug, Default)]
pub struct Notes {
    /// Number of the current step.
    pub step: u64,
    /// The last lines, at most `LINES_MAX`.
    pub lines: VecDeque<String>,
    /// Checksum of all lines: equal runs have equal checksums.
    pub checksum: u64,
    /// Whether to print each line at once.
    pub aloud: bool,
    /// How often each event occurred.
    pub coverage: Coverage,
}

impl Notes {
    /// Adds a line.
    pub fn line(&mut self, line: &str) {
        // FNV-1a.
        for byte in line.bytes() {
            self.checksum = (self.checksum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
        }
        let line = format!("{:>5}  {line}", self.step);
        if self.aloud {
            eprintln!("{line}");
        }
        if self.lines.len() == LINES_MAX {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }
}

/// The probability of each kind of fault, in thousandths. It differs between seeds; some faults never occur.
#[derive(Clone, Copy, Debug, Default)]
pub struct Weather {
    /// Commits that fail.
    pub commits: u32,
    /// Owners that crash or freeze.
    pub owners: u32,
    /// Frames that reach a reader out of order, twice, or not at all.
    pub deliveries: u32,
    /// Publications and confirms that are lost or late.
    pub publications: u32,
    /// Frames that are damaged on their way into a stream.
    pub damage: u32,
    /// Streams that are lost, completely or in part.
    pub streams: u32,
}

impl Weather {
    /// Faults are rare, but each kind occurs.
    const MILD: Weather = Weather { commits: 20, owners: 10, deliveries: 20, publications: 10, damage: 1, streams: 2 };

    fn of(random: &mut Random) -> Self {
        let mut one_of = |some: [u32; 4]| *random.pick(&some);
        Self {
            commits: one_of([0, 50, 150, 300]),
            owners: one_of([0, 30, 100, 250]),
            deliveries: one_of([0, 50, 150, 300]),
            publications: one_of([0, 50, 150, 300]),
            damage: one_of([0, 0, 20, 80]),
            streams: one_of([0, 20, 60, 150]),
        }
    }
}

/// The state that all parts of a run share.
pub struct Scene<'a> {
    /// Source of all random numbers.
    pub random: Random,
    /// Time of the only clock.
    pub now: DateTime<Utc>,
    /// The streams.
    pub broker: Broker,
    /// The frames that are not published yet, by service.
    backlogs: BTreeMap<&'static str, Backlog>,
    /// Notes of the run.
    pub notes: &'a mut Notes,
    /// Probability of each kind of fault.
    pub weather: Weather,
    /// Deliberate bug, if any.
    pub mutant: Option<Mutant>,
    /// Number of steps and number of partitions.
    pub size: (usize, u16),
    /// The broker confirms nothing before this step.
    pub blocked_until: u64,
    /// The newest version of the rates in the purchase service's copy.
    pub copied: usize,
    /// That version at the time when a batch of an ingress stage was prepared.
    pub copied_when: BTreeMap<(Producer, Epoch, BatchNumber), usize>,
    /// Stream partitions with new messages in this step.
    pub published: BTreeSet<StreamPartition>,
    /// Journals of which a stream holds a damaged copy of a frame, so that an operator has to `republish` them.
    pub damaged: BTreeSet<(Producer, StreamPartition)>,
    /// A session that attaches sets time limits, which need a runtime. Nothing in memory waits, so none is reached.
    pub timers: tokio::runtime::Runtime,
}

impl<'a> Scene<'a> {
    /// The state at the beginning of a run.
    pub fn new(plan: Plan, notes: &'a mut Notes) -> Self {
        let mut random = Random::new(plan.seed);
        let (mut weather, mut size) = (Weather::of(&mut random), (random.between(300, 1_000), 1));
        size.1 = u16::try_from(random.between(1, 4)).unwrap_or(1);
        if plan.is_long {
            (weather, size) = (Weather::MILD, (LONG, 1));
        }
        let Ok(timers) = tokio::runtime::Builder::new_current_thread().enable_time().build() else {
            unreachable!("timers alone need nothing of the system")
        };
        let start = DateTime::from_timestamp(1_323_100_000, 0).unwrap_or_default();
        Self {
            random,
            now: start,
            broker: Broker::default(),
            backlogs: BTreeMap::new(),
            notes,
            weather,
            mutant: plan.mutant,
            size,
            blocked_until: 0,
            copied: 0,
            copied_when: BTreeMap::new(),
            published: BTreeSet::new(),
            damaged: BTreeSet::new(),
            timers,
        }
    }

    /// Counts an event.
    pub fn hit(&mut self, hit: Hit) {
        self.notes.coverage.hit(hit);
    }

    /// Adds a line to the notes.
    pub fn say(&mut self, line: &str) {
        self.notes.line(line);
    }

    /// Ends all faults.
    pub fn calm(&mut self) {
        self.weather = Weather::default();
        self.blocked_until = 0;
        self.broker.block(false);
        self.broker.forget_closed();
    }

    /// The backlog of the process of a service.
    pub fn backlog(&mut self, service: &'static str) -> &Backlog {
        self.backlogs.entry(service).or_insert_with(|| Backlog::new([], u64::MAX))
    }

    /// Checks that nothing counts as unpublished, because everything is published.
    pub fn check_backlogs(&self) -> Checked {
        for (service, backlog) in &self.backlogs {
            let left = (backlog.frames(), backlog.bytes());
            ensure!(left == (0, 0), Counted, "{service} has published all, and counts {left:?} frames and bytes");
        }
        Ok(())
    }

    /// The processes of a service are gone, or of all services if there is no name. Later ones begin with an empty
    /// backlog.
    pub fn lose_backlog(&mut self, service: Option<&str>) {
        self.backlogs.retain(|of, _| service.is_some_and(|service| service != *of));
    }

    /// Does something, during which the broker may fail.
    pub fn with_broker_faults<T>(&mut self, act: impl FnOnce() -> T) -> T {
        if self.random.chance(self.weather.publications / 8) {
            self.broker.fail_request(u32::try_from(self.random.below(8)).ok());
        }
        let done = act();
        self.broker.fail_request(None);
        done
    }

    /// Advances the time; sometimes the clock is set an hour forward or back.
    pub fn tick(&mut self) {
        self.broker.block(self.notes.step < self.blocked_until);
        let ahead = TimeDelta::milliseconds(i64::try_from(self.random.below(20_000)).unwrap_or_default());
        self.now += ahead;
        if self.random.chance(5) {
            let hour = TimeDelta::hours(1);
            self.now += if self.random.chance(500) { hour } else { -hour };
            self.hit(Hit::ClockJumped);
        }
    }

    /// Whether a read from the database will fail soon.
    pub fn read_fails(&mut self) -> bool {
        self.random.chance(self.weather.commits / 2)
    }

    /// The number of reads that succeed before one fails.
    pub fn reads_before_fault(&mut self) -> u32 {
        u32::try_from(self.random.below(6)).unwrap_or_default()
    }

    /// The fault of the next commit, if any.
    pub fn commit_fault(&mut self) -> Option<CommitFault> {
        let faults = [CommitFault::Refused, CommitFault::LostBefore, CommitFault::LostAfter, CommitFault::Late];
        let one = *self.random.pick(&faults);
        self.random.chance(self.weather.commits).then_some(one)
    }
}

/// The result of a future that never waits, as is true of everything in memory.
pub fn now<T>(future: impl Future<Output = T>) -> T {
    at_once(future).unwrap_or_else(|| unreachable!("nothing in memory ever waits"))
}

/// The result of a future, if it is there already.
pub fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

//! The audit: everything is derived again from what was recorded, and compared with what is stored.
//!
//! - **journal**: every frame a service has said, per producer and target: dense, chained, intact;
//! - **replay**: the batch records of each partition, in order, through the same pure rule: the chain of
//!   the records, what each read, the checkpoint and every frame it came to, byte for byte;
//! - **tables**: at the end every row of every table;
//! - **inventory**: nothing is there that no stage accounts for;
//! - **invariants**: what each service declares must hold over its rows, if they are as derived.
//!
//! What is found is named by its place. A partition, a table, a journal is left at its first wrong record;
//! the others go on, and read what is stored in its stead. Nothing is ever changed, and nothing that is
//! stored can make it panic.
//!
//! Services are audited side by side, each on a thread of its own: of another one a stage reads only what is stored.
//! Findings are noted in the order of the stages, not in the order of the threads. Memory, for each service: one batch,
//! some pages, and of the derived rows as much as `derived.rs` allows, whatever the size of the stores.

mod any_stage;
mod derived;
mod invariants;
mod inventory;
mod journal;
mod pages;
mod replay;
mod side_by_side;
mod table_walk;
mod tables;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use futures_util::future::join_all;
use stage::{IngressStage, Partition, Producer, Seq, Stage, Stream, StreamPartition};

use crate::{Inventory, Store, StoreError};

use self::any_stage::StageMaker;
use self::derived::{DerivedRows, Size};
use self::replay::Replay;
use self::side_by_side::{Job, side_by_side};

pub use self::derived::Limits;
pub use self::invariants::{CheckInvariants, Invariants, InvariantsFuture};
pub use self::table_walk::{RequestOrDecision, TableWalk, each_request_and_decision, each_row};
pub use self::watch::{Progress, Watch};

/// Something that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// In whose store.
    pub service: &'static str,
    /// Where: `journal accept/0>purchases/1#17`, `batch post/0 12`, `table balances key (fx, EUR)`.
    pub place: String,
    /// What is wrong there.
    pub what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.service, self.place, self.what)
    }
}

/// What was derived again of one stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// Whose stage.
    pub service: &'static str,
    /// Which.
    pub stage: &'static str,
    /// Its batch records.
    pub batches: u64,
    /// The facts and requests in them.
    pub facts: u64,
    /// The frames they came to.
    pub frames: u64,
    /// The rows compared.
    pub rows: u64,
    /// What the records, the frames it came to, and the rows hold.
    pub bytes: u64,
    /// Frames said for it that it has not read: no fault.
    pub unread: u64,
}

/// What an audit came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// What was checked, in order.
    pub checked: Vec<Checked>,
    /// What is wrong, in the order it was found; one for each place.
    pub findings: Vec<Finding>,
    /// The rows that the checks of the services have counted, by their plural noun.
    pub counts: BTreeMap<&'static str, u64>,
}

impl Report {
    /// Notes what is wrong; of several at one place the first.
    pub fn find(&mut self, finding: Finding) {
        let known = |other: &Finding| other.service == finding.service && other.place == finding.place;
        if !self.findings.iter().any(known) {
            self.findings.push(finding);
        }
    }

    fn note<T>(&mut self, result: Result<T, End>) -> Result<Option<T>, StoreError> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(End::Wrong(finding)) => {
                self.find(finding);
                Ok(None)
            }
            Err(End::Unavailable(error)) => Err(error),
        }
    }

    /// Whether every frame said has been read by those it was said for.
    pub fn is_quiet(&self) -> bool {
        self.checked.iter().all(|checked| checked.unread == 0)
    }
}

/// Why a check ended before its end.
#[derive(Debug)]
enum End {
    Wrong(Finding),
    Unavailable(StoreError),
}

fn wrong(service: &'static str, place: impl Into<String>, what: impl Into<String>) -> End {
    End::Wrong(Finding { service, place: place.into(), what: what.into() })
}

/// A failure to read: damage is a finding.
fn at(service: &'static str, place: impl Into<String>) -> impl FnOnce(StoreError) -> End {
    move |error| match error {
        StoreError::Damaged(what) => wrong(service, place, what),
        error @ StoreError::Unavailable(_) => End::Unavailable(error),
    }
}

fn batch_place(owner: &Producer, number: impl fmt::Display) -> String {
    format!("batch {owner} {number}")
}

fn frame_place(producer: &Producer, target: &StreamPartition, seq: Seq) -> String {
    format!("journal {producer}>{target}#{seq}")
}

/// One service under audit.
struct AuditedService {
    name: &'static str,
    store: Store,
    inventory: Inventory,
    /// The rows as derived again; of a stage that could not be, as stored.
    derived: DerivedRows,
}

type Services = BTreeMap<&'static str, AuditedService>;

/// What the stages of a service account for.
#[derive(Default)]
struct Accounted {
    tables: BTreeSet<&'static str>,
    /// Every owner, with how many records it has; none when it was left.
    owners: BTreeMap<Producer, Option<u64>>,
    /// How far each owner has said, by its records.
    emitted: BTreeMap<(Producer, StreamPartition), Seq>,
}

/// What deriving a stage came to.
struct Derivation {
    checked: Checked,
    accounted: Accounted,
    /// What is wrong, in the order it was found.
    wrong: Vec<Finding>,
}

/// An audit of the stores of a whole system, stage by stage.
///
/// `begin`, then every stage of every service, of a service those first whose tables others read; then
/// `finish`.
pub struct Audit {
    services: Arc<Services>,
    watch: Arc<Watch>,
    report: Report,
    /// Which service, and what is to be done there.
    stages: Vec<(&'static str, Job<Result<Derivation, StoreError>>)>,
    invariants: Vec<(&'static str, CheckInvariants)>,
}

impl Audit {
    /// Looks what there is in each store, and checks all journals.
    ///
    /// # Errors
    /// [`StoreError`] when a store does not reply; damage is a finding.
    pub async fn begin(streams: &[&'static Stream], stores: Vec<Store>) -> Result<Self, StoreError> {
        Self::watched(streams, stores, Watch::nobody()).await
    }

    /// The same, and somebody is told how far it is.
    ///
    /// # Errors
    /// [`StoreError`] when a store does not reply; damage is a finding.
    pub async fn watched(streams: &[&'static Stream], stores: Vec<Store>, watch: Watch) -> Result<Self, StoreError> {
        Self::within(streams, stores, watch, Limits::default()).await
    }

    /// The same, with other limits of what it keeps in memory.
    ///
    /// # Errors
    /// [`StoreError`] when a store does not reply; damage is a finding.
    pub async fn within(
        streams: &[&'static Stream],
        stores: Vec<Store>,
        watch: Watch,
        limits: Limits,
    ) -> Result<Self, StoreError> {
        let (mut report, mut services) = (Report::default(), Services::new());
        let inventories = join_all(stores.iter().map(Store::inventory)).await;
        for (store, inventory) in stores.into_iter().zip(inventories) {
            let name = store.meta().service;
            let inventory = report.note(inventory.map_err(at(name, "database")))?.unwrap_or_default();
            for problem in &inventory.problems {
                report.find(Finding { service: name, place: "database".into(), what: problem.clone() });
            }
            watch.announce(&inventory);
            let derived = DerivedRows::new(store.clone(), limits);
            services.insert(name, AuditedService { name, store, inventory, derived });
        }
        let (services, watch) = (Arc::new(services), Arc::new(watch));
        let jobs = services.keys().map(|name| (*name, vec![journals(name, streams, &services, &watch)]));
        for end in side_by_side(jobs.collect()).await.into_values().flatten().flatten() {
            report.note::<()>(Err(end))?;
        }
        Ok(Self { services, watch, report, stages: Vec::new(), invariants: Vec::new() })
    }

    /// Adds a stage of a service: [`Audit::finish`] derives all its partitions again and compares.
    pub fn stage<S: Stage>(&mut self, service: &'static str, make: fn(Partition) -> S) {
        self.add(service, StageMaker::reader(make));
    }

    /// Adds an ingress stage of a service. Its side input is derived before it: add that stage first.
    pub fn ingress<S: IngressStage>(&mut self, service: &'static str, make: fn(Partition) -> S) {
        self.add(service, StageMaker::ingress(make));
    }

    /// Adds the check of a service's invariants.
    pub fn invariants(&mut self, service: &'static str, check: CheckInvariants) {
        self.invariants.push((service, check));
    }

    fn add(&mut self, service: &'static str, stage: StageMaker) {
        let (services, watch) = (self.services.clone(), self.watch.clone());
        let job: Job<_> =
            Box::new(move || Box::pin(async move { derive_stage(service, &stage, &services, &watch).await }));
        self.stages.push((service, job));
    }

    /// Derives all stages, looks for what none of them accounts for, and checks the invariants.
    ///
    /// # Errors
    /// [`StoreError`] when a store does not reply; damage is a finding.
    pub async fn finish(self) -> Result<Report, StoreError> {
        let Self { services, watch: _, mut report, stages, invariants } = self;
        let order: Vec<_> = stages.iter().map(|(service, _)| *service).collect();
        let mut jobs = BTreeMap::<_, Vec<_>>::new();
        for (service, job) in stages {
            jobs.entry(service).or_default().push(job);
        }
        let done = side_by_side(jobs).await;
        let mut done: BTreeMap<_, _> = done.into_iter().map(|(name, done)| (name, done.into_iter())).collect();
        let mut accounted = BTreeMap::<_, Accounted>::new();
        for service in order {
            let Some(derivation) = done.get_mut(service).and_then(Iterator::next) else { continue };
            let Derivation { checked, accounted: of_stage, wrong } = derivation?;
            wrong.into_iter().for_each(|finding| report.find(finding));
            report.checked.push(checked);
            accounted.entry(service).or_default().extend(of_stage);
        }
        for service in services.values() {
            for end in inventory::check(service, &accounted.remove(service.name).unwrap_or_default()).await {
                report.note::<()>(Err(end))?;
            }
        }
        invariants::check(invariants, &services, &mut report).await?;
        Ok(report)
    }
}

fn journals(
    name: &'static str,
    streams: &[&'static Stream],
    services: &Arc<Services>,
    watch: &Arc<Watch>,
) -> Job<Vec<End>> {
    let (streams, services, watch) = (streams.to_vec(), services.clone(), watch.clone());
    Box::new(move || {
        Box::pin(async move {
            match services.get(name) {
                Some(service) => journal::check(service, &streams, &watch).await,
                None => Vec::new(),
            }
        })
    })
}

async fn derive_stage(
    name: &'static str,
    stage: &StageMaker,
    services: &Services,
    watch: &Watch,
) -> Result<Derivation, StoreError> {
    let (mut checked, mut accounted, mut report) =
        (Checked::of(name, stage.name), Accounted::default(), Report::default());
    if let Some(service) = services.get(name) {
        let mut is_whole = true;
        for partition in stage.partitioning.partitions(service.store.meta().partitions) {
            let mut replay = Replay::new(stage, partition, name, services, watch);
            let replayed = match replay.read_side_input().await {
                Ok(()) => replay.run(&mut checked).await,
                Err(end) => Err(end),
            };
            let records = report.note(replayed)?;
            is_whole &= records.is_some();
            let owner = replay.owner().clone();
            let emitted = replay.emitted().into_iter().filter(|_| records.is_some());
            accounted.emitted.extend(emitted.map(|(target, seq)| ((owner.clone(), target), seq)));
            accounted.owners.insert(owner, records);
        }
        for table in stage.tables {
            accounted.tables.insert(table.name);
            let rows = if is_whole {
                tables::compare(service, table).await
            } else {
                tables::take_over(service, table).await.map(|()| Size::default())
            };
            let Size { rows, bytes } = report.note(rows)?.unwrap_or_default();
            (checked.rows, checked.bytes) = (checked.rows + rows, checked.bytes + bytes);
        }
    }
    Ok(Derivation { checked, accounted, wrong: report.findings })
}

impl Accounted {
    fn extend(&mut self, other: Accounted) {
        self.tables.extend(other.tables);
        self.owners.extend(other.owners);
        self.emitted.extend(other.emitted);
    }
}

impl Checked {
    fn of(service: &'static str, stage: &'static str) -> Self {
        Self { service, stage, batches: 0, facts: 0, frames: 0, rows: 0, bytes: 0, unread: 0 }
    }
}

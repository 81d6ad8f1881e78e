//! The audit: everything is derived again from what was recorded, and compared with what is stored.
//!
//! - **journal**: every frame a service has said, per producer and target: dense, chained, intact;
//! - **replay**: the batch records of each partition, in order, through the same pure rule: the chain of
//!   the records, what each read, the checkpoint and every frame it came to, byte for byte;
//! - **tables**: at the end every row of every table;
//! - **inventory**: nothing is there that no stage accounts for.
//!
//! What is found is named by its place. A partition, a table, a journal is left at its first wrong record;
//! the others go on, and read what is stored in its stead. Nothing is ever changed, and nothing that is
//! stored can make it panic. Memory: one batch, some pages, and of the derived rows as much as `derived.rs` allows,
//! whatever the size of the stores.

mod derived;
mod inventory;
mod journal;
mod pages;
mod replay;
mod tables;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use stage::{IngressStage, Partition, Producer, Seq, Stage, Stream, StreamPartition, Table};

use crate::{Inventory, Store, StoreError};

use self::derived::{DerivedRows, Limits, Size};
use self::replay::Replay;

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
}

impl Report {
    /// Notes what is wrong; of several at one place the first.
    pub fn find(&mut self, finding: Finding) {
        let known = |other: &Finding| other.service == finding.service && other.place == finding.place;
        if !self.findings.iter().any(known) {
            self.findings.push(finding);
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
    tables: BTreeSet<&'static str>,
    /// Every owner, with how many records it has; none when it was left.
    owners: BTreeMap<Producer, Option<u64>>,
    /// How far each owner has said, by its records.
    emitted: BTreeMap<(Producer, StreamPartition), Seq>,
}

/// An audit of the stores of a whole system, stage by stage.
///
/// `begin`, then every stage of every service, of a service those first whose tables others read; then
/// `finish`.
pub struct Audit {
    streams: Vec<&'static Stream>,
    services: BTreeMap<&'static str, AuditedService>,
    watch: Watch,
    report: Report,
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

    async fn within(
        streams: &[&'static Stream],
        stores: Vec<Store>,
        watch: Watch,
        limits: Limits,
    ) -> Result<Self, StoreError> {
        let (streams, services) = (streams.to_vec(), BTreeMap::new());
        let mut audit = Self { streams, services, watch, report: Report::default() };
        for store in stores {
            let name = store.meta().service;
            let inventory = audit.note(store.inventory().await.map_err(at(name, "database")))?.unwrap_or_default();
            for problem in &inventory.problems {
                audit.report.find(Finding { service: name, place: "database".into(), what: problem.clone() });
            }
            audit.watch.announce(&inventory);
            let derived = DerivedRows::new(store.clone(), limits);
            let (tables, owners, emitted) = (BTreeSet::new(), BTreeMap::new(), BTreeMap::new());
            audit.services.insert(name, AuditedService { name, store, inventory, derived, tables, owners, emitted });
        }
        let mut ends = Vec::new();
        for service in audit.services.values() {
            ends.extend(journal::check(service, &audit.streams, &audit.watch).await);
        }
        for end in ends {
            audit.note::<()>(Err(end))?;
        }
        Ok(audit)
    }

    /// Derives a stage of a service again, all its partitions, and compares.
    ///
    /// # Errors
    /// [`StoreError`] when a store does not reply; damage is a finding.
    pub async fn stage<S: Stage>(
        &mut self,
        service: &'static str,
        make: impl Fn(Partition) -> S,
    ) -> Result<(), StoreError> {
        self.derive(service, make, async |_| Ok(())).await
    }

    /// The same for an ingress stage, which takes in its side input first.
    ///
    /// # Errors
    /// [`StoreError`] when a store does not reply; damage is a finding.
    pub async fn ingress<S: IngressStage>(
        &mut self,
        service: &'static str,
        make: impl Fn(Partition) -> S,
    ) -> Result<(), StoreError> {
        self.derive(service, make, async |replay| replay.read_side_input().await).await
    }

    async fn derive<S: Stage>(
        &mut self,
        service: &'static str,
        make: impl Fn(Partition) -> S,
        begin: impl AsyncFn(&mut Replay<'_, S>) -> Result<(), End>,
    ) -> Result<(), StoreError> {
        let (stage, mut checked) = (S::NAME, Checked::of(service, S::NAME));
        let mut is_whole = true;
        let partitions = self.services.get(service).map(|service| service.store.meta().partitions);
        for partition in partitions.into_iter().flat_map(|count| S::PARTITIONING.partitions(count)) {
            let owner = Producer::new(stage, partition);
            let mut replay = Replay::new(make(partition), owner.clone(), service, &self.services, &self.watch);
            let replayed = match begin(&mut replay).await {
                Ok(()) => replay.run(&mut checked).await,
                Err(end) => Err(end),
            };
            let emitted = replay.emitted();
            let records = self.note(replayed)?;
            is_whole &= records.is_some();
            if let Some(service) = self.services.get_mut(service) {
                service.owners.insert(owner.clone(), records);
                let emitted = emitted.into_iter().filter(|_| records.is_some());
                service.emitted.extend(emitted.map(|(target, seq)| ((owner.clone(), target), seq)));
            }
        }
        for table in S::TABLES {
            self.table(service, table, is_whole, &mut checked).await?;
        }
        self.report.checked.push(checked);
        Ok(())
    }

    async fn table(
        &mut self,
        service: &'static str,
        table: &'static Table,
        is_whole: bool,
        checked: &mut Checked,
    ) -> Result<(), StoreError> {
        let Some(service) = self.services.get_mut(service) else {
            return Ok(());
        };
        service.tables.insert(table.name);
        let rows = if is_whole {
            tables::compare(service, table).await
        } else {
            tables::take_over(service, table).await.map(|()| Size::default())
        };
        let Size { rows, bytes } = self.note(rows)?.unwrap_or_default();
        (checked.rows, checked.bytes) = (checked.rows + rows, checked.bytes + bytes);
        Ok(())
    }

    /// Looks for what no stage accounts for.
    ///
    /// # Errors
    /// [`StoreError`] when a store does not reply; damage is a finding.
    pub async fn finish(mut self) -> Result<Report, StoreError> {
        let mut ends = Vec::new();
        for service in self.services.values() {
            ends.extend(inventory::check(service).await);
        }
        for end in ends {
            self.note::<()>(Err(end))?;
        }
        Ok(self.report)
    }

    fn note<T>(&mut self, result: Result<T, End>) -> Result<Option<T>, StoreError> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(End::Wrong(finding)) => {
                self.report.find(finding);
                Ok(None)
            }
            Err(End::Unavailable(error)) => Err(error),
        }
    }
}

impl Checked {
    fn of(service: &'static str, stage: &'static str) -> Self {
        Self { service, stage, batches: 0, facts: 0, frames: 0, rows: 0, bytes: 0, unread: 0 }
    }
}

#[cfg(test)]
mod tests;

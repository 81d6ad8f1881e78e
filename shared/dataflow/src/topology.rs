//! The services of a system, each declared once. Everything that needs a list of stages, tables or streams walks these
//! declarations.

use std::fmt;
use std::sync::Arc;

use stage::{IngressStage, Partition, Partitioning, Stage, Stream, Table};

use crate::audit::{Audit, CheckInvariants};

/// Adds a stage of the named service to an audit.
type AddToAudit = Arc<dyn Fn(&mut Audit, &'static str) + Send + Sync>;

/// A stage with its types erased.
#[derive(Clone)]
pub struct StageDefinition {
    /// Its name: `post`.
    pub name: &'static str,
    /// How its partitions follow from the partitions of the streams it reads.
    pub partitioning: Partitioning,
    /// The streams it reads; none for an ingress stage.
    pub reads: &'static [&'static Stream],
    /// The tables that it, and only it, writes.
    pub tables: &'static [&'static Table],
    /// A table of another stage of the service that an ingress stage keeps in memory.
    pub side_input: Option<&'static Table>,
    audit: AddToAudit,
}

impl StageDefinition {
    /// A stage that reads streams.
    pub fn reader<S: Stage>(make: fn(Partition) -> S) -> Self {
        Self::new::<S>(None, move |audit, service| audit.stage(service, make))
    }

    /// A stage that accepts requests.
    pub fn ingress<S: IngressStage>(make: fn(Partition) -> S) -> Self {
        Self::new::<S>(S::SIDE_INPUT, move |audit, service| audit.ingress(service, make))
    }

    fn new<S: Stage>(
        side_input: Option<&'static Table>,
        audit: impl Fn(&mut Audit, &'static str) + Send + Sync + 'static,
    ) -> Self {
        Self {
            name: S::NAME,
            partitioning: S::PARTITIONING,
            reads: S::READS,
            tables: S::TABLES,
            side_input,
            audit: Arc::new(audit),
        }
    }
}

impl fmt::Debug for StageDefinition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StageDefinition").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A service: its streams and its stages.
#[derive(Clone, Debug)]
pub struct ServiceTopology {
    /// Its name, which is also the name of its database: `ledger`.
    pub name: &'static str,
    /// The streams that its stages produce.
    pub streams: &'static [&'static Stream],
    /// Its stages. A stage whose table is a side input of another stage comes before that stage.
    pub stages: Vec<StageDefinition>,
    /// Checks what must hold over all rows of the service.
    pub invariants: Option<CheckInvariants>,
}

impl ServiceTopology {
    /// The tables of the service's store.
    pub fn tables(&self) -> Vec<&'static Table> {
        self.stages.iter().flat_map(|stage| stage.tables).copied().collect()
    }

    /// Adds all stages and the invariants to an audit.
    pub fn audit(&self, audit: &mut Audit) {
        self.stages.iter().for_each(|stage| (stage.audit)(audit, self.name));
        self.invariants.into_iter().for_each(|check| audit.invariants(self.name, check));
    }
}

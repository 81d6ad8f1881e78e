//! A stage that panics.

use stage::{Event, IngressStage, Outputs, Partitioning, ReadSet, Stage, StageError, Stream, Table, WorkingSet};

use crate::fixture::{ADDED, Fact, Reply};

/// Panics at any input, as an ingress stage or as a reader.
pub struct Panics;

impl Stage for Panics {
    type Input = Fact;
    type Output = Fact;
    const NAME: &'static str = "panics";
    const PARTITIONING: Partitioning = Partitioning::Copartitioned;
    const READS: &'static [&'static Stream] = &[&ADDED];
    const TABLES: &'static [&'static Table] = &[];

    fn read_set(&self, _: &Event<Fact>, _: &WorkingSet, _: &mut ReadSet) -> Result<(), StageError> {
        Ok(())
    }

    fn apply(&self, event: &Event<Fact>, rows: &mut WorkingSet, out: &mut Outputs<Fact>) -> Result<(), StageError> {
        self.submit(event, rows, out).map(drop)
    }
}

impl IngressStage for Panics {
    type Reply = Reply;

    fn submit(&self, event: &Event<Fact>, _: &mut WorkingSet, _: &mut Outputs<Fact>) -> Result<Reply, StageError> {
        panic!("{} is too much", event.key.0)
    }
}

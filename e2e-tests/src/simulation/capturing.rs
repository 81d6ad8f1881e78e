//! An ingress stage whose captures can be left out.

use stage::{Cell, Event, IngressStage, Outputs, Partitioning, ReadSet, Stage, StageError, Stream, Table, WorkingSet};

/// A stage, and whether it captures the versions that a request depends on.
pub struct Capturing<S> {
    stage: S,
    is_skipped: bool,
}

impl<S> Capturing<S> {
    /// The stage as it is.
    pub fn all(stage: S) -> Self {
        Self { stage, is_skipped: false }
    }

    /// The stage without its captures.
    pub fn nothing(stage: S) -> Self {
        Self { stage, is_skipped: true }
    }
}

impl<S: IngressStage> Stage for Capturing<S> {
    type Input = S::Input;
    type Output = S::Output;
    const NAME: &'static str = S::NAME;
    const PARTITIONING: Partitioning = S::PARTITIONING;
    const READS: &'static [&'static Stream] = S::READS;
    const TABLES: &'static [&'static Table] = S::TABLES;

    fn read_set(&self, event: &Event<S::Input>, rows: &WorkingSet, reads: &mut ReadSet) -> Result<(), StageError> {
        self.stage.read_set(event, rows, reads)
    }

    fn apply(
        &self,
        event: &Event<S::Input>,
        rows: &mut WorkingSet,
        out: &mut Outputs<S::Output>,
    ) -> Result<(), StageError> {
        self.stage.apply(event, rows, out)
    }
}

impl<S: IngressStage> IngressStage for Capturing<S> {
    type Reply = S::Reply;
    const SIDE_INPUT: Option<&'static Table> = S::SIDE_INPUT;

    fn capture(&self, event: &mut Event<S::Input>, rows: &WorkingSet) -> Result<(), StageError> {
        if self.is_skipped { Ok(()) } else { self.stage.capture(event, rows) }
    }

    fn submit(
        &self,
        event: &Event<S::Input>,
        rows: &mut WorkingSet,
        out: &mut Outputs<S::Output>,
    ) -> Result<S::Reply, StageError> {
        self.stage.submit(event, rows, out)
    }

    fn on_side_input(&mut self, row: &[Cell]) -> Result<(), StageError> {
        self.stage.on_side_input(row)
    }
}

//! The part of the audit that is compiled for each stage. All the rest does not know a stage's types.

use futures_util::future::LocalBoxFuture;
use serde_json::value::RawValue;
use stage::{BatchContext, BatchInput, Derived, Frame, IngressStage, Partition, Partitioning, Stage, Stream, Table};

use super::derived::DerivedRows;
use crate::owner::{LoadError, load, read_side_input};

/// The recorded input of a batch.
pub(super) enum RecordedInput {
    /// The frames that it read.
    Frames(Vec<Frame>),
    /// The requests that it accepted, as JSON.
    Requests(Box<RawValue>),
}

/// Why a batch cannot be derived again.
pub(super) enum NotDerived {
    /// This frame cannot be decoded.
    Frame(Box<Frame>, stage::Unreadable),
    /// The requests cannot be decoded.
    Requests(stage::Unreadable),
    /// The rows cannot be loaded, or the stage failed.
    Load(LoadError),
}

impl From<LoadError> for NotDerived {
    fn from(error: LoadError) -> Self {
        Self::Load(error)
    }
}

/// A partition of a stage.
pub(super) trait AnyStage {
    /// Reads the side input of an ingress stage.
    fn read_side_input<'a>(&'a mut self, rows: &'a DerivedRows) -> LocalBoxFuture<'a, Result<(), LoadError>>;

    /// Derives a batch, and counts its facts or requests.
    fn derive<'a>(
        &'a self,
        rows: &'a DerivedRows,
        context: BatchContext<'a>,
        input: RecordedInput,
    ) -> LocalBoxFuture<'a, Result<(u64, Derived), NotDerived>>;
}

/// Makes the partitions of a stage.
pub(super) struct StageMaker {
    pub name: &'static str,
    pub partitioning: Partitioning,
    pub reads: &'static [&'static Stream],
    pub tables: &'static [&'static Table],
    pub make: Box<dyn Fn(Partition) -> Box<dyn AnyStage> + Send>,
}

impl StageMaker {
    /// A stage that reads streams.
    pub fn reader<S: Stage>(make: fn(Partition) -> S) -> Self {
        Self::of::<S>(move |partition| Box::new(AnyReader(make(partition))))
    }

    /// An ingress stage.
    pub fn ingress<S: IngressStage>(make: fn(Partition) -> S) -> Self {
        Self::of::<S>(move |partition| Box::new(AnyIngress(make(partition))))
    }

    fn of<S: Stage>(make: impl Fn(Partition) -> Box<dyn AnyStage> + Send + 'static) -> Self {
        Self { name: S::NAME, partitioning: S::PARTITIONING, reads: S::READS, tables: S::TABLES, make: Box::new(make) }
    }
}

struct AnyReader<S>(S);

struct AnyIngress<S>(S);

impl<S: Stage> AnyStage for AnyReader<S> {
    fn read_side_input<'a>(&'a mut self, _: &'a DerivedRows) -> LocalBoxFuture<'a, Result<(), LoadError>> {
        Box::pin(async { Ok(()) })
    }

    fn derive<'a>(
        &'a self,
        rows: &'a DerivedRows,
        context: BatchContext<'a>,
        input: RecordedInput,
    ) -> LocalBoxFuture<'a, Result<(u64, Derived), NotDerived>> {
        Box::pin(derive(&self.0, rows, context, input))
    }
}

impl<S: IngressStage> AnyStage for AnyIngress<S> {
    fn read_side_input<'a>(&'a mut self, rows: &'a DerivedRows) -> LocalBoxFuture<'a, Result<(), LoadError>> {
        Box::pin(async { read_side_input(&mut self.0, rows, &mut None).await })
    }

    fn derive<'a>(
        &'a self,
        rows: &'a DerivedRows,
        context: BatchContext<'a>,
        input: RecordedInput,
    ) -> LocalBoxFuture<'a, Result<(u64, Derived), NotDerived>> {
        Box::pin(derive(&self.0, rows, context, input))
    }
}

async fn derive<S: Stage>(
    stage: &S,
    rows: &DerivedRows,
    context: BatchContext<'_>,
    input: RecordedInput,
) -> Result<(u64, Derived), NotDerived> {
    let input = match input {
        RecordedInput::Frames(frames) => {
            let decode = |frame: Frame| match stage::read_events(&frame.body) {
                Ok(events) => Ok((frame, events)),
                Err(error) => Err(NotDerived::Frame(Box::new(frame), error)),
            };
            BatchInput::Frames(frames.into_iter().map(decode).collect::<Result<_, _>>()?)
        }
        RecordedInput::Requests(requests) => {
            BatchInput::Requests(stage::read_events::<S::Input>(requests.get()).map_err(NotDerived::Requests)?)
        }
    };
    let facts = input.events().count() as u64;
    let working_set = load(stage, rows, &input.events()).await?;
    let derived = stage::derive(stage, &context, input, working_set).map_err(LoadError::from)?;
    Ok((facts, derived))
}

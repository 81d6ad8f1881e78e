//! Loads the rows that a batch needs before it can be applied, for owners and for the audit.

use futures_util::future::BoxFuture;
use stage::{Cell, Event, IngressStage, LOAD_ROUNDS_MAX, ReadSet, Stage, StageError, Table, WorkingSet};

use crate::{LoadedRows, Store, StoreError};

/// The maximum number of side input rows per read.
const SIDE_INPUT_ROWS_MAX: usize = 1_000;

/// The source of rows: the store of an owner, or the rows that an audit has derived.
pub(crate) trait Tables: Sync {
    /// The rows that exist among these keys, by table.
    fn load<'a>(&'a self, keys: &'a ReadSet) -> BoxFuture<'a, Result<Vec<LoadedRows>, StoreError>>;

    /// Rows after a key, in key order, at most `limit`.
    fn scan<'a>(
        &'a self,
        table: &'static Table,
        after: Option<&'a [Cell]>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Vec<Cell>>, StoreError>>;
}

impl Tables for Store {
    fn load<'a>(&'a self, keys: &'a ReadSet) -> BoxFuture<'a, Result<Vec<LoadedRows>, StoreError>> {
        Box::pin(Store::load(self, keys))
    }

    fn scan<'a>(
        &'a self,
        table: &'static Table,
        after: Option<&'a [Cell]>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Vec<Cell>>, StoreError>> {
        Box::pin(Store::scan(self, table, &[], after, limit))
    }
}

/// The reason why rows could not be loaded.
#[derive(Debug)]
pub(crate) enum LoadError {
    /// A row is invalid, or the stage requested too many rounds.
    Stage(StageError),
    /// The store cannot be read.
    Store(StoreError),
}

impl From<StageError> for LoadError {
    fn from(broken: StageError) -> Self {
        LoadError::Stage(broken)
    }
}

impl From<StoreError> for LoadError {
    fn from(error: StoreError) -> Self {
        LoadError::Store(error)
    }
}

/// Gives the stage all rows of its side input after `read_to`, and advances `read_to`.
pub(crate) async fn read_side_input<S: IngressStage>(
    stage: &mut S,
    tables: &dyn Tables,
    read_to: &mut Option<Vec<Cell>>,
) -> Result<(), LoadError> {
    let Some(table) = S::SIDE_INPUT else { return Ok(()) };
    loop {
        let rows = tables.scan(table, read_to.as_deref(), SIDE_INPUT_ROWS_MAX).await?;
        for row in &rows {
            stage.on_side_input(row)?;
            *read_to = Some(row[..table.key_columns].to_vec());
        }
        if rows.len() < SIDE_INPUT_ROWS_MAX {
            return Ok(());
        }
    }
}

/// Loads the rows that these events name, and the rows that those rows name in turn.
pub(crate) async fn load<'a, S: Stage>(
    stage: &S,
    tables: &dyn Tables,
    events: &(impl Iterator<Item = &'a Event<S::Input>> + Clone),
) -> Result<WorkingSet, LoadError> {
    let mut rows = WorkingSet::default();
    for _ in 0..LOAD_ROUNDS_MAX {
        let mut reads = ReadSet::default();
        for event in events.clone() {
            stage.read_set(event, &rows, &mut reads)?;
        }
        let missing = rows.missing(reads);
        if missing.is_empty() {
            return Ok(rows);
        }
        for found in tables.load(&missing).await? {
            rows.fill(found.table, &found.wanted, found.rows);
        }
    }
    Err(StageError::Rule(format!("more than {LOAD_ROUNDS_MAX} rounds of loading rows")).into())
}

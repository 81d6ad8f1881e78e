//! The rows of a batch, grouped by table and kind of write. Each group is written by one statement.

use std::collections::BTreeMap;

use stage::{Cell, Change, Table, Write};

use super::CommitError;

/// Rows of one table that are written in the same way.
pub(super) struct Run<'a> {
    pub table: &'static Table,
    pub write: Write,
    pub rows: Vec<&'a [Cell]>,
}

/// Groups changes. Every writer uses the same order of tables, kinds and keys, so that no two of them deadlock.
pub(super) fn runs(changes: &[Change]) -> Vec<Run<'_>> {
    let mut runs = BTreeMap::new();
    for Change { table, write, cells } in changes {
        let run = runs.entry((table.name, *write == Write::Update));
        run.or_insert_with(|| Run { table, write: *write, rows: Vec::new() }).rows.push(cells.as_slice());
    }
    let mut runs: Vec<_> = runs.into_values().collect();
    for Run { table, rows, .. } in &mut runs {
        rows.sort_by(|a, b| a[..table.key_columns].cmp(&b[..table.key_columns]));
    }
    runs
}

/// Checks the number of rows that each statement has written. Fewer updated rows than expected means that a loaded row
/// was deleted.
pub(super) fn check_written(runs: &[Run<'_>], written: impl IntoIterator<Item = u64>) -> Result<(), CommitError> {
    match runs.iter().zip(written).find(|(run, written)| run.rows.len() as u64 != *written) {
        Some((run, _)) => Err(CommitError::Conflict(run.table.name.to_owned())),
        None => Ok(()),
    }
}

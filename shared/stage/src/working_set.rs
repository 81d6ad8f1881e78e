//! The rows of a batch: loaded by key, changed in memory, written in one commit.

use std::collections::{BTreeMap, BTreeSet};

use crate::{Cell, Row, StageError, Table};

/// The rows to load.
#[derive(Debug, Default)]
pub struct ReadSet(BTreeMap<&'static str, (&'static Table, BTreeSet<Vec<Cell>>)>);

impl ReadSet {
    /// Adds the row with this key, whether it exists or not.
    pub fn row<R: Row>(&mut self, key: &R::Key) {
        let (_, keys) = self.0.entry(R::TABLE.name).or_insert_with(|| (R::TABLE, BTreeSet::new()));
        keys.insert(R::key_cells(key));
    }

    /// Whether no rows are requested.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The tables and the requested keys of each, sorted.
    pub fn iter(&self) -> impl Iterator<Item = (&'static Table, &BTreeSet<Vec<Cell>>)> {
        self.0.values().map(|(table, keys)| (*table, keys))
    }
}

/// How a row is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// The key must be new. If a row with this key exists after all, another writer has written it.
    Insert,
    /// A row with this key exists.
    Update,
}

/// A row to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The table to write to.
    pub table: &'static Table,
    /// Whether to insert or to update.
    pub write: Write,
    /// The whole row.
    pub cells: Vec<Cell>,
}

impl Change {
    /// The changes to one table.
    pub fn of<R: Row>(changes: &[Change]) -> impl Iterator<Item = &Change> {
        changes.iter().filter(|change| change.table.name == R::TABLE.name)
    }

    /// The rows that are written to one table. A row that cannot be decoded is left out, because its next reader stops
    /// and reports it.
    pub fn rows<R: Row>(changes: &[Change]) -> impl Iterator<Item = R> {
        Self::of::<R>(changes).filter_map(|change| R::from_cells(&change.cells).ok())
    }

    /// The value that is written to a column; `None` when the table has no such column.
    pub fn cell(&self, column: &str) -> Option<&Cell> {
        let at = self.table.columns.iter().position(|c| c.name == column)?;
        self.cells.get(at)
    }
}

#[derive(Debug, Default)]
struct Slot {
    stored: Option<Vec<Cell>>,
    now: Option<Vec<Cell>>,
}

#[derive(Debug)]
struct Loaded {
    table: &'static Table,
    slots: BTreeMap<Vec<Cell>, Slot>,
}

/// The working set of one batch. Each fact sees the changes made by the facts before it.
#[derive(Debug, Default)]
pub struct WorkingSet {
    tables: BTreeMap<&'static str, Loaded>,
    writes: u64,
}

impl WorkingSet {
    /// The keys among these that are not loaded yet.
    #[must_use]
    pub fn missing(&self, keys: ReadSet) -> ReadSet {
        let still = keys.0.into_iter().filter_map(|(name, (table, mut wanted))| {
            if let Some(loaded) = self.tables.get(name) {
                wanted.retain(|key| !loaded.slots.contains_key(key));
            }
            (!wanted.is_empty()).then_some((name, (table, wanted)))
        });
        ReadSet(still.collect())
    }

    /// Adds the rows that the store found for the given keys of one table. All other keys are known to be absent.
    pub fn fill(&mut self, table: &'static Table, keys: &BTreeSet<Vec<Cell>>, found: Vec<Vec<Cell>>) {
        let loaded = self.loaded(table);
        for key in keys {
            loaded.slots.entry(key.clone()).or_default();
        }
        for cells in found {
            let slot = Slot { stored: Some(cells.clone()), now: Some(cells) };
            let key = slot.now.as_ref().map(|cells| cells[..table.key_columns].to_vec()).unwrap_or_default();
            loaded.slots.insert(key, slot);
        }
    }

    /// The current row with this key.
    ///
    /// # Errors
    /// When the key was not loaded, or the stored row cannot be decoded.
    pub fn get<R: Row>(&self, key: &R::Key) -> Result<Option<R>, StageError> {
        let key = R::key_cells(key);
        let slot = self.tables.get(R::TABLE.name).and_then(|loaded| loaded.slots.get(&key));
        let slot = slot.ok_or(StageError::NotLoaded { table: R::TABLE.name, key })?;
        Ok(slot.now.as_deref().map(R::from_cells).transpose()?)
    }

    /// Whether the row with this key was requested already.
    pub fn is_loaded<R: Row>(&self, key: &R::Key) -> bool {
        let loaded = self.tables.get(R::TABLE.name);
        loaded.is_some_and(|loaded| loaded.slots.contains_key(&R::key_cells(key)))
    }

    /// Writes a row whose key was loaded.
    ///
    /// # Errors
    /// When its key was not loaded.
    pub fn put<R: Row>(&mut self, row: &R) -> Result<(), StageError> {
        let cells = row.to_cells();
        let key = &cells[..R::TABLE.key_columns];
        let slot = self.tables.get_mut(R::TABLE.name).and_then(|loaded| loaded.slots.get_mut(key));
        let Some(slot) = slot else {
            return Err(StageError::NotLoaded { table: R::TABLE.name, key: key.to_vec() });
        };
        if slot.now.as_ref() != Some(&cells) {
            slot.now = Some(cells);
            self.writes += 1;
        }
        Ok(())
    }

    /// Writes a new row without loading its key first. The store rejects it if the key exists.
    ///
    /// # Errors
    /// When the batch has already written that key.
    pub fn insert<R: Row>(&mut self, row: &R) -> Result<(), StageError> {
        let cells = row.to_cells();
        let key = cells[..R::TABLE.key_columns].to_vec();
        let slot = self.loaded(R::TABLE).slots.entry(key.clone()).or_default();
        if slot.now.is_some() {
            return Err(StageError::Exists { table: R::TABLE.name, key });
        }
        slot.now = Some(cells);
        self.writes += 1;
        Ok(())
    }

    /// The number of writes that changed something.
    pub fn writes(&self) -> u64 {
        self.writes
    }

    /// The rows to write, ordered by table and key, so that two writers always lock in the same order.
    pub fn changes(self) -> Vec<Change> {
        let of_table = |loaded: Loaded| {
            loaded.slots.into_values().filter_map(move |slot| {
                let changed = slot.now != slot.stored;
                let write = if slot.stored.is_some() { Write::Update } else { Write::Insert };
                slot.now.filter(|_| changed).map(|cells| Change { table: loaded.table, write, cells })
            })
        };
        self.tables.into_values().flat_map(of_table).collect()
    }

    fn loaded(&mut self, table: &'static Table) -> &mut Loaded {
        self.tables.entry(table.name).or_insert_with(|| Loaded { table, slots: BTreeMap::new() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::row! {
        /// A counter.
        struct Counter: "counters" { key { name: String => crate::Text } value { count: u64 => crate::Integer } }
    }

    crate::row! {
        /// Another table.
        struct Other: "others" { key { name: String => crate::Text } value {} }
    }

    fn counter(name: &str, count: u64) -> Counter {
        Counter { name: name.into(), count }
    }

    fn loaded(names: &[&str], found: &[Counter]) -> WorkingSet {
        let mut reads = ReadSet::default();
        names.iter().for_each(|name| reads.row::<Counter>(&((*name).to_owned(),)));
        let mut rows = WorkingSet::default();
        for (table, wanted) in reads.iter() {
            rows.fill(table, wanted, found.iter().map(Row::to_cells).collect());
        }
        rows
    }

    #[test]
    fn only_changed_rows_are_written_as_inserts_or_updates() {
        let mut rows = loaded(&["a", "b", "c"], &[counter("a", 1), counter("b", 1)]);
        rows.put(&counter("a", 2)).unwrap();
        rows.put(&counter("b", 1)).unwrap();
        rows.put(&counter("c", 1)).unwrap();
        rows.insert(&counter("d", 1)).unwrap();
        assert_eq!(rows.writes(), 3);
        let written: Vec<_> = rows.changes().into_iter().map(|c| (c.cells[0].to_string(), c.write)).collect();
        let expected = [("a", Write::Update), ("c", Write::Insert), ("d", Write::Insert)];
        assert_eq!(written, expected.map(|(name, write)| (name.to_owned(), write)));
    }

    #[test]
    fn changes_are_found_by_table() {
        let mut rows = loaded(&["a", "b"], &[counter("a", 1)]);
        rows.put(&counter("b", 2)).unwrap();
        rows.insert(&Other { name: "a".into() }).unwrap();
        let changes = rows.changes();
        assert_eq!(changes.len(), 2);
        assert_eq!(Change::rows::<Counter>(&changes).collect::<Vec<_>>(), [counter("b", 2)]);
        assert_eq!(Change::of::<Other>(&changes).collect::<Vec<_>>(), [&changes[1]]);
    }

    #[test]
    fn the_next_fact_sees_the_change() {
        let mut rows = loaded(&["a"], &[counter("a", 1)]);
        rows.put(&counter("a", 2)).unwrap();
        assert_eq!(rows.get::<Counter>(&("a".into(),)).unwrap(), Some(counter("a", 2)));
    }

    #[test]
    fn using_a_row_that_was_not_loaded_is_an_error() {
        let mut rows = loaded(&["a"], &[]);
        assert!(matches!(rows.get::<Counter>(&("b".into(),)), Err(StageError::NotLoaded { .. })));
        assert!(matches!(rows.put(&counter("b", 1)), Err(StageError::NotLoaded { .. })));
        rows.insert(&counter("a", 1)).unwrap();
        assert!(matches!(rows.insert(&counter("a", 1)), Err(StageError::Exists { .. })));
    }
}

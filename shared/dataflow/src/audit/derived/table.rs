//! One derived table: what is held, what is let go, what is put aside.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::RandomState;

use stage::{Cell, CellKind, Change, Column, Table, Write};

use super::{Fingerprint, Limits, NotWritten, Size, bytes_of};
use crate::store::Scratch;
use crate::{Store, StoreError};

/// Fingerprints that are put aside.
static FINGERPRINTS: Table = Table {
    name: "fingerprints",
    columns: &[
        Column { name: "first", kind: CellKind::Integer, nullable: false },
        Column { name: "second", kind: CellKind::Integer, nullable: false },
    ],
    key_columns: 2,
};

/// What a table is compared with, and how much of it may be kept.
#[derive(Clone, Copy)]
pub(super) struct Backing<'a> {
    pub stored: &'a Store,
    pub limits: Limits,
    pub secret: &'a RandomState,
}

/// How a row that is held compares with the stored one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// Nobody has looked yet.
    Waiting,
    /// It is not as stored.
    Different,
    /// It is the stored one, which a stage has asked for.
    Stored,
}

struct Held {
    cells: Vec<Cell>,
    standing: Standing,
}

/// What is on disk, because it is too much.
struct Aside {
    scratch: Scratch,
    has_rows: bool,
    has_fingerprints: bool,
}

/// Keys that are not held, and where they are: the rows put aside, and the keys of those let go.
#[derive(Default)]
struct Elsewhere {
    aside: HashMap<Fingerprint, Vec<Cell>>,
    let_go: HashMap<Fingerprint, Vec<Cell>>,
}

pub(super) struct DerivedTable {
    table: &'static Table,
    held: HashMap<Fingerprint, Held>,
    /// What was held since the last comparison, once for each time; and the bytes of it.
    recent: Vec<Fingerprint>,
    recent_bytes: usize,
    /// The bytes of the rows held that are not as stored.
    different_bytes: usize,
    let_go: HashSet<Fingerprint>,
    aside: Option<Aside>,
    size: Size,
}

impl DerivedTable {
    pub(super) fn new(table: &'static Table) -> Self {
        Self {
            table,
            held: HashMap::new(),
            recent: Vec::new(),
            recent_bytes: 0,
            different_bytes: 0,
            let_go: HashSet::new(),
            aside: None,
            size: Size::default(),
        }
    }

    /// The rows to look at with the next comparison, and their bytes.
    pub(super) fn waiting(&self) -> (usize, usize) {
        (self.recent.len(), self.recent_bytes)
    }

    /// Writes rows, if those are there that should be, and no other.
    pub(super) async fn write(&mut self, changes: Vec<Change>, backing: &Backing<'_>) -> Result<(), NotWritten> {
        let fingerprints: Vec<_> = changes.iter().map(|change| self.fingerprint(&change.cells, backing)).collect();
        let keys = fingerprints.iter().zip(&changes).filter(|(fingerprint, _)| !self.held.contains_key(*fingerprint));
        let keys = keys.map(|(fingerprint, change)| (*fingerprint, self.key(&change.cells))).collect();
        let elsewhere = self.find(keys, backing).await?;
        for (fingerprint, change) in fingerprints.iter().zip(&changes) {
            let exists = self.held.contains_key(fingerprint) || elsewhere.has(fingerprint);
            if exists != (change.write == Write::Update) {
                return Err(NotWritten::Conflict(self.table.name));
            }
        }
        for (fingerprint, Change { write, cells, .. }) in fingerprints.into_iter().zip(changes) {
            self.size.rows += u64::from(write == Write::Insert);
            self.size.bytes += bytes_of(&cells) as u64;
            self.hold(fingerprint, cells, Standing::Waiting);
        }
        Ok(())
    }

    /// The rows among these keys, as they are now.
    pub(super) async fn load(
        &mut self,
        wanted: &BTreeSet<Vec<Cell>>,
        backing: &Backing<'_>,
    ) -> Result<Vec<Vec<Cell>>, StoreError> {
        let wanted: Vec<_> = wanted.iter().map(|key| (self.fingerprint(key, backing), key.as_slice())).collect();
        let unheld = wanted.iter().filter(|(fingerprint, _)| !self.held.contains_key(fingerprint));
        let Elsewhere { aside, let_go } = self.find(unheld.copied().collect(), backing).await?;
        aside.into_iter().for_each(|(fingerprint, row)| self.hold(fingerprint, row, Standing::Different));
        if !let_go.is_empty() {
            let expected = let_go.len();
            let rows = backing.stored.load_rows(self.table, &let_go.into_values().collect()).await?;
            if rows.len() != expected {
                return Err(StoreError::Damaged(format!("{} changes while it is audited", self.table.name)));
            }
            for row in rows {
                self.hold(self.fingerprint(&row, backing), row, Standing::Stored);
            }
        }
        let found = wanted.iter().filter_map(|(fingerprint, _)| self.held.get(fingerprint));
        Ok(found.map(|held| held.cells.clone()).collect())
    }

    /// Looks which of the waiting rows are as stored, lets them go, and puts aside what is too much.
    pub(super) async fn compare(&mut self, backing: &Backing<'_>) -> Result<(), StoreError> {
        if self.let_go.len() + self.recent.len() > backing.limits.fingerprints {
            self.put_fingerprints_aside().await?;
        }
        let recent = self.recent.iter().filter_map(|fingerprint| self.held.get(fingerprint));
        let waiting = recent.filter(|held| held.standing == Standing::Waiting);
        let waiting: BTreeSet<_> = waiting.map(|held| self.key(&held.cells).to_vec()).collect();
        let stored = match backing.stored.load_rows(self.table, &waiting).await {
            // Whoever reads the table through in the end says where.
            Err(StoreError::Damaged(_)) => Vec::new(),
            stored => stored?,
        };
        for row in stored {
            let fingerprint = self.fingerprint(&row, backing);
            if let Some(held) = self.held.get_mut(&fingerprint).filter(|held| held.cells == row) {
                held.standing = Standing::Stored;
            }
        }
        let gone = self.let_stored_go();
        if let Some(Aside { scratch, has_rows: true, .. }) = &self.aside {
            scratch.delete(self.table, &gone).await?;
        }
        if self.different_bytes > backing.limits.held_bytes { self.put_rows_aside().await } else { Ok(()) }
    }

    /// Lets go what was held since the last comparison and is as stored. The keys of it, if rows are put aside.
    fn let_stored_go(&mut self) -> BTreeSet<Vec<Cell>> {
        let has_aside = self.aside.as_ref().is_some_and(|aside| aside.has_rows);
        let mut gone = BTreeSet::new();
        for fingerprint in std::mem::take(&mut self.recent) {
            let Entry::Occupied(mut held) = self.held.entry(fingerprint) else { continue };
            match held.get().standing {
                Standing::Stored => {
                    self.let_go.insert(fingerprint);
                    let mut cells = held.remove().cells;
                    if has_aside {
                        cells.truncate(self.table.key_columns);
                        gone.insert(cells);
                    }
                }
                Standing::Waiting => {
                    held.get_mut().standing = Standing::Different;
                    self.different_bytes += bytes_of(&held.get().cells);
                }
                Standing::Different => {}
            }
        }
        self.recent_bytes = 0;
        gone
    }

    /// Whether all rows are as stored, and no others are there; then how much they are.
    pub(super) async fn close(&mut self, backing: &Backing<'_>) -> Result<Option<Size>, StoreError> {
        self.compare(backing).await?;
        let aside = match &self.aside {
            Some(Aside { scratch, has_rows: true, .. }) => scratch.count(self.table).await?,
            Some(_) | None => 0,
        };
        let is_stored = self.held.is_empty() && aside == 0 && backing.stored.count(self.table).await? == self.size.rows;
        Ok(is_stored.then_some(self.size))
    }

    /// Rows in the order of their key, those after a key, at most `limit`.
    pub(super) async fn scan(
        &self,
        after: Option<&[Cell]>,
        limit: usize,
        backing: &Backing<'_>,
    ) -> Result<Vec<Vec<Cell>>, StoreError> {
        let mut after = after.map(<[Cell]>::to_vec);
        loop {
            let stored = backing.stored.scan(self.table, &[], after.as_deref(), limit).await?;
            let aside = match &self.aside {
                Some(Aside { scratch, has_rows: true, .. }) => {
                    scratch.scan(self.table, after.as_deref(), limit).await?
                }
                Some(_) | None => Vec::new(),
            };
            // Beyond the end of a full page there may be more of it.
            let ends = [&stored, &aside].into_iter().filter(|page| page.len() == limit).filter_map(|page| page.last());
            let end = ends.map(|row| self.key(row).to_vec()).min();
            let keys = stored.iter().map(|row| (self.fingerprint(row, backing), self.key(row)));
            let keys = keys.filter(|(fingerprint, _)| !self.held.contains_key(fingerprint)).collect();
            let let_go = self.find(keys, backing).await?.let_go;
            let stored = stored.into_iter().filter(|row| let_go.contains_key(&self.fingerprint(row, backing)));
            let mut rows: BTreeMap<_, _> = stored.chain(aside).map(|row| (self.key(&row).to_vec(), row)).collect();
            let held = self.held_after(after.as_deref(), limit).into_iter();
            rows.extend(held.map(|cells| (self.key(cells).to_vec(), cells.to_vec())));
            rows.retain(|key, _| end.as_ref().is_none_or(|end| key <= end));
            if !rows.is_empty() || end.is_none() {
                return Ok(rows.into_values().take(limit).collect());
            }
            after = end;
        }
    }

    /// The first rows held after a key, in any order.
    fn held_after(&self, after: Option<&[Cell]>, limit: usize) -> Vec<&[Cell]> {
        let held = self.held.values().map(|held| held.cells.as_slice());
        let mut held: Vec<_> = held.filter(|cells| after.is_none_or(|after| self.key(cells) > after)).collect();
        if held.len() > limit {
            held.select_nth_unstable_by(limit, |a, b| self.key(a).cmp(self.key(b)));
            held.truncate(limit);
        }
        held
    }

    fn key<'a>(&self, row: &'a [Cell]) -> &'a [Cell] {
        &row[..self.table.key_columns.min(row.len())]
    }

    /// Of a row, or of its key alone.
    fn fingerprint(&self, row: &[Cell], backing: &Backing<'_>) -> Fingerprint {
        Fingerprint::of(backing.secret, self.table, self.key(row))
    }

    fn hold(&mut self, fingerprint: Fingerprint, cells: Vec<Cell>, standing: Standing) {
        let bytes = bytes_of(&cells);
        self.recent.push(fingerprint);
        self.recent_bytes += bytes;
        self.different_bytes += if standing == Standing::Different { bytes } else { 0 };
        let Some(before) = self.held.insert(fingerprint, Held { cells, standing }) else { return };
        let bytes = bytes_of(&before.cells);
        self.different_bytes -= if before.standing == Standing::Different { bytes } else { 0 };
        // A row that is written again is another size.
        if standing == Standing::Waiting {
            self.size.bytes = self.size.bytes.saturating_sub(bytes as u64);
        }
    }

    /// Where these keys are, none of which is held.
    async fn find(
        &self,
        mut keys: Vec<(Fingerprint, &[Cell])>,
        backing: &Backing<'_>,
    ) -> Result<Elsewhere, StoreError> {
        let mut elsewhere = Elsewhere::default();
        if let Some(Aside { scratch, has_rows: true, .. }) = &self.aside {
            let wanted = keys.iter().map(|(_, key)| key.to_vec()).collect();
            let rows = scratch.load(self.table, &wanted).await?.into_iter();
            elsewhere.aside = rows.map(|row| (self.fingerprint(&row, backing), row)).collect();
            keys.retain(|(fingerprint, _)| !elsewhere.aside.contains_key(fingerprint));
        }
        let (let_go, others): (Vec<_>, Vec<_>) =
            keys.into_iter().partition(|(fingerprint, _)| self.let_go.contains(fingerprint));
        elsewhere.let_go = let_go.into_iter().map(|(fingerprint, key)| (fingerprint, key.to_vec())).collect();
        if let Some(Aside { scratch, has_fingerprints: true, .. }) = &self.aside {
            let mut unknown: BTreeMap<_, _> = others.into_iter().map(|other| (other.0.cells(), other)).collect();
            let found = scratch.load(&FINGERPRINTS, &unknown.keys().cloned().collect()).await?;
            let found = found.iter().filter_map(|cells| unknown.remove(cells));
            elsewhere.let_go.extend(found.map(|(fingerprint, key)| (fingerprint, key.to_vec())));
        }
        Ok(elsewhere)
    }

    async fn put_fingerprints_aside(&mut self) -> Result<(), StoreError> {
        let mut rows: Vec<_> = self.let_go.drain().map(Fingerprint::cells).collect();
        rows.sort_unstable();
        let aside = self.make_aside().await?;
        aside.has_fingerprints = true;
        aside.scratch.put(&FINGERPRINTS, &rows).await
    }

    async fn put_rows_aside(&mut self) -> Result<(), StoreError> {
        let mut rows: Vec<_> = std::mem::take(&mut self.held).into_values().map(|held| held.cells).collect();
        rows.sort_unstable();
        self.different_bytes = 0;
        let table = self.table;
        let aside = self.make_aside().await?;
        aside.has_rows = true;
        aside.scratch.put(table, &rows).await
    }

    async fn make_aside(&mut self) -> Result<&mut Aside, StoreError> {
        let aside = match self.aside.take() {
            Some(aside) => aside,
            None => Aside { scratch: Scratch::new().await?, has_rows: false, has_fingerprints: false },
        };
        Ok(self.aside.insert(aside))
    }
}

#[cfg(test)]
impl DerivedTable {
    /// How many rows and fingerprints are in memory.
    pub(super) fn in_memory(&self) -> (usize, usize) {
        (self.held.len(), self.let_go.len())
    }
}

impl Elsewhere {
    fn has(&self, fingerprint: &Fingerprint) -> bool {
        self.aside.contains_key(fingerprint) || self.let_go.contains_key(fingerprint)
    }
}

impl Fingerprint {
    fn cells(self) -> Vec<Cell> {
        self.0.map(|half| Cell::Integer(half.cast_signed())).to_vec()
    }
}

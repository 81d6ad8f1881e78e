//! The tables of `allocate`.

use contracts::{AllocationState, CustomerId, LadderStep, Sku};
use money::Quantity;
use rules::Stock;
use stage::{Cell, CellKind, Codec, Flag, Integer, Json, Nullable, RequestId, StageError, Text, WorkingSet};

/// A number of pieces, stored as an integer.
pub struct Pieces;

impl Codec<Quantity> for Pieces {
    const KIND: CellKind = CellKind::Integer;

    fn to_cell(quantity: &Quantity) -> Cell {
        Integer::to_cell(&u64::from(quantity.get()))
    }

    fn from_cell(cell: &Cell) -> Option<Quantity> {
        let pieces: u64 = Integer::from_cell(cell)?;
        Quantity::new(pieces).ok()
    }
}

stage::row! {
    /// The stock of a product. A product that never had a limit and was never claimed has none.
    pub struct StockRow: "stocks" {
        key {
            /// The product.
            sku: Sku => Text,
        }
        value {
            /// The newest version of the offer that is known here.
            version: u64 => Integer,
            /// The number of pieces that this version allows; none if unlimited.
            ceiling: Option<u64> => Nullable<Integer>,
            /// The number of allocated pieces.
            allocated: u64 => Integer,
            /// The number of the newest allocation.
            newest: u64 => Integer,
            /// How many lines wait.
            waiting: u64 => Integer,
            /// No line before this number waits.
            queue_from: u64 => Integer,
            /// The newest allocation that a recall has not looked at yet; none if no recall is going on.
            recall_from: Option<u64> => Nullable<Integer>,
            /// The number of pieces that the recall leaves allocated.
            recall_to: Option<u64> => Nullable<Integer>,
            /// Whether a fact is on its way that continues the work on this product.
            is_continued: bool => Flag,
        }
    }
}

stage::row! {
    /// An allocation of a line, or its place in the queue.
    pub struct AllocationRow: "allocations" {
        key {
            /// The product.
            sku: Sku => Text,
            /// 1, 2, 3 … for each product.
            number: u64 => Integer,
        }
        value {
            /// The request id of the purchase.
            purchase: RequestId => Text,
            /// The number of the line in its purchase, from 0.
            line: u32 => Integer,
            /// The customer.
            customer: CustomerId => Text,
            /// The number of pieces.
            quantity: Quantity => Pieces,
            /// The step of the line's ladder.
            step: u32 => Integer,
            /// The limit that it was held by; none if unlimited, or not held yet.
            limit_used: Option<u64> => Nullable<Integer>,
            /// What it is now.
            state: AllocationState => Text,
            /// The steps that are left if it is taken back.
            ladder: Vec<LadderStep> => Json,
        }
    }
}

impl StockRow {
    /// The row of a stock.
    pub(crate) fn new(sku: &Sku, stock: &Stock) -> Self {
        let Stock { version, ceiling, allocated, newest, waiting, queue_from, .. } = *stock;
        let Stock { recall_from, recall_to, is_continued, .. } = *stock;
        let sku = sku.clone();
        Self { sku, version, ceiling, allocated, newest, waiting, queue_from, recall_from, recall_to, is_continued }
    }

    /// The stock of this row.
    pub fn stock(self) -> Stock {
        let Self { version, ceiling, allocated, newest, waiting, queue_from, .. } = self;
        let Self { recall_from, recall_to, is_continued, .. } = self;
        Stock { version, ceiling, allocated, newest, waiting, queue_from, recall_from, recall_to, is_continued }
    }

    /// The stock of a product, new if it has none yet.
    pub(super) fn stock_of(sku: &Sku, rows: &WorkingSet) -> Result<Stock, StageError> {
        Ok(rows.get::<Self>(&(sku.clone(),))?.map(Self::stock).unwrap_or_default())
    }
}

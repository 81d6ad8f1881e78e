//! The stock of a product: what is allocated, by which limit, and who waits.

use std::collections::BTreeMap;

use contracts::{ClaimedLine, LadderStep, Sku, StockClaimed, StockLimited};
use money::Quantity;

/// The maximum number of lines that wait for a product. More would wait longer than anybody does.
pub const QUEUE_MAX: u64 = 10_000;

/// The stock of a product. Its allocations are numbered; those in the queue are served in the order of their numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stock {
    /// The newest version of the offer that is known here.
    pub version: u64,
    /// The number of pieces that this version allows; none if unlimited.
    pub ceiling: Option<u64>,
    /// The number of allocated pieces.
    pub allocated: u64,
    /// The number of the newest allocation.
    pub newest: u64,
    /// How many lines wait.
    pub waiting: u64,
    /// No line before this number waits.
    pub queue_from: u64,
    /// The newest number that a recall has not looked at yet; none if no recall is going on.
    pub recall_from: Option<u64>,
    /// The number of pieces that the recall leaves allocated.
    pub recall_to: Option<u64>,
    /// Whether a fact is on its way that continues the work on this product.
    pub is_continued: bool,
}

/// What became of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claimed {
    /// The pieces are allocated under this number, by this limit.
    Held {
        /// The product.
        sku: Sku,
        /// The number of the allocation.
        number: u64,
        /// The limit that it was judged by.
        limit: Option<u64>,
    },
    /// The line waits under this number.
    Queued {
        /// The product.
        sku: Sku,
        /// The number of the allocation.
        number: u64,
    },
    /// Another product is to be claimed, possibly in another partition.
    Forwarded,
    /// There is no room, and no further step is tried.
    Refused,
    /// There is room, but another line that belongs to it is refused, so it takes nothing.
    NotNeeded,
}

/// What became of a released allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Released {
    /// Allocated pieces are free again.
    Pieces,
    /// A place in the queue is free.
    Place,
}

/// What became of the first line in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Served {
    /// Its pieces are allocated.
    Held,
    /// It needs more than there will ever be, so it tries the next step of its ladder.
    TooLarge,
    /// It waits on.
    Waits,
}

impl Stock {
    /// Whether this many pieces more are within a limit.
    pub fn has_room(&self, quantity: Quantity, limit: Option<u64>) -> bool {
        limit.is_none_or(|limit| self.allocated + u64::from(quantity.get()) <= limit)
    }

    /// The number of pieces left; none if unlimited.
    pub fn available(&self) -> Option<u64> {
        self.ceiling.map(|ceiling| ceiling.saturating_sub(self.allocated))
    }

    /// Whether a recall has to take more back. A version that was set meanwhile can only leave more.
    pub fn is_to_recall(&self) -> bool {
        let left = self.recall_to.zip(self.ceiling).map(|(left, ceiling)| left.max(ceiling));
        left.is_some_and(|left| self.allocated > left)
    }

    /// Ends the recall.
    pub fn end_recall(&mut self) {
        (self.recall_from, self.recall_to) = (None, None);
    }

    /// The limit that a step is judged by: its own, or the ceiling if a newer version of the offer is known.
    fn limit(&self, step: &LadderStep) -> Option<u64> {
        if step.version < self.version { self.ceiling } else { step.limit }
    }

    /// Claims the first step of the line's ladder, and the following steps for the same product, if there is no room.
    ///
    /// Steps that were tried are removed.
    pub fn claim(&mut self, line: &mut ClaimedLine, descends: bool) -> Claimed {
        while let Some(step) = line.ladder.first().cloned() {
            let limit = self.limit(&step);
            // Whoever waits comes first, unless there is enough for everybody.
            if (self.waiting == 0 || limit.is_none()) && self.has_room(line.quantity, limit) {
                self.allocated += u64::from(line.quantity.get());
                return Claimed::Held { sku: step.sku, number: self.next_number(), limit };
            }
            let fits_once = limit.is_none_or(|limit| u64::from(line.quantity.get()) <= limit);
            if step.waits && fits_once && self.waiting < QUEUE_MAX {
                let number = self.next_number();
                self.enter_queue(number);
                return Claimed::Queued { sku: step.sku, number };
            }
            line.ladder.remove(0);
            if !descends {
                return Claimed::Refused;
            }
            line.step += 1;
            if line.ladder.first().is_some_and(|next| next.sku != step.sku) {
                return Claimed::Forwarded;
            }
        }
        Claimed::Refused
    }

    /// Gives back what an allocation holds: its pieces, or its place in the queue.
    pub fn release(&mut self, what: Released, quantity: Quantity) {
        match what {
            Released::Pieces => self.allocated -= u64::from(quantity.get()),
            Released::Place => self.waiting -= 1,
        }
    }

    /// Serves the line at the head of the queue, which needs this many pieces.
    pub fn serve(&mut self, quantity: Quantity) -> Served {
        if self.ceiling.is_some_and(|ceiling| u64::from(quantity.get()) > ceiling) {
            self.waiting -= 1;
            return Served::TooLarge;
        }
        if !self.has_room(quantity, self.ceiling) {
            return Served::Waits;
        }
        self.waiting -= 1;
        self.allocated += u64::from(quantity.get());
        Served::Held
    }

    /// Applies a new version of the offer. Older ones change nothing.
    pub fn set_limit(&mut self, limited: &StockLimited) {
        if limited.version <= self.version {
            return;
        }
        (self.version, self.ceiling) = (limited.version, limited.limit);
        if limited.is_recall {
            (self.recall_from, self.recall_to) = (Some(self.newest), limited.limit);
        }
    }

    fn next_number(&mut self) -> u64 {
        self.newest += 1;
        self.newest
    }

    fn enter_queue(&mut self, number: u64) {
        if self.waiting == 0 {
            self.queue_from = number;
        }
        self.waiting += 1;
    }
}

/// Claims the lines of one partition. If they are to be allocated as a whole and one of them is refused, nothing is
/// allocated.
///
/// `stocks` contains the product of each line's first step. The result has one entry for each line; `lines` keep the
/// steps that are left.
pub fn claim(stocks: &mut BTreeMap<Sku, Stock>, claimed: &StockClaimed, lines: &mut [ClaimedLine]) -> Vec<Claimed> {
    let before = stocks.clone();
    let claim = |line: &mut ClaimedLine| {
        let stock = line.ladder.first().and_then(|step| stocks.get_mut(&step.sku));
        stock.map_or(Claimed::Refused, |stock| stock.claim(line, claimed.descends))
    };
    let results: Vec<_> = lines.iter_mut().map(claim).collect();
    if claimed.whole && results.contains(&Claimed::Refused) {
        *stocks = before;
        let refused = |result| if result == Claimed::Refused { result } else { Claimed::NotNeeded };
        return results.into_iter().map(refused).collect();
    }
    results
}

#[cfg(test)]
mod tests;

//! The service put together: the way in, the copy of the rates, the outcomes, the server.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ::web::{Condition, Running, Setup, StartError};
use chrono::{DateTime, Utc};
use contracts::{RateRow, Status};
use dataflow::{Store, StoreError, Waiters};
use prometheus::{IntCounter, IntCounterVec, Opts, Registry};
use stage::{Cell, Change, Row, Stage as _, Table};

use crate::accept::{Accept, OfferRow, PurchaseRow};
use crate::copies::{self, RatesCopy};
use crate::copy_rates::CopyRates;
use crate::http::{self, Purchases};
use crate::settle::{OutcomeRow, Settle};

/// The service's name.
pub const SERVICE: &str = "purchase";
/// Versions looked through at a time.
const VERSIONS_MAX: usize = 1_000;

/// The tables of the service's store.
pub fn tables() -> Vec<&'static Table> {
    [CopyRates::TABLES, Accept::TABLES, Settle::TABLES].concat()
}

/// Starts the service. It takes nothing in until its copy of the rates is complete.
///
/// # Errors
/// [`StartError`].
pub async fn start(setup: Setup) -> Result<Running, StartError> {
    let mut starting = setup.prepare(SERVICE)?;
    let store = starting.node.store().clone();
    let figures = Figures::register(&starting.shell.registry)?;
    let copy =
        CopyState::new(starting.shell.readiness.require("rates", "the local copy of the rates is not complete yet"));
    let waiters = Waiters::default();

    copy.look(&store).await?;
    copy.rates.register(&starting.shell.registry)?;
    let copied = copy.clone();
    let on_rates = Arc::new(move |changes: &[Change]| copied.see(changes, Some(Utc::now())));
    starting.node.readers(|_| CopyRates, on_rates).await?;
    let (settled, counted) = (waiters.clone(), figures.clone());
    let on_outcomes = Arc::new(move |changes: &[Change]| {
        for outcome in rows_of::<OutcomeRow>(changes) {
            counted.outcome(text(outcome, "status"), text(outcome, "reason_code"));
            outcome.cell("purchase").iter().for_each(|purchase| settled.wake(&purchase.to_string()));
        }
    });
    starting.node.readers(|_| Settle, on_outcomes).await?;
    let on_purchases = Arc::new(move |changes: &[Change]| figures.taken(changes));
    let accept = starting.node.way_in(Accept::default, on_purchases).await?;
    let purchases = Purchases { store, accept, waiters, copy };
    Running::start(starting, http::api(), purchases)
}

/// What is counted of the business, since the process started.
#[derive(Clone)]
struct Figures {
    taken: IntCounter,
    offers: IntCounter,
    outcomes: IntCounterVec,
}

impl Figures {
    fn register(registry: &Registry) -> prometheus::Result<Self> {
        let taken = IntCounter::new("purchases_taken_total", "Purchases taken in, rejected ones too; no retries.")?;
        let offers = IntCounter::new("offers_taken_total", "Versions of offers taken in; no repeats.")?;
        let opts = Opts::new("purchases_total", "Purchases that have their outcome, by outcome and reason.");
        let outcomes = IntCounterVec::new(opts, &["status", "reason"])?;
        registry.register(Box::new(taken.clone()))?;
        registry.register(Box::new(offers.clone()))?;
        registry.register(Box::new(outcomes.clone()))?;
        Ok(Self { taken, offers, outcomes })
    }

    fn outcome(&self, status: &str, reason: &str) {
        self.outcomes.with_label_values(&[status, reason]).inc();
    }

    fn taken(&self, changes: &[Change]) {
        for purchase in rows_of::<PurchaseRow>(changes) {
            self.taken.inc();
            let reason = text(purchase, "reason_code");
            if !reason.is_empty() {
                self.outcome(&Status::Rejected.to_string(), reason);
            }
        }
        self.offers.inc_by(rows_of::<OfferRow>(changes).count() as u64);
    }
}

/// What a row has in a column of text; nothing when that is empty.
fn text<'a>(row: &'a Change, column: &str) -> &'a str {
    match row.cell(column) {
        Some(Cell::Text(text)) => text,
        Some(Cell::Null | Cell::Integer(_)) | None => "",
    }
}

fn rows_of<R: Row>(changes: &[Change]) -> impl Iterator<Item = &Change> {
    changes.iter().filter(|change| change.table.name == R::TABLE.name)
}

/// Whether the copy of the rates is complete. Once it is, it is for ever.
#[derive(Clone)]
pub struct CopyState {
    complete: Arc<AtomicBool>,
    condition: Condition,
    /// How far it is.
    pub rates: RatesCopy,
}

impl CopyState {
    fn new(condition: Condition) -> Self {
        Self { complete: Arc::default(), condition, rates: RatesCopy::default() }
    }

    /// Whether purchases may be taken in.
    pub fn is_complete(&self) -> bool {
        self.complete.load(Ordering::Acquire)
    }

    fn see(&self, changes: &[Change], applied_at: Option<DateTime<Utc>>) {
        self.rates.see(changes, applied_at);
        if rows_of::<RateRow>(changes).any(|change| change.cell("complete") == Some(&Cell::Integer(1))) {
            self.complete.store(true, Ordering::Release);
            self.condition.met();
        }
    }

    /// Looks for the version that completed the history in what is there already.
    async fn look(&self, store: &Store) -> Result<(), StoreError> {
        let applied_at = copies::last_applied(store).await?;
        let mut after = None;
        loop {
            let rows = store.scan(RateRow::TABLE, &[], after.as_deref(), VERSIONS_MAX).await?;
            let Some(last) = rows.last() else { return Ok(()) };
            after = Some(last[..RateRow::TABLE.key_columns].to_vec());
            let as_change = |cells| Change { table: RateRow::TABLE, write: stage::Write::Insert, cells };
            self.see(&rows.into_iter().map(as_change).collect::<Vec<_>>(), applied_at);
        }
    }
}

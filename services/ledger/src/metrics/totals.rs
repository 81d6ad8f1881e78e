//! The totals of the books, updated with every commit.
//!
//! The totals of each partition balance by themselves. So it does not matter if those of one partition are newer than
//! those of another: a difference other than 0 is always an error.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use contracts::{Side, TrialLine};
use dataflow::{Store, StoreError};
use money::{Amount, Currency};
use prometheus::{GaugeVec, Opts, Registry};
use stage::Partition;

use crate::post::TotalsRow;
use crate::trial_balance::add_up;

/// The newest totals of all partitions, and the metrics that show them. Clones share them.
#[derive(Clone)]
pub(super) struct Totals {
    newest: Arc<Mutex<BTreeMap<(Currency, Partition), TotalsRow>>>,
    difference: GaugeVec,
    posted: GaugeVec,
    in_transit: GaugeVec,
}

impl Totals {
    /// # Errors
    /// When they are registered already.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let gauge = |name: &str, help: &str, labels: &[&str]| {
            let help = format!("{help} A float, for monitoring only: GET /trial-balance is exact.");
            let gauge = GaugeVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        Ok(Self {
            newest: Arc::default(),
            difference: gauge(
                "ledger_trial_balance_difference",
                "Debits minus credits, including the legs in transit; anything but 0 is an error.",
                &["currency"],
            )?,
            posted: gauge("ledger_posted_amount", "Sum of all postings ever.", &["currency", "side"])?,
            in_transit: gauge(
                "ledger_in_transit_amount",
                "Sum of the legs that were requested from other partitions and are not posted yet.",
                &["currency", "side"],
            )?,
        })
    }

    fn newest(&self) -> MutexGuard<'_, BTreeMap<(Currency, Partition), TotalsRow>> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the stored totals of all partitions. Totals that were seen before are at least as new and stay.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn load(&self, store: &Store) -> Result<(), StoreError> {
        let rows = store.rows::<TotalsRow>(&[], None, usize::MAX).await?;
        let mut newest = self.newest();
        let currencies: BTreeSet<_> = rows.iter().map(|row| row.currency).collect();
        for row in rows {
            newest.entry((row.currency, row.partition)).or_insert(row);
        }
        self.show(&newest, currencies);
        Ok(())
    }

    /// Replaces the totals by those of a commit.
    pub fn see(&self, rows: impl Iterator<Item = TotalsRow>) {
        let (mut newest, mut currencies) = (self.newest(), BTreeSet::new());
        for row in rows {
            currencies.insert(row.currency);
            newest.insert((row.currency, row.partition), row);
        }
        self.show(&newest, currencies);
    }

    fn show(&self, newest: &BTreeMap<(Currency, Partition), TotalsRow>, currencies: BTreeSet<Currency>) {
        for currency in currencies {
            let rows = newest.range((currency, Partition(0))..=(currency, Partition(u16::MAX))).map(|(_, row)| row);
            for (currency, line) in add_up(rows).0 {
                let TrialLine { debits, credits, in_transit_debits, in_transit_credits, difference } = line;
                let code = currency.to_string();
                self.difference.with_label_values(&[&code]).set(float(difference));
                for (gauge, side, amount) in [
                    (&self.posted, Side::Debit, debits),
                    (&self.posted, Side::Credit, credits),
                    (&self.in_transit, Side::Debit, in_transit_debits),
                    (&self.in_transit, Side::Credit, in_transit_credits),
                ] {
                    gauge.with_label_values(&[&code, &side.to_string()]).set(float(amount));
                }
            }
        }
    }
}

/// The nearest float, which is what Prometheus stores.
fn float(amount: Amount) -> f64 {
    amount.to_string().parse().unwrap_or(f64::NAN)
}

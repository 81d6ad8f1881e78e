//! Checks the invariants of a running system against the stores and the streams: after each step what is new, and from
//! time to time everything.

mod allocations;
mod books;
mod commands;
mod journals;
mod purchases;
mod records;
mod requests;
mod settlements;
mod streams;

use std::collections::BTreeMap;

use contracts::{LedgerCommand, RateRow};
use dataflow::Store;
use ledger::post::DecisionRow;
use purchase::accept::PurchaseRow;
use purchase::settle::{OutcomeRow, SettlementRow};
use serde_json::Value;
use stage::{BatchNumber, Checkpoint, Event, Hash, Producer, Record, StreamPartition};

use self::allocations::Products;
use self::books::Books;
use self::commands::Recorded;
use self::requests::Requests;
use self::streams::Streams;
use super::coverage::Hit;
use super::model::{self, Model};
use super::scene::{Mutant, Scene, now};
use super::violation::{Checked, ensure, stopped};

/// A frame of a journal, as it was when it was first seen.
#[derive(Clone, Debug)]
struct JournalFrame {
    hash: Hash,
    facts: Vec<Value>,
}

/// The state of an owner when it was last seen.
#[derive(Debug)]
struct Seen {
    last: Record,
    checkpoint: Checkpoint,
}

/// The stores of the three services.
#[derive(Clone, Debug)]
pub struct Stores {
    /// Store of exchange-rate.
    pub exchange_rate: Store,
    /// Store of purchase.
    pub purchase: Store,
    /// Store of the ledger.
    pub ledger: Store,
}

/// Everything that was seen so far, and the expected results.
pub struct Checks {
    stores: Stores,
    owners: Vec<(Producer, Store)>,
    model: Model,
    seen: BTreeMap<Producer, Seen>,
    journals: BTreeMap<(Producer, StreamPartition), Vec<JournalFrame>>,
    /// Facts of the stream `purchases`, by purchase.
    facts: BTreeMap<String, Vec<Value>>,
    /// Facts that `accept` emitted about stock and cancellations, by purchase.
    stock_facts: BTreeMap<String, Vec<Value>>,
    requests: Requests,
    products: Products,
    settlements: BTreeMap<String, SettlementRow>,
    purchases: BTreeMap<String, PurchaseRow>,
    outcomes: BTreeMap<String, OutcomeRow>,
    copied: usize,
    books: Books,
    instructions: BTreeMap<(&'static str, String), Recorded>,
    /// Types of the facts of the ledger's ingress stage, by kind and request.
    instruction_facts: BTreeMap<(&'static str, String), Vec<String>>,
    decisions: BTreeMap<(LedgerCommand, String), DecisionRow>,
    streams: Streams,
}

impl Checks {
    /// Checks that have seen nothing yet.
    pub fn new(stores: &Stores, owners: Vec<(Producer, Store)>) -> Self {
        Self {
            stores: stores.clone(),
            owners,
            model: Model::default(),
            seen: BTreeMap::new(),
            journals: BTreeMap::new(),
            facts: BTreeMap::new(),
            stock_facts: BTreeMap::new(),
            requests: Requests::default(),
            products: Products::default(),
            settlements: BTreeMap::new(),
            purchases: BTreeMap::new(),
            outcomes: BTreeMap::new(),
            copied: 0,
            books: Books::default(),
            instructions: BTreeMap::new(),
            instruction_facts: BTreeMap::new(),
            decisions: BTreeMap::new(),
            streams: Streams::default(),
        }
    }

    /// Checks what the last step wrote.
    pub fn after_step(&mut self, scene: &mut Scene<'_>) -> Checked {
        for (owner, store) in self.owners.clone() {
            let newest = now(store.newest(&owner)).map_err(|error| stopped(&error))?;
            let seen = self.seen.get(&owner).map(|seen| &seen.last);
            if newest.as_ref() == seen {
                continue;
            }
            let from = seen.map_or(BatchNumber(1), |seen| seen.number.next());
            let records = now(store.records(&owner, from, usize::MAX)).map_err(|error| stopped(&error))?;
            ensure!(!records.is_empty(), Fence, "the newest batch of {owner} was replaced");
            for record in records {
                self.record(&record, &store, scene)?;
            }
        }
        scene.copied = self.copied;
        let published = std::mem::take(&mut scene.published);
        for target in published {
            self.streams.look(&target, scene, &self.journals)?;
        }
        Ok(())
    }

    /// Checks everything again: nothing that was seen before has changed.
    pub fn everything(&mut self, scene: &mut Scene<'_>) -> Checked {
        for (owner, store) in &self.owners {
            records::whole_chain(owner, store)?;
        }
        self.journals_unchanged()?;
        self.rows_unchanged()?;
        self.requests_unchanged()?;
        self.allocations_unchanged()?;
        self.instructions_unchanged()?;
        self.streams.look_again(scene, &self.journals)
    }

    /// Checks everything again, and that nothing is left over.
    pub fn at_the_end(&mut self, scene: &mut Scene<'_>) -> Checked {
        self.everything(scene)?;
        self.all_have_outcomes()?;
        self.all_are_decided()?;
        self.streams.hold_all(&self.journals)?;
        self.books.at_the_end(&self.stores.ledger, &self.model)?;
        self.all_is_settled()?;
        super::derivation::rows_hold(&self.stores)?;
        if scene.mutant.is_some_and(Mutant::is_of_stock) {
            Ok(())
        } else {
            super::derivation::derive_again(&self.stores)
        }
    }

    /// Checks a reply to a request that sets rates.
    pub fn answered_rates(
        &self,
        request: &Event<exchange_rate::record_rates::RecordRatesInput>,
        reply: contracts::Imported,
    ) -> Checked {
        let exchange_rate::record_rates::RecordRatesInput::SetRates(asked) = &request.fact;
        let rates = asked.moments.iter().flat_map(|moment| moment.rates.values());
        let sent: usize = rates.map(BTreeMap::len).sum();
        let counted = reply.read == sent as u64 && reply.new + reply.changed + reply.unchanged == reply.read;
        ensure!(counted, Counted, "{} rates were sent, but the reply is {reply:?}", sent);
        let source = &asked.source.to_string();
        for moment in &asked.moments {
            let mut versions = self.model.rates.versions.iter();
            let known = versions.any(|version| version.valid_from == moment.valid_from);
            ensure!(known, Recorded, "rates of {source} for {} were not recorded", moment.valid_from);
        }
        Ok(())
    }

    /// Whether the purchase service's copy of the rates is complete.
    pub fn copy_is_complete(&self) -> bool {
        self.model.rates.versions.iter().take(self.copied).any(|version| version.complete)
    }

    /// The number of frames of the longest journal, that is of one producer for one stream partition.
    pub fn longest(&self) -> u64 {
        self.journals.values().map(Vec::len).max().unwrap_or_default() as u64
    }

    /// A stream was recreated or has lost its end: it has to be read from its first message.
    pub fn lost(&mut self, target: &StreamPartition) {
        self.streams.detach(target);
    }

    /// What the readers have not read yet, one line for each reader and producer.
    pub fn diagnosis(&self, reads: &[(Producer, Vec<StreamPartition>)]) -> Vec<String> {
        let mut lines = Vec::new();
        for (reader, targets) in reads {
            let Some(seen) = self.seen.get(reader) else { continue };
            for ((producer, target), emitted) in self.journals.iter().filter(|((_, to), _)| targets.contains(to)) {
                let next = seen.checkpoint.positions.of(target, producer).next;
                if next.0 != emitted.len() as u64 + 1 {
                    lines.push(format!("{reader} waits for {producer}>{target}#{next} of {}", emitted.len()));
                }
            }
        }
        lines
    }

    /// Whether all readers have applied everything that was emitted.
    pub fn all_is_read(&self, reads: &[(Producer, Vec<StreamPartition>)]) -> bool {
        self.diagnosis(reads).is_empty()
    }

    fn rates_recorded(&mut self, record: &Record, scene: &mut Scene<'_>) -> Checked {
        for event in records::requests(record)? {
            let arrived = model::text(&event["time"])?.parse().map_err(|_| model::unreadable(&event))?;
            let recorded = self.model.rates.record(&event["data"], arrived);
            let (late, corrected) = recorded.ok_or_else(|| model::unreadable(&event))?;
            (0..late).for_each(|_| scene.hit(Hit::LateRate));
            (0..corrected).for_each(|_| scene.hit(Hit::CorrectedRate));
        }
        let rows = now(self.stores.exchange_rate.rows::<RateRow>(&[], None, usize::MAX));
        let rows = rows.map_err(|error| stopped(&error))?;
        ensure!(rows.len() == self.model.rates.versions.len(), Price, "{} versions of the rates exist", rows.len());
        self.rates_are(&rows)
    }

    fn rates_copied(&mut self) -> Checked {
        let rows = now(self.stores.purchase.rows::<RateRow>(&[], None, usize::MAX)).map_err(|error| stopped(&error))?;
        ensure!(rows.len() >= self.copied, Positions, "the copy of the rates shrank to {}", rows.len());
        self.copied = rows.len();
        self.rates_are(&rows)
    }

    /// Checks that the rows are the first versions of the rates.
    fn rates_are(&self, rows: &[RateRow]) -> Checked {
        ensure!(rows.len() <= self.model.rates.versions.len(), Recorded, "there are rates that were never published");
        for (number, (row, version)) in (1..).zip(rows.iter().zip(&self.model.rates.versions)) {
            let mut same = row.version == number && row.valid_from == version.valid_from;
            same &= row.source.to_string() == version.source && row.complete == version.complete;
            let pairs = row.rates.iter().flat_map(|(base, quotes)| quotes.iter().map(move |quote| (base, quote)));
            let pairs = pairs.map(|(base, (quote, rate))| ((base.to_string(), quote.to_string()), rate.to_string()));
            same &= pairs.collect::<BTreeMap<_, _>>() == version.rates;
            ensure!(same, Price, "version {number} of the rates is {row:?}, not {version:?}");
        }
        Ok(())
    }
}

/// The name of an owner's stage.
fn stage_of(owner: &Producer) -> &str {
    owner.stage.as_ref()
}

/// The stages, recognized by their names.
mod names {
    use super::{Checked, stage_of};
    use stage::{Producer, Stage as _};

    /// A stage with checks of its own.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Name {
        RecordRates,
        CopyRates,
        Accept,
        RecordCommands,
        Post,
        Settle,
        Allocate,
    }

    /// The stage of an owner.
    pub fn of(owner: &Producer) -> Checked<Name> {
        Ok(match stage_of(owner) {
            exchange_rate::record_rates::RecordRates::NAME => Name::RecordRates,
            purchase::copy_rates::CopyRates::NAME => Name::CopyRates,
            purchase::accept::Accept::NAME => Name::Accept,
            ledger::record_commands::RecordCommands::NAME => Name::RecordCommands,
            ledger::post::Post::NAME => Name::Post,
            purchase::settle::Settle::NAME => Name::Settle,
            purchase::allocate::Allocate::NAME => Name::Allocate,
            other => unreachable!("no stage is called {other}"),
        })
    }
}

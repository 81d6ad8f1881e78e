//! The invariants of a running system, checked after each step against the stores and the streams
//! themselves: what is new since the last step is looked at, and now and then everything.

mod books;
mod commands;
mod journals;
mod purchases;
mod records;
mod streams;

use std::collections::BTreeMap;

use contracts::{LedgerCommand, RateRow};
use dataflow::Store;
use ledger::post::DecisionRow;
use purchase::accept::PurchaseRow;
use purchase::settle::OutcomeRow;
use serde_json::Value;
use stage::{BatchNumber, Checkpoint, Event, Hash, Producer, Record, StreamPartition};

use self::books::Books;
use self::commands::Recorded;
use self::streams::Streams;
use super::coverage::Hit;
use super::model::{self, Model};
use super::scene::{Scene, now};
use super::violation::{Checked, ensure, stopped};

/// A frame of a journal, as it was when it was first seen.
#[derive(Clone, Debug)]
struct TracedOutput {
    hash: Hash,
    facts: Vec<Value>,
}

/// What was seen of an owner.
#[derive(Debug)]
struct Seen {
    last: Record,
    checkpoint: Checkpoint,
}

/// The stores of the three services.
#[derive(Clone, Debug)]
pub struct Stores {
    /// Of exchange-rate.
    pub exchange_rate: Store,
    /// Of purchase.
    pub purchase: Store,
    /// Of the ledger.
    pub ledger: Store,
}

/// All that was seen so far, and what should come of it.
pub struct Checks {
    stores: Stores,
    owners: Vec<(Producer, Store)>,
    model: Model,
    seen: BTreeMap<Producer, Seen>,
    journals: BTreeMap<(Producer, StreamPartition), Vec<TracedOutput>>,
    /// The facts of the purchase service, by purchase.
    facts: BTreeMap<String, Vec<Value>>,
    purchases: BTreeMap<String, PurchaseRow>,
    outcomes: BTreeMap<String, OutcomeRow>,
    copied: usize,
    books: Books,
    instructions: BTreeMap<(&'static str, String), Recorded>,
    /// The types of the facts of the ledger's ingress stage, by kind and request.
    instruction_facts: BTreeMap<(&'static str, String), Vec<String>>,
    decisions: BTreeMap<(LedgerCommand, String), DecisionRow>,
    streams: Streams,
}

impl Checks {
    /// Nothing seen yet.
    pub fn new(stores: &Stores, owners: Vec<(Producer, Store)>) -> Self {
        Self {
            stores: stores.clone(),
            owners,
            model: Model::default(),
            seen: BTreeMap::new(),
            journals: BTreeMap::new(),
            facts: BTreeMap::new(),
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

    /// Looks at what the last step wrote.
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

    /// Looks at everything once more: what was seen has not changed.
    pub fn everything(&mut self, scene: &mut Scene<'_>) -> Checked {
        for (owner, store) in &self.owners {
            records::whole_chain(owner, store)?;
        }
        self.journals_unchanged()?;
        self.rows_unchanged()?;
        self.instructions_unchanged()?;
        self.streams.look_again(scene, &self.journals)
    }

    /// The same, and nothing is left over.
    pub fn at_the_end(&mut self, scene: &mut Scene<'_>) -> Checked {
        self.everything(scene)?;
        self.all_have_outcomes()?;
        self.all_are_decided()?;
        self.streams.hold_all(&self.journals)?;
        self.books.at_the_end(&self.stores.ledger, &self.model)?;
        super::derivation::derive_again(&self.stores)
    }

    /// An answer was given to a request for rates.
    pub fn answered_rates(
        &self,
        request: &Event<exchange_rate::record_rates::RecordRatesInput>,
        reply: contracts::Imported,
    ) -> Checked {
        let exchange_rate::record_rates::RecordRatesInput::SetRates(asked) = &request.fact;
        let rates = asked.moments.iter().flat_map(|moment| moment.rates.values());
        let sent: usize = rates.map(BTreeMap::len).sum();
        let counted = reply.read == sent as u64 && reply.new + reply.changed + reply.unchanged == reply.read;
        ensure!(counted, Counted, "{} rates were sent, and {reply:?} answered", sent);
        let source = &asked.source.to_string();
        for moment in &asked.moments {
            let mut versions = self.model.rates.versions.iter();
            let known = versions.any(|version| version.valid_from == moment.valid_from);
            ensure!(known, Recorded, "rates of {source} for {} were answered and not recorded", moment.valid_from);
        }
        Ok(())
    }

    /// Whether the purchase service's copy of the rates is complete.
    pub fn copy_is_complete(&self) -> bool {
        self.model.rates.versions.iter().take(self.copied).any(|version| version.complete)
    }

    /// The most frames that one producer has said to one target.
    pub fn longest(&self) -> u64 {
        self.journals.values().map(Vec::len).max().unwrap_or_default() as u64
    }

    /// A stream is not what it was: it is to be read from its beginning.
    pub fn lost(&mut self, target: &StreamPartition) {
        self.streams.discard_uncommitted(target);
    }

    /// How far the readers are, for a diagnosis.
    pub fn diagnosis(&self, reads: &[(Producer, Vec<StreamPartition>)]) -> Vec<String> {
        let mut lines = Vec::new();
        for (reader, targets) in reads {
            let Some(seen) = self.seen.get(reader) else { continue };
            for ((producer, target), emitted) in self.journals.iter().filter(|((_, to), _)| targets.contains(to)) {
                let next = seen.checkpoint.positions.of(target, producer).next;
                if next.0 != emitted.len() as u64 + 1 {
                    lines.push(format!("{reader} wants {producer}>{target}#{next} of {}", emitted.len()));
                }
            }
        }
        lines
    }

    /// Whether all readers have applied all that was said.
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
        ensure!(rows.len() == self.model.rates.versions.len(), Price, "{} versions of the rates", rows.len());
        self.rates_are(&rows)
    }

    fn rates_copied(&mut self) -> Checked {
        let rows = now(self.stores.purchase.rows::<RateRow>(&[], None, usize::MAX)).map_err(|error| stopped(&error))?;
        ensure!(rows.len() >= self.copied, Positions, "the copy of the rates shrank to {}", rows.len());
        self.copied = rows.len();
        self.rates_are(&rows)
    }

    /// These are the first versions of the rates, and nothing else.
    fn rates_are(&self, rows: &[RateRow]) -> Checked {
        ensure!(rows.len() <= self.model.rates.versions.len(), Recorded, "rates that nobody published");
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

/// The name of the stage whose owner this is.
fn stage_of(owner: &Producer) -> &str {
    owner.stage.as_ref()
}

/// The names of the stages.
mod names {
    use super::{Checked, stage_of};
    use stage::{Producer, Stage as _};

    /// A stage that is checked in its own way.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Name {
        RecordRates,
        CopyRates,
        Accept,
        RecordCommands,
        Post,
        Settle,
    }

    /// Which stage it is.
    pub fn of(owner: &Producer) -> Checked<Name> {
        Ok(match stage_of(owner) {
            exchange_rate::record_rates::RecordRates::NAME => Name::RecordRates,
            purchase::copy_rates::CopyRates::NAME => Name::CopyRates,
            purchase::accept::Accept::NAME => Name::Accept,
            ledger::record_commands::RecordCommands::NAME => Name::RecordCommands,
            ledger::post::Post::NAME => Name::Post,
            purchase::settle::Settle::NAME => Name::Settle,
            other => unreachable!("no stage is called {other}"),
        })
    }
}

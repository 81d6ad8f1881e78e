//! Checks of journals: they are dense, chained, and agree with the batch records.

use std::collections::BTreeMap;

use dataflow::Store;
use serde_json::Value;
use stage::{EventId, Frame, Hash, LastFrame, Producer, Seq, StreamPartition};

use super::{Checks, JournalFrame};
use crate::simulation::clients::trace_of;
use crate::simulation::model::{Purchase, text};
use crate::simulation::scene::now;
use crate::simulation::violation::{Checked, ensure, stopped};

impl Checks {
    /// Checks the frames that a batch wrote.
    pub(super) fn emitted(
        &mut self,
        owner: &Producer,
        store: &Store,
        before: &BTreeMap<StreamPartition, LastFrame>,
        after: &BTreeMap<StreamPartition, LastFrame>,
    ) -> Checked {
        let lost = before.keys().find(|target| !after.contains_key(*target));
        ensure!(lost.is_none(), Dense, "{owner} has lost its last frame for {lost:?}");
        for (target, head) in after {
            let known = self.journals.entry((owner.clone(), target.clone())).or_default();
            let from = Seq(known.len() as u64 + 1);
            let frames = now(store.journal(owner, target, from, usize::MAX, usize::MAX));
            for frame in frames.map_err(|error| stopped(&error))? {
                let last = known.last().map_or(Hash::ZERO, |last| last.hash);
                let expected = Seq(known.len() as u64 + 1);
                ensure!(frame.seq == expected, Dense, "{owner}>{target} has #{} where #{expected} is next", frame.seq);
                ensure!(
                    frame.previous == last && frame.is_intact(),
                    Chain,
                    "{owner}>{target}#{expected} breaks its chain"
                );
                let facts = facts(&frame)?;
                for fact in &facts {
                    of_one_request(fact, |purchase| self.model.purchases.get(purchase))?;
                }
                if target.stream == contracts::PURCHASES.name {
                    for fact in &facts {
                        let purchase = text(&fact["data"]["purchase"])?;
                        self.facts.entry(purchase).or_default().push(fact.clone());
                    }
                }
                let is_of_stock = [contracts::LINES.name, contracts::ALLOCATIONS.name].contains(&&*target.stream);
                if is_of_stock && owner.stage == "accept" {
                    for fact in facts.iter().filter(|fact| !fact["data"]["purchase"].is_null()) {
                        let purchase = text(&fact["data"]["purchase"])?;
                        self.stock_facts.entry(purchase).or_default().push(fact.clone());
                    }
                }
                if target.stream == contracts::LEDGER_COMMANDS.name {
                    for fact in &facts {
                        let (kind, id) = if fact["data"]["claim"].is_null() {
                            ("transfer", text(&fact["data"]["transfer"])?)
                        } else {
                            ("claim", text(&fact["data"]["claim"])?)
                        };
                        self.instruction_facts.entry((kind, id)).or_default().push(text(&fact["type"])?);
                    }
                }
                known.push(JournalFrame { hash: frame.hash, facts });
            }
            let last =
                LastFrame { seq: Seq(known.len() as u64), hash: known.last().map_or(Hash::ZERO, |last| last.hash) };
            ensure!(last == *head, Chain, "{owner}>{target} ends with {last:?}, but its record with {head:?}");
        }
        Ok(())
    }

    /// Checks that the journals still contain exactly the frames that were seen.
    pub(super) fn journals_unchanged(&self) -> Checked {
        for (owner, store) in &self.owners {
            for ((_, target), emitted) in self.journals.iter().filter(|((producer, _), _)| producer == owner) {
                let frames = now(store.journal(owner, target, Seq::FIRST, usize::MAX, usize::MAX));
                let frames = frames.map_err(|error| stopped(&error))?;
                let mut same = frames.len() == emitted.len();
                same &=
                    frames.iter().zip(emitted).all(|(frame, emitted)| frame.hash == emitted.hash && frame.is_intact());
                ensure!(same, Chain, "the journal {owner}>{target} was changed");
            }
        }
        Ok(())
    }
}

/// Checks that a fact names the request to which it belongs, and is in its trace. What happens to a purchase with limited
/// stock may belong to the request that freed or took its stock.
fn of_one_request<'a>(fact: &Value, purchase: impl Fn(&str) -> Option<&'a Purchase>) -> Checked {
    let (request, data) = (text(&fact["requestid"])?, &fact["data"]);
    for named in ["purchase", "transfer", "claim", "request_id"].map(|name| &data[name]) {
        let shares = || named.as_str().and_then(&purchase).is_some_and(Purchase::is_limited);
        ensure!(named.is_null() || *named == request || shares(), Traced, "{fact} names another request than its own");
    }
    let trace = text(&fact["traceparent"])?;
    ensure!(trace.split('-').nth(1) == Some(&trace_of(&request)), Traced, "{request} is in another trace: {trace}");
    Ok(())
}

/// The facts of a frame, each with the id it should have.
fn facts(frame: &Frame) -> Checked<Vec<Value>> {
    let facts: Vec<Value> = serde_json::from_str(&frame.body).map_err(|error| stopped(&error))?;
    ensure!(
        facts.len() == frame.facts && !facts.is_empty(),
        Dense,
        "a frame of {} facts has a count of {}",
        facts.len(),
        frame.facts
    );
    for (index, fact) in facts.iter().enumerate() {
        let id = EventId::of(&frame.producer, &frame.target, frame.seq, index);
        ensure!(fact["id"].as_str() == Some(&id.0), Dense, "the id {} should be {id}", fact["id"]);
    }
    Ok(facts)
}

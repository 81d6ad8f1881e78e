//! Checks of claims and transfers: each is recorded and emitted once, always gets the same reply, and is decided as
//! in the model, in the order in which `post` read it.

use std::collections::BTreeMap;

use contracts::LedgerCommand;
use ledger::post::DecisionRow;
use ledger::record_commands::{ClaimRow, RecordCommandsInput, Reply, TransferRow};
use serde_json::Value;
use stage::{BatchNumber, Event, FrameRange, Record, RequestId};

use super::{Checks, records};
use crate::simulation::clients::content;
use crate::simulation::coverage::Hit;
use crate::simulation::model::{self, Decided};
use crate::simulation::scene::{Scene, now};
use crate::simulation::violation::{Checked, ensure, stopped};

/// A claim or a transfer that was recorded.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Recorded {
    content: Value,
    /// The reply with the stored row.
    reply: Reply,
    is_rejected: bool,
}

impl Checks {
    /// Checks what a batch of `record_commands` recorded.
    pub(super) fn instructed(&mut self, record: &Record, scene: &mut Scene<'_>) -> Checked {
        for event in records::requests(record)? {
            let (id, data) = (model::text(&event["requestid"])?, &event["data"]);
            let key = (RequestId(id.clone()),);
            let (kind, stored) = if event["type"] == "ClaimAccount" {
                let row = now(self.stores.ledger.get::<ClaimRow>(&key)).map_err(|error| stopped(&error))?;
                ("claim", row.map(Reply::Claim))
            } else {
                let row = now(self.stores.ledger.get::<TransferRow>(&key)).map_err(|error| stopped(&error))?;
                ("transfer", row.map(Reply::Transfer))
            };
            let Some(reply) = stored else {
                ensure!(false, Recorded, "{kind} {id} was recorded and not stored");
                continue;
            };
            let is_rejected = self.rejected_on_the_way_in(&id, data)?;
            let (batch, reason) = match &reply {
                Reply::Claim(row) => (row.batch, None),
                Reply::Transfer(row) => (row.batch, row.reason_code.map(|code| code.to_string())),
                Reply::Conflict => (BatchNumber(0), None),
            };
            ensure!(batch == record.number, Recorded, "{id} names batch {batch}, not {}", record.number);
            let expected = is_rejected.then_some("unknown_account");
            ensure!(reason.as_deref() == expected, Outcomes, "{id} should be {expected:?}, and is {reason:?}");
            if is_rejected {
                scene.hit(Hit::UnknownAccount);
            }
            let recorded = Recorded { content: data["request"].clone(), reply, is_rejected };
            let known = self.instructions.insert((kind, id.clone()), recorded);
            ensure!(known.is_none(), Repeats, "{kind} {id} was recorded twice");
            self.command_is_emitted(kind, &id, is_rejected)?;
        }
        Ok(())
    }

    /// Whether a transfer names unknown accounts. Checks that this can be true: accounts never close.
    fn rejected_on_the_way_in(&self, id: &str, data: &Value) -> Checked<bool> {
        let Some(unknown) = data.get("unknown").and_then(Value::as_array) else { return Ok(false) };
        for account in [&data["request"]["from"], &data["request"]["to"]] {
            let name = model::text(account)?;
            let opens_by_itself = name.starts_with("customer:") || name == "merchant";
            ensure!(!opens_by_itself || !unknown.contains(account), Outcomes, "{id} names {name} as unknown");
            let seen = unknown.contains(account) || self.model.ledger.knows(&name);
            ensure!(seen, Outcomes, "{id} does not name {name} as unknown");
        }
        Ok(!unknown.is_empty())
    }

    fn command_is_emitted(&self, kind: &'static str, id: &str, is_rejected: bool) -> Checked {
        let fact = match (kind, is_rejected) {
            ("claim", _) => "AccountClaimed",
            (_, true) => "TransferRejected",
            (_, false) => "TransferAccepted",
        };
        let facts = self.instruction_facts.get(&(kind, id.to_owned())).map(Vec::as_slice).unwrap_or_default();
        ensure!(facts.len() == 1 && facts[0] == fact, Recorded, "{kind} {id} was emitted as {facts:?}");
        Ok(())
    }

    /// Decides in the model what a batch of `post` has read, and compares the decisions.
    pub(super) fn posted(&mut self, record: &Record, ranges: &[FrameRange], scene: &mut Scene<'_>) -> Checked {
        let mut decided = Vec::new();
        for fact in self.facts_of(ranges) {
            decided.extend(self.model.ledger.apply(&fact)?);
        }
        self.books.posted(&self.stores.ledger, &mut self.model)?;
        for one in decided {
            cover(&one, scene);
            let kind = match one.kind {
                "claim" => LedgerCommand::Claim,
                "transfer" => LedgerCommand::Transfer,
                _ => continue,
            };
            let Decided { request, refused, .. } = one;
            let row = now(self.stores.ledger.get::<DecisionRow>(&(kind, RequestId(request.clone()))));
            let Some(row) = row.map_err(|error| stopped(&error))? else {
                ensure!(false, Outcomes, "{kind} {request} was read and not decided");
                continue;
            };
            let code = row.reason_code.map(|code| code.to_string());
            ensure!(code.as_deref() == refused, Outcomes, "{kind} {request} should be {refused:?}, and is {code:?}");
            let named = (row.partition, row.batch) == (record.owner.partition, record.number);
            ensure!(named, Outcomes, "{kind} {request} names another batch than {} of {}", record.number, record.owner);
            self.decisions.insert((kind, request), row);
        }
        Ok(())
    }

    /// Checks that the rows have not changed.
    pub(super) fn instructions_unchanged(&self) -> Checked {
        let store = &self.stores.ledger;
        let claims = now(store.rows::<ClaimRow>(&[], None, usize::MAX)).map_err(|error| stopped(&error))?;
        let transfers = now(store.rows::<TransferRow>(&[], None, usize::MAX)).map_err(|error| stopped(&error))?;
        let claims = claims.into_iter().map(|row| (("claim", row.request_id.0.clone()), Reply::Claim(row)));
        let transfers = transfers.into_iter().map(|row| (("transfer", row.request_id.0.clone()), Reply::Transfer(row)));
        let stored: BTreeMap<_, _> = claims.chain(transfers).collect();
        let replies = self.instructions.iter().map(|(key, recorded)| (key.clone(), recorded.reply.clone()));
        ensure!(stored == replies.collect(), Outcomes, "claims or transfers were changed: {stored:?}");
        let rows = now(store.rows::<DecisionRow>(&[], None, usize::MAX)).map_err(|error| stopped(&error))?;
        let rows: BTreeMap<_, _> = rows.into_iter().map(|row| ((row.kind, row.request_id.0.clone()), row)).collect();
        ensure!(rows == self.decisions, Outcomes, "decisions were changed: {rows:?}");
        Ok(())
    }

    /// Checks that every claim and every accepted transfer is decided.
    pub(super) fn all_are_decided(&self) -> Checked {
        for ((kind, id), recorded) in &self.instructions {
            let decided = self.model.ledger.decided.contains_key(&(kind, id.clone()));
            ensure!(decided != recorded.is_rejected, Outcomes, "{kind} {id}: decided is {decided}");
        }
        Ok(())
    }

    /// Checks that every recorded claim or transfer was sent by a client.
    pub fn only_what_was_instructed(&self, sent: &BTreeMap<(&'static str, &str), Vec<Value>>) -> Checked {
        for ((kind, id), recorded) in &self.instructions {
            let sent = sent.get(&(*kind, id.as_str())).map(Vec::as_slice).unwrap_or_default();
            ensure!(sent.contains(&recorded.content), Outcomes, "{kind} {id} was recorded, but never sent");
        }
        Ok(())
    }

    /// Checks a reply: its content is recorded, and always the same.
    pub fn answered_instruction(
        &self,
        request: &Event<RecordCommandsInput>,
        reply: &Reply,
        scene: &mut Scene<'_>,
    ) -> Checked {
        let (id, (kind, content)) = (&request.cause.request_id.0, content(&request.fact));
        let Some(known) = self.instructions.get(&(kind, id.clone())) else {
            ensure!(false, Recorded, "{kind} {id} got a reply and was not recorded");
            return Ok(());
        };
        let same = known.content == content;
        let expected = if same { &known.reply } else { &Reply::Conflict };
        ensure!(reply == expected, Repeats, "the reply to {kind} {id} is {reply:?}, not {expected:?}");
        if !same {
            scene.hit(Hit::CommandConflict);
        }
        Ok(())
    }

    /// The facts of the frames that an owner has read, in order.
    pub(super) fn facts_of(&self, ranges: &[FrameRange]) -> Vec<Value> {
        let mut facts = Vec::new();
        for run in ranges {
            let emitted = self.journals.get(&(run.producer.clone(), run.target.clone()));
            let first = usize::try_from(run.from.0).unwrap_or(1) - 1;
            let frames = emitted.into_iter().flatten().skip(first).take(usize::try_from(run.frames).unwrap_or(0));
            facts.extend(frames.flat_map(|frame| frame.facts.iter().cloned()));
        }
        facts
    }
}

fn cover(decided: &Decided, scene: &mut Scene<'_>) {
    scene.hit(match (decided.kind, decided.refused) {
        ("claim", None) => Hit::AccountOpened,
        ("claim", Some(_)) => Hit::HandleTaken,
        ("transfer", None) => Hit::TransferPosted,
        ("transfer", Some("daily_limit")) => Hit::AboveDailyLimit,
        ("transfer", Some(_)) => Hit::Overdrawn,
        (_, None) => Hit::PaymentPosted,
        (_, Some(_)) => Hit::PaymentRefused,
    });
    if decided.fee {
        scene.hit(Hit::FeeCharged);
    }
}

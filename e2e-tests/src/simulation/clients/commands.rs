//! Requests of clients to the ledger itself: claims and transfers.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use contracts::{AccountRequest, Overdraft, TransferRequest};
use ledger::record_commands::{ClaimAccount, RecordCommandsInput, SubmitTransfer};
use money::{Currency, Money};
use serde_json::{Value, json};
use stage::Event;

use super::{Clients, event, parsed};
use crate::simulation::random::Random;

/// Handles that clients claim, each several times.
const HANDLES: [&str; 6] = ["alice", "bob", "carol", "customer:c0", "customer:c1", "merchant"];
/// Accounts that transfers name; the last is never opened.
const ACCOUNTS: [&str; 7] = ["alice", "bob", "carol", "customer:c0", "customer:c2", "merchant", "nobody"];
/// Currencies of transfers; no account has an overdraft in the second.
const CURRENCIES: [&str; 2] = ["EUR", "GBP"];

impl Clients {
    /// A claim or a transfer: usually new, sometimes sent before, sometimes other content under an id sent before.
    pub fn instruction(&mut self, random: &mut Random, now: DateTime<Utc>) -> Event<RecordCommandsInput> {
        if !self.instructed.is_empty() && random.chance(150) {
            let (id, request) = random.pick(&self.instructed).clone();
            return self.record_commands(id, request, now);
        }
        let request = if random.chance(250) { claim(random) } else { transfer(random) };
        let old = (!self.instructed.is_empty() && random.chance(60)).then(|| random.pick(&self.instructed).0.clone());
        let id = old.unwrap_or_else(|| self.id("command"));
        self.record_commands(id, request, now)
    }

    fn record_commands(
        &mut self,
        id: String,
        request: RecordCommandsInput,
        now: DateTime<Utc>,
    ) -> Event<RecordCommandsInput> {
        self.instructed.push((id.clone(), request.clone()));
        event(id, "record-commands", request, now)
    }

    /// The contents of all claims and transfers that were sent, by kind and request id.
    pub fn sent_instructions(&self) -> BTreeMap<(&'static str, &str), Vec<Value>> {
        let mut sent: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (id, request) in &self.instructed {
            let (kind, content) = content(request);
            sent.entry((kind, id.as_str())).or_default().push(content);
        }
        sent
    }
}

/// The kind of a request, and its content as the client sent it.
pub fn content(request: &RecordCommandsInput) -> (&'static str, Value) {
    match request {
        RecordCommandsInput::ClaimAccount(asked) => ("claim", json!(asked.request)),
        RecordCommandsInput::SubmitTransfer(asked) => ("transfer", json!(asked.request)),
    }
}

fn claim(random: &mut Random) -> RecordCommandsInput {
    let overdraft = random.chance(700).then(|| {
        let policy = if random.chance(500) { "fee" } else { "refuse" };
        let terms = json!({"limit": format!("{}", random.below(60)), "currency": "EUR", "policy": policy});
        let Ok(overdraft) = serde_json::from_value::<Overdraft>(terms) else { unreachable!("these are valid terms") };
        overdraft
    });
    let daily_limit = random.chance(400).then(|| euros(&random.between(10, 120).to_string()));
    let handle = parsed(HANDLES[random.below(HANDLES.len())]);
    RecordCommandsInput::ClaimAccount(ClaimAccount { request: AccountRequest { handle, overdraft, daily_limit } })
}

fn euros(amount: &str) -> Money {
    let Ok(amount) = Money::parse(amount, Currency::EUR) else { unreachable!("{amount} is an amount") };
    amount
}

fn transfer(random: &mut Random) -> RecordCommandsInput {
    let (known, all) = (ACCOUNTS.len() - 1, ACCOUNTS.len());
    let named = if random.chance(900) { known } else { all };
    let from = random.below(named);
    let to = (from + random.between(1, named - 1)) % named;
    let currency = CURRENCIES[usize::from(random.chance(150))];
    let amount = format!("{}.{:02}", random.below(40), random.between(1, 99));
    let Ok(amount) = Money::parse(&amount, parsed(currency)) else { unreachable!("{amount} is an amount") };
    let request = TransferRequest { from: parsed(ACCOUNTS[from]), to: parsed(ACCOUNTS[to]), amount };
    RecordCommandsInput::SubmitTransfer(SubmitTransfer { request, unknown: None })
}

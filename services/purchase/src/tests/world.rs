//! All partitions of the three stages, and a ledger that posts or refuses every payment.

use std::collections::{BTreeMap, BTreeSet};

use chrono::DateTime;
use contracts::{
    ALLOCATIONS, AllocationState, Fact, LINES, OUTCOMES, OfferTerms, PURCHASES, PaymentPosted, PaymentRefused,
    PurchaseRequest, RateRow, Reason, ReasonCode, ReturnAccepted, ReturnPosted, Status,
};
use money::{Amount, Money};
use rules::{Cancellation, Dropped};
use stage::{
    Event, Frame, Hash, Partition, PartitionCount, Producer, Quiescence, RequestId, Seq, Stage, Stream, read_events,
    write_events,
};
use stage_harness::{StageHarness, event};

use crate::accept::{
    Accept, AcceptInput, CancelPurchase, CancellationRow, PurchaseRow, RecallStock, ReturnRow, SetOffer,
    SubmitPurchase, SubmitReturn,
};
use crate::allocate::{Allocate, AllocationRow, StockRow};
use crate::invariants::Returns;
use crate::settle::{OutcomeRow, ReturnOutcomeRow, Settle, SettlementRow, What};

use super::step::{Step, requested};

pub(super) struct World {
    partitions: PartitionCount,
    accept: StageHarness<Accept>,
    allocates: Vec<StageHarness<Allocate>>,
    settles: Vec<StageHarness<Settle>>,
    /// What the ledger emitted.
    outcomes: Vec<Frame>,
    /// How many frames of `purchases` the ledger has read of each producer and partition.
    posted: BTreeMap<(Producer, Partition), usize>,
    /// What each purchase has paid, in the customer's and the seller's currency.
    paid: BTreeMap<RequestId, (Amount, Amount)>,
    /// The returns that it has refunded.
    refunded: BTreeSet<RequestId>,
    balances: BTreeMap<String, BTreeMap<String, Amount>>,
    purchases: Vec<String>,
    requests: usize,
}

fn rates() -> RateRow {
    let one = [("GBP".parse().unwrap(), "0.848".parse().unwrap())].into();
    let rates = [("EUR".parse().unwrap(), one)].into();
    RateRow { version: 1, valid_from: DateTime::UNIX_EPOCH, source: "ecb".parse().unwrap(), rates, complete: true }
}

impl World {
    pub fn new(partitions: u16) -> Self {
        let partitions = PartitionCount::new(partitions).unwrap();
        let mut accept = StageHarness::new(Accept::default(), Partition(0), partitions);
        accept.side_input(&rates()).unwrap();
        Self {
            partitions,
            accept,
            allocates: partitions.all().map(|p| StageHarness::new(Allocate, p, partitions)).collect(),
            settles: partitions.all().map(|p| StageHarness::new(Settle, p, partitions)).collect(),
            outcomes: Vec::new(),
            posted: BTreeMap::new(),
            paid: BTreeMap::new(),
            refunded: BTreeSet::new(),
            balances: BTreeMap::new(),
            purchases: Vec::new(),
            requests: 0,
        }
    }

    /// Carries out a step. What `accept` sees of the stock is what has been delivered so far.
    pub fn submit(&mut self, step: &Step) {
        self.requests += 1;
        let named = |id: &str, requests: usize| if id.is_empty() { format!("r{requests:02}") } else { id.to_owned() };
        let (id, input) = match step {
            Step::Deliver { from, frames } => {
                self.deliver(*from, *frames);
                return;
            }
            Step::Offer { sku, terms } => {
                let mut terms: serde_json::Value = serde_json::from_str(terms).unwrap();
                terms["price"] = serde_json::json!({ "amount": "10.00", "currency": "EUR" });
                let terms: OfferTerms = serde_json::from_value(terms).unwrap();
                (
                    format!("offer{}", self.requests),
                    AcceptInput::SetOffer(SetOffer { sku: sku.parse().unwrap(), terms }),
                )
            }
            Step::Buy { id, customer, lines, partial, pay_in } => {
                let request = serde_json::json!({
                    "customer": customer, "pay_in": pay_in, "lines": requested(lines), "partial": partial
                });
                let request: PurchaseRequest = serde_json::from_value(request).unwrap();
                let id = named(id, self.requests);
                self.purchases.push(id.clone());
                (id, AcceptInput::SubmitPurchase(SubmitPurchase { request, captured: None }))
            }
            Step::CancelNumber(number) => match self.purchases.get(*number).cloned() {
                None => return,
                Some(id) => (id, AcceptInput::CancelPurchase(CancelPurchase { occurred_at: None })),
            },
            Step::Cancel(id) => (id.clone(), AcceptInput::CancelPurchase(CancelPurchase { occurred_at: None })),
            Step::Recall { id, sku, quantity } => {
                let recall = RecallStock { sku: sku.parse().unwrap(), quantity: *quantity };
                (named(id, self.requests), AcceptInput::RecallStock(recall))
            }
            Step::Return { id, customer, lines, pay_in } => {
                let request = serde_json::json!({ "customer": customer, "pay_in": pay_in, "lines": requested(lines) });
                let request = serde_json::from_value(request).unwrap();
                let returned = SubmitReturn { request, captured: None };
                (named(id, self.requests), AcceptInput::SubmitReturn(returned))
            }
        };
        for row in self.allocates.iter().flat_map(|allocate| allocate.rows::<StockRow>().unwrap()) {
            self.accept.put_foreign(&row);
        }
        self.accept.submit(vec![event(&id, DateTime::UNIX_EPOCH, input)]).unwrap();
    }

    fn frames(&self) -> impl Iterator<Item = &Frame> {
        let allocates = self.allocates.iter().flat_map(|stage| &stage.state().frames);
        let settles = self.settles.iter().flat_map(|stage| &stage.state().frames);
        self.accept.state().frames.iter().chain(allocates).chain(settles).chain(&self.outcomes)
    }

    fn journal(&self, stream: &Stream, partition: Partition, producer: &Producer) -> Vec<Frame> {
        let target = stream.target(partition);
        self.frames().filter(|frame| frame.target == target && frame.producer == *producer).cloned().collect()
    }

    /// All readers and producers: a reader is a stream and a partition of it.
    fn edges(&self) -> Vec<(&'static Stream, Partition, Producer)> {
        let streams: [&'static Stream; 4] = [&ALLOCATIONS, &LINES, &OUTCOMES, &PURCHASES];
        let of = |stream: &'static Stream| {
            let all = self.partitions.all().flat_map(|partition| {
                let producers = stream.known_producers(partition, self.partitions);
                producers.into_iter().map(move |producer| (stream, partition, producer))
            });
            all.collect::<Vec<_>>()
        };
        streams.into_iter().flat_map(of).collect()
    }

    /// Delivers up to this many frames over one edge, and returns how many there were.
    fn deliver(&mut self, from: usize, frames: usize) -> usize {
        let edges = self.edges();
        let (stream, partition, producer) = edges[from % edges.len()].clone();
        let (journal, at) = (self.journal(stream, partition, &producer), usize::from(partition.0));
        if stream.name == PURCHASES.name {
            let read = *self.posted.get(&(producer.clone(), partition)).unwrap_or(&0);
            let next: Vec<_> = journal.into_iter().skip(read).take(frames).collect();
            self.posted.insert((producer, partition), read + next.len());
            next.iter().for_each(|frame| self.post(partition, frame));
            return next.len();
        }
        match stream.name == ALLOCATIONS.name {
            true => read(&mut self.allocates[at], stream, partition, &producer, journal, frames),
            false => read(&mut self.settles[at], stream, partition, &producer, journal, frames),
        }
    }

    pub fn deliver_all(&mut self) {
        while (0..self.edges().len()).map(|from| self.deliver(from, 1)).sum::<usize>() > 0 {}
    }

    /// The ledger: it refuses the payments of whoever is poor, and credits every refund.
    fn post(&mut self, partition: Partition, frame: &Frame) {
        let mut outcomes = Vec::new();
        for Event { fact, .. } in read_events::<Fact>(&frame.body).unwrap() {
            match fact {
                Fact::PurchaseConfirmed(confirmed) => {
                    let (purchase, is_limited) = (confirmed.purchase.clone(), confirmed.is_limited);
                    let id = purchase.0.clone();
                    let outcome = if confirmed.customer.as_str() == "poor" {
                        let reason = Reason { code: ReasonCode::PaymentRefused, detail: "no money".to_owned() };
                        Fact::PaymentRefused(PaymentRefused { purchase, is_limited, reason })
                    } else {
                        let paid = (confirmed.charged.amount(), confirmed.total.amount());
                        assert!(self.paid.insert(purchase.clone(), paid).is_none(), "{purchase} is charged twice");
                        self.credit(confirmed.customer.as_str(), -confirmed.charged);
                        Fact::PaymentPosted(PaymentPosted { purchase, is_limited })
                    };
                    outcomes.push(event(&id, DateTime::UNIX_EPOCH, outcome));
                }
                Fact::PurchaseRefunded(refunded) => {
                    let paid = self.paid.get_mut(&refunded.purchase).expect("refunded after it was paid");
                    paid.0 -= refunded.credit.amount();
                    paid.1 -= refunded.of_total.amount();
                    assert!(!paid.0.is_negative() && !paid.1.is_negative(), "{} got too much", refunded.purchase);
                    for credit in [Some(refunded.credit), refunded.voucher].into_iter().flatten() {
                        self.credit(refunded.customer.as_str(), credit);
                    }
                }
                Fact::ReturnAccepted(ReturnAccepted { return_id, customer, credit, .. }) => {
                    assert!(self.refunded.insert(return_id.clone()), "{return_id} is refunded twice");
                    self.credit(customer.as_str(), credit);
                    let id = return_id.0.clone();
                    let posted = Fact::ReturnPosted(ReturnPosted { return_id, credit });
                    outcomes.push(event(&id, DateTime::UNIX_EPOCH, posted));
                }
                Fact::PurchaseRejected(_) => {}
                other => panic!("{other:?}"),
            }
        }
        if outcomes.is_empty() {
            return;
        }
        let producer = Producer::new("post", partition);
        let before = self.journal(&OUTCOMES, partition, &producer);
        let (seq, previous) = before.last().map_or((Seq(1), Hash::ZERO), |last| (Seq(last.seq.0 + 1), last.hash));
        let body = write_events(&outcomes, &producer).unwrap();
        self.outcomes.push(Frame::seal(producer, OUTCOMES.target(partition), seq, previous, outcomes.len(), body));
    }

    fn credit(&mut self, customer: &str, money: Money) {
        let zero = Amount::zero(money.currency());
        let balances = self.balances.entry(customer.to_owned()).or_default();
        *balances.entry(money.currency().to_string()).or_insert(zero) += money.amount();
    }

    pub fn balance(&self, customer: &str) -> String {
        let of = |(currency, amount): (&String, &Amount)| format!("{amount} {currency}");
        let shown: Vec<_> = self.balances.get(customer).into_iter().flatten().map(of).collect();
        if shown.is_empty() { "0.00 EUR".to_owned() } else { shown.join(", ") }
    }

    pub fn stock(&self, sku: &str) -> String {
        let stocks = self.allocates.iter().flat_map(|allocate| allocate.rows::<StockRow>().unwrap());
        let stock = stocks.into_iter().find(|stock| stock.sku.as_str() == sku).unwrap();
        format!("{} of {}", stock.allocated, stock.ceiling.map_or("unlimited".to_owned(), |limit| limit.to_string()))
    }

    fn allocations(&self) -> Vec<AllocationRow> {
        self.allocates.iter().flat_map(|allocate| allocate.rows::<AllocationRow>().unwrap()).collect()
    }

    pub fn count(&self, state: AllocationState) -> usize {
        self.allocations().iter().filter(|row| row.state == state).count()
    }

    fn settlements(&self) -> BTreeMap<RequestId, SettlementRow> {
        let rows = self.settles.iter().flat_map(|settle| settle.rows::<SettlementRow>().unwrap());
        rows.map(|row| (row.purchase.clone(), row)).collect()
    }

    fn outcome_rows(&self) -> BTreeMap<RequestId, OutcomeRow> {
        let rows = self.settles.iter().flat_map(|settle| settle.rows::<OutcomeRow>().unwrap());
        rows.map(|row| (row.purchase.clone(), row)).collect()
    }

    pub fn statuses(&self) -> Vec<Status> {
        self.outcome_rows().into_values().map(|row| row.status).collect()
    }

    /// Each purchase in a line: outcome, lines, what came back, the cancellation.
    pub fn shown(&self) -> Vec<String> {
        let (settlements, outcomes) = (self.settlements(), self.outcome_rows());
        let rows = self.accept.rows::<PurchaseRow>().unwrap();
        let cancelled: BTreeSet<_> =
            self.accept.rows::<CancellationRow>().unwrap().into_iter().map(|row| row.purchase).collect();
        let show = |row: PurchaseRow| {
            let mut words = vec![row.request_id.to_string()];
            let outcome = outcomes.get(&row.request_id);
            words.push(outcome.map_or(Status::Rejected, |outcome| outcome.status).to_string());
            let reason = outcome.map_or_else(|| row.reason(), OutcomeRow::reason).filter(|_| words[1] == "rejected");
            words.extend(reason.map(|reason| reason.code.to_string()));
            let settlement = settlements.get(&row.request_id);
            for line in crate::http::lines(&row, settlement) {
                words.extend(line.state.map(|state| state.to_string()));
                words.extend(line.upgraded_to.map(|sku| sku.to_string()));
            }
            for correction in settlement.iter().flat_map(|settlement| &settlement.corrections) {
                if let What::Refunded { credit, voucher, reason } = &correction.what {
                    words.push(format!("back {credit}"));
                    words.extend(voucher.map(|voucher| format!("voucher {voucher}")));
                    words.extend((reason.code == ReasonCode::Cancelled).then(|| reason.code.to_string()));
                }
            }
            let is_rejected = settlement.is_none_or(|row| row.state.cancellation == Some(Cancellation::Rejected));
            if cancelled.contains(&row.request_id) && is_rejected {
                words.push("cancellation rejected".to_owned());
            }
            words.join(" ")
        };
        rows.into_iter().map(show).collect()
    }

    /// Checks everything that must hold once everything is delivered.
    pub fn check_quiet(&self) {
        let (allocations, settlements) = (self.allocations(), self.settlements());
        for stock in self.allocates.iter().flat_map(|allocate| allocate.rows::<StockRow>().unwrap()) {
            let mine: Vec<_> = allocations.iter().filter(|row| row.sku == stock.sku).collect();
            let of = |state| mine.iter().filter(move |row| row.state == state);
            let held: u64 = of(AllocationState::Held).map(|row| u64::from(row.quantity.get())).sum();
            assert_eq!(
                (stock.allocated, stock.waiting),
                (held, of(AllocationState::Queued).count() as u64),
                "{stock:?}"
            );
            assert_eq!(stock.recall_from, None, "{stock:?}");
            // The last one that was held was within its limit, and since then there were only fewer.
            let was_held = mine.iter().filter(|row| row.state != AllocationState::Queued);
            let largest = was_held.map(|row| row.limit_used.unwrap_or(u64::MAX)).max();
            assert!(held <= largest.unwrap_or_default(), "{stock:?}");
            if let Some(first) = of(AllocationState::Queued).next() {
                assert!(!stock.clone().stock().has_room(first.quantity, stock.ceiling), "{first:?} could be served");
            }
        }
        for row in self.accept.rows::<PurchaseRow>().unwrap().iter().filter(|row| row.reason_code.is_none()) {
            let outcome = self.outcome_rows().remove(&row.request_id);
            assert!(outcome.is_some(), "{} has no outcome", row.request_id);
        }
        for SettlementRow { purchase, state, .. } in settlements.values() {
            let plan = state.plan.as_ref().expect("decided");
            for line in plan.limited() {
                let mine = |row: &&AllocationRow| row.purchase == *purchase && row.line == line;
                let is_live =
                    |row: &&AllocationRow| matches!(row.state, AllocationState::Held | AllocationState::Queued);
                let live = allocations.iter().filter(mine).filter(is_live).count();
                assert_eq!(live, usize::from(!state.dropped.contains_key(&line)), "{purchase} line {line}: {state:?}");
            }
            let paid = self.paid.get(purchase).copied();
            let expected = state.paid.map(|paid| (paid.charged.amount(), paid.total.amount()));
            assert_eq!(paid, expected.filter(|_| paid.is_some()), "{purchase}");
            let all_dropped = plan
                .numbers()
                .all(|line| state.dropped.get(&line).is_some_and(|why| !matches!(why, Dropped::Cancelled(_))));
            assert!(
                !all_dropped || paid.is_none_or(|(charged, total)| charged.is_zero() && total.is_zero()),
                "{purchase}"
            );
            let is_open = matches!(state.cancellation, Some(Cancellation::Asked(_) | Cancellation::Applied));
            assert!(!is_open, "{purchase}: {:?}", state.cancellation);
        }
        let mut returns = Returns::default();
        self.accept.rows::<ReturnRow>().unwrap().iter().for_each(|row| returns.returned(row));
        let posted = self.settles.iter().flat_map(|settle| settle.rows::<ReturnOutcomeRow>().unwrap());
        posted.for_each(|row| returns.posted(&row));
        assert_eq!(returns.close(Quiescence::Reached), []);
        self.allocates.iter().for_each(|stage| assert_eq!(stage.replay(Allocate).unwrap(), *stage.state()));
        self.settles.iter().for_each(|stage| assert_eq!(stage.replay(Settle).unwrap(), *stage.state()));
        let mut accept = Accept::default();
        stage::IngressStage::on_side_input(&mut accept, &stage::Row::to_cells(&rates())).unwrap();
        assert_eq!(self.accept.replay(accept).unwrap(), *self.accept.state());
    }
}

fn read<S: Stage>(
    stage: &mut StageHarness<S>,
    stream: &Stream,
    partition: Partition,
    producer: &Producer,
    journal: Vec<Frame>,
    frames: usize,
) -> usize {
    let next = stage.position(&stream.target(partition), producer).next.0 - 1;
    let next: Vec<_> = journal.into_iter().skip(usize::try_from(next).unwrap()).take(frames).collect();
    let count = next.len();
    if count > 0 {
        stage.read(next).unwrap();
    }
    count
}

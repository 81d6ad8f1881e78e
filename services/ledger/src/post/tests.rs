use std::collections::BTreeMap;

use contracts::{CustomerId, PurchaseRejected, Reason, ReasonCode};
use money::{Conversion, Money};
use proptest::prelude::*;
use stage::testing::{Bench, cut, event};
use stage::{Frame, Hash, PartitionCount, Producer, Seq, Target, partition_of, write_events};

use super::*;

fn money(text: &str) -> Money {
    let (amount, currency) = text.split_once(' ').unwrap();
    Money::parse(amount, currency.parse().unwrap()).unwrap()
}

fn told(request_id: &str, fact: Fact) -> Event<Fact> {
    event(request_id, "2010-12-01T08:26:00Z".parse().unwrap(), fact)
}

fn bought(request_id: &str, customer: &str, total: &str, charged: &str) -> Event<Fact> {
    let fact = PurchaseConfirmed {
        purchase: RequestId(request_id.to_owned()),
        customer: customer.parse().unwrap(),
        occurred_at: "2010-12-01T08:26:00Z".parse().unwrap(),
        total: money(total),
        charged: money(charged),
        conversion: Conversion::Same,
        lines: Vec::new(),
    };
    told(request_id, Fact::PurchaseConfirmed(fact))
}

fn rejected(request_id: &str, customer: &str) -> Event<Fact> {
    let reason = Reason { code: ReasonCode::NoRate, detail: String::new() };
    let (purchase, customer) = (RequestId(request_id.to_owned()), customer.parse().unwrap());
    told(request_id, Fact::PurchaseRejected(PurchaseRejected { purchase, customer, reason }))
}

fn payer(fact: &Fact) -> Option<&CustomerId> {
    match fact {
        Fact::PurchaseConfirmed(purchase) => Some(&purchase.customer),
        Fact::PurchaseRejected(purchase) => Some(&purchase.customer),
        Fact::LegsSaid(_) | Fact::PaymentPosted(_) | Fact::RatesPublished(_) | Fact::HistoryImported(_) => None,
    }
}

/// All partitions of the ledger, and what `accept` has said to them.
struct Ledger {
    partitions: PartitionCount,
    posts: Vec<Bench<Post>>,
    purchases: Vec<Frame>,
}

/// One currency over all partitions.
#[derive(Debug, Default, PartialEq, Eq)]
struct Books {
    debits: i128,
    credits: i128,
    debits_in_transit: i128,
    credits_in_transit: i128,
}

fn units(amount: Amount) -> i128 {
    let text = amount.to_string();
    let decimals = text.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    text.replace('.', "").parse::<i128>().unwrap() * 10_i128.pow(4 - u32::try_from(decimals).unwrap())
}

impl Ledger {
    /// One to whose partitions `accept` has said these purchases, in frames of these sizes.
    fn new(partitions: u16, purchases: &[Event<Fact>], sizes: &[usize]) -> Self {
        let partitions = PartitionCount::new(partitions).unwrap();
        let posts = partitions.all().map(|p| Bench::new(Post::new(p), p, partitions)).collect();
        let mut ledger = Self { partitions, posts, purchases: Vec::new() };
        for partition in partitions.all() {
            let here = |event: &&Event<Fact>| {
                let account = AccountId::of_customer(payer(&event.fact).unwrap());
                partition_of(&account.key().0, partitions) == partition
            };
            ledger.say(partition, purchases.iter().filter(here).cloned().collect(), sizes);
        }
        ledger
    }

    fn say(&mut self, partition: Partition, facts: Vec<Event<Fact>>, sizes: &[usize]) {
        let (producer, mut previous) = (Producer::new("accept", Partition(0)), Hash::ZERO);
        for (seq, facts) in (1..).zip(cut(facts, sizes)) {
            let (target, body) = (PURCHASES.target(partition), write_events(&facts, &producer).unwrap());
            let frame = Frame::seal(producer.clone(), target, Seq(seq), previous, facts.len(), body);
            previous = frame.hash;
            self.purchases.push(frame);
        }
    }

    /// All that a partition can read: each producer's frames in order.
    fn streams(&self, partition: Partition) -> Vec<(Target, Producer)> {
        let all =
            [&PURCHASES, &CREDITS].map(|stream| (stream.target(partition), stream.known_producers(self.partitions)));
        all.into_iter().flat_map(|(target, all)| all.into_iter().map(move |one| (target.clone(), one))).collect()
    }

    fn journal(&self, target: &Target, producer: &Producer) -> Vec<&Frame> {
        let said = self.posts.iter().flat_map(|post| &post.state().frames).chain(&self.purchases);
        said.filter(|frame| frame.target == *target && frame.producer == *producer).collect()
    }

    /// One batch of one partition: the next frames of one producer, and some that it has read before.
    fn deliver(&mut self, partition: Partition, from: usize, frames: usize, again: usize) -> usize {
        let streams = self.streams(partition);
        let (target, producer) = &streams[from % streams.len()];
        let next = self.posts[usize::from(partition.0)].position(target, producer).next.0 - 1;
        let (journal, next) = (self.journal(target, producer), usize::try_from(next).unwrap());
        let until = journal.len().min(next + frames);
        if (until, again) == (next, 0) {
            return 0;
        }
        let read = journal[next.saturating_sub(again)..until].iter().map(|frame| (*frame).clone()).collect();
        self.posts[usize::from(partition.0)].read(read).unwrap();
        self.balance();
        until - next
    }

    /// Delivers everything, one frame at a time.
    fn deliver_all(&mut self) {
        let places: Vec<_> =
            self.partitions.all().flat_map(|p| (0..self.streams(p).len()).map(move |s| (p, s))).collect();
        while places.iter().map(|(partition, from)| self.deliver(*partition, *from, 1, 0)).sum::<usize>() > 0 {}
    }

    fn rows<R: stage::Row>(&self) -> Vec<R> {
        self.posts.iter().flat_map(|post| post.rows::<R>().unwrap()).collect()
    }

    fn books(&self) -> BTreeMap<Currency, Books> {
        let mut books: BTreeMap<_, Books> = BTreeMap::new();
        for totals in self.rows::<TotalsRow>() {
            let book = books.entry(totals.currency).or_default();
            book.debits += units(totals.debits);
            book.credits += units(totals.credits);
            book.debits_in_transit += units(totals.said_debits - totals.applied_debits);
            book.credits_in_transit += units(totals.said_credits - totals.applied_credits);
        }
        books
    }

    /// What holds at every moment.
    fn balance(&self) {
        let books = self.books();
        for (currency, book) in &books {
            assert_eq!(book.debits + book.debits_in_transit, book.credits + book.credits_in_transit, "{currency}");
            assert!(book.debits_in_transit >= 0 && book.credits_in_transit >= 0, "{currency} {book:?}");
        }
        let (mut posted, mut sums, mut numbers) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        for EntryRow { account, side, currency, amount, .. } in self.rows::<EntryRow>() {
            *posted.entry((currency, side)).or_insert(0) += units(amount);
            let signed = if side == Side::Credit { units(amount) } else { -units(amount) };
            *sums.entry((account.clone(), currency)).or_insert(0) += signed;
            *numbers.entry(account).or_insert(0) += 1;
        }
        for (currency, book) in &books {
            let of = |side| posted.get(&(*currency, side)).copied().unwrap_or_default();
            assert_eq!((of(Side::Debit), of(Side::Credit)), (book.debits, book.credits), "{currency}");
        }
        let held = self.rows::<BalanceRow>().into_iter().map(|row| ((row.account, row.currency), units(row.amount)));
        assert_eq!(held.collect::<BTreeMap<_, _>>(), sums);
        let accounts = self.rows::<AccountRow>().into_iter().map(|row| (row.account, row.entries));
        assert_eq!(accounts.collect::<BTreeMap<_, _>>(), numbers);
        self.numbers_are_dense();
    }

    fn numbers_are_dense(&self) {
        let mut last: BTreeMap<AccountId, u64> = BTreeMap::new();
        for EntryRow { account, number, .. } in self.rows::<EntryRow>() {
            let before = last.insert(account.clone(), number).unwrap_or_default();
            assert_eq!(number, before + 1, "{account}");
        }
    }

    /// What holds once nothing is on its way.
    fn quiet(&self) {
        for (currency, book) in self.books() {
            assert_eq!((book.debits_in_transit, book.credits_in_transit), (0, 0), "{currency}");
            assert_eq!(book.debits, book.credits, "{currency}");
        }
        for (post, partition) in self.posts.iter().zip(self.partitions.all()) {
            assert_eq!(post.again(Post::new(partition)).unwrap(), *post.state());
        }
    }

    fn balances(&self) -> Vec<String> {
        let rows = self.rows::<BalanceRow>();
        let mut shown: Vec<_> = rows.iter().map(|r| format!("{} {} {}", r.account, r.amount, r.currency)).collect();
        shown.sort();
        shown
    }

    fn entries(&self, account: &str) -> Vec<String> {
        let rows = self.rows::<EntryRow>().into_iter().filter(|entry| entry.account.as_str() == account);
        rows.map(|e| format!("{} {} {} {} {}", e.number, e.transfer, e.side, e.amount, e.currency)).collect()
    }

    fn paid(&self) -> Vec<RequestId> {
        let outcomes = self.posts.iter().flat_map(|post| post.said(&OUTCOMES).unwrap());
        let mut paid: Vec<_> = outcomes
            .map(|event| match event.fact {
                Fact::PaymentPosted(payment) => payment.purchase,
                other => panic!("{other:?} is no outcome"),
            })
            .collect();
        paid.sort();
        paid
    }
}

/// Expects the balances `account amount currency` once all is delivered, whatever the partitions and frames.
fn check(purchases: &[Event<Fact>], expected: &[&str]) {
    for partitions in [1, 2, 3, 8] {
        for size in [1, 2, usize::MAX] {
            let mut ledger = Ledger::new(partitions, purchases, &[size]);
            ledger.deliver_all();
            ledger.quiet();
            assert_eq!(ledger.balances(), expected, "{partitions} partitions, frames of {size}");
        }
    }
}

#[test]
fn a_purchase_in_one_currency_has_two_legs() {
    check(&[bought("r1", "1", "39.75 GBP", "39.75 GBP")], &["customer:1 -39.75 GBP", "merchant 39.75 GBP"]);
}

#[test]
fn a_purchase_paid_in_another_currency_has_four_legs() {
    let balances = ["customer:1 -46.88 EUR", "fx -39.75 GBP", "fx 46.88 EUR", "merchant 39.75 GBP"];
    check(&[bought("r1", "1", "39.75 GBP", "46.88 EUR")], &balances);
    let balances = ["customer:1 -5180 JPY", "fx -1.250 KWD", "fx 5180 JPY", "merchant 1.250 KWD"];
    check(&[bought("r1", "1", "1.250 KWD", "5180 JPY")], &balances);
}

#[test]
fn balances_add_up_by_account_and_currency() {
    let purchases = [
        bought("r1", "1", "10.00 GBP", "10.00 GBP"),
        bought("r2", "2", "1.00 GBP", "1.18 EUR"),
        bought("r3", "1", "2.00 EUR", "2.00 EUR"),
        bought("r4", "2", "0.05 GBP", "0.05 GBP"),
    ];
    let balances = [
        "customer:1 -10.00 GBP",
        "customer:1 -2.00 EUR",
        "customer:2 -0.05 GBP",
        "customer:2 -1.18 EUR",
        "fx -1.00 GBP",
        "fx 1.18 EUR",
        "merchant 11.05 GBP",
        "merchant 2.00 EUR",
    ];
    check(&purchases, &balances);
}

#[test]
fn a_rejected_purchase_moves_nothing() {
    check(&[rejected("r1", "1")], &[]);
    let one = [rejected("r1", "1"), bought("r2", "1", "1.00 GBP", "1.00 GBP"), rejected("r3", "2")];
    check(&one, &["customer:1 -1.00 GBP", "merchant 1.00 GBP"]);
}

#[test]
fn nothing_to_pay_is_posted_too() {
    check(&[bought("r1", "1", "0.00 GBP", "0.00 GBP")], &["customer:1 0.00 GBP", "merchant 0.00 GBP"]);
    let balances = ["customer:1 -0.01 EUR", "fx 0.00 GBP", "fx 0.01 EUR", "merchant 0.00 GBP"];
    check(&[bought("r1", "1", "0.00 GBP", "0.01 EUR")], &balances);
}

#[test]
fn entries_are_numbered_by_account_across_currencies() {
    let purchases =
        [bought("r1", "1", "1.00 GBP", "1.18 EUR"), rejected("r2", "1"), bought("r3", "1", "2.00 GBP", "2.00 GBP")];
    for size in [1, 3] {
        let mut ledger = Ledger::new(1, &purchases, &[size]);
        ledger.deliver_all();
        assert_eq!(ledger.entries("customer:1"), ["1 r1 debit 1.18 EUR", "2 r3 debit 2.00 GBP"]);
        assert_eq!(ledger.entries("merchant"), ["1 r1 credit 1.00 GBP", "2 r3 credit 2.00 GBP"]);
        assert_eq!(ledger.entries("fx"), ["1 r1 credit 1.18 EUR", "2 r1 debit 1.00 GBP"]);
    }
}

#[test]
fn until_the_payees_legs_are_posted_they_are_in_transit() {
    let mut ledger = Ledger::new(1, &[bought("r1", "1", "39.75 GBP", "46.88 EUR")], &[1]);
    ledger.deliver(Partition(0), 0, 1, 0);
    let book = |amounts: [&str; 4]| {
        let [debits, credits, debits_in_transit, credits_in_transit] = amounts.map(|text| units(text.parse().unwrap()));
        Books { debits, credits, debits_in_transit, credits_in_transit }
    };
    let eur = book(["46.88", "0", "0", "46.88"]);
    let said = [(Currency::EUR, eur), (Currency::GBP, book(["0", "0", "39.75", "39.75"]))];
    assert_eq!(ledger.books(), said.into());
    assert_eq!(ledger.paid(), [RequestId("r1".to_owned())]);
    ledger.deliver_all();
    let eur = book(["46.88", "46.88", "0", "0"]);
    let posted = [(Currency::EUR, eur), (Currency::GBP, book(["39.75", "39.75", "0", "0"]))];
    assert_eq!(ledger.books(), posted.into());
}

#[test]
fn every_leg_is_said_by_its_account_and_the_outcome_by_the_payer() {
    let mut ledger = Ledger::new(1, &[bought("r1", "1", "39.75 GBP", "46.88 EUR"), rejected("r2", "2")], &[2]);
    ledger.deliver_all();
    let said = |stream| ledger.posts[0].said(stream).unwrap().into_iter().map(|event| event.key.0).collect::<Vec<_>>();
    assert_eq!(said(&CREDITS), ["merchant", "fx"]);
    assert_eq!(said(&OUTCOMES), ["customer:1"]);
}

#[test]
fn the_largest_amounts_add_up() {
    let largest = "1000000000000.0000 CLF";
    let purchases: Vec<_> = (0..50).map(|number| bought(&format!("r{number}"), "1", largest, largest)).collect();
    check(&purchases, &["customer:1 -50000000000000.0000 CLF", "merchant 50000000000000.0000 CLF"]);
}

fn any_purchase() -> impl Strategy<Value = (u8, bool, String, String)> {
    let money = || {
        let (gbp, jpy) = ((0..100_000_u32).prop_map(|n| format!("{}.{:02} GBP", n / 100, n % 100)), 0..100_000_u32);
        let eur = (0..100_000_u32).prop_map(|n| format!("{}.{:02} EUR", n / 100, n % 100));
        prop_oneof![gbp, eur, jpy.prop_map(|n| format!("{n} JPY"))]
    };
    (0..6_u8, prop::bool::weighted(0.1), money(), money())
}

/// Converted only from one currency into another.
fn purchase(number: usize, (customer, refused, total, charged): &(u8, bool, String, String)) -> Event<Fact> {
    let (request_id, customer) = (format!("r{number:03}"), customer.to_string());
    let same = total.rsplit(' ').next() == charged.rsplit(' ').next();
    match refused {
        true => rejected(&request_id, &customer),
        false => bought(&request_id, &customer, total, if same { total } else { charged }),
    }
}

fn confirmed(purchases: &[Event<Fact>]) -> Vec<RequestId> {
    let confirmed = purchases.iter().filter(|event| matches!(event.fact, Fact::PurchaseConfirmed(_)));
    confirmed.map(|event| event.cause.request_id.clone()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn money_is_conserved_at_every_moment_and_nothing_stays_in_transit(
        purchases in prop::collection::vec(any_purchase(), 1..24),
        partitions in 1..9_u16,
        sizes in prop::collection::vec(1..6_usize, 1..4),
        deliveries in prop::collection::vec((0..8_u16, 0..32_usize, 1..4_usize, 0..3_usize), 0..80),
    ) {
        let purchases: Vec<_> = purchases.iter().enumerate().map(|(number, one)| purchase(number, one)).collect();
        let mut ledger = Ledger::new(partitions, &purchases, &sizes);
        for (partition, from, frames, again) in deliveries {
            ledger.deliver(Partition(partition % partitions), from, frames, again);
        }
        ledger.deliver_all();
        ledger.quiet();
        let mut one_by_one = Ledger::new(1, &purchases, &[1]);
        one_by_one.deliver_all();
        prop_assert_eq!(ledger.balances(), one_by_one.balances());
        prop_assert_eq!(ledger.paid(), confirmed(&purchases));
    }
}

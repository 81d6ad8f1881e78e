//! All partitions of a ledger in the harness, with deliveries in any order.

use std::collections::BTreeMap;

use contracts::{AccountId, Side};
use money::{Amount, Currency};
use stage::{
    Frame, Hash, PartitionCount, Producer, Quiescence, Seq, StreamPartition, Violation, partition_of, write_events,
};
use stage_harness::{StageHarness, cut};

use super::super::*;
use super::facts::way_of;

/// All partitions of the ledger, and the frames that the ingress stages have emitted for them.
pub(super) struct Ledger {
    pub(super) partitions: PartitionCount,
    pub(super) posts: Vec<StageHarness<Post>>,
    pub(super) emitted: Vec<Frame>,
}

/// The totals of one currency over all partitions.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Books {
    pub(super) debits: i128,
    pub(super) credits: i128,
    pub(super) debits_in_transit: i128,
    pub(super) credits_in_transit: i128,
}

pub(super) fn units(amount: Amount) -> i128 {
    let text = amount.to_string();
    let decimals = text.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    text.replace('.', "").parse::<i128>().unwrap() * 10_i128.pow(4 - u32::try_from(decimals).unwrap())
}

impl Ledger {
    /// A ledger for whose partitions the ingress stages have emitted these facts, in frames of these sizes.
    pub(super) fn new(partitions: u16, facts: &[Event<PostInput>], sizes: &[usize]) -> Self {
        let partitions = PartitionCount::new(partitions).unwrap();
        let posts = partitions.all().map(|p| StageHarness::new(Post::new(p), p, partitions)).collect();
        let mut ledger = Self { partitions, posts, emitted: Vec::new() };
        for (stream, stage) in [(&PURCHASES, "accept"), (&LEDGER_COMMANDS, "record-commands")] {
            for partition in partitions.all() {
                let here = |event: &&Event<PostInput>| {
                    let (way, _, account) = way_of(&event.fact);
                    way == stream && partition_of(&account.key().0, partitions) == partition
                };
                let facts = facts.iter().filter(here).cloned().collect();
                ledger.out(&stream.target(partition), &Producer::new(stage, Partition(0)), facts, sizes);
            }
        }
        ledger
    }

    pub(super) fn out(
        &mut self,
        target: &StreamPartition,
        producer: &Producer,
        facts: Vec<Event<PostInput>>,
        sizes: &[usize],
    ) {
        let mut previous = Hash::ZERO;
        for (seq, facts) in (1..).zip(cut(facts, sizes)) {
            let body = write_events(&facts, producer).unwrap();
            let frame = Frame::seal(producer.clone(), target.clone(), Seq(seq), previous, facts.len(), body);
            previous = frame.hash;
            self.emitted.push(frame);
        }
    }

    /// The streams and producers that a partition reads. The frames of each producer are in order.
    pub(super) fn streams(&self, partition: Partition) -> Vec<(StreamPartition, Producer)> {
        let all = Post::READS.iter();
        let all = all.map(|stream| (stream.target(partition), stream.known_producers(partition, self.partitions)));
        all.into_iter().flat_map(|(target, all)| all.into_iter().map(move |one| (target.clone(), one))).collect()
    }

    pub(super) fn journal(&self, target: &StreamPartition, producer: &Producer) -> Vec<&Frame> {
        let emitted = self.posts.iter().flat_map(|post| &post.state().frames).chain(&self.emitted);
        emitted.filter(|frame| frame.target == *target && frame.producer == *producer).collect()
    }

    /// Delivers one batch to one partition: the next frames of one producer, and some that it has read before.
    pub(super) fn deliver(&mut self, partition: Partition, from: usize, frames: usize, again: usize) -> usize {
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
    pub(super) fn deliver_all(&mut self) {
        let places: Vec<_> =
            self.partitions.all().flat_map(|p| (0..self.streams(p).len()).map(move |s| (p, s))).collect();
        while places.iter().map(|(partition, from)| self.deliver(*partition, *from, 1, 0)).sum::<usize>() > 0 {}
    }

    pub(super) fn rows<R: stage::Row>(&self) -> Vec<R> {
        self.posts.iter().flat_map(|post| post.rows::<R>().unwrap()).collect()
    }

    pub(super) fn books(&self) -> BTreeMap<Currency, Books> {
        let mut books: BTreeMap<_, Books> = BTreeMap::new();
        for totals in self.rows::<TotalsRow>() {
            let book = books.entry(totals.currency).or_default();
            book.debits += units(totals.debits);
            book.credits += units(totals.credits);
            book.debits_in_transit += units(totals.requested_debits - totals.completed_debits);
            book.credits_in_transit += units(totals.requested_credits - totals.completed_credits);
        }
        books
    }

    /// Checks what always holds.
    pub(super) fn balance(&self) {
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
        let used = self.rows::<AccountRow>().into_iter().filter(|row| row.entries > 0);
        assert_eq!(used.map(|row| (row.account, row.entries)).collect::<BTreeMap<_, _>>(), numbers);
        self.numbers_are_dense();
        let violations = self.invariants(Quiescence::Pending);
        assert!(violations.is_empty(), "{violations:?}");
    }

    pub(super) fn invariants(&self, reading: Quiescence) -> Vec<Violation> {
        let mut books = crate::invariants::Books::default();
        let sorted = |mut rows: Vec<EntryRow>| {
            rows.sort_by_key(|row| (row.account.clone(), row.number));
            rows
        };
        self.rows::<AccountRow>().iter().for_each(|row| books.account(row));
        sorted(self.rows::<EntryRow>()).iter().for_each(|row| books.entry(row));
        self.rows::<BalanceRow>().iter().for_each(|row| books.balance(row));
        self.rows::<DailyPaymentsRow>().iter().for_each(|row| books.daily_payments(row));
        self.rows::<TotalsRow>().iter().for_each(|row| books.totals(row));
        books.close(reading)
    }

    pub(super) fn numbers_are_dense(&self) {
        let mut last: BTreeMap<AccountId, u64> = BTreeMap::new();
        for EntryRow { account, number, .. } in self.rows::<EntryRow>() {
            let before = last.insert(account.clone(), number).unwrap_or_default();
            assert_eq!(number, before + 1, "{account}");
        }
    }

    /// Checks what holds once nothing is in flight.
    pub(super) fn quiet(&self) {
        for (currency, book) in self.books() {
            assert_eq!((book.debits_in_transit, book.credits_in_transit), (0, 0), "{currency}");
            assert_eq!(book.debits, book.credits, "{currency}");
        }
        for (post, partition) in self.posts.iter().zip(self.partitions.all()) {
            assert_eq!(post.replay(Post::new(partition)).unwrap(), *post.state());
        }
        let violations = self.invariants(Quiescence::Reached);
        assert!(violations.is_empty(), "{violations:?}");
    }

    /// The decisions, such as `claim c1` and `transfer t1 overdrawn`.
    pub(super) fn decisions(&self) -> Vec<String> {
        let rows = self.rows::<DecisionRow>();
        let code = |row: &DecisionRow| row.reason_code.map_or(String::new(), |code| format!(" {code}"));
        let mut shown: Vec<_> = rows.iter().map(|r| format!("{} {}{}", r.kind, r.request_id, code(r))).collect();
        shown.sort();
        shown
    }

    pub(super) fn balances(&self) -> Vec<String> {
        let rows = self.rows::<BalanceRow>();
        let mut shown: Vec<_> = rows.iter().map(|r| format!("{} {} {}", r.account, r.amount, r.currency)).collect();
        shown.sort();
        shown
    }

    pub(super) fn entries(&self, account: &str) -> Vec<String> {
        let rows = self.rows::<EntryRow>().into_iter().filter(|entry| entry.account.as_str() == account);
        rows.map(|e| format!("{} {} {} {} {}", e.number, e.request_id, e.side, e.amount, e.currency)).collect()
    }

    pub(super) fn paid(&self) -> Vec<RequestId> {
        let outcomes = self.posts.iter().flat_map(|post| post.emitted(&OUTCOMES).unwrap());
        let mut paid: Vec<_> = outcomes
            .filter_map(
                |event| if let Fact::PaymentPosted(payment) = event.fact { Some(payment.purchase) } else { None },
            )
            .collect();
        paid.sort();
        paid
    }
}

mod returns;

use contracts::{LineRequest, PURCHASES, RatesByPair, ReasonCode};
use proptest::prelude::*;
use stage::{BatchNumber, Consumed, FRAME_BYTES_MAX, Partition, PartitionCount, RequestId, read_events};
use stage_harness::{StageHarness, cut, event};

use super::*;

/// An input of the ingress stage.
#[derive(Clone, Debug)]
enum Step {
    /// The local copy gets the next version of the rates.
    Learned(RateRow),
    /// A request arrives.
    Request(Event<AcceptInput>),
}

fn now() -> DateTime<Utc> {
    "2010-12-02T08:26:00Z".parse().unwrap()
}

/// Rates such as `EUR/GBP 0.848`, valid from a day. `run` assigns their version.
fn rates(day: &str, text: &str) -> Step {
    let (pair, rate) = text.split_once(' ').unwrap();
    let (base, quote) = pair.split_once('/').unwrap();
    let one = [(quote.parse().unwrap(), rate.parse().unwrap())].into();
    let rates: RatesByPair = [(base.parse().unwrap(), one)].into();
    let valid_from = format!("{day}T00:00:00Z").parse().unwrap();
    Step::Learned(RateRow { version: 0, valid_from, source: "ecb".parse().unwrap(), rates, complete: false })
}

fn price(text: &str) -> money::UnitPrice {
    let (amount, currency) = text.split_once(' ').unwrap();
    money::UnitPrice::parse(amount, currency.parse().unwrap()).unwrap()
}

fn offer(sku: &str, unit_price: &str) -> Step {
    let terms = serde_json::from_value(serde_json::json!({ "price": price(unit_price), "open_price": true })).unwrap();
    let request = SetOffer { sku: sku.parse().unwrap(), terms };
    Step::Request(event(&format!("offer {sku} {unit_price}"), now(), AcceptInput::SetOffer(request)))
}

/// Lines such as `6 A` or, with their own price, `6 A 2.55 GBP`.
fn wanted(line: &str) -> LineRequest {
    let mut words = line.splitn(3, ' ');
    let pieces: u32 = words.next().unwrap().parse().unwrap();
    let (quantity, sku) = (money::Quantity::new(pieces).unwrap(), words.next().unwrap().parse().unwrap());
    LineRequest { sku, quantity, unit_price: words.next().map(price) }
}

fn buy_of(request_id: &str, customer: &str, lines: &[&str], pay_in: &str) -> Step {
    let (customer, pay_in) = (customer.parse().unwrap(), pay_in.parse().unwrap());
    let lines = lines.iter().map(|line| wanted(line)).collect();
    let request = PurchaseRequest { customer, pay_in, lines, occurred_at: None, partial: false };
    Step::Request(event(request_id, now(), AcceptInput::SubmitPurchase(SubmitPurchase { request, captured: None })))
}

fn buy(request_id: &str, line: &str, pay_in: &str) -> Step {
    buy_of(request_id, "17850", &[line], pay_in)
}

fn shown(reply: &Reply) -> String {
    match reply {
        Reply::Conflict => "conflict".to_owned(),
        other @ (Reply::UnknownUpgrade(_)
        | Reply::Recall(_)
        | Reply::UnknownOffer
        | Reply::RecallAboveCapacity(_)
        | Reply::Cancellation(..)
        | Reply::UnknownPurchase) => panic!("{other:?} is no answer to these requests"),
        Reply::Return(row) => match (row.total, row.price_currency, row.refunded, row.reason()) {
            (Some(total), Some(currency), Some(refunded), None) => {
                format!("back {total} {currency} = {refunded} {}", row.pay_in)
            }
            (None, None, None, Some(reason)) => reason.code.to_string(),
            other => panic!("half a return: {other:?}"),
        },
        Reply::Offer(offer) => format!("{} v{}", offer.sku, offer.version),
        Reply::Purchase(row) => match (row.total, row.price_currency, row.charged, row.reason()) {
            (Some(total), Some(currency), Some(charged), None) => {
                format!("{total} {currency} = {charged} {}", row.pay_in)
            }
            (None, None, None, Some(reason)) => reason.code.to_string(),
            other => panic!("half a purchase: {other:?}"),
        },
    }
}

struct Ran {
    harness: StageHarness<Accept>,
    replies: Vec<String>,
    /// How many requests each batch recorded.
    recorded: Vec<usize>,
    /// A stage that has read the whole side input.
    side_input: Accept,
}

/// Runs the steps, with the requests between two versions of the rates cut into batches of these sizes.
fn run(steps: &[Step], sizes: &[usize]) -> Ran {
    let harness = StageHarness::new(Accept::default(), Partition(0), PartitionCount::new(2).unwrap());
    let mut ran = Ran { harness, replies: Vec::new(), recorded: Vec::new(), side_input: Accept::default() };
    let mut version = 0;
    for steps in steps.chunk_by(|a, b| matches!((a, b), (Step::Request(_), Step::Request(_)))) {
        let mut requests = Vec::new();
        for step in steps {
            match step {
                Step::Request(request) => requests.push(request.clone()),
                Step::Learned(row) => {
                    version += 1;
                    let row = RateRow { version, ..row.clone() };
                    ran.harness.side_input(&row).unwrap();
                    ran.side_input.on_side_input(&row.to_cells()).unwrap();
                }
            }
        }
        for batch in cut(requests, sizes) {
            ran.batch(batch);
        }
    }
    ran
}

impl Ran {
    fn batch(&mut self, requests: Vec<Event<AcceptInput>>) {
        let before = self.harness.state().records.len();
        let replies = self.harness.submit(requests).unwrap();
        self.replies.extend(replies.iter().map(shown));
        let new = &self.harness.state().records[before..];
        let taken = |record: &stage::Record| match record.parse_consumed().unwrap() {
            Consumed::Requests(taken) => read_events::<AcceptInput>(taken.get()).unwrap().len(),
            Consumed::Claim | Consumed::Frames(_) => panic!("an ingress stage reads requests"),
        };
        self.recorded.push(new.iter().map(taken).sum());
    }

    fn emitted(&self) -> Vec<Fact> {
        self.harness.emitted(&PURCHASES).unwrap().into_iter().map(|event| event.fact).collect()
    }

    fn purchases(&self) -> Vec<PurchaseRow> {
        let rows = self.harness.rows::<PurchaseRow>().unwrap();
        rows.into_iter().map(|row| PurchaseRow { batch: BatchNumber(0), ..row }).collect()
    }
}

/// Expects one reply per request: `total = charged`, `back total = refunded`, a reason's code, `sku version`, or `conflict`. The reply to a
/// request without effect is preceded by `still`. The sizes of the batches make no difference.
fn check(steps: &[Step], expected: &[&str]) {
    let (alone, together) = (run(steps, &[1]), run(steps, &[usize::MAX]));
    let effect = |(recorded, reply): (&usize, &String)| {
        if *recorded == 0 { format!("still {reply}") } else { reply.clone() }
    };
    assert_eq!(alone.recorded.iter().zip(&alone.replies).map(effect).collect::<Vec<_>>(), expected);
    assert_eq!(together.replies, alone.replies);
    assert_eq!(together.recorded.iter().sum::<usize>(), alone.recorded.iter().sum::<usize>());
    assert_eq!((together.emitted(), together.purchases()), (alone.emitted(), alone.purchases()));
    for ran in [alone, together] {
        assert_eq!(ran.harness.replay(ran.side_input).unwrap(), *ran.harness.state());
    }
}

#[test]
fn a_purchase_is_priced_with_local_data() {
    let steps = [rates("2010-12-01", "EUR/GBP 0.848"), offer("A", "6.625 GBP"), buy("r1", "6 A", "EUR")];
    check(&steps, &["A v1", "39.75 GBP = 46.88 EUR"]);
    check(&[offer("A", "6.625 GBP"), buy("r1", "6 A", "EUR")], &["A v1", "no_rate"]);
    check(&[buy("r1", "6 A", "EUR")], &["unknown_offer"]);
    check(&[offer("A", "1 GBP"), buy("r1", "6 A 0.50 GBP", "GBP")], &["A v1", "3.00 GBP = 3.00 GBP"]);
    check(&[offer("A", "0 GBP"), buy("r1", "6 A", "GBP")], &["A v1", "0.00 GBP = 0.00 GBP"]);
    check(&[offer("A", "1000000000 GBP"), buy("r1", "1001 A", "GBP")], &["A v1", "amount_too_large"]);
}

#[test]
fn a_new_offer_applies_to_later_purchases() {
    let steps = [offer("A", "1 GBP"), buy("r1", "1 A", "GBP"), offer("A", "2 GBP"), buy("r2", "1 A", "GBP")];
    check(&steps, &["A v1", "1.00 GBP = 1.00 GBP", "A v2", "2.00 GBP = 2.00 GBP"]);
    check(&[buy("r1", "1 A", "GBP"), offer("A", "1 GBP")], &["unknown_offer", "A v1"]);
}

#[test]
fn setting_the_same_offer_again_changes_nothing() {
    check(&[offer("A", "1 GBP"), offer("A", "1.000 GBP")], &["A v1", "still A v1"]);
    let back = [offer("A", "1 GBP"), offer("A", "2 GBP"), offer("A", "1 GBP"), offer("B", "1 GBP")];
    check(&back, &["A v1", "A v2", "A v3", "B v1"]);
}

#[test]
fn a_repeated_request_gets_the_same_purchase() {
    let paid = "1.00 GBP = 1.00 GBP";
    let steps = [offer("A", "1 GBP"), buy("r1", "1 A", "GBP"), buy("r1", "1 A", "GBP"), offer("A", "2 GBP")];
    check(&steps, &["A v1", paid, &format!("still {paid}"), "A v2"]);
    let later = [&steps[..], &[buy("r1", "1 A", "GBP")]].concat();
    check(&later, &["A v1", paid, &format!("still {paid}"), "A v2", &format!("still {paid}")]);
    let refused = [buy("r1", "1 A", "GBP"), offer("A", "1 GBP"), buy("r1", "1 A", "GBP")];
    check(&refused, &["unknown_offer", "A v1", "still unknown_offer"]);
}

#[test]
fn the_same_request_id_with_other_content_is_a_conflict() {
    let others = [
        buy("r1", "2 A", "GBP"),
        buy("r1", "1 B", "GBP"),
        buy("r1", "1 A", "EUR"),
        buy("r1", "1 A 1 GBP", "GBP"),
        buy_of("r1", "12583", &["1 A"], "GBP"),
        buy_of("r1", "17850", &["1 A", "1 A"], "GBP"),
    ];
    for other in others {
        let steps = [offer("A", "1 GBP"), buy("r1", "1 A", "GBP"), other];
        check(&steps, &["A v1", "1.00 GBP = 1.00 GBP", "still conflict"]);
    }
    let refused = [buy("r1", "1 A", "GBP"), buy("r1", "2 A", "GBP")];
    check(&refused, &["unknown_offer", "still conflict"]);
}

#[test]
fn equivalent_json_is_the_same_content() {
    let submit = |json: &str| {
        let request = serde_json::from_str(json).unwrap();
        Step::Request(event("r1", now(), AcceptInput::SubmitPurchase(SubmitPurchase { request, captured: None })))
    };
    let first = r#"{
        "customer":"1","pay_in":"GBP","occurred_at":"2010-12-02T01:00:00Z",
        "lines":[{"sku":"A","quantity":1,"unit_price":{"amount":"1.5","currency":"GBP"}}]
    }"#;
    let same = r#"{
        "lines": [{ "unit_price": { "currency": "GBP", "amount": "1.50" }, "quantity": 1, "sku": "A" }],
        "occurred_at": "2010-12-02T02:00:00.000+01:00", "pay_in": "GBP", "customer": "1"
    }"#;
    let paid = "1.50 GBP = 1.50 GBP";
    check(&[offer("A", "1 GBP"), submit(first), submit(same)], &["A v1", paid, &format!("still {paid}")]);
    let later = first.replace("01:00:00Z", "01:00:01Z");
    check(&[offer("A", "1 GBP"), submit(first), submit(&later)], &["A v1", paid, "still conflict"]);
}

#[test]
fn a_late_rate_does_not_change_earlier_purchases() {
    let late = [
        offer("A", "39.75 GBP"),
        buy("r1", "1 A", "EUR"),
        rates("2010-12-01", "EUR/GBP 0.848"),
        buy("r1", "1 A", "EUR"),
        buy("r2", "1 A", "EUR"),
        rates("2010-12-01", "EUR/GBP 0.5"),
        buy("r2", "1 A", "EUR"),
        buy("r3", "1 A", "EUR"),
    ];
    let (then, now) = ("39.75 GBP = 46.88 EUR", "39.75 GBP = 79.50 EUR");
    check(&late, &["A v1", "no_rate", "still no_rate", then, &format!("still {then}"), now]);
}

#[test]
fn a_past_purchase_is_priced_with_the_rate_of_its_time() {
    let mut past = buy("r1", "1 A", "EUR");
    if let Step::Request(Event { fact: AcceptInput::SubmitPurchase(submission), .. }) = &mut past {
        submission.request.occurred_at = Some("2010-12-01T12:00:00Z".parse().unwrap());
    }
    let steps = [
        rates("2010-12-01", "EUR/GBP 0.848"),
        rates("2010-12-02", "EUR/GBP 0.5"),
        offer("A", "39.75 GBP"),
        past,
        buy("r2", "1 A", "EUR"),
    ];
    check(&steps, &["A v1", "39.75 GBP = 46.88 EUR", "39.75 GBP = 79.50 EUR"]);
}

#[test]
fn a_confirmed_purchase_stores_the_price_of_each_line_and_a_rejected_one_the_request() {
    let steps = [
        offer("A", "1 GBP"),
        buy_of("r1", "17850", &["6 A", "2 A 0.50 GBP"], "GBP"),
        buy_of("r2", "17850", &["6 A", "2 B 0.50 GBP"], "GBP"),
    ];
    let lines: Vec<_> = run(&steps, &[1]).purchases().into_iter().map(|row| row.lines).collect();
    let priced = ["6 A 1 GBP", "2 A 0.50 GBP"].map(wanted).to_vec();
    assert_eq!(lines, [priced, ["6 A", "2 B 0.50 GBP"].map(wanted).to_vec()]);
}

#[test]
fn every_purchase_is_emitted_once_with_the_key_of_its_payer() {
    let steps = [
        offer("A", "1 GBP"),
        buy("r1", "1 A", "GBP"),
        buy("r1", "1 A", "GBP"),
        buy_of("r2", "12583", &["1 B"], "GBP"),
        buy("r1", "2 A", "GBP"),
    ];
    let ran = run(&steps, &[2]);
    let mut emitted: Vec<_> = ran.harness.emitted(&PURCHASES).unwrap();
    emitted.sort_by(|a, b| a.cause.request_id.cmp(&b.cause.request_id));
    let emitted: Vec<_> = emitted.iter().map(|event| (event.key.0.as_str(), &event.fact)).collect();
    let [(first, Fact::PurchaseConfirmed(confirmed)), (second, Fact::PurchaseRejected(rejected))] = emitted[..] else {
        panic!("{emitted:?}")
    };
    assert_eq!((first, confirmed.purchase.0.as_str()), ("customer:17850", "r1"));
    assert_eq!((second, rejected.purchase.0.as_str()), ("customer:12583", "r2"));
    assert_eq!(confirmed.occurred_at, now());
    assert_eq!(rejected.reason.code, ReasonCode::UnknownOffer);
}

#[test]
fn any_rfc_3339_time_can_be_stored_and_read_back() {
    let request = |at| {
        let lines = serde_json::json!([{ "sku": "A", "quantity": 1 }]);
        let json = serde_json::json!({ "customer": "1", "pay_in": "GBP", "lines": lines, "occurred_at": at });
        serde_json::from_value::<PurchaseRequest>(json)
    };
    for at in ["9999-12-31T23:59:59Z", "0000-01-01T00:00:00Z", "2016-12-31T23:59:60Z", "1969-12-31T23:59:59.1234567Z"] {
        let request = request(at).unwrap();
        let submission = SubmitPurchase { request, captured: None };
        let submit = Step::Request(event("r1", now(), AcceptInput::SubmitPurchase(submission)));
        let paid = "1.00 GBP = 1.00 GBP";
        check(&[offer("A", "1 GBP"), submit.clone(), submit], &["A v1", paid, &format!("still {paid}")]);
    }
    for at in ["9999-12-31T23:59:59-00:01", "0000-01-01T00:00:00+00:01"] {
        assert!(request(at).is_err(), "the year of {at} in UTC does not have four digits");
    }
}

#[test]
fn the_largest_purchase_fits_a_frame() {
    let skus: Vec<_> = (0..2_000).map(|number| format!("{number:\">64}")).collect();
    let lines: Vec<_> = skus.iter().map(|sku| format!("1000000 {sku} 0.123456 GBP")).collect();
    let lines: Vec<_> = lines.iter().map(String::as_str).collect();
    let mut steps: Vec<_> = skus.iter().map(|sku| offer(sku, "1 GBP")).collect();
    steps.push(buy_of(&"r".repeat(64), &"c".repeat(64), &lines, "GBP"));
    let ran = run(&steps, &[1_000]);
    assert_eq!(ran.replies.last().map(String::as_str), Some("246912000.00 GBP = 246912000.00 GBP"));
    let bodies: Vec<_> = ran.harness.state().frames.iter().map(|frame| frame.body.len()).collect();
    assert!(bodies.len() == 1 && bodies[0] < FRAME_BYTES_MAX, "{bodies:?}");
    assert_eq!(ran.harness.replay(ran.side_input).unwrap(), *ran.harness.state());
}

fn captured_offers(versions: &[u64]) -> CapturedVersions {
    let (upgrades, allocated) = (BTreeMap::new(), BTreeMap::new());
    CapturedVersions { rates: RateVersion(0), offers: versions.to_vec(), upgrades, allocated }
}

#[test]
fn a_record_without_a_captured_version_for_each_line_is_refused() {
    let offers = |versions: &[u64]| Some(captured_offers(versions));
    for captured in [None, offers(&[]), offers(&[0]), offers(&[0, 0, 0])] {
        let Step::Request(mut request) = buy_of("r1", "17850", &["1 A", "1 B"], "GBP") else { panic!("a request") };
        let AcceptInput::SubmitPurchase(purchase) = &mut request.fact else { panic!("a purchase") };
        purchase.captured = captured.clone();
        let mut harness = StageHarness::new(Accept::default(), Partition(0), PartitionCount::new(1).unwrap());
        assert!(matches!(harness.apply_recorded(vec![request]), Err(StageError::Rule(_))), "{captured:?}");
    }
}

fn any_step() -> impl Strategy<Value = Step> {
    let day = prop::sample::select(vec!["2010-11-20", "2010-11-30", "2010-12-01", "2010-12-02", "2010-12-03"]);
    let rate = prop::sample::select(vec!["EUR/GBP 0.848", "EUR/GBP 0.5", "GBP/EUR 1.2", "EUR/USD 1.31", "USD/GBP 0.7"]);
    let sku = || prop::sample::select(vec!["A", "B", "C"]);
    let unit_price = prop::sample::select(vec!["1 GBP", "39.75 GBP", "0.005 GBP", "2 EUR", "1000000000 USD"]);
    let request =
        (0..12_u8, 1..3_u32, prop::collection::vec(sku(), 1..3), prop::sample::select(vec!["EUR", "GBP", "USD"]));
    prop_oneof![
        1 => (day, rate).prop_map(|(day, rate)| rates(day, rate)),
        2 => (sku(), unit_price).prop_map(|(sku, price)| offer(sku, price)),
        6 => request.prop_map(|(id, pieces, skus, pay_in)| {
            let lines: Vec<_> = skus.iter().map(|sku| format!("{pieces} {sku}")).collect();
            let lines: Vec<_> = lines.iter().map(String::as_str).collect();
            buy_of(&format!("r{id}"), &format!("c{}", id % 4), &lines, pay_in)
        }),
    ]
}

fn in_order_of_requests(mut facts: Vec<Event<Fact>>) -> Vec<(RequestId, Fact)> {
    facts.sort_by(|a, b| a.cause.request_id.cmp(&b.cause.request_id));
    facts.into_iter().map(|event| (event.cause.request_id, event.fact)).collect()
}

proptest! {
    #[test]
    fn batch_sizes_make_no_difference_and_replay_gives_the_same_bytes(
        steps in prop::collection::vec(any_step(), 0..60),
        sizes in prop::collection::vec(1..9_usize, 1..5),
    ) {
        let (alone, cut) = (run(&steps, &[1]), run(&steps, &sizes));
        prop_assert_eq!(&cut.replies, &alone.replies);
        prop_assert_eq!(cut.purchases(), alone.purchases());
        prop_assert_eq!(cut.harness.rows::<OfferRow>().unwrap(), alone.harness.rows::<OfferRow>().unwrap());
        let emitted = |ran: &Ran| in_order_of_requests(ran.harness.emitted(&PURCHASES).unwrap());
        prop_assert_eq!(emitted(&cut), emitted(&alone));
        prop_assert_eq!(emitted(&cut).len(), cut.purchases().len());
        prop_assert_eq!(&cut.harness.replay(cut.side_input).unwrap(), cut.harness.state());
    }
}

use super::*;

fn quantity(pieces: i64) -> Quantity {
    Quantity::new(pieces).unwrap()
}

fn step(sku: &str, limit: u64) -> LadderStep {
    LadderStep { sku: sku.parse().unwrap(), version: 1, limit: Some(limit), waits: false }
}

fn waiting(sku: &str, limit: u64) -> LadderStep {
    LadderStep { waits: true, ..step(sku, limit) }
}

fn line(pieces: i64, ladder: &[LadderStep]) -> ClaimedLine {
    ClaimedLine { line: 0, quantity: quantity(pieces), step: 0, ladder: ladder.to_vec() }
}

fn held(number: u64, limit: u64) -> Claimed {
    Claimed::Held { sku: "A".parse().unwrap(), number, limit: Some(limit) }
}

fn queued(number: u64) -> Claimed {
    Claimed::Queued { sku: "A".parse().unwrap(), number }
}

fn limited(version: u64, limit: Option<u64>, is_recall: bool) -> StockLimited {
    StockLimited { sku: "A".parse().unwrap(), version, limit, is_recall }
}

fn stock(limit: u64, allocated: u64) -> Stock {
    Stock { version: 1, ceiling: Some(limit), allocated, ..Stock::default() }
}

#[test]
fn pieces_are_held_up_to_the_limit_and_numbered() {
    let mut stock = stock(3, 0);
    let mut claim = |pieces| stock.claim(&mut line(pieces, &[step("A", 3)]), true);
    assert_eq!([claim(2), claim(2), claim(1), claim(1)], [held(1, 3), Claimed::Refused, held(2, 3), Claimed::Refused]);
    assert_eq!((stock.allocated, stock.available()), (3, Some(0)));
}

#[test]
fn an_older_version_is_judged_by_the_ceiling() {
    let mut stock = stock(5, 0);
    stock.set_limit(&limited(2, Some(1), false));
    assert_eq!(stock.claim(&mut line(2, &[step("A", 5)]), true), Claimed::Refused);
    assert_eq!(stock.claim(&mut line(1, &[step("A", 5)]), true), held(1, 1));
    stock.set_limit(&limited(1, Some(9), false));
    assert_eq!((stock.version, stock.ceiling), (2, Some(1)));
}

#[test]
fn unlimited_stock_always_holds() {
    let mut stock = Stock::default();
    let unlimited = LadderStep { limit: None, ..step("A", 0) };
    let claimed = stock.claim(&mut line(1_000_000, &[unlimited]), true);
    assert_eq!(claimed, Claimed::Held { sku: "A".parse().unwrap(), number: 1, limit: None });
    assert_eq!(stock.available(), None);
}

#[test]
fn unlimited_stock_holds_even_while_a_queue_is_being_served() {
    let mut stock = Stock { waiting: 3, queue_from: 1, newest: 3, ..Stock::default() };
    let unlimited = LadderStep { limit: None, ..step("A", 0) };
    assert!(matches!(stock.claim(&mut line(1, &[unlimited]), true), Claimed::Held { number: 4, .. }));
}

#[test]
fn a_line_without_room_goes_on_to_the_next_product() {
    let mut stock = stock(1, 1);
    let mut claimed = line(1, &[step("A", 1), step("B", 7), waiting("A", 1)]);
    assert_eq!(stock.claim(&mut claimed, true), Claimed::Forwarded);
    assert_eq!((claimed.step, &claimed.ladder), (1, &vec![step("B", 7), waiting("A", 1)]));
    let mut strict = line(1, &[step("A", 1), step("B", 7)]);
    assert_eq!(stock.claim(&mut strict, false), Claimed::Refused);
}

#[test]
fn who_waits_comes_before_whoever_claims_later() {
    let mut stock = stock(3, 2);
    assert_eq!(stock.claim(&mut line(2, &[step("A", 3), waiting("A", 3)]), true), queued(1));
    assert_eq!(stock.claim(&mut line(1, &[step("A", 3)]), true), Claimed::Refused);
    assert_eq!(stock.claim(&mut line(1, &[step("A", 3), waiting("A", 3)]), true), queued(2));
    assert_eq!((stock.serve(quantity(2)), stock.waiting), (Served::Waits, 2));
    stock.release(Released::Pieces, quantity(1));
    assert_eq!((stock.serve(quantity(2)), stock.allocated, stock.waiting), (Served::Held, 3, 1));
    stock.release(Released::Place, quantity(1));
    assert_eq!((stock.waiting, stock.queue_from), (0, 1));
}

#[test]
fn a_line_that_can_never_be_served_does_not_wait() {
    let mut stock = stock(1, 1);
    assert_eq!(stock.claim(&mut line(2, &[step("A", 1), waiting("A", 1)]), true), Claimed::Refused);
    assert_eq!(stock.claim(&mut line(1, &[waiting("A", 1)]), true), queued(1));
    stock.set_limit(&limited(2, Some(0), false));
    assert_eq!((stock.serve(quantity(1)), stock.waiting), (Served::TooLarge, 0));
}

#[test]
fn a_queue_has_an_end() {
    let mut stock = Stock { waiting: QUEUE_MAX, queue_from: 1, newest: QUEUE_MAX, ..stock(1, 1) };
    assert_eq!(stock.claim(&mut line(1, &[waiting("A", 1)]), true), Claimed::Refused);
}

#[test]
fn only_a_recall_takes_back_what_is_above_the_limit() {
    let mut stock = Stock { newest: 4, ..stock(4, 4) };
    stock.set_limit(&limited(2, Some(2), false));
    assert_eq!((stock.recall_from, stock.is_to_recall(), stock.available()), (None, false, Some(0)));
    stock.set_limit(&limited(3, Some(1), true));
    assert_eq!((stock.recall_from, stock.is_to_recall()), (Some(4), true));
    // A version that is set meanwhile takes nothing more back, and a larger one less.
    stock.set_limit(&limited(4, Some(0), false));
    stock.release(Released::Pieces, quantity(3));
    assert!(!stock.is_to_recall());
    let mut stock = Stock { newest: 4, ..self::stock(4, 4) };
    stock.set_limit(&limited(2, Some(1), true));
    stock.set_limit(&limited(3, Some(4), false));
    assert!(!stock.is_to_recall());
}

#[test]
fn a_whole_group_takes_nothing_if_one_line_is_refused() {
    let sku = |name: &str| name.parse::<Sku>().unwrap();
    let full = [(sku("A"), stock(5, 0)), (sku("B"), stock(1, 1))].into_iter().collect::<BTreeMap<_, _>>();
    let claimed = |whole| StockClaimed {
        purchase: stage::RequestId("p".to_owned()),
        customer: "c".parse().unwrap(),
        whole,
        descends: true,
        lines: vec![line(2, &[step("A", 5)]), line(1, &[step("B", 1)])],
    };
    let mut stocks = full.clone();
    let whole = claim(&mut stocks, &claimed(true), &mut claimed(true).lines);
    assert_eq!((whole, stocks == full), (vec![Claimed::NotNeeded, Claimed::Refused], true));
    let partial = claim(&mut stocks, &claimed(false), &mut claimed(false).lines);
    assert_eq!((partial, stocks[&sku("A")].allocated), (vec![held(1, 5), Claimed::Refused], 2));
}

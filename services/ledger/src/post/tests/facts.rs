//! Facts that other stages emit for `post`.

use contracts::{AccountId, PurchaseRefunded, PurchaseRejected, ReturnAccepted};
use money::{Conversion, Money};
use stage_harness::event;

use super::super::*;

pub(super) fn money(text: &str) -> Money {
    let (amount, currency) = text.split_once(' ').unwrap();
    Money::parse(amount, currency.parse().unwrap()).unwrap()
}

pub(super) fn input_event(request_id: &str, fact: PostInput) -> Event<PostInput> {
    event(request_id, "2010-12-01T08:26:00Z".parse().unwrap(), fact)
}

pub(super) fn bought(request_id: &str, customer: &str, total: &str, charged: &str) -> Event<PostInput> {
    let fact = PurchaseConfirmed {
        purchase: RequestId(request_id.to_owned()),
        customer: customer.parse().unwrap(),
        occurred_at: "2010-12-01T08:26:00Z".parse().unwrap(),
        total: money(total),
        charged: money(charged),
        conversion: Conversion::Same,
        lines: Vec::new(),
        is_limited: false,
    };
    input_event(request_id, PostInput::PurchaseConfirmed(fact))
}

pub(super) fn rejected(request_id: &str, customer: &str) -> Event<PostInput> {
    let reason = Reason { code: ReasonCode::NoRate, detail: String::new() };
    let (purchase, customer) = (RequestId(request_id.to_owned()), customer.parse().unwrap());
    input_event(request_id, PostInput::PurchaseRejected(PurchaseRejected { purchase, customer, reason }))
}

pub(super) fn transfer(request_id: &str, payer: &str, payee: &str, amount: &str) -> Event<PostInput> {
    let (transfer, amount) = (RequestId(request_id.to_owned()), money(amount));
    let (payer, payee) = (payer.parse().unwrap(), payee.parse().unwrap());
    input_event(request_id, PostInput::TransferAccepted(TransferAccepted { transfer, payer, payee, amount }))
}

/// `overdraft` in JSON, or `null`.
pub(super) fn claimed(request_id: &str, account: &str, overdraft: &str) -> Event<PostInput> {
    let (claim, account) = (RequestId(request_id.to_owned()), account.parse().unwrap());
    let overdraft = serde_json::from_str(overdraft).unwrap();
    let claimed = AccountClaimed { claim, account, overdraft, daily_limit: None };
    input_event(request_id, PostInput::AccountClaimed(claimed))
}

/// A claim with a daily limit.
pub(super) fn claimed_with_daily_limit(
    request_id: &str,
    account: &str,
    overdraft: &str,
    limit: &str,
) -> Event<PostInput> {
    let mut event = claimed(request_id, account, overdraft);
    if let PostInput::AccountClaimed(claimed) = &mut event.fact {
        claimed.daily_limit = Some(money(limit));
    }
    event
}

/// The same fact, of a request that arrived at another time.
pub(super) fn arrived(event: Event<PostInput>, time: &str) -> Event<PostInput> {
    let cause = stage::Cause { time: time.parse().unwrap(), ..event.cause };
    Event { cause, ..event }
}

/// A refund of a purchase, with or without a voucher.
pub(super) fn refunded(
    request_id: &str,
    customer: &str,
    of_total: &str,
    credit: &str,
    voucher: Option<&str>,
) -> Event<PostInput> {
    let fact = PurchaseRefunded {
        purchase: RequestId(request_id.to_owned()),
        customer: customer.parse().unwrap(),
        credit: money(credit),
        of_total: money(of_total),
        voucher: voucher.map(money),
        reason: Reason { code: ReasonCode::SoldOut, detail: "sold out".to_owned() },
    };
    input_event(request_id, PostInput::PurchaseRefunded(fact))
}

/// A return.
pub(super) fn returned(request_id: &str, customer: &str, total: &str, credit: &str) -> Event<PostInput> {
    let fact = ReturnAccepted {
        return_id: RequestId(request_id.to_owned()),
        customer: customer.parse().unwrap(),
        occurred_at: "2010-12-01T08:26:00Z".parse().unwrap(),
        total: money(total),
        credit: money(credit),
        conversion: Conversion::Same,
        lines: Vec::new(),
    };
    input_event(request_id, PostInput::ReturnAccepted(fact))
}

pub(super) const NONE: &str = "null";
pub(super) const REFUSE: &str = r#"{"limit":"100.00","currency":"EUR","policy":"refuse"}"#;
pub(super) const FEE: &str = r#"{"limit":"100.00","currency":"EUR","policy":"fee"}"#;

/// The stream of a fact of another stage, the stage that emits it, and the account whose owner decides about it.
pub(super) fn way_of(fact: &PostInput) -> (&'static Stream, &'static str, AccountId) {
    match fact {
        PostInput::PurchaseConfirmed(purchase) => (&PURCHASES, "accept", AccountId::of_customer(&purchase.customer)),
        PostInput::PurchaseRejected(purchase) => (&PURCHASES, "accept", AccountId::of_customer(&purchase.customer)),
        PostInput::PurchaseRefunded(refunded) => (&PURCHASES, "accept", AccountId::of_customer(&refunded.customer)),
        PostInput::ReturnAccepted(returned) => (&PURCHASES, "accept", AccountId::of_customer(&returned.customer)),
        PostInput::TransferAccepted(transfer) => (&LEDGER_COMMANDS, "record-commands", transfer.payer.clone()),
        PostInput::AccountClaimed(claim) => (&LEDGER_COMMANDS, "record-commands", claim.account.clone()),
        PostInput::TransferRejected(_) => (&LEDGER_COMMANDS, "record-commands", AccountId::merchant()),
        PostInput::LegsRequested(_) => panic!("{fact:?} is emitted by post"),
    }
}

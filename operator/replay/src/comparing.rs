//! The comparison at the end: the responses to the purchases and returns, and the ledger, against the results that the replay's own
//! arithmetic expects from the file and the ECB's rates.

use contracts::{Leg, Status, TrialBalance};
use operator_client::trial_balance::is_quiet;
use stage::RequestId;

use crate::books::{Postings, Sums, sums};
use crate::findings::Findings;
use crate::outcome::ExpectedOutcome;
use crate::purchase::{Accepted, Submission};
use crate::request_kind::RequestKind;

/// All differences: in the sums, then in single purchases and returns, then in the books as a whole.
pub fn differences(all: &[Accepted], postings: &Postings, books: &TrialBalance) -> Findings {
    let mut findings = Findings::default();
    let legs = |sent: &Submission| sent.expected.legs(sent.kind, &sent.customer);
    let expected: Vec<_> = all.iter().flat_map(|accepted| legs(&accepted.submission)).collect();
    compare_sums(&sums(&expected), &sums(postings.values().flatten()), &mut findings);
    for accepted in all {
        compare_response(accepted, &mut findings);
        let id = &accepted.submission.request_id;
        let found = postings.get(id).map_or(&[][..], Vec::as_slice);
        compare_legs(id, legs(&accepted.submission), found, &mut findings);
    }
    compare_books(books, &mut findings);
    findings
}

fn compare_sums(expected: &Sums, found: &Sums, findings: &mut Findings) {
    let keys = |sums: &Sums| -> Vec<_> {
        sums.iter().flat_map(|(place, of)| of.keys().map(|currency| (*place, *currency))).collect()
    };
    let mut all = keys(expected);
    all.extend(keys(found));
    all.sort_unstable();
    all.dedup();
    for (place, currency) in all {
        let of = |sums: &Sums| sums.get(&place).and_then(|of| of.get(&currency)).copied();
        let shown = |sums: &Sums| of(sums).map_or_else(|| "nothing".to_owned(), |amount| amount.to_string());
        if of(expected) != of(found) {
            let (found, expected) = (shown(found), shown(expected));
            findings.add(format!("the ledger's {place:?} in {currency}: {found} where {expected} is expected"));
        }
    }
}

fn compare_response(accepted: &Accepted, findings: &mut Findings) {
    let (sent, response) = (&accepted.submission, &accepted.response);
    let (total, charged, reason) = match sent.expected {
        ExpectedOutcome::Settled { total, charged } => (Some(total), Some(charged), None),
        ExpectedOutcome::Rejected(code) => (None, None, Some(code)),
    };
    let expected = if reason.is_none() { Status::Settled } else { Status::Rejected };
    let found_reason = response.reason.as_ref().map(|reason| reason.code);
    let found = (response.status, found_reason, response.total, response.charged);
    if found != (expected, reason, total, charged) {
        let found = described(sent.kind, response.status, found_reason, response.total, response.charged);
        let expected = described(sent.kind, expected, reason, total, charged);
        findings.add(format!("{}: returned as {found} where {expected} is expected", sent.request_id));
    }
}

fn described(
    kind: RequestKind,
    status: Status,
    reason: Option<contracts::ReasonCode>,
    total: Option<money::Money>,
    charged: Option<money::Money>,
) -> String {
    let shown = |sum: Option<money::Money>| sum.map_or_else(|| "nothing".to_owned(), |sum| sum.to_string());
    let reason = reason.map_or_else(String::new, |code| format!(" ({code:?})"));
    let what = match kind {
        RequestKind::Purchase => "charged",
        RequestKind::Return => "refunded",
    };
    format!("{status:?}{reason}, {} {what} for {}", shown(charged), shown(total))
}

fn compare_legs(request_id: &RequestId, mut missing: Vec<Leg>, found: &[Leg], findings: &mut Findings) {
    let shown = |leg: &Leg| format!("{:?} of {} on {}", leg.side, leg.amount, leg.account);
    for leg in found {
        match missing.iter().position(|expected| expected == leg) {
            Some(place) => drop(missing.swap_remove(place)),
            None => findings.add(format!("{request_id}: {} is posted, but is unexpected or repeated", shown(leg))),
        }
    }
    for leg in missing {
        findings.add(format!("{request_id}: {} is not posted", shown(&leg)));
    }
}

/// Adds what is wrong with the books as a whole.
pub fn compare_books(books: &TrialBalance, findings: &mut Findings) {
    for (currency, line) in books.iter() {
        if !line.difference.is_zero() {
            findings.add(format!("the trial balance in {currency} has a difference of {}", line.difference));
        }
        if !is_quiet(line) {
            let (debits, credits) = (line.in_transit_debits, line.in_transit_credits);
            findings.add(format!(
                "the trial balance in {currency} has debits of {debits} and credits of {credits} that stay in transit"
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use contracts::{Reason, ReasonCode};
    use money::{Currency, Money};

    use super::*;
    use crate::purchase::Response;

    fn sold() -> Accepted {
        let total = Money::parse("84.03", Currency::GBP).unwrap();
        let charged = Money::parse("100.00", Currency::EUR).unwrap();
        Accepted {
            submission: Submission {
                kind: RequestKind::Purchase,
                request_id: contracts::request_id("retail-1").unwrap(),
                customer: "17850".parse().unwrap(),
                expected: ExpectedOutcome::Settled { total, charged },
            },
            response: Response { status: Status::Settled, reason: None, total: Some(total), charged: Some(charged) },
        }
    }

    fn books(difference: &str, in_transit: &str) -> TrialBalance {
        let json = format!(
            r#"{{"EUR":{{"debits":"100.00","credits":"100.00","in_transit_debits":"{in_transit}",
            "in_transit_credits":"0.00","difference":"{difference}"}}}}"#
        );
        serde_json::from_str(&json).unwrap()
    }

    fn check(change: impl FnOnce(&mut Accepted, &mut Vec<Leg>), expected: &[&str]) {
        let mut purchase = sold();
        let mut legs = purchase.submission.expected.legs(purchase.submission.kind, &purchase.submission.customer);
        change(&mut purchase, &mut legs);
        let postings = Postings::from([(purchase.submission.request_id.clone(), legs)]);
        assert_eq!(differences(&[purchase], &postings, &books("0.00", "0.00")).first, expected);
    }

    #[test]
    fn correct_results_have_no_findings() {
        check(|_, _| {}, &[]);
        check(|_, legs| legs.reverse(), &[]);
    }

    #[test]
    fn a_missing_wrong_or_repeated_posting_is_found() {
        check(
            |_, legs| drop(legs.remove(0)),
            &[
                "the ledger's CustomerDebits in EUR: nothing where 100.00 is expected",
                "retail-1: Debit of 100.00 EUR on customer:17850 is not posted",
            ],
        );
        check(
            |_, legs| legs.push(legs[1].clone()),
            &[
                "the ledger's MerchantCredits in GBP: 168.06 where 84.03 is expected",
                "retail-1: Credit of 84.03 GBP on merchant is posted, but is unexpected or repeated",
            ],
        );
        check(
            |_, legs| legs[2].amount = Money::parse("99.99", Currency::EUR).unwrap(),
            &[
                "the ledger's FxCredits in EUR: 99.99 where 100.00 is expected",
                "retail-1: Credit of 99.99 EUR on fx is posted, but is unexpected or repeated",
                "retail-1: Credit of 100.00 EUR on fx is not posted",
            ],
        );
    }

    #[test]
    fn a_wrong_response_is_found() {
        check(
            |purchase, _| purchase.response.charged = Some(Money::parse("100.01", Currency::EUR).unwrap()),
            &["retail-1: returned as Settled, 100.01 EUR charged for 84.03 GBP where Settled, 100.00 EUR charged for \
                84.03 GBP is expected"],
        );
        let refused = |purchase: &mut Accepted, _: &mut Vec<Leg>| {
            let reason = Some(Reason { code: ReasonCode::StaleRate, detail: String::new() });
            purchase.response = Response { status: Status::Rejected, reason, total: None, charged: None };
        };
        check(
            refused,
            &["retail-1: returned as Rejected (StaleRate), nothing charged for nothing where Settled, 100.00 EUR \
                charged for 84.03 GBP is expected"],
        );
    }

    #[test]
    fn a_return_posts_the_reverse_of_a_purchase() {
        let back = Accepted { submission: Submission { kind: RequestKind::Return, ..sold().submission }, ..sold() };
        let id = back.submission.request_id.clone();
        let legs = |kind| back.submission.expected.legs(kind, &back.submission.customer);
        let found = |kind| {
            let postings = Postings::from([(id.clone(), legs(kind))]);
            differences(std::slice::from_ref(&back), &postings, &books("0.00", "0.00")).count
        };
        assert_eq!((found(RequestKind::Return), found(RequestKind::Purchase)), (0, 16));
    }

    #[test]
    fn books_that_do_not_balance_or_have_legs_in_transit_are_found() {
        let check = |difference, in_transit, expected: &str| {
            let found = differences(&[], &Postings::new(), &books(difference, in_transit));
            assert_eq!(found.first, [format!("the trial balance in EUR has {expected}")]);
        };
        check("0.01", "0.00", "a difference of 0.01");
        check("0.00", "5.00", "debits of 5.00 and credits of 0.00 that stay in transit");
    }
}

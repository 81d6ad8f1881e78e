//! Requests and the decisions about them.

use std::collections::BTreeSet;

use contracts::LedgerCommand;
use stage::{Quiescence, RequestId, Violation};

use crate::post::DecisionRow;
use crate::record_commands::{ClaimRow, TransferRow};

/// Matches requests and decisions. Each claim and transfer must be added before its decision.
#[derive(Debug, Default)]
pub struct Decisions {
    open: BTreeSet<(LedgerCommand, RequestId)>,
    violations: Vec<Violation>,
}

impl Decisions {
    /// Adds a claim.
    pub fn claim(&mut self, row: &ClaimRow) {
        self.open.insert((LedgerCommand::Claim, row.request_id.clone()));
    }

    /// Adds a transfer. One that the ingress stage has rejected needs no decision.
    pub fn transfer(&mut self, row: &TransferRow) {
        if row.reason_code.is_none() {
            self.open.insert((LedgerCommand::Transfer, row.request_id.clone()));
        }
    }

    /// Adds a decision.
    pub fn decision(&mut self, row: &DecisionRow) {
        if !self.open.remove(&(row.kind, row.request_id.clone())) {
            let place = format!("decision {} {}", row.kind, row.request_id);
            self.violations.push(Violation { place, what: "belongs to no undecided request".to_owned() });
        }
    }

    /// The violations, once all rows are added.
    pub fn close(mut self, quiescence: Quiescence) -> Vec<Violation> {
        if quiescence == Quiescence::Reached {
            let what = "was accepted but is not decided, although nothing is in flight";
            let open = |(kind, id)| Violation { place: format!("{kind} {id}"), what: what.to_owned() };
            self.violations.extend(self.open.into_iter().map(open));
        }
        self.violations
    }
}

#[cfg(test)]
mod tests {
    use stage::{BatchNumber, Partition};

    use super::*;

    #[test]
    fn each_request_is_decided_once() {
        let check = |decided: &[(LedgerCommand, &str)], quiescence, expected: &[&str]| {
            let mut decisions = Decisions::default();
            let (request_id, account) = (RequestId("r".into()), "alice".parse().unwrap());
            let (content_hash, partition, batch) = (String::new(), Partition(0), BatchNumber(1));
            decisions.claim(&ClaimRow { request_id, content_hash, account, overdraft: None, daily_limit: None, batch });
            for (kind, id) in decided {
                let (kind, request_id) = (*kind, RequestId((*id).into()));
                let (reason_code, reason_detail) = (None, None);
                let row = DecisionRow { kind, request_id, reason_code, reason_detail, partition, batch };
                decisions.decision(&row);
            }
            let places: Vec<_> = decisions.close(quiescence).into_iter().map(|violation| violation.place).collect();
            assert_eq!(places, expected);
        };
        check(&[(LedgerCommand::Claim, "r")], Quiescence::Reached, &[]);
        check(&[], Quiescence::Pending, &[]);
        check(&[], Quiescence::Reached, &["claim r"]);
        check(&[(LedgerCommand::Transfer, "r")], Quiescence::Pending, &["decision transfer r"]);
        check(&[(LedgerCommand::Claim, "r"), (LedgerCommand::Claim, "r")], Quiescence::Reached, &["decision claim r"]);
    }
}

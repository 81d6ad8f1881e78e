//! The state of a purchase with limited stock or a cancellation, and what follows from each event.
//!
//! Two parties hold a one-way switch for each line. The stock's owner switches from held to gone, this state machine
//! from kept to dropped. So nothing is given back twice, whatever the order of the events.

mod value;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use contracts::{Decision, LineDecision, Place, PurchasePlan, Reason, ReasonCode, Status};
use money::{Invalid, Percent};
use serde::{Deserialize, Serialize};

pub use self::value::{Paid, Refund};

/// The state of a purchase.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settlement {
    /// The terms; none until they are known.
    pub plan: Option<PurchasePlan>,
    /// The stock of each line with limited stock that is decided.
    pub lines: BTreeMap<u32, LineState>,
    /// The lines that are not kept.
    pub dropped: BTreeMap<u32, Dropped>,
    /// The payment.
    pub payment: PaymentState,
    /// The outcome; none until it is decided.
    pub outcome: Option<Status>,
    /// The cancellation, if the customer asked for it.
    pub cancellation: Option<Cancellation>,
    /// What the customer has paid so far, less refunds; none if nothing was charged.
    pub paid: Option<Paid>,
}

/// The stock of a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LineState {
    /// The step of the ladder at which it was decided.
    pub step: u32,
    /// What the line has.
    pub stock: LineStock,
    /// The step at which a release was asked for; none if it was not.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub released: Option<u32>,
}

/// What a line has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LineStock {
    /// Allocated pieces.
    Held(Place),
    /// A place in a queue.
    Queued(Place),
    /// Nothing: it was refused, or what it had was lost.
    Nothing,
    /// Nothing any more: it gave back what it had.
    Gone,
}

impl LineStock {
    fn place(&self) -> Option<&Place> {
        match self {
            Self::Held(place) | Self::Queued(place) => Some(place),
            Self::Nothing | Self::Gone => None,
        }
    }
}

/// Why a line is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dropped {
    /// There was no stock.
    Refused,
    /// Its stock was lost after the outcome.
    Lost,
    /// It was given back because the purchase is all or nothing, or was not paid.
    Released,
    /// The customer cancelled and gets this share of its money.
    Cancelled(Percent),
}

/// The payment of a purchase.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaymentState {
    /// The customer is not charged yet.
    #[default]
    Open,
    /// The customer is being charged.
    Asked,
    /// The customer has paid.
    Posted,
    /// The payment was refused.
    Refused(Reason),
}

/// A cancellation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cancellation {
    /// It waits for the outcome of the purchase.
    Asked(DateTime<Utc>),
    /// The money is returned, and the stock is being given back.
    Applied,
    /// Everything is given back.
    Completed,
    /// There was nothing to cancel.
    Rejected,
}

/// What happens to a purchase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PurchaseEvent {
    /// It was accepted with these terms.
    Placed(PurchasePlan),
    /// Lines were decided.
    Decided(Vec<LineDecision>),
    /// The payment was posted.
    PaymentPosted,
    /// The payment was refused.
    PaymentRefused(Reason),
    /// The customer cancels.
    Cancelled(PurchasePlan, DateTime<Utc>),
}

/// What follows from an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Give this stock back.
    Release(Place),
    /// Charge the customer for the lines that are kept.
    Charge(Paid),
    /// Record the outcome.
    Finish(Status, Option<Reason>),
    /// Return money.
    Refund(Refund),
}

impl Settlement {
    /// The state of a purchase without limited stock that has its outcome already.
    pub fn of_outcome(plan: &PurchasePlan, status: Status) -> Self {
        let paid = (status == Status::Settled).then_some(Paid { charged: plan.charged, total: plan.total });
        let payment = if paid.is_some() { PaymentState::Posted } else { PaymentState::Open };
        let plan = Some(plan.clone());
        Self { plan, payment, outcome: Some(status), paid, ..Self::default() }
    }

    /// Applies an event.
    ///
    /// # Errors
    /// [`Invalid`] when the terms contradict themselves, for example in their currencies.
    pub fn apply(&mut self, event: PurchaseEvent) -> Result<Vec<Action>, Invalid> {
        let mut actions = Vec::new();
        match event {
            PurchaseEvent::Placed(plan) => self.place(plan),
            PurchaseEvent::Decided(lines) => lines.into_iter().for_each(|line| self.decide(line, &mut actions)),
            PurchaseEvent::PaymentPosted => self.payment = PaymentState::Posted,
            PurchaseEvent::PaymentRefused(reason) => self.payment = PaymentState::Refused(reason),
            PurchaseEvent::Cancelled(plan, at) => {
                if self.plan.is_none() {
                    self.place(plan);
                }
                self.cancellation.get_or_insert(Cancellation::Asked(at));
            }
        }
        self.follow(&mut actions)?;
        Ok(actions)
    }

    /// The lines that are kept and have stock, each with where it is.
    pub fn kept_places(&self) -> impl Iterator<Item = (u32, &Place)> {
        let kept = self.lines.iter().filter(|(line, _)| !self.dropped.contains_key(line));
        kept.filter_map(|(line, state)| Some((*line, state.stock.place()?)))
    }

    fn place(&mut self, plan: PurchasePlan) {
        if self.payment == PaymentState::Open && !plan.is_strict {
            self.payment = PaymentState::Asked;
        }
        self.plan = Some(plan);
    }

    /// A decision of an earlier step than the one known has been overtaken. A line that is dropped already gives back
    /// whatever it gets.
    fn decide(&mut self, LineDecision { line, step, decision }: LineDecision, actions: &mut Vec<Action>) {
        let known = self.lines.get(&line);
        if known.is_some_and(|known| step < known.step) {
            return;
        }
        let released = known.and_then(|known| known.released);
        let stock = match decision {
            Decision::Held(place) => LineStock::Held(place),
            Decision::Queued(place) => LineStock::Queued(place),
            Decision::Refused => LineStock::Nothing,
            Decision::Gone => LineStock::Gone,
        };
        self.lines.insert(line, LineState { step, stock, released });
        if self.dropped.contains_key(&line) {
            self.release(line, actions);
        }
    }

    /// Asks for the line's stock back, once for each step of its ladder.
    fn release(&mut self, line: u32, actions: &mut Vec<Action>) {
        let Some(state) = self.lines.get_mut(&line) else { return };
        if let Some(place) = state.stock.place()
            && state.released != Some(state.step)
        {
            actions.push(Action::Release(place.clone()));
            state.released = Some(state.step);
        }
    }

    fn drop_line(&mut self, line: u32, why: Dropped, actions: &mut Vec<Action>) {
        self.dropped.entry(line).or_insert(why);
        self.release(line, actions);
    }

    /// Applies the rules until nothing follows any more.
    fn follow(&mut self, actions: &mut Vec<Action>) -> Result<(), Invalid> {
        let Some(plan) = self.plan.clone() else { return Ok(()) };
        let all_decided = plan.limited().all(|line| self.lines.contains_key(&line));
        if !all_decided || self.payment == PaymentState::Asked {
            return Ok(());
        }
        if self.outcome.is_none() {
            self.decide_outcome(&plan, actions)?;
        }
        if self.outcome.is_some() {
            self.drop_lost(&plan, actions)?;
            self.cancel(&plan, actions)?;
        }
        Ok(())
    }

    fn decide_outcome(&mut self, plan: &PurchasePlan, actions: &mut Vec<Action>) -> Result<(), Invalid> {
        let (without, fits) = self.without_stock(plan);
        match self.payment.clone() {
            PaymentState::Asked => {}
            PaymentState::Refused(reason) => {
                self.paid = None;
                self.drop_all(plan, Dropped::Released, actions);
                self.finish(Status::Rejected, Some(reason), actions);
            }
            PaymentState::Open if fits => {
                without.iter().for_each(|line| self.drop_line(*line, Dropped::Refused, actions));
                let charge = self.value(plan)?;
                self.payment = PaymentState::Asked;
                self.paid = Some(charge);
                actions.push(Action::Charge(charge));
            }
            PaymentState::Open => {
                self.drop_without(plan, &without, actions);
                self.finish(Status::Rejected, Some(sold_out(plan, &without)), actions);
            }
            PaymentState::Posted => {
                self.paid.get_or_insert(Paid { charged: plan.charged, total: plan.total });
                let charged: Vec<_> = without.iter().copied().filter(|line| !self.dropped.contains_key(line)).collect();
                if fits {
                    without.iter().for_each(|line| self.drop_line(*line, Dropped::Refused, actions));
                    self.finish(Status::Settled, None, actions);
                } else {
                    self.drop_without(plan, &without, actions);
                    self.finish(Status::Compensated, Some(sold_out(plan, &without)), actions);
                }
                self.refund(plan, &charged, || sold_out(plan, &charged), actions)?;
            }
        }
        Ok(())
    }

    /// Lines that lost their stock after the outcome, and with them the others, unless some of the lines are enough.
    fn drop_lost(&mut self, plan: &PurchasePlan, actions: &mut Vec<Action>) -> Result<(), Invalid> {
        let is_lost = |line: &u32| !self.dropped.contains_key(line) && !self.has_stock(*line);
        let lost: Vec<_> = plan.limited().filter(is_lost).collect();
        if lost.is_empty() {
            return Ok(());
        }
        lost.iter().for_each(|line| self.drop_line(*line, Dropped::Lost, actions));
        if !plan.partial {
            self.drop_all(plan, Dropped::Released, actions);
        }
        let why =
            || Reason { code: ReasonCode::StockLost, detail: format!("the stock of {} was lost", skus(plan, &lost)) };
        self.refund(plan, &lost, why, actions)
    }

    fn cancel(&mut self, plan: &PurchasePlan, actions: &mut Vec<Action>) -> Result<(), Invalid> {
        if let Some(Cancellation::Asked(at)) = self.cancellation {
            let kept: Vec<_> = plan.numbers().filter(|line| !self.dropped.contains_key(line)).collect();
            if self.outcome != Some(Status::Settled) || kept.is_empty() {
                self.cancellation = Some(Cancellation::Rejected);
                return Ok(());
            }
            for (number, line) in plan.numbered() {
                let percent = line.cancellation.refund_percent(line.service_date, at);
                self.drop_line(number, Dropped::Cancelled(percent), actions);
            }
            self.cancellation = Some(Cancellation::Applied);
            let detail = format!("cancelled at {at}");
            self.refund(plan, &[], || Reason { code: ReasonCode::Cancelled, detail }, actions)?;
        }
        let is_over = plan.limited().all(|line| !self.has_stock(line));
        if self.cancellation == Some(Cancellation::Applied) && is_over {
            self.cancellation = Some(Cancellation::Completed);
        }
        Ok(())
    }

    /// Returns what was paid above the value of what is kept. The voucher is a share of that: the largest that the
    /// terms of these lost lines promise.
    fn refund(
        &mut self,
        plan: &PurchasePlan,
        lost: &[u32],
        reason: impl FnOnce() -> Reason,
        actions: &mut Vec<Action>,
    ) -> Result<(), Invalid> {
        let value = self.value(plan)?;
        let Some(paid) = self.paid else { return Ok(()) };
        let Some((credit, of_total)) = paid.above(value) else { return Ok(()) };
        let percents =
            plan.numbered().filter(|(number, _)| lost.contains(number)).map(|(_, line)| line.voucher_percent);
        let percent = percents.max().unwrap_or_default();
        let voucher = Some(credit.percent_round_half_even(percent)).filter(|voucher| !voucher.amount().is_zero());
        self.paid = Some(value);
        actions.push(Action::Refund(Refund { credit, of_total, voucher, reason: reason() }));
        Ok(())
    }

    fn drop_all(&mut self, plan: &PurchasePlan, why: Dropped, actions: &mut Vec<Action>) {
        plan.numbers().for_each(|line| self.drop_line(line, why, actions));
    }

    fn drop_without(&mut self, plan: &PurchasePlan, without: &[u32], actions: &mut Vec<Action>) {
        without.iter().for_each(|line| self.drop_line(*line, Dropped::Refused, actions));
        self.drop_all(plan, Dropped::Released, actions);
    }

    fn finish(&mut self, status: Status, reason: Option<Reason>, actions: &mut Vec<Action>) {
        self.outcome = Some(status);
        actions.push(Action::Finish(status, reason));
    }

    /// The lines that were refused, and whether the others are enough. A line that could have had stock and took none,
    /// because another one was refused, is not among them.
    fn without_stock(&self, plan: &PurchasePlan) -> (Vec<u32>, bool) {
        let without: Vec<_> = plan.limited().filter(|line| !self.has_stock(*line)).collect();
        let fits = without.is_empty() || (plan.partial && without.len() < plan.lines.len());
        let is_refused = |line: &u32| self.lines.get(line).is_none_or(|state| state.stock == LineStock::Nothing);
        (without.into_iter().filter(is_refused).collect(), fits)
    }

    fn has_stock(&self, line: u32) -> bool {
        self.lines.get(&line).is_some_and(|state| state.stock.place().is_some())
    }
}

fn sold_out(plan: &PurchasePlan, without: &[u32]) -> Reason {
    Reason { code: ReasonCode::SoldOut, detail: format!("{} sold out", skus(plan, without)) }
}

/// The first few products of these lines, for people.
fn skus(plan: &PurchasePlan, lines: &[u32]) -> String {
    const SHOWN: usize = 3;
    let named = plan.numbered().filter(|(number, _)| lines.contains(number)).map(|(_, line)| line.sold.sku.to_string());
    let shown: Vec<_> = named.take(SHOWN).collect();
    match lines.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests;

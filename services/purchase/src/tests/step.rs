//! The steps of a history.

/// A request, or a delivery.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Offer {
        sku: String,
        terms: String,
    },
    Buy {
        id: String,
        customer: String,
        lines: String,
        partial: bool,
        pay_in: &'static str,
    },
    Cancel(String),
    /// Cancels a purchase by its number, if it is there.
    CancelNumber(usize),
    Recall {
        id: String,
        sku: String,
        quantity: u64,
    },
    /// Brings lines such as `2 x,1 y` back.
    Return {
        id: String,
        customer: String,
        lines: String,
        pay_in: &'static str,
    },
    /// Delivers frames of one producer to one reader.
    Deliver {
        from: usize,
        frames: usize,
    },
}

pub(super) fn offer(sku: &str, terms: &str) -> Step {
    Step::Offer { sku: sku.to_owned(), terms: terms.to_owned() }
}

/// The same purchase, if some of its lines are enough.
pub(super) fn partially(step: Step) -> Step {
    let Step::Buy { id, customer, lines, pay_in, .. } = step else { panic!("{step:?} buys nothing") };
    Step::Buy { id, customer, lines, partial: true, pay_in }
}

/// Buys lines such as `2 x,1 y`.
pub(super) fn buy(id: &str, customer: &str, lines: &str) -> Step {
    let (id, customer, lines) = (id.to_owned(), customer.to_owned(), lines.to_owned());
    Step::Buy { id, customer, lines, partial: false, pay_in: "EUR" }
}

pub(super) fn cancel(id: &str) -> Step {
    Step::Cancel(id.to_owned())
}

pub(super) fn recall(id: &str, sku: &str, quantity: u64) -> Step {
    Step::Recall { id: id.to_owned(), sku: sku.to_owned(), quantity }
}

pub(super) fn bring_back(id: &str, customer: &str, lines: &str, pay_in: &'static str) -> Step {
    Step::Return { id: id.to_owned(), customer: customer.to_owned(), lines: lines.to_owned(), pay_in }
}

/// Lines such as `2 x,1 y` in JSON.
pub(super) fn requested(lines: &str) -> Vec<serde_json::Value> {
    let lines = lines.split(',').map(|line| line.split_once(' ').unwrap());
    lines.map(|(pieces, sku)| serde_json::json!({ "sku": sku, "quantity": pieces.parse::<u32>().unwrap() })).collect()
}
